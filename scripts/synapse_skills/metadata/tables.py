"""Tables of metadata: workbooks, CSV, TSV and JSON as rows of named values, with row numbers.

Nothing is guessed: a sheet's own types hold, CSV is text (the schema says what is a number), and everything that is odd
about the table is in `Table.problems`, with the rows where a person will find it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, repeat, zip_longest
from pathlib import Path
from typing import Any

from synapse_skills.errors import FindingError, UsageError, printable
from synapse_skills.metadata.cells import letter_of
from synapse_skills.metadata.columns import Profile, Value
from synapse_skills.metadata.delimited import DelimitedGrid
from synapse_skills.metadata.grid import Grid
from synapse_skills.metadata.header import HEAD_ROWS, Header, find_header, is_filled, unique_names
from synapse_skills.metadata.header import Row as RawRow
from synapse_skills.metadata.notes import Notes
from synapse_skills.metadata.objects import ObjectsGrid
from synapse_skills.metadata.oddities import tell
from synapse_skills.metadata.text import bad, first_bytes
from synapse_skills.metadata.workbook import SheetGrid, Workbook, is_workbook
from synapse_skills.report import Problems

WORKBOOKS = (".xlsx", ".xlsm", ".xls")
TEXTS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson")
STANDARD_NAMES = tuple(
    f"{stem}{suffix}"
    for stem in ("meta", "metadata")
    for suffix in (".xlsx", ".xlsm", ".xls", ".csv", ".tsv", ".jsonl", ".json")
)
_SMALL = 1_000_000
_HTML = (b"<html", b"<!doctype html", b"<table", b"<meta", b"<?xml")
_NO_HEADER = "Give each column a name, in one row above the values."


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        number: as the sheet or an editor shows it, from 1; for JSON that is no JSON Lines: its place in the list.
        values: column name → value; empty cells are absent.
    """

    number: int
    values: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: unique in the table.
        letter: as the sheet shows it, '' for JSON.
        kinds: how many values are text, integer, number, boolean, date, datetime, time, duration, list, object.
        empty: rows without a value.
        examples: up to three values.
    """

    name: str
    letter: str
    kinds: dict[str, int]
    empty: int
    examples: tuple[str, ...]

    @property
    def place(self) -> str:
        """`column C (age)`."""
        name = printable(self.name)
        return f"column {self.letter} ({name})" if self.letter else f"column {name}"


@dataclass(frozen=True, slots=True)
class SheetSeen:
    """A sheet of the workbook; `has_header` is None where nobody looked."""

    name: str
    rows: int
    columns: int
    hidden: bool
    has_header: bool | None


@dataclass
class Table:
    """A table that has been read through once.

    Attributes:
        sheet: None for what is no workbook.
        header_row: 0 for JSON.
        row_count: rows with at least one value below the header.
        problems: everything that is odd about it.
    """

    path: Path
    sheet: str | None
    sheets: tuple[SheetSeen, ...]
    header_row: int
    columns: tuple[Column, ...]
    row_count: int
    problems: Problems
    _grid: Grid = field(repr=False)
    _profiles: list[tuple[int, Profile]] = field(repr=False)

    def rows(self) -> Iterator[Row]:
        """The rows with a value, from the top; as often as wanted.

        Raises:
            FindingError: `bad-table`: the file has changed since it was looked at.
        """
        names = [column.name for column in self.columns]
        for numbers, chunk in self._grid.chunks():
            skip = sum(number <= self.header_row for number in numbers) if numbers[0] <= self.header_row else 0
            if skip:
                numbers, chunk = numbers[skip:], chunk[skip:]
                if not chunk:
                    continue
            wide = list(zip_longest(*chunk, fillvalue=""))
            blank = ("",) * len(chunk)
            columns = [
                profile.convert(numbers, wide[index] if index < len(wide) else blank)
                for index, profile in self._profiles
            ]
            if names and not self._has_blanks(columns):
                # Most chunks: rows are made without looking at their cells one by one.
                yield from map(Row, numbers, map(dict, map(zip, repeat(names), zip(*columns, strict=True))))
                continue
            for number, *cells in zip(numbers, *columns, strict=True):
                if values := {name: cell for name, cell in zip(names, cells, strict=True) if cell != ""}:
                    yield Row(number, values)

    def _has_blanks(self, columns: Sequence[Sequence[Any]]) -> bool:
        # A sheet is held as it was counted; a text is read again, and may have changed since.
        return any(
            (profile.empty or not profile.typed or not profile.kinds) and "" in column
            for column, (_, profile) in zip(columns, self._profiles, strict=True)
        )


def is_table(path: Path | str) -> bool:
    """Whether a name is that of a table which `read_table` reads."""
    return Path(path).suffix.lower() in WORKBOOKS + TEXTS


def read_table(path: Path | str, *, sheet: str | None = None) -> Table:
    """Read a table through once: its header, what its columns hold, and everything that is odd about it.

    Args:
        path: .xlsx, .xlsm, .xls, .csv, .tsv, .json or .jsonl; what it is, its content says.
        sheet: the first with a header row if None.

    Raises:
        UsageError: `no-table`: there is no such file; `no-such-sheet`.
        FindingError: `bad-table`: it is no table, is damaged, encrypted or too large, or has no header row.
        OutOfReach: `missing-library`: it is a workbook, and python-calamine is not installed.
    """
    path = Path(path)
    head = first_bytes(path, 1024)
    if not head:
        raise bad(path, "is empty", "Save it again, or name another file.")
    if is_workbook(head):
        return _workbook(path, sheet)
    _sheetless(path, sheet)
    bare = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if bare.startswith(_HTML):
        what = "a web page (HTML)" if b"<?xml" not in bare[:5] else "XML"
        raise bad(path, f"is {what}, whatever its name says", "Open it in Excel and save it as .xlsx.")
    if path.suffix.lower() in WORKBOOKS:
        raise bad(path, "is no workbook: it begins like text", "If it is CSV, call it .csv; else save it as .xlsx.")
    if path.suffix.lower() in (".json", ".jsonl", ".ndjson") or bare[:1] in (b"{", b"["):
        objects = ObjectsGrid(path)
        return _table(path, objects, None, (), _named(objects), objects=objects)
    grid = DelimitedGrid(path)
    header = find_header(_head(grid), typed=False)
    if header is None:
        raise bad(path, "has no row with the names of its columns", _NO_HEADER)
    return _table(path, grid, None, (), header)


def _sheetless(path: Path, sheet: str | None) -> None:
    if sheet is not None:
        raise UsageError(
            f"The table {printable(path.name)} is no workbook, so it has no sheet {printable(sheet)}",
            hint="Leave the sheet out.",
            code="no-such-sheet",
        )


def _named(objects: ObjectsGrid) -> Header:
    if not objects.names:
        raise bad(objects.path, "holds no object with a value", 'Write one JSON object a line: {"name": …, "age": …}.')
    return Header(0, tuple(objects.names), (), ())


def _head(grid: Grid) -> list[RawRow]:
    rows: list[RawRow] = []
    for numbers, chunk in grid.chunks():
        filled = ((n, row) for n, row in zip(numbers, chunk, strict=True) if any(map(is_filled, row)))
        rows += islice(filled, HEAD_ROWS - len(rows))
        if len(rows) >= HEAD_ROWS:
            break
    return rows


def _workbook(path: Path, wanted: str | None) -> Table:
    book = Workbook(path)
    chosen: tuple[int, Header] | None = None
    headers: dict[int, bool | None] = {}
    order = sorted(range(len(book.names)), key=lambda index: book.hidden[index])
    if wanted is not None:
        order = [book.index(wanted)]
    for index in order:
        if chosen and book.seen(index).cells > _SMALL:
            continue
        header = _sheet_header(book.grid(index))
        headers[index] = header is not None
        if header and chosen is None:
            chosen = index, header
        else:
            book.forget(index)
    if chosen is None:
        where = f"sheet {printable(wanted)}" if wanted is not None else "none of its sheets"
        raise bad(path, f"has no row with the names of its columns: {where}", _NO_HEADER)
    index, header = chosen
    sheets = tuple(_seen(book, each, headers.get(each)) for each in range(len(book.names)))
    return _table(path, book.grid(index), book.names[index], sheets, header)


def _seen(book: Workbook, index: int, has_header: bool | None) -> SheetSeen:
    try:
        high = book.seen(index).high
    except FindingError:
        # Another sheet than the one that was asked for may be as broken as it likes.
        high = [-1, -1]
    return SheetSeen(book.names[index], high[0] + 1, high[1] + 1, book.hidden[index], has_header)


def _sheet_header(grid: SheetGrid) -> Header | None:
    shifted = [(number, ("",) * grid.first_column + tuple(row)) for number, row in _head(grid)]
    return find_header(shifted, grid.merged)


def _table(
    path: Path,
    grid: Grid,
    sheet: str | None,
    sheets: tuple[SheetSeen, ...],
    header: Header,
    *,
    objects: ObjectsGrid | None = None,
) -> Table:
    typed = isinstance(grid, SheetGrid)
    shift = grid.first_column if isinstance(grid, SheetGrid) else 0
    notes = Notes()
    profiles, row_count = _profiled(grid, header, shift, notes, typed)
    names = list(header.names) + [""] * (shift + len(profiles) - len(header.names))
    kept = [index for index, name in enumerate(names) if name or _holds(profiles, index - shift)]
    unique, twice, unnamed = unique_names([names[index] for index in kept], kept)
    if isinstance(grid, SheetGrid) and any(profile.rounded for profile in profiles):
        for (row, column), digits in grid.exact().items():
            if 0 <= column - shift < len(profiles):
                profiles[column - shift].exact[row + 1] = digits
    chosen: list[tuple[int, Profile]] = []
    columns: list[Column] = []
    for index, name in zip(kept, unique, strict=True):
        profile = profiles[index - shift] if 0 <= index - shift < len(profiles) else Profile(typed, empty=row_count)
        profile.finish()
        letter = "" if objects is not None else letter_of(index)
        # Blank rows are no rows without a value.
        filled = sum(profile.kinds.values())
        columns.append(Column(name, letter, dict(+profile.kinds), row_count - filled, profile.examples))
        chosen.append((index - shift, profile))
    problems = tell(
        notes,
        header=header,
        columns=columns,
        profiles=[profile for _, profile in chosen],
        twice=[(columns[at].place, names[kept[at]]) for at in twice],
        unnamed=[columns[at].place for at in unnamed],
        sheet=sheet,
        others=[other for other in sheets if other.name != sheet],
        seen=grid.seen if isinstance(grid, SheetGrid) else None,
        keys_twice=objects.twice if objects is not None else [],
        row_count=row_count,
    )
    return Table(path, sheet, sheets, header.row, tuple(columns), row_count, problems, grid, chosen)


def _holds(profiles: list[Profile], index: int) -> bool:
    return 0 <= index < len(profiles) and any(profiles[index].kinds.values())


def _profiled(grid: Grid, header: Header, shift: int, notes: Notes, typed: bool) -> tuple[list[Profile], int]:
    """One profile a column, and how many rows hold a value."""
    profiles: list[Profile] = []
    named = len(header.names)
    row_count = 0
    for numbers, chunk in grid.chunks():
        below = [at for at, number in enumerate(numbers) if number > header.row] if numbers[0] <= header.row else None
        if below is not None:
            numbers, chunk = [numbers[at] for at in below], [chunk[at] for at in below]
            if not chunk:
                continue
        wide: list[tuple[Any, ...]] = list(zip_longest(*chunk, fillvalue=""))
        if isinstance(grid, DelimitedGrid) and len(wide) > named:
            # Most often a comma in a text without quotes: which cell belongs where, nobody knows.
            notes.add("table-wide", "", [n for n, row in zip(numbers, chunk, strict=True) if any(row[named:])])
            wide = wide[:named]
        while len(profiles) < len(wide):
            profiles.append(Profile(typed))
        filled = [profile.add(numbers, column) for profile, column in zip(profiles, wide, strict=False)]
        # A column without a gap settles it for all rows of the chunk; else the first cell does for nearly every row.
        row_count += (
            len(chunk)
            if len(chunk) in filled
            else sum(1 for row in chunk if (row and is_filled(row[0])) or any(map(is_filled, row)))
        )
    return profiles, row_count
