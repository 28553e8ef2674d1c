"""Concurrency follows the results."""

from __future__ import annotations

import asyncio

from synapse_skills.backend import Pace


def test_one_more_after_each_clean_window() -> None:
    async def go() -> int:
        pace = Pace(64)
        for _ in range(8 + 9 + 10):
            await pace.good()
        return pace.limit

    assert asyncio.run(go()) == 11


def test_never_above_the_ceiling() -> None:
    async def go() -> int:
        pace = Pace(9)
        for _ in range(1000):
            await pace.good()
        return pace.limit

    assert asyncio.run(go()) == 9


def test_halved_once_for_what_was_under_way_together() -> None:
    pace = Pace(64, start=32)
    for _ in range(10):
        pace.bad()
    assert pace.limit == 16
    for _ in range(10):
        pace._last_cut = 0.0
        pace.bad()
    assert pace.limit == 1


def test_no_more_at_once_than_the_limit() -> None:
    async def go() -> int:
        pace = Pace(3)
        running = most = 0

        async def one() -> None:
            nonlocal running, most
            async with pace.slot():
                running += 1
                most = max(most, running)
                await asyncio.sleep(0.001)
                running -= 1

        await asyncio.gather(*(one() for _ in range(40)))
        return most

    assert asyncio.run(go()) == 3
