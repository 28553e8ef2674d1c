"""Records fetched by the machines of a cluster: each range of ids by a task, which keeps the pages it gets.

A task logs in as its own environment says, has its share of the requests at once, and appends to segments of the spool
that nobody else appends to. What it has kept is found by the next run even if this one dies before the task answers. A
range that was fetched twice because its machine was lost counts once: the index has one place for each record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from synapse_skills.backend.login import login_at
from synapse_skills.export_plan import ExportPlan
from synapse_skills.job.export.asking import api_of
from synapse_skills.job.export.fetch import Fetcher
from synapse_skills.job.export.index import Index
from synapse_skills.job.export.parts import PartIndex, Tables, put, rows_of
from synapse_skills.job.export.scope import Scope
from synapse_skills.job.export.spool import Page, Spool
from synapse_skills.job.export.walk import NotOrdered, gaps
from synapse_skills.job.parallel import Crew

RECORDS = 5_000
"""Records that a task is given at most, as far as can be told before."""
DENSE = 4
"""So many times as many as were expected, and the rest of a range is divided anew."""

Span = tuple[int, int]
Piece = tuple[int, int, int]
"""From an id, up to another one, and how many records there may be."""


@dataclass(frozen=True)
class Fetching:
    """What all ranges have in common that are fetched.

    Attributes:
        where: the backend that the job is logged in to.
        room: the folder in the spool where they are kept.
        workers: requests at once of each task.
    """

    plan: ExportPlan
    where: tuple[str, str | None]
    spool: Path
    room: str
    workers: int


def fetch_apart(
    crew: Crew,
    plan: ExportPlan,
    index: Index,
    where: tuple[str, str | None],
    workers: int,
    on_rows: Callable[[int], None],
) -> None:
    """Have others fetch what is missing of the ids that an export has begun with.

    Args:
        crew: those others.
        plan: what is exported.
        index: gets what they have kept.
        where: the backend that the job is logged in to.
        workers: requests at once of all of them together.
        on_rows: is told of so many more rows.
    """
    begun = index.begun
    if begun is None or not begun["ranges"] or index.is_whole:
        return
    common = Fetching(plan, where, index.spool.folder, index.spool.make_room(), share(crew, workers))
    try:
        # Where ids lie close together a task leaves the rest of its range to the next round.
        while missing := gaps(begun["low"], begun["high"], index.covered()):
            left = (begun["count"] or 0) - index.count()
            for tables, covered in crew.each(
                fetch, common, pieces(missing, left, crew.size, plan.limits.page_size), at_once=workers
            ):
                put(index, tables)
                for low, high in covered:
                    index.add(Page({"t": "range", "low": low, "high": high}, []))
                on_rows(len(tables["row"]))
    except NotOrdered:
        # Whoever goes on alone sees it too, and then reads page after page.
        return


def share(crew: Crew, workers: int) -> int:
    """Requests at once of each task, if all together have so many."""
    return max(1, workers // min(crew.size, workers))


def pieces(missing: Iterable[Span], count: int, crew: int, page_size: int) -> Iterator[Piece]:
    """Ranges that hold about as many records each: some for each one of a crew, none too short to pay.

    Args:
        missing: what is to be divided.
        count: records that it may hold; nobody knows if that is not more than 0.
        crew: how many they are.
        page_size: of the pages.
    """
    missing = list(missing)
    count = count if count > 0 else 4 * crew * page_size
    most = max(page_size, min(RECORDS, count // (4 * crew)))
    step = max(1, sum(high - low for low, high in missing) * most // count)
    for start, end in missing:
        for low in range(start, end, step):
            yield low, min(low + step, end), most


def fetch(common: Fetching, piece: Piece) -> tuple[Tables, list[Span]]:
    """Fetch a range, or so much of it as one task should: the rows of the index, and the ids that are covered."""
    return asyncio.run(_fetch(common, *piece))


async def _fetch(common: Fetching, low: int, high: int, expected: int) -> tuple[Tables, list[Span]]:
    plan, spool = common.plan, Spool(common.spool, room=common.room)
    index = PartIndex({}, spool)
    try:
        async with api_of(login_at(common.where), common.workers) as api:
            fetcher = Fetcher(
                api, Scope.of(plan), spool, index, page_size=plan.limits.page_size, workers=common.workers
            )

            def on_rows(count: int) -> None:
                if fetcher.done.rows >= DENSE * expected:
                    fetcher.stop()

            fetcher.on_rows = on_rows
            await fetcher.over(low, high, expected)
    finally:
        spool.close()
    return rows_of(index, "row"), index.covered()
