"""Ctrl-C and SIGTERM: an upload stops gently at first, at once when asked again, and leaves its report in any case."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

STOPS = (signal.SIGINT, signal.SIGTERM)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM ends what runs inside as Ctrl-C does; the upload has its own, gentler way."""
    try:
        before = signal.signal(signal.SIGTERM, _interrupt)
    except ValueError:
        # Not the main thread: whoever runs us there has the signals.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def gentle_stop(stop: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM calls `stop`; a second one is a KeyboardInterrupt."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in STOPS}

    def gently() -> None:
        stop()
        for number in STOPS:
            loop.remove_signal_handler(number)
            signal.signal(number, _interrupt)

    try:
        for number in STOPS:
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
