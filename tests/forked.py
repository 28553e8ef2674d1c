"""Run a Python script in a forked child: a real process, that can be killed, without the second that imports take."""

from __future__ import annotations

import gc
import os
import runpy
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO


class Forked:
    """A child that runs a script as `__main__`.

    Args:
        script: the file to run.
        flags: its command line.
        env: its whole environment.
        cwd: where it runs.
        before: called in the child first, to break something.
        log: gets all that it prints; kept for `communicate` if None.
    """

    def __init__(
        self,
        script: Path,
        flags: list[str],
        env: Mapping[str, str],
        cwd: Path,
        before: Callable[[], None] | None = None,
        log: IO[bytes] | None = None,
    ) -> None:
        self.returncode: int | None = None
        self._is_server = log is not None
        self._out = log or tempfile.TemporaryFile("w+b")  # noqa: SIM115 - closed in communicate
        self._err = log or tempfile.TemporaryFile("w+b")  # noqa: SIM115
        sys.stdout.flush()
        sys.stderr.flush()
        with warnings.catch_warnings():
            # The test runner has threads of its own; the child needs none of them.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            self._child(script, flags, env, cwd, before)

    def _child(
        self,
        script: Path,
        flags: list[str],
        env: Mapping[str, str],
        cwd: Path,
        before: Callable[[], None] | None,
    ) -> None:
        code = 99
        try:
            os.dup2(self._out.fileno(), 1)
            os.dup2(self._err.fileno(), 2)
            # What the tests left for the collector must stay: collected here, it would close numbers that are other
            # sockets by then.
            gc.freeze()
            if self._is_server:
                # As after an exec: locks and sockets that are open in the tests are none of a server's. A job keeps
                # them: SQLite remembers the files that the tests have open, and would wait for their locks in vain.
                os.closerange(3, 65_536)
            sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            os.environ.clear()
            os.environ.update(env)
            os.chdir(cwd)
            import synapse_sdk.utils.auth as auth

            auth.CONFIG_FILE = Path(env["HOME"]) / ".synapse" / "config.json"
            sys.argv = [str(script), *flags]
            if before is not None:
                before()
            runpy.run_path(str(script), run_name="__main__")
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else (0 if end.code is None else 1)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def poll(self) -> int | None:
        """The exit code if it has ended; -9 for SIGKILL, as subprocess has it."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL if it still runs."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float) -> int:
        """The exit code, as soon as it has ended.

        Raises:
            TimeoutError: it has not ended by then, and still runs.
        """
        end = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise TimeoutError(f"process {self.pid} still runs")
            time.sleep(0.005)
        return code

    def communicate(self, timeout: float = 60) -> tuple[str, str]:
        """Wait for the end; stdout and stderr. Kills it and raises TimeoutError if it takes too long."""
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                self.returncode = -9
                raise TimeoutError("\n".join(self._texts()))
            time.sleep(0.005)
        return self._texts()

    def _texts(self) -> tuple[str, str]:
        texts = []
        for stream in (self._out, self._err):
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", "replace"))
            stream.close()
        return texts[0], texts[1]
