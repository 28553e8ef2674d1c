"""Which processes run on this machine, and which belong together; without a library, on Linux and macOS."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Running:
    """A process. `born` tells it from a later one with the same number; `folder` is empty where it can't be known."""

    pid: int
    parent: int
    born: str
    words: tuple[str, ...]
    folder: str = ""

    @property
    def command(self) -> str:
        """Its command line."""
        return " ".join(self.words)


def running() -> list[Running]:
    """Every process that may be looked at."""
    if (_PROC / "self" / "stat").exists():
        found = (_of_linux(int(path.name)) for path in _PROC.iterdir() if path.name.isdigit())
        return [each for each in found if each is not None]
    return _by_ps()


def still_runs(known: Running) -> bool:
    """Whether this very process is there; one that has ended and was not collected is not."""
    found = {each.pid: each for each in running()}.get(known.pid)
    return found is not None and found.born == known.born


def descendants(everything: Iterable[Running], pid: int) -> set[int]:
    """A process, its children, theirs, and so on."""
    children: dict[int, list[int]] = {}
    for each in everything:
        children.setdefault(each.parent, []).append(each.pid)
    found, waiting = {pid}, [pid]
    while waiting:
        new = [child for child in children.get(waiting.pop(), []) if child not in found]
        found |= set(new)
        waiting += new
    return found


def _of_linux(pid: int) -> Running | None:
    place = _PROC / str(pid)
    try:
        # The name in brackets may hold anything: what counts comes after the last bracket.
        fields = (place / "stat").read_text(errors="replace").rpartition(")")[2].split()
        words = (place / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return None
    if fields[0] in ("Z", "X"):
        return None
    folder = ""
    with contextlib.suppress(OSError):
        folder = str((place / "cwd").readlink())
    return Running(pid, int(fields[1]), fields[19], tuple(os.fsdecode(word) for word in words), folder)


def _by_ps() -> list[Running]:
    command = ["/bin/ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,lstart=,command="]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return []
    found = []
    for line in done.stdout.splitlines():
        fields = line.split(None, 8)
        if len(fields) == 9 and not fields[2].startswith("Z"):
            found.append(Running(int(fields[0]), int(fields[1]), " ".join(fields[3:8]), tuple(fields[8].split())))
    return found
