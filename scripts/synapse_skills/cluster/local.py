"""What has become of a job that runs here: never begun, under way, died, or ended; why, and what to do next."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synapse_skills.cluster.submission import JobHome
from synapse_skills.errors import (
    EXIT_ENVIRONMENT,
    EXIT_INCOMPLETE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    FindingError,
    OutOfReach,
    SkillsError,
    printable,
)
from synapse_skills.job.state import is_locked
from synapse_skills.plan import plan_hash
from synapse_skills.report import ExportReport, UploadReport
from synapse_skills.sources.address import is_url

PLANNED, RUNNING, DIED, ENDED = "PLANNED", "RUNNING", "DIED", "ENDED"
_COUNTS = {
    "upload": (
        "ledger.sqlite",
        "SELECT coalesce(sum(state IN ('created', 'quarantined')), 0), coalesce(sum(state = 'sent'), 0) FROM unit",
    ),
    "export": ("export.sqlite", "SELECT count(*), 0 FROM row"),
}
# A ledger above this is not copied for the sake of what its journal has behind it.
_COPIED_BYTES = 256 * 1024 * 1024
_HOLDER = re.compile(r"pid (\d+) on (\S+)")
_AS_JOB = re.compile(r" as \S+$")
_NEXT = {
    EXIT_INCOMPLETE: "Show what its problems name; mended, run the same command again: what is done stays done",
    EXIT_ENVIRONMENT: "Mend what the message says (login, network, backend or disk), then run the same command again",
    EXIT_INTERRUPTED: "Run the same command again, it goes on where it was",
}
_REFUSED = "refused-by-backend"


@dataclass(frozen=True)
class Here:
    """One job as it stands on this machine.

    Attributes:
        home: its folder.
        status: PLANNED, RUNNING, DIED or ENDED.
        done: data units that are there or set aside, or records that are fetched; None if nothing tells.
        planned: how many the plan has.
        report: of the last run that could write one; of this plan or an earlier one.
        holder: the process that runs it, as its lock says.
        since: when the last run began or ended, in seconds of the epoch; 0 if there was none.
        plan: plan.json as it was read; empty if it can't be.
        digest: its hash.
        in_doubt: data units that were sent and had no answer when the run died.
        at_least: `done` may be more: the journal has records that were not counted.
    """

    home: JobHome
    status: str
    done: int | None
    planned: int | None
    report: UploadReport | ExportReport | None
    holder: str
    since: float
    plan: dict[str, Any] = field(default_factory=dict)
    digest: str = ""
    in_doubt: int = 0
    at_least: bool = False

    @property
    def is_clusters(self) -> bool:
        """Whether it was a job of the cluster that ran last, whose folder is seen here too."""
        if self.status in (RUNNING, DIED):
            return bool(_AS_JOB.search(self.holder))
        return self.report is not None and self.report.job_id is not None

    @property
    def exit_code(self) -> int:
        """That of the run; 0 while there is none, 5 if it died."""
        if self.status == DIED:
            return EXIT_INCOMPLETE
        return self.report.exit_code if self.status == ENDED and self.report is not None else EXIT_OK

    @property
    def message(self) -> str:
        """One sentence for people."""
        what = "records fetched" if self.home.kind == "export" else "data units done"
        far = self._far(what)
        if self.status == PLANNED:
            return "It was planned and has not been run."
        if self.status == RUNNING:
            return f"It is running ({self.holder}){f': {far}' if far else ''}."
        if self.status == DIED:
            return f"Its last run was killed before it could report{f': {far}' if far else ''}."
        codes = [each.code for each in self.report.problems if each.severity == "error"] if self.report else []
        named = f": {', '.join(codes[:5])}" if codes else ""
        return f"Its last run ended with exit {self.exit_code}{named}."

    def _far(self, what: str) -> str:
        """How far it is, with what is not known yet on its own; '' if nothing tells."""
        if self.done is None or not self.planned:
            return ""
        far = f"{'at least ' * self.at_least}{self.done:,} of {self.planned:,} {what}"
        if self.status != DIED or not self.in_doubt:
            return far
        rest = max(0, self.planned - self.done - self.in_doubt)
        doubt = f"{self.in_doubt:,} sent without an answer (looked up before anything is sent)"
        return f"{far}, {doubt}, {rest:,} not sent yet"

    @property
    def next_step(self) -> str:
        """What to do now; empty if there is nothing to do."""
        folder = printable(str(self.home.folder))
        command = f"run.py job {folder} --approve HASH"
        # Whoever has not seen the plan may not approve it: the hash is not told here.
        lost = (
            f" (HASH is that of the plan they agreed to; nobody has it any more? "
            f"run.py {self.home.planner} --name {printable(self.home.folder.name)} --json shows the plan with its hash)"
        )
        if self.status == PLANNED:
            return f"Show the user the plan, and run it once they agree: {command}{lost}"
        if self.status == RUNNING:
            return f"Wait, or stop it gently with --stop; it goes on later by the same command: {command}{lost}"
        if self.status == DIED:
            return f"Run the same command again, it goes on where it was: {command}{lost}"
        if self.exit_code == EXIT_OK:
            return ""
        problems = self.report.problems if self.report is not None else []
        if self.exit_code == EXIT_INCOMPLETE and any(each.code == _REFUSED for each in problems):
            return (
                f"Show what its problems name; once that is mended: {command} --retry-failed{lost}. Without the flag "
                "what was refused is not sent again."
            )
        return f"{_NEXT.get(self.exit_code, _NEXT[EXIT_INCOMPLETE])}: {command}{lost}"

    def as_dict(self) -> dict[str, Any]:
        """One JSON object."""
        return {
            "where": "here",
            "home": str(self.home.folder),
            "kind": self.home.kind,
            "status": self.status,
            "message": self.message,
            "done": self.done,
            "in_doubt": self.in_doubt,
            "planned": self.planned,
            "report": self.report.model_dump(mode="json") if self.report is not None else None,
            "next": self.next_step,
            "exit_code": self.exit_code,
        }

    def as_row(self) -> dict[str, Any]:
        """A row of the list of all jobs."""
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.since)) if self.since else None
        status = self.status if self.status != ENDED else f"ENDED ({self.exit_code})"
        return {
            "name": self.home.folder.name,
            "job_id": None,
            "mode": f"{self.home.kind} here",
            "plan": self.digest,
            "status": status,
            "since": since,
            "elapsed_s": None,
            **what_of(self.plan),
            "done": self.done,
            "planned": self.planned,
        }


def what_of(plan: Mapping[str, Any]) -> dict[str, Any]:
    """What tells one job from another in a list: the collection or project, and where from."""
    paths = [str(source.get("path", "")) for source in plan.get("sources") or () if isinstance(source, dict)]
    source = paths[0] + (f" and {len(paths) - 1} more" if len(paths) > 1 else "") if paths else None
    return {"collection": plan.get("data_collection"), "project": plan.get("project"), "source": source}


def look_here(home: JobHome) -> Here:
    """How a job stands on this machine, from what it has written."""
    plan, digest = plan_of(home)
    state = _state_of(home, plan)
    expected = plan.get("expected") or {}
    planned = expected.get("units" if home.kind == "upload" else "records")
    report = _report_of(state)
    if report is not None and report.mode == "dry-run":
        report = None  # it was tried, and nothing was sent or written
    lock = state / "lock"
    running, holder = is_locked(lock), _text(lock)
    ended = _time_of(state / "report.json")
    began = _time_of(lock)
    if running:
        status = RUNNING
    elif holder:
        status = DIED  # a run that ends takes its name off the lock
    else:
        status = ENDED if report is not None else PLANNED
    since = max(ended, began if holder else 0.0)
    done, in_doubt, at_least = None, 0, False
    if status in (RUNNING, DIED):
        done, in_doubt, at_least = _done(home, state, plan, whole=status == DIED)
    elif isinstance(report, UploadReport):
        done = report.created + report.already
    elif report is not None:
        done = report.records.read
    return Here(home, status, done, planned, report, holder, since, plan, digest, in_doubt, at_least)


def plan_of(home: JobHome) -> tuple[dict[str, Any], str]:
    """The plan, with its hash."""
    try:
        content = (home.folder / "plan.json").read_bytes()
        plan = json.loads(content)
    except (OSError, ValueError):
        return {}, ""
    return (plan, plan_hash(content)) if isinstance(plan, dict) else ({}, "")


def _state_of(home: JobHome, plan: dict[str, Any]) -> Path:
    """Where a run here remembers: the plan's folder, or beside the job; for a storage the folder that goes with it."""
    from synapse_skills.job.places import cache_of
    from synapse_skills.sources.address import parse_address

    named = plan.get("state")
    if not named:
        return home.folder / "state"
    return cache_of(str(parse_address(named))) if is_url(named) else Path(named)


