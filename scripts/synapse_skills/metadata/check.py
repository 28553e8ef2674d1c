"""Is a table fit to be metadata: its columns, its keys, its values against a schema, all by row."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synapse_skills.errors import EXIT_FINDINGS, EXIT_OK, UsageError, printable
from synapse_skills.metadata.columns import Value
from synapse_skills.metadata.faults import Faults
from synapse_skills.metadata.header import as_name
from synapse_skills.metadata.notes import Notes, Rows
from synapse_skills.metadata.schema import MetaCheck
from synapse_skills.metadata.tables import Column, Row, SheetSeen, Table, read_table
from synapse_skills.report import Problem, Problems

_MOST_SHEETS = 20
_MOST_COLUMNS = 200
_MOST_CANDIDATES = 50
_SHOWN = 60


@dataclass(frozen=True)
class TableReport:
    """What was found in a table.

    Attributes:
        key: the column with the keys, if one was named.
        keys: columns that could be it: a value in every row, and none twice.
        checked: whether the values were held against a schema.
        unfit: rows that do not fit it.
    """

    path: str
    sheet: str | None
    sheets: tuple[SheetSeen, ...]
    header_row: int
    columns: tuple[Column, ...]
    rows: int
    key: str | None
    keys: tuple[str, ...]
    checked: bool
    unfit: int
    problems: list[Problem] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """1 if there is an error among the problems, or nothing to check."""
        wrong = any(problem.severity == "error" for problem in self.problems)
        return EXIT_FINDINGS if wrong or not self.rows else EXIT_OK

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON, bounded: at most 20 sheets and 200 columns are listed."""
        return {
            "path": printable(self.path),
            "sheet": self.sheet,
            "sheets": [
                {"name": s.name, "rows": s.rows, "columns": s.columns, "hidden": s.hidden, "has_header": s.has_header}
                for s in self.sheets[:_MOST_SHEETS]
            ],
            "header_row": self.header_row,
            "rows": self.rows,
            "column_count": len(self.columns),
            "columns": [
                {
                    "letter": c.letter,
                    "name": c.name,
                    "kinds": c.kinds,
                    "filled": self.rows - c.empty,
                    "empty": c.empty,
                    "examples": list(c.examples),
                }
                for c in self.columns[:_MOST_COLUMNS]
            ],
            "key": self.key,
            "possible_keys": list(self.keys),
            "schema_checked": self.checked,
            "rows_that_do_not_fit": self.unfit,
            "problems": [problem.model_dump() for problem in self.problems],
            "exit_code": self.exit_code,
        }


def check_file(
    path: Path, *, sheet: str | None = None, key: str | None = None, schema: Mapping[str, Any] | bool | None = None
) -> TableReport:
    """Read a table and check it: `read_table` and `check_table` in one."""
    return check_table(read_table(path, sheet=sheet), key=key, schema=schema)


def check_table(table: Table, *, key: str | None = None, schema: Mapping[str, Any] | bool | None = None) -> TableReport:
    """Check a table in one more pass over its rows.

    Args:
        table: as `read_table` gives it.
        key: the column that names the data units; its values are not held against the schema unless that knows them.
        schema: the collection's meta schema; values are coerced by it first, as an upload does.

    Raises:
        UsageError: `no-key-column`.
        BadSchema: the schema can't be used.
    """
    column = None if key is None else _key_column(table, key)
    candidates = _Candidates(table) if column is None else None
    keys = _Keys(column.name) if column else None
    check = MetaCheck(schema) if schema is not None else None
    faults = Faults()
    for row in table.rows():
        said = keys.add(row) if keys else ""
        if candidates:
            candidates.add(row)
        if check:
            where = f"{said} (row {row.number:,})" if said else f"row {row.number:,}"
            values = _without_key(row.values, column.name, schema) if column else row.values
            faults.add(where, check.complete(values, said or f"row {row.number}")[1])
    problems = table.problems.as_list() + (keys.problems() if keys else []) + faults.problems()
    order = {"error": 0, "warning": 1, "info": 2}
    return TableReport(
        path=str(table.path),
        sheet=table.sheet,
        sheets=table.sheets,
        header_row=table.header_row,
        columns=table.columns,
        rows=table.row_count,
        key=column.name if column else None,
        keys=candidates.found() if candidates else (),
        checked=check is not None,
        unfit=faults.units,
        problems=sorted(problems, key=lambda problem: order[problem.severity]),
    )


def key_text(value: Value | None) -> str:
    """A value as a key: composed, without spaces around it; '' if there is none. 7 and "7" are one key."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    return "" if value is None else unicodedata.normalize("NFC", str(value).strip())


def _key_column(table: Table, key: str) -> Column:
    wanted = as_name(key)
    for column in table.columns:
        if column.name == wanted:
            return column
    same = [c for c in table.columns if wanted.casefold() == c.name.casefold() or wanted.upper() == c.letter]
    if len(same) == 1:
        return same[0]
    listed = ", ".join(printable(column.name) for column in table.columns[:30])
    raise UsageError(
        f"The table {printable(table.path.name)} has no column {printable(key)}",
        hint=f"Its columns: {listed}.",
        code="no-key-column",
    )


def _without_key(values: dict[str, Value], key: str, schema: Mapping[str, Any] | bool | None) -> dict[str, Value]:
    """The values without the key, where a schema that is closed does not know it."""
    if not isinstance(schema, Mapping) or schema.get("additionalProperties") is not False:
        return values
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and key in properties:
        return values
    return {name: value for name, value in values.items() if name != key}


class _Keys:
    """Keys that are there twice or not at all."""

    def __init__(self, column: str) -> None:
        self._column = column
        self._first: dict[str, int] = {}
        self._twice: dict[str, Rows] = {}
        self._notes = Notes()

    def add(self, row: Row) -> str:
        """The key of a row."""
        key = key_text(row.values.get(self._column))
        if not key:
            self._notes.add("table-empty-key", "", [row.number])
            return ""
        first = self._first.setdefault(key, row.number)
        if first != row.number:
            if key not in self._twice:
                self._twice[key] = Rows()
                self._twice[key].add(first)
            self._twice[key].add(row.number)
        return key

    def problems(self) -> list[Problem]:
        """`table-duplicate-key` and `table-empty-key`."""
        found = Problems()
        for key, rows in self._twice.items():
            found.add(
                "table-duplicate-key",
                f"{printable(key[:_SHOWN])}: {rows}",
                fix="Keep one row for each data unit, or choose another key column with --key.",
            )
        self._notes.tell(found, "table-empty-key", "error", "Fill in the key, or delete the row.")
        return found.as_list()


class _Candidates:
    """Columns with a value in every row and none twice."""

    def __init__(self, table: Table) -> None:
        whole = [column.name for column in table.columns if not column.empty and table.row_count]
        self._seen: dict[str, set[str]] = {name: set() for name in whole[:_MOST_CANDIDATES]}

    def add(self, row: Row) -> None:
        """Drop the columns in which a value occurs again."""
        for name in list(self._seen):
            text, seen = key_text(row.values.get(name)), self._seen[name]
            if not text or text in seen:
                del self._seen[name]
            else:
                seen.add(text)

    def found(self) -> tuple[str, ...]:
        """Their names, in the table's order."""
        return tuple(self._seen)
