"""A field of the meta schema as a column that a person can fill in: its kind, its choices, its words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from synapse_skills.errors import printable_lines, redact

if TYPE_CHECKING:
    from synapse_skills.metadata.wants import Field

Kind = Literal["text", "integer", "number", "boolean", "date", "date-time", "list", "choice", "object", "any"]

SEPARATOR = ";"
MAX_COMMENT = 1_200
MAX_SHOWN = 12
# What Excel keeps of a number: longer ones go in as text, so that no digit is lost.
MAX_DIGITS = 15
FIRST_DAY = date(1900, 3, 1)  # before it Excel counts a day that never was
# Written by the job where the schema lets them in (metadata.schema.STANDARD_KEYS).
FILLED_LATER = ("name", "dataset_key")
_ESCAPED = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
_ILLEGAL = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")

KIND_WORDS: Mapping[Kind, str] = {
    "text": "Text · 글자",
    "integer": "Whole number · 정수",
    "number": "Number · 숫자",
    "boolean": "TRUE or FALSE · TRUE 또는 FALSE",
    "date": "Date: yyyy-mm-dd · 날짜: 연-월-일",
    "date-time": "Date and time: yyyy-mm-dd hh:mm:ss · 날짜와 시각",
    "list": f"Several values, with {SEPARATOR} between them · 여러 값은 {SEPARATOR} 로 구분",
    "choice": "One of the list · 목록에서 하나 선택",
    "object": "Does not fit in a cell: leave it empty, or give it in a sidecar file · 셀에 쓸 수 없음: 비워 두세요",
    "any": "Anything · 자유 입력",
}
FORMATS: Mapping[Kind, str] = {
    "text": "@",
    "list": "@",
    "date": "yyyy-mm-dd",
    "date-time": "yyyy-mm-dd hh:mm:ss",
    "integer": "0",
    # Excel shows TRUE whatever the format is; others show 1.
    "boolean": '"TRUE";"TRUE";"FALSE"',
}


@dataclass(frozen=True)
class Column:
    """A column of the template.

    Attributes:
        name: the field's name: the header, exactly.
        kind: what its cells hold.
        options: what a cell may hold, if the schema lists it.
        required: no data unit may do without.
        title: what people call it; `description` what the schema says about it, `format` how its texts look.
    """

    name: str
    kind: Kind = "any"
    options: tuple[Any, ...] = ()
    required: bool = False
    title: str = ""
    description: str = ""
    format: str = ""

    @property
    def number_format(self) -> str:
        """How Excel shows and reads the column's cells."""
        if self.kind == "choice" and all(isinstance(option, str) for option in self.options):
            return "@"
        return FORMATS.get(self.kind, "General")

    @property
    def need(self) -> str:
        """Whether it must be filled in."""
        if self.name in FILLED_LATER:
            return "The data unit's name goes in if it is empty · 비워 두면 데이터 유닛 이름이 들어갑니다"
        return "★ Required · 필수" if self.required else "Optional · 선택"

    @property
    def what(self) -> str:
        """What its cells hold, in words."""
        words = KIND_WORDS[self.kind]
        if self.options:
            shown = " | ".join(option_text(option) for option in self.options[:MAX_SHOWN])
            more = f" | … ({len(self.options):,})" if len(self.options) > MAX_SHOWN else ""
            words += f"\n{shown}{more}"
        if self.format and self.kind not in ("date", "date-time"):
            words += f"\nFormat · 형식: {self.format}"
        return words

    @property
    def comment(self) -> str:
        """What is said at the header."""
        said = [self.need, self.title if self.title != self.name else "", self.description, self.what]
        return tidy("\n".join(part for part in said if part))


def tidy(text: str) -> str:
    """A text from a schema as it can stand in a comment: printable, bounded."""
    text = printable_lines(redact(text[: 4 * MAX_COMMENT].replace("\r\n", "\n").replace("\t", " ")))
    return text if len(text) <= MAX_COMMENT else text[: MAX_COMMENT - 1] + "…"


def column_of(field: Field) -> Column:
    """The column of a schema's field."""
    types = tuple(name for name in field.types if name != "null")
    options = tuple(value for value in field.enum if _can_be_chosen(value))
    kind: Kind = "any"
    if types == ("array",):
        kind = "list"
    elif options and "array" not in types:
        kind = "boolean" if all(isinstance(value, bool) for value in options) else "choice"
    elif types == ("string",):
        kind = field.format if field.format in ("date", "date-time") else "text"  # type: ignore[assignment]
    elif set(types) == {"integer", "number"}:
        kind = "number"
    elif len(types) == 1 and types[0] in ("integer", "number", "boolean", "object"):
        kind = types[0]  # type: ignore[assignment]
    return Column(
        field.name,
        kind,
        options if kind == "choice" else (),
        field.required and field.name not in FILLED_LATER,
        field.title,
        field.description,
        field.format,
    )


def key_name(taken: Sequence[str]) -> str:
    """A header for the column of keys that no field has."""
    known = {name.strip().casefold() for name in taken}
    name, number = "data_unit", 1
    while name in known:
        number += 1
        name = f"data_unit_{number}"
    return name


def option_text(value: Any) -> str:
    """A choice as a person reads it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def as_cell(column: Column, value: Any) -> Any:
    """A value that is known already, as the cell that gives it back: its type is the type of the cell.

    Dates become dates where the column holds dates; what Excel would spoil (long numbers, days before 1900) is text.
    """
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        fits = len(f"{abs(value)}".rstrip("0")) <= MAX_DIGITS if isinstance(value, int) else True
        return value if fits else str(value)
    if isinstance(value, str):
        return _moment(column, value) or value
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        texts = [option_text(item) for item in value]
        if not any(SEPARATOR in text or "\n" in text for text in texts):
            return f"{SEPARATOR} ".join(texts)
    return json.dumps(value, ensure_ascii=False)


def _moment(column: Column, text: str) -> date | datetime | None:
    """A date in a column of dates; None for what is none, or what a cell can't hold in full."""
    try:
        if column.kind == "date":
            day = date.fromisoformat(text)
            return day if day >= FIRST_DAY and day.isoformat() == text else None
        if column.kind == "date-time":
            moment = datetime.fromisoformat(text)
            whole = moment.tzinfo is None and not moment.microsecond and moment.date() >= FIRST_DAY
            # What Excel keeps is a fraction of a day: seconds survive.
            return moment if whole and moment.isoformat() in (text, text.replace(" ", "T")) else None
    except ValueError:
        return None
    return None


def escaped(text: str) -> str:
    """A text as XML can hold it: what may not stand in XML is written the way that Excel writes it (`_x0001_`)."""
    text = _ESCAPED.sub("_x005F_", text)
    return _ILLEGAL.sub(lambda found: f"_x{ord(found.group()):04X}_", text)


def serial(moment: date | datetime) -> float:
    """A day as Excel counts it; for what a cell is checked against."""
    start = datetime(1899, 12, 30)
    whole = moment if isinstance(moment, datetime) else datetime(moment.year, moment.month, moment.day)
    return (whole - start) / timedelta(days=1)


def _can_be_chosen(value: Any) -> bool:
    return isinstance(value, str | int | float) and value != ""
