"""Files on their way: stage → presign → PUT → confirm, a pipeline without barriers.

Presigning and confirming take whatever is waiting, so that a slow file holds up nobody. A data unit goes on to be
created only when all its files are confirmed.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from synapse_skills.backend import Ticket, Transfer, TransferFailed
from synapse_skills.backend.api import NotThere, Refused
from synapse_skills.backend.transfer import CHANGED, LINK_LIFE_S, Expired, Sent
from synapse_skills.errors import OutOfReach, SkillsError
from synapse_skills.job.upload.staging import Staged, Stager
from synapse_skills.sources import File
from synapse_skills.units import Unit

GROUP = 64
# Links that wait to be used: few, because a thousand of them would wait for longer than they live on a slow line.
AHEAD = 64
ATTEMPTS = 4


@dataclass
class Job:
    """A data unit on its way; `converted`: bytes of each such file, before and as it was sent."""

    unit: Unit
    meta: dict[str, object] | None
    basis: str
    left: int
    checksums: dict[str, str] = field(default_factory=dict)
    error: str = ""
    code: str = ""
    sent: int = 0
    reused: int = 0
    converted: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class _Item:
    job: Job
    spec: str
    file: File
    staged: Staged
    attempts: int = 0
    ticket: Ticket | None = None
    presigned_at: float = 0.0
    result: Sent | None = None


class Known(Protocol):
    """Who remembers which files have arrived: the ledger."""

    def checksum_of(self, source: int, path: str, size: int, mtime_ns: int, target: str = "") -> str | None:
        """The checksum that the backend confirmed for exactly this file."""
        ...

    def confirm(self, files: Iterable[tuple[File, str, str]]) -> None:
        """Remember files: each with its checksum and the extension that it was converted to."""
        ...


def still_to_send(job: Job, known: Known, stager: Stager) -> dict[str, File]:
    """The files of a data unit that have to travel, by spec; those that arrived in an earlier run are reused."""
    waiting = {}
    for spec, file in job.unit.files.items():
        checksum = known.checksum_of(file.source, file.path, file.size, file.mtime_ns, stager.target(spec, file))
        if checksum is not None:
            job.checksums[spec] = checksum
            job.reused += 1
        else:
            waiting[spec] = file
    job.left = len(waiting)
    return waiting


class Mover(Protocol):
    """Who moves the files of data units.

    Attributes:
        holds: how many data units it has to have on their way, beyond what is usual.
    """

    holds: int

    def loops(self) -> list[Callable[[], Coroutine[None, None, None]]]:
        """What is to be run until it is cancelled; an error in one of them stops the upload."""
        ...

    async def send(self, job: Job) -> None:
        """Put a unit's files on their way; those that arrived in an earlier run are reused."""
        ...

    def close(self) -> None:
        """Begin nothing more."""
        ...


