"""Large pictures are decoded one after the other, whatever the number of threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from synapse_skills.media import ConversionFailed
from synapse_skills.media.budget import Budget


def test_no_more_than_fit_are_in_at_once_and_the_largest_comes_in_alone() -> None:
    budget, lock = Budget(10), threading.Lock()
    inside: list[int] = []
    most: list[tuple[int, int]] = []

    def one(pixels: int) -> None:
        with budget.holding(pixels):
            with lock:
                inside.append(pixels)
                most.append((sum(inside), len(inside)))
            threading.Event().wait(0.002)
            with lock:
                inside.remove(pixels)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, [3, 4, 12, 1, 9, 5, 2, 11] * 5))
    assert all(total <= 10 or count == 1 for total, count in most)
    assert max(count for _, count in most) > 1
    with budget.holding(10):
        pass  # all of it has come back


def test_who_waits_gives_up_when_all_is_stopped_and_later_ones_come_in() -> None:
    budget, begun = Budget(1), threading.Event()

    def waiting() -> None:
        begun.set()
        with budget.holding(1):
            pytest.fail("there was no room")

    with ThreadPoolExecutor(1) as pool, budget.holding(1):
        late = pool.submit(waiting)
        begun.wait(5)
        while not late.done():
            budget.stop()
        with pytest.raises(ConversionFailed):
            late.result()
    with budget.holding(1):
        pass
