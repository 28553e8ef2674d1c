"""The state folder of a job: whose it is, and that only one run at a time uses it."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from synapse_skills.errors import FindingError, OutOfReach
from synapse_skills.job.lease import Lease
from synapse_skills.job.places import cache_for
from synapse_skills.report import write_json


class AlreadyRunning(OutOfReach):
    """Another run holds the lock."""

    code = "already-running"
    hint = "Wait for it, or stop it; two runs of one job would send everything twice."


class State:
    """`<state>/`: journal, ledger, inventory and report of one job. A context manager that holds the lock.

    Args:
        folder: the state folder, made if it is missing (0700).
        named_by_plan: it was chosen to outlive this machine, so others may use it.
        say: tells people that there is something to wait for.

    Attributes:
        cache: where SQLite files lie; always a local disk.
        lease: what tells runs on other machines that this one is alive.
    """

    def __init__(
        self, folder: Path, *, named_by_plan: bool = False, say: Callable[[str], None] = lambda text: None
    ) -> None:
        self.folder = folder
        self.cache = folder
        self.lease = Lease(folder, say=say)
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
        self._lock.write(f"pid {os.getpid()} on {socket.gethostname()} since {started}\n")
        self._lock.flush()
        try:
            self.cache = cache_for(self.folder, named_by_plan=self._named_by_plan)
            self.lease.take()
        except BaseException as error:
            self._unlock()
            if isinstance(error, OSError):
                raise _denied(self.folder, error) from None
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.lease.release()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.truncate(0)
            self._lock.close()
            self._lock = None

    def belongs_to(self, host: str, tenant: str | None, scope: int, what: str = "collection") -> None:
        """Claim the folder for one backend and scope (a collection, a project …), or find that it is claimed already.

        Raises:
            FindingError: it belongs to another backend, tenant or scope.
        """
        path = self.folder / "state.json"
        mine = {"version": 1, "host": host, "tenant": tenant, what: scope}
        try:
            theirs = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            write_json(path, mine)
            return
        except ValueError:
            theirs = {}
        theirs = theirs if isinstance(theirs, dict) else {}
        differences = [key for key in ("host", "tenant", what) if theirs.get(key) != mine[key]]
        if differences:
            said = ", ".join(f"{key} {theirs.get(key)!r}, now {mine[key]!r}" for key in differences)
            raise FindingError(
                f"The state in {self.folder} belongs to another backend: {said}.",
                hint="Log in where the job began, or name another folder with --state.",
                code="other-backend",
            )


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
