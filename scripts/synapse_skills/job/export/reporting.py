"""From what happened to the report, its exit code, and the lines that people read."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from synapse_skills.errors import (
    EXIT_FINDINGS,
    EXIT_INCOMPLETE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    SkillsError,
    printable,
    redact,
)
from synapse_skills.export_plan import ExportPlan
from synapse_skills.formats.pictures import picture_folders
from synapse_skills.formats.reasons import NOT_HELD, TOOL_LEFT_OUT
from synapse_skills.job.export.checksums import shares_of
from synapse_skills.job.export.decide import NO_PART, Decided, parts_of
from synapse_skills.job.export.fetch import Fetched
from synapse_skills.job.export.write import BROKEN, ORIGINAL_MISSING
from synapse_skills.job.export.written import Written
from synapse_skills.job.running import last_lines
from synapse_skills.job.worker import job_id, worker
from synapse_skills.report import (
    AnnotationCounts,
    ExportFiles,
    ExportReport,
    FormatCounts,
    Problem,
    Problems,
    RecordCounts,
)

UNFIT = ("rows-missing", "lost-annotations", "quarantined", "originals-missing")
"""Errors that end an export with exit 5: it is there, but not all that was wanted is in it."""
FAR = 0.1
"""So far from its ratio, a part is worth a warning."""
FIXES = {
    "payload-missing": "Run it again: the payload is asked for once more.",
    "unreadable-record": "Open the record in Synapse and save it again, or leave it out with a filter.",
    NO_PART: "Give it one of the split's own categories in Synapse, or split by ratios.",
    ORIGINAL_MISSING: "Mend the file in Synapse, or plan with originals=optional.",
}


@dataclass
class Outcome:
    """What a run came to, as far as it came."""

    fetched: Fetched | None = None
    decided: Decided | None = None
    written: Written | None = None
    files: int = 0
    reached: str = ""
    is_unchanged: bool = False
    earlier: Mapping[str, Any] = field(default_factory=dict)
    problems: Problems = field(default_factory=Problems)


def compare_counts(outcome: Outcome, here: int) -> None:
    """Say so if other records were fetched than the backend counts at the end."""
    count = outcome.fetched.count if outcome.fetched is not None else None
    if count is None or count == here:
        return
    fewer = here < count
    outcome.problems.add(
        "rows-missing" if fewer else "rows-more",
        f"{here:,} records were fetched, the backend counts {count:,}",
        severity="error" if fewer else "warning",
        count=abs(count - here),
        fix="Run it again: what is missing is fetched." if fewer else "Records were removed meanwhile.",
    )


def consents(plan: ExportPlan, name: str, reason: str) -> bool:
    """Whether the plan accepts that a format loses annotations for this reason."""
    if f"{name}:{reason}" in plan.losses:
        return True
    if reason.endswith(f"-{NOT_HELD}") and f"{name}:{NOT_HELD}" in plan.losses:
        return True  # said of all tools at once
    classes = plan.classes
    return (
        reason in ("dropped", TOOL_LEFT_OUT)
        or (reason == "unknown-class" and classes.unknown == "drop")
        or (reason == "unlabelled" and classes.unlabelled == "drop")
        or (reason == "outside" and plan.geometry == "drop")
    )


def make_report(
    plan: ExportPlan,
    outcome: Outcome,
    error: SkillsError | None,
    *,
    dry_run: bool,
    interrupted: bool,
    started: float,
) -> ExportReport:
    """The report of a run, however it ended."""
    problems = Problems()
    problems_of(plan, outcome, problems)
    if outcome.written is not None and not dry_run:
        _of_split(plan, outcome.written, problems)
        _of_pictures(plan, problems)
    if interrupted and outcome.reached:
        fix = "Run it again: it goes on from there, and what is half written is written anew."
        problems.add("interrupted", outcome.reached, severity="warning", fix=fix)
    if error is not None:
        problems.merge(Problem(code=error.code, examples=[str(error)], fix=error.hint))
    written, decided = outcome.written, outcome.decided
    report = ExportReport(
        name=plan.name,
        started=datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        # A clock that was set back must not make it less than none.
        seconds=round(max(0.0, time.time() - started), 3),
        exit_code=EXIT_OK,
        mode="dry-run" if dry_run else "export",
        job_id=job_id(),
        worker=worker(),
        problems=problems.as_list(),
    )
    if outcome.is_unchanged:
        same = {name: outcome.earlier[name] for name in ("records", "annotations", "files", "splits")}
        report = ExportReport.model_validate(report.model_dump() | same)
    elif written is not None and decided is not None:
        left_out = sum(decided.left_out.values())
        quarantined = sum(written.quarantined.values())
        report.records = RecordCounts(
            read=written.records + quarantined + left_out,
            exported=written.records,
            quarantined=quarantined,
            left_out=left_out,
        )
        report.annotations = AnnotationCounts(
            read=written.annotations,
            formats={
                name: FormatCounts(written=tally.written, lost=dict(sorted(tally.lost.items())))
                for name, tally in written.formats.items()
            },
        )
        report.files = ExportFiles(written=outcome.files, originals=written.originals, missing=written.missing)
        report.splits = {part: written.items.get(part, 0) for part in parts_of(plan.split)}
    report.exit_code = _exit_code(report, error, interrupted=interrupted)
    if not dry_run and report.exit_code in (EXIT_OK, EXIT_INCOMPLETE):
        report.output = redact(plan.place)
        report.next = f"verify_export {shlex.quote(report.output)}"
    return ExportReport.model_validate(report.model_dump())


def problems_of(plan: ExportPlan, outcome: Outcome, problems: Problems) -> None:
    """All that is to be said of a run."""
    for problem in outcome.problems.as_list():
        problems.merge(problem)
    if outcome.fetched is not None:
        _of_fetched(outcome.fetched, problems)
    if outcome.is_unchanged:
        for said in outcome.earlier.get("problems", []):
            problems.merge(Problem.model_validate(said), group=str(said.get("fix", "")))
        return
    if outcome.decided is not None:
        _of_decided(outcome.decided, problems)
    if outcome.written is not None:
        _of_written(plan, outcome.written, problems)


def _of_fetched(fetched: Fetched, problems: Problems) -> None:
    if fetched.edited_count:
        problems.add(
            "edited-during-run",
            "records " + ", ".join(map(str, fetched.edited)),
            severity="info",
            count=fetched.edited_count,
            fix="They were changed, made or removed after they had been fetched, and were fetched again.",
        )
    for key in fetched.restless:
        fix = "Somebody is working on them: run it again when they have finished."
        problems.add("still-edited", f"record {key}", severity="warning", fix=fix)
    if not fetched.can_tell:
        fix = "The backend does not say when records were changed: --fresh fetches everything anew."
        problems.add("edits-unknown", severity="info", fix=fix)


def _of_decided(decided: Decided, problems: Problems) -> None:
    for reason, count in decided.left_out.items():
        problems.add("left-out", reason, severity="info", count=count, group=reason)
    if decided.discarded:
        fix = "Leave them out with the filter discarded=false."
        problems.add("discarded-included", severity="info", count=decided.discarded, fix=fix)
    for example in decided.leaking:
        fix = "Split by data_unit: some data units have records in several parts."
        problems.add("split-leak", example, severity="warning", fix=fix)


def _of_split(plan: ExportPlan, written: Written, problems: Problems) -> None:
    """What the parts came to, and originals that stand in several of them."""
    if plan.split is None:
        return
    reached = shares_of({part: written.items.get(part, 0) for part in parts_of(plan.split)})
    wanted = dict(plan.split.ratios)
    told = ", ".join(f"{part} {share:.1%} of {wanted[part]:.0%}" for part, share in reached.items())  # type: ignore[index]
    is_far = not plan.split.own and any(not share or abs(share - wanted[part]) > FAR for part, share in reached.items())  # type: ignore[index]
    fix = "Few records, or large groups: another split.seed, or split.stratify=class." if is_far else ""
    problems.add("split-reached", told, severity="warning" if is_far else "info", fix=fix)
    for number, example in enumerate(written.shared_examples):
        problems.add(
            "shared-originals",
            example,
            severity="warning",
            count=0 if number else written.shared,
            fix="The same original is in several parts: split.by=checksum keeps it in one.",
        )


def _of_pictures(plan: ExportPlan, problems: Problems) -> None:
    """Where pictures belong that were not asked for: without them a trainer finds labels alone."""
    for name in (each.name for each in plan.formats if plan.originals == "none"):
        if folders := picture_folders(name, parts_of(plan.split)):
            fix = "Put them there under the names of the labels; or plan with originals=required."
            problems.add("pictures-elsewhere", ", ".join(folders), severity="info", fix=fix)


def _of_written(plan: ExportPlan, written: Written, problems: Problems) -> None:
    for reason, count in written.quarantined.items():
        for number, example in enumerate(written.quarantine_examples.get(reason) or [""]):
            times = 0 if number else count
            problems.add("quarantined", example, count=times, group=reason, fix=FIXES.get(reason, ""))
    for code, count in sorted(written.issues.items()):
        for number, example in enumerate(written.issue_examples.get(code) or [""]):
            problems.add(code, example, severity="warning", count=0 if number else count)
    for name, tally in written.formats.items():
        for reason, count in sorted(tally.lost.items()):
            if reason == "record-quarantined":
                continue
            agreed = consents(plan, name, reason)
            fix = "" if agreed else f"Plan again with losses.{name}.{reason}=accept, or mend them in Synapse."
            if reason == BROKEN:
                agreed, fix = False, "This is a bug in synapse-skills: report it with this example."
            for number, example in enumerate(tally.examples.get(reason) or [""]):
                problems.add(
                    "lost-annotations",
                    f"{name}, {reason}: {example}",
                    severity="info" if agreed else "error",
                    count=0 if number else count,
                    group=f"{name}:{reason}",
                    fix=fix,
                )
        for note, count in written.notes.get(name, {}).items():
            problems.add("changed-shape", f"{name}: {note}", severity="info", count=count, group=f"{name}:{note}")
    if written.missing:
        required = plan.originals == "required"
        problems.add(
            "originals-missing",
            severity="error" if required else "warning",
            count=written.missing,
            fix="Run it again to ask for them once more; `records.jsonl` says whose they are.",
        )


def _exit_code(report: ExportReport, error: SkillsError | None, *, interrupted: bool) -> int:
    if interrupted:
        return EXIT_INTERRUPTED
    if error is not None:
        return error.exit_code
    unfit = any(problem.severity == "error" and problem.code in UNFIT for problem in report.problems)
    if report.mode == "dry-run":
        return EXIT_FINDINGS if unfit or not report.records.read else EXIT_OK
    return EXIT_INCOMPLETE if unfit else EXIT_OK


def report_lines(report: ExportReport) -> list[str]:
    """The report for people."""
    what = "dry run" if report.mode == "dry-run" else "export"
    records, annotations = report.records, report.annotations
    lines = [f"{what} of {report.name}: {records.read:,} records read, {records.exported:,} exported"]
    aside = {"quarantined": records.quarantined, "left out": records.left_out}
    lines += [f"  {name:<12} {count:>10,}" for name, count in aside.items() if count]
    lines.append(f"  {'annotations':<12} {annotations.read:>10,}")
    for name, counts in annotations.formats.items():
        lost = ", ".join(f"{reason} {count:,}" for reason, count in counts.lost.items())
        lines.append(f"  {name:<12} {counts.written:>10,}  written{f'; lost: {lost}' if lost else ''}")
    for part, count in report.splits.items():
        lines.append(f"  {part:<12} {count:>10,}  media")
    files = report.files
    missing = f", {files.missing:,} missing" if files.missing else ""
    lines.append(f"  {'files':<12} {files.written:>10,}  ({files.originals:,} originals{missing})")
    if report.output:
        lines.append(f"  {'output':<12} {printable(report.output)}")
    # Behind the problems: what they ask for comes first.
    return lines + last_lines(report) + ([f"next: {printable(report.next)}"] if report.next else [])
