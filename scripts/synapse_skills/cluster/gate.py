"""The gate before a job leaves for the cluster: all that speaks against it at once, each with what mends it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from synapse_skills.cluster.agent import Agent, agent
from synapse_skills.cluster.package import hiding_files, unpinned, zip_size
from synapse_skills.cluster.places import Refusal, Said, check_output, check_sources, check_state
from synapse_skills.cluster.ray_jobs import RayJobs
from synapse_skills.cluster.secrets import find_leaks, is_secret_name, known_secrets
from synapse_skills.cluster.submission import JobHome, read_json
from synapse_skills.errors import EXIT_ENVIRONMENT, EXIT_FINDINGS, EXIT_OK, SkillsError, printable
from synapse_skills.export_plan import ExportPlan, read_export_plan
from synapse_skills.job.content import content_hash, shipped_files
from synapse_skills.plan import UploadPlan, plan_hash, read_plan

_SHOWN = 5
_ENVIRONMENT = (
    "no-agent", "dashboard-unreachable", "not-ray", "ray-token", "no-ray", "no-login", "bad-host", "bad-token",
)  # fmt: skip
_TRAVELS = ("SYNAPSE_", "RAY_")
_LOOPBACK = ("localhost", "127.", "::1")


@dataclass
class Gate:
    """What was found.

    Attributes:
        refusals: what must be mended first, all of it.
        warnings: what the user should know.
        plan: the hash that was checked, 12 hex digits; empty if there is no plan.
        content: the hash over what ships; empty if it can't be read.
        size: of the package in bytes.
        agent: where it would go.
    """

    refusals: list[Refusal] = field(default_factory=list)
    warnings: list[Refusal] = field(default_factory=list)
    plan: str = ""
    content: str = ""
    size: int = 0
    agent: Agent | None = None

    @property
    def open(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.refusals

    @property
    def exit_code(self) -> int:
        """0, 3 if nothing but the environment is out of reach, else 1."""
        if self.open:
            return EXIT_OK
        return EXIT_ENVIRONMENT if all(each.code in _ENVIRONMENT for each in self.refusals) else EXIT_FINDINGS


def gate(home: JobHome, *, approve: str | None, dry_run: bool, environ: Mapping[str, str] = os.environ) -> Gate:
    """Check everything that can be checked from here; nothing is sent.

    Args:
        home: the job.
        approve: the hash that the user has agreed to.
        dry_run: a dry run on the cluster: it needs neither approval nor an earlier dry run.
        environ: the environment that the submission will start from.
    """
    return _Checks(home, approve, dry_run, environ).run()


class _Checks:
    def __init__(self, home: JobHome, approve: str | None, dry_run: bool, environ: Mapping[str, str]) -> None:
        self.home = home
        self.approve = approve
        self.dry_run = dry_run
        self.environ = environ
        self.found = Gate()
        self.plan: UploadPlan | ExportPlan | None = None
        self.files: list[Path] = []
        self.ran_there = False
        self.on_worker = False

    def run(self) -> Gate:
        checks = (
            self._plan, self._content, self._dry_run, self._secrets, self._package, self._requirements, self._state,
            self._login, self._places, self._ray, self._cluster,
        )  # fmt: skip
        for check in checks:
            self._try(check)
        return self.found

    def _try(self, check: Callable[[], None]) -> None:
        try:
            check()
        except SkillsError as error:
            self._problem(error.code, str(error), error.hint)
        except OSError as error:
            where = f" ({printable(str(error.filename))})" if error.filename else ""
            self._problem(
                "job-not-readable",
                f"The job can't be read: {error.strerror or error}{where}.",
                "Check its permissions; rendering the job again (run.py render) makes its files anew.",
            )

    def _problem(self, code: str, message: str, fix: str) -> None:
        if all(each.code != code or each.message != message for each in self.found.refusals):
            self.found.refusals.append(Refusal(code, message, fix))

    def add(self, code: str, message: str, fix: str) -> None:
        """One warning more."""
        self.found.warnings.append(Refusal(code, message, fix))

    # --- the job -----------------------------------------------------------------------------------------------------

    def _plan(self) -> None:
        path = self.home.job / "plan.json"
        self.plan = read_plan(path) if self.home.kind == "upload" else read_export_plan(path)
        content = path.read_bytes()
        self.found.plan = digest = plan_hash(content)
        ours = self.home.folder / "plan.json"
        if not ours.is_file() or ours.read_bytes() != content:
            self._problem(
                "plan-changed",
                f"The job was rendered from another plan than {printable(str(ours))}.",
                f"Render it again (run.py render {printable(str(ours))}), show the user the new plan, and approve it.",
            )
        elif self.approve is not None and self.approve.lower() != digest:
            self._problem(
                "not-approved",
                f"The approval {printable(self.approve[:64])} is not for this plan: it has changed, or is another's.",
                "Plan again, show the user the plan as it is now, and submit with its hash once they agree.",
            )
        elif self.approve is None and not self.dry_run:
            self._problem(
                "not-approved",
                f"An {self.home.kind} is submitted only after the user has agreed to its plan.",
                "Show the user the plan, and submit with --approve and its hash once they agree; or try it on the "
                "cluster with --dry-run, which sends and exports nothing.",
            )

    def _content(self) -> None:
        self.files = shipped_files(self.home.job)
        self.found.content = content_hash(self.home.job)

    def _dry_run(self) -> None:
        if self.dry_run or not self.found.content:
            return
        home = self.home.folder
        reports = [read_json(path) for path in (self.home.dry_run, home / "state" / "report.json")]
        ran = [each for each in reports if each is not None and each.get("mode") == "dry-run"]
        ours = [each for each in ran if each.get("content") == self.found.content]
        again = f"Run it here (run.py job {printable(str(home))} --dry-run) or on the cluster (submit --dry-run)."
        if not ran:
            self._problem("no-dry-run", "No dry run of this job is known.", again)
        elif not ours:
            self._problem(
                "dry-run-stale",
                "The last dry run was of another content: what would ship was changed since, or never ran.",
                again,
            )
        else:
            last = max(ours, key=lambda each: str(each.get("started")))
            if last.get("exit_code") != 0:
                self._problem(
                    "dry-run-not-clean",
                    f"The dry run ended with exit code {printable(str(last.get('exit_code')))}{_codes(last)}.",
                    "Mend what its report names, or leave it out by plan; then run it again.",
                )
            elif not _is_positive(_counted(last)):
                what, where = ("send", "sources") if self.home.kind == "upload" else ("export", "scope and filter")
                self._problem(
                    "dry-run-empty", f"The dry run found nothing to {what}.", f"Check the {where} of the plan."
                )
            self.ran_there = bool(last.get("job_id"))
            self.on_worker = self.ran_there and "output-may-not-last" in _problems(last)

    def _secrets(self) -> None:
        leaks = find_leaks(self.home.job, self.files, known_secrets(self.environ, _tokens(self.environ)))
        if leaks:
            shown = "; ".join(printable(str(leak)) for leak in leaks[:_SHOWN])
            more = f" and {len(leaks) - _SHOWN} more" if len(leaks) > _SHOWN else ""
            self._problem(
                "secret-in-job",
                f"What would ship holds secrets: {shown}{more}.",
                "Take them out: the login travels by itself, and everybody on the cluster could read these.",
            )

    def _package(self) -> None:
        hiding = hiding_files(self.home.job, self.files)
        if hiding:
            self._problem(
                "ignore-file-in-job",
                f"Ray would leave out files that the job needs: {', '.join(hiding[:_SHOWN])} in the job folder.",
                "Remove them; `run.py render` writes the job's own .rayignore again.",
            )
        self.found.size = zip_size(self.home.job, self.files)

    def _requirements(self) -> None:
        wrong = unpinned(self.home.job / "requirements.txt")
        if wrong:
            self._problem(
                "not-pinned",
                f"The job's requirements are not pinned: {'; '.join(wrong[:_SHOWN])}.",
                "Write every line as name==version, synapse-sdk among them; `run.py render` writes the file again.",
            )

    def _state(self) -> None:
        if self.plan is not None:
            proof = {"dry_run": self.dry_run, "ran_there": self.ran_there}
            self._take(check_state(self.plan.state, self.home.folder, planner=self.home.planner, **proof))

    def _take(self, said: Iterable[Said]) -> None:
        for refuses, each in said:
            if refuses:
                self._problem(each.code, each.message, each.fix)
            else:
                self.add(each.code, each.message, each.fix)

    # --- what it needs there -----------------------------------------------------------------------------------------

    def _login(self) -> None:
        from synapse_sdk.utils.auth import load_credentials

        from synapse_skills.backend import login

        mine = login()
        if mine.kind == "user-token":
            stays = [
                name
                for name, needed in (
                    ("SYNAPSE_PLUGIN_RUN_USER_TOKEN", True),
                    ("SYNAPSE_PLUGIN_RUN_TENANT", bool(load_credentials().tenant)),
                )
                if needed and not self.environ.get(name)
            ]
            if stays:
                self._problem(
                    "login-stays-home",
                    "The login is a user token that only ~/.synapse/config.json has: it does not travel.",
                    f"Set {' and '.join(stays)} for the submission, or log in with an access token (`synapse login`).",
                )
        host = urlsplit(mine.host).hostname or ""
        if host.startswith(_LOOPBACK) and not self._is_here():
            self.add(
                "backend-is-local",
                f"The backend {mine.host} is this machine: on the cluster that address leads elsewhere.",
                "Set SYNAPSE_HOST to an address that the cluster reaches.",
            )
        more = sorted(
            name for name, value in self.environ.items()
            if name.startswith(_TRAVELS) and value and is_secret_name(name)
            and name not in ("SYNAPSE_ACCESS_TOKEN", "SYNAPSE_PLUGIN_RUN_USER_TOKEN", "RAY_AUTH_TOKEN")
        )  # fmt: skip
        self.add(
            "token-in-job-record",
            "Your Synapse token travels with the job"
            + (f", and so do {', '.join(more)}" if more else "")
            + ": whoever can open the Ray dashboard can read it in the job's record.",
            "Fine on a cluster of people you trust; else use a token that you can withdraw afterwards.",
        )

    def _is_here(self) -> bool:
        try:
            return (urlsplit(agent().dashboard).hostname or "").startswith(_LOOPBACK)
        except SkillsError:
            return True  # said by its own check

    def _places(self) -> None:
        if self.plan is None:
            return
        proof = {"dry_run": self.dry_run, "ran_there": self.ran_there}
        if self.plan.kind == "upload":
            self._take(check_sources(self.plan, self.environ, **proof))
        else:
            self._take(check_output(self.plan, self.home.folder, on_worker=self.on_worker, **proof))

    def _ray(self) -> None:
        if importlib.util.find_spec("ray") is None:
            self._problem(
                "no-ray",
                "Ray is not in this environment, and `synapse script submit` needs it.",
                "Start it with `run.py submit …`: it brings an environment with Ray.",
            )

    def _cluster(self) -> None:
        self.found.agent = selected = agent()
        rays = RayJobs(selected.dashboard, environ=self.environ)
        rays.version()
        if self.dry_run:
            return
        there = rays.jobs()
        running = {info.id: info for info in there if not info.has_ended}
        for known in self.home.submissions():
            if known.mode == "dry-run" or known.ended is not None or known.dashboard != selected.dashboard:
                continue
            info = running.get(known.job_id or "") or next(
                (each for each in running.values() if each.tag == known.tag), None
            )
            if info:
                return self._running(info.id)
        for info in running.values():
            if self.found.plan and info.tag.startswith(f"{self.found.plan}-{self.home.kind}-"):
                return self._running(info.id)

    def _running(self, job_id: str) -> None:
        self._problem(
            "already-submitted",
            f"This {self.home.kind} is on the cluster already, as {printable(job_id)}, and has not ended.",
            f"Follow it (job_status {printable(job_id)} --follow), or stop it first (--stop).",
        )


def _tokens(environ: Mapping[str, str]) -> dict[str, str]:
    """The login's own tokens, wherever they are, and what each is."""
    from synapse_skills import environment

    config, _ = environment.read_config(environment.config_path())
    chosen = config.get("agent")
    named: dict[str, Any] = {
        "your Synapse access token": config.get("access_token"),
        "your Synapse user token": config.get("user_token"),
        "the agent's token": chosen.get("token") if isinstance(chosen, dict) else None,
        "your Synapse access token (from the environment)": environ.get("SYNAPSE_ACCESS_TOKEN"),
        "your Synapse user token (from the environment)": environ.get("SYNAPSE_PLUGIN_RUN_USER_TOKEN"),
    }
    return {kind: value for kind, value in named.items() if isinstance(value, str) and value}


def _codes(report: dict[str, Any]) -> str:
    problems = report.get("problems")
    rows = [row for row in problems if isinstance(row, dict)] if isinstance(problems, list) else []
    errors = [f"; {row.get('code')} × {row.get('count')}" for row in rows if row.get("severity") == "error"]
    return printable("".join(errors[:_SHOWN]))


def _counted(report: dict[str, Any]) -> Any:
    """What a dry run would have sent or exported."""
    records = report.get("records")
    return records.get("exported") if isinstance(records, dict) else report.get("planned")


def _problems(report: dict[str, Any]) -> list[str]:
    problems = report.get("problems")
    return [str(row.get("code")) for row in problems if isinstance(row, dict)] if isinstance(problems, list) else []


def _is_positive(value: Any) -> bool:
    return isinstance(value, int) and value > 0
