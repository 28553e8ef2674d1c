"""A rehearsal: the job as it is, on this machine, against a backend that has the real collection's rules.

It begins anew every time, in a folder of its own beside the job: a copy of the job whose plan waits two seconds for
late answers instead of two minutes, a sandbox with the collection's specifications and schema, and a state that is
nobody else's. Then the same command runs again, and must make nothing.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synapse_skills.backend import Backend
from synapse_skills.cluster.local_backend import LocalBackend
from synapse_skills.cluster.submission import JobHome
from synapse_skills.errors import (
    EXIT_ENVIRONMENT,
    EXIT_INCOMPLETE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    FindingError,
    Interrupted,
    OutOfReach,
    SkillsError,
    UsageError,
    redact,
)
from synapse_skills.plan import UploadPlan, plan_bytes, read_plan
from synapse_skills.report import Problem, UploadReport, write_bytes
from synapse_skills.texts import parse_json

FOLDER = "rehearsal"
SETTLE_S = 2.0
_ROOM = 1.1
Say = Callable[[str], None]


@dataclass
class Rehearsed:
    """What a rehearsal came to.

    Attributes:
        report: the job's own.
        again: that of the same command once more.
        there: how many data units the stand-in holds in the end.
        problems: what the rehearsal itself has found.
    """

    report: UploadReport
    again: UploadReport | None
    there: int
    problems: list[Problem] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """The job's, or 5 if it would have made a data unit twice or lost one."""
        if self.report.exit_code != EXIT_OK:
            return self.report.exit_code
        return EXIT_INCOMPLETE if any(problem.severity == "error" for problem in self.problems) else EXIT_OK

    def as_dict(self) -> dict[str, Any]:
        """The JSON document."""
        return {
            "report": self.report.model_dump(mode="json"),
            "again": self.again.model_dump(mode="json") if self.again is not None else None,
            "there": self.there,
            "problems": [problem.model_dump(mode="json") for problem in self.problems],
            "exit_code": self.exit_code,
        }


def rehearse(home: JobHome, sandbox: Path, *, limit: int | None = None, say: Say = lambda text: None) -> Rehearsed:
    """Run a job here against a sandbox.

    Args:
        home: the job.
        sandbox: sandbox.py.
        limit: at most so many data units.

    Raises:
        UsageError: an export. FindingError: no plan, or the script can't run.
        OutOfReach: no room, or the sandbox does not start.
    """
    if home.kind == "export":
        raise UsageError(
            "A rehearsal is for uploads: an export changes nothing on the backend.",
            hint="Try it with `run.py job DIR --dry-run`, or some records of it: `run.py job DIR --limit 20 --output "
            "ANOTHER_FOLDER`.",
            code="not-an-upload",
        )
    plan = read_plan(home.job / "plan.json")
    folder = home.folder / FOLDER
    _make_room(folder, plan, limit)
    problems = compare_with_backend(plan)
    job = _copy(home.job, folder / "job", plan)
    try:
        with LocalBackend(sandbox, folder / "sandbox", seed_of(plan)) as backend:
            say(f"rehearsing against a stand-in for data collection {plan.data_collection} on this machine")
            flags = ["--state", str(folder / "state")] + (["--limit", str(limit)] if limit is not None else [])
            report = _run(job, flags, backend.environment(), folder)
            again = None
            # With a rest left by the limit, the same command would rightly go on with it.
            if report.exit_code == EXIT_OK and not report.pending:
                say("the same once more: nothing may be made twice")
                again = _run(job, flags, backend.environment(), folder)
            there = _count(backend)
    finally:
        # A copy of everything that was sent, of no use to anybody.
        shutil.rmtree(folder / "sandbox", ignore_errors=True)
    problems += _judge(report, again, there)
    return Rehearsed(report, again, there, problems)


def seed_of(plan: UploadPlan) -> dict[str, Any]:
    """A sandbox's seed with the plan's collection, storage and project."""
    specs = [
        {
            "id": number,
            "name": spec.name,
            "file_type": spec.file_type or "data",
            "extensions": list(spec.extensions),
            "is_required": spec.is_required,
            "is_primary": spec.is_primary,
        }
        for number, spec in enumerate(plan.specs, 1)
    ]
    seed: dict[str, Any] = {
        "collections": [
            {
                "id": plan.data_collection,
                "name": "Rehearsal",
                "meta": {"data_unit_meta_schema": plan.meta_schema} if plan.meta_schema is not None else None,
                "file_specifications": specs,
            }
        ]
    }
    if plan.project is not None:
        seed["projects"] = [{"id": plan.project, "name": "Rehearsal", "data_collection": plan.data_collection}]
    return seed


