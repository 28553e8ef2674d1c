"""What is in the spool, by record: the order of the export, and what was decided about each record.

A SQLite file on a local disk, made anew from the spool whenever a run begins: it can be lost at any time.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from synapse_skills.job.export.spool import Kept, Page, Spool

CONVERTED = "converted"
"""The pages of rows that a plugin's own code has changed: they count for the run that made them, and no other."""

SCHEMA = """
CREATE TABLE row (
    key INTEGER PRIMARY KEY, segment TEXT, offset INTEGER, length INTEGER, crc INTEGER,
    id INTEGER, lacks INTEGER, version TEXT
);
CREATE INDEX row_lacks ON row (key) WHERE lacks;
CREATE TABLE unit (id INTEGER PRIMARY KEY, segment TEXT, offset INTEGER, length INTEGER, crc INTEGER);
CREATE TABLE glance (key INTEGER PRIMARY KEY, version TEXT);
CREATE TABLE record (
    key INTEGER PRIMARY KEY, data_unit INTEGER, rank INTEGER, moment TEXT, part TEXT, unit_meta INTEGER,
    left_out TEXT NOT NULL DEFAULT '', split TEXT NOT NULL DEFAULT '', quarantined TEXT NOT NULL DEFAULT ''
);
CREATE TABLE want (
    key INTEGER, media TEXT, spec TEXT, data_unit INTEGER, checksum TEXT, size INTEGER, PRIMARY KEY (key, media)
);
CREATE TABLE size (key INTEGER, media TEXT, width INTEGER, height INTEGER, PRIMARY KEY (key, media));
CREATE TABLE aside (key INTEGER PRIMARY KEY, detail TEXT);
CREATE TABLE name (key INTEGER, place INTEGER, name TEXT, PRIMARY KEY (key, place)) WITHOUT ROWID;
CREATE TABLE missing (key INTEGER, media TEXT, reason TEXT, PRIMARY KEY (key, media));
CREATE INDEX record_unit ON record (data_unit) WHERE data_unit IS NOT NULL;
"""


