"""Links to originals, issued when they are needed: by the records' ids, then by their data units'."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable
from typing import Any

from synapse_skills.annotations import read_row
from synapse_skills.annotations.model import MediaFile
from synapse_skills.backend import Api, Pace
from synapse_skills.errors import OutOfReach
from synapse_skills.job.export.index import Index
from synapse_skills.job.export.rows import Listed, Row, read_page
from synapse_skills.job.export.scope import Scope
from synapse_skills.job.export.spool import Kept
from synapse_skills.job.export.walk import Way

AT_ONCE = 100
UNITS = "data_units/"


class Links:
    """Asks the backend for rows of records and data units by their ids.

    Args:
        pace: of the backend.
    """

    def __init__(self, api: Api, scope: Scope, index: Index, pace: Pace) -> None:
        self.api = api
        self.scope = scope
        self.index = index
        self.pace = pace

    async def of(self, keys: list[int], *, again: bool = False) -> dict[int, tuple[MediaFile, ...]]:
        """The files of some records with links that are new.

        Args:
            again: links of data units were refused: all are asked for anew.
        """
        found: dict[int, tuple[MediaFile, ...]] = {}
        units: dict[int, int] = {}
        query = self.scope.by_id(self.index.ids_of(keys))
        if self.scope.target != "task":
            del query["expand"]
        wanted = set(keys)
        for row in await self._rows(self.scope.path, query, self.scope.target, self.index.ids_of(keys)):
            if row.key not in wanted:
                continue
            record = read_row(row.as_received({"data"}), self.scope.target, payload=b"null")
            found[row.key] = record.files
            if record.data_unit is not None and not self._has_all(row.key, record.files):
                units[row.key] = record.data_unit
        if units:
            by_unit = {unit: files async for unit, files in self._of_units(set(units.values()))}
            for key, unit in units.items():
                found[key] = _both(found[key], by_unit.get(unit, ()))
        return found

    def _has_all(self, key: int, files: tuple[MediaFile, ...]) -> bool:
        linked = {file.spec for file in files if file.url}
        wanted = self.index.database.execute("SELECT spec FROM want WHERE key = ? AND spec IS NOT NULL", (key,))
        return all(spec in linked for (spec,) in wanted)

    async def _of_units(self, ids: Iterable[int]) -> Any:
        for row in await self._units(sorted(ids)):
            body = b'{"id":0,"data_unit":' + row.as_received() + b"}"
            yield row.id, read_row(body, "task", payload=b"null").files

    async def _units(self, ids: list[int]) -> list[Row]:
        query = {"ids": ",".join(map(str, ids)), "page_size": AT_ONCE, "expand": "files"}
        return await self._rows(UNITS, query, "data_unit", ids)

    async def _rows(self, path: str, query: dict[str, Any], target: str, ids: list[int]) -> list[Row]:
        rows: list[Row] = []
        following, asked, way = query, set(ids), Way(lambda: len(ids))
        while True:
            async with self.pace.slot():
                parse = functools.partial(read_page, target=target)
                listed = await self.api.get_as(path, following, parse, self.pace.bad)
            if not isinstance(listed, Listed):
                raise OutOfReach(f"The backend answered {path} with nothing.", code="not-synapse")
            here = [row for row in listed.rows if row.id in asked]
            rows += here
            # Who does not know `ids` lists everything.
            if not listed.following or not here:
                return rows
            following = query | listed.following
            way.went(listed)

    async def metas(self, ids: list[int]) -> dict[int, dict[str, Any]]:
        """The meta of data units, by their ids; nothing of it is kept."""
        wanted = set(ids)
        rows = [row for row in await self._units(ids) if row.id in wanted]
        return {row.id: meta for row in rows if isinstance(meta := row.head.get("meta"), dict)}

    async def fetch_units(self, ids: list[int]) -> int:
        """Keep data units in the spool, by their ids; how many the backend has."""
        kept = 0
        for some in itertools.batched(ids, AT_ONCE):
            wanted = set(some)
            rows = {row.id: row for row in await self._units(list(some)) if row.id in wanted}
            self.index.add(
                self.index.spool.append({"t": "units"}, [Kept(row.id, row.as_kept(), row.id) for row in rows.values()])
            )
            kept += len(rows)
        return kept


def _both(first: tuple[MediaFile, ...], second: tuple[MediaFile, ...]) -> tuple[MediaFile, ...]:
    """Files of the row, and those of its data unit for what the row gives no link to."""
    linked = {file.spec: file for file in first if file.url}
    rest = [file for file in second if file.spec not in linked]
    return (*linked.values(), *rest)
