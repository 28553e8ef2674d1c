"""The ledger: where every data unit stands. A cache over the journal, always on a local disk.

Live and on replay the same `apply` turns a journal record into rows, so a lost ledger is rebuilt by reading the
journal again. What does no harm when it is forgotten (confirmed files, the checks' results) is kept here only.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synapse_skills.job.upload.clock import age_of
from synapse_skills.job.upload.journal import Journal, Record
from synapse_skills.job.upload.schema import SCHEMA
from synapse_skills.sources import File

LEDGER_VERSION = 1
UNKNOWN_TASK = "unknown"  # stands for the batch of a task that may have been made
NOTHING = "-"  # the print of a part that a server row leaves empty


@dataclass(frozen=True)
class Batch:
    """A create request whose outcome is not settled; `up` is when it was last heard of, as `clock` marks it."""

    id: str
    kind: str
    floor: int
    up: str | None


@dataclass(frozen=True)
class Standing:
    """Where one data unit stands: new units have state `ready`."""

    state: str
    basis: str | None = None
    server_id: int | None = None
    matched: bool = False
    reason: str | None = None
    run: int = 0


NEW = Standing("ready")


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file is not a proper database (not that it can't be reached or written)."""
    if isinstance(error, sqlite3.OperationalError):
        return "malformed" in str(error)
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.ProgrammingError)


def _up(record: Record) -> str:
    """When it was written, by the clock of its machine; earlier versions did not say."""
    return str(record.get("up") or "")


