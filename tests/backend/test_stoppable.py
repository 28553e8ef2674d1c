"""A signal in the middle of an event loop: everything in it is cancelled in order, and it ends."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from fuzz.calling import ends
from synapse_skills.backend import stoppable


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_between_two_steps_loses_none_of_them(number: int) -> None:
    """What wakes somebody is not broken off by it: whoever tidies up would wait for that for ever."""
    tidied = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        woken = loop.create_future()

        def wake() -> None:
            os.kill(os.getpid(), number)
            woken.set_result(None)

        loop.call_soon(wake)
        try:
            await asyncio.sleep(60)
        finally:
            await woken
            tidied.append("all")

    before = signal.getsignal(number)
    with ends(10), pytest.raises(KeyboardInterrupt):
        asyncio.run(stoppable(work()))
    assert tidied == ["all"]
    assert signal.getsignal(number) is before


def test_what_is_cancelled_otherwise_is_no_interruption() -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(stoppable(work()))
    assert asyncio.run(stoppable(asyncio.sleep(0, 5))) == 5
