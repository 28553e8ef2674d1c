"""All rows of a scope into the spool: what is there stays, what is missing is fetched, what has changed is noticed."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from synapse_skills.backend import Api, Pace
from synapse_skills.backend.api import NotThere, Refused
from synapse_skills.errors import FindingError, OutOfReach
from synapse_skills.job.export.index import Index
from synapse_skills.job.export.keeping import HELD_BYTES, Keeping
from synapse_skills.job.export.payloads import Payloads
from synapse_skills.job.export.rows import Listed, Row, read_page
from synapse_skills.job.export.scope import Scope
from synapse_skills.job.export.spool import DATA, PAYLOAD, Kept, Spool
from synapse_skills.job.export.walk import Ask, NotOrdered, Take, Walk, Way, gaps

UNKNOWN_BYTES = 1 << 16
BY_ID = 100
FIRST = 16
"""Pages that are asked for at once at first: to read is less to bear than to write, and the list is short."""
GLANCED = 1_000
"""Rows of a page without payloads: as many as the SDK's own export lets people ask for. Who gives fewer gives more
pages."""


class Widened(FindingError):
    """The backend lists records that were not asked for."""

    code = "outside-scope"
    hint = "The backend does not apply a filter: leave that filter out, or ask its maintainers. Nothing was exported."


class Stopped(Exception):
    """A signal: what is fetched is kept."""


@dataclass
class Fetched:
    """What a run has fetched.

    Attributes:
        count: records that the backend counts at the end; None if it doesn't.
        rows: records fetched by this run.
        edited: records that were changed, made or removed since they had been fetched, and were fetched again.
        restless: those of them that were changed yet again.
        can_tell: whether rows say when they were changed.
    """

    count: int | None = None
    rows: int = 0
    edited: list[int] = field(default_factory=list)
    edited_count: int = 0
    restless: list[int] = field(default_factory=list)
    can_tell: bool = True


class Fetcher:
    """Fetches one scope through one Api.

    Args:
        on_rows: is told of so many more rows.
        limit: fetch no more than about so many of the newest (a try); the spool is then that of the try.
    """

    def __init__(
        self,
        api: Api,
        scope: Scope,
        spool: Spool,
        index: Index,
        *,
        page_size: int,
        workers: int,
        on_rows: Callable[[int], None] = lambda count: None,
        limit: int | None = None,
    ) -> None:
        self.api = api
        self.scope = scope
        self.spool = spool
        self.index = index
        self.page_size = page_size
        self.limit = limit
        self.workers = workers
        self.stopping = False
        self.done = Fetched()
        self.on_rows = on_rows
        self.pace = Pace(workers, start=FIRST)
        self._newest: Listed | None = None
        self._keeping = Keeping(spool, index)
        self.payloads = Payloads(api, Pace(workers), self._relist)

    def stop(self) -> None:
        """Fetch nothing new; what has arrived is kept."""
        self.stopping = True

    async def run(self) -> Fetched:
        """Fetch what is missing, then look for what has changed.

        Raises:
            Stopped: a signal came. Widened: rows that were not asked for. FindingError, OutOfReach: as Api's.
        """
        was_whole = self.index.begun is not None and self.index.is_whole
        begun = await self.begin()
        if self.limit is not None:
            await self._some(self.limit)
        elif not was_whole:
            if self.scope.has_ranges and begun["ranges"]:
                await self._by_ranges(begun)
            else:
                await self._by_pages()
            await self._keeping.keep({"t": "whole"})
        await self._lacking()
        await self._without_data()
        if self.limit is None:
            if self.scope.has_ranges:
                await self._look_again(begun)
            else:
                self.done.count = await self.count()
                if was_whole and self.done.count not in (None, self.index.count()):
                    # A ground truth is a list of versions: if it isn't the same any more, it is read again whole.
                    await self._by_pages()
        return self.done

    async def count(self, without: Iterable[str] = ()) -> int | None:
        """Records that the backend counts, some filters left out."""
        rest = {name: value for name, value in self.scope.filter.items() if name not in set(without)}
        scope = replace(self.scope, filter=rest)
        listed = await self._ask(scope.counting(), scope)
        if len(rest) == len(self.scope.filter):
            self._newest = listed
        return listed.count

    async def _newest_now(self) -> Listed:
        """The newest record and the count, as the last `count` has seen them; asked for if none has."""
        listed, self._newest = self._newest, None
        return listed if listed is not None else await self._ask(self.scope.counting())

    # -- the ways through a list -----------------------------------------------------------------------------------

    async def begin(self) -> dict[str, Any]:
        """Find out how many records there are, and between which ids; a run that goes on knows it."""
        if self.index.begun is not None:
            return self.index.begun
        newest = await self._newest_now()
        count = newest.count
        begun: dict[str, Any] = {"t": "begin", "count": count, "ranges": False, "low": 0, "high": 0}
        if newest.rows and self.scope.has_ranges:
            low, high = self.scope.bounds
            oldest = await self._ask(self.scope.counting() | {"ordering": self.scope.ordering})
            if oldest.rows and oldest.rows[0].key < newest.rows[0].key:
                low = max(low, oldest.rows[0].key)
            high = min(high or newest.rows[0].key + 1, newest.rows[0].key + 1)
            begun |= {"ranges": True, "low": low, "high": high}
        await self._keeping.keep(begun)
        return begun

    async def _by_ranges(self, begun: dict[str, Any]) -> None:
        try:
            await self.over(begun["low"], begun["high"], begun["count"])
        except NotOrdered:
            await self._by_pages()
        self._go_on()

    async def over(self, low: int, high: int, count: int | None) -> None:
        """Fetch what is missing of a range of ids, which holds about so many records.

        Raises:
            NotOrdered: the backend does not list by ranges.
        """
        try:
            await self._walk(self._range, self._take, gaps(low, high, self.index.covered()), count)
        finally:
            await self._keeping.settle()

    async def _walk(self, ask: Ask, take: Take, ranges: list[tuple[int, int]], count: int | None) -> None:
        walk = Walk(ask, take, page_size=self.page_size, workers=self.workers, stopped=lambda: self.stopping)
        await walk.over(ranges, -(-(count or self.page_size) // self.page_size))

    async def _range(self, low: int, high: int) -> Listed:
        return await self._ask(self.scope.listing(page_size=self.page_size, id__gte=low, id__lt=high))

    async def _take(self, rows: list[Row], low: int, high: int) -> None:
        await self._store(rows, lambda reached: {"t": "range", "low": reached, "high": high}, low, is_ahead=True)

    async def _by_pages(self) -> None:
        """One page after the other; a page's cursor leads to the next one, in a later run too."""
        query = self.scope.listing(page_size=self.page_size)
        cursor = self.index.cursor
        following = query | (cursor or {})
        way = Way(self.index.count)
        while True:
            self._go_on()
            try:
                listed = await self._ask(following)
            except (NotThere, Refused):
                if cursor is None:
                    raise
                # It doesn't live for ever: from the start again, and every row is kept once all the same.
                cursor, following, way = None, query, Way(self.index.count)
                continue
            here: dict[str, Any] = {"t": "page", "next": listed.following}
            await self._store(listed.rows, lambda reached, here=here: here, None)  # type: ignore[misc]
            if not listed.following:
                return
            following = query | listed.following
            way.went(listed)

    async def _some(self, limit: int) -> None:
        query = self.scope.listing(page_size=min(self.page_size, limit))
        following, way = query, Way(self.index.count)
        while self.index.count() < limit:
            self._go_on()
            listed = await self._ask(following)
            rows = listed.rows[: limit - self.index.count()]
            await self._store(rows, lambda reached: {"t": "some"}, None)
            if not listed.following:
                return
            following = query | listed.following
            way.went(listed)

    # -- again -----------------------------------------------------------------------------------------------------

    async def _lacking(self) -> None:
        """Try again for payloads that an earlier try could not get."""
        for keys in itertools.batched(self.index.lacking(PAYLOAD), BY_ID):
            self._go_on()
            await self._fetch_again(list(keys))

    async def _without_data(self) -> None:
        """Ask once more for records that came without any data: most are not labelled, and nothing but their data
        would tell those of a backend that had a bad moment."""
        lots = list(itertools.batched(self.index.lacking(DATA), BY_ID))
        for some in itertools.batched(lots, self.workers):
            self._go_on()
            await asyncio.gather(*(self._have_data_now(set(keys)) for keys in some))

    async def _have_data_now(self, keys: set[int]) -> None:
        async for rows in self._by_id(self.index.ids_of(keys)):
            found = [row for row in rows if row.key in keys and not row.is_bare]
            if found:
                await self._store(found, lambda reached: {"t": "again"}, None)

    async def _look_again(self, begun: dict[str, Any]) -> None:
        """Count again, and compare with a light listing: what was changed since is fetched again, once."""
        low, most = self.scope.bounds
        self.index.begin_glance()
        counted, glanced = await asyncio.gather(
            self.count(),
            self._walk(self._glance, self._glanced, [(low, begun["high"])], begun["count"]),
            return_exceptions=True,
        )
        if isinstance(counted, BaseException):
            raise counted
        self.done.count = counted
        newest = await self._newest_now()
        try:
            if isinstance(glanced, BaseException):
                raise glanced
            if newest.rows:
                # Those that are newer than the beginning.
                high = newest.rows[0].key + 1
                newer = max(low, begun["high"]), min(most or high, high)
                await self._walk(self._glance, self._glanced, [newer], None)
        except NotOrdered:
            self.done.can_tell = False
            return
        self._go_on()
        self.done.can_tell = self.index.can_tell()
        gone = self.index.gone()
        if gone:
            await self._keeping.keep({"t": "gone", "keys": gone})
        changed = self.index.changed()
        self.done.edited_count = len(gone) + len(changed)
        self.done.edited = sorted([*gone, *changed])[:3]
        for keys in itertools.batched(changed, BY_ID):
            self._go_on()
            missing = await self._fetch_again(list(keys))
            if missing:
                await self._keeping.keep({"t": "gone", "keys": missing})
        self.done.restless = self.index.restless()

    async def _glance(self, low: int, high: int) -> Listed:
        # Whether these are what was asked for is seen when those that seem new are fetched.
        return await self._list(self.scope.glance(page_size=max(self.page_size, GLANCED), id__gte=low, id__lt=high))

    async def _glanced(self, rows: list[Row], low: int, high: int) -> None:
        self.index.glance((row.key, row.version) for row in rows)

    async def _fetch_again(self, keys: list[int]) -> list[int]:
        """Fetch some records once more; those that the backend no longer has."""
        wanted = set(keys)
        async for rows in self._by_id(self.index.ids_of(keys)):
            found = [row for row in rows if row.key in wanted]
            await self._store(found, lambda reached: {"t": "again"}, None)
            wanted.difference_update(row.key for row in found)
            if not wanted:
                break
        return sorted(wanted)

    async def _relist(self, row: Row) -> Row | None:
        async for rows in self._by_id([row.id]):
            if found := next((each for each in rows if each.key == row.key), None):
                return found
        return None

    async def _by_id(self, ids: list[int]) -> AsyncIterator[list[Row]]:
        """Some rows by their ids, page by page: a page may hold fewer than were asked for."""
        query, asked = self.scope.by_id(ids), set(ids)
        following, way = query, Way(lambda: len(asked))
        while True:
            listed = await self._ask(following)
            yield listed.rows
            # Who does not know `ids` lists everything.
            if not listed.following or asked.isdisjoint(row.id for row in listed.rows):
                return
            following = query | listed.following
            way.went(listed)

    # -- the parts -------------------------------------------------------------------------------------------------

    async def _ask(self, query: dict[str, Any], scope: Scope | None = None) -> Listed:
        listed = await self._list(query)
        for row in listed.rows:
            objection = (scope or self.scope).objection(row.head)
            if objection is not None:
                raise Widened(f"Record {row.key} is none of those that were asked for: {objection}.")
        return listed

    async def _list(self, query: dict[str, Any]) -> Listed:
        async with self.pace.slot():
            parse = functools.partial(read_page, target=self.scope.target)
            listed = await self.api.get_as(self.scope.path, query, parse, self.pace.bad)
        if not isinstance(listed, Listed):
            raise OutOfReach(
                f"{self.api.login.host} answered {self.scope.path} with nothing.",
                hint="Check SYNAPSE_HOST: this does not look like Synapse.",
                code="not-synapse",
            )
        await self.pace.good()
        return listed

    async def _store(
        self, rows: list[Row], facts: Callable[[int], dict[str, Any]], low: int | None, *, is_ahead: bool = False
    ) -> None:
        """Fetch the payloads of a page and keep it, a few megabytes at a time.

        Args:
            facts: what a page says of itself, told how far down it reaches.
            low: how far down the last of them reaches; without it all parts but the last are kept as mere rows.
            is_ahead: others may be fetched before it is on the disk.
        """
        parts = list(_parts(rows)) or [[]]
        for number, part in enumerate(parts):
            payloads = await self.payloads.of(part)
            some = [kept(row, payload) for row, payload in zip(part, payloads, strict=True)]
            is_last = number == len(parts) - 1
            if low is not None:
                said = facts(low if is_last else part[-1].key)
                if number:
                    said |= {"high": parts[number - 1][-1].key}
            else:
                said = facts(0) if is_last else {"t": "some"}
            await (self._keeping.put if is_ahead else self._keeping.keep)(said, some)
            self.done.rows += len(some)
            self.on_rows(len(some))

    def _go_on(self) -> None:
        if self.stopping:
            raise Stopped


def kept(row: Row, payload: bytes | None) -> Kept:
    """A row as it is kept, with the payload that was fetched for it."""
    lacks = DATA if row.is_bare else 0
    if payload is None and row.wrapper is not None and row.wrapper.needs_fetching:
        lacks = PAYLOAD
    return Kept(row.key, row.as_kept(payload), row.id, lacks, row.version)


def _parts(rows: list[Row]) -> Iterator[list[Row]]:
    """Rows in lots whose payloads are not too much to hold at once."""
    part: list[Row] = []
    size = 0
    for row in rows:
        wrapper = row.wrapper
        weight = (wrapper.size or UNKNOWN_BYTES) if wrapper is not None and wrapper.needs_fetching else 0
        if part and size + weight > HELD_BYTES:
            yield part
            part, size = [], 0
        part.append(row)
        size += weight
    if part:
        yield part
