"""Starting other programs: with an environment that can't break them, with a time limit, with signals passed on."""

import os
import signal
import subprocess
import sys
import tempfile
from types import FrameType
from typing import Dict, List, Mapping, NamedTuple, NoReturn, Optional

from launcher.messages import INTERRUPTED

WINDOWS = os.name == "nt"

# Each of these changes what a script imports or how it ends: PYTHONPATH and PYTHONHOME bring another Python's modules,
# PYTHONSAFEPATH takes scripts/ off sys.path, PYTHONOPTIMIZE removes checks, PYTHONINSPECT leaves a prompt behind.
_BREAKING = (
    "PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONPLATLIBDIR", "PYTHONEXECUTABLE", "PYTHONOPTIMIZE",
    "PYTHONINSPECT", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONCASEOK", "PYTHONDONTWRITEBYTECODE",
    "__PYVENV_LAUNCHER__",
)  # fmt: skip
# And these send an installer somewhere else than into our environment.
_MISLEADING = (
    "VIRTUAL_ENV", "CONDA_PREFIX", "UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_PROJECT_ENVIRONMENT", "UV_TARGET",
    "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIREMENT", "PIP_CONSTRAINT", "UV_CONSTRAINT", "UV_OVERRIDE",
    "PIP_NO_DEPS", "PIP_PYTHON",
)  # fmt: skip


class Answer(NamedTuple):
    """How a program ended, and what it printed (both streams)."""

    code: int
    text: str


def script_environment(cache: str, extra: Optional[Mapping[str, str]] = None) -> Dict[str, str]:
    """The environment of a script: the user's, without what breaks Python.

    Bytecode goes to the cache: the plugin folder may be read-only, and a job folder must hold only what ships.
    """
    env = {key: value for key, value in os.environ.items() if key.upper() not in _BREAKING}
    env["PYTHONPYCACHEPREFIX"] = os.path.join(cache, "pycache")
    env.update(extra or {})
    return env


def installer_environment() -> Dict[str, str]:
    """The environment of uv, pip and probes: also without what points at another environment."""
    env = {
        key: value
        for key, value in os.environ.items()
        if key.upper() not in _MISLEADING and not key.upper().startswith("PYTHON") and key != "__PYVENV_LAUNCHER__"
    }
    env["PIP_USER"] = "0"
    env["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    return env


def ask(command: List[str], seconds: float) -> Optional[Answer]:
    """Run a small program and return what it printed on stdout, or None if it can't be run or takes too long.

    A broken pyenv shim may leave a child behind that holds the pipe: hence a file for the output and a process group.
    """
    with tempfile.TemporaryFile() as out:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL, env=installer_environment(),
                cwd=tempfile.gettempdir(), start_new_session=not WINDOWS,
            )  # fmt: skip
        except (OSError, ValueError):
            return None
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            _kill(process)
            return None
        out.seek(0)
        return Answer(process.returncode, out.read().decode("utf-8", "replace"))


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if WINDOWS:
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def install(command: List[str], cwd: str, extra: Optional[Mapping[str, str]] = None) -> Answer:
    """Run uv or pip to its end; what it says is kept, and shown only if it fails."""
    with tempfile.TemporaryFile() as out:
        try:
            code = call(command, env=dict(installer_environment(), **(extra or {})), cwd=cwd, output=out.fileno())
        except OSError as error:
            return Answer(127, str(error))
        out.seek(0)
        return Answer(code, out.read().decode("utf-8", "replace"))


def call(command: List[str], env: Mapping[str, str], cwd: Optional[str] = None, output: Optional[int] = None) -> int:
    """Run a program and wait for it; SIGTERM and SIGHUP are passed on, Ctrl-C reaches it through the terminal.

    Returns:
        Its exit code; 130 if it was told to stop, 128 + n if another signal ended it, as a shell says it.
    """
    process = subprocess.Popen(
        command, env=dict(env), cwd=cwd, stdout=output, stderr=output,
        stdin=None if output is None else subprocess.DEVNULL,
    )  # fmt: skip

    received: List[int] = []

    def pass_on(number: int, _frame: Optional[FrameType]) -> None:
        received.append(number)
        if number != signal.SIGINT:  # Ctrl-C goes to the whole foreground group: the child has it already
            process.send_signal(number)

    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, pass_on) for number in numbers}
    try:
        code = process.wait()
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
    if received and code != 0:
        return INTERRUPTED
    return code if code >= 0 else 128 - code


def hand_over(command: List[str], env: Mapping[str, str]) -> NoReturn:
    """Become the program: same process, so its exit code and every signal are its own. Windows can't: it waits."""
    sys.stdout.flush()
    sys.stderr.flush()
    if WINDOWS:
        sys.exit(call(command, env))
    os.execve(command[0], command, dict(env))
