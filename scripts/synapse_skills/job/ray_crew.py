"""Work on ranges of records as tasks of the Ray cluster that a job runs on.

A task is what a process of one machine would do (`parallel.py`): it reads the spool and writes its part beside the
output, so both lie where every machine of the cluster finds them under the same name; that is tried before anything
is handed out. Ray starts a task again whose machine is lost; each try writes into a folder of its own, and only one
that has answered is joined, so a machine that only seemed lost does no harm.
"""

from __future__ import annotations

import importlib
import secrets
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from synapse_skills.errors import FindingError, OutOfReach, printable
from synapse_skills.job.parallel import AHEAD, Work, WorkerLost

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

    def __enter__(self) -> Self:
        self._check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to do: what is still under way ends with the job."""

    def each(self, work: Work, common: Any, pieces: Iterable[Any]) -> Iterator[Any]:
        """See `Crew`."""
        shared = self._ray.put(common)
        task = self._ray.remote(num_cpus=1, max_retries=TRIES, scheduling_strategy="SPREAD")(_do)
        waiting: deque[Any] = deque()
        for piece in pieces:
            waiting.append(task.remote(work, shared, piece))
            if len(waiting) >= AHEAD * self.size:
                yield self._answer(waiting.popleft())
        while waiting:
            yield self._answer(waiting.popleft())

    def _answer(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            raise cause if isinstance(cause, Exception) else error from None
        except self._ray.exceptions.RayError as error:
            raise WorkerLost(
                f"A task of this export was lost {TRIES + 1} times: {printable(str(error))[:300]}",
                hint="Run it again: it goes on where it was.",
            ) from None

    def _check(self) -> None:
        """See that every machine finds the folders, and in them what is put there here."""
        strategies = importlib.import_module("ray.util.scheduling_strategies")
        marks = [folder / f".seen-{secrets.token_hex(8)}" for folder in self._folders]
        try:
            for mark in marks:
                mark.touch()
            names = [str(mark) for mark in marks]
            looks = []
            for node in self._ray.nodes():
                if node["Alive"]:
                    there = strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=True)
                    look = self._ray.remote(num_cpus=0, scheduling_strategy=there)(_missing)
                    looks.append(look.remote(names))
            for missing in map(self._answer, looks):
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


def _missing(names: list[str]) -> list[str]:
    return [name for name in names if not Path(name).is_file()]


def connected() -> Any:
    """Ray, connected to the cluster that this job runs on.

    Raises:
        OutOfReach: there is none.
    """
    try:
        ray = importlib.import_module("ray")
        if not ray.is_initialized():
            ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
    except (ImportError, ConnectionError) as error:
        raise OutOfReach(
            "The plan says engine: ray, and this job does not run on a Ray cluster.",
            hint="Submit it to the cluster, or plan again with engine=null to export on one machine.",
            code="no-ray",
        ) from error
    return ray
