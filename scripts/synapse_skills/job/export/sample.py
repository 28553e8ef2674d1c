"""A look at some records before anything is planned: rows as an export would keep them, payloads included."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from synapse_skills.backend import Api, Backend, Pace
from synapse_skills.errors import OutOfReach
from synapse_skills.job.export.fetch import kept
from synapse_skills.job.export.payloads import Payloads
from synapse_skills.job.export.rows import Listed, Row, read_page
from synapse_skills.job.export.scope import Scope
from synapse_skills.job.export.spool import Kept

PLACES = 4
MAX_PAGE = 100


def sample_of(backend: Backend, target: str, scope: int, filter: Mapping[str, Any], n: int) -> list[bytes]:
    """`sample` for those who ask with plain calls."""
    return backend.run(lambda api: sample(api, target, scope, filter, n))


async def sample(api: Api, target: str, scope: int, filter: Mapping[str, Any], n: int) -> list[bytes]:
    """Up to `n` rows, from the newest to the oldest: of several places of the list where it can be asked so.

    Args:
        api: the backend.
        target: assignment, ground_truth or task.
        scope: number of the project, or of the ground truth's version.
        filter: friendly filters.
        n: how many.

    Returns:
        Rows as bytes, ready for `annotations.read_row`; one whose payload can't be had keeps what stands for it.

    Raises:
        FindingError, OutOfReach: as an export would.
    """
    return [each.content for each in await kept_sample(api, Scope(target, scope, filter), n)]


async def kept_sample(api: Api, scope: Scope, n: int) -> list[Kept]:
    """The same, as a spool keeps them."""
    looker = _Looker(api, scope)
    rows = await looker.rows(n)
    payloads = await looker.payloads.of(rows)
    return [kept(row, payload) for row, payload in zip(rows, payloads, strict=True)]


class _Looker:
    def __init__(self, api: Api, scope: Scope) -> None:
        self.api = api
        self.scope = scope
        self.payloads = Payloads(api, Pace(8), self._relist)

    async def rows(self, n: int) -> list[Row]:
        each = min(MAX_PAGE, max(1, -(-n // PLACES)))
        first = await self._ask(self.scope.listing(page_size=min(MAX_PAGE, n)))
        found = {row.key: row for row in first.rows[:n]}
        if not first.following or not self.scope.has_ranges or n < PLACES:
            return _newest(found, n)
        # There is more than one page: the newest alone would say little of the rest.
        oldest = await self._ask(self.scope.counting() | {"ordering": self.scope.ordering})
        low, high = min((row.key for row in oldest.rows), default=0), max(found)
        found = {row.key: row for row in first.rows[:each]}
        for place in range(1, PLACES):
            bound = high - (high - low) * place // PLACES
            page = await self._ask(self.scope.listing(page_size=each, id__lt=bound))
            found |= {row.key: row for row in page.rows[:each]}
        found |= {row.key: row for row in first.rows[each : each + n - len(found)]}
        return _newest(found, n)

    async def _ask(self, query: dict[str, Any]) -> Listed:
        listed = await self.api.get_as(self.scope.path, query, functools.partial(read_page, target=self.scope.target))
        if not isinstance(listed, Listed):
            raise OutOfReach("The backend answered a list with nothing.", code="not-synapse")
        return listed

    async def _relist(self, row: Row) -> Row | None:
        listed = await self._ask(self.scope.by_id([row.id]))
        return next((each for each in listed.rows if each.key == row.key), None)


def _newest(found: dict[int, Row], n: int) -> list[Row]:
    return [found[key] for key in sorted(found, reverse=True)[:n]]
