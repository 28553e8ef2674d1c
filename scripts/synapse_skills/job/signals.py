"""Ctrl-C and SIGTERM: a job stops gently at first, at once when asked again, and leaves its report in any case."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

from synapse_skills.errors import interrupt

STOPS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextlib.contextmanager
def gentle_stop(stop: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C, SIGTERM or closed terminal calls `stop`; a second one is a KeyboardInterrupt."""
    loop = asyncio.get_running_loop()
    # Whoever ignores a closed terminal (nohup) goes on ignoring it.
    before = {number: found for number in STOPS if (found := signal.getsignal(number)) is not signal.SIG_IGN}

    def gently() -> None:
        stop()
        for number in before:
            loop.remove_signal_handler(number)
            signal.signal(number, interrupt)

    try:
        for number in before:
            loop.add_signal_handler(number, gently)
    except (NotImplementedError, ValueError, RuntimeError):
        # Windows, or not the main thread: KeyboardInterrupt ends the run, and the next one settles.
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
