"""Pages that are written while others are fetched: in their order, not too many of them, and none is taken for kept."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from synapse_skills.job.export import keeping
from synapse_skills.job.export.index import Index
from synapse_skills.job.export.keeping import Keeping
from synapse_skills.job.export.spool import Kept, Page, Spool


class SlowSpool(Spool):
    """Its disk takes what it is given when `gate` is open, and fails when `full` is set."""

    gate = threading.Event()
    full = False

    def append_all(self, pages: Any) -> list[Page]:
        assert self.gate.wait(10)
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().append_all(pages)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[SlowSpool]:
    slow = SlowSpool(tmp_path / "spool")
    slow.gate = threading.Event()
    yield slow
    slow.gate.set()
    slow.close()


@pytest.fixture
def index(tmp_path: Path, spool: SlowSpool) -> Iterator[Index]:
    index = Index(tmp_path / "index.sqlite", spool)
    yield index
    index.close()


def page(number: int) -> tuple[dict[str, Any], list[Kept]]:
    return {"t": "some"}, [Kept(number, b'{"id":%d}' % number, number)]


def keeps(spool: Spool, index: Index, act: Callable[[Keeping], Awaitable[None]]) -> None:
    async def run() -> None:
        await act(Keeping(spool, index))

    asyncio.run(run())


def test_others_are_fetched_while_the_disk_takes_its_time(spool: SlowSpool, index: Index) -> None:
    async def act(to: Keeping) -> None:
        for number in range(5):
            await to.put(*page(number))
        assert index.count() == 0, "what is on its way is not there"
        spool.gate.set()
        await to.keep(*page(5))
        assert index.count() == 6

    keeps(spool, index, act)
    assert [place.key for page in spool.pages() for place in page.places] == list(range(6))


def test_not_too_many_wait(spool: SlowSpool, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "HELD_BYTES", 20)

    async def act(to: Keeping) -> None:
        await to.put(*page(1))
        await to.put(*page(2))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(to.put(*page(3)), 0.05)
        spool.gate.set()
        await to.settle()

    keeps(spool, index, act)
    assert index.count() == 3


@pytest.mark.parametrize("how", ["put", "keep", "settle"])
def test_whoever_comes_after_a_full_disk_is_told(spool: SlowSpool, index: Index, how: str) -> None:
    spool.full = True
    spool.gate.set()

    async def act(to: Keeping) -> None:
        await to.put(*page(1))
        await asyncio.sleep(0.05)
        with pytest.raises(OSError, match="No space"):
            await (to.settle() if how == "settle" else getattr(to, how)(*page(2)))
        assert index.count() == 0
        spool.full = False
        await to.settle()

    keeps(spool, index, act)
    assert index.count() == (1 if how == "settle" else 2), "what could not be written is written when it can be"
