"""CSV: one row an annotation, everything that it says in columns.

`record_id, data_unit_id, file_name, media, split, annotation_id, tool, class, x, y, width, height, rotation, points,
text, status, review, category, tags, created`, then an `attr.` column for each attribute that any annotation has, in
the order of their names.

- A box: x … rotation as they were labelled, not moved. A keypoint: x, y. Columns that don't apply are empty.
- `points` is JSON: `[[x, y], …]` of a polygon or a polyline; with holes a list of such rings; `[[x, y, visibility]]` of
  a keypoint; the runs of a mask; of anything else its geometry as an object with its `type`.
- `text`: of an entity what it holds, of a prompt or an answer its texts.
- `status` … `created` are the record's own, as far as the backend tells them: how far labelling and review are, its
  part, its tags with `; ` between them, when it was made. Who labelled it, no row says.

A spreadsheet runs what begins like a formula: text that begins with one of `= + - @`, a tab or a line break gets an
apostrophe before it. Numbers never do, nor ids that are nothing but letters, digits, `-` and `_`: they can't call
anything, and must stay what other tables join by. A cell of an attribute is its text or number, else JSON. Records
without annotations have no row.
"""

from __future__ import annotations

import csv
import math
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO, get_args

import msgspec

from synapse_skills.annotations.model import (
    Annotation,
    Box,
    Entity,
    Keypoint,
    Mask,
    Polygon,
    Polyline,
    Text,
    Tool,
    Whole,
)
from synapse_skills.formats.base import Format, Item, Loss, Option, Settings, Verified
from synapse_skills.formats.classes import UNLABELLED
from synapse_skills.formats.parts import pour
from synapse_skills.report import Problems

FILE = "annotations.csv"
COLUMNS = (
    "record_id", "data_unit_id", "file_name", "media", "split", "annotation_id", "tool", "class", "x", "y", "width",
    "height", "rotation", "points", "text", "status", "review", "category", "tags", "created",
)  # fmt: skip
AGAIN = "Export again; if it comes back, say so to whoever maintains this."

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]+")
_NUMBERS = ("x", "y", "width", "height", "rotation")
ID = COLUMNS.index("annotation_id")
_FIRST_NUMBER = COLUMNS.index("x")
_POINTS = COLUMNS.index("points")

Cell = str | int | float | None


