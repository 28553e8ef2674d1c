"""A user's own table of files, data units and specifications: a workbook, CSV, TSV or JSON, in the encoding it has.

One row a file (columns file, unit and perhaps spec), or one row a data unit with a column for each specification.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synapse_skills import metadata
from synapse_skills.errors import printable
from synapse_skills.metadata.text import bad, encoding_of, first_bytes
from synapse_skills.metadata.workbook import is_workbook
from synapse_skills.plan import SpecPlan
from synapse_skills.units.looks import HEAD_BYTES

_COLUMNS = {
    "file": "file files path paths filepath filename relativepath relpath 파일 파일명 파일경로 경로",
    "unit": "unit units dataunit dataunitkey datasetkey unitkey groupkey key group 데이터유닛 유닛 키 그룹",
    "spec": "spec specs specname filespec filespecification specification filespecname 스펙 명세",
}
_NAMES = {name: column for column, names in _COLUMNS.items() for name in names.split()}
_DELIMITERS = ",\t;|"
MAX_CELL = 1 << 20
MAX_LIST_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class Cell:
    """A file that a row names.

    Attributes:
        line: of the row, from 1, as an editor counts.
        path: as written; '' if the cell is empty.
        unit: as written.
        spec: as written; '' if the table does not say it.
    """

    line: int
    path: str
    unit: str
    spec: str


def read_table(path: Path, specs: Sequence[SpecPlan]) -> Iterator[Cell]:
    """Read a table row by row.

    Raises:
        UsageError: `no-table`: there is no such file.
        FindingError: `bad-table`: no table, damaged, unknown encoding, or columns that are not there.
    """
    if is_workbook(first_bytes(path, HEAD_BYTES)):
        yield from _cells(path, _sheet(path), specs)
        return
    encoding = encoding_of(path)
    with path.open(encoding=encoding, newline="") as text:
        lines = _objects(path, text) if _is_json(path, text) else _rows(path, text)
        yield from _cells(path, lines, specs)


def _is_json(path: Path, text: io.TextIOWrapper) -> bool:
    return path.suffix.lower() in (".jsonl", ".ndjson", ".json") or _first(text) in ("{", "[")


def _first(text: io.TextIOWrapper) -> str:
    """The first character that is no space."""
    first = text.read(1000).lstrip()[:1]
    text.seek(0)
    return first


def _lines(text: io.TextIOWrapper) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text, 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError):
                yield number, None


def _listed(path: Path, text: io.TextIOWrapper) -> Iterator[tuple[int, Any]]:
    if path.stat().st_size > MAX_LIST_BYTES:
        raise bad(path, "is one list, which must be read whole", "Write one JSON object a line, without the list.")
    try:
        yield from enumerate(json.load(text), 1)
    except (ValueError, RecursionError) as error:
        raise bad(path, f"is not JSON: {error}", 'One object a line: {"file": …, "unit": …}.') from None


def _objects(path: Path, text: io.TextIOWrapper) -> Iterator[tuple[int, dict[str, str]]]:
    """JSON Lines, or a list of objects: (line or number, column → text)."""
    for number, row in _listed(path, text) if _first(text) == "[" else _lines(text):
        if not isinstance(row, dict):
            raise bad(path, f"line {number} is not a JSON object", 'One object a line: {"file": …, "unit": …}.')
        yield number, {str(key): "" if value is None else _text(value) for key, value in row.items()}


def _sheet(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """A workbook: (row, column → text)."""
    table = metadata.read_table(path)
    for problem in table.problems.as_list():
        if problem.code == "table-duplicate-column":
            raise bad(path, f"has two columns with one name: {problem.examples[0]}", "Rename one of them.")
    names = [column.name for column in table.columns]
    for row in table.rows():
        yield row.number, {name: _text(row.values.get(name, "")) for name in names}


def _rows(path: Path, text: io.TextIOWrapper) -> Iterator[tuple[int, dict[str, str]]]:
    """CSV: (line, column → text)."""
    header = ""
    while not header.strip():
        header = text.readline()
        if not header:
            raise bad(path, "is empty", "It needs a line with the names of its columns.")
    text.seek(0)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else max(_DELIMITERS, key=lambda mark: header.count(mark))
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader(text, delimiter=delimiter)
    names: list[str] = []
    before = 0
    try:
        for row in reader:
            line, before = before + 1, reader.line_num
            if not any(cell.strip() for cell in row):
                continue
            if not names:
                names = [name.strip() for name in row]
                twice = {name for name in names if name and names.count(name) > 1}
                if twice:
                    raise bad(path, f"has two columns called {', '.join(sorted(twice))}", "Rename one of them.")
                continue
            yield line, dict(zip(names, row, strict=False))
    except csv.Error as error:
        raise bad(path, f"line {reader.line_num} is no row: {error}", "Save it as CSV again.") from None


def _cells(path: Path, rows: Iterator[tuple[int, dict[str, str]]], specs: Sequence[SpecPlan]) -> Iterator[Cell]:
    known = {spec.name.casefold(): spec.name for spec in specs}
    layouts: dict[tuple[str, ...], tuple[str, str, str, dict[str, str]]] = {}
    for line, row in rows:
        names = tuple(row)
        if names not in layouts:
            if len(layouts) > 100:
                layouts.clear()
            layouts[names] = _layout(path, line, names, known)
        file, unit, spec, wide = layouts[names]
        if file:
            yield Cell(line, row[file].strip(), row[unit].strip(), row[spec].strip() if spec else "")
        for column, name in wide.items():
            # A data unit without this file leaves the cell empty.
            if row[column].strip():
                yield Cell(line, row[column].strip(), row[unit].strip(), name)


def _layout(path: Path, line: int, names: Sequence[str], known: dict[str, str]) -> tuple[str, str, str, dict[str, str]]:
    """Which column is what: file, unit, spec ('' where there is none), and columns that are specifications."""
    found: dict[str, str] = {}
    for name in names:
        column = _NAMES.get(_plain(name))
        if column and name.strip().casefold() not in known:
            found.setdefault(column, name)
    wide = {name: known[name.strip().casefold()] for name in names if name.strip().casefold() in known}
    if "unit" not in found or ("file" not in found and not wide):
        lacks = "the data unit (unit)" if "unit" not in found else "the file (file)"
        raise bad(
            path,
            f"has no column for {lacks}: line {line} has {', '.join(printable(name) for name in names[:10])}",
            "Call the columns file, unit and spec; or unit and one column for each specification.",
        )
    return found.get("file", ""), found["unit"], found.get("spec", ""), {} if "file" in found else wide


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFC", name)).casefold()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
