"""A crew that is no other process, and what workers are asked to do in tests; they import this without the tests."""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from synapse_skills.errors import FindingError


class Posted:
    """A crew in this process, to which all travels as to another one."""

    size = 2

    def __init__(self) -> None:
        self.done: list[str] = []

    def each(self, work: Any, common: Any, pieces: Iterable[Any], *, at_once: int | None = None) -> Iterator[Any]:
        for piece in pieces:
            self.done.append(work.__name__)
            sent = pickle.loads(pickle.dumps((work, common, piece)))
            yield pickle.loads(pickle.dumps(sent[0](*sent[1:])))


def slow(common: float, piece: int) -> tuple[int, int]:
    time.sleep(common if piece == 0 else 0)
    return piece, os.getpid()


def end(common: str, piece: int) -> int:
    """Kill the process, the first time only if `common` names a file that remembers it."""
    if common and Path(common).exists():
        return piece
    if common:
        Path(common).touch()
    os.kill(os.getpid(), signal.SIGKILL)
    return piece


def fail(common: None, piece: int) -> None:
    print("not an answer")
    raise FindingError("it failed", hint="do this", code="some-code")
