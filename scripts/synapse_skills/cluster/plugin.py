"""An installed export plugin, run on the plan's own parameters: composed, begun, followed and stopped.

`synapse plugin run --mode remote` begins it; its job is then asked for as `synapse plugin job get` and `logs` do.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from synapse_skills.backend import Api, login, stoppable
from synapse_skills.cluster.agent import agent
from synapse_skills.cluster.submission import now
from synapse_skills.cluster.submit import cli_command
from synapse_skills.errors import (
    EXIT_INCOMPLETE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    FindingError,
    OutOfReach,
    UsageError,
    printable_lines,
    redact,
)
from synapse_skills.export_plan import ExportPlan, read_export_plan
from synapse_skills.plan import plan_hash
from synapse_skills.report import write_json
from synapse_skills.texts import parse_json

ACTION = "export"
RUN_FILE = "plugin_run.json"
SUCCEEDED, FAILED, STOPPED = "SUCCEEDED", "FAILED", "STOPPED"
ENDED = (SUCCEEDED, FAILED, STOPPED)
BEGIN_S = 300.0
POLL_S = 3.0
PATIENCE_S = 30.0
_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
JOB_ID = re.compile(_ID)
_RESULT = re.compile(rf"Result:.*?['\"]id['\"]: ?['\"]?({_ID}|[0-9]+)", re.DOTALL)
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_NOT_SENT = {"async_job_size_threshold", "disable_async_delegate"}


@dataclass(frozen=True)
class Wanted:
    """A run that could begin: whose, with what, and the words that begin it."""

    home: Path
    plugin: str
    params: dict[str, Any]
    plan: str

    @property
    def words(self) -> list[str]:
        """What stands behind `synapse`."""
        params = json.dumps(self.params, ensure_ascii=False)
        return ["plugin", "run", ACTION, "--mode", "remote", "-p", self.plugin, "--no-debug", "--params", params]

    @property
    def command(self) -> str:
        """The whole command, to be read or typed."""
        return shlex.join(["synapse", *self.words])


@dataclass(frozen=True)
class PluginJob:
    """A job of a plugin as the backend tells it."""

    id: str
    status: str
    progress: Any = None
    result: Any = None
    error: str = ""

    @property
    def exit_code(self) -> int:
        """0 on its way or done, 5 failed or not all that was wanted, 130 stopped."""
        if self.status == SUCCEEDED:
            said = self.result.get("exit_code") if isinstance(self.result, dict) else None
            return said if isinstance(said, int) else EXIT_OK
        return {FAILED: EXIT_INCOMPLETE, STOPPED: EXIT_INTERRUPTED}.get(self.status, EXIT_OK)

    def as_dict(self) -> dict[str, Any]:
        """As one JSON object."""
        about = {"job_id": self.id, "status": self.status, "progress": self.progress, "result": self.result}
        return about | {"error": redact(self.error), "exit_code": self.exit_code}


def compose(folder: Path, *, plugin: str | None = None, said: Mapping[str, Any] | None = None) -> Wanted:
    """A run of the plan in a job's home, with what was said in place of the plan's own.

    Args:
        folder: the home, or its plugin/ or job/.
        plugin: the plugin's code; the one that the plan's own would have if None.
        said: parameters.

    Raises:
        UsageError: no plan there, or parameters that an export can't be run with (`bad-params`).
    """
    # Here, because both bring half of the SDK along.
    from synapse_skills.job.export.plugin.params import PlannedParams
    from synapse_skills.rendering.export_plugin import code_of

    path = next((each for each in (folder / "plan.json", folder.parent / "plan.json") if each.is_file()), folder)
    plan = read_export_plan(path / "plan.json" if path.is_dir() else path)
    given = defaults_of(plan) | dict(said or {})
    if "storage" not in given:
        raise UsageError(
            "A plugin writes to a storage of Synapse, and the plan names none.",
            hint="Give one with --params '{\"storage\": 11}'; list_resources storages lists them.",
            code="bad-params",
        )
    unknown = sorted(set(given) - set(PlannedParams.model_fields))
    if unknown:
        raise UsageError(
            f"There is no parameter {', '.join(unknown)}.",
            hint=f"There are: {', '.join(sorted(set(PlannedParams.model_fields) - _NOT_SENT))}.",
            code="bad-params",
        )
    try:
        params = PlannedParams.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"{where or 'params'}: {first['msg']}", hint="Mend it in --params.", code="bad-params"
        ) from None
    sent = params.model_dump(mode="json", exclude_none=True, exclude=_NOT_SENT)
    return Wanted(path.parent, plugin or code_of(plan.name), sent, plan_hash(path.read_bytes()))


def defaults_of(plan: ExportPlan) -> dict[str, Any]:
    """The parameters that say what a plan says."""
    from synapse_skills.rendering.export_plugin import filter_of, path_of

    own = {
        "name": plan.name,
        "target": plan.target,
        "filter": filter_of(plan),
        "path": path_of(plan),
        "save_original_file": plan.originals != "none",
    }
    return own | ({"storage": plan.storage} if plan.storage is not None else {})


def begin(wanted: Wanted, *, approve: str | None) -> PluginJob:
    """Begin it, with the hash of the plan that its user has agreed to.

    Raises:
        FindingError: no such approval (`not-approved`), or the backend refuses (`plugin-refused`).
        OutOfReach: no agent, or nobody can tell whether it began (`plugin-not-begun`).
    """
    if approve != wanted.plan:
        raise FindingError(
            "The run is not approved: --approve is not the hash of this plan.",
            hint="Show the user the parameters and the plan, and give the plan's hash once they agree.",
            code="not-approved",
        )
    agent()
    code, text = _call([*cli_command(), *wanted.words])
    found = _RESULT.search(text)
    if code == 0 and found:
        job = PluginJob(found[1], "PENDING")
        about = {"job_id": job.id, "plugin": wanted.plugin, "params": wanted.params, "plan": wanted.plan}
        write_json(wanted.home / RUN_FILE, {"version": 1, **about, "begun_at": now()})
        return job
    # Before what went wrong stand headings and a spinner.
    told = printable_lines(redact(" ".join(text.split()).rpartition("Error: ")[2][-400:]))
    if code and any(word in told for word in ("404", "Not found", "NotFound", "400", "403")):
        raise FindingError(
            f"The backend does not run the plugin {wanted.plugin}: {told}",
            hint="Is it published (synapse plugin publish), and is this its code? --plugin names another.",
            code="plugin-refused",
        )
    raise OutOfReach(
        f"Nobody can tell whether the run began: {told or 'the command said nothing'}",
        hint="Look for its job in the console before you begin it again: it would write to the same place.",
        code="plugin-not-begun",
    )


def _call(command: list[str]) -> tuple[int, str]:
    # Wide, so that no line is broken where its id is; without a terminal nothing is asked.
    environment = os.environ | {"COLUMNS": "100000", "NO_COLOR": "1", "TERM": "dumb", "PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run(  # noqa: S603 - the SDK's own command, its words literal
            command,
            capture_output=True,
            env=environment,
            stdin=subprocess.DEVNULL,
            timeout=BEGIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 0, "the command did not end"
    text = (done.stdout + b"\n" + done.stderr).decode(errors="replace")
    return done.returncode, _ANSI.sub("", text)


def job_of(named: str) -> str:
    """The id of the job that is meant: itself, or the last one that was begun from a job's home.

    Raises:
        UsageError: there is none.
    """
    if JOB_ID.fullmatch(named) or named.isdecimal():
        return named
    for folder in (Path(named), Path(named).parent):
        try:
            return str(parse_json((folder / RUN_FILE).read_bytes())["job_id"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    raise UsageError(
        f"No plugin was run from {printable_lines(named)}.", hint="Give the id of its job.", code="no-plugin-run"
    )


def see(job_id: str) -> PluginJob:
    """What has become of a job.

    Raises:
        FindingError: there is none. OutOfReach: the backend is out of reach.
    """
    found = _ask(f"jobs/{job_id}/")
    if not isinstance(found, dict):
        raise OutOfReach(f"The backend answered with nothing for job {job_id}.", code="not-synapse")
    error = found.get("error") or (found.get("result") or {}).get("error") if _has_error(found) else ""
    status = str(found.get("status") or "").upper()
    return PluginJob(job_id, status, found.get("progress_record"), found.get("result"), str(error or ""))


def _has_error(found: Mapping[str, Any]) -> bool:
    return bool(found.get("error")) or (isinstance(found.get("result"), dict) and "error" in found["result"])


def logs(job_id: str) -> list[str]:
    """What a job has said so far, in lines that are safe to print; `see` for what it raises."""
    found = _ask(f"jobs/{job_id}/console_logs/")
    rows = found.get("results", []) if isinstance(found, dict) else found if isinstance(found, list) else []
    lines = [str(row.get("message", "")) if isinstance(row, dict) else str(row) for row in rows]
    return [redact(printable_lines(_ANSI.sub("", line))) for text in lines for line in text.splitlines() if line]


def follow(
    job_id: str, on_line: Callable[[str], None], *, timeout: float | None = None, poll: float = POLL_S
) -> PluginJob:
    """Hand on what a job says until it has ended.

    Raises:
        FindingError, OutOfReach: as `see`, and after `timeout` seconds (`still-running`).
    """
    deadline = time.monotonic() + timeout if timeout else None
    told = 0
    while True:
        job = see(job_id)
        lines = logs(job_id)
        for line in lines[told:]:
            on_line(line)
        told = max(told, len(lines))
        if job.status in ENDED:
            return job
        if deadline is not None and time.monotonic() > deadline:
            raise OutOfReach(
                f"Job {job_id} is {job.status} and not over.",
                hint="It goes on: look again later.",
                code="still-running",
            )
        time.sleep(poll)


def stop(job_id: str) -> PluginJob:
    """Stop a job; as `see`. One that has ended stays as it is."""
    job = see(job_id)
    if job.status in ENDED:
        return job
    _ask(f"v2/jobs/{job_id}/stop/", stop=True)
    return see(job_id)


def _ask(path: str, *, stop: bool = False) -> Any:
    async def asked() -> Any:
        who = login().for_v2() if stop else login()
        async with Api(who, patience=PATIENCE_S) as api:
            # Stopping what is stopped does no harm.
            return await (api.post_repeatable(path, {}) if stop else api.get(path))

    return asyncio.run(stoppable(asked()))


__all__ = ["PluginJob", "Wanted", "begin", "compose", "follow", "job_of", "logs", "see", "stop"]
