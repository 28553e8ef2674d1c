"""From what happened to the report and the exit code."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
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
from synapse_skills.job.upload.checking import Checked
from synapse_skills.job.upload.not_sent import NOT_SENT
from synapse_skills.job.upload.tally import Counts, Tally
from synapse_skills.job.worker import job_id, worker
from synapse_skills.metadata import kinds_of
from synapse_skills.plan import UploadPlan
from synapse_skills.report import MAX_EXAMPLES, Problem, Problems, TaskCounts, UploadReport

LEFT_OUT = "left_out.jsonl"
MOST_AT_HOME, MOST_NAMED = 10, 20
TASKS_MISSING = ("task-missing", "task-refused", "task-unknown")
NOTHING_YET = Counts(0, 0, 0, 0, 0, 0)


def make_report(
    plan: UploadPlan,
    checked: Checked,
    tally: Tally | None,
    problems: Problems,
    error: SkillsError | None,
    refused_tasks: Mapping[str, str],
    *,
    dry_run: bool,
    interrupted: bool,
    described_by: Any,
    started: float,
    left_out: str = LEFT_OUT,
    not_sent: str = NOT_SENT,
    hint: str = "",
) -> UploadReport:
    """The report of a run, however it ended.

    Args:
        problems: what came up after the check.
        tally: None if the run ended before anything was counted.
        error: what ended the run early, if something did.
        refused_tasks: why, by the data unit's key.
        started: seconds since the epoch.
        left_out: the path of what stays at home by consent.
        not_sent: that of the list of what was given up.
        hint: what the refused data units have in common, if anything.
    """
    found = Problems()
    for problem in [*checked.problems.as_list(), *problems.as_list()]:
        # Several problems may have one of these codes: each says what it is about in its own words.
        found.merge(problem, group=problem.fix if problem.code in ("meta-invalid", "metadata-conflict") else "")
    counts = NOTHING_YET
    if tally is not None:
        counts = tally.counts()
        if checked.left_out and not dry_run:
            # The plan has told it where a dry run is all there is.
            fix = f"They stay at home by your word: {left_out} says why of each. Mend them, and plan again."
            examples = [redact(printable(each)) for each in tally.at_home(MOST_AT_HOME)]
            told = Problem(code="left-out", severity="warning", count=checked.left_out, examples=examples, fix=fix)
            found.merge(told)
        if dry_run:
            _outlook(found, tally, hint)
        else:
            _explain(found, tally, refused_tasks, not_sent, hint, with_tasks=plan.project is not None)
    if error is not None:
        found.merge(Problem(code=error.code, examples=[str(error)], fix=error.hint))
    with_tasks = plan.project is not None
    report = UploadReport(
        name=plan.name,
        started=datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        # A clock that was set back must not make it less than none.
        seconds=round(max(0.0, time.time() - started), 3),
        exit_code=EXIT_OK,
        mode="dry-run" if dry_run else "upload",
        planned=counts.planned,
        created=counts.created,
        already=counts.already,
        failed=counts.failed,
        quarantined=counts.quarantined,
        pending=counts.pending,
        left_out=checked.left_out,
        files=checked.files,
        tasks=TaskCounts(planned=counts.planned if with_tasks else 0, created=counts.with_task if with_tasks else 0),
        metadata_sources=kinds_of(described_by),
        job_id=job_id(),
        worker=worker(),
        problems=found.as_list(),
    )
    report.exit_code = _exit_code(report, checked, error, interrupted=interrupted)
    return report


def _outlook(problems: Problems, tally: Tally, hint: str) -> None:
    """What earlier runs have left open, before the next one."""
    fix = "Mend what the backend objected to; --retry-failed sends them again, without it only what has changed goes."
    _name(problems, _reasons(tally), code="refused-before", severity="warning", fix=f"{fix} {hint}".strip())
    fix = "Look for each in Synapse: --retry-unknown sends again what is not there."
    _name(problems, [key for key, _ in tally.in_state("unknown")], code="outcome-unknown", severity="warning", fix=fix)
    fix = "Nothing: the next run looks them up before it sends anything, and sends only those that are not there."
    _name(problems, [key for key, _ in tally.in_state("sent")], code="in-doubt", severity="info", fix=fix)


def _explain(
    problems: Problems, tally: Tally, refused_tasks: Mapping[str, str], not_sent: str, hint: str, *, with_tasks: bool
) -> None:
    fix = f"Mend what the backend objects to ({not_sent} names all); --retry-failed sends the same again."
    _name(problems, _reasons(tally), code="refused-by-backend", fix=f"{fix} {hint}".strip())
    for key, _ in tally.in_state("unknown"):
        fix = "Look for the data unit in Synapse: if it is not there, --retry-unknown sends it again."
        problems.add("outcome-unknown", key, fix=fix)
    if with_tasks:
        for key, unknown in tally.without_task():
            if unknown:
                fix = "Look for the task in Synapse: if it is not there, --retry-unknown makes it."
                problems.add("task-unknown", key, fix=fix)
            elif key in refused_tasks:
                fix = "Look for the data unit and the project in Synapse, then run it again."
                problems.add("task-refused", f"{key}: {refused_tasks[key]}", fix=fix)
            else:
                fix = "Run it again: missing tasks are made, none is made twice."
                problems.add("task-missing", key, fix=fix)


def _reasons(tally: Tally) -> Iterator[str]:
    return (f"{key}: {reason}" for key, reason in tally.in_state("failed"))


def _name(problems: Problems, named: Iterable[str], *, code: str, severity: str = "error", fix: str) -> None:
    """Count what is named; all of the names where they are few, else the first three."""
    rest = iter(named)
    first = list(islice(rest, MOST_NAMED + 1))
    shown = first if len(first) <= MOST_NAMED else first[:MAX_EXAMPLES]
    for one in shown:
        problems.add(code, one, severity=severity, fix=fix, most=MOST_NAMED)
    if len(first) > len(shown):
        problems.add(code, severity=severity, fix=fix, count=len(first) - len(shown) + sum(1 for _ in rest))


def _exit_code(report: UploadReport, checked: Checked, error: SkillsError | None, *, interrupted: bool) -> int:
    if interrupted:
        return EXIT_INTERRUPTED
    if error is not None:
        return error.exit_code
    if checked.differs or not report.planned + report.left_out:
        return EXIT_FINDINGS
    if report.mode == "dry-run":
        return EXIT_FINDINGS if report.quarantined else EXIT_OK
    missing_tasks = any(problem.code in TASKS_MISSING for problem in report.problems)
    return EXIT_INCOMPLETE if report.failed or report.quarantined or missing_tasks else EXIT_OK
