"""Hand a job to the cluster with the SDK's own command line, of which nothing is believed but the job's number.

It may hang for ever, end with 0 though nothing was submitted, or fail after it was. So: a time limit, a tag in the
environment that travels, and Ray itself is asked what there is.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from synapse_skills.cluster.agent import Agent, agent
from synapse_skills.cluster.ray_jobs import TAG, RayJobs
from synapse_skills.cluster.submission import SCRIPTS, AgentNamed, JobHome, Mode, Submission, now
from synapse_skills.errors import FindingError, Interrupted, OutOfReach, SkillsError, printable_lines, redact

DRY_RUN_VARIABLE = "SYNAPSE_SKILLS_DRY_RUN"
SUBMIT_SECONDS = 300.0
STOP_SECONDS = 60
"""A job that is stopped finishes what is on its way and reports; Ray alone would kill it after 3 seconds."""
_LOOK_AGAIN = (0.0, 1.0, 2.0, 4.0)
_JOB_ID = re.compile(r"raysubmit_[A-Za-z0-9]+")
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


@dataclass(frozen=True, slots=True)
class _Said:
    """How the command line ended: `code` is None where it was stopped for taking too long."""

    code: int | None
    text: str


def cli_command() -> list[str]:
    """The SDK's command line of the environment that this runs in."""
    for name in ("synapse", "synapse.exe"):
        path = Path(sys.executable).parent / name
        if path.is_file():
            return [str(path)]
    return [sys.executable, "-c", "import sys; sys.argv[0] = 'synapse'; from synapse_sdk.cli import cli; cli()"]


def new_tag(plan: str, mode: str) -> str:
    """What one submission is known by: its plan, its mode, and a number of its own."""
    return f"{plan}-{mode}-{secrets.token_hex(4)}"


