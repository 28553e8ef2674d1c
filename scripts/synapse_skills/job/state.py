"""The state of a job, in a folder or at a storage: whose it is, and that only one run at a time uses it."""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from synapse_skills.errors import FindingError, OutOfReach
from synapse_skills.job.lease import Lease, this_machine
from synapse_skills.job.places import cache_for, cache_of
from synapse_skills.job.worker import job_id
from synapse_skills.report import write_bytes
from synapse_skills.sources import LocalStore, Store, open_store
from synapse_skills.sources.address import is_url, parse_address

CLAIM = "state.json"


class AlreadyRunning(OutOfReach):
    """Another run holds the lock."""

    code = "already-running"
    hint = "Wait for it, or stop it; two runs of one job would send everything twice."


class State:
    """Journal, ledger, inventory and report of one job. A context manager that holds the lock.

    Args:
        place: a folder, made if it is missing (0700), or the URL of one at a storage.
        named_by_plan: it was chosen to outlive this machine, so others may use it.
        say: tells people that there is something to wait for.

    Attributes:
        folder: the state folder; for a storage the folder here that goes with it, which may be lost.
        cache: where SQLite files lie; always a local disk.
        store: where everything is kept that must not be lost.
        lease: what tells runs on other machines that this one is alive.
    """

    def __init__(
        self, place: Path | str, *, named_by_plan: bool = False, say: Callable[[str], None] = lambda text: None
    ) -> None:
        self.is_remote = is_url(str(place))
        self._url = str(parse_address(str(place))) if self.is_remote else ""
        self.folder = cache_of(self._url) if self.is_remote else Path(place)
        self.name = self._url or str(self.folder)
        self.cache = self.folder
        self.store: Store = LocalStore(self.folder)
        self.lease = Lease(self.store, say=say)
        self._say = say
        self._named_by_plan = named_by_plan
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = (self.folder / "lock").open("a+", encoding="utf-8")
        except OSError as error:
            raise _denied(self.folder, error) from None
        if not _try_lock(self._lock):
            self._lock.seek(0)
            holder = " ".join(self._lock.read(200).split())
            self._lock.close()
            raise AlreadyRunning(f"Another run of this job is under way ({holder or 'unknown'}).")
        self._lock.truncate(0)
        started = time.strftime("%Y-%m-%d %H:%M:%S")
        # Where the cluster's machines and this one see the same folder, it tells whose run it is.
        job = job_id()
        by = f" as {job}" if job else ""
        self._lock.write(f"pid {os.getpid()} on {socket.gethostname()} since {started}{by}\n")
        self._lock.flush()
        try:
            if self.is_remote:
                self.store = open_store(self._url)
                self.lease = Lease(self.store, machine=self._own_machine(), say=self._say)
            else:
                self.cache = cache_for(self.folder, named_by_plan=self._named_by_plan)
            self.lease.take()
        except BaseException as error:
            self._unlock()
            if isinstance(error, OSError):
                raise _denied(self.folder, error) from None
            raise
        return self

    def _own_machine(self) -> str:
        """What tells everybody who shares our file lock: this kernel, and this very folder.

        Containers on one kernel have folders of their own, and their locks say nothing about each other.
        """
        path = self.folder / "machine"
        if not path.exists():
            write_bytes(path, secrets.token_hex(8).encode())
        return f"{this_machine()}:{path.read_text(encoding='ascii')}"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.lease.release()
        self.store.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.truncate(0)
            self._lock.close()
            self._lock = None

    def belongs_to(self, host: str, tenant: str | None, scope: int, what: str = "collection") -> None:
        """Claim the state for one backend and scope (a collection, a project …), or find that it is claimed already.

        Raises:
            FindingError: it belongs to another backend, tenant or scope.
        """
        mine = {"version": 1, "host": host, "tenant": tenant, what: scope}
        content = self.store.read(CLAIM)
        if content is None:
            self.store.write(CLAIM, (json.dumps(mine, indent=2) + "\n").encode())
            return
        try:
            theirs = json.loads(content)
        except (ValueError, RecursionError):
            theirs = {}
        theirs = theirs if isinstance(theirs, dict) else {}
        differences = [key for key in ("host", "tenant", what) if theirs.get(key) != mine[key]]
        if differences:
            said = ", ".join(f"{key} {theirs.get(key)!r}, now {mine[key]!r}" for key in differences)
            raise FindingError(
                f"The state in {self.name} belongs to another backend: {said}.",
                hint="Log in where the job began, or name another folder with --state.",
                code="other-backend",
            )


def is_locked(path: Path) -> bool:
    """Whether a run holds a lock now; looking changes nothing."""
    try:
        with path.open("r+", encoding="utf-8") as stream:
            return not _try_lock(stream)
    except OSError:
        return False


def _denied(folder: Path, error: OSError) -> OutOfReach:
    return OutOfReach(
        f"The state folder {folder} can't be used: {error.strerror}",
        hint="Name another one with --state, or mend its permissions.",
        code="state-denied",
    )


def _try_lock(stream: IO[str]) -> bool:
    try:
        import fcntl
    except ImportError:
        import msvcrt

        try:
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        raise OutOfReach(
            f"The file system of {stream.name} can't lock files: {error.strerror}",
            hint="Name a folder on another one with --state: without a lock two runs would send everything twice.",
            code="state-denied",
        ) from None
    return True