class Sender:
    """Moves the files of data units from here.

    Args:
        presigns: whether the default storage hands out links; if not, files go through the backend.
        beside: how many requests for links, and how many to confirm, may be under way beside the transfers.
        stager: turns a file into what is sent.
        unchanged: whether a file on disk is still the one that was scanned.
        on_unit: awaited with each unit whose files have all arrived or failed.
    """

    holds = 0

    def __init__(
        self,
        transfer: Transfer,
        ledger: Known,
        *,
        presigns: bool,
        beside: int = 2,
        stager: Stager,
        unchanged: Callable[[File], bool],
        on_unit: Callable[[Job], Awaitable[None]],
        on_bytes: Callable[[int], None],
    ) -> None:
        self.transfer = transfer
        self.ledger = ledger
        self.pace = transfer.pace
        self.presigns = presigns
        self.beside = beside
        self.stager = stager
        self.unchanged = unchanged
        self.on_unit = on_unit
        self.on_bytes = on_bytes
        self._group = GROUP
        self._taken = asyncio.Event()
        self._to_stage: dict[str, asyncio.Queue[_Item]] = {lane: asyncio.Queue() for lane in stager.lanes}
        self._to_presign: asyncio.Queue[_Item] = asyncio.Queue()
        self._to_put: asyncio.Queue[_Item] = asyncio.Queue()
        self._to_confirm: asyncio.Queue[_Item] = asyncio.Queue()

    def loops(self) -> list[Callable[[], Coroutine[None, None, None]]]:
        """See `Mover`."""
        staging = [
            functools.partial(self._staging, lane) for lane, width in self.stager.lanes.items() for _ in range(width)
        ]
        asking = [self._presigning, self._confirming] * self.beside
        return [*staging, *asking, *[self._putting] * self.pace.ceiling]

    async def send(self, job: Job) -> None:
        """See `Mover`."""
        files = still_to_send(job, self.ledger, self.stager)
        if not files:
            await self.on_unit(job)
        for spec, file in files.items():
            item = _Item(job, spec, file, self.stager.plain(file))
            lane = self.stager.lane(spec, file)
            if lane:
                self._to_stage[lane].put_nowait(item)
            else:
                self._again(item)

    def close(self) -> None:
        """See `Mover`: all ends with the loops."""

    async def _staging(self, lane: str) -> None:
        while True:
            item = await self._to_stage[lane].get()
            if item.job.code:
                # Another file of this unit has failed for good: the rest need not be made.
                await self._done(item)
                continue
            try:
                item.staged = await self.stager.stage(item.spec, item.file)
            except OSError as error:
                await self._unreadable(item, error)
            except OutOfReach:
                # Not this file alone: nothing like it can be made here.
                raise
            except SkillsError as error:
                self._fail(item, error.code, str(error))
                await self._done(item)
            else:
                self._again(item)

    def _again(self, item: _Item) -> None:
        (self._to_presign if self.presigns else self._to_put).put_nowait(item)

    async def _presigning(self) -> None:
        while True:
            while self._to_put.qsize() >= AHEAD:
                self._taken.clear()
                await self._taken.wait()
            items = await _gather(self._to_presign, self._group)
            try:
                tickets = await self.transfer.presign([(item.staged.name, item.staged.size) for item in items])
            except NotThere:
                # This backend has no presigning: everything goes through it.
                self.presigns = False
                tickets = [None] * len(items)
            except Refused as error:
                tickets = await self._presign_each(items, error)
            got = sum(ticket is not None for ticket in tickets)
            if self.presigns and 0 < got < len(items):
                # Perhaps that is all it gives at once; to ask for more would cost those at the end their attempts.
                self._group = got
            for item, ticket in zip(items, tickets, strict=True):
                item.ticket, item.presigned_at = ticket, time.monotonic()
                if ticket is not None or not self.presigns:
                    self._to_put.put_nowait(item)
                elif not item.job.code:
                    await self._retry(item, "the backend gave no place for it")
                else:
                    await self._done(item)

    async def _presign_each(self, items: list[_Item], error: Refused) -> list[Ticket | None]:
        if len(items) == 1:
            self._fail(items[0], "transfer-failed", str(error))
            return [None]
        tickets: list[Ticket | None] = []
        for item in items:
            try:
                tickets += await self.transfer.presign([(item.staged.name, item.staged.size)])
            except Refused as refused:
                self._fail(item, "transfer-failed", str(refused))
                tickets.append(None)
        return tickets

    async def _putting(self) -> None:
        while True:
            item = await self._to_put.get()
            self._taken.set()
            if item.job.code:
                # Another file of this unit has failed for good: the rest need not travel.
                await self._done(item)
                continue
            if item.ticket is not None and time.monotonic() - item.presigned_at > LINK_LIFE_S / 2:
                # The line is slow, nothing is wrong: a fresh link costs no attempt.
                self._again(item)
                continue
            try:
                await self._put(item)
            except Expired:
                await self._retry(item, "its link expired before it could be sent")
            except TransferFailed as error:
                self._fail(item, error.code, str(error))
                await self._done(item)
            except OSError as error:
                if item.staged.path is not None:
                    # It was there when it was made: somebody empties the folder of what is converted.
                    raise self.stager.broken(error) from None
                await self._unreadable(item, error)
            except OutOfReach:
                # Not this file alone: nothing gets through any more.
                raise
            except SkillsError as error:
                self._fail(item, error.code, str(error))
                await self._done(item)

    async def _put(self, item: _Item) -> None:
        staged = item.staged
        if item.ticket is None:
            item.result = await self.transfer.through_backend(staged.name, staged.size, staged.open)
            # What was made for this can't have changed; its original was looked at when it was made.
            if staged.path is None and not await asyncio.to_thread(self.unchanged, item.file):
                raise TransferFailed("the file changed while it was read", again=True, code=CHANGED)
            await self._arrived([(item, item.result.sha1)])
            return
        item.result = await self.transfer.put(item.ticket, staged.name, staged.size, staged.open, staged.unchanged)
        self._to_confirm.put_nowait(item)

    async def _confirming(self) -> None:
        while True:
            items = await _gather(self._to_confirm, GROUP)
            try:
                answers = await self.transfer.confirm([item.result for item in items if item.result is not None])
            except (Refused, NotThere) as error:
                if len(items) == 1:
                    await self._retry(items[0], str(error))
                else:
                    # One bad entry must not take the others with it.
                    for item in items:
                        await self._confirm_one(item)
                continue
            answered = list(zip(items, answers, strict=True))
            await self._arrived([(item, answer.checksum) for item, answer in answered if answer.ok])
            for item, answer in answered:
                if not answer.ok:
                    await self._retry(item, answer.error or "the backend did not accept it")

    async def _confirm_one(self, item: _Item) -> None:
        assert item.result is not None
        try:
            answer = (await self.transfer.confirm([item.result]))[0]
        except (Refused, NotThere) as error:
            await self._retry(item, str(error))
            return
        if answer.ok:
            await self._arrived([(item, answer.checksum)])
        else:
            await self._retry(item, answer.error or "the backend did not accept it")

    async def _arrived(self, items: list[tuple[_Item, str]]) -> None:
        """Files are there, each with its checksum."""
        self.ledger.confirm((item.file, checksum, self.stager.target(item.spec, item.file)) for item, checksum in items)
        for item, checksum in items:
            item.job.checksums[item.spec] = checksum
            item.job.sent += 1
            if self.stager.target(item.spec, item.file):
                item.job.converted.append((item.file.size, item.staged.size))
            self.on_bytes(item.file.size)
            await self._done(item)

    async def _retry(self, item: _Item, why: str) -> None:
        item.attempts += 1
        if item.attempts < ATTEMPTS:
            self._again(item)
        else:
            self._fail(item, "transfer-failed", why)
            await self._done(item)

    async def _unreadable(self, item: _Item, error: OSError) -> None:
        gone = error.errno in (errno.ENOENT, errno.ENOTDIR)
        self._fail(item, "vanished" if gone else "unreadable-file", error.strerror or str(error))
        await self._done(item)

    def _fail(self, item: _Item, code: str, why: str) -> None:
        if not item.job.code:
            item.job.code = code
            item.job.error = f"{item.file.path}: {why}" if item.file.name not in why else why

    async def _done(self, item: _Item) -> None:
        self.stager.release(item.staged)
        item.job.left -= 1
        if item.job.left == 0:
            await self.on_unit(item.job)


async def _gather(queue: asyncio.Queue[_Item], most: int) -> list[_Item]:
    items = [await queue.get()]
    while len(items) < most and not queue.empty():
        items.append(queue.get_nowait())
    return items
