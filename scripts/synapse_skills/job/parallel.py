"""Pieces of work done by several processes of this machine.

A worker is a Python of its own that reads one piece of work after the other from a pipe and answers with what came of
it. It does not run the script that started the job (whose top may do anything), it ends as soon as the pipe does,
so that a killed job leaves nobody behind, and it keeps nothing between two pieces but what the work has in common.
One that dies is replaced and its piece done once more; if that fails too, the run ends, and the next one goes on.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

from synapse_skills.errors import OutOfReach
from synapse_skills.export_plan import ExportPlan
from synapse_skills.job.worker import is_remote

AHEAD = 2
"""Pieces that are under way for each worker: one in work, one that waits."""

MOST = 8
"""Processes that are started without being asked for: each takes about a hundred megabytes."""
WORTH_WHILE = 20_000
"""Records from which on others are asked to help: each of them takes a second to start."""

Work = Callable[[Any, Any], Any]
"""A function of a module: what all pieces have in common, one piece → what comes of it. All of it can be pickled."""


class WorkerLost(OutOfReach):
    """A worker died twice over the same piece of work."""

    code = "worker-lost"
    hint = "Most often memory ran out: run it again with --processes 1, it goes on where it was."


class Crew(Protocol):
    """Those who do the work."""

    size: int

    def each(self, work: Work, common: Any, pieces: Iterable[Any], *, at_once: int | None = None) -> Iterator[Any]:
        """What comes of each piece, in their order; only a few pieces are taken ahead.

        Args:
            work: what is done.
            common: what all pieces have in common.
            pieces: what it is done with.
            at_once: no more than so many pieces are in work at the same time, however many there are to do it.
        """
        ...

    def doing(self, work: Work, common: Any) -> Callable[[Any], Any]:
        """What has one piece done and waits for it; several threads may call it."""
        ...

    def everywhere(self, work: Work, common: Any, piece: Any) -> list[Any]:
        """What comes of the same piece on each machine."""
        ...


def crew_for(
    plan: ExportPlan, said: int | None, records: int, *folders: Path
) -> contextlib.AbstractContextManager[Crew | None]:
    """Those who work on so many records; None if it is not worth while, or not wanted.

    Args:
        plan: may ask for a cluster, or for so many processes.
        said: how many processes the command line asks for, whatever the plan says.
        records: a small export is done before others have started.
        folders: what all machines of a cluster must find.
    """
    if plan.engine == "ray" and said is None:
        from synapse_skills.job.ray_crew import OnRay

        return OnRay(*folders)
    size = said or plan.limits.processes or (min(cores(), MOST) if records >= WORTH_WHILE and not is_remote() else 1)
    return Processes(size) if size > 1 else contextlib.nullcontext()


def ahead(size: int, at_once: int | None) -> int:
    """How many pieces a crew is given before it has done any."""
    return min(AHEAD * size, at_once or AHEAD * size)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class _Task:
    """A piece of work; `common` comes along only the first time that a worker needs it."""

    work: Work
    number: int
    common: bytes | None
    piece: Any


class Processes:
    """Several processes of this machine. A context manager: they end with it.

    Args:
        size: how many.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="worker")
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._workers = [_Worker() for _ in range(size)]
        for worker in self._workers:
            self._idle.put(worker)
        self._stages = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.close()
        self._threads.shutdown(cancel_futures=True)

    def each(self, work: Work, common: Any, pieces: Iterable[Any], *, at_once: int | None = None) -> Iterator[Any]:
        """See `Crew`."""
        do = self.doing(work, common)
        waiting: deque[Future[Any]] = deque()
        for piece in pieces:
            waiting.append(self._threads.submit(do, piece))
            if len(waiting) >= ahead(self.size, at_once):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def doing(self, work: Work, common: Any) -> Callable[[Any], Any]:
        """See `Crew`."""
        self._stages += 1
        return functools.partial(self._do, work, self._stages, pickle.dumps(common))

    def everywhere(self, work: Work, common: Any, piece: Any) -> list[Any]:
        """See `Crew`."""
        return [self.doing(work, common)(piece)]

    def _do(self, work: Work, number: int, common: bytes, piece: Any) -> Any:
        worker = self._idle.get()
        try:
            try:
                return worker.do(work, number, common, piece)
            except EOFError:
                return worker.do(work, number, common, piece)
        except EOFError:
            raise WorkerLost("A process of this job was ended from outside, twice.") from None
        finally:
            self._idle.put(worker)


class _Worker:
    """One process, started when it is first needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._known = 0
        self._is_closed = False

    def do(self, work: Work, number: int, common: bytes, piece: Any) -> Any:
        """Have a piece of work done.

        Raises:
            EOFError: the process died. Whatever the work raises.
        """
        process = self._process or self._start()
        assert process.stdin is not None and process.stdout is not None
        try:
            task = _Task(work, number, None if number == self._known else common, piece)
            pickle.dump(pickle.dumps(task), process.stdin)
            process.stdin.flush()
            self._known = number
            error, result = pickle.load(process.stdout)  # noqa: S301 - our own process
        except (OSError, EOFError, pickle.UnpicklingError):
            self._end()
            raise EOFError from None
        if error is not None:
            raise error
        return result

    def close(self) -> None:
        """End it, whatever it is doing."""
        self._is_closed = True
        self._end()

    def _start(self) -> subprocess.Popen[bytes]:
        if self._is_closed:
            raise EOFError
        root = str(Path(__file__).resolve().parents[2])
        code = f"import sys; sys.path.insert(0, {root!r}); from {__name__} import serve; serve()"
        self._known = 0
        # A session of its own: Ctrl-C is for the one who knows what is under way.
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()


def serve() -> None:
    """Be a worker: do what is asked for until nobody asks any more."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What the work prints is no answer.
    os.dup2(2, 1)
    tasks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(source, tasks), daemon=True).start()
    common: tuple[int, Any] = (0, None)
    while True:
        error = result = None
        try:
            task: _Task = pickle.loads(tasks.get())  # noqa: S301 - from the process that started us
            if task.common is not None:
                common = task.number, pickle.loads(task.common)  # noqa: S301
            result = task.work(common[1], task.piece)
        except Exception as caught:
            error = caught
        try:
            pickle.dump((error, result), sink)
            sink.flush()
        except BrokenPipeError:
            # Nobody waits for it any more.
            os._exit(0)


def _listen(source: IO[bytes], tasks: queue.SimpleQueue[bytes]) -> None:
    """Take what comes, also while something is being worked on: when the pipe ends, so does this process, at once."""
    try:
        while True:
            tasks.put(pickle.load(source))  # noqa: S301
    finally:
        os._exit(0)