class CsvTable:
    """See the module; the protocol is `base.Writer`. Rows wait in a file without a name until all columns are known."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.rows: dict[str, int] = dict.fromkeys(settings.splits or ("",), 0)
        self.notes: dict[str, int] = {}
        self._classes = settings.classes
        self._path = folder / FILE
        self._encoding = "utf-8-sig" if settings.options["bom"] == "yes" else "utf-8"
        self._attributes: set[str] = set()
        self._parts: list[tuple[Path, list[str]]] = []
        self._waiting = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  closed by `close`

    def write(self, item: Item) -> Sequence[Loss]:
        """Write a row for each annotation."""
        losses: list[Loss] = []
        record = item.record
        about: tuple[Cell, ...] = (record.id, record.data_unit, item.name, item.media.key, item.split)
        state: tuple[Cell, ...] = (
            record.status,
            record.review,
            record.category,
            "; ".join(record.tags),
            record.created,
        )
        for annotation in item.media.annotations:
            place = self._classes.place(annotation)
            if isinstance(place, str) and place != UNLABELLED:
                losses.append(Loss(annotation, place))
            elif annotation.geometry is None:
                losses.append(Loss(annotation, "no-geometry"))
            else:
                label = None if isinstance(place, str) else self._classes.names[place]
                row = (*about, annotation.id, annotation.tool, label, *_cells(annotation), *state)
                self._attributes.update(annotation.attributes)
                self._waiting.write(encoded([row, annotation.attributes]) + b"\n")
                self.rows[item.split] = self.rows.get(item.split, 0) + 1
        return losses

    def place(self, item: Item) -> None:
        """A table wants no originals."""

    def close(self) -> None:
        """Write the table."""
        names = sorted(self._attributes)
        with self._open(self._path, self._encoding) as stream:
            _table(stream).writerow([*COLUMNS, *(f"attr.{name}" for name in names)])
            self._write_rows(stream, names)
            for path, theirs in self._parts:
                stream.flush()
                if theirs == names:
                    pour(path, stream.buffer)
                else:
                    _spread(path, theirs, stream, names)

    def leave(self) -> list[str]:
        """End a part: its rows as they are if no other part has other attributes; which it has."""
        names = sorted(self._attributes)
        with self._open(self._path, "utf-8") as stream:
            self._write_rows(stream, names)
        return names

    def take(self, folder: Path, left: list[str]) -> None:
        """Keep the rows of a part until all columns are known."""
        path = self._path.with_name(f".{len(self._parts)}.part")
        (folder / FILE).rename(path)
        self._parts.append((path, left))
        self._attributes.update(left)

    @staticmethod
    def _open(path: Path, encoding: str) -> TextIO:
        return path.open("w", encoding=encoding, errors="backslashreplace", newline="")

    def _write_rows(self, stream: TextIO, names: Sequence[str]) -> None:
        table = _table(stream)
        with self._waiting as waiting:
            waiting.seek(0)
            for line in waiting:
                row, attributes = msgspec.json.decode(line)
                cells = [self._cell(value, is_id=at == ID) for at, value in enumerate(row)]
                cells += [self._cell(_plain(attributes[name])) if name in attributes else "" for name in names]
                table.writerow(cells)

    def _cell(self, value: Cell, *, is_id: bool = False) -> str:
        if value is None:
            return ""
        if not isinstance(value, str):
            return _number(value)
        if value.startswith(_DANGEROUS) and not (is_id and _PLAIN_ID.fullmatch(value)):
            self.notes["formula-escaped"] = self.notes.get("formula-escaped", 0) + 1
            return f"'{value}"
        return value


def _table(stream: TextIO) -> Any:
    return csv.writer(stream, lineterminator="\r\n")


def _spread(path: Path, theirs: Sequence[str], stream: TextIO, names: Sequence[str]) -> None:
    """Write the rows of a part whose attributes are fewer than those of the table."""
    csv.field_size_limit(2**31 - 1)
    places = {name: len(COLUMNS) + number for number, name in enumerate(theirs)}
    table = _table(stream)
    with path.open(encoding="utf-8", newline="") as rows:
        for row in csv.reader(rows):
            found = [row[places[name]] if name in places else "" for name in names]
            table.writerow([*row[: len(COLUMNS)], *found])
    path.unlink()


def encoded(value: Any) -> bytes:
    """JSON, also of what has none: NaN and the like and huge integers become text, halves of characters escapes."""
    try:
        return msgspec.json.encode(_finite(value))
    except UnicodeEncodeError:
        return msgspec.json.encode(_whole_characters(_finite(value)))


def _finite(value: Any) -> Any:
    if (isinstance(value, float) and not math.isfinite(value)) or (isinstance(value, int) and abs(value) >= 2**63):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def _whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_whole_characters(key): _whole_characters(each) for key, each in value.items()}
    return [_whole_characters(each) for each in value] if isinstance(value, list) else value


def _cells(annotation: Annotation) -> tuple[Cell, ...]:
    """x, y, width, height, rotation, points, text of an annotation."""
    geometry = annotation.geometry
    nothing = (None, None, None)
    match geometry:
        case Box():
            return geometry.x, geometry.y, geometry.width, geometry.height, geometry.rotation, None, None
        case Keypoint():
            points = [[geometry.x, geometry.y, geometry.visibility]]
            return geometry.x, geometry.y, *nothing, _json(points), None
        case Polygon():
            rings = [geometry.points, *geometry.holes] if geometry.holes else geometry.points
            return None, None, *nothing, _json(rings), None
        case Polyline():
            return None, None, *nothing, _json(geometry.points), None
        case Mask():
            return None, None, *nothing, _json(geometry.runs), None
        case Whole():
            return None, None, *nothing, None, None
        case Entity():
            return None, None, *nothing, _json(geometry), geometry.content
        case Text():
            return None, None, *nothing, _json(geometry), "\n".join(texts(geometry))
        case _:
            return None, None, *nothing, _json(geometry), None


def texts(text: Text) -> list[str]:
    """The parts of a prompt or an answer that are text."""
    values = (part.get("value") if isinstance(part, dict) else part for part in text.parts)
    return [value for value in values if isinstance(value, str)]


def _json(value: Any) -> str:
    return encoded(msgspec.to_builtins(value)).decode()


def _plain(value: Any) -> Cell:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if value is None or isinstance(value, str | int | float) else encoded(value).decode()


def _number(value: float) -> str:
    """A number as it is read back exactly, whole ones without a point."""
    text = repr(value)
    return text.removesuffix(".0")


def verify(folder: Path) -> Verified:
    """Every row has all columns, numbers are numbers, points are JSON, and no cell begins like a formula."""
    found, problems = Verified(), Problems()
    csv.field_size_limit(2**31 - 1)  # a mask may have a million runs
    try:
        with (folder / FILE).open(encoding="utf-8-sig", newline="") as stream:
            table = csv.reader(stream)
            header = next(table, [])
            if tuple(header[: len(COLUMNS)]) != COLUMNS or not all(
                n.startswith("attr.") for n in header[len(COLUMNS) :]
            ):
                problems.add("bad-header", ", ".join(header)[:200], fix=AGAIN)
            last: tuple[str, ...] = ()
            for number, row in enumerate(table, 2):
                if len(row) != len(header) or len(row) < len(COLUMNS):
                    problems.add("bad-row", f"row {number}: {len(row)} cells, not {len(header)}", fix=AGAIN)
                    continue
                medium, part = (row[0], row[2], row[3]), row[4]
                found.rows[part] = found.rows.get(part, 0) + 1
                found.items[part] = found.items.get(part, 0) + (medium != last)
                last = medium
                if wrong := _wrong(row):
                    problems.add("bad-row", f"row {number}: {wrong}", fix=AGAIN)
    except (OSError, ValueError, csv.Error) as error:
        problems.add("unreadable", f"{FILE}: {error}", fix=AGAIN)
    found.problems = problems.as_list()
    return found


def _wrong(row: list[str]) -> str | None:
    """What is wrong with a row; None if nothing."""
    try:
        int(row[0])
        numbers = {*range(_FIRST_NUMBER, _FIRST_NUMBER + len(_NUMBERS))}
        for number in numbers:
            if row[number]:
                float(row[number].removeprefix("'"))
        if row[_POINTS]:
            msgspec.json.decode(row[_POINTS])
    except (ValueError, msgspec.DecodeError) as error:
        return str(error)
    for number, cell in enumerate(row):
        is_plain = _is_number(cell) or (number == ID and _PLAIN_ID.fullmatch(cell))
        if cell.startswith(_DANGEROUS) and not is_plain:
            return f"cell {number + 1} begins like a formula"
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


FORMAT = Format(
    name="csv",
    title="CSV (one row an annotation)",
    media=(),
    holds=dict.fromkeys(get_args(Tool), "exact"),
    needs_size=False,
    options=(
        Option(
            "bom",
            ("yes", "no"),
            "Begin with a byte order mark: Excel reads Korean only so, and readers of tables leave it away.",
        ),
    ),
    write=CsvTable,
    verify=verify,
    splits=True,
)