def submit_job(
    home: JobHome,
    *,
    mode: Mode,
    plan: str,
    content: str,
    timeout: float | None = None,
    cpus: int | None = None,
    gpus: int | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Submission:
    """Submit a job that has passed the gate; written down before and after, so that no kill loses it.

    Raises:
        SkillsError: it was not submitted (nothing is left of the attempt), or nobody can tell (it stays written down).
    """
    chosen = agent()
    wanted = Submission(
        dashboard=chosen.dashboard,
        mode=mode,
        plan=plan,
        content=content,
        tag=new_tag(plan, mode),
        submitted_at=now(),
        agent=AgentNamed(id=chosen.id, name=chosen.name),
    )
    env = {TAG: wanted.tag} | ({DRY_RUN_VARIABLE: "1"} if mode == "dry-run" else {})
    with home.held():
        home.remember([wanted, *home.submissions()])
        try:
            job_id = submit(
                home.job, env=env, timeout=timeout, cpus=cpus, gpus=gpus, chosen=chosen, environ=environ,
                script=home.script,
            )  # fmt: skip
        except SkillsError as error:
            if error.code not in ("submit-unknown", "interrupted"):
                home.forget(wanted.tag)
            raise
        done = wanted.model_copy(update={"job_id": job_id})
        home.update(done)
    return done


def submit(
    folder: Path,
    *,
    env: Mapping[str, str],
    timeout: float | None = None,
    cpus: int | None = None,
    gpus: int | None = None,
    chosen: Agent | None = None,
    environ: Mapping[str, str] = os.environ,
    script: str = SCRIPTS["upload"],
) -> str:
    """Submit the script of a folder; the whole folder ships.

    Args:
        folder: what ships, with the script in it.
        env: variables that travel; their names begin with SYNAPSE_ or RAY_. One of them may be the `TAG`.
        timeout: seconds for the command line; 300 unless said.
        cpus: to reserve for the script.
        gpus: likewise.
        chosen: the agent; the selected one if None.
        environ: what the command line starts from.
        script: its name in the folder.

    Returns:
        Ray's id of the job.

    Raises:
        SkillsError: it was not submitted, or (`submit-unknown`) nobody can tell.
    """
    chosen = chosen or agent()
    rays = RayJobs(chosen.dashboard, environ=environ)
    rays.version()
    tag = env.get(TAG) or new_tag("", "script")
    command = [*cli_command(), "script", "submit", str(folder / script)]
    command += ["--requirements", str(folder / "requirements.txt")] if (folder / "requirements.txt").is_file() else []
    command += ["--cpus", str(cpus)] if cpus is not None else []
    command += ["--gpus", str(gpus)] if gpus is not None else []
    seconds = timeout or SUBMIT_SECONDS
    try:
        with _token_home(rays, environ) as home:
            said = _run(command, _environment(environ, {TAG: tag, **env}, rays) | home, seconds)
    except KeyboardInterrupt:
        raise Interrupted(
            "Interrupted while the job was being submitted.",
            hint="job_status tells whether it was; if it runs, stop it with job_status JOB_ID --stop.",
        ) from None
    found = list(dict.fromkeys(_JOB_ID.findall(said.text)))
    if len(found) == 1 and _is_there(rays, found[0]):
        return str(found[0])
    return _look(rays, tag) or _why(said, rays, tag, seconds, script)


def _environment(environ: Mapping[str, str], env: Mapping[str, str], rays: RayJobs) -> dict[str, str]:
    """What the command line sees; whatever begins with SYNAPSE_ or RAY_ travels on to the cluster."""
    # An address of another cluster, other rules for what ships, and what only this process was told. Ray's token would
    # be in the job's record, and the path of its file would keep the job's processes there from starting.
    dropped = (
        "RAY_ADDRESS", "RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES", "RAY_RUNTIME_ENV_HOOK", "PYTHONSAFEPATH",
        "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH",
    )  # fmt: skip
    kept = {
        name: value
        for name, value in environ.items()
        if name not in dropped and not name.startswith("SYNAPSE_SKILLS_") and name != "FORCE_COLOR"
    }
    plain = {"COLUMNS": "400", "TERM": "dumb", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    more = {"RAY_RUNTIME_ENV_IGNORE_GITIGNORE": "1"}
    if rays.used_token:
        more["RAY_AUTH_MODE"] = "token"
    return {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)} | kept | plain | more | dict(env)


@contextlib.contextmanager
def _token_home(rays: RayJobs, environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """A home folder for the command line in which Ray finds its token: no variable that names it may travel."""
    if not rays.token or not (environ.get("RAY_AUTH_TOKEN") or environ.get("RAY_AUTH_TOKEN_PATH")):
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="synapse-skills-") as name:
        folder = Path(name)
        (folder / ".ray").mkdir(mode=0o700)
        (folder / ".ray" / "auth_token").touch(mode=0o600)
        (folder / ".ray" / "auth_token").write_text(rays.token, encoding="utf-8")
        (folder / ".synapse").symlink_to(Path.home() / ".synapse")
        yield {"HOME": name}


def _run(command: Sequence[str], environment: Mapping[str, str], seconds: float) -> _Said:
    """Run it with nobody to ask; after its time it and all that it started are stopped."""
    try:
        process = subprocess.Popen(  # noqa: S603 - the SDK of our own environment
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
        )
    except OSError as error:
        raise OutOfReach(
            f"The SDK's command line can't be started: {error.strerror or error}.",
            hint="Start this with `run.py submit`: it brings an environment with SDK and Ray.",
            code="submit-failed",
        ) from None
    try:
        out, _ = process.communicate(timeout=seconds)
        return _Said(process.returncode, _clean(out))
    except subprocess.TimeoutExpired:
        _kill(process)
        return _Said(None, _clean(_rest(process)))
    except BaseException:
        _kill(process)
        raise


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _rest(process: subprocess.Popen[bytes]) -> bytes:
    try:
        return process.communicate(timeout=5)[0] or b""
    except subprocess.TimeoutExpired:  # a grandchild of another session holds the pipe
        return b""


def _clean(out: bytes) -> str:
    return redact(_ANSI.sub("", out.decode("utf-8", "replace")))


def _is_there(rays: RayJobs, job_id: str) -> bool:
    """Whether Ray knows a job that was said to be submitted; a dashboard that fails just now is no reason to doubt."""
    try:
        rays.info(job_id)
    except OutOfReach as error:
        return error.code != "job-unknown"
    return True


def _look(rays: RayJobs, tag: str) -> str | None:
    """The job by its tag: the command line may have failed after it had submitted."""
    for wait in _LOOK_AGAIN:
        time.sleep(wait)
        with contextlib.suppress(OutOfReach):
            info = rays.by_tag(tag)
            if info is not None:
                return info.id
    return None


def _why(said: _Said, rays: RayJobs, tag: str, seconds: float, script: str) -> str:
    """No number, and Ray doesn't list it: say what happened, as far as anybody can know.

    Returns:
        The id, should the job turn up at the last moment.
    """
    try:
        info = rays.by_tag(tag)
    except OutOfReach as error:
        raise OutOfReach(
            f"Whether the job was submitted is unknown: the command line gave no number, and then: {error}",
            hint="Ask with job_status once the dashboard answers again, before submitting anew.",
            code="submit-unknown",
        ) from None
    if info is not None:
        return info.id
    text = said.text
    last = printable_lines("\n".join([line for line in text.splitlines() if line.strip()][-6:]))
    if said.code is None:
        raise OutOfReach(
            f"`synapse script submit` did not end within {seconds:.0f} s and was stopped; no job was made.",
            hint="The dashboard takes no jobs (an agent of it that never came up is the usual cause): ask the "
            "cluster's owner to look at it, then submit again. On a slow line raise --timeout.",
            code="submit-hung",
        )
    if re.search(r"No module named '?ray'?", text):
        raise OutOfReach(
            "`synapse script submit` has no Ray in its environment.",
            hint="Start it with `run.py submit …`: it brings an environment with Ray.",
            code="no-ray",
        )
    if "Maximum request body size" in text or re.search(r"\b413\b", text):
        raise FindingError(
            "Ray's dashboard refuses the package as too large.",
            hint="Keep data out of the job folder: sources are read where they are.",
            code="package-too-large",
        )
    if re.search(r"authentication token|Authentication (?:required|failed)", text, re.IGNORECASE):
        raise OutOfReach(
            "The cluster asks for Ray's own token, and the command line had none that it takes.",
            hint="Set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH as the cluster's owner tells you.",
            code="ray-token",
        )
    if said.code == 0:
        raise OutOfReach(
            "`synapse script submit` ended as if all were well, but no job was made."
            + (f" It said:\n{last}" * bool(last)),
            hint=f"Submit again; if it stays so, run it by hand to see why: synapse script submit JOB/{script}",
            code="submit-said-nothing",
        )
    raise OutOfReach(
        f"`synapse script submit` failed with exit code {said.code}; no job was made. It said:\n{last}",
        hint="Mend what it says. check_environment --for submit looks at agent, dashboard and Ray.",
        code="submit-failed",
    )
