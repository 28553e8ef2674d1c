"""Runs the plugin's scripts in a world as an agent would, and counts: for what happened before, and for the ideal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from eval_cases.case import Place
from eval_cases.wrong import Wrong

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "scripts" / "run.py"


class Hands:
    """Somebody in the user's folder, logged in.

    Attributes:
        commands: how many were run.
    """

    def __init__(self, place: Place, env: Mapping[str, str]) -> None:
        self.place = place
        self.env = dict(env)
        self.commands = 0

    def run(self, *words: str, expect: int = 0) -> dict[str, Any]:
        """One command with --json; its document.

        Raises:
            Wrong: it ended otherwise than expected.
        """
        self.commands += 1
        done = subprocess.run(
            self._command(words), cwd=self.place.user, env=self.env, capture_output=True, text=True, check=False
        )
        if done.returncode != expect:
            raise Wrong(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        return dict(json.loads(done.stdout)) if done.stdout.strip() else {}

    def synapse(self, *words: str) -> None:
        """The SDK's own command for plugins.

        Raises:
            Wrong: it failed.
        """
        self.commands += 1
        done = subprocess.run(
            ["synapse", "plugin", *words],
            cwd=self.place.user,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Wrong(f"synapse plugin {' '.join(words)}: {done.stdout[-2000:]}\n{done.stderr[-2000:]}")

    def plan(self, *words: str, expect: int = 0) -> dict[str, Any]:
        """A round of planning; `words` begin with plan_upload or plan_export."""
        return self.run(*words, expect=expect)

    def job(self, plan: Mapping[str, Any], *flags: str, expect: int = 0) -> dict[str, Any]:
        """Run the plan that is ready, by the hash that was shown."""
        return self.run("job", self.home(plan), "--approve", str(plan["hash"]), *flags, expect=expect)

    def home(self, plan: Mapping[str, Any]) -> str:
        """The folder of a plan's job, as it is named in commands."""
        return os.path.relpath((self.place.user / str(plan["plan"])).parent, self.place.user)

    def die(self, plan: Mapping[str, Any], when: Callable[[], bool]) -> None:
        """Run it, and kill it as soon as something is so."""
        words = ("job", self.home(plan), "--approve", str(plan["hash"]))
        # A group of its own, so that nothing of it lives on.
        with (self.place.behind / "killed.log").open("wb") as log:
            process = subprocess.Popen(
                self._command(words), cwd=self.place.user, env=self.env, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 60
        while not when():
            if process.poll() is not None or time.monotonic() > deadline:
                raise Wrong("the job that should be killed half-way ended before that")
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def faults(self, *rules: Mapping[str, Any]) -> None:
        """What goes wrong from now on; nothing at all: everything goes well."""
        about = json.loads((self.place.behind / "ready.json").read_bytes())
        request = urllib.request.Request(
            about["host"] + "/_sandbox/faults",
            json.dumps({"faults": rules}).encode(),
            {"Synapse-Access-Token": f"Token {about['token']}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30):
            pass

    @staticmethod
    def _command(words: tuple[str, ...]) -> list[str]:
        return [sys.executable, str(RUN), *words, "--json"]
