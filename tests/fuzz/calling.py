"""Scripts called in this process as a shell calls them, under one law: an exit code of ours, a message, and an end."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import runpy
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import synapse_sdk.utils.auth as auth

from canary import leaks
from synapse_skills import errors
from synapse_skills.errors import EXIT_CODES, interruptible, run

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
ROUNDS = "SYNAPSE_SKILLS_ROUNDS" in os.environ
TOO_LONG_S = 60


def many(everyday: int, soak: int) -> int:
    """Examples of a property: every day, and by `make soak`."""
    return soak if ROUNDS else everyday


class Hangs(BaseException):
    """Something did not end: no `except Exception` may swallow that."""


@contextlib.contextmanager
def ends(seconds: float = TOO_LONG_S) -> Iterator[None]:
    """What happens inside ends by then."""

    def late(number: int, frame: object) -> None:
        raise Hangs(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclass(frozen=True)
class End:
    """How a call ended."""

    code: int
    out: str
    error: str

    @property
    def said(self) -> str:
        """All that it printed."""
        return self.out + self.error


@cache
def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"script_{name}", SCRIPTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(
    name: str | Path, *flags: object, env: Mapping[str, str] | None = None, cwd: Path | None = None, **how: Any
) -> End:
    """Run a script's `main` as its own process would, and hold its end to the law.

    Args:
        name: of the script; a path for a rendered one.
        flags: its command line.
        env: its whole environment; ours if None.
        cwd: where it runs.
        how: for `lawful`.
    """
    argv = [str(flag) for flag in flags]
    out, error = io.StringIO(), io.StringIO()
    environment = dict(os.environ if env is None else env) | {"SYNAPSE_SKILLS_DEBUG": "1"}
    config = Path(environment.get("HOME", "/nowhere")) / ".synapse" / "config.json"
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, environment, clear=True))
        stack.enter_context(mock.patch.object(auth, "CONFIG_FILE", config))
        stack.enter_context(mock.patch.object(sys, "argv", [str(name), *argv]))
        if cwd is not None:
            stack.enter_context(contextlib.chdir(cwd))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(error))
        stack.enter_context(ends())
        # A script takes the process for its own, and its end for the last.
        stack.enter_context(interruptible())
        stack.enter_context(mock.patch.object(errors, "_ends_with", None))
        try:
            if isinstance(name, Path):
                runpy.run_path(str(name), run_name="__main__")
                code = 0
            else:
                code = run(_script(name).main, argv)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    end = End(code, out.getvalue(), error.getvalue())
    lawful(end, **how)
    return end


def lawful(end: End, *, secrets: tuple[str, ...] = (), written: tuple[Path, ...] = (), codes: Any = EXIT_CODES) -> None:
    """An exit code that has a meaning, no traceback, no bug of ours, a word where it failed, and no secret anywhere."""
    assert end.code in codes, (end.code, end.said[-4000:])
    for word in ("Traceback", "Unexpected ", '"code": "bug"'):
        assert word not in end.said, end.said[-6000:]
    assert end.code == 0 or end.said.strip()
    assert leaks([end.said, *written], *secrets) == []
