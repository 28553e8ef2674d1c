"""A list walked by several ranges of ids at once.

Every page is asked for by itself (`id__gte`, `id__lt`, newest first), so a page needs nothing of the one before it: a
range can be divided while somebody is on it, and what is known to be there is told by ranges alone.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from synapse_skills.errors import OutOfReach
from synapse_skills.job.export.rows import Listed, Row

SMALLEST_TO_DIVIDE = 4  # pages
MOST_EMPTY = 20
"""Pages in a row without any row, and yet with a next one."""
MOST_TWICE = 2_000
"""Rows that are listed more than twice as often as there are different ones."""

Ask = Callable[[int, int], Awaitable[Listed]]
Take = Callable[[list[Row], int, int], Awaitable[None]]


class NotOrdered(Exception):
    """The backend doesn't list by id as it was asked to."""


@dataclass
class _Range:
    low: int
    high: int
    is_long: bool = False  # it had more than one page

    @property
    def size(self) -> int:
        return self.high - self.low


class Walk:
    """One walk.

    Args:
        ask: gives the newest page of the ids from `low` up to, not including, `high`.
        take: gets its rows, and the ids that are covered by them.
        page_size: of the pages.
        workers: how many are under way at once.
        stopped: whether to end after the pages that are under way.
    """

    def __init__(self, ask: Ask, take: Take, *, page_size: int, workers: int, stopped: Callable[[], bool]) -> None:
        self._ask = ask
        self._take = take
        self._smallest = SMALLEST_TO_DIVIDE * page_size
        self._workers = workers
        self._stopped = stopped
        self._waiting: list[_Range] = []
        self._under_way: list[_Range] = []
        self._changed = asyncio.Event()

    async def over(self, ranges: Iterable[tuple[int, int]], pages: int) -> None:
        """Walk these ranges, which hold about so many pages.

        Raises:
            NotOrdered: it can't be done this way.
        """
        whole = [_Range(low, high) for low, high in ranges if low < high]
        parts = max(1, min(self._workers, pages) // max(1, len(whole)))
        for each in whole:
            step = max(1, -(-each.size // parts))
            self._waiting += [_Range(low, min(low + step, each.high)) for low in range(each.low, each.high, step)]
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._work())
        except BaseExceptionGroup as errors:
            raise first_of(errors) from None

    async def _work(self) -> None:
        while not self._stopped():
            mine = self._next()
            if mine is None:
                if not self._under_way:
                    return
                self._changed.clear()
                await self._changed.wait()
                continue
            self._under_way.append(mine)
            try:
                while mine.low < mine.high and not self._stopped():
                    await self._page(mine)
                    self._wake()
            finally:
                self._under_way.remove(mine)
                self._wake()

    def _wake(self) -> None:
        self._changed.set()

    def _next(self) -> _Range | None:
        if self._waiting:
            return self._waiting.pop()
        widest = max((each for each in self._under_way if each.is_long), key=lambda each: each.size, default=None)
        if widest is None or widest.size < self._smallest:
            return None
        middle = (widest.low + widest.high) // 2
        lower = _Range(widest.low, middle)
        widest.low = middle
        return lower

    async def _page(self, mine: _Range) -> None:
        low, high = mine.low, mine.high
        listed = await self._ask(low, high)
        keys = [row.key for row in listed.rows]
        if any(not low <= key < high for key in keys) or any(a <= b for a, b in itertools.pairwise(keys)):
            raise NotOrdered
        reached = min(keys) if keys and listed.following else low
        await self._take(listed.rows, reached, high)
        mine.high = max(reached, mine.low)
        mine.is_long = True


class Way:
    """The way along a list whose pages name the next one: notices when it leads round and round.

    Args:
        held: how many different rows there are by now.
    """

    def __init__(self, held: Callable[[], int]) -> None:
        self._held = held
        self._listed = 0
        self._empty = 0

    def went(self, listed: Listed) -> None:
        """A page with another behind it.

        Raises:
            OutOfReach: it never ends. Rows that come and go meanwhile are listed twice now and then, not all of them.
        """
        self._listed += len(listed.rows)
        self._empty = 0 if listed.rows else self._empty + 1
        if self._empty > MOST_EMPTY or self._listed > 2 * self._held() + MOST_TWICE:
            raise OutOfReach("The backend's list leads in a circle.", code="list-in-circle", hint="Run it again.")


def first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group, out of all its groups."""
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def gaps(low: int, high: int, covered: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What of a range is not covered."""
    missing, at = [], low
    for start, end in sorted(covered):
        if start > at:
            missing.append((at, min(start, high)))
        at = max(at, end)
        if at >= high:
            return missing
    return [*missing, (at, high)]