def compare_with_backend(plan: UploadPlan) -> list[Problem]:
    """What has changed in the real collection since it was planned; that it can't be asked is said and no more."""
    try:
        with Backend() as backend:
            now = backend.collection(plan.data_collection)
    except SkillsError as error:
        return [
            Problem(
                code="collection-not-asked",
                severity="warning",
                examples=[f"{error} The rules are those that the plan was made with."],
                fix=error.hint,
            )
        ]
    changed = [
        f"{spec.name}: {_rules(before)}, now {_rules(spec)}" if before is not None else f"{spec.name} is new"
        for spec in now.specs
        for before in [next((each for each in plan.specs if each.name == spec.name), None)]
        if before is None or _rules(before) != _rules(spec)
    ]
    changed += [f"{spec.name} is gone" for spec in plan.specs if spec.name not in {each.name for each in now.specs}]
    if now.meta_schema != plan.meta_schema:
        changed.append("the metadata schema is another one")
    if not changed:
        return []
    return [
        Problem(
            code="collection-changed",
            severity="warning",
            count=len(changed),
            examples=changed[:3],
            fix="Plan again: the rehearsal has used the rules that the plan was made with.",
        )
    ]


def _rules(spec: Any) -> str:
    return f"{' '.join(spec.extensions) or 'any extension'}{', required' if spec.is_required else ''}"


def _make_room(folder: Path, plan: UploadPlan, limit: int | None) -> None:
    """An empty folder of our own, on a disk that can hold all that will be sent."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise FindingError(f"{folder} is not a folder.", hint="Remove it.", code="rehearsal-not-ours")
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
    expected = plan.expected
    share = min(1.0, limit / expected.units) if limit is not None and expected.units else 1.0
    needed, free = int(expected.bytes * share * _ROOM), shutil.disk_usage(folder).free
    if needed > free:
        raise OutOfReach(
            f"A rehearsal of everything needs {needed / 2**30:,.1f} GB here, and {free / 2**30:,.1f} GB are free.",
            hint="Rehearse a part of it with --limit N.",
            code="disk-full",
        )


def _copy(job: Path, target: Path, plan: UploadPlan) -> Path:
    shutil.copytree(job, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    limits = plan.limits.model_copy(update={"settle_after_s": min(SETTLE_S, plan.limits.settle_after_s)})
    # A rehearsal is here, whoever sends the files later.
    write_bytes(target / "plan.json", plan_bytes(plan.model_copy(update={"limits": limits, "engine": None})))
    return target / "upload.py"


def _run(script: Path, flags: Sequence[str], environment: Mapping[str, str], folder: Path) -> UploadReport:
    """The script to its end, with its report; what it says for people goes to our stderr as it comes."""
    path = folder / "report.json"
    path.unlink(missing_ok=True)
    command = [sys.executable, str(script), *flags, "--report", str(path)]
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and the job's script
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=dict(environment), cwd=folder
    )
    try:
        code = process.wait()
    except KeyboardInterrupt:
        # It has had the same signal; its report says how far it came.
        process.terminate()
        process.wait()
        raise Interrupted("Interrupted.", hint="Run it again: a rehearsal begins anew.") from None
    if code in (EXIT_INTERRUPTED, -2, -15):
        raise Interrupted("Interrupted.", hint="Run it again: a rehearsal begins anew.")
    try:
        return UploadReport.model_validate(parse_json(path.read_bytes()))
    except (OSError, ValueError):
        error = FindingError if code != EXIT_ENVIRONMENT else OutOfReach
        raise error(
            f"The script ended with exit code {code} and no report.",
            hint="What it printed says why; `python upload.py --dry-run` in the job folder shows it again.",
            code="script-failed",
        ) from None


def _count(backend: LocalBackend) -> int:
    """How many data units the stand-in holds."""
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    asked = urllib.request.Request(  # noqa: S310 - the loopback
        f"{backend.host}/data_units/?page_size=1", headers={"Synapse-Access-Token": f"Token {backend.token}"}
    )
    with opener.open(asked, timeout=60) as answer:
        return int(parse_json(answer.read())["count"])


def _judge(report: UploadReport, again: UploadReport | None, there: int) -> list[Problem]:
    wrong = []
    if there != report.created:
        wrong.append(f"{report.created:,} data units were made, the stand-in holds {there:,}")
    if again is not None and again.created:
        wrong.append(f"the same command made {again.created:,} data units again")
    if not wrong:
        return []
    return [
        Problem(
            code="not-as-planned",
            count=len(wrong),
            examples=[redact(text) for text in wrong],
            fix="Don't upload: this is a bug in synapse-skills, or in a function of the edited script; report it.",
        )
    ]
