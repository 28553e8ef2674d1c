"""A metadata table and the data units that there are → the frozen rows of the job.

Rows and names lie in temporary tables beside the inventory: a million rows and a million data units take no memory.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import batched, groupby
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from synapse_skills.errors import FindingError, printable
from synapse_skills.metadata import Table
from synapse_skills.report import Problems
from synapse_skills.sources import Inventory, write_sorted
from synapse_skills.units.meanings import translate
from synapse_skills.units.pattern_file import nearest
from synapse_skills.units.row_codes import FIXES, SEVERITIES
from synapse_skills.units.several_rows import SeveralRows, differing
from synapse_skills.units.unit_names import LABELS, TIERS, UNIT, Found, Several, UnitNames, key_text

_BATCH = 5_000
_REMEMBERED = 2_048
_EXAMPLES = 3
_SEVERAL = 200


@dataclass(frozen=True)
class KeyColumn:
    """How well a column of a table names the data units.

    Attributes:
        column: its name.
        rows: cells that are not empty.
        matched: of these, how many name exactly one data unit.
        units: how many different data units they name.
        how: what they call them: "folder name", "file stem", "file name", "path" or "data unit"; "" if nothing matched.
        zeros: most of them matched only once leading zeros were ignored.
        examples: the first three that matched, `1 → 001` where key and data unit differ; the first three cells if
            nothing matched.
    """

    column: str
    rows: int
    matched: int
    units: int
    how: str
    zeros: bool
    examples: tuple[str, ...]


@dataclass
class FrozenRows:
    """What became of a table.

    Attributes:
        rows: rows of the table.
        matched: of these, how many name exactly one data unit.
        units: data units that there are, but those without a file that a specification takes.
        without_row: of these, how many have no row.
        used: of these, how many have a row that counts.
        sha256: of the frozen rows.
        columns: the fields that they hold, in the table's order.
        how: what the key column calls a data unit (see `KeyColumn`).
        several: data units with several rows that say different things, the first of them.
        problems: all that is odd, by code (see `row_codes`), with row numbers.
    """

    rows: int = 0
    matched: int = 0
    units: int = 0
    without_row: int = 0
    used: int = 0
    sha256: str = ""
    columns: tuple[str, ...] = ()
    how: str = ""
    several: list[SeveralRows] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)


def key_columns(table: Table, inventory: Inventory) -> list[KeyColumn]:
    """How well each column names the data units, the best first; every row is looked at.

    Args:
        table: the metadata table.
        inventory: walked, and placed by a survey.
    """
    columns = [column.name for column in table.columns]
    with UnitNames(inventory) as names:
        best = _tallies(table, names, columns, UNIT)
        if not any(tally.is_complete(names.units) for tally in best):
            names.add_files()
            others = [_tallies(table, names, columns, tier) for tier in TIERS[1:]]
            best = [max(tallies, key=_Tally.rank) for tallies in zip(best, *others, strict=True)]
        best.sort(key=_Tally.rank, reverse=True)
        return [tally.shown(names) for tally in best]


def freeze_rows(
    table: Table,
    inventory: Inventory,
    key: str,
    out: Path,
    *,
    fields: Mapping[str, str | None] | None = None,
    values: Mapping[str, Mapping[str, Any]] | None = None,
    duplicates: Literal["first", "last", "none"] = "first",
    chosen: Collection[int] = (),
) -> FrozenRows:
    """Match the rows of a table with the data units, and write the frozen rows that the job joins.

    The kind of name that the key column holds (the data unit's key or folder, the stem, name or path of a file) is the
    one that most rows agree on: no row is matched by another kind than the others.

    Args:
        table: the metadata table.
        inventory: walked, and placed by a survey.
        key: the column that names the data unit.
        out: the frozen rows, `metadata.jsonl`; written whole or not at all.
        fields: column → the field's name, None drops it; columns that it does not name keep theirs. The key column is
            no field unless it is named here.
        values: field → value as the table has it → value as it is sent; None leaves the field out.
        duplicates: what a data unit gets that several rows with different values name: the first one's, the last
            one's, or nothing. Each is an error in the problems.
        chosen: rows that count instead, by their numbers.

    Raises:
        FindingError: `no-such-column`, or `metadata-field-twice`: two columns become one field.
    """
    renamed = _fields(table, key, fields or {})
    frozen = FrozenRows(columns=tuple(dict.fromkeys(renamed.values())))
    with UnitNames(inventory) as names, _Rows(inventory, values or {}) as rows:
        tally = rows.load(table, names, key, renamed, frozen)
        frozen.units = names.units
        if not tally.is_complete(names.units):
            names.add_files()
            tiers = [rows.look(names, tier, tally.column) for tier in TIERS[1:]]
            best = max([tally, *tiers], key=_Tally.rank)
            if best is not tally:
                rows.settle(names, best.tier)
                tally = best
        frozen.how = tally.how
        frozen.matched = tally.matched
        rows.tell_oddities(names, tally.tier, frozen)
        _, frozen.sha256 = write_sorted(out, rows.joined(names, frozen, duplicates, chosen))
        rows.tell_units_without_row(frozen)
    return frozen


class _Tally:
    """Counts how a column's cells match in one tier; a bit for each data unit that they name."""

    def __init__(self, column: str, position: int, tier: int) -> None:
        self.column = column
        self.tier = tier
        self.rows = self.matched = self.units = 0
        self._zeros = 0
        self._position = position
        self._bits = bytearray()
        self._labels: Counter[int] = Counter()
        self._matches: list[tuple[str, int]] = []
        self._cells: list[str] = []
        self._known: dict[str, Found | Several | None] = {}

    def add(self, names: UnitNames, text: str) -> Found | Several | None:
        """Look up one cell. What a column says again and again is remembered: sites, sexes, dates."""
        self.rows += 1
        if text in self._known:
            found = self._known[text]
        else:
            found = names.find(self.tier, text)
            if len(self._known) < _REMEMBERED:
                self._known[text] = found
        if isinstance(found, Found):
            self._count(names, text, found)
        elif len(self._cells) < _EXAMPLES:
            self._cells.append(text)
        return found

    def _count(self, names: UnitNames, text: str, found: Found) -> None:
        self.matched += 1
        self._zeros += found.how == "zeros"
        self._labels[found.label] += 1
        if not self._bits:
            self._bits = bytearray(names.last // 8 + 1)
        at, bit = found.unit >> 3, 1 << (found.unit & 7)
        if not self._bits[at] & bit:
            self._bits[at] |= bit
            self.units += 1
            if len(self._matches) < _EXAMPLES:
                self._matches.append((text, found.unit))

    @property
    def how(self) -> str:
        """What most of the cells call a data unit."""
        return LABELS[min(self._labels, key=lambda label: (-self._labels[label], label))] if self._labels else ""

    @property
    def zeros(self) -> bool:
        """Whether most of the cells matched only once leading zeros were ignored."""
        return 2 * self._zeros > self.matched

    def is_complete(self, units: int) -> bool:
        """Whether no other tier could match more."""
        return bool(self.matched) and (self.units >= units or self.matched == self.rows)

    def rank(self) -> tuple[int, ...]:
        """The greater, the better: many data units, no guess, few rows without one, first tier, first column."""
        return self.units, not self.zeros, self.matched - self.rows, -self.tier, -self._position

    def shown(self, names: UnitNames) -> KeyColumn:
        """The result for people and for the planner."""
        examples = []
        for text, unit in self._matches:
            key = names.key(unit)
            examples.append(printable(text if text == key else f"{text} → {key}"))
        examples = examples or [printable(text)[:60] for text in self._cells]
        return KeyColumn(self.column, self.rows, self.matched, self.units, self.how, self.zeros, tuple(examples))


def _tallies(table: Table, names: UnitNames, columns: Sequence[str], tier: int) -> list[_Tally]:
    tallies = {column: _Tally(column, position, tier) for position, column in enumerate(columns)}
    for row in table.rows():
        for column, value in row.values.items():
            text = key_text(value)
            if text and column in tallies:
                tallies[column].add(names, text)
    return list(tallies.values())


def _fields(table: Table, key: str, fields: Mapping[str, str | None]) -> dict[str, str]:
    """Column → field, for every column that becomes one."""
    columns = [column.name for column in table.columns]
    for name in (key, *fields):
        if name not in columns:
            raise FindingError(
                f"The table has no column {printable(name)!r}{nearest(name, columns)}",
                hint=f"It has {', '.join(printable(column) for column in columns[:20])}.",
                code="no-such-column",
            )
    renamed: dict[str, str] = {}
    for column in columns:
        field_name = fields.get(column, None if column == key else column)
        if field_name is None:
            continue
        if field_name in renamed.values():
            raise FindingError(
                f"Two columns of the table become the field {printable(field_name)!r}",
                hint="Give one of them another name, or leave it out.",
                code="metadata-field-twice",
            )
        renamed[column] = field_name
    return renamed


class _Rows:
    """The rows of a table in a temporary table, with the data unit that each names."""

    def __init__(self, inventory: Inventory, values: Mapping[str, Mapping[str, Any]]) -> None:
        self.inventory = inventory
        self.values = values
        self._columns: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._drop()
        columns = "(id INTEGER PRIMARY KEY, number INTEGER, key TEXT, meta TEXT, unit INTEGER)"
        with self.inventory.transaction() as connection:
            connection.execute(f"CREATE TEMP TABLE meta_row {columns}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop()

    def _drop(self) -> None:
        with self.inventory.transaction() as connection:
            connection.execute("DROP TABLE IF EXISTS temp.meta_row")

    def load(self, table: Table, names: UnitNames, key: str, renamed: Mapping[str, str], frozen: FrozenRows) -> _Tally:
        """Take in all rows, matched in the first tier."""
        tally = _Tally(key, 0, UNIT)
        self._columns = {name: column for column, name in renamed.items()}
        for rows in batched(table.rows(), _BATCH):
            kept: list[tuple[int, str, str, int | None]] = []
            for row in rows:
                frozen.rows += 1
                text = key_text(row.values.get(key, ""))
                if not text:
                    _add(frozen, "metadata-empty-key", f"row {row.number}")
                    continue
                found = tally.add(names, text)
                meta = {renamed[column]: value for column, value in row.values.items() if column in renamed}
                translate(meta, self.values)
                unit = found.unit if isinstance(found, Found) else None
                kept.append((row.number, text, json.dumps(meta, ensure_ascii=False), unit))
            with self.inventory.transaction() as connection:
                connection.executemany("INSERT INTO temp.meta_row (number, key, meta, unit) VALUES (?, ?, ?, ?)", kept)
        return tally

    def look(self, names: UnitNames, tier: int, column: str) -> _Tally:
        """How the rows match in another tier."""
        tally = _Tally(column, 0, tier)
        for page in self._pages():
            for _, _, text, _ in page:
                tally.add(names, text)
        return tally

    def settle(self, names: UnitNames, tier: int) -> None:
        """Match the rows in another tier."""
        for page in self._pages():
            found = [(names.find(tier, text), row) for row, _, text, _ in page]
            units = [(each.unit if isinstance(each, Found) else None, row) for each, row in found]
            with self.inventory.transaction() as connection:
                connection.executemany("UPDATE temp.meta_row SET unit = ? WHERE id = ?", units)

    def tell_oddities(self, names: UnitNames, tier: int, frozen: FrozenRows) -> None:
        """Rows that name no data unit, several, or one only but for its case or leading zeros."""
        for page in self._pages():
            for _, number, text, unit in page:
                found = names.find(tier, text)
                shown = f"row {number}: {printable(text)[:100]}"
                if found is None:
                    _add(frozen, "row-without-unit", shown)
                elif isinstance(found, Several):
                    keys = [printable(names.key(each)) for each in found.units]
                    _add(frozen, "metadata-ambiguous-key", f"{shown} is {' and '.join(keys)}")
                elif found.how != "exact":
                    _add(frozen, f"key-{found.how}", f"{shown} is {printable(names.key(unit))}")

    def joined(
        self, names: UnitNames, frozen: FrozenRows, duplicates: str, chosen: Collection[int]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """The frozen rows, one for each data unit, in the order of keys."""
        with self.inventory.transaction() as connection:
            connection.execute("CREATE INDEX temp.meta_unit ON meta_row (unit) WHERE unit IS NOT NULL")
        query = """SELECT r.unit, u.key, r.number, r.meta, u.is_real
                   FROM temp.meta_row r JOIN temp.unit_row u ON u.id = r.unit
                   WHERE r.unit IS NOT NULL ORDER BY r.unit, r.id"""
        # A cursor over temporary tables: it keeps nothing of the inventory itself from being written.
        for _, rows in groupby(self.inventory.connection.execute(query), key=itemgetter(0)):
            first: tuple[Any, ...] = ()
            some: list[tuple[int, str]] = []
            last: tuple[Any, ...] = ()
            named: tuple[Any, ...] = ()
            count, differ = 0, False
            for row in rows:
                first = first or row
                count += 1
                differ = differ or row[3] != first[3]
                if len(some) < _EXAMPLES:
                    some.append((row[2], row[3]))
                if row[2] in chosen:
                    named = row
                last = row
            key = first[1]
            if not differ:
                if count > 1:
                    more = f" and {count - len(some)} more" if count > len(some) else ""
                    shown = f"{printable(key)}: rows {', '.join(str(number) for number, _ in some)}{more}"
                    _add(frozen, "metadata-repeated-row", shown)
                used = first
            else:
                used = named or {"first": first, "last": last}.get(duplicates, ())
                several = SeveralRows(key, differing(some, self._columns), count, used[2] if used else None)
                _add(frozen, "metadata-duplicate-key", str(several))
                if len(frozen.several) < _SEVERAL:
                    frozen.several.append(several)
            if used:
                frozen.used += used[4]
                yield key, {"unit": key, "row": used[2], "meta": json.loads(used[3])}

    def tell_units_without_row(self, frozen: FrozenRows) -> None:
        """Data units that no row names."""
        rest = """FROM temp.unit_row u
                  WHERE is_real AND NOT EXISTS (SELECT 1 FROM temp.meta_row WHERE unit = u.id)"""
        frozen.without_row = self.inventory.rows(f"SELECT count(*) {rest}")[0][0]
        if frozen.without_row:
            first = self.inventory.rows(f"SELECT key {rest} ORDER BY id LIMIT ?", (_EXAMPLES,))
            for number, (key,) in enumerate(first):
                _add(frozen, "unit-without-row", printable(key), 0 if number else frozen.without_row)

    def _pages(self) -> Iterator[list[tuple[Any, ...]]]:
        last = 0
        query = "SELECT id, number, key, unit FROM temp.meta_row WHERE id > ? ORDER BY id LIMIT ?"
        while page := self.inventory.rows(query, (last, _BATCH)):
            yield page
            last = page[-1][0]


def _add(frozen: FrozenRows, code: str, example: str, count: int = 1) -> None:
    severity = SEVERITIES.get(code, "warning")
    frozen.problems.add(code, example, severity=severity, fix=FIXES[code], count=count)
