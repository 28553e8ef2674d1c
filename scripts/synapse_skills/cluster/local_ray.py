"""A Ray cluster on this machine: one head that listens on the loopback only, up while the context lasts.

For the demo and the tests: `synapse script submit` can be tried for real without a cluster. It keeps everything in a
folder of its own, is stopped by its process id (`ray stop` would stop every Ray of the machine), and takes all that it
started with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from synapse_skills.cluster.local_backend import plain
from synapse_skills.cluster.processes import Running, descendants, running, still_runs
from synapse_skills.environment import DASHBOARD_PORT
from synapse_skills.errors import OutOfReach, printable, redact

START_S = 180.0
STOP_S = 20.0
MOST_HOSTS = 8
"""The dashboard's port can't be chosen (the SDK knows only one), so a second Ray takes another loopback address."""
NEEDS_MB = 2_000
"""Memory and disk: a head takes 0.8 GB, and each set of packages of a job a copy of the environment."""
_LONGEST = 24  # Ray's sockets lie 80 characters below, and a socket's path holds 107
_ALSO = ("SYNAPSE_HOST", "SYNAPSE_ACCESS_TOKEN")


class LocalRay:
    """A head, up while the context lasts.

    Args:
        python: the Python of an environment with Ray and pip; jobs run with a copy of it.
        cpus: what it offers to jobs.
        environ: what its processes start from; logins and everything of Ray's are taken out.

    Attributes:
        folder: where it keeps everything; gone afterwards.
        host: its address; the dashboard's port is always the same.
        seconds: how long it took to start.
    """

    def __init__(self, *, python: Path | None = None, cpus: int = 2, environ: Mapping[str, str] = os.environ) -> None:
        self.folder = Path()
        self.host = ""
        self.seconds = 0.0
        # Not resolved: a virtual environment's Python is a link out of it.
        self._python = Path(python or sys.executable)
        self._cpus = cpus
        self._environ = environ
        self._process: subprocess.Popen[bytes] | None = None
        self._claim: IO[str] | None = None

    @property
    def dashboard(self) -> str:
        """Its dashboard, where the jobs are."""
        return f"http://{self.host}:{DASHBOARD_PORT}"

    def agent(self, number: int = 1, name: str = "local Ray") -> dict[str, Any]:
        """What ~/.synapse/config.json says of it; of the address the SDK takes only the host."""
        return {"id": number, "name": name, "url": f"http://{self.host}:8000"}

    def __enter__(self) -> Self:
        ray = self._ray()
        self.host, self._claim = _claim_host()
        self.folder = Path(tempfile.mkdtemp(prefix="sray-", dir=_short_folder()))
        try:
            _check_room(self.folder)
            self._start(ray)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def processes(self) -> list[Running]:
        """Everything that belongs to this head: what it started, and what works in its folder."""
        if self._process is None:
            return []
        inside = str(self.folder)
        everything = running()
        ours = descendants(everything, self._process.pid)
        return [each for each in everything if each.pid in ours or inside in each.command or inside in each.folder]

    def drivers(self, script: str = "upload.py") -> list[int]:
        """The processes that run a job's script just now; the shell around each is none."""
        return [each.pid for each in self.processes() if _runs(each.words, script)]

    def kill_drivers(self, script: str = "upload.py") -> list[int]:
        """Kill them as a failing machine would: no signal that they could answer. Returns which."""
        found = self.drivers(script)
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return found

    def _ray(self) -> Path:
        ray = self._python.parent / "ray"
        if not ray.is_file():
            raise OutOfReach(
                f"There is no Ray beside {printable(str(self._python))}.",
                hint="Start this through run.py: it brings an environment with Ray.",
                code="no-ray",
            )
        return ray

    def _start(self, ray: Path) -> None:
        for name in ("empty", "home"):
            (self.folder / name).mkdir()
        ports = _free_ports(6)
        command = [
            str(self._python), str(ray), "start", "--head", "--block", "--node-ip-address", "127.0.0.1",
            "--port", ports[0], "--dashboard-host", self.host, "--dashboard-port", str(DASHBOARD_PORT),
            "--include-dashboard", "true", "--dashboard-agent-listen-port", ports[1],
            "--ray-client-server-port", ports[2], "--metrics-export-port", ports[3],
            "--num-cpus", str(self._cpus), "--object-store-memory", "200000000",
            "--disable-usage-stats", "--temp-dir", str(self.folder / "r"),
        ]  # fmt: skip
        said = self.folder / "said.log"
        began = time.monotonic()
        with said.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - of the environment that was named
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment(ports[4:]),
                # Its dashboard imports from the working folder: it must be empty.
                cwd=self.folder / "empty", start_new_session=True,
            )  # fmt: skip
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() - began > START_S:
                text = said.read_text(errors="replace").strip()
                raise OutOfReach(
                    f"Ray did not start. {redact(printable(' '.join(text.split())[-400:]))}",
                    hint="Run it again; a machine with little memory or a full disk is the usual cause.",
                    code="ray-not-started",
                )
            time.sleep(0.2)
        self.seconds = time.monotonic() - began

    def _environment(self, ports: Sequence[str]) -> dict[str, str]:
        kept = plain(self._environ)
        for name in ("XDG_CACHE_HOME", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", *_ALSO):
            kept.pop(name, None)
        mine = {
            # Ray then takes the machine for one without a network; else it listens on every address.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_AUTH_MODE": "disabled",
            "BAD_RUNTIME_ENV_CACHE_TTL_SECONDS": "5",
            "DASHBOARD_METRIC_PORT": ports[0],
            "AUTOSCALER_METRIC_PORT": ports[1],
            # A job's entry point is `python3 upload.py`, whichever that is.
            "PATH": f"{self._python.parent}{os.pathsep}{kept.get('PATH', os.defpath)}",
            "HOME": str(self.folder / "home"),
            "NO_PROXY": f"{kept['NO_PROXY']},{self.host}",
            "no_proxy": f"{kept['no_proxy']},{self.host}",
        }
        settings = _pip_settings(self._environ)
        return kept | mine | ({"PIP_CONFIG_FILE": str(settings)} if settings else {})

    def _answers(self) -> bool:
        # No proxy of the machine's may come between us and the loopback.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.dashboard}/api/version", timeout=5) as answer:
                session = json.loads(answer.read()).get("session_name")
            # Another Ray may have come first: its dashboard is not ours.
            if not session or not (self.folder / "r" / str(session)).is_dir():
                return False
            with opener.open(f"{self.dashboard}/api/jobs/", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, ValueError, AttributeError):
            return False

    def _stop(self) -> None:
        process = self._process
        if process is not None:
            before = self.processes()
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=STOP_S)
            left = {each.pid: each for each in [*before, *self.processes()]}
            _end([each for each in left.values() if each.pid != os.getpid()])
            process.wait()
            self._process = None
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)
        if self._claim is not None:
            self._claim.close()
            self._claim = None