def _report_of(state: Path) -> UploadReport | ExportReport | None:
    try:
        content = (state / "report.json").read_bytes()
        kind = json.loads(content).get("kind")
        return (ExportReport if kind == "export" else UploadReport).model_validate_json(content)
    except (OSError, ValueError, AttributeError):  # none, half of one, or one of another version
        return None


def _done(home: JobHome, state: Path, plan: Mapping[str, Any], *, whole: bool) -> tuple[int | None, int, bool]:
    """How many are done, how many are in doubt, and whether it may be more: a killed run's ledger lags behind.

    Args:
        whole: count what the journal has behind the ledger too.
    """
    name, count = _COUNTS[home.kind]
    path = state / name
    if not path.is_file():
        return None, 0, False
    is_whole = False
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=1)) as database:
            done, in_doubt = database.execute(count).fetchone()
            if whole and home.kind == "upload":
                known = _with_journal(database, path, state, is_url(plan.get("state") or ""))
                is_whole = known is not None
                done, in_doubt = known or (done, in_doubt)
    except sqlite3.Error:
        return None, 0, False
    return int(done), int(in_doubt), whole and home.kind == "upload" and not is_whole


def _with_journal(database: sqlite3.Connection, path: Path, state: Path, elsewhere: bool) -> tuple[int, int] | None:
    """The same counts with what the journal has behind the ledger, in a copy; None if that can't be told."""
    from synapse_skills.job.upload.journal import Journal
    from synapse_skills.job.upload.ledger import Ledger

    if elsewhere or not (state / "journal").is_dir() or path.stat().st_size > _COPIED_BYTES:
        return None
    try:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / path.name
            with closing(sqlite3.connect(copy)) as empty:
                database.backup(empty)
            ledger = Ledger(copy, Journal(state / "journal"))
            try:
                ledger.catch_up()
                done, in_doubt = ledger.db.execute(_COUNTS["upload"][1]).fetchone()
            finally:
                ledger.close()
            return int(done), int(in_doubt)
    except (OSError, sqlite3.Error, SkillsError):
        return None


def _text(path: Path) -> str:
    try:
        return " ".join(path.read_text(encoding="utf-8", errors="replace")[:200].split())
    except OSError:
        return ""


def _time_of(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def stop_here(found: Here, *, seconds: float = 60.0) -> Here:
    """Ask a run on this machine to end, and wait until it has: what it does is written down by itself.

    Raises:
        FindingError: it does not run, or on another machine.
        OutOfReach: it does not end.
    """
    holder = _HOLDER.search(found.holder)
    if found.status != RUNNING or holder is None:
        raise FindingError(found.message, hint=found.next_step or "There is nothing to stop.", code="not-running")
    if holder[2] != socket.gethostname():
        raise FindingError(found.message, hint=f"Stop it there: kill -INT {holder[1]}", code="not-running")
    os.kill(int(holder[1]), signal.SIGINT)
    until = time.monotonic() + seconds
    while is_locked(_state_of(found.home, plan_of(found.home)[0]) / "lock"):
        if time.monotonic() > until:
            raise OutOfReach("It was asked to stop and has not ended yet.", hint="Ask again.", code="stop-late")
        time.sleep(0.2)
    return look_here(found.home)
