"""A plan that has not run, read from its home: plan, dry run, left_out.jsonl, inventory. Needs no backend."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synapse_skills.errors import SkillsError, UsageError, printable
from synapse_skills.metadata import MetaCheck
from synapse_skills.metadata.schema import STANDARD_KEYS
from synapse_skills.plan import METADATA_TABLE, UploadPlan, plan_hash, read_plan
from synapse_skills.rendering.described import Files, apart, description, meta_of
from synapse_skills.rendering.folder import MARKER, is_edited
from synapse_skills.rendering.left_out import LeftOut, read_left_out
from synapse_skills.rendering.place import place_of
from synapse_skills.rendering.result import last_report
from synapse_skills.rendering.sample import Sample, sample_by, sample_placed, was_placed_by
from synapse_skills.report import UploadReport
from synapse_skills.sources import File
from synapse_skills.sources.reading import PlacedFiles
from synapse_skills.sources.source import BROUGHT
from synapse_skills.texts import parse_json
from synapse_skills.units import Described, PlaceFunction, set_aside_of, sidecars_of

_DECIDED = "grouping."


@dataclass(frozen=True)
class PlannedUnit:
    """A data unit as the page shows it; `meta` is what it has of its own: neither for all alike nor its name."""

    key: str
    files: list[tuple[str, File]]
    meta: dict[str, Any] | None = None


@dataclass
class PlannedUpload:
    """Everything that a page about a plan tells.

    Attributes:
        hash: what the user approves: of plan.json's bytes as they are.
        home: the job's home, as far as it can be told from where the plan lies.
        shipped: the hash of the plan in the job folder if that is another one, else ''.
        edited: the script is no longer as rendered, so it may place and describe otherwise than the plan says.
        decided: the layout was said, not inferred.
        report: of the last dry run.
        is_stale: the dry run is older than the plan.
        files_there: files in the sources when they were last looked at; None if nobody knows.
        sample: data units to look at.
        note: why there are none, or what is special about them.
        roots: the folders of the files, by the number that a file's `source` is.
        units: those of the sample, with their metadata.
        named: the metadata fields that hold a data unit's own name.
    """

    plan: UploadPlan
    hash: str
    home: Path
    shipped: str = ""
    edited: bool = False
    decided: bool = False
    report: UploadReport | None = None
    is_stale: bool = False
    left_out: LeftOut = field(default_factory=LeftOut)
    files_there: int | None = None
    sample: Sample = field(default_factory=Sample)
    note: str = ""
    roots: list[Path] = field(default_factory=list)
    units: list[PlannedUnit] = field(default_factory=list)
    named: list[str] = field(default_factory=list)


def read_planned(path: Path, *, most: int = 24) -> PlannedUpload:
    """Read a plan and what is known about it.

    Args:
        path: plan.json, the job's home, or its job folder.
        most: how many data units are looked at one by one.

    Raises:
        UsageError: there is no plan.
        FindingError: it is not a plan, or left_out.jsonl or the dry run's report can't be read.
    """
    file = find_plan(path)
    plan = read_plan(file)
    beside = file.absolute().parent
    home = beside.parent if (beside / MARKER).is_file() else beside
    planned = PlannedUpload(plan, plan_hash(file.read_bytes()), home)
    planned.shipped = _shipped(home, planned.hash)
    planned.edited = is_edited(home / "job")
    planned.decided = _is_decided(home)
    planned.left_out = read_left_out(beside / "left_out.jsonl")
    planned.report, planned.is_stale = _dry_run(home, file)
    _look_at_units(planned, beside, most)
    return planned


def find_plan(path: Path) -> Path:
    """The plan.json that is meant.

    Raises:
        UsageError: there is none.
    """
    if not path.is_dir():
        return path
    for file in (path / "plan.json", path / "job" / "plan.json"):
        if file.is_file():
            return file
    raise UsageError(
        f"There is neither a plan nor an upload in {printable(str(path))}.",
        hint="Name a plan.json, or the folder that plan_upload made: synapse-jobs/NAME.",
        code="no-job",
    )


def _shipped(home: Path, known: str) -> str:
    try:
        found = plan_hash((home / "job" / "plan.json").read_bytes())
    except OSError:
        return ""
    return "" if found == known else found


def _is_decided(home: Path) -> bool:
    """Whether somebody said what the layout is. What can't be read says nothing: the page only words it otherwise."""
    try:
        answers = parse_json((home / "answers.json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(answers, dict) and any(str(key).startswith(_DECIDED) for key in answers)


def _dry_run(home: Path, plan: Path) -> tuple[UploadReport | None, bool]:
    """The newest dry run's report, and whether the plan was written after it."""
    found = [path for path in (home / "dry_run.json", home / "state" / "report.json") if path.is_file()]
    for path in sorted(found, key=lambda each: each.stat().st_mtime_ns, reverse=True):
        report = last_report(path)
        if report is not None and report.mode == "dry-run":
            return report, path.stat().st_mtime_ns < plan.stat().st_mtime_ns
    return None, False


def _look_at_units(planned: PlannedUpload, beside: Path, most: int) -> None:
    """Fill in the sample, and the note about it."""
    plan, names = planned.plan, [spec.name for spec in planned.plan.specs]
    candidates = [planned.home / "inventory.sqlite", planned.home / "state" / "inventory.sqlite"]
    # The dry run's is the one that an edited script has placed.
    open_ones = [path for path in (reversed(candidates) if planned.edited else candidates) if path.is_file()]
    usable: list[Path] = []
    place: PlaceFunction | None = None
    try:
        place = _place(planned, beside)
        for path in open_ones:
            with PlacedFiles(path) as placed:
                if not placed.is_whole() or not _is_of(placed, plan):
                    continue
                usable.append(path)
                planned.files_there = planned.files_there or placed.counts()[0]
                as_script = planned.edited and path == candidates[1] and placed.is_placed()
                if as_script or was_placed_by(placed, place, names):
                    _take(planned, placed, sample_placed(placed, most, planned.left_out.marks))
                    planned.note = "They are those of the edited script." if as_script else ""
                    return
        for path in usable[:1]:
            with PlacedFiles(path) as placed:
                _take(planned, placed, sample_by(placed, place, names, most, planned.left_out.marks))
            return
    except SkillsError as error:
        planned.note = f"None are shown: {error}"
        return
    planned.note = (
        "None are shown: the files that were looked at beside this plan are those of other sources, or only a part."
        if open_ones
        else "None are shown: there is no inventory of files beside this plan. plan_upload makes one."
    )


def _place(planned: PlannedUpload, beside: Path) -> PlaceFunction:
    plan, table = planned.plan, planned.plan.grouping.table
    folder = beside if table is None or (beside / table).is_file() else planned.home / "job"
    set_aside = set_aside_of(plan.metadata, plan.sources)
    sidecars = sidecars_of(plan.metadata)
    return place_of(plan.grouping, plan.specs, plan.sources, folder=folder, sidecars=sidecars, set_aside=set_aside)


def _is_of(placed: PlacedFiles, plan: UploadPlan) -> bool:
    here = [(Path(os.path.realpath(each.path)), each.recursive) for each in plan.sources]
    # Of folders that only the cluster sees, the inventory names those here that hold what was brought of them.
    brought = f"{os.path.realpath(placed.path.parent)}/{BROUGHT}"
    there = [(Path(f"{brought}{each.path}"), each.recursive) for each in plan.sources]
    return placed.sources() in (here, there)


def _take(planned: PlannedUpload, placed: PlacedFiles, sample: Sample) -> None:
    plan = planned.plan
    planned.sample, planned.roots = sample, placed.roots()
    # The primary specification's picture comes first, then as the collection has them.
    ranked = sorted(plan.specs, key=lambda spec: not spec.is_primary)
    rank = {spec.name: number for number, spec in enumerate(ranked)}
    given = {key: value for rule in plan.metadata for key, value in rule.values.items()}
    own = _own_of(planned, given)
    for key, files in sample.units:
        taken = apart(files)[0]
        ordered = sorted(taken, key=lambda item: (rank.get(item[0], len(rank)), item[1].source, item[1].path))
        planned.units.append(PlannedUnit(key, ordered, own(key, files)))
    planned.named = [] if planned.edited else _named(plan, given)


def _own_of(planned: PlannedUpload, given: dict[str, Any]) -> Callable[[str, Files], dict[str, Any] | None]:
    """Gives the metadata that a data unit has of its own, where the plan says it and it can be told here."""
    plan = planned.plan
    folders = [folder for folder in (planned.home, planned.home / "job") if (folder / METADATA_TABLE).is_file()]
    described: Described | None = None
    if not planned.edited and any(rule.kind not in ("constants", "said") for rule in plan.metadata):
        with contextlib.suppress(SkillsError):  # the dry run reports it; here it is only not known what is sent
            described = description(plan, folders[0] if folders else planned.home)

    def own(key: str, files: Files) -> dict[str, Any] | None:
        meta = None if described is None else meta_of(described, key, files, planned.roots)
        if meta is None:
            return None
        shared = dict.fromkeys(STANDARD_KEYS, key) | given
        return {name: value for name, value in meta.items() if name not in shared or value != shared[name]}

    return own


def _named(plan: UploadPlan, given: dict[str, Any]) -> list[str]:
    """The standard fields that the collection's schema lets in."""
    try:
        full = MetaCheck(plan.meta_schema).complete(given, "unit")[0] or {}
    except SkillsError:
        # A schema that can't be used is the dry run's to report; here it is only not known what is sent.
        return []
    return [key for key in STANDARD_KEYS if key in full and key not in given]
