"""The lease on a state: one run at a time, across machines too.

A file lock says that within one machine, and dies with its process. Between machines that share a folder it can't be
relied on: NFS, SMB and FUSE mounts keep it to themselves, depending on how they are mounted; a storage has none. So a
run also leaves a beating heart beside the journal. Clocks of two machines never agree, therefore nobody compares
times: whoever finds another run's lease watches it, and takes the state only after it has not beaten for `STALE_S`.

A run that was stopped for longer than that (a suspended machine) finds out at its next beat. Until then it could still
send something, so the journal asks `fence` before every record: a heart that is not known to have beaten lately is
looked at first.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from synapse_skills.errors import OutOfReach
from synapse_skills.sources import Store
from synapse_skills.texts import parse_json

BEAT_S = 5.0
STALE_S = 30.0
NAME = "lease.json"


class Taken(OutOfReach):
    """Another run has taken the state."""

    code = "state-taken"
    hint = "Leave it to the other run, or stop that one: two runs of one job would send everything twice."


class Lease:
    """This run's hold on a state.

    Args:
        store: where the state is kept; a file lock on this machine is ours already.
        machine: what tells the reach of that file lock from any other's: whoever left this in a lease is dead.
        say: tells people that there is something to wait for.
        beat_s: seconds between two beats; `stale_s`: how long a heart must stand still to count as dead.
    """

    def __init__(
        self,
        store: Store,
        *,
        machine: str = "",
        say: Callable[[str], None] = lambda text: None,
        beat_s: float = BEAT_S,
        stale_s: float = STALE_S,
    ) -> None:
        self._store = store
        self._machine = machine or this_machine()
        self._say = say
        self._beat_s = beat_s
        self._stale_s = stale_s
        self._me = secrets.token_hex(8)
        self._beats = 0
        self._last = 0.0
        self._lost: Taken | None = None
        self._stop = threading.Event()
        self._beating = threading.Lock()
        self._thread: threading.Thread | None = None

    def take(self) -> None:
        """Take the state, at once if nobody can hold it, else after watching the one who does.

        Raises:
            Taken: another run is alive. OutOfReach: the state can't be written.
        """
        other = self._read()
        if other is None and not self._begin():
            # Two began at the same moment, and it is the other's; or it is damaged, and nobody's.
            other = self._read()
        if other is not None and other.get("machine") != self._machine:
            self._watch(other)
            self._beat()
            # Two may have watched the same dead heart: the later one has it.
            time.sleep(2 * self._beat_s)
            self._beat()
        elif not self._last:
            self._beat()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def fence(self) -> None:
        """Make sure that the state is still ours; costs nothing while the heart beats.

        Raises:
            Taken: it is not.
        """
        if self._lost is None and time.monotonic() - self._last > self._stale_s / 2:
            with contextlib.suppress(Taken):
                self._beat()
        if self._lost is not None:
            raise self._lost

    def release(self) -> None:
        """Give the state back, unless another run has it by now."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with contextlib.suppress(OutOfReach):
            holder = self._read()
            if holder is not None and holder.get("holder") == self._me:
                self._store.delete(NAME)

    def _keep(self) -> None:
        while not self._stop.wait(self._beat_s):
            try:
                self._beat()
            except Taken:
                return
            except OutOfReach:
                # A mount or storage that is away for a moment; `fence` refuses once it is away for too long.
                continue

    def _beat(self) -> None:
        with self._beating:
            holder = self._read() if self._last else None
            if holder is not None and holder.get("holder") != self._me:
                self._lost = Taken(f"Another run has taken this job's state ({_told(holder)}).")
                raise self._lost
            began = time.monotonic()
            self._store.write(NAME, self._mine())
            # As of when it was sent: whoever watches may have seen it at once.
            self._last = began

    def _begin(self) -> bool:
        """The first beat of a lease that nobody holds; False if somebody was faster."""
        began = time.monotonic()
        if not self._store.create(NAME, self._mine()):
            return False
        self._last = began
        return True

    def _mine(self) -> bytes:
        self._beats += 1
        mine = {
            "version": 1,
            "holder": self._me,
            "beat": self._beats,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "machine": self._machine,
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        return (json.dumps(mine, indent=2) + "\n").encode()

    def _watch(self, other: dict[str, Any]) -> None:
        self._say(f"another run may be under way ({_told(other)}): watching it for {self._stale_s:.0f} s")
        end = time.monotonic() + self._stale_s
        while time.monotonic() < end:
            time.sleep(min(self._beat_s, max(0.0, end - time.monotonic())))
            now = self._read()
            if now is None:
                return
            if (now.get("holder"), now.get("beat")) != (other.get("holder"), other.get("beat")):
                raise Taken(f"Another run of this job is under way ({_told(now)}).")

    def _read(self) -> dict[str, Any] | None:
        """Who holds the state; what can't be read is nobody: it is replaced whole, never half written."""
        try:
            found = parse_json(self._store.read(NAME) or b"null")
        except ValueError:
            return None
        return found if isinstance(found, dict) else None


def this_machine() -> str:
    """What tells this running kernel from any other; a name may be given twice, so it is only second best."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return socket.gethostname()


def _told(holder: dict[str, Any]) -> str:
    return f"pid {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"
