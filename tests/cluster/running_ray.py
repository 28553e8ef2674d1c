"""A cluster that really runs what is submitted, and on which there are folders that nobody here can see.

`RunningRay` is the fake dashboard; its command line copies the folder as Ray would ship it, and the job runs as a
process of its own: other home, no variables but those that travel. `only_there` is a folder that exists under its
name while a job runs and under no name that anybody here knows at any other time.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cluster.fake_ray import FakeRay

CLI = """\
#!{python}
import json, os, sys, urllib.request
open({seen!r}, "a").write(json.dumps(sys.argv[1:]) + "\\n")
script = sys.argv[3]
env = {{k: v for k, v in os.environ.items() if k.startswith(("SYNAPSE_", "RAY_"))}}
env.setdefault("SYNAPSE_HOST", {host!r})
env.setdefault("SYNAPSE_ACCESS_TOKEN", {token!r})
body = {{"entrypoint": "python3 " + os.path.basename(script), "runtime_env": {{"env_vars": env,
        "working_dir": os.path.dirname(script)}}}}
request = urllib.request.Request({url!r} + "/api/jobs/", data=json.dumps(body).encode())
print("Job submitted: " + json.load(urllib.request.urlopen(request))["job_id"])
"""


class RunningRay(FakeRay):
    """A dashboard whose jobs run.

    Attributes:
        folder: where jobs are unpacked; a worker's home is in it.
        noise: what is printed between the lines of every job, as Ray itself does.
        before: replaces the start of a job: `hang` (never begins), `pip` (its packages can't be installed).
        cut: how many bytes at the beginning of every log are gone.
        ran: the folders that were shipped, by job.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hidden: list[Path] = []
        self.before = ""
        self.cut = 0
        self.ran: dict[str, Path] = {}
        self.extra: dict[str, str] = {}
        self._threads: list[threading.Thread] = []
        folder.mkdir(parents=True)
        (folder / "home").mkdir()
        super().__init__()

    def only_there(self, path: Path) -> Path:
        """Take a folder or file away from here: from now on only jobs see it."""
        self._away(path)
        self.hidden.append(path)
        return path

    def close(self) -> None:
        """Wait for jobs that run, then close."""
        for thread in self._threads:
            thread.join(30)
        super().close()

    def job(self, job_id: str = "raysubmit_aaaa1111bbbb2222", status: str = "RUNNING", **more: Any) -> str:
        """Put a job there; one that was submitted runs."""
        runtime = more.get("runtime_env") or {}
        super().job(job_id, status, **more)
        if "working_dir" in runtime:
            shipped = self.folder / job_id
            shutil.copytree(runtime["working_dir"], shipped, ignore=shutil.ignore_patterns("__pycache__"))
            self.ran[job_id] = shipped
            arguments = (job_id, shipped, self.jobs[job_id]["entrypoint"].split()[-1], runtime["env_vars"])
            thread = threading.Thread(target=self._run, args=arguments, daemon=True)
            self._threads.append(thread)
            thread.start()
        return job_id

    def _run(self, job_id: str, shipped: Path, script: str, env: dict[str, str]) -> None:
        if self.before == "hang":
            return
        if self.before == "pip":
            why = "runtime_env setup failed: Failed to install pip packages: no matching distribution"
            self.end(job_id, "FAILED", "", message=why, error_type="RuntimeEnvSetupError")
            return
        self.jobs[job_id]["status"] = "RUNNING"
        config = json.dumps({"metadata": {"job_submission_id": job_id}})
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "RAY_JOB_CONFIG_JSON_ENV_VAR": config,
            "PYTHONDONTWRITEBYTECODE": "1",
            **env,
            **self.extra,
        }
        with self._visible():
            done = subprocess.run(
                [sys.executable, script], cwd=shipped, env=environment, capture_output=True, check=False
            )
        # One log for both, with what Ray writes in between.
        out = done.stdout.decode().splitlines(keepends=True)
        half = len(out) // 2
        log = "".join(out[:half]) + "(raylet) [2026-11-22 01:00:00] a line of Ray's own\n" + "".join(out[half:])
        log = done.stderr.decode() + log
        message = "" if done.returncode == 0 else f"Job entrypoint command failed with exit code {done.returncode}"
        status = "SUCCEEDED" if done.returncode == 0 else "FAILED"
        self.end(job_id, status, log[self.cut :], message=message, driver_exit_code=done.returncode)

    @contextlib.contextmanager
    def _visible(self) -> Iterator[None]:
        for path in self.hidden:
            self._behind(path).rename(path)
        try:
            yield
        finally:
            for path in self.hidden:
                self._away(path)

    def _away(self, path: Path) -> None:
        path.rename(self._behind(path))

    def _behind(self, path: Path) -> Path:
        return self.folder / ("disk-" + path.as_posix().strip("/").replace("/", "-"))


class RunningCli:
    """The command line: `calls()` are the arguments of each call."""

    def __init__(self, folder: Path, ray: RunningRay, host: str, token: str) -> None:
        folder.mkdir()
        self._seen = folder / "seen"
        self.script = folder / "synapse"
        self.script.write_text(
            CLI.format(python=sys.executable, seen=str(self._seen), url=ray.url, host=host, token=token)
        )
        self.script.chmod(0o755)

    def calls(self) -> list[list[str]]:
        """What it was called with."""
        return [json.loads(line) for line in self._seen.read_text().splitlines()] if self._seen.exists() else []
