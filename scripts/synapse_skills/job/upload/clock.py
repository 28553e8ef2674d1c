"""How long ago something was sent, by a clock that nobody can set.

A wall clock that is put right by a day between a kill and the next run would make a create that is still on its way
look a day old: it would be settled at once, taken for absent, and be there twice. The seconds since this machine was
started tell how long it really was, while it runs; from another machine, or after a restart, nobody knows, and
whoever has to wait waits from now.
"""

from __future__ import annotations

import time
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def mark() -> str:
    """Now, for `age_of` in a later run; '' where no clock can tell."""
    try:
        boot = _BOOT.read_text(encoding="ascii").strip()
        # Goes on while a laptop sleeps, which `monotonic` does not.
        return f"{boot}:{time.clock_gettime(time.CLOCK_BOOTTIME):.3f}"
    except (OSError, AttributeError):
        return ""


def age_of(marked: str | None) -> float:
    """Seconds since a mark, as far as they are certain: 0 if nobody can tell."""
    boot, _, seconds = (marked or "").rpartition(":")
    here, _, now = mark().rpartition(":")
    try:
        return max(0.0, float(now) - float(seconds)) if boot and boot == here else 0.0
    except ValueError:
        return 0.0