def _end(left: Sequence[Running]) -> None:
    """What Ray has left behind: a job may outlive it by the time that it takes to write down what it did."""
    for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        left = [each for each in left if still_runs(each)]
        for each in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(each.pid, number)
        deadline = time.monotonic() + patience
        while left and time.monotonic() < deadline:
            time.sleep(0.1)
            left = [each for each in left if still_runs(each)]


def _runs(words: Sequence[str], script: str) -> bool:
    return len(words) > 1 and Path(words[0]).name.startswith("python") and Path(words[1]).name == script


def _short_folder() -> str:
    named = tempfile.gettempdir()
    return named if len(named) <= _LONGEST else "/tmp"  # noqa: S108 - a private folder is made in it


def _claim_host() -> tuple[str, IO[str]]:
    """An address whose dashboard port is free, and the lock that keeps others of ours off while Ray comes up."""
    import fcntl

    for last in range(1, MOST_HOSTS + 1):
        host = f"127.0.0.{last}"
        lock = Path(tempfile.gettempdir()) / f"synapse-skills-{os.geteuid()}-ray-{last}-{DASHBOARD_PORT}.lock"
        with contextlib.ExitStack() as undo, contextlib.suppress(OSError):
            claim = undo.enter_context(lock.open("a", encoding="utf-8"))
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as taken:
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                taken.bind((host, DASHBOARD_PORT))
            undo.pop_all()
            return host, claim
    raise OutOfReach(
        f"Port {DASHBOARD_PORT} is taken on every loopback address that was tried, and a Ray dashboard needs it: "
        "the synapse command knows no other.",
        hint="Stop the other Ray (or whatever listens there) first.",
        code="ray-port-taken",
    )


def _free_ports(count: int) -> list[str]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [str(each.getsockname()[1]) for each in sockets]


def _check_room(folder: Path) -> None:
    free = {"disk": shutil.disk_usage(folder).free >> 20, "memory": _free_memory_mb()}
    for what, megabytes in free.items():
        if megabytes is not None and megabytes < NEEDS_MB:
            raise OutOfReach(
                f"A local Ray needs about {NEEDS_MB:,} MB of {what}; {megabytes:,} MB are free"
                + (f" in {printable(str(folder.parent))}." if what == "disk" else "."),
                hint="Free some, or set TMPDIR to another disk." if what == "disk" else "Stop what you don't need.",
                code="ray-no-room",
            )


def _free_memory_mb() -> int | None:
    """What programs can still get; None where the system doesn't tell."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) >> 10
    return None


def _pip_settings(environ: Mapping[str, str]) -> Path | None:
    """The user's own settings of pip, which name a company's package index: Ray's home is another one."""
    if environ.get("PIP_CONFIG_FILE"):
        return None
    home = Path(environ.get("HOME") or Path.home())
    base = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    places = [base / "pip" / "pip.conf", home / ".pip" / "pip.conf", home / "Library/Application Support/pip/pip.conf"]
    return next((path for path in places if path.is_file()), None)
