"""A probe: a small job that looks at paths which only the cluster sees, and says through its log what is there.

Its folder is made anew each time, holds the request and what travels of this library, and is gone afterwards; the
job itself changes nothing. What can't be told is told as what it is: a path that is not there, a job that failed, a
cluster that is out of reach.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import posixpath
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from synapse_skills.cluster.agent import agent
from synapse_skills.cluster.ending import PATIENCE_S, Ended, tail
from synapse_skills.cluster.ray_jobs import TAG, JobInfo, RayJobs
from synapse_skills.cluster.submit import new_tag, submit
from synapse_skills.errors import (
    EXIT_ENVIRONMENT,
    EXIT_FINDINGS,
    FindingError,
    Interrupted,
    OutOfReach,
    SkillsError,
    printable,
    redact,
)
from synapse_skills.job.markers import Markers, read_markers
from synapse_skills.job.probe import MOST_FILE_BYTES, MOST_FILES
from synapse_skills.rendering import library_files
from synapse_skills.rendering.script import environment
from synapse_skills.report import Problem
from synapse_skills.sources.address import is_url, parse_address
from synapse_skills.sources.check import PathReport

SCRIPT = "probe.py"
PROBE_SECONDS = 1_800.0
"""A walk over millions of files on a slow disk takes so long; what takes longer is planned where the files are."""
EVERY_S = 1.0
KIND = "on-agent"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Listing:
    """All files of some folders of the cluster.

    Attributes:
        roots: the folders, their links resolved.
        at: when they were looked at, seconds since the epoch.
        rows: columns of files: source, path, size, time of change in seconds.
    """

    roots: tuple[str, ...]
    at: float
    files: int
    bytes: int
    folders: int
    problems: tuple[Problem, ...]
    parts: Sequence[Mapping[str, list[Any]]] = field(repr=False)

    def rows(self) -> Iterator[tuple[int, str, int, int]]:
        """Source, path, size and time of change in nanoseconds of each file."""
        for part in self.parts:
            columns = (part["sources"], part["paths"], part["sizes"], part["times"])
            for source, path, size, seconds in zip(*columns, strict=True):
                yield source, path, size, seconds * 1_000_000_000


@dataclass
class Request:
    """One thing that is asked; filled with what came of it.

    Attributes:
        asked: as the job reads it.
        said: the answer.
        error: why there is none.
        parts: what it is made of, in order.
    """

    asked: dict[str, Any]
    said: dict[str, Any] = field(default_factory=dict)
    error: SkillsError | None = None
    parts: list[dict[str, Any]] = field(default_factory=list)

    def get(self) -> dict[str, Any]:
        """The answer.

        Raises:
            SkillsError: there is none.
        """
        if self.error is not None:
            raise self.error
        return self.said


def check_on_agent(path: str, *, recursive: bool, limit: int | None, say: Say = lambda text: None) -> PathReport:
    """What is at a path of the cluster, or at a URL as the cluster reaches it, as `check_path` says it of one here.

    Raises:
        OutOfReach: not there, no permission; or the cluster is out of reach, or the probe failed.
    """
    place = str(parse_address(path)) if is_url(path) else absolute(path)
    one = Request({"ask": "check", "path": place, "recursive": recursive, "limit": limit})
    probe([one], say=say)
    report = dict(one.get()["report"])
    problems = [Problem.model_validate(each) for each in report.pop("problems")]
    return PathReport(**{**report, "kind": KIND, "problems": problems})


def list_on_agent(
    sources: Sequence[tuple[str, bool]], files: Sequence[str] = (), *, say: Say = lambda text: None
) -> tuple[Listing, list[Request]]:
    """All files of some folders of the cluster, and the contents of some small ones, with one job.

    Args:
        sources: folders, and whether what lies below them counts.
        files: paths of small files such as a table of metadata; they need not be there.

    Returns:
        The listing, and a request for each file: `content` has its bytes.

    Raises:
        FindingError: `too-many-to-bring`. OutOfReach: as for `check_on_agent`.
    """
    asked = [{"path": absolute(path), "recursive": recursive} for path, recursive in sources]
    listing = Request({"ask": "listing", "sources": asked, "most": MOST_FILES})
    brought = [_file(path) for path in files]
    at = time.time()
    probe([listing, *brought], say=say)
    said = listing.get()
    if said["parts"] is None:
        kinds = ", ".join(f"{count:,} {kind or 'without extension'}" for kind, count in said["kinds"].items())
        raise FindingError(
            f"The cluster sees {said['files']:,} files, too many to bring their names here: {printable(kinds)}; "
            f"such as {', '.join(said['examples'][:3])}.",
            hint="Make the plan where the files are (plan_upload on a machine that mounts them), or in several jobs, "
            "each over some of the folders.",
            code="too-many-to-bring",
        )
    return (
        Listing(
            roots=tuple(said["roots"]),
            at=at,
            files=said["files"],
            bytes=said["bytes"],
            folders=said["folders"],
            problems=tuple(Problem.model_validate(each) for each in said["problems"]),
            parts=listing.parts,
        ),
        brought,
    )


def files_on_agent(paths: Sequence[str], *, say: Say = lambda text: None) -> list[Request]:
    """The contents of small files of the cluster, with one job; `content` has each one's bytes."""
    asked = [_file(path) for path in paths]
    probe(asked, say=say)
    return asked


