"""Ctrl-C and SIGTERM: a job stops gently at first, at once when asked again, and leaves its report in both cases."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from synapse_skills.errors import handling


@contextlib.contextmanager
def gentle_stop(stop: Callable[[], None]) -> Iterator[None]:
    """Inside `stoppable`: the first Ctrl-C, SIGTERM or closed terminal calls `stop`; a second is as the first there.

    The loop has handlers of its own, and is not asked for them: it can't let go of one without a moment in which the
    signal ends the process.
    """
    loop = asyncio.get_running_loop()
    asked = False

    def gently(number: int, frame: object) -> None:
        nonlocal asked
        if asked:
            before[number](number, frame)
            return
        asked = True
        # By the loop, because whatever runs now may be half done; this also wakes one that waits.
        loop.call_soon_threadsafe(stop)

    with handling(gently) as before:
        yield
