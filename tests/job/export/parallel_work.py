"""What workers are asked to do in tests; a module that they can import without the tests."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from synapse_skills.errors import FindingError


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
