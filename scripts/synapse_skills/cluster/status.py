"""What has become of submitted jobs: what is written down here, and what the cluster says."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from synapse_skills.cluster.agent import agent
from synapse_skills.cluster.ending import Ended, bring_home, look
from synapse_skills.cluster.local import PLANNED, RUNNING, Here, look_here, plan_of, what_of
from synapse_skills.cluster.ray_jobs import JobInfo, RayJobs
from synapse_skills.cluster.submission import SCRIPTS, JobHome, Submission
from synapse_skills.errors import (
    EXIT_ENVIRONMENT,
    EXIT_INCOMPLETE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    FindingError,
    OutOfReach,
    SkillsError,
    UsageError,
    printable,
    redact,
)

JOBS = "synapse-jobs"
_STOP_SECONDS = 120.0
_STOP_EVERY = 1.0


@dataclass
class Target:
    """One job: where it was submitted from, if that is known here, and the cluster it is on."""

    job_id: str
    rays: RayJobs
    home: JobHome | None = None
    submission: Submission | None = None

    @property
    def counts(self) -> str:
        """What its progress counts."""
        return "records" if self.home is not None and self.home.kind == "export" else "data units"


@dataclass
class Seen:
    """What is known of one job.

    Attributes:
        target: which job.
        ended: what the cluster says; None if it can't be asked.
        trouble: why it can't.
    """

    target: Target
    ended: Ended | None
    trouble: SkillsError | None = None

    @property
    def exit_code(self) -> int:
        """0 on its way or done, 130 stopped, 5 failed, 3 where nobody knows."""
        if self.ended is not None:
            return _as_status(self.ended.exit_code)
        known = self.target.submission.ended if self.target.submission else None
        if known is not None and self.trouble is not None and self.trouble.code == "job-unknown":
            return _as_status(known.exit_code)
        return EXIT_ENVIRONMENT

    def as_dict(self) -> dict[str, Any]:
        """One JSON object, redacted."""
        submission, ended = self.target.submission, self.ended
        found: dict[str, Any] = {
            "job_id": self.target.job_id,
            "home": str(self.target.home.folder) if self.target.home else None,
            "dashboard": self.target.rays.dashboard,
            "mode": submission.mode if submission else None,
            "plan": submission.plan if submission else None,
            "submitted_at": submission.submitted_at if submission else None,
        }
        if ended is None:
            known = submission.ended if submission else None
            found["status"] = known.status if known else "UNKNOWN"
            found |= self.trouble.as_dict() if self.trouble else {}
            return found | {"exit_code": self.exit_code}
        progress = ended.progress
        return found | {
            "status": ended.info.status,
            "message": redact(ended.info.said if ended.log_tail else ended.info.message),
            "elapsed_s": round(ended.info.elapsed() or 0.0, 1),
            "done": progress.done if progress else None,
            "planned": progress.planned if progress else None,
            "log_tail": ended.log_tail,
            "report": ended.report.model_dump(mode="json") if ended.report else None,
            "note": ended.note,
            "next": ended.next_step(),
            "exit_code": self.exit_code,
        }


@dataclass
class Known:
    """Every job that is known: `rows` from homes here and from the cluster, `trouble` if the cluster can't be asked."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    problems: list[dict[str, Any]] = field(default_factory=list)
    trouble: SkillsError | None = None

    @property
    def exit_code(self) -> int:
        """0, or 3 where the cluster can't be asked."""
        return EXIT_ENVIRONMENT if self.trouble else EXIT_OK


def find(named: str) -> Target | Here:
    """A job by its home, its job folder or Ray's id: where it was run last, here or on the cluster.

    Raises:
        UsageError: nothing of that name.
        FindingError: what was submitted from there never began.
    """
    path = Path(named).expanduser()
    if path.is_dir():
        home = JobHome.find(path)
        submissions = home.submissions()
        here = look_here(home)
        return here if _ran_here_last(here, submissions) else _target(home, submissions[0])
    if "/" in named or "\\" in named or not named.strip():
        raise UsageError(
            f"There is no folder {printable(named)}.",
            hint="Name a job's folder (synapse-jobs/NAME) or Ray's id of a job (raysubmit_…).",
            code="no-job",
        )
    for home in homes():
        with contextlib.suppress(SkillsError):
            for submission in home.submissions():
                if submission.job_id == named:
                    return Target(named, RayJobs(submission.dashboard), home, submission)
    return Target(named, RayJobs(agent().dashboard))


def _ran_here_last(here: Here, submissions: list[Submission]) -> bool:
    if not submissions:
        return True
    if here.is_clusters:
        return False
    if here.status == RUNNING:
        return True
    submitted = datetime.fromisoformat(submissions[0].submitted_at).timestamp()
    return here.since > submitted


def homes() -> list[JobHome]:
    """The jobs below the working folder that were submitted."""
    root = Path.cwd() / JOBS
    return [JobHome(path.parent) for path in sorted(root.glob("*/submission.json"))] if root.is_dir() else []


