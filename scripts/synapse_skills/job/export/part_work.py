"""What is done with a part of the records, wherever that is: looked at, decided upon, written."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from synapse_skills.annotations.model import MediaFile, Record
from synapse_skills.export_plan import ExportPlan
from synapse_skills.formats import FORMATS
from synapse_skills.formats.base import Verified
from synapse_skills.job.export.at_hand import AtHand
from synapse_skills.job.export.decide import LABELS, Decider, Keep
from synapse_skills.job.export.index import Index
from synapse_skills.job.export.originals import Store
from synapse_skills.job.export.output import METADATA
from synapse_skills.job.export.parts import PartIndex, Tables, parts, rows_of
from synapse_skills.job.export.spool import Spool
from synapse_skills.job.export.strata import PART_CLASS
from synapse_skills.job.export.verify import check_format
from synapse_skills.job.export.write import QUARANTINE, Export, Part
from synapse_skills.job.parallel import Crew

NEEDS_META = ("class_json",)


class Needs(TypedDict):
    """What the formats of a plan need of the records, as `Decider` takes it."""

    needs_meta: bool
    needs_size: bool
    notes_names: bool


@dataclass(frozen=True)
class Deciding:
    """What all parts have in common that are looked at or decided upon."""

    plan: ExportPlan
    spool: Path
    needs: Needs

    def decider(self, tables: Tables) -> Decider:
        """Who decides about a part."""
        return Decider(self.plan, PartIndex(tables, _spool(self.spool)), **self.needs)


@dataclass(frozen=True)
class Writing:
    """What all parts have in common that are written.

    Attributes:
        parts: a folder in which each of them gets one of its own.
        places: the folders of the whole formats.
        rest: where originals go that no format places; None if none are wanted.
        seen: labelled classes, as `Export` has them.
        store: originals.
        has_names: whether names are given; without, each record has a name that no other one can have.
    """

    plan: ExportPlan
    spool: Path
    store: Path
    parts: Path
    places: dict[str, Path]
    rest: Path | None
    seen: tuple[str, ...]
    has_names: bool


def decider_of(
    plan: ExportPlan,
    index: Index,
    crew: Crew | None,
    *,
    keep: Keep | None,
    limit: int | None,
    on_record: Callable[[int], None],
) -> Decider:
    """Who decides about the records of an index, with a crew if there is one."""
    forms = [FORMATS[each.name] for each in plan.formats if each.name in FORMATS]
    needs: Needs = {
        "needs_meta": any(form.name in NEEDS_META for form in forms),
        "needs_size": any(form.needs_size for form in forms),
        "notes_names": crew is not None and all(form.splits for form in forms) and gives_names(plan),
    }
    if crew is None:
        return Decider(plan, index, keep=keep, limit=limit, on_record=on_record, **needs)
    common, works = Deciding(plan, index.spool.folder, needs), {"look": look, "decide": decide}

    def apart(name: str) -> Iterator[Tables]:
        return crew.each(works[name], common, parts(index, crew.size))

    return Decider(plan, index, keep=keep, limit=limit, on_record=on_record, apart=apart, **needs)


def gives_names(plan: ExportPlan) -> bool:
    """Whether the names of the whole export must be known before parts of it are written: not if they are ids."""
    return plan.naming != "id"


def look(common: Deciding, tables: Tables) -> Tables:
    """What every row says of itself: the rows of the table `record`."""
    decider = common.decider(tables)
    decider.look_at_rows()
    return rows_of(decider.index, "record")


def decide(common: Deciding, tables: Tables) -> Tables:
    """What takes the annotations: changed rows of the index, and the labels that were seen."""
    decider = common.decider(tables)
    decider.decide_on_rows()
    strata = (PART_CLASS,) if decider.has_strata else ()
    labels = [(label,) for label in sorted(decider.labels)]
    return rows_of(decider.index, "record", "want", "name", *strata) | {LABELS: labels}


def write(common: Writing, numbered: tuple[str, Tables]) -> tuple[Part, Path]:
    """Write a part into a folder that nobody else writes to, whoever has tried before or still tries."""
    name, tables = numbered
    plan, index = common.plan, PartIndex(tables, _spool(common.spool))
    folder = common.parts / f"{name}-{secrets.token_hex(4)}"
    folders = {each.name: folder / each.name for each in plan.formats}
    for each in folders.values():
        each.mkdir(parents=True)
    at_hand = AtHand(plan, index, Store(common.store))
    export = Export(
        plan,
        index,
        folders,
        metadata=folder / METADATA,
        quarantine=folder / QUARANTINE,
        seen=common.seen,
        place=at_hand.put if common.rest is not None else None,
        rest=common.rest,
        probed=at_hand.size,
        channels=at_hand.channels,
        names=given_names(index) if common.has_names else None,
        places=common.places,
    )
    return export.leave(), folder


def check(common: None, written: tuple[str, Path, dict[str, int]]) -> Verified:
    """Read a whole format back: its name, where it lies, the rows that were counted."""
    return check_format(*written)


def given_names(index: Index) -> Callable[[Record, MediaFile | None], str]:
    """Gives the media of each record the names that the index has for them, one after the other."""
    current: tuple[int, list[str]] = (-1, [])

    def name_of(record: Record, file: MediaFile | None) -> str:
        nonlocal current
        if record.key != current[0]:
            query = "SELECT name FROM name WHERE key = ? ORDER BY place DESC"
            current = record.key, [name for (name,) in index.database.execute(query, (record.key,))]
        return current[1].pop()

    return name_of


@functools.lru_cache(maxsize=1)
def _spool(folder: Path) -> Spool:
    """The spool, kept open from one part to the next."""
    return Spool(folder)
