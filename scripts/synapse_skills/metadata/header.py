"""Which row of a table names its columns, found by evidence: titles, notes and blank rows may lie above it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from synapse_skills.metadata.cells import Ref, letter_of, name_of

HEAD_ROWS = 200
_CANDIDATES = 50
_COVERS = 0.6
_NAME_CHARS = 200
_NO_NAME = re.compile(r"[-+]?[\d.,:/\s-]+%?|[-+]?\d[\d.]*[eE][-+]?\d+")

Row = tuple[int, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Header:
    """The row with the names.

    Attributes:
        row: from 1, as the sheet shows it; the last one where it takes several.
        names: by column index, '' where a column has none.
        merged: cells that are merged in it or above it, for people: `B2:C2 (검사)`.
        above: rows with something in them above it.
    """

    row: int
    names: tuple[str, ...]
    merged: tuple[str, ...]
    above: tuple[int, ...]


def find_header(head: Sequence[Row], merged: Sequence[tuple[Ref, Ref]] = (), *, typed: bool = True) -> Header | None:
    """The header of a table by its first rows, None if no row can be one.

    It is the first row that has text in most of the columns which are in use; a later one behind a blank row wins if
    it names more of them. Merged cells may make it several rows high.

    Args:
        head: the first rows.
        merged: merged ranges, from 0.
        typed: False for CSV, where numbers are text too.
    """
    rows = [row for row in head if any(is_filled(cell) for cell in row[1])]
    if not rows:
        return None
    counts: dict[int, int] = {}
    for _, cells in rows:
        for column, cell in enumerate(cells):
            if is_filled(cell):
                counts[column] = counts.get(column, 0) + 1
    used = {column for column, count in counts.items() if count > 1} if len(rows) > 2 else set(counts)
    used = used or set(counts)
    top = _top(rows[:_CANDIDATES], used)
    if top is None:
        return None
    by_number = dict(rows)
    bottom = max([top] + [high[0] + 1 for low, high in merged if low[0] + 1 <= top <= high[0] + 1])
    # What stands behind the header of a CSV is a broken row; in a sheet it is a column without a name.
    width = max(counts) + 1 if typed else len(by_number[top])
    names = tuple(_name(by_number, merged, top, bottom, column) for column in range(width))
    said = tuple(
        f"{name_of(*low)}:{name_of(*high)}" + (f" ({title})" if (title := _title(by_number, low)) else "")
        for low, high in sorted(merged)
        if low[0] + 1 <= bottom and (high[1] > low[1] or high[0] + 1 >= top) and _matters(low, high, top, used)
    )
    return Header(bottom, names, said, tuple(number for number, _ in rows if number < top))


def _matters(low: Ref, high: Ref, top: int, used: set[int]) -> bool:
    """A title across the whole table is no header; one across some of its columns is."""
    over = sum(low[1] <= column <= high[1] for column in used)
    return high[0] + 1 >= top or (high[0] + 1 == top - 1 and over < len(used))


def _top(rows: Sequence[Row], used: set[int]) -> int | None:
    """The number of the row with the names."""
    for all_text in (True, False):
        best: tuple[int, float] | None = None
        before = 0
        for number, cells in rows:
            blank_before, before = number > before + 1, number
            covers = _covers(cells, used, all_text)
            if covers >= _COVERS and (best is None or (blank_before and covers > best[1])):
                best = number, covers
        if best:
            return best[0]
    return None


def _covers(cells: Sequence[Any], used: set[int], all_text: bool) -> float:
    """How much of the used columns a row names; 0 if it looks like data."""
    filled = {column: cell for column, cell in enumerate(cells) if is_filled(cell)}
    texts = [column for column, cell in filled.items() if isinstance(cell, str) and not _NO_NAME.fullmatch(cell)]
    if len(texts) < (len(filled) if all_text else max(1, len(filled) / 2)):
        return 0.0
    return len(used & set(filled)) / len(used)


def _name(rows: dict[int, Sequence[Any]], merged: Sequence[tuple[Ref, Ref]], top: int, bottom: int, column: int) -> str:
    """The lowest of the cells that name a column; else what the merged cell over it says."""
    for number in range(bottom, top - 1, -1):
        if name := as_name(_at(rows, number, column)):
            return name
    for low, high in merged:
        if low[0] + 1 <= bottom and high[0] + 1 >= top and low[1] <= column <= high[1]:
            return as_name(_at(rows, low[0] + 1, low[1]))
    return ""


def _title(rows: dict[int, Sequence[Any]], low: Ref) -> str:
    return as_name(_at(rows, low[0] + 1, low[1]))[:40]


def _at(rows: dict[int, Sequence[Any]], number: int, column: int) -> Any:
    cells = rows.get(number, ())
    return cells[column] if column < len(cells) else ""


def is_filled(cell: Any) -> bool:
    """Whether there is anything in a cell."""
    return bool(cell.strip()) if isinstance(cell, str) else cell is not None


def as_name(cell: Any) -> str:
    """A cell as a column's name: one line, composed, without spaces around it."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return unicodedata.normalize("NFC", " ".join(str(cell).split()))[:_NAME_CHARS]


def unique_names(names: Sequence[str], places: Sequence[int]) -> tuple[list[str], list[int], list[int]]:
    """Names that differ, and which columns had another's and which had none.

    The second `age` becomes `age_2`, a column without a name `column_D`: no value is lost because of it.
    """
    taken = set(names)
    seen = set[str]()
    found, twice, unnamed = list[str](), list[int](), list[int]()
    for index, name in enumerate(names):
        new = name
        if not name:
            unnamed.append(index)
            new = f"column_{letter_of(places[index])}"
        elif name in seen:
            twice.append(index)
        number = 2
        base = new
        while new in seen or (new != name and new in taken):
            new, number = f"{base}_{number}", number + 1
        seen.add(new)
        found.append(new)
    return found, twice, unnamed
