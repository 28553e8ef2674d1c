"""How many transfers run at once: more while all goes well, half as many when the other side suffers.

Additive increase, multiplicative decrease, as TCP does it: 8 at first, one more after each clean window, halved on
429, 5xx, HTML in place of an answer and timeouts; from 1 to the plan's ceiling.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

START = 8


class Pace:
    """A semaphore whose size follows the results.

    Args:
        ceiling: the most that ever run at once, 1 to 64.
        start: how many may run at first.
    """

    def __init__(self, ceiling: int, start: int = START) -> None:
        self.ceiling = max(1, ceiling)
        self.limit = min(max(1, start), self.ceiling)
        self.running = 0
        self._clean = 0
        self._last_cut = 0.0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one of the slots for the time of a request."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.running < self.limit)
            self.running += 1
        try:
            yield
        finally:
            async with self._changed:
                self.running -= 1
                self._changed.notify(1)

    async def good(self) -> None:
        """A request went well; a whole window of them allows one more at once."""
        self._clean += 1
        if self._clean >= self.limit and self.limit < self.ceiling:
            self._clean = 0
            self.limit += 1
            async with self._changed:
                self._changed.notify(1)

    def bad(self) -> None:
        """The other side suffers: halve, but once for all the requests that were under way together."""
        now = time.monotonic()
        self._clean = 0
        if now - self._last_cut >= 0.5:
            self._last_cut = now
            self.limit = max(1, self.limit // 2)