def remove_database(path: Path) -> None:
    """Remove an SQLite file and what lies beside it."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


class Ledger:
    """The tables of one job in its SQLite file.

    Args:
        path: the SQLite file; one that can't be used is made anew.
        journal: replayed where the ledger lags behind.
    """

    def __init__(self, path: Path, journal: Journal) -> None:
        self.journal = journal
        self.run = 0
        self._failed: sqlite3.Error | None = None
        self.current_run = 0  # 0 until this run has opened its segment: a dry run never does
        try:
            self._open(path)
        except sqlite3.DatabaseError as error:
            if not is_damaged(error):
                raise
            # Half written or from something else: the journal has all that matters.
            remove_database(path)
            self._open(path)
        self.run = int(self.info("run") or 0)

    def _open(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode=WAL")
        # The journal is what must survive; this file only must not be torn.
        self.db.execute("PRAGMA synchronous=NORMAL")
        self.db.executescript(SCHEMA)
        if "target" not in {row[1] for row in self.db.execute("PRAGMA table_info(confirmed)")}:
            # From a version that converted nothing: all that it sent, it sent as it was.
            self.db.execute("ALTER TABLE confirmed ADD COLUMN target TEXT NOT NULL DEFAULT ''")
        if "up" not in {row[1] for row in self.db.execute("PRAGMA table_info(batch)")}:
            self.db.execute("ALTER TABLE batch ADD COLUMN up TEXT")
        if self.info("version") not in (None, LEDGER_VERSION):
            self._drop()
        self.set_info("version", LEDGER_VERSION)
        self.commit()

    def close(self) -> None:
        """Commit and close."""
        try:
            self.commit()
        finally:
            self.db.close()

    def write(self, statement: str, values: Any = ()) -> None:
        """Change something, in the transaction that the next `commit` ends."""
        with self._whole():
            self.db.execute(statement, values)

    def write_many(self, statement: str, rows: Iterable[Any]) -> None:
        """`write` for many rows."""
        with self._whole():
            self.db.executemany(statement, rows)

    @contextlib.contextmanager
    def _whole(self) -> Iterator[None]:
        """Nothing is written after a write that failed.

        On a full disk SQLite takes back the whole transaction, records that were applied before with it. To go on with
        the next record, and to note that the journal is read up to there, would be to forget those for ever.
        """
        if self._failed is not None:
            raise self._failed
        try:
            if not self.db.in_transaction:
                self.db.execute("BEGIN")
            yield
        except BaseException as error:
            failed = sqlite3.OperationalError("the ledger takes nothing more after a write that was broken off")
            self._failed = error if isinstance(error, sqlite3.Error) else failed
            with contextlib.suppress(sqlite3.Error):
                self.db.rollback()
            raise

    def _drop(self) -> None:
        for table in ("unit", "batch", "confirmed", "server_unit", "ledger_info"):
            self.write(f"DELETE FROM {table}")  # noqa: S608 - names from the line above

    def forget(self) -> None:
        """Forget everything (`--fresh`, or the journal is gone) but when the last unanswered create was sent."""
        waiting = [self.info("open_since"), *(batch.up or "" for batch in self.unsettled())]
        open_since = min((str(up) for up in waiting if up not in (None, 0)), key=age_of, default=None)
        self._drop()
        self.set_info("version", LEDGER_VERSION)
        self.set_info("open_since", open_since)
        self.run = 0
        self.commit()

    def commit(self) -> None:
        """Make what was applied durable in the cache."""
        if self._failed is not None:
            raise self._failed
        if self.db.in_transaction:
            with self._whole():
                self.db.commit()

    def info(self, key: str) -> Any:
        """A remembered value, None if there is none."""
        row = self.db.execute("SELECT value FROM ledger_info WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def set_info(self, key: str, value: Any) -> None:
        """Remember a value."""
        self.write("INSERT OR REPLACE INTO ledger_info VALUES (?, ?)", (key, value))

    # -- journal → rows ------------------------------------------------------------------------------------------

    def catch_up(self) -> int:
        """Replay what the journal has and the ledger lacks; returns how many records that were."""
        marks = {
            str(key)[5:]: int(value)
            for key, value in self.db.execute("SELECT key, value FROM ledger_info WHERE key LIKE 'mark:%'")
        }
        if marks.keys() - set(self.journal.segments()):
            # The journal is the truth: a ledger that remembers segments which are gone knows things that never were.
            self.forget()
            marks = {}
        count, newest = 0, max(marks, default="")
        for name, offset, record in self.journal.read(marks):
            if name < newest:
                # A record of an earlier run that shows only now, as a slow storage may have it: what came after it is
                # applied already, and the order is what matters.
                self.forget()
                return self.catch_up()
            self.apply(record)
            self.set_info(f"mark:{name}", offset)
            count += 1
        self.commit()
        return count

    def start_run(self, header: Record) -> None:
        """Open this run's journal segment."""
        name, offset = self.journal.open(header)
        self.apply(header)
        self.current_run = self.run
        self.set_info(f"mark:{name}", offset)
        self.commit()

    def record(self, record: Record) -> None:
        """Make a record durable in the journal, then apply it."""
        self.journal.append(record)
        self.apply(record)
        name, offset = self.journal.position
        self.set_info(f"mark:{name}", offset)

    def apply(self, record: Record) -> None:
        """Turn one journal record into rows."""
        kind = record["t"]
        if kind == "job":
            self.run += 1
            self.set_info("run", self.run)
        elif kind == "lookup":
            self.set_info("echo", ",".join(record["echo"]))
            self.set_info("rising", int(record["rising"]))
        elif kind == "intent":
            self._intent(record)
        elif kind == "unanswered":
            self.write("UPDATE batch SET sent_at=?, up=? WHERE id=?", (record["at"], _up(record), record["batch"]))
        elif kind == "answer":
            self._answer(record["batch"], record["ids"])
        elif kind == "refused":
            self._back_to_ready(record["batch"])
        elif kind == "settled":
            self._settled(record)
        elif kind == "failed":
            self.write(
                "INSERT INTO unit(key, state, reason, basis, run) VALUES (?, 'failed', ?, ?, ?) "
                "ON CONFLICT(key) DO UPDATE SET state='failed', reason=excluded.reason, basis=excluded.basis, "
                "run=excluded.run, batch=NULL",
                (record["unit"], record["reason"], record.get("basis"), self.run),
            )
        elif kind == "listed":
            self.set_info("listed", record["newest"])
        elif kind == "matched":
            self.write_many("UPDATE server_unit SET taken=1 WHERE id=?", [(row[1],) for row in record["units"]])
            self.write_many(
                "INSERT INTO unit(key, state, server_id, matched, basis, run) VALUES (?, 'created', ?, 1, ?, ?) "
                "ON CONFLICT(key) DO UPDATE SET state='created', server_id=excluded.server_id, matched=1, "
                "basis=excluded.basis, run=excluded.run, batch=NULL",
                [(key, identity, basis, self.run) for key, identity, basis in record["units"]],
            )
        elif kind == "retry":
            self.write_many(
                "UPDATE unit SET state='ready', batch=NULL, reason=NULL WHERE key=? AND state IN ('failed', 'unknown')",
                [(key,) for key in record["units"]],
            )
            if record.get("tasks"):
                self.write("UPDATE unit SET task_batch=NULL WHERE task_batch=?", (UNKNOWN_TASK,))

    def _intent(self, record: Record) -> None:
        units = record["units"]
        self.write(
            "INSERT OR REPLACE INTO batch VALUES (?, ?, ?, ?, 'sent', ?, ?)",
            (record["batch"], record["kind"], record["floor"], record["at"], len(units), _up(record)),
        )
        if record["kind"] == "task":
            self.write_many("UPDATE unit SET task_batch=? WHERE key=?", [(record["batch"], key) for key in units])
            return
        self.write_many(
            "INSERT INTO unit(key, state, prints, basis, batch, run) VALUES (?, 'sent', ?, ?, ?, ?) "
            "ON CONFLICT(key) DO UPDATE SET state='sent', prints=excluded.prints, basis=excluded.basis, "
            "batch=excluded.batch, run=excluded.run, reason=NULL",
            [(key, prints, basis, record["batch"], self.run) for key, prints, basis in units],
        )

    def _answer(self, batch: str, ids: list[list[Any]]) -> None:
        kind = self._kind(batch)
        if kind == "task":
            self.write_many(
                "UPDATE unit SET task_id=?, task_batch=NULL WHERE key=?", [(identity, key) for key, identity in ids]
            )
        else:
            self.write_many(
                "UPDATE unit SET state='created', server_id=?, batch=NULL WHERE key=?",
                [(identity, key) for key, identity in ids],
            )
        self.write("UPDATE batch SET state='answered' WHERE id=?", (batch,))

    def _back_to_ready(self, batch: str) -> None:
        if self._kind(batch) == "task":
            self.write("UPDATE unit SET task_batch=NULL WHERE task_batch=?", (batch,))
        else:
            self.write("UPDATE unit SET state='ready', batch=NULL WHERE batch=?", (batch,))
        self.write("UPDATE batch SET state='refused' WHERE id=?", (batch,))

    def _settled(self, record: Record) -> None:
        for key, identity in record["created"]:
            self.write("UPDATE unit SET state='created', server_id=?, batch=NULL WHERE key=?", (identity, key))
        for key, identity in record.get("tasks", []):
            self.write("UPDATE unit SET task_id=?, task_batch=NULL WHERE key=?", (identity, key))
        for key in record.get("doubtful", []):
            self.write("UPDATE unit SET state='unknown', batch=NULL WHERE key=? AND state='sent'", (key,))
        left = "unknown" if record["unknown"] else "ready"
        for batch in record["batches"]:
            self.write("UPDATE unit SET state=?, batch=NULL WHERE batch=? AND state='sent'", (left, batch))
            left_task = UNKNOWN_TASK if record["unknown"] else None
            self.write("UPDATE unit SET task_batch=? WHERE task_batch=?", (left_task, batch))
            self.write("UPDATE batch SET state='settled' WHERE id=?", (batch,))

    def _kind(self, batch: str) -> str:
        row = self.db.execute("SELECT kind FROM batch WHERE id=?", (batch,)).fetchone()
        return str(row[0]) if row else "unit"

    # -- questions -----------------------------------------------------------------------------------------------

    def standing(self, key: str) -> Standing:
        """Where a data unit stands."""
        row = self.db.execute(
            "SELECT state, basis, server_id, matched, reason, run FROM unit WHERE key=?", (key,)
        ).fetchone()
        return Standing(row[0], row[1], row[2], bool(row[3]), row[4], row[5]) if row else NEW

    def unsettled(self) -> list[Batch]:
        """Creates that were meant or sent and never answered, oldest first."""
        rows = self.db.execute("SELECT id, kind, floor, up FROM batch WHERE state='sent' ORDER BY sent_at, id")
        return [Batch(*row) for row in rows]

    def units_of(self, batch: str) -> list[tuple[str, str]]:
        """Keys and prints of a batch's data units, in the order of their keys."""
        return list(self.db.execute("SELECT key, prints FROM unit WHERE batch=? ORDER BY key", (batch,)))

    def tasks_of(self, batch: str) -> list[tuple[str, int]]:
        """Keys and server ids of the data units that a task batch was made for."""
        return list(self.db.execute("SELECT key, server_id FROM unit WHERE task_batch=? ORDER BY key", (batch,)))

    def tried_now_and_ready(self, keys: Iterable[str]) -> list[str]:
        """Those that this run has tried to create, and that are known not to be there."""
        query = "SELECT 1 FROM unit WHERE key=? AND state='ready' AND run=?"
        return [key for key in keys if self.db.execute(query, (key, self.current_run)).fetchone()]

    def owns(self, server_id: int) -> bool:
        """Whether a data unit on the server is already known to be one of ours."""
        return bool(self.db.execute("SELECT 1 FROM unit WHERE server_id=?", (server_id,)).fetchone())

    def is_individual(self, meta_print: str) -> bool:
        """Whether at most one data unit was ever sent with this metadata."""
        query = "SELECT count(*) FROM (SELECT 1 FROM unit WHERE prints LIKE ? LIMIT 2)"
        return int(self.db.execute(query, (f"%.{meta_print}.%",)).fetchone()[0]) < 2

    def highest_id(self) -> int:
        """The highest server id that is known to be ours, 0 if none is."""
        row = self.db.execute("SELECT max(server_id) FROM unit").fetchone()
        return int(row[0] or 0)

    def keys_in(self, *states: str) -> list[str]:
        """Keys in the given states."""
        marks = ",".join("?" * len(states))
        return [row[0] for row in self.db.execute(f"SELECT key FROM unit WHERE state IN ({marks})", states)]  # noqa: S608

    def has_unknown_tasks(self) -> bool:
        """Whether a task may have been made that can't be looked up."""
        return bool(self.db.execute("SELECT 1 FROM unit WHERE task_batch=? LIMIT 1", (UNKNOWN_TASK,)).fetchone())

    def without_task(self) -> Iterator[tuple[str, int, bool]]:
        """Created data units that have no task and none under way: key, server id, matched."""
        rows = self.db.execute(
            "SELECT key, server_id, matched FROM unit WHERE state='created' AND task_id IS NULL AND task_batch IS NULL "
            "ORDER BY key"
        )
        yield from ((row[0], row[1], bool(row[2])) for row in rows.fetchall())

    # -- files ---------------------------------------------------------------------------------------------------

    def checksum_of(self, source: int, path: str, size: int, mtime_ns: int, target: str = "") -> str | None:
        """The checksum that the backend confirmed for exactly this file, None if it was not sent or has changed.

        Args:
            target: the extension that it was converted to; what was sent as something else is not this file.
        """
        row = self.db.execute(
            "SELECT checksum FROM confirmed WHERE source=? AND path=? AND size=? AND mtime_ns=? AND target=?",
            (source, path, size, mtime_ns, target),
        ).fetchone()
        return str(row[0]) if row else None

    def unconfirm(self, files: Iterable[tuple[int, str]]) -> None:
        """Forget that files have arrived: they travel again."""
        self.write_many("DELETE FROM confirmed WHERE source=? AND path=?", files)

    def confirm(self, files: Iterable[tuple[File, str, str]]) -> None:
        """Remember that files have arrived: each with its checksum and the extension that it was converted to."""
        # One statement: between two of them every thread that reads a file would have its turn.
        rows = [(f.source, f.path, f.size, f.mtime_ns, checksum, target) for f, checksum, target in files]
        values = [value for row in rows for value in row]
        if values:
            marks = ",".join(["(?, ?, ?, ?, ?, ?)"] * len(rows))
            into = "REPLACE INTO confirmed(source, path, size, mtime_ns, checksum, target) VALUES"
            self.write(f"{into} {marks}", values)
