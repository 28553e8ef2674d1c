"""A backend on this machine: the sandbox as a process of its own, and an environment that leads to it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from synapse_skills.errors import OutOfReach, redact
from synapse_skills.report import write_json

START_S = 30.0
STOP_S = 10.0


class LocalBackend:
    """The sandbox, up while the context lasts. It listens on the loopback only, on a free port.

    Args:
        script: sandbox.py.
        folder: where it keeps everything; made if it is missing.
        seed: what it holds at first.
        latency_ms: how long every request waits, as on a slow line.
    """

    def __init__(self, script: Path, folder: Path, seed: Mapping[str, Any], *, latency_ms: float = 0) -> None:
        self.folder = folder
        self.host = ""
        self.token = ""
        self._script = script
        self._seed = dict(seed)
        self._latency_ms = latency_ms
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        ready, seed, said = self.folder / "ready.json", self.folder / "seed.json", self.folder / "sandbox.log"
        ready.unlink(missing_ok=True)
        write_json(seed, self._seed)
        command = [sys.executable, str(self._script), "serve", "--state", str(self.folder), "--seed", str(seed)]
        command += ["--latency-ms", str(self._latency_ms)] if self._latency_ms else []
        with said.open("wb") as log:
            # A session of its own: Ctrl-C is for us, and the job ends before its backend does.
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and script
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=plain(), start_new_session=True
            )
        deadline = time.monotonic() + START_S
        while not ready.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                last = redact(said.read_text(errors="replace").strip()[-400:])
                self._stop()
                raise OutOfReach(f"The local backend did not start. {last}", hint="Run it again.", code="no-sandbox")
            time.sleep(0.02)
        about = json.loads(ready.read_bytes())
        self.host, self.token = about["host"], about["token"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def wait(self) -> None:
        """Until Ctrl-C, or until it ends by itself."""
        if self._process is not None:
            with contextlib.suppress(KeyboardInterrupt):
                self._process.wait()

    def environment(self) -> dict[str, str]:
        """An environment whose login is this backend's, and nobody else's."""
        user = str(self.folder)
        return plain() | {
            "HOME": user,
            "USERPROFILE": user,
            "SYNAPSE_HOST": self.host,
            "SYNAPSE_ACCESS_TOKEN": self.token,
        }

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        # A second Ctrl-C does not leave it behind.
        in_main = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main else None
        try:
            process.terminate()
            process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        finally:
            if in_main:
                signal.signal(signal.SIGINT, before)


def plain(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment without any login, Ray or proxy, and without leaving bytecode beside a job's script."""
    kept = {key: value for key, value in environ.items() if not key.startswith(("SYNAPSE_", "RAY_"))}
    kept.pop("PYTHONSAFEPATH", None)
    return kept | {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost", "PYTHONDONTWRITEBYTECODE": "1"}