def content(one: Request) -> bytes:
    """The bytes of a file that was asked for.

    Raises:
        SkillsError: it is not there, or too large.
    """
    size = int(one.get()["size"])
    found = b"".join(base64.b64decode(part["data"]) for part in one.parts)
    if len(found) != size:
        raise _broken("a file arrived with another size")
    return found


def absolute(path: str) -> str:
    """A path of the cluster as it is kept: absolute, plain.

    Raises:
        OutOfReach: it is none; what it would be relative to is another folder for every job.
    """
    text = path.strip()
    if "://" in text:
        raise OutOfReach(
            f"{printable(redact(text))} is not a folder of the cluster: only folders are supported so far.",
            hint="Name a folder that the cluster's machines mount.",
            code="source-not-supported",
        )
    if not text.startswith("/") or "\0" in text:
        raise OutOfReach(
            f"{printable(text)} is not an absolute path, and a path of the cluster must be one.",
            hint="Name it from the root on, such as /mnt/scans.",
            code="source-not-absolute",
        )
    return "/" + posixpath.normpath(text).lstrip("/")


def _file(path: str) -> Request:
    return Request({"ask": "file", "path": absolute(path), "most": MOST_FILE_BYTES})


def probe(
    requests: Sequence[Request],
    *,
    timeout: float = PROBE_SECONDS,
    say: Say = lambda text: None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Have all requests answered by one job.

    Raises:
        OutOfReach: no agent, no dashboard, no Ray; `probe-failed`, `probe-timeout`; what the job said can't be read.
        Interrupted: the job was stopped too.
    """
    chosen = agent()
    need_ray()
    rays = RayJobs(chosen.dashboard, environ=environ)
    tag = new_tag("", "probe")
    try:
        folder = Path(tempfile.mkdtemp(prefix="synapse-skills-probe-"))
    except OSError as error:
        raise _unwritable(error) from None
    try:
        render_probe(folder, requests)
        say(f"asking the cluster of agent {printable(chosen.name)}: a small job looks there and reads only")
        job_id = submit(folder, env={TAG: tag}, chosen=chosen, script=SCRIPT, environ=environ)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        info = _wait(rays, job_id, timeout, say)
    except KeyboardInterrupt:
        _stop(rays, job_id)
        raise Interrupted("Interrupted; the probe on the cluster was stopped.") from None
    log = rays.logs(job_id)
    said = read_markers(log)
    document = _answers(info, log, said)
    for number, (one, answer) in enumerate(zip(requests, document, strict=True)):
        _fill(one, number, answer, said)


def need_ray() -> None:
    """Say at once, and rightly, what is missing.

    Raises:
        OutOfReach: `no-ray`.
    """
    if importlib.util.find_spec("ray") is None:
        raise OutOfReach(
            "Ray is not in this environment, and asking the cluster needs it.",
            hint="Say --on-agent on the command line of run.py: it then brings an environment with Ray.",
            code="no-ray",
        )


def render_probe(folder: Path, requests: Sequence[Request]) -> None:
    """Write what ships: the script, the request, pinned requirements and what travels of this library."""
    jinja = environment()
    files = {
        SCRIPT: jinja.get_template("probe/probe.py.j2").render().encode(),
        "request.json": json.dumps({"version": 1, "requests": [one.asked for one in requests]}).encode(),
        "requirements.txt": jinja.get_template("job/requirements.txt.j2")
        .render(requirements=[("synapse-sdk", version("synapse-sdk"))])
        .encode(),
        ".rayignore": jinja.get_template("job/rayignore.j2").render().encode(),
        **library_files(),
    }
    try:
        for name, data in files.items():
            path = folder / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(data)
    except OSError as error:
        raise _unwritable(error) from None


def _unwritable(error: OSError) -> OutOfReach:
    return OutOfReach(
        f"The probe's folder can't be written: {error.strerror or error}.",
        hint="Free some space in the folder for temporary files (TMPDIR names another).",
        code="job-not-writable",
    )


def _wait(rays: RayJobs, job_id: str, timeout: float, say: Say) -> JobInfo:
    """Until it has ended. Its log is read once, then: it may be large."""
    began = last_answer = told = time.monotonic()
    status = "PENDING"
    while True:
        try:
            info = rays.info(job_id)
            last_answer, status = time.monotonic(), info.status
            if info.has_ended:
                return info
        except OutOfReach as error:
            if error.code != "dashboard-unreachable" or time.monotonic() - last_answer > PATIENCE_S:
                raise
        now = time.monotonic()
        if now - began > timeout:
            _stop(rays, job_id)
            waits = status == "PENDING"
            raise OutOfReach(
                f"The probe {printable(job_id)} was stopped after {timeout:.0f} s: "
                + ("the cluster had not begun it." if waits else "the cluster had not looked at everything yet."),
                hint="Ask the cluster's owner why jobs wait."
                if waits
                else "Name a folder further down, or plan where the files are.",
                code="probe-timeout",
            )
        if now - told > 15:
            say(f"the cluster's job {printable(job_id)} is {printable(status.lower())}, {now - began:.0f} s so far")
            told = now
        time.sleep(EVERY_S)


def _stop(rays: RayJobs, job_id: str) -> None:
    """It changes nothing and nobody waits for it any more; if it can't be stopped it ends by itself."""
    try:
        rays.stop(job_id)
    except OutOfReach:
        return


def _answers(info: JobInfo, log: str, said: Markers) -> list[dict[str, Any]]:
    """What the job has answered to each request.

    Raises:
        OutOfReach: it has not.
    """
    document = said.last("probe")
    if document is not None and isinstance(document.get("answers"), list):
        return list(document["answers"])
    ended = Ended(info, None, tail(log), None)
    why = redact(printable(" ".join(info.message.split())))[-600:]
    last = "; ".join(ended.log_tail[-3:])
    raise OutOfReach(
        f"The probe {printable(info.id)} failed on the cluster ({printable(info.status)})"
        + (f": {why}" if why else ".")
        + (f" It last said: {last}" if last else ""),
        hint=ended.next_step(),
        code="probe-failed",
    )


def _fill(one: Request, number: int, answer: Mapping[str, Any], said: Markers) -> None:
    if "error" in answer:
        error = answer["error"]
        there = SkillsError(
            f"On the cluster: {error['message']}", hint=str(error["hint"]), code=printable(str(error["code"]))
        )
        there.exit_code = EXIT_FINDINGS if error["exit_code"] == EXIT_FINDINGS else EXIT_ENVIRONMENT
        one.error = there
        return
    one.said = dict(answer["said"])
    wanted = one.said.get("parts") or 0
    kind = {"listing": "listing", "file": "bytes"}.get(one.asked["ask"])
    if kind is None or not wanted:
        return
    found = {part["part"]: part for part in said.get(kind, []) if part.get("of") == number}
    if sorted(found) != list(range(1, wanted + 1)):
        raise _broken(f"{wanted - len(found)} of {wanted} parts are missing in its log")
    one.parts = [found[index] for index in range(1, wanted + 1)]


def _broken(why: str) -> OutOfReach:
    return OutOfReach(
        f"What the probe has said did not arrive whole: {why}.",
        hint="Ask again; if it stays so, the cluster cuts its logs: plan where the files are.",
        code="markers-incomplete",
    )
