"""Requests that are tried several times: what may pass, what is final, and when the other side is simply gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp

from synapse_skills.backend.addresses import OwnNetwork
from synapse_skills.backend.api import backoff
from synapse_skills.backend.pace import Pace
from synapse_skills.errors import OutOfReach, SkillsError, redact

ATTEMPTS = 6
LOST_IN_A_ROW = 8
WAIT_STATUSES = frozenset({408, 425, 429})
CHANGED = "changed-while-reading"
OWN_NETWORK = "an address of this machine's own network"


class TransferFailed(SkillsError):
    """A file could not be sent; `again` says whether a later run may succeed where this one did not."""

    code = "transfer-failed"

    def __init__(self, message: str, *, again: bool, code: str = "transfer-failed") -> None:
        super().__init__(redact(message), code=code)
        self.again = again


class Busy(Exception):
    """An answer that means: later."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Tries:
    """Tries requests at one pace, six times each, and notices when nothing gets through any more.

    Args:
        patience: seconds without any success after which the other side is held to be down.
        attempts: how often one request is tried.
        gone: what is said then.
    """

    def __init__(
        self,
        pace: Pace,
        patience: float,
        *,
        attempts: int = ATTEMPTS,
        gone: str = "No file reaches the storage any more",
    ) -> None:
        self._pace = pace
        self._attempts = attempts
        self._gone = gone
        self._patience = patience
        self._lost = 0
        self._bad_since = 0.0

    async def run(self, attempt: Callable[[], Awaitable[None]], name: str) -> None:
        """Try it until it goes well.

        Raises:
            TransferFailed: not this one, not now.
            OutOfReach: one after the other fails, for longer than `patience`: to go on would take for ever.
        """
        last = ""
        for number in range(self._attempts):
            try:
                async with self._pace.slot():
                    await attempt()
                await self._pace.good()
                self._lost, self._bad_since = 0, 0.0
                return
            except Busy as busy:
                last, wait = str(busy), backoff(number, busy.retry_after)
            except OwnNetwork:
                raise TransferFailed(f"its link is {OWN_NETWORK}", again=False) from None
            except aiohttp.InvalidURL:
                # Its text would be the link, which is a secret.
                last, wait = "its link is no address", backoff(number)
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                last, wait = redact(str(error)) or type(error).__name__, backoff(number)
            self._pace.bad()
            self._bad_since = self._bad_since or time.monotonic()
            if number < self._attempts - 1:
                await asyncio.sleep(wait)
        self._lost += 1
        if self._lost >= LOST_IN_A_ROW and time.monotonic() - self._bad_since > self._patience:
            raise OutOfReach(
                f"{self._gone}: {last}",
                hint="Wait until the storage is well again, then run it again: what has arrived is not moved twice.",
                code="storage-unreachable",
            )
        raise TransferFailed(f"{name}: {last}", again=True)


def retry_after(response: aiohttp.ClientResponse) -> float:
    """Seconds that the answer asks us to wait."""
    try:
        return float(response.headers.get("Retry-After", 0))
    except ValueError:
        return 1.0
