"""What has become of a job that runs here: never begun, under way, died, or ended; why, and what to do next."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
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
    printable,
)
from synapse_skills.job.state import is_locked
from synapse_skills.report import ExportReport, UploadReport
from synapse_skills.sources.address import is_url

PLANNED, RUNNING, DIED, ENDED = "PLANNED", "RUNNING", "DIED", "ENDED"
_COUNTS = {
    "upload": ("ledger.sqlite", "SELECT count(*) FROM unit WHERE state IN ('created', 'quarantined')"),
    "export": ("export.sqlite", "SELECT count(*) FROM row"),
}
_HOLDER = re.compile(r"pid (\d+) on (\S+)")
_NEXT = {
    EXIT_OK: "",
    EXIT_INCOMPLETE: "Show what its problems name; mended, run the same command again: what is done stays done.",
    EXIT_ENVIRONMENT: "Mend what the message says (login, network, backend or disk), then run the same command again.",
    EXIT_INTERRUPTED: "Run the same command again: it goes on where it was.",
}


@dataclass(frozen=True)
class Here:
    """One job as it stands on this machine.

    Attributes:
        home: its folder.
        status: PLANNED, RUNNING, DIED or ENDED.
        done: data units that are settled, or records that are fetched; None if nothing tells.
        planned: how many the plan has.
        report: of the last run that could write one; of this plan or an earlier one.
        holder: the process that runs it, as its lock says.
        since: when the last run began or ended, in seconds of the epoch; 0 if there was none.
    """

    home: JobHome
    status: str
    done: int | None
    planned: int | None
    report: UploadReport | ExportReport | None
    holder: str
    since: float

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
        far = f"{self.done:,} of {self.planned:,} {what}" if self.done is not None and self.planned else ""
        if self.status == PLANNED:
            return "It was planned and has not been run."
        if self.status == RUNNING:
            return f"It is running ({self.holder}){f': {far}' if far else ''}."
        if self.status == DIED:
            return f"Its last run was killed before it could report{f': {far}' if far else ''}."
        codes = [each.code for each in self.report.problems if each.severity == "error"] if self.report else []
        named = f": {', '.join(codes[:5])}" if codes else ""
        return f"Its last run ended with exit {self.exit_code}{named}."

    @property
    def next_step(self) -> str:
        """What to do now; empty if there is nothing to do."""
        command = f"run.py job {printable(str(self.home.folder))} --approve HASH"
        if self.status == PLANNED:
            return f"Show the user the plan, and run it once they agree: {command}"
        if self.status == RUNNING:
            return f"Wait, or stop it gently with --stop; it goes on later by the same command: {command}"
        if self.status == DIED:
            return f"Run the same command again, it goes on where it was: {command}"
        return _NEXT.get(self.exit_code, _NEXT[EXIT_INCOMPLETE])

    def as_dict(self) -> dict[str, Any]:
        """One JSON object."""
        return {
            "where": "here",
            "home": str(self.home.folder),
            "kind": self.home.kind,
            "status": self.status,
            "message": self.message,
            "done": self.done,
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
            "plan": "",
            "status": status,
            "since": since,
            "elapsed_s": None,
        }


def look_here(home: JobHome) -> Here:
    """How a job stands on this machine, from what it has written."""
    plan = _plan_of(home)
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
    done = _done(home, state) if status in (RUNNING, DIED) else None
    return Here(home, status, done, planned, report, holder, max(ended, began if holder else 0.0))


def _plan_of(home: JobHome) -> dict[str, Any]:
    try:
        plan = json.loads((home.folder / "plan.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return plan if isinstance(plan, dict) else {}


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


def _done(home: JobHome, state: Path) -> int | None:
    name, count = _COUNTS[home.kind]
    path = state / name
    if not path.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=1)) as database:
            return int(database.execute(count).fetchone()[0])
    except sqlite3.Error:
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
    while is_locked(_state_of(found.home, _plan_of(found.home)) / "lock"):
        if time.monotonic() > until:
            raise OutOfReach("It was asked to stop and has not ended yet.", hint="Ask again.", code="stop-late")
        time.sleep(0.2)
    return look_here(found.home)
