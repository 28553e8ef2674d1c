"""A user's table and the files that there are → the placement table of the job.

The rows lie in a temporary table beside the inventory, so a million of them take no memory. A row may name its file by
the path relative to the source, by an absolute path, or by the bare name where only one file is called so.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import batched
from pathlib import Path, PurePosixPath

from synapse_skills.errors import printable
from synapse_skills.plan import SpecPlan
from synapse_skills.report import Problems
from synapse_skills.sources import File, Inventory, Source
from synapse_skills.units.mapping import Mapping
from synapse_skills.units.pattern_file import nearest
from synapse_skills.units.table import write_table
from synapse_skills.units.user_table import Cell, read_table

_BATCH = 5_000
_ROWS = "temp.table_row"
_FIND = f"SELECT id, unit, spec, bare FROM {_ROWS} WHERE path = ?"  # noqa: S608
_FIXES = {
    "table-incomplete-row": "Fill in the file and the data unit of these rows.",
    "table-unknown-spec": "Correct the names of the specifications in the table.",
    "table-duplicate": "The first of these rows counts: remove the others, a file belongs to one data unit.",
    "table-names-no-file": "Correct the paths in the table, or add the files. Paths are relative to the source.",
    "table-ambiguous-name": "Write the path and not only the name: several files are called so.",
    "table-no-spec": "Add a column `spec`: the extension does not tell which specification these files fill.",
    "files-in-no-row": "They stay at home. If they are data, add them to the table.",
}
_SEVERITIES = {"table-duplicate": "warning", "files-in-no-row": "warning"}


@dataclass
class Frozen:
    """What became of a table.

    Attributes:
        rows: files that it names.
        placed: of these, how many are there and were placed: the rows of the placement table.
        files: all files of the sources.
        problems: all that is wrong, by code, with counts and line numbers: `table-incomplete-row`,
            `table-unknown-spec`, `table-duplicate`, `table-names-no-file`, `table-ambiguous-name`, `table-no-spec`,
            `files-in-no-row`.
    """

    rows: int = 0
    placed: int = 0
    files: int = 0
    problems: Problems = field(default_factory=Problems)

    def add(self, code: str, example: str) -> None:
        """Count one more problem."""
        self.problems.add(code, example, severity=_SEVERITIES.get(code, "error"), fix=_FIXES[code])


def freeze_table(
    table: Path,
    inventory: Inventory,
    sources: Sequence[Source],
    specs: Sequence[SpecPlan],
    out: Path,
    *,
    mapping: Mapping | None = None,
) -> Frozen:
    """Match a user's table with the files, and write the placement table.

    Args:
        table: CSV, TSV or JSON Lines (see `units.user_table`).
        inventory: after `walk(sources)`.
        sources: the same sources.
        specs: the collection's specifications.
        out: the placement table; written whole or not at all.
        mapping: tells the specification of files whose row does not say it, by extension for example.

    Raises:
        UsageError: `no-table`. FindingError: `bad-table`.
    """
    frozen = Frozen()
    roots = [source.place() for source in sources]
    with inventory.transaction() as connection:
        connection.execute(f"DROP TABLE IF EXISTS {_ROWS}")
        connection.execute(
            f"CREATE TEMP TABLE {_ROWS.partition('.')[2]} "
            "(id INTEGER PRIMARY KEY, path TEXT UNIQUE, unit TEXT, spec TEXT, line INTEGER, bare INTEGER, "
            "files INTEGER)"
        )
    try:
        _read(table, inventory, roots, specs, frozen)
        _count_bare_names(inventory)
        frozen.placed = write_table(out, _placed(inventory, mapping, frozen))
        _name_rows_without_file(inventory, frozen)
    finally:
        with inventory.transaction() as connection:
            connection.execute(f"DROP TABLE IF EXISTS {_ROWS}")
    return frozen


def _read(table: Path, inventory: Inventory, roots: Sequence[Path], specs: Sequence[SpecPlan], frozen: Frozen) -> None:
    """The rows into the temporary table: the first one for each path."""
    known = {spec.name.casefold(): spec.name for spec in specs}
    insert = (
        f"INSERT INTO {_ROWS} (path, unit, spec, line, bare, files) VALUES (?, ?, ?, ?, ?, 0) "  # noqa: S608
        "ON CONFLICT (path) DO NOTHING"
    )
    for cells in batched(read_table(table, specs), _BATCH):
        with inventory.transaction() as connection:
            for cell in cells:
                frozen.rows += 1
                where = f"line {cell.line}: {printable(cell.path or cell.unit)}"
                path = _inside(cell.path, roots)
                if not path or not cell.unit.strip("/"):
                    frozen.add("table-incomplete-row", where)
                    continue
                spec = known.get(cell.spec.casefold(), "")
                if cell.spec and not spec:
                    near = nearest(cell.spec, known.values())
                    frozen.add("table-unknown-spec", f"line {cell.line}: {printable(cell.spec)}{near}")
                    continue
                unit = unicodedata.normalize("NFC", cell.unit).strip("/")
                done = connection.execute(insert, (path, unit, spec, cell.line, "/" not in path))
                if not done.rowcount:
                    _say_twice(inventory, path, cell, frozen)


def _say_twice(inventory: Inventory, path: str, cell: Cell, frozen: Frozen) -> None:
    first = inventory.rows(f"SELECT line, unit FROM {_ROWS} WHERE path = ?", (path,))  # noqa: S608
    line, unit = first[0]
    frozen.add(
        "table-duplicate",
        f"lines {line} and {cell.line}: {printable(cell.path)} is of {printable(unit)} and of {printable(cell.unit)}",
    )


def _inside(path: str, roots: Sequence[Path]) -> str:
    """A path as the table writes it → relative to a source and composed; '' if it is none."""
    plain = unicodedata.normalize("NFC", path.replace("\\", "/"))
    if plain.startswith("/") or (len(plain) > 2 and plain[1:3] == ":/"):
        for index, root in enumerate(roots):
            base = unicodedata.normalize("NFC", root.as_posix()).rstrip("/") + "/"
            if plain.startswith(base):
                # With its source: the same relative path may be in another one too.
                return f"{index}:/{PurePosixPath(plain.removeprefix(base))}"
        return plain
    inside = str(PurePosixPath(plain)) if plain else ""
    return "" if inside == "." else inside


def _count_bare_names(inventory: Inventory) -> None:
    """How many files have each bare name of the table, so that one that only one file has will do."""
    if not inventory.rows(f"SELECT 1 FROM {_ROWS} WHERE bare LIMIT 1"):  # noqa: S608
        return
    for files in batched(inventory.files(), _BATCH):
        names = [(file.name,) for file in files]
        with inventory.transaction() as connection:
            connection.executemany(f"UPDATE {_ROWS} SET files = files + 1 WHERE path = ? AND bare", names)  # noqa: S608


def _placed(inventory: Inventory, mapping: Mapping | None, frozen: Frozen) -> Iterator[tuple[int, str, str, str]]:
    """The rows of the placement table, in the order of the files. Notes in `bare` (2) which rows have found a file."""
    for files in batched(inventory.files(), _BATCH):
        used: list[tuple[int]] = []
        for file in files:
            frozen.files += 1
            row = _row_of(inventory, file)
            if row is None:
                frozen.add("files-in-no-row", printable(file.path))
                continue
            identity, unit, spec = row
            used.append((identity,))
            spec = spec or (mapping(file, file.key) if mapping is not None else None) or ""
            if spec:
                yield file.source, file.path, unit, spec
            else:
                frozen.add("table-no-spec", printable(file.path))
        with inventory.transaction() as connection:
            connection.executemany(f"UPDATE {_ROWS} SET bare = 2 WHERE id = ?", used)  # noqa: S608


def _row_of(inventory: Inventory, file: File) -> tuple[int, str, str] | None:
    connection = inventory.connection
    key = file.key
    for path in (f"{file.source}:/{key}", key):
        found = connection.execute(_FIND, (path,)).fetchone()
        if found is not None:
            return int(found[0]), str(found[1]), str(found[2])
    if "/" not in key:
        return None
    found = connection.execute(f"{_FIND} AND bare AND files = 1", (file.name,)).fetchone()
    return None if found is None else (int(found[0]), str(found[1]), str(found[2]))


def _name_rows_without_file(inventory: Inventory, frozen: Frozen) -> None:
    for several, code in ((False, "table-names-no-file"), (True, "table-ambiguous-name")):
        condition = f"bare < 2 AND {'files > 1' if several else 'files < 2'}"
        count = inventory.rows(f"SELECT count(*) FROM {_ROWS} WHERE {condition}")[0][0]  # noqa: S608
        rows = inventory.rows(f"SELECT line, path FROM {_ROWS} WHERE {condition} ORDER BY line LIMIT 3")  # noqa: S608
        for number, (line, path) in enumerate(rows):
            frozen.problems.add(
                code,
                f"line {line}: {printable(path.partition(':/')[2] if path[:1].isdigit() and ':/' in path else path)}",
                fix=_FIXES[code],
                count=0 if number else count,
            )
