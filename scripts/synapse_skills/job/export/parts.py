"""Ranges of the records, each with all that the index says of it: what somebody else works on instead of us.

Contiguous in the order of the records, so that what comes of them is put together by reading it in their order.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from synapse_skills.formats.names import Names
from synapse_skills.job.export.index import SCHEMA, Index
from synapse_skills.job.export.spool import Spool

RECORDS = 2000
LEAST = 100
BYTES = 16 << 20
TABLES = ("row", "record", "size", "missing", "aside", "name")
"""Of these a part has the rows of its records; of `unit` those of its data units."""

Tables = dict[str, list[tuple[Any, ...]]]
"""Rows by table, as the index has them."""


class PartIndex(Index):
    """The index of a part, in memory."""

    def __init__(self, tables: Tables, spool: Spool) -> None:
        self.spool = spool
        self._covered = []
        self.database = sqlite3.connect(":memory:", isolation_level=None)
        self.database.executescript(SCHEMA)
        put(self, tables)


def put(index: Index, tables: Tables) -> None:
    """Put rows into an index; the newer one of two with one key is kept."""
    with index.transaction():
        for table, rows in tables.items():
            if rows:
                places = ", ".join("?" * len(rows[0]))
                index.database.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({places})", rows)  # noqa: S608


def rows_of(index: Index, *tables: str) -> Tables:
    """All rows of some tables of a part."""
    return {table: index.database.execute(f"SELECT * FROM {table}").fetchall() for table in tables}  # noqa: S608


def ranges(index: Index, crew: int) -> Iterator[tuple[int, int]]:
    """First and last keys of ranges: some for each one of a crew, none too long to hold, none too short to pay."""
    most = max(LEAST, min(RECORDS, index.count() // (4 * crew)))
    last = -1
    while rows := _lengths(index, last, most):
        low, total = rows[0][0], 0
        for key, length in rows:
            if total and total + length > BYTES:
                break
            last, total = key, total + length
        yield low, last


def _lengths(index: Index, after: int, most: int) -> list[tuple[int, int]]:
    query = "SELECT key, length FROM row WHERE key > ? ORDER BY key LIMIT ?"
    return index.database.execute(query, (after, most)).fetchall()


def parts(index: Index, crew: int) -> Iterator[Tables]:
    """The parts of an index."""
    for span in ranges(index, crew):
        tables: Tables = {}
        for table in TABLES:
            query = f"SELECT * FROM {table} WHERE key BETWEEN ? AND ?"  # noqa: S608
            tables[table] = index.database.execute(query, span).fetchall()
        query = "SELECT * FROM unit WHERE id IN (SELECT data_unit FROM record WHERE key BETWEEN ? AND ?)"
        yield tables | {"unit": index.database.execute(query, span).fetchall()}


def named(parts: Iterable[Tables], names: Names, *, needs_originals: bool) -> Iterator[Tables]:
    """The same parts, with names that no two media of the whole export have.

    Args:
        parts: of which every medium has the name that it would like to have.
        names: takes all names in the order of the records.
        needs_originals: records of which one is missing are set aside, and have no names.
    """
    for tables in parts:
        missing = {row[0] for row in tables["missing"]} if needs_originals else set()
        # key, …, left_out, split, quarantined
        exported = {row[0] for row in tables["record"] if not row[6] and not row[8]} - missing
        wanted = [row for row in tables["name"] if row[0] in exported]
        yield tables | {"name": [(key, place, names.claim(key, name)) for key, place, name in wanted]}
