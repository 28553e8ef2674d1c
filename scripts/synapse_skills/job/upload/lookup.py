"""What the backend tells about data units that are already there, and how ours are recognised among them.

The backend keeps no key of ours. A unit is recognised by the prints of what came back for the canary: the checksums,
the paths, the meta, the groups. What does not come back can't count.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from synapse_skills.backend import Api
from synapse_skills.errors import OutOfReach
from synapse_skills.job.upload.ledger import NOTHING

PARTS = ("checksum", "path", "meta", "groups")
PAGE_SIZE = 100
STUCK_PAGES = 3
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def canonical(value: Any) -> Any:
    """A JSON value with whole floats as integers, so that 3.0 and 3 are one value on both sides."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    return value


def print_of(value: Any) -> str:
    """A short print of a JSON value, `NOTHING` for an empty one."""
    if value is None or value == {} or value == []:
        return NOTHING
    return hashlib.sha256(_ENCODER.encode(canonical(value)).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def prints_of(unit: Mapping[str, Any]) -> dict[str, str]:
    """The prints of a data unit, as it is sent or as a row comes back."""
    files = unit.get("files")
    specs = {spec: row for spec, row in files.items() if isinstance(row, Mapping)} if isinstance(files, Mapping) else {}
    found = {}
    for part in ("checksum", "path"):
        # A file that shows nothing (a specification without a file, a thumbnail of the backend's own) does not count.
        found[part] = print_of({spec: row[part] for spec, row in specs.items() if row.get(part) is not None})
    return found | {"meta": print_of(unit.get("meta")), "groups": print_of(_names(unit.get("groups")))}


def _names(groups: Any) -> Any:
    """Groups by name, also where they come back as objects."""
    if not isinstance(groups, list | tuple):
        return groups
    return [group.get("name", group) if isinstance(group, Mapping) else group for group in groups]


def pack(prints: Mapping[str, str]) -> str:
    """Prints as they are kept in the journal."""
    return ".".join(prints[part] for part in PARTS)


def unpack(text: str) -> dict[str, str]:
    """The reverse of `pack`."""
    return dict(zip(PARTS, text.split("."), strict=True))


@dataclass(frozen=True)
class Lookup:
    """What the canary has shown.

    Attributes:
        echo: the parts of a data unit that come back as they were sent.
        rising: whether newer units have higher ids, so that a floor bounds the search.
    """

    echo: tuple[str, ...]
    rising: bool

    @property
    def usable(self) -> bool:
        """Whether a lost answer can be looked up at all. Groups alone tell nothing apart."""
        return self.rising and any(part in self.echo for part in ("checksum", "path", "meta"))

    def fingerprint(self, prints: Mapping[str, str]) -> str:
        """The one print that counts: of the parts that come back."""
        return ".".join(prints[part] for part in PARTS if part in self.echo)


class Server:
    """The data units of one collection, and the tasks of one project, as lists to look things up in."""

    def __init__(self, api: Api, collection: int, project: int | None) -> None:
        self.api = api
        self.collection = collection
        self.project = project

    async def units_above(self, floor: int) -> AsyncIterator[dict[str, Any]]:
        """Rows of data units with an id above the floor, newest first where the backend sorts as asked."""
        async for row in self._rows("data_units/", {"data_collection": self.collection}, floor):
            if _number(row.get("data_collection")) in (self.collection, None):
                yield row

    async def tasks_above(self, floor: int) -> AsyncIterator[tuple[int, int]]:
        """(task id, data unit id) of the project's tasks with an id above the floor."""
        async for row in self._rows("sdk/tasks/", {"project": self.project}, floor):
            unit = _number(row.get("data_unit"))
            if _number(row.get("project")) in (self.project, None) and unit is not None:
                yield int(row["id"]), unit

    async def count_units(self) -> int | None:
        """How many data units the backend says the collection has; None if it does not say."""
        page = await self.api.get("data_units/", {"data_collection": self.collection, "page_size": 1})
        count = page.get("count") if isinstance(page, Mapping) else None
        return count if isinstance(count, int) else None

    async def newest_unit(self) -> int:
        """The highest id in the collection, 0 if it is empty."""
        return await self._newest("data_units/", {"data_collection": self.collection})

    async def newest_task(self) -> int:
        """The highest task id in the project, 0 if it has none."""
        return await self._newest("sdk/tasks/", {"project": self.project})

    async def _newest(self, path: str, scope: dict[str, Any]) -> int:
        newest, count = 0, 0
        async for row in self._rows(path, scope, 0):
            if count and row["id"] > newest:
                # Not sorted: all pages have to be looked at.
                return max([newest, int(row["id"]), *[int(other["id"]) async for other in self._rows(path, scope, 0)]])
            newest, count = max(newest, int(row["id"])), count + 1
            if count >= PAGE_SIZE:
                break
        return newest

    async def _rows(self, path: str, scope: dict[str, Any], floor: int) -> AsyncIterator[dict[str, Any]]:
        page = await self.api.get(path, {**scope, "ordering": "-id", "page_size": PAGE_SIZE})
        seen: set[str] = set()
        before: list[int] = []
        stuck = 0
        while True:
            # A bare list is a list without pages.
            rows = page.get("results") if isinstance(page, Mapping) else page
            following = page.get("next") if isinstance(page, Mapping) else None
            if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
                raise self._unreadable(path, "something that is not a list")
            ids = [row.get("id") for row in rows]
            if not all(isinstance(identity, int) for identity in ids):
                # To leave such a row out would be to say that it is not there.
                raise self._unreadable(path, "rows without a number as id")
            for row in rows:
                if row["id"] > floor:
                    yield dict(row)
            # Below the floor of a sorted list there is nothing to find; an unsorted one is read to its end. Sorted is
            # judged by the page: rows that others add meanwhile push known rows over to the next page.
            descending = all(a > b for a, b in itertools.pairwise(ids))
            if not following or following in seen or (len(ids) > 1 and descending and ids[-1] <= floor):
                return
            stuck = stuck + 1 if ids == before or not ids else 0
            if not isinstance(following, str) or stuck >= STUCK_PAGES:
                raise self._unreadable(path, "a list that has no end")
            seen.add(following)
            before = ids
            page = await self.api.get(following)

    def _unreadable(self, path: str, what: str) -> OutOfReach:
        return OutOfReach(
            f"{self.api.login.host} answered {path} with {what}.",
            hint="Check SYNAPSE_HOST: this does not look like Synapse.",
            code="not-synapse",
        )


def _number(value: Any) -> int | None:
    """The id that a row shows for something: bare, as text, or as an object; None if it shows none."""
    value = value.get("id") if isinstance(value, Mapping) else value
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) else None
