"""What may have millions of members: in memory while they are few, in a temporary file of SQLite's from then on.

SQLite makes that file where the system keeps such files, removes its name at once, and the file is gone with the
process, however that ends.
"""

from __future__ import annotations

import heapq
import itertools
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from operator import itemgetter
from pathlib import Path

MOST_HELD = 10_000
"""Members that are kept in memory."""
CACHE_KB = 2_000

Row = tuple[bytes, bytes]
"""A key and what goes with it."""


class Firsts:
    """The first value that each key was given.

    Args:
        most: members that are kept in memory.
    """

    def __init__(self, most: int = MOST_HELD) -> None:
        self._most = most
        self._held: dict[int | bytes, bytes] = {}
        self._database: sqlite3.Connection | None = None

    def claim(self, key: int | bytes, value: bytes = b"") -> bytes | None:
        """Give a key its value; None if it had none, or else the one that it was given first.

        Args:
            key: of at most 64 bits, if it is a number.
            value: what to give it.
        """
        if self._database is None:
            if key in self._held:
                return self._held[key]
            self._held[key] = value
            if len(self._held) >= self._most:
                self._move()
            return None
        made = self._database.execute("INSERT OR IGNORE INTO first VALUES (?, ?)", (key, value))
        return None if made.rowcount else self.of(key)

    def of(self, key: int | bytes) -> bytes | None:
        """The value of a key; None if it has none."""
        if self._database is None:
            return self._held.get(key)
        found = self._database.execute("SELECT value FROM first WHERE key = ?", (key,)).fetchone()
        return found[0] if found else None

    def _move(self) -> None:
        self._database = _temporary("CREATE TABLE first (key PRIMARY KEY, value) WITHOUT ROWID")
        self._database.executemany("INSERT INTO first VALUES (?, ?)", self._held.items())
        self._held = {}


def in_order(rows: Iterable[Row], most: int = MOST_HELD) -> Iterator[Row]:
    """Rows sorted by key and value, however many."""
    left = iter(rows)
    held = list(itertools.islice(left, most))
    if len(held) < most:
        held.sort()
        yield from held
        return
    with closing(_temporary("CREATE TABLE row (key, value)")) as database:
        database.executemany("INSERT INTO row VALUES (?, ?)", itertools.chain(held, left))
        held.clear()
        yield from database.execute("SELECT key, value FROM row ORDER BY key, value")


def side_by_side(*lists: Iterable[Row]) -> Iterator[tuple[bytes, list[list[bytes]]]]:
    """Lists of sorted rows, key by key: what each of them has under it."""
    merged = heapq.merge(*(_numbered(rows, number) for number, rows in enumerate(lists)))
    for key, rows in itertools.groupby(merged, itemgetter(0)):
        found: list[list[bytes]] = [[] for _ in lists]
        for _, number, value in rows:
            found[number].append(value)
        yield key, found


def _numbered(rows: Iterable[Row], number: int) -> Iterator[tuple[bytes, int, bytes]]:
    for key, value in rows:
        yield key, number, value


def remove_folder(folder: Path) -> None:
    """Remove a folder and all that is in it, a few thousand names at a time: `shutil.rmtree` lists a folder first.

    Raises:
        OSError: it is a link, or something in it can't be removed.
    """
    if not {os.open, os.unlink, os.rmdir} <= os.supports_dir_fd:
        # Windows: nothing there can be named relative to an open folder.
        shutil.rmtree(folder)
        return
    handle = os.open(folder, _FOLDER)
    try:
        _empty(handle)
    finally:
        os.close(handle)
    folder.rmdir()


_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


def _empty(folder: int) -> None:
    """Remove what is in an open folder: whoever puts a link in its place meanwhile leads nobody elsewhere."""
    while True:
        with os.scandir(folder) as entries:
            some = list(itertools.islice(entries, MOST_HELD))
        if not some:
            return
        for entry in some:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.name, dir_fd=folder)
                continue
            inner = os.open(entry.name, _FOLDER, dir_fd=folder)
            try:
                _empty(inner)
            finally:
                os.close(inner)
            os.rmdir(entry.name, dir_fd=folder)


def _temporary(schema: str) -> sqlite3.Connection:
    """A database in a file that has no name, filled in one transaction that never ends."""
    database = sqlite3.connect("", isolation_level=None)
    for line in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{CACHE_KB}", "temp_store=FILE"):
        database.execute(f"PRAGMA {line}")
    database.execute(schema)
    database.execute("BEGIN")
    return database
