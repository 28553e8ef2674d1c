"""Conversions in processes of their own: a picture that brings a decoder down takes nothing else with it."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING

from synapse_skills.errors import SkillsError, unexpected
from synapse_skills.media.conversion import convert
from synapse_skills.media.failures import Converted

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

_PATIENCE_S = 3.0


@dataclass(frozen=True, slots=True)
class Job:
    """One file to convert; size and time say that it is still the one that was planned."""

    number: int
    source: str
    suffix: str
    target: str
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job: `made`, or a code and the reason; `stops` if no other file can fare better."""

    number: int
    made: Converted | None = None
    code: str = ""
    reason: str = ""
    hint: str = ""
    stops: bool = False


class _Worker:
    def __init__(self) -> None:
        # Spawned, not forked: a fork of a process with threads (cv2 has them) may hang.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.number = -1

    def take(self, job: Job) -> None:
        self.number = job.number
        # A worker that is gone is found when its answer is waited for.
        with contextlib.suppress(OSError):
            self.connection.send(job)

    def answer(self) -> Outcome | None:
        """None if the worker is gone."""
        try:
            outcome = self.connection.recv()
        except (EOFError, OSError):
            return None
        return outcome if isinstance(outcome, Outcome) else None


def convert_all(jobs: Iterable[Job], workers: int) -> Generator[Outcome]:
    """Convert files, so many at once; outcomes come as they are done.

    When the caller stops listening, or is interrupted, all workers are ended, and every ffmpeg with them.
    """
    pending = iter(jobs)
    crew: list[_Worker] = []

    def hire() -> None:
        """Another worker, if there is something for it to do."""
        following = next(pending, None)
        if following is not None:
            worker = _Worker()
            crew.append(worker)
            worker.take(following)

    try:
        for _ in range(workers):
            hire()
        while crew:
            ready = wait([worker.connection for worker in crew])
            for worker in [each for each in crew if each.connection in ready]:
                outcome = worker.answer()
                if outcome is None:
                    outcome = _gone(worker)
                    crew.remove(worker)
                    hire()
                elif (following := next(pending, None)) is not None:
                    worker.take(following)
                else:
                    _dismiss(worker)
                    crew.remove(worker)
                yield outcome
    finally:
        _end(crew)


def _gone(worker: _Worker) -> Outcome:
    """A worker ended over its file."""
    _dismiss(worker)
    code = worker.process.exitcode
    by = f" (signal {-code})" if code is not None and code < 0 else ""
    reason = f"the converter broke down over it{by}: damaged on purpose, or not enough memory"
    return Outcome(worker.number, code="conversion-failed", reason=reason)


def _dismiss(worker: _Worker) -> None:
    worker.connection.close()  # it ends when it hears no more
    worker.process.join(_PATIENCE_S)


def _end(crew: list[_Worker]) -> None:
    """Ask all to end, each removing what it was writing; who does not listen is killed."""
    for worker in crew:
        worker.process.terminate()
    ends = time.monotonic() + _PATIENCE_S
    for worker in crew:
        worker.process.join(max(0.0, ends - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.connection.close()


def _leave(number: int, frame: object) -> None:
    raise SystemExit(130)


def _serve(connection: Connection) -> None:
    """The life of a worker."""
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all of a terminal's processes; the first one decides
    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):
            return
        outcome = _one(job)
        try:
            connection.send(outcome)
        except OSError:
            return


def _one(job: Job) -> Outcome:
    target = Path(job.target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with Path(job.source).open("rb") as stream:
            made = convert(stream, job.suffix, target)
        seen = Path(job.source).stat()
        if (seen.st_size, seen.st_mtime_ns) != (job.size, job.modified_ns):
            target.unlink(missing_ok=True)
            return Outcome(job.number, code="changed-while-reading", reason="it changed while it was read")
    except SkillsError as error:
        stops = error.exit_code == 3
        return Outcome(job.number, code=error.code, reason=str(error), hint=error.hint, stops=stops)
    except OSError as error:
        return Outcome(job.number, code="conversion-failed", reason=f"can't be read or written: {error.strerror}")
    except Exception as error:
        wrong = unexpected(error)
        return Outcome(job.number, code=wrong.code, reason=str(wrong), hint=wrong.hint)
    return Outcome(job.number, made)
