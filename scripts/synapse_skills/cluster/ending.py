"""Wait for a job on the cluster, and say how it ended: by its own report, never by what a command line claims."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from synapse_skills.cluster.ray_jobs import JobInfo, RayJobs
from synapse_skills.cluster.submission import Ending, JobHome, Submission
from synapse_skills.errors import (
    EXIT_INCOMPLETE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    OutOfReach,
    printable,
    redact,
)
from synapse_skills.job.markers import (
    MarkersIncomplete,
    ProgressSaid,
    read_markers,
    read_progress,
    without_markers,
)
from synapse_skills.report import ExportReport, UploadReport, write_json

EVERY_S = 2.0
PATIENCE_S = 300.0
TAIL = 15
_KILLED = (-9, 137)  # SIGKILL, as Ray says it and as a shell does


@dataclass(frozen=True)
class Ended:
    """A job as far as it is known: over, or (`info.has_ended` is False) on its way.

    Attributes:
        info: Ray's record.
        report: the job's own, if it has arrived.
        log_tail: the last lines for people, printable.
        progress: how far it was when it last said so.
        note: why there is no report though the job has ended.
    """

    info: JobInfo
    report: UploadReport | ExportReport | None
    log_tail: list[str]
    progress: ProgressSaid | None
    note: str = ""

    @property
    def exit_code(self) -> int:
        """The job's own result; without a report 130 if it was stopped, else 5."""
        if not self.info.has_ended:
            return EXIT_OK
        if self.report is not None:
            code = self.report.exit_code
            return EXIT_INCOMPLETE if code == EXIT_OK and self.info.status == "FAILED" else code
        return EXIT_INTERRUPTED if self.info.status == "STOPPED" else EXIT_INCOMPLETE

    def next_step(self) -> str:
        """What to do now, one sentence; empty if there is nothing to do."""
        if not self.info.has_ended or (self.report is not None and self.exit_code == EXIT_OK):
            return ""
        if self.info.never_began:
            said = (self.info.message + self.info.error_type).lower()
            if "pip" in said or "runtime_env" in said:
                return (
                    "The job's packages could not be installed on the cluster: it needs a package index from there, "
                    "and pip in its Python. Mend that with the cluster's owner, then submit again."
                )
            return "The job never began. Mend what Ray says (or ask the cluster's owner), then submit again."
        if self.report is None and self.info.status == "STOPPED":
            return "It was stopped before it could report. Submit again: it goes on where it was."
        if self.report is None and self.info.exit_code in _KILLED:
            return "It was killed: for want of memory, or with its machine. Submit again: it goes on where it was."
        if self.report is None:
            return "It ended without a report. Read its last lines, mend the cause, and submit again: it goes on."
        if self.exit_code == EXIT_INTERRUPTED:
            return "It was stopped. Submit again: it goes on where it was."
        return "Mend what its report names, then submit again: what is done is not done twice."


def look(rays: RayJobs, job_id: str) -> Ended:
    """What is known of a job now.

    Raises:
        OutOfReach: the dashboard can't be asked, or no longer knows it.
    """
    info = rays.info(job_id)
    try:
        log = rays.logs(job_id)
    except OutOfReach as error:
        # A log may be gone (its machine was), while the record is there.
        return Ended(info, None, [], None, f"Its log can't be read: {error}")
    return _ended(info, log)


def _ended(info: JobInfo, log: str) -> Ended:
    report, note = None, ""
    try:
        said = read_markers(log).last("report")
        report = report_of(said) if said is not None else None
        if report is None and info.has_ended:
            note = "The job printed no report."
    except MarkersIncomplete as error:
        note = str(error)
    except ValidationError:
        note = "The job's report is of another version than this one understands."
    return Ended(info, report, tail(log), read_progress(log), note)


def report_of(said: dict[str, Any]) -> UploadReport | ExportReport:
    """A job's report, of whichever kind.

    Raises:
        ValidationError: it is of neither.
    """
    return (ExportReport if said.get("kind") == "export" else UploadReport).model_validate(said)


def tail(log: str, lines: int = TAIL) -> list[str]:
    """The last lines of a log for people."""
    return [show_line(line) for line in without_markers(log).split("\n") if line.strip()][-lines:]


def show_line(line: str) -> str:
    """A line of a job as it can be printed: no control characters, no secrets, not endless."""
    return redact(printable(line.replace("\t", "    ").rstrip()))[:1000]


def wait(
    rays: RayJobs,
    job_id: str,
    *,
    timeout: float | None = None,
    on_line: Callable[[str], None] | None = None,
    on_progress: Callable[[ProgressSaid], None] | None = None,
    every: float | None = None,
    patience: float | None = None,
) -> Ended:
    """Follow a job until it has ended.

    Args:
        rays: where it runs.
        job_id: which.
        timeout: seconds; for ever if None.
        on_line: takes each new line of the log, without those that are for us.
        on_progress: takes each new statement of how far it is.
        every: seconds between two looks.
        patience: how long the dashboard may be out of reach meanwhile.

    Raises:
        OutOfReach: `wait-timeout`: it still runs; `job-unknown`; or the dashboard stayed out of reach.
    """
    began = last_answer = time.monotonic()
    every = EVERY_S if every is None else every
    patience = PATIENCE_S if patience is None else patience
    shown = 0
    before: ProgressSaid | None = None
    while True:
        try:
            info = rays.info(job_id)
            log = rays.logs(job_id) if on_line or on_progress or info.has_ended else ""
            last_answer = time.monotonic()
        except OutOfReach as error:
            if error.code != "dashboard-unreachable" or time.monotonic() - last_answer > patience:
                raise
        else:
            whole = log if info.has_ended else log[: log.rfind("\n") + 1]
            if on_line:
                for line in without_markers(whole[shown:]).split("\n"):
                    if line.strip():
                        on_line(show_line(line))
            shown = max(shown, len(whole))
            said = read_progress(log) if on_progress else None
            if on_progress and said is not None and said != before:
                on_progress(said)
                before = said
            if info.has_ended:
                return _ended(info, log)
        if timeout is not None and time.monotonic() - began > timeout:
            raise OutOfReach(
                f"{printable(job_id)} has not ended within {timeout:.0f} s; it goes on.",
                hint=f"Follow it with job_status {printable(job_id)} --follow; stop it with --stop.",
                code="wait-timeout",
            )
        time.sleep(every)


def bring_home(home: JobHome, submission: Submission, ended: Ended) -> None:
    """Keep what a job on the cluster came to: a dry run of this content counts as the gate's."""
    if not ended.info.has_ended:
        return
    if ended.report is not None:
        document: dict[str, Any] = ended.report.model_dump(mode="json")
        if submission.mode == ended.report.mode:
            write_json(home.dry_run if submission.mode == "dry-run" else home.report, document)
    ending = Ending(status=ended.info.status, exit_code=ended.exit_code, message=redact(ended.info.said)[:500])
    home.update(submission.model_copy(update={"ended": ending}))
