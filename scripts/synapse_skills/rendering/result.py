"""An upload that has run, read back from its job's folder: report, ledger, inventory, plan. Needs no backend."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synapse_skills.errors import FindingError, printable
from synapse_skills.job.upload.outcome import Outcome, UnitOutcome
from synapse_skills.plan import UploadPlan, read_plan
from synapse_skills.rendering.described import apart, description, meta_of
from synapse_skills.rendering.folder import SCRIPT, is_edited
from synapse_skills.rendering.found import find_job, find_report
from synapse_skills.rendering.left_out import LeftOut, read_left_out
from synapse_skills.report import UploadReport
from synapse_skills.sources import File
from synapse_skills.sources.reading import PlacedFiles
from synapse_skills.texts import parse_json
from synapse_skills.units import Described

MOST_TROUBLED = 12
# What the ledger's states mean to somebody who looks at a page.
NOT_ARRIVED = {"failed": "refused", "unknown": "unknown", "sent": "not answered yet"}
NOT_SENT = "not sent"


@dataclass(frozen=True)
class ShownUnit:
    """A data unit as the page shows it; `trouble` is a word for what it is instead of uploaded, '' if it is."""

    key: str
    trouble: str
    reason: str
    server_id: int | None
    task_id: int | None
    files: list[tuple[str, File]]
    meta: dict[str, Any] | None


@dataclass
class UploadResult:
    """Everything that a page about an upload tells.

    Attributes:
        report: of the last run; None if that was killed before it could write one.
        arrived: data units on the backend, by all runs.
        shown: those that are looked at one by one: some of those in trouble, and a sample of those that arrived.
        edited: the script is no longer as rendered, so what metadata it gives is not known here.
        roots: the folders of the files, by the number that a file's `source` is.
        left_out: data units that stay at home by consent.
    """

    plan: UploadPlan
    report: UploadReport | None
    host: str
    arrived: int
    edited: bool
    roots: list[Path] = field(default_factory=list)
    shown: list[ShownUnit] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)


def read_result(folder: Path, *, state: Path | None = None, most: int = 60) -> UploadResult:
    """Read what became of an upload.

    Args:
        folder: the job's home, or its job folder.
        state: the state folder, if the job was run with `--state`.
        most: how many data units are looked at one by one.

    Raises:
        UsageError: there is no upload in the folder.
        FindingError: it has not been run yet.
        OutOfReach: its state can't be read.
    """
    home, job = find_job(folder, SCRIPT, what="upload")
    plan = read_plan(job / "plan.json")
    place = state or (Path(plan.state) if plan.state and "://" not in plan.state else home / "state")
    with Outcome(place / "ledger.sqlite") as outcome, PlacedFiles(place / "inventory.sqlite") as placed:
        counts = outcome.counts()
        # A dry run after the upload has report.json; the upload's own report lies beside it.
        report = last_report(place / "last_upload.json") or last_report(place / "report.json")
        if not counts and (report is None or report.mode == "dry-run"):
            raise FindingError(
                f"Nothing has been uploaded from {printable(str(folder))} yet.",
                hint="Run the job first: run.py job DIR --approve HASH.",
                code="nothing-there",
            )
        result = UploadResult(plan, report, _host(place), counts.get("created", 0), is_edited(job), placed.roots())
        trouble = _in_trouble(outcome, placed, report, _left_out(job), min(MOST_TROUBLED, max(1, most // 2)))
        units = [*trouble, *outcome.arrived(max(0, most - len(trouble)))]
        result.left_out = read_left_out(job / "left_out.jsonl")
        described = None if result.edited else description(plan, job)
        result.shown = [_shown(unit, placed, result, described) for unit in units]
    return result


def last_report(path: Path) -> UploadReport | None:
    """An upload's report, None if there is none (`bad-report` as `find_report` has it)."""
    return find_report(path, UploadReport.model_validate_json)


def _host(state: Path) -> str:
    try:
        return str(parse_json((state / "state.json").read_bytes()).get("host") or "")
    except (FileNotFoundError, ValueError, AttributeError):
        return ""


def _left_out(job: Path) -> set[str]:
    try:
        lines = (job / "left_out.jsonl").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return set()
    try:
        return {str(parse_json(line, 0)["unit"]) for line in lines if line.strip()}
    except (ValueError, KeyError, TypeError):
        return set()  # not what was written there: the job itself refuses it


def _in_trouble(
    outcome: Outcome, placed: PlacedFiles, report: UploadReport | None, left_out: set[str], most: int
) -> list[UnitOutcome]:
    found = outcome.not_arrived(most)
    # Those that were not fit to be sent are in no ledger. Looking for them means going through all: only if there are.
    missing = report is None or report.quarantined + report.failed + report.pending > 0
    for key in placed.units() if missing else ():
        if len(found) >= most:
            break
        if key not in left_out and not outcome.knows(key):
            found.append(UnitOutcome(key, NOT_SENT))
    return found


def _shown(unit: UnitOutcome, placed: PlacedFiles, result: UploadResult, described: Described | None) -> ShownUnit:
    trouble = "" if unit.state == "created" else NOT_ARRIVED.get(unit.state, NOT_SENT)
    files = placed.files_of(unit.key)
    meta = None if described is None else meta_of(described, unit.key, files, result.roots)
    return ShownUnit(unit.key, trouble, unit.reason, unit.server_id, unit.task_id, apart(files)[0], meta)
