"""Starts what a world needs and stops it again: the backend, a bucket, and what happened before the conversation."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from eval_cases.case import Case, Place
from eval_cases.hands import ROOT, Hands
from eval_cases.wrong import Wrong

HERE = Path(__file__).resolve().parent
SECONDS = 180


def start(case: Case, place: Place, seconds: int | None = None) -> Hands:
    """Bring a world to life; `env.sh` and the login are there afterwards.

    Args:
        case: whose world it is.
        place: its folder.
        seconds: after so many the servers end by themselves, for where nobody stops them.

    Raises:
        Wrong: it lives already, or something does not start.
    """
    pids = place.behind / "pids.json"
    if pids.exists():
        raise Wrong(f"{place.root} is staged already; stop it first")
    (place.root / "home" / ".synapse").mkdir(exist_ok=True)
    more: dict[str, str] = {}
    started: dict[str, int] = {}
    try:
        started["backend"] = _backend(place, seconds)
        pids.write_text(json.dumps(started))
        if case.bucket is not None:
            started["bucket"], more = _bucket(case, place, seconds)
            pids.write_text(json.dumps(started))
        about = json.loads((place.behind / "ready.json").read_bytes())
        login = place.root / "home" / ".synapse" / "config.json"
        login.touch(mode=0o600)
        login.write_text(json.dumps({"host": about["host"], "access_token": about["token"]}))
        more["HOME"] = str(place.root / "home")
        if case.needs_sdk:
            more["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
        _env_file(place, more)
        hands = Hands(place, _environment(more))
        if case.past is not None:
            case.past(hands)
            hands.faults(*case.faults)
            hands.commands = 0
    except BaseException:
        stop(place)
        raise
    return hands


def stop(place: Place) -> None:
    """Stop what was started, by its pid, and only if the process is still ours."""
    pids = place.behind / "pids.json"
    if not pids.exists():
        return
    for pid in json.loads(pids.read_bytes()).values():
        if not _is_ours(pid, place):
            continue
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 15
        while _is_ours(pid, place) and time.monotonic() < deadline:
            time.sleep(0.05)
        if _is_ours(pid, place):
            os.kill(pid, signal.SIGKILL)
    pids.unlink()


@contextmanager
def staged(case: Case, place: Place) -> Iterator[Hands]:
    """A world that lives as long as the block."""
    hands = start(case, place)
    try:
        yield hands
    finally:
        stop(place)


def _is_ours(pid: int, place: Place) -> bool:
    with suppress(ChildProcessError):
        # A child of this process that has ended stays in the table until it is waited for; others wait for their own.
        os.waitpid(pid, os.WNOHANG)
    done = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return str(place.behind) in done.stdout


def _backend(place: Place, seconds: int | None) -> int:
    behind = place.behind
    flags = ["serve", "--state", behind / "state", "--ready-file", behind / "ready.json"]
    flags += ["--seed", behind / "seed.json", "--faults", behind / "faults.json"]
    return _started([sys.executable, ROOT / "scripts" / "sandbox.py", *flags], place, behind / "ready.json", seconds)


def _bucket(case: Case, place: Place, seconds: int | None) -> tuple[int, dict[str, str]]:
    ready = place.behind / "bucket.json"
    pid = _started([sys.executable, "-m", "eval_cases.bucket", case.name, place.root, ready], place, ready, seconds)
    about = json.loads(ready.read_bytes())
    return pid, {
        "SYNAPSE_S3_ENDPOINT_URL": about["url"],
        "SYNAPSE_S3_ACCESS_KEY_ID": "an-access-key",
        "SYNAPSE_S3_SECRET_ACCESS_KEY": "a-secret-key",
    }


def _started(command: list[Any], place: Place, ready: Path, seconds: int | None) -> int:
    if seconds:
        command = ["timeout", seconds, *command]
    ready.unlink(missing_ok=True)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("evals", "scripts", "tests"))}
    with (place.behind / "servers.log").open("ab") as log:
        process = subprocess.Popen([str(word) for word in command], env=env, stdout=log, stderr=log,
                                   stdin=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    deadline = time.monotonic() + SECONDS
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise Wrong(f"a server did not start; see {place.behind / 'servers.log'}")
        time.sleep(0.05)
    return process.pid


def _environment(more: dict[str, str]) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SYNAPSE_", "RAY_", "PYTHON"))}
    return {**kept, **_cache(), **more}


def _cache() -> dict[str, str]:
    """Another home must not mean that everything is installed again."""
    return {"XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")}


def _env_file(place: Place, more: dict[str, str]) -> None:
    lines = ["unset SYNAPSE_HOST SYNAPSE_ACCESS_TOKEN"]
    lines += [f"export {key}={shlex.quote(value)}" for key, value in {**_cache(), **more}.items()]
    lines.append(f"cd {shlex.quote(str(place.user))}")
    path = place.root / "env.sh"
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n")
