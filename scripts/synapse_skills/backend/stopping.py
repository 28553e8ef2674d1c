"""Event loops that a signal ends in order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable

from synapse_skills.errors import EXIT_INTERRUPTED, handling


async def stoppable[T](work: Awaitable[T]) -> T:
    """The first thing in every event loop: a signal cancels what it does, and a second one ends the process at once.

    An exception raised by the signal itself might come between two steps of the loop, which then waits for ever for
    the one that it has forgotten.
    """
    loop, task, asked = asyncio.get_running_loop(), asyncio.current_task(), False
    assert task is not None

    def cancel(number: int, frame: object) -> None:
        nonlocal asked
        if asked:
            os._exit(EXIT_INTERRUPTED)
        asked = True
        # This also wakes a loop that waits.
        loop.call_soon_threadsafe(task.cancel)

    with handling(cancel):
        try:
            return await work
        except asyncio.CancelledError:
            if asked:
                raise KeyboardInterrupt from None
            raise
