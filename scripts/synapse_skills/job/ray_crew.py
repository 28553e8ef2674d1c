"""Pieces of work as tasks of the Ray cluster that a job runs on.

A task is what a process of one machine would do (`parallel.py`). Ray starts one again whose machine is lost, and a
machine that only seemed lost may go on with it: so work must do no harm when it is done twice. A task of an export
reads the spool and writes its part beside the output, into a folder of its own for each try, and only one that has
answered is joined. Both lie where every machine of the cluster finds them under the same name; that is tried before
anything is handed out.
"""

from __future__ import annotations

import importlib
import secrets
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from synapse_skills.errors import FindingError, OutOfReach, printable
from synapse_skills.job.parallel import Work, WorkerLost, ahead

TRIES = 5


class OnRay:
    """The machines of the cluster that this job runs on. A context manager.

    Args:
        folders: what every machine must find where it is here.

    Raises:
        OutOfReach: there is no cluster. FindingError: a machine does not see a folder.
    """

    def __init__(self, *folders: Path) -> None:
        self._ray = connected()
        self.size = max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        self._folders = folders
        self._under_way: set[Any] = set()

    def __enter__(self) -> Self:
        if self._folders:
            self._check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What is still under way is not wanted any more, and nobody waits for it."""
        for reference in list(self._under_way):
            self._ray.cancel(reference, force=True)

    def each(self, work: Work, common: Any, pieces: Iterable[Any], *, at_once: int | None = None) -> Iterator[Any]:
        """See `Crew`."""
        begin = self._task(work, common)
        waiting: deque[Any] = deque()
        for piece in pieces:
            waiting.append(begin(piece))
            if len(waiting) >= ahead(self.size, at_once):
                yield self._answer(waiting.popleft())
        while waiting:
            yield self._answer(waiting.popleft())

    def doing(self, work: Work, common: Any) -> Callable[[Any], Any]:
        """See `Crew`."""
        begin = self._task(work, common)
        return lambda piece: self._answer(begin(piece))

    def everywhere(self, work: Work, common: Any, piece: Any) -> list[Any]:
        """See `Crew`."""
        strategies = importlib.import_module("ray.util.scheduling_strategies")
        answers = []
        for node in self._ray.nodes():
            if node["Alive"]:
                there = strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=True)
                answers.append(self._ray.remote(num_cpus=0, scheduling_strategy=there)(_do).remote(work, common, piece))
        return [self._answer(answer) for answer in answers]

    def _task(self, work: Work, common: Any) -> Callable[[Any], Any]:
        """What begins a piece of work, and gives the reference to what comes of it."""
        shared = self._ray.put(common)
        task = self._ray.remote(num_cpus=1, max_retries=TRIES, scheduling_strategy="SPREAD")(_do)
        return lambda piece: task.remote(work, shared, piece)

    def _answer(self, reference: Any) -> Any:
        self._under_way.add(reference)
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            raise cause if isinstance(cause, Exception) else error from None
        except self._ray.exceptions.RayError as error:
            raise WorkerLost(
                f"A task of this job was lost {TRIES + 1} times: {printable(str(error))[:300]}",
                hint="Run it again: it goes on where it was.",
            ) from None
        finally:
            self._under_way.discard(reference)

    def _check(self) -> None:
        """See that every machine finds the folders, and in them what is put there here."""
        marks = [folder / f".seen-{secrets.token_hex(8)}" for folder in self._folders]
        try:
            for mark in marks:
                mark.touch()
            for missing in self.everywhere(_missing, None, [str(mark) for mark in marks]):
                if missing:
                    raise FindingError(
                        f"A machine of the cluster does not see {printable(str(Path(missing[0]).parent))}.",
                        hint="Plan output and state in folders that all machines mount, or plan without engine=ray.",
                        code="not-shared",
                    )
        finally:
            for mark in marks:
                mark.unlink(missing_ok=True)


def _do(work: Work, common: Any, piece: Any) -> Any:
    return work(common, piece)


def _missing(common: None, names: list[str]) -> list[str]:
    return [name for name in names if not Path(name).is_file()]


def connected() -> Any:
    """Ray, connected to the cluster that this job runs on.

    Raises:
        OutOfReach: there is none.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray = importlib.import_module("ray")
        if not ray.is_initialized():
            ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
            if threading.current_thread() is threading.main_thread():
                # Ray would end the process at once: a job that is stopped ends tidily, and with its report.
                signal.signal(signal.SIGTERM, before)
    except (ImportError, ConnectionError) as error:
        raise OutOfReach(
            "The plan says engine: ray, and this job does not run on a Ray cluster.",
            hint="Submit it to the cluster, or plan again with engine=null: then one machine does it all.",
            code="no-ray",
        ) from error
    return ray
