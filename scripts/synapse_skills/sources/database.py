"""The inventory's SQLite file: its schema, how it is opened, and what its errors mean to a user.

The file is a cache: whatever is wrong with it, a walk makes it anew. So a file of another version is thrown away and
a damaged one is moved aside, with a word about it; only what no new file could mend (disk full, no permission, in use
by another run) is an error.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from synapse_skills.errors import OutOfReach, printable

SCHEMA_VERSION = 1
APPLICATION_ID = 0x53796E31  # "Syn1": tells our files from other SQLite files.

# unit NULL: not placed yet · '': in no unit, spec says why · key: in this unit; spec '' if no specification takes it.
_SCHEMA = """
CREATE TABLE file (
    id INTEGER PRIMARY KEY,
    source INTEGER NOT NULL,
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    unit TEXT,
    spec TEXT
);
CREATE UNIQUE INDEX file_path ON file (source, path);
CREATE TABLE guard (key BLOB PRIMARY KEY, answer TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_LEAST_FREE = 64 << 10
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)


def open_database(path: Path) -> tuple[sqlite3.Connection, str]:
    """Open or make the file.

    Returns:
        The connection, in autocommit mode, and why the file had to be made anew ('' if it had not).

    Raises:
        OutOfReach: no such folder, no permission, disk full, in use.
    """
    with database_errors(path):
        made_anew = ""
        try:
            connection = _connect(path)
            try:
                made_anew = _unfit(connection)
            except sqlite3.DatabaseError as error:
                if not is_damaged(error):
                    raise
                made_anew = "it was damaged"
            if made_anew:
                connection.close()
        except sqlite3.DatabaseError as error:
            if not is_damaged(error):
                raise
            made_anew = "it was damaged"
        if made_anew:
            set_aside(path)
            connection = _connect(path)
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            connection.executescript(
                f"BEGIN;{_SCHEMA}PRAGMA application_id={APPLICATION_ID};PRAGMA user_version={SCHEMA_VERSION};COMMIT;"
            )
        return connection, made_anew


def _connect(path: Path) -> sqlite3.Connection:
    # One run reads and writes; another process that looks in waits for half a minute at most.
    connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    try:
        # WAL where the file system can (SQLite falls back by itself); either way a kill leaves the last commit.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        # Emptied every 64 MB rather than every 4: a walk waits for the disk a few times instead of many.
        connection.execute("PRAGMA wal_autocheckpoint=16384")
        # 4 MB: with 16 a walk of 200,000 files is no faster, and memory grows with their number until it is full.
        connection.execute("PRAGMA cache_size=-4000")
        connection.execute("PRAGMA temp_store=FILE")
    except BaseException:
        connection.close()
        raise
    return connection


def _unfit(connection: sqlite3.Connection) -> str:
    """Why an existing file can't be used; '' if it can, or is empty."""
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    if not tables:
        return ""
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        return "it was no inventory"
    if connection.execute("PRAGMA user_version").fetchone()[0] != SCHEMA_VERSION:
        return "it was of another version"
    return "" if {"file", "guard", "state"} <= tables else "it was damaged"


def set_aside(path: Path) -> None:
    """Move an unusable file away, so that nothing that may be somebody's is deleted."""
    for side in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + side).unlink(missing_ok=True)
    if path.exists():
        path.replace(path.with_name(f"{path.name}.unusable"))


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether the file itself is broken, so that making it anew helps."""
    return _primary(error) in _DAMAGED


def is_full(error: sqlite3.Error, path: Path) -> bool:
    """Whether it is for want of space; SQLite calls it an I/O error where it can't make a file beside its own."""
    code = _primary(error)
    if code not in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        return code == sqlite3.SQLITE_FULL or "disk is full" in str(error)
    try:
        return shutil.disk_usage(path.parent).free < _LEAST_FREE
    except OSError:
        return False


def _primary(error: sqlite3.Error) -> int:
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


@contextlib.contextmanager
def database_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite raises for the environment into errors that a user can act on."""
    try:
        yield
    except sqlite3.Error as error:
        where = printable(str(path))
        code = _primary(error)
        if is_full(error, path):
            raise OutOfReach(
                f"The disk is full: {where} can't grow",
                hint="Free some disk space and run it again: it goes on where it was.",
                code="disk-full",
            ) from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise OutOfReach(
                f"{where} is in use by another run",
                hint="Wait until the other run has ended, or stop it, and run this again.",
                code="inventory-in-use",
            ) from error
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR):
            raise OutOfReach(
                f"{where} can't be opened or written: {error}",
                hint="Check that its folder exists and may be written, and that the disk is well.",
                code="inventory-denied",
            ) from error
        if code in _DAMAGED:
            raise OutOfReach(
                f"{where} is damaged: {error}",
                hint="Run it again: the inventory is made anew by a walk.",
                code="inventory-damaged",
            ) from error
        raise
