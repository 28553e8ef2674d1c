"""What refused data units have in common and the others do not: the backend's own words often say too little.

A bounded look: metadata values, extensions of the files and the folder above, over the first data units only. What all
refused ones share and none of the others has is a hint where to look, not a proof.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import islice
from typing import Any

from synapse_skills.errors import SkillsError, printable
from synapse_skills.job.upload.checking import Checker
from synapse_skills.job.upload.ledger import Ledger
from synapse_skills.job.upload.tally import Tally
from synapse_skills.units import Unit

LOOK_AT = 20_000
REFUSED, OTHERS = 50, 300
SHORT = 60

MetaOf = Callable[[Unit], Mapping[str, Any] | None]


def what_sets_apart(checker: Checker, ledger: Ledger, tally: Tally) -> str:
    """`alike` for a run; '' where what it needs can't be read any more: no report depends on it."""
    refused = {key for key, _ in tally.in_state("failed")}
    if len(refused) < 2:
        return ""
    with contextlib.suppress(SkillsError, OSError):
        return alike(
            checker.units(),
            refused,
            lambda key: ledger.standing(key).state == "created",
            lambda unit: checker.meta_of(unit)[0],
        )
    return ""


def alike(units: Iterable[Unit], refused: Collection[str], arrived: Callable[[str], bool], meta_of: MetaOf) -> str:
    """What sets the refused data units apart, as a sentence; '' if nothing does, or there are too few to tell.

    Args:
        units: all of them, by key.
        refused: keys.
        arrived: whether a data unit is on the backend.
        meta_of: the metadata as it is sent.
    """
    theirs: list[Unit] = []
    others: list[Unit] = []
    for unit in islice(units, LOOK_AT):
        if unit.key in refused:
            theirs += [unit] if len(theirs) < REFUSED else []
        elif len(others) < OTHERS and arrived(unit.key):
            others.append(unit)
        if len(theirs) >= min(REFUSED, len(refused)) and len(others) >= OTHERS:
            break
    if len(theirs) < 2 or len(others) < 2:
        return ""
    # A field that no refused unit has is told by the others' fields: both sides count as one list of names.
    metas = {unit.key: meta_of(unit) or {} for unit in [*theirs, *others]}
    fields = sorted({field for meta in metas.values() for field in meta})
    shared = set.intersection(*(_marks(unit, metas[unit.key], fields) for unit in theirs))
    for unit in others:
        shared -= _marks(unit, metas[unit.key], fields)
        if not shared:
            return ""
    which = "Each of them" if len(theirs) == len(refused) else f"Each of the {len(theirs)} that were looked at"
    return f"{which}, and none of {len(others)} that arrived, has {' and '.join(sorted(shared)[:3])}."


def _marks(unit: Unit, meta: Mapping[str, Any], fields: Iterable[str]) -> set[str]:
    marks = set()
    for field in fields:
        value = meta.get(field)
        if value is None:
            marks.add(f"no {printable(field)}")
        elif isinstance(value, str | int | float):
            marks.add(f"{printable(field)} {printable(json.dumps(value, ensure_ascii=False))[:SHORT]}")
    for spec, file in unit.files.items():
        marks.add(f"a {printable(file.suffix) or 'file without extension'} as {printable(spec)}")
    if "/" in unit.key:
        marks.add(f"the folder {printable(unit.key.split('/')[0])[:SHORT]}")
    return marks
