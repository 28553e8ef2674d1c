"""The columns of a table: what kinds of values each holds, and how they become JSON.

The sheet's own types hold: text stays text ("007", 20 digits). A sheet has one kind of number, so a column in which
all are whole is a column of integers; a date has no time of day unless one in its column has.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from synapse_skills.metadata.notes import Rows

Value = str | int | float | bool | list[Any] | dict[str, Any]
"""JSON; lists and objects come from JSON tables only."""

_KINDS: dict[type, str] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "boolean",
    date: "date",
    datetime: "datetime",
    time: "time",
    timedelta: "duration",
    list: "list",
    dict: "object",
}
_FAMILIES = {"integer": "number", "datetime": "date"}
_EXACT = 2**53  # whole numbers up to here are exact as floats
_MOST_DIGITS = 1e21  # larger ones are written with an exponent everywhere: they are measures, not identifiers
_KEPT_ROWS = 10
_EXAMPLES = 3
_EXAMPLE_CHARS = 40
_LOOKS = 5  # chunks in which different examples are looked for


@dataclass(slots=True)
class Profile:
    """What one column holds, counted chunk by chunk.

    Attributes:
        kinds: values by kind, as the table types them.
        rows: the first rows of each kind.
        trimmed: rows whose text begins or ends with a space.
        decomposed: rows whose text is in Unicode's decomposed form, as a Mac writes Korean file names.
        not_numbers: rows with an infinite number.
        rounded: rows with a whole number too long for a float; `exact` may know its digits.
    """

    typed: bool
    kinds: Counter[str] = field(default_factory=Counter)
    rows: dict[str, list[int]] = field(default_factory=dict)
    empty: int = 0
    raw_examples: list[Any] = field(default_factory=list)
    trimmed: Rows = field(default_factory=Rows)
    decomposed: Rows = field(default_factory=Rows)
    not_numbers: Rows = field(default_factory=Rows)
    rounded: list[int] = field(default_factory=list)
    fractions: bool = False
    blanks: bool = False
    looked: int = 0
    clock: bool = False
    exact: dict[int, int] = field(default_factory=dict)

    def add(self, numbers: Sequence[int], values: Sequence[Any]) -> int:
        """Count a chunk of the column; returns how many of its cells hold a value."""
        before = self.empty
        kinds = {*map(type, values)}
        types: Counter[type] = Counter(map(type, values) if len(kinds) > 1 else dict.fromkeys(kinds, len(values)))
        if len(types) == 1:
            blank = values.count("") if str in types else 0
        else:
            blank = sum(1 for value in values if type(value) is str and not value)
        self.empty += blank
        if blank == len(values):
            return 0
        if str in types:
            types[str] -= blank
            if types[str]:
                self._look_at_text(numbers, values, types)
        if float in types:
            self._look_at_floats(numbers, values, types)
        if datetime in types and not self.clock:
            self.clock = any(type(value) is datetime and value.time() != time() for value in values)
        for kind, count in types.items():
            if count > 0:
                self._count(_KINDS.get(kind, "text"), kind, count, numbers, values)
        return len(values) - (self.empty - before)

    def _count(self, name: str, kind: type, count: int, numbers: Sequence[int], values: Sequence[Any]) -> None:
        self.kinds[name] += count
        kept = self.rows.setdefault(name, [])
        self.looked += 1
        if len(kept) >= _KEPT_ROWS and (len(self.raw_examples) >= _EXAMPLES or self.looked > _LOOKS):
            return
        for number, value in zip(numbers, values, strict=True):
            if type(value) is kind and not (isinstance(value, str) and not value.strip()):
                if len(kept) < _KEPT_ROWS:
                    kept.append(number)
                if len(self.raw_examples) < _EXAMPLES and value not in self.raw_examples:
                    self.raw_examples.append(value)
                if len(kept) >= _KEPT_ROWS and len(self.raw_examples) >= _EXAMPLES:
                    break

    def _look_at_text(self, numbers: Sequence[int], values: Sequence[Any], types: Counter[type]) -> None:
        texts = [value for value in values if type(value) is str] if len(types) > 1 else list(values)
        if [*map(str.strip, texts)] != texts:
            for number, value in zip(numbers, values, strict=True):
                if type(value) is str and value and value != (bare := value.strip()):
                    if bare:
                        self.trimmed.add(number)
                    else:
                        self.blanks = True
                        types[str] -= 1
                        self.empty += 1
        whole = "".join(texts)
        if not whole.isascii() and not unicodedata.is_normalized("NFC", whole):
            for number, value in zip(numbers, values, strict=True):
                if type(value) is str and not unicodedata.is_normalized("NFC", value):
                    self.decomposed.add(number)

    def _look_at_floats(self, numbers: Sequence[int], values: Sequence[Any], types: Counter[type]) -> None:
        floats = [value for value in values if type(value) is float] if len(types) > 1 else list(values)
        if not all(map(math.isfinite, floats)):
            for number, value in zip(numbers, values, strict=True):
                if type(value) is float and not math.isfinite(value):
                    self.not_numbers.add(number)
                    types[float] -= 1
                    self.empty += 1
            floats = [value for value in floats if math.isfinite(value)]
        if not floats:
            return
        if not self.fractions and not all(map(float.is_integer, floats)):
            self.fractions = True
        largest = max(max(floats), -min(floats))
        if largest >= _MOST_DIGITS:
            self.fractions = True
        if largest > _EXACT:
            for number, value in zip(numbers, values, strict=True):
                if type(value) is float and value.is_integer() and _EXACT < abs(value) < _MOST_DIGITS:
                    self.rounded.append(number)

    def finish(self) -> None:
        """Decide what the column is, once all of it has been seen."""
        if not self.typed:
            return
        if self.kinds["number"] and not self.fractions:
            self._join("number", "integer")
        elif self.kinds["number"] and self.kinds["integer"]:
            self._join("integer", "number")
        if self.kinds["datetime"] and not self.clock:
            self._join("datetime", "date")
        elif self.kinds["datetime"] and self.kinds["date"]:
            self._join("date", "datetime")

    def _join(self, old: str, new: str) -> None:
        self.kinds[new] += self.kinds.pop(old)
        self.rows[new] = sorted({*self.rows.get(new, []), *self.rows.pop(old, [])})[:_KEPT_ROWS]

    @property
    def odd_kinds(self) -> dict[str, list[int]]:
        """The kinds that are not the commonest one's family, with their first rows."""
        families = Counter[str]()
        for kind, count in self.kinds.items():
            families[_FAMILIES.get(kind, kind)] += count
        if len(+families) < 2:
            return {}
        common = families.most_common(1)[0][0]
        return {kind: self.rows[kind] for kind in self.kinds if _FAMILIES.get(kind, kind) != common}

    @property
    def examples(self) -> tuple[str, ...]:
        """Some values, short, as they will be stored."""
        converted = self.convert([0] * len(self.raw_examples), self.raw_examples)
        return tuple(_short(value) for value in converted if value != "")

    def convert(self, numbers: Sequence[int], values: Sequence[Any]) -> Sequence[Any]:
        """A chunk of the column as JSON values, '' for what is empty."""
        kinds = self.kinds
        if self.typed and (kinds["integer"] or kinds["number"]) and (not self.fractions or self.exact):
            exact = self.exact
            if not (exact or self.rounded or self.not_numbers) and {*map(type, values)} == {float}:
                values = list(map(int, values))
            else:
                values = [
                    (exact.get(number) or _whole(value, self.fractions)) if type(value) is float else value
                    for number, value in zip(numbers, values, strict=True)
                ]
        elif self.typed and self.fractions:
            values = [float(value) if type(value) is int else value for value in values]
        if self.not_numbers:
            values = ["" if type(value) is float and not math.isfinite(value) else value for value in values]
        if any(kinds[kind] for kind in ("date", "datetime", "time", "duration")):
            values = [_iso(value, self.clock) for value in values]
        if self.trimmed or self.decomposed or self.blanks:
            values = [unicodedata.normalize("NFC", value.strip()) if type(value) is str else value for value in values]
        return values


def _whole(value: float, fractions: bool) -> int | float:
    if fractions or not value.is_integer():
        return value
    # 1.2345E+19 says 12345000000000000000; the nearest float is something else.
    return int(value) if abs(value) <= _EXACT else int(Decimal(repr(value)))


def _iso(value: Any, clock: bool) -> Any:
    convert: Callable[[Any], str] | None = _ISO.get(type(value))
    if convert is None:
        return value
    if type(value) is datetime and not clock:
        return value.date().isoformat()
    return f"{value.isoformat()}T00:00:00" if type(value) is date and clock else convert(value)


def _duration(value: timedelta) -> str:
    """`PT26H30M`: as ISO 8601 writes it."""
    seconds = round(value.total_seconds())
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    said = "".join(f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M"), (rest, "S")) if number)
    return f"{sign}PT{said or '0S'}"


_ISO: dict[type, Callable[[Any], str]] = {
    date: date.isoformat,
    datetime: datetime.isoformat,
    time: time.isoformat,
    timedelta: _duration,
}


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= _EXAMPLE_CHARS else f"{text[: _EXAMPLE_CHARS - 1]}…"