def _homes_here() -> list[JobHome]:
    """The jobs below the working folder that have a script, submitted or not."""
    root = Path.cwd() / JOBS
    found = sorted({path.parent.parent for path in root.glob("*/job/*.py") if path.name in SCRIPTS.values()})
    return [JobHome(path) for path in found]


def _target(home: JobHome, submission: Submission) -> Target:
    """A submission with its id; one whose id was lost is looked for by its tag."""
    rays = RayJobs(submission.dashboard)
    if submission.job_id is None:
        info = rays.by_tag(submission.tag)
        if info is None:
            home.forget(submission.tag)
            raise FindingError(
                "The last submission was interrupted, and Ray knows no job of it: it never began.",
                hint="Submit again.",
                code="not-submitted",
            )
        submission = submission.model_copy(update={"job_id": info.id})
        home.update(submission)
    return Target(str(submission.job_id), rays, home, submission)


def see(target: Target) -> Seen:
    """Ask the cluster; what is known here is kept where it can't be asked."""
    try:
        ended = look(target.rays, target.job_id)
    except OutOfReach as error:
        return Seen(target, None, error)
    keep(target, ended)
    return Seen(target, ended)


def keep(target: Target, ended: Ended) -> None:
    """Write down how it ended, where it was submitted from."""
    if target.home is not None and target.submission is not None:
        bring_home(target.home, target.submission, ended)


def stop(target: Target, *, seconds: float | None = None) -> Seen:
    """Stop a job, and wait until it has stopped; it is asked to end, so what it does is written down by itself.

    Raises:
        OutOfReach: the dashboard can't be asked, or the job does not end (`stop-late`).
    """
    target.rays.info(target.job_id)
    target.rays.stop(target.job_id)
    seconds = _STOP_SECONDS if seconds is None else seconds
    began = time.monotonic()
    while not target.rays.info(target.job_id).has_ended:
        if time.monotonic() - began > seconds:
            raise OutOfReach(
                f"{printable(target.job_id)} was asked to stop {seconds:.0f} s ago and has not ended.",
                hint="Ask again with job_status; Ray kills a job that does not end by itself.",
                code="stop-late",
            )
        time.sleep(_STOP_EVERY)
    return see(target)


def known_jobs() -> Known:
    """Every job submitted from here, and ours that the cluster lists."""
    found = Known()
    there: dict[str, dict[str, JobInfo]] = {}
    asked: set[str] = set()

    def ask(dashboard: str) -> None:
        if dashboard in asked:
            return
        asked.add(dashboard)
        try:
            there[dashboard] = {info.id: info for info in RayJobs(dashboard).jobs()}
        except OutOfReach as error:
            found.trouble = found.trouble or error

    for home in _homes_here():
        here = look_here(home)
        if not home.submission.exists() or not (here.status == PLANNED or here.is_clusters):
            found.rows.append(here.as_row())
    ids: set[str | None] = set()
    tags: set[str] = set()
    for home in homes():
        try:
            submissions = home.submissions()
        except SkillsError as error:
            found.problems.append(error.as_dict()["error"])
            continue
        for submission in submissions:
            if submission.ended is None:
                ask(submission.dashboard)
            jobs = there.get(submission.dashboard, {})
            info = jobs.get(submission.job_id or "") or next(
                (each for each in jobs.values() if each.tag == submission.tag), None
            )
            ids |= {submission.job_id, info.id if info else None}
            tags.add(submission.tag)
            row = _row(home.folder.name, submission, info, asked=submission.dashboard in there)
            found.rows.append(row | what_of(plan_of(home)[0]))
    try:
        ask(agent().dashboard)
    except OutOfReach as error:
        if not found.rows:
            found.trouble = found.trouble or error
    for jobs in there.values():
        for info in jobs.values():
            if info.tag and info.id not in ids and info.tag not in tags:
                found.rows.append(_row("", None, info, asked=True))
    found.rows.sort(key=lambda row: str(row["since"] or ""), reverse=True)
    return found


def _row(name: str, submission: Submission | None, info: JobInfo | None, *, asked: bool) -> dict[str, Any]:
    plan, mode = submission.plan if submission else "", str(submission.mode if submission else "")
    if submission is None and info is not None:
        plan, _, rest = info.tag.partition("-")
        mode = rest.rpartition("-")[0]
    if info is not None:
        status = info.status
    elif submission is not None and submission.ended is not None:
        status = submission.ended.status
    else:
        status = "GONE" if asked else "UNKNOWN"
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(info.started)) if info and info.started else None
    return {
        "name": name,
        "job_id": info.id if info else submission.job_id if submission else None,
        "mode": mode,
        "plan": plan,
        "status": status,
        "since": submission.submitted_at if submission else started,
        "elapsed_s": round(info.elapsed() or 0.0, 1) if info else None,
        **what_of({}),
        "done": None,
        "planned": None,
    }


def _as_status(code: int) -> int:
    return code if code in (EXIT_OK, EXIT_INTERRUPTED) else EXIT_INCOMPLETE
