"""An upload on a Ray cluster of three machines: every data unit is there once, whoever is killed on the way."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.environments import environment
from launcher.messages import LaunchError
from remote_fixture import SECRET, MixedJob, mixed_seed
from sandbox_fixture import SandboxFactory
from sources.trees import Front, S3Tree
from synapse_skills.errors import EXIT_INTERRUPTED
from synapse_skills.job.upload.create import MAX_IN_FLIGHT
from synapse_skills.plan import Limits

pytestmark = pytest.mark.heavy

UNITS = 150
LATENCY_MS = 200
WORKERS = 15


class Machines:
    """A cluster, and drivers of a job on it.

    Attributes:
        session: where Ray keeps its logs.
    """

    def __init__(self, job: MixedJob, python: str, session: Path) -> None:
        paths = os.pathsep.join(str(Path(path).resolve()) for path in sys.path if path.endswith("scripts"))
        mine = {name: value for name, value in os.environ.items() if name.startswith("SYNAPSE_S3_")}
        self.env = job.box.env(job.folder / "user", SYNAPSE_SKILLS_PATIENCE_S="20", PYTHONPATH=paths) | mine
        # Whoever connects must look for the machines where they are: on the loopback.
        self.env |= {"RAY_TMPDIR": str(session), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
        # A machine that has to compile all of Ray first gives up when this one is busy.
        self.env["PYTHONPYCACHEPREFIX"] = str(Path(python).parents[2] / "pycache")
        self.env.pop("PYTHONDONTWRITEBYTECODE", None)
        self._job, self._python = job, python
        self._process = subprocess.Popen(
            [self._python, str(Path(__file__).parent / "machines.py"), "3"],
            env=self.env,
            cwd=job.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.address = self._line()
        assert self.address, "the machines did not start"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def kill_one(self) -> None:
        """End a machine at once, with all that works on it."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        assert self._line() == "killed"

    def start(self, *flags: str) -> subprocess.Popen[str]:
        """The job's script, connected to the cluster."""
        return subprocess.Popen(
            [self._python, str(self._job.job / "upload.py"), *flags],
            env=self.env | {"RAY_ADDRESS": self.address},
            cwd=self._job.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def close(self) -> None:
        """Stop the cluster."""
        self._process.communicate(timeout=120)


@contextlib.contextmanager
def cluster(job: MixedJob, session: Path) -> Iterator[Machines]:
    """Three machines, for the time of a test."""
    try:
        python = environment("ray")
    except LaunchError as error:
        pytest.skip(f"no environment with Ray: {error}")
    machines = Machines(job, python, session)
    try:
        yield machines
    finally:
        machines.close()


def wait_for(job: MixedJob, count: int, run: subprocess.Popen[str]) -> None:
    """Until so many data units are there, or the run has ended."""
    while len(job.box.units()) < count and run.poll() is None:
        time.sleep(0.1)


def _end(run: subprocess.Popen[str], job: MixedJob, count: int, number: signal.Signals) -> None:
    """Send a run a signal as soon as so many data units are there."""
    wait_for(job, count, run)
    run.send_signal(number)
    said = run.communicate(timeout=120)[0]
    assert run.returncode != 0 and len(job.box.units()) < UNITS, said


def metas(job: MixedJob) -> Counter[str]:
    """The names that data units carry on the backend."""
    return Counter(unit["meta"]["name"] for unit in job.box.units())


def test_each_unit_is_there_once_whoever_is_killed(tmp_path: Path, sandbox_factory: SandboxFactory, s3: Front) -> None:
    tree = S3Tree()
    job = MixedJob(tmp_path / "upload", sandbox_factory(seed=mixed_seed(tree), latency_ms=LATENCY_MS), tree)
    job.units(UNITS)
    job.plan_with(engine="ray", limits=Limits(batch_size=5, workers=WORKERS, settle_after_s=2))
    # Ray's sockets need a short path.
    with (
        tempfile.TemporaryDirectory(prefix="r", ignore_cleanup_errors=True) as session,
        cluster(job, Path(session)) as machines,
    ):
        killed = machines.start()
        _end(killed, job, 20, signal.SIGKILL)
        stopped = machines.start()
        _end(stopped, job, len(job.box.units()) + 20, signal.SIGTERM)
        assert stopped.returncode == EXIT_INTERRUPTED
        assert job.report()["pending"]
        last = machines.start()
        wait_for(job, len(job.box.units()) + 20, last)
        was_at_work = last.poll() is None
        machines.kill_one()
        said = last.communicate(timeout=300)[0]
        assert (last.returncode, was_at_work) == (0, True), said
        report = job.report()
        again = _again(job, machines)
        most = job.box.get("/_sandbox/stats")["most_in_flight"]
        told = _who_tells_secrets(Path(session), job.box.token, SECRET)
    assert job.there() == job.wanted()
    assert metas(job) == Counter(list(job.files))
    assert report["created"] + report["already"] == UNITS
    assert (again["exit_code"], again["already"]) == (0, UNITS)
    assert "Traceback" not in said
    assert not told
    # Those of the machines, of the one who makes data units, and ours.
    assert most <= WORKERS + MAX_IN_FLIGHT + 1


def _who_tells_secrets(folder: Path, *secrets: str) -> list[Path]:
    """Files in which one of them stands."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path for path in files if any(secret.encode() in path.read_bytes() for secret in secrets)]


def _again(job: MixedJob, machines: Machines) -> dict[str, Any]:
    """Run it once more: nothing is left to do."""
    run = machines.start()
    said = run.communicate(timeout=200)[0]
    assert run.returncode == 0, said
    return job.report()
