"""The state folder: one SQLite file for rows, one file an object for bytes, one lock.

Everything runs on the server's one thread, so a route that doesn't await between its first and its last statement is
atomic. `synchronous=OFF`: the state survives any death of the process, which is what tests inflict, not a power cut.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synapse_sandbox.errors import SandboxError
from synapse_sandbox.plant import Planter
from synapse_sandbox.seed import Seed
from synapse_sandbox.settings import Settings

VERSION = "2"
CATALOGUE = ("collection", "storage", "project", "agent")
_SCHEMA = """
create table if not exists kv (key text primary key, value text not null) without rowid;
create table if not exists catalogue (kind text, id integer, body text not null, primary key (kind, id)) without rowid;
create table if not exists object (
    key text primary key, filename text not null, content_type text, declared integer not null,
    upload_id text, parts integer, size integer, sha1 text, md5 text, data_file integer
) without rowid;
create table if not exists part (
    key text, number integer, size integer not null, md5 text not null, primary key (key, number)
) without rowid;
create table if not exists data_file (
    id integer primary key autoincrement, key text not null unique, filename text not null, content_type text,
    size integer not null, sha1 text not null, md5 text not null, created text not null, source text
);
create index if not exists data_file_sha1 on data_file (sha1);
create index if not exists data_file_md5 on data_file (md5);
create table if not exists data_unit (
    id integer primary key autoincrement, collection integer not null, files text not null, meta text,
    groups text, created text not null
);
create index if not exists data_unit_collection on data_unit (collection, id);
create table if not exists task (
    id integer primary key autoincrement, project integer not null, data_unit integer, facts text not null,
    omit text, payload integer
);
create index if not exists task_project on task (project, id);
create index if not exists task_unit on task (data_unit, project);
create table if not exists assignment (
    id integer primary key autoincrement, project integer not null, data_unit integer, facts text not null,
    omit text, payload integer, task integer not null
);
create index if not exists assignment_project on assignment (project, id);
create index if not exists assignment_task on assignment (task);
create table if not exists ground_truth (
    pgh_id integer primary key autoincrement, id integer not null, version integer not null, data_unit integer,
    facts text not null, omit text, payload integer, task integer
);
create index if not exists ground_truth_version on ground_truth (version, pgh_id);
create index if not exists ground_truth_id on ground_truth (id);
create table if not exists payload (
    id integer primary key autoincrement, size integer not null, digest text not null, body text not null
);
create table if not exists chunked (
    id text primary key, filename text not null, size integer not null, total integer, completed text,
    data_file integer
) without rowid;
"""


class Store:
    """The state of one sandbox, held by one process at a time."""

    def __init__(self, folder: Path) -> None:
        """Open or create the state.

        Raises:
            SandboxError: the folder can't be written, another sandbox holds it, or it is of another version.
        """
        self.folder = folder
        self.objects = folder / "objects"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.objects.mkdir(exist_ok=True, mode=0o700)
            self._lock = (folder / "lock").open("a")
        except OSError as error:
            raise SandboxError(f"the state folder {folder} can't be used: {error.strerror}", environment=True) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise SandboxError(
                f"another sandbox is running on {folder}", hint="Stop it or name another --state.", environment=True
            ) from None
        try:
            self.db = self._open(folder / "sandbox.sqlite")
        except sqlite3.DatabaseError as error:
            self._lock.close()
            raise SandboxError(
                f"{folder / 'sandbox.sqlite'} can't be opened: {error}", hint="Name another --state."
            ) from None
        if self.kept("version", lambda: VERSION) != VERSION:
            self.close()
            raise SandboxError(f"{folder} was made by another version of the sandbox", hint="Name another --state.")
        self.token = self.kept("token", lambda: secrets.token_hex(20))
        self.signing_key = self.kept("signing_key", lambda: secrets.token_hex(32)).encode()
        self.settings = Settings().changed(json.loads(self.kept("settings", lambda: "{}")))
        self.tenant = self.kept("tenant", lambda: "sandbox")

    @staticmethod
    def _open(path: Path) -> sqlite3.Connection:
        # The pragmas and the schema are idempotent; isolation_level None: transactions are the routes' own.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        db = sqlite3.connect(path, isolation_level=None)
        db.row_factory = sqlite3.Row
        db.executescript("pragma journal_mode=wal; pragma synchronous=off; pragma temp_store=memory;" + _SCHEMA)
        return db

    def close(self) -> None:
        """Close the state and let go of it."""
        self.db.close()
        self._lock.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, within the one that is open if there is one.

        The body must not await: the connection is the server's only one.
        """
        if self.db.in_transaction:
            yield self.db
            return
        self.db.execute("begin immediate")
        try:
            yield self.db
        except BaseException:
            self.db.execute("rollback")
            raise
        self.db.execute("commit")

    def kept(self, key: str, make: Callable[[], str]) -> str:
        """A value that is made once in the life of a state."""
        row = self.db.execute("select value from kv where key = ?", (key,)).fetchone()
        if row is None:
            self.keep(key, make())
            return self.kept(key, make)
        return str(row["value"])

    def keep(self, key: str, value: str) -> None:
        """Store a value under a key."""
        self.db.execute("insert or replace into kv values (?, ?)", (key, value))

    def change_settings(self, settings: Settings) -> None:
        """Put other settings into force, now and after a restart."""
        self.settings = settings
        self.keep("settings", json.dumps(settings.as_dict()))

    def sow(self, seed: Seed) -> None:
        """Apply a seed, unless it is the one that was applied last: then what changed since stays changed.

        Rows are put in or replaced by id; nothing is taken out, and of uploaded data only what has the id of a row.

        Raises:
            BadInput: a record of it can't be used; nothing is applied.
        """
        digest = seed.digest()
        if self.kept("seed", lambda: "") == digest:
            return
        with self.transaction() as db:
            for kind, rows in zip(
                CATALOGUE, (seed.collections, seed.storages, seed.projects, seed.agents), strict=True
            ):
                self.db.executemany(
                    "insert or replace into catalogue values (?, ?, ?)",
                    [(kind, row["id"], json.dumps(row, ensure_ascii=False)) for row in rows],
                )
            self.tenant = seed.tenant
            self.keep("tenant", seed.tenant)
            self.keep("seed", digest)
            self.change_settings(Settings().changed(seed.settings))
            planter = Planter(db, self.objects, seed.files_root)
            self.keep("files_root", planter.root)
            planter.seed(seed.records)

    def planter(self, db: sqlite3.Connection) -> Planter:
        """What puts records into the state, inside a transaction."""
        return Planter(db, self.objects, self.kept("files_root", lambda: ""))

    def sown(self) -> bool:
        """Whether any seed was ever applied."""
        return self.kept("seed", lambda: "") != ""

    def catalogue(self, kind: str) -> list[dict[str, Any]]:
        """All rows of a kind, by id."""
        rows = self.db.execute("select body from catalogue where kind = ? order by id", (kind,))
        return [json.loads(row["body"]) for row in rows]

    def find(self, kind: str, number: int) -> dict[str, Any] | None:
        """One row of a kind."""
        row = self.db.execute("select body from catalogue where kind = ? and id = ?", (kind, number)).fetchone()
        return None if row is None else json.loads(row["body"])
