"""Originals fetched by the machines of a cluster: some of the wanted files by a task, into the store of the state.

All of them see that store, so a file that is there is fetched by nobody. What has not come whole lies in a folder of
the task's own until it has: two tasks may be after one file, if a machine is lost or records share a data unit.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synapse_skills.backend import Pace
from synapse_skills.backend.login import login_at
from synapse_skills.export_plan import ExportPlan
from synapse_skills.job.export.asking import api_of
from synapse_skills.job.export.fetch_parts import Fetching, share
from synapse_skills.job.export.index import Index
from synapse_skills.job.export.links import Links
from synapse_skills.job.export.originals import Originals, Store
from synapse_skills.job.export.parts import PartIndex, Tables, put, rows_of
from synapse_skills.job.export.scope import Scope
from synapse_skills.job.export.spool import Spool
from synapse_skills.job.parallel import Crew

FILES = 200
UNDER_WAY = ".under-way"


@dataclass(frozen=True)
class Getting(Fetching):
    """What all files have in common that are fetched; in `room` sizes are kept.

    Attributes:
        store: the folder that gets the files.
        under_way: a folder in which each task gets one of its own; without it there is nothing to be done any more.
    """

    store: Path
    under_way: Path


def get_apart(
    crew: Crew,
    plan: ExportPlan,
    index: Index,
    store: Store,
    where: tuple[str, str | None],
    workers: int,
    on_file: Callable[[int], None],
) -> None:
    """Have others fetch all originals that an index wants, or the sizes of pictures if the plan wants no more.

    What can't be had is noted in the index, with the reason.

    Args:
        crew: those others.
        plan: what is exported.
        index: knows what is wanted.
        store: gets the files.
        where: the backend that the job is logged in to.
        workers: requests at once of all of them together.
        on_file: is told of each file's bytes.
    """
    index.database.execute("DELETE FROM missing")
    under_way = _begin(store)
    room = index.spool.make_room()
    common = Getting(plan, where, index.spool.folder, room, share(crew, workers), store.folder, under_way)
    try:
        for tables, sizes in crew.each(get, common, wanted(index), at_once=workers):
            put(index, tables)
            for size in sizes:
                on_file(size)
    finally:
        shutil.rmtree(under_way, ignore_errors=True)


def _begin(store: Store) -> Path:
    """Room for what is under way; what a run that was killed has left there comes anew."""
    store.folder.mkdir(parents=True, exist_ok=True)
    for left in store.folder.glob(f"*{UNDER_WAY}"):
        shutil.rmtree(left, ignore_errors=True)
    under_way = store.folder / f"{secrets.token_hex(4)}{UNDER_WAY}"
    under_way.mkdir()
    return under_way


def wanted(index: Index) -> Iterator[Tables]:
    """All that is wanted, in pieces, files of one data unit together, with what must be known to ask for links."""
    # key, media, spec, data_unit, …
    wants = index.database.execute("SELECT * FROM want ORDER BY COALESCE(data_unit, key), key, media")
    for some in itertools.batched(wants, FILES):
        keys = sorted({want[0] for want in some})
        yield {"want": list(some), "row": _rows(index, "row", keys), "size": _rows(index, "size", keys)}


def _rows(index: Index, table: str, keys: list[int]) -> list[tuple[Any, ...]]:
    places = ", ".join("?" * len(keys))
    return index.database.execute(f"SELECT * FROM {table} WHERE key IN ({places})", keys).fetchall()  # noqa: S608


def get(common: Getting, tables: Tables) -> tuple[Tables, list[int]]:
    """Fetch some files: what is missing and what sizes are, as rows of the index, and the bytes of each file."""
    return asyncio.run(_get(common, tables))


async def _get(common: Getting, tables: Tables) -> tuple[Tables, list[int]]:
    plan, arrived = common.plan, list[int]()
    spool = Spool(common.spool, room=common.room)
    index = PartIndex(tables, spool)
    mine = common.under_way / secrets.token_hex(4)
    mine.mkdir()
    try:
        async with api_of(login_at(common.where), common.workers) as api:
            links = Links(api, Scope.of(plan), index, Pace(common.workers))
            store = Store(common.store, under_way=mine)
            whole = plan.originals != "none"
            await Originals(api, links, index, store, workers=common.workers, whole=whole, on_file=arrived.append).run()
    finally:
        spool.close()
        shutil.rmtree(mine, ignore_errors=True)
    return rows_of(index, "missing", "size"), arrived
