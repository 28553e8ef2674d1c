"""Payloads that lie elsewhere: fetched without our login, from links that are issued again when they expire."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
from yarl import URL

from synapse_skills.backend import Api, Pace, TransferFailed
from synapse_skills.backend.api import TooLarge, read_at_most
from synapse_skills.backend.storage_link import follow, storage_link
from synapse_skills.backend.trying import WAIT_STATUSES, Busy, Tries, retry_after
from synapse_skills.job.export.rows import Row, is_json

ATTEMPTS = 5
REISSUES = 3
TIMEOUT = aiohttp.ClientTimeout(total=300, sock_connect=10, sock_read=60)
EXPIRED = (400, 401, 403)
MAX_BYTES = 256 << 20
"""A million annotations take less."""


class Expired(Exception):
    """The link is no longer accepted."""


class Payloads:
    """Fetches payloads.

    Args:
        api: the backend; its pooled session, which sends no login.
        pace: of the storage.
        relist: gives a row again, with a new link; None if it is gone.
    """

    def __init__(self, api: Api, pace: Pace, relist: Callable[[Row], Awaitable[Row | None]]) -> None:
        self._api = api
        self._tries = Tries(pace, api.patience, attempts=ATTEMPTS, gone="No payload can be had from the storage")
        self._relist = relist

    async def of(self, rows: list[Row]) -> list[bytes | None]:
        """The payloads that rows stand for, in their order; None where there is none to be fetched or to be had."""
        found: list[bytes | None] = [None] * len(rows)
        # Most payloads stand in their rows: for those there is nothing to wait for.
        away = [number for number, row in enumerate(rows) if row.wrapper is not None]
        for number, payload in zip(away, await asyncio.gather(*(self._one(rows[n]) for n in away)), strict=True):
            found[number] = payload
        return found

    async def _one(self, row: Row) -> bytes | None:
        for _ in range(REISSUES + 1):
            wrapper = row.wrapper
            if wrapper is None or not wrapper.needs_fetching or not wrapper.url:
                return None
            try:
                url = storage_link(self._api.login.host, wrapper.url)
                return await self._get(url, f"record {row.key}")
            except TransferFailed:
                return None
            except Expired:
                again = await self._relist(row)
                if again is None or again.is_bare:
                    # It had a payload a moment ago: one that is not to be had now is not one that is empty.
                    return None
                if again.wrapper is None or not again.wrapper.needs_fetching:
                    return again.members.get("data")
                row = again
        return None

    async def _get(self, url: URL, name: str) -> bytes:
        content = b""

        async def attempt() -> None:
            nonlocal content
            async with follow(self._api.plain_session, url, timeout=TIMEOUT) as response:
                if response.status >= 500 or response.status in WAIT_STATUSES:
                    raise Busy(f"the storage answered {response.status}", retry_after(response))
                if response.status in EXPIRED:
                    raise Expired
                if response.status >= 300:
                    raise TransferFailed(f"{name}: the storage answered {response.status}", again=True)
                try:
                    content = await read_at_most(response, MAX_BYTES)
                except TooLarge as error:
                    raise TransferFailed(f"{name}: {error}", again=False) from None
            if not is_json(content):
                raise Busy("something that is not JSON in place of a payload")

        await self._tries.run(attempt, name)
        return content.strip()
