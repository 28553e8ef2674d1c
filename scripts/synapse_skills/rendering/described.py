"""The metadata of the data units that a page shows: as the job gives it, by the same objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synapse_skills.errors import SkillsError
from synapse_skills.plan import UploadPlan
from synapse_skills.sources import File
from synapse_skills.units import Described, Unit, describe_for
from synapse_skills.units.sidecars import SIDECAR

Files = list[tuple[str, File]]


def apart(files: Files) -> tuple[Files, list[File]]:
    """The files that fill a specification, and the sidecars."""
    return [each for each in files if each[0] != SIDECAR], [file for spec, file in files if spec == SIDECAR]


def description(plan: UploadPlan, folder: Path) -> Described:
    """What describes the data units of a plan whose frozen rows lie in a folder.

    Raises:
        SkillsError: the plan's schema or rules can't be used.
    """
    return Described(describe_for(plan.metadata, folder=folder), plan.meta_schema)


def meta_of(described: Described, key: str, files: Files, roots: Sequence[Path]) -> dict[str, Any] | None:
    """The metadata of one data unit; None if it can't be told any more: a page says what it can."""
    taken, beside = apart(files)
    try:
        return described.meta_of(Unit(key, dict(taken), sidecars=beside, roots=roots))[0]
    except SkillsError:
        return None
