"""Pages on their way into the spool: while the disk takes some, others are fetched.

Those that have arrived meanwhile are written together, and waited for once. A page is in the index when it is durable,
and not before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from synapse_skills.job.export.index import Index
from synapse_skills.job.export.spool import Kept, Spool, Unkept, first_of, size_of

HELD_BYTES = 8 << 20


class Keeping:
    """Writes pages in the order in which they come here."""

    def __init__(self, spool: Spool, index: Index) -> None:
        self._spool = spool
        self._index = index
        self._waiting: list[Unkept] = []
        self._held = 0
        self._writing = asyncio.Lock()
        self._ahead: asyncio.Task[None] | None = None

    async def keep(self, facts: dict[str, Any], rows: Sequence[Kept] = ()) -> None:
        """Keep a page; it is durable then, and all that came before it.

        Raises:
            OSError: it can't be written.
        """
        self._take(facts, rows)
        await self.settle()

    async def put(self, facts: dict[str, Any], rows: Sequence[Kept]) -> None:
        """Take a page that is written while others are fetched; `settle` waits for it, or too many of them do.

        Raises:
            OSError: those before it can't be written.
        """
        self._take(facts, rows)
        if self._ahead is not None and self._ahead.done():
            ahead, self._ahead = self._ahead, None
            ahead.result()
        if self._ahead is None:
            self._ahead = asyncio.create_task(self._write())
        if self._held > HELD_BYTES:
            await self.settle()

    async def settle(self) -> None:
        """Wait until everything is durable.

        Raises:
            OSError: it can't be written. It stays here: whoever waits for it fails too, and none is taken for kept.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            await ahead
        await self._write()

    def _take(self, facts: dict[str, Any], rows: Sequence[Kept]) -> None:
        self._waiting.append((facts, rows))
        self._held += size_of((facts, rows))

    async def _write(self) -> None:
        async with self._writing:
            while self._waiting:
                lot = first_of(self._waiting, HELD_BYTES)
                for page in await asyncio.to_thread(self._spool.append_all, lot):
                    self._index.add(page)
                del self._waiting[: len(lot)]
                self._held -= sum(map(size_of, lot))