class Index:
    """The index of one spool.

    Args:
        path: of the SQLite file; what is there is replaced.
        spool: what it is of.
    """

    def __init__(self, path: Path, spool: Spool) -> None:
        remove_database(path)
        self.spool = spool
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.executescript(
            f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-4000; {SCHEMA}"
        )
        self.asked: dict[str, Any] | None = None
        self.begun: dict[str, Any] | None = None
        self.is_whole = False
        self.cursor: dict[str, str] | None = None
        self._covered: list[tuple[int, int]] = []
        with self.transaction():
            for page in spool.pages():
                if page.facts.get("t") != CONVERTED:
                    self._add(page)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Many changes as one, for speed."""
        self.database.execute("BEGIN")
        try:
            yield
        finally:
            self.database.execute("COMMIT")

    def add(self, page: Page) -> None:
        """Take note of a page that has been kept."""
        with self.transaction():
            self._add(page)

    def _add(self, page: Page) -> None:
        facts = page.facts
        kind = facts.get("t")
        if kind == "asked":
            self.asked = facts["asked"]
        elif kind == "begin":
            self.begun = facts
        elif kind == "whole":
            self.is_whole = True
        elif kind == "range":
            self._cover(facts["low"], facts["high"])
        elif kind == "page":
            self.cursor = facts["next"] or None
        elif kind == "sizes":
            self.database.executemany("INSERT OR REPLACE INTO size VALUES (?, ?, ?, ?)", facts["sizes"])
        elif kind == "gone":
            self.database.executemany("DELETE FROM row WHERE key = ?", [(key,) for key in facts["keys"]])
        if kind == "units":
            found = [(p.key, p.segment, p.offset, p.length, p.crc) for p in page.places]
            self.database.executemany("INSERT OR REPLACE INTO unit VALUES (?, ?, ?, ?, ?)", found)
            return
        self.database.executemany(
            "INSERT OR REPLACE INTO row VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            map(msgspec.structs.astuple, page.places),
        )

    def _cover(self, low: int, high: int) -> None:
        """Keep the covered ranges few: what touches becomes one."""
        apart = []
        for start, end in self._covered:
            if end < low or start > high:
                apart.append((start, end))
            else:
                low, high = min(low, start), max(high, end)
        self._covered = [*apart, (low, high)]

    # -- rows ------------------------------------------------------------------------------------------------------

    def covered(self) -> list[tuple[int, int]]:
        """Ranges of ids of which all rows are here."""
        return sorted(self._covered)

    def count(self) -> int:
        """Rows that are here."""
        return int(self.database.execute("SELECT COUNT(*) FROM row").fetchone()[0])

    def total_bytes(self) -> int:
        """How long they are together."""
        return int(self.database.execute("SELECT COALESCE(SUM(length), 0) FROM row").fetchone()[0])

    def lacking(self, what: int) -> list[int]:
        """Keys of rows that lack their payload, or any data (see the spool)."""
        query = "SELECT key FROM row WHERE lacks AND lacks = ? ORDER BY key"
        return [key for (key,) in self.database.execute(query, (what,))]

    def ids_of(self, keys: Iterable[int]) -> list[int]:
        """By which ids the backend gives these rows again."""
        found = []
        for key in keys:
            row = self.database.execute("SELECT id FROM row WHERE key = ?", (key,)).fetchone()
            found.append(int(row[0]) if row else key)
        return sorted(set(found))

    def row(self, key: int) -> bytes:
        """A row as it is kept.

        Raises:
            DamagedSpool: it is not what was written.
        """
        found = self.database.execute("SELECT segment, offset, length, crc FROM row WHERE key = ?", (key,)).fetchone()
        return self.spool.read(*found)

    def unit(self, identity: int) -> bytes | None:
        """A data unit as it is kept, if it was asked for."""
        found = self.database.execute("SELECT segment, offset, length, crc FROM unit WHERE id = ?", (identity,))
        place = found.fetchone()
        return self.spool.read(*place) if place else None

    # -- what a plugin's own code has made of them -----------------------------------------------------------------

    def keys(self) -> Iterator[int]:
        """The keys of all rows, newest first, as the backend lists them."""
        query, last = "SELECT key FROM row WHERE key <= ? ORDER BY key DESC LIMIT 500", 2**63 - 1
        while keys := [key for (key,) in self.database.execute(query, (last,))]:
            yield from keys
            last = keys[-1] - 1

    def convert(self, rows: Iterable[tuple[int, bytes]]) -> None:
        """Put rows in the place of those that were received, for this run."""
        kept = []
        for key, content in rows:
            query = "SELECT id, version FROM row WHERE key = ?"
            identity, version = self.database.execute(query, (key,)).fetchone()
            kept.append(Kept(key, content, identity, version=version))
        if kept:
            self.add(self.spool.append({"t": CONVERTED}, kept))

    def set_aside(self, key: int, detail: str) -> None:
        """Note that a record can't be exported, and why."""
        self.database.execute("INSERT OR REPLACE INTO aside VALUES (?, ?)", (key, detail))

    def why_aside(self, key: int) -> str:
        """Why a record was set aside by `set_aside`; '' if it wasn't."""
        found = self.database.execute("SELECT detail FROM aside WHERE key = ?", (key,)).fetchone()
        return str(found[0]) if found else ""

    # -- what has changed ------------------------------------------------------------------------------------------

    def begin_glance(self) -> None:
        """A light listing begins."""
        self.database.execute("DELETE FROM glance")

    def glance(self, seen: Iterable[tuple[int, str]]) -> None:
        """A page of it."""
        with self.transaction():
            self.database.executemany("INSERT OR REPLACE INTO glance VALUES (?, ?)", seen)

    def changed(self) -> list[int]:
        """Rows that the listing has and the spool has not, or not in this state."""
        query = """
            SELECT glance.key FROM glance LEFT JOIN row USING (key)
            WHERE row.key IS NULL OR (glance.version != '' AND glance.version != row.version) ORDER BY glance.key
        """
        return [key for (key,) in self.database.execute(query)]

    def restless(self) -> list[int]:
        """Rows that, fetched again, were not in the state of the listing."""
        here = "SELECT 1 FROM row WHERE key = ?"
        return [key for key in self.changed() if self.database.execute(here, (key,)).fetchone()]

    def gone(self) -> list[int]:
        """Rows that the spool has and the listing has not."""
        query = "SELECT row.key FROM row LEFT JOIN glance USING (key) WHERE glance.key IS NULL ORDER BY row.key"
        return [key for (key,) in self.database.execute(query)]

    def can_tell(self) -> bool:
        """Whether a changed row could be told from an unchanged one."""
        return not self.database.execute(
            "SELECT 1 FROM glance JOIN row USING (key) WHERE glance.version = '' OR row.version = '' LIMIT 1"
        ).fetchone()

    def close(self) -> None:
        """Close the file."""
        self.database.close()


def remove_database(path: Path) -> None:
    """Remove a SQLite file with what lies beside it."""
    for ending in ("", "-journal", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def reached(index: Index | None, originals: Path) -> str:
    """How far a run came that was ended, in words; '' if nobody can tell."""
    if index is None:
        return ""
    try:
        begun, here = (index.begun or {}).get("count"), index.count()
    except sqlite3.Error:
        return ""
    of = f" of {int(begun):,}" if begun else ""
    found = sum(path.is_file() for path in originals.rglob("*"))
    more = f", and {found:,} files of originals" if found else ""
    return f"{here:,}{of} records are fetched{more}; the output is not complete"
