"""A crew that is no other machine, for uploads: what it is given and what it answers travel as to another one."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from synapse_skills.job.upload import engine
from synapse_skills.sources import Source

Work = Callable[[Any, Any], Any]


class Elsewhere:
    """Two machines. Every lot is done twice, as by one that was given up too early and the one in its place.

    Args:
        sees: where its machines look for the sources; where they are, if empty.
        first: called with a lot or folder before it is done for the first time.
    """

    size = 2

    def __init__(self, sees: str = "", first: Callable[[Any], None] = lambda lot: None) -> None:
        self._sees = sees
        self._first = first

    def doing(self, work: Work, common: Any) -> Callable[[Any], Any]:
        def do(lot: Any) -> Any:
            self._first(lot)
            _there(work, common, lot)
            return _there(work, common, lot)

        return do

    def each(self, work: Work, common: Any, pieces: Iterable[Any], **more: Any) -> Iterator[Any]:
        return map(self.doing(work, common), pieces)

    def everywhere(self, work: Work, common: Any, piece: Any) -> list[Any]:
        if self._sees:
            common = replace(common, sources=(Source(self._sees),))
        return [_there(work, common, piece) for _ in range(2)]


def _there(work: Work, common: Any, piece: Any) -> Any:
    sent = pickle.loads(pickle.dumps((work, common, piece)))
    return pickle.loads(pickle.dumps(sent[0](*sent[1:])))


def by_crew(crew: Any, *also: Callable[[], None]) -> Callable[[], None]:
    """Something to do first in a run's process: its files are moved by this crew. `also`: more of the kind."""

    @contextlib.contextmanager
    def crew_for(plan: Any, *, wanted: bool) -> Iterator[Any]:
        yield crew if wanted and plan.engine == "ray" else None

    def patch() -> None:
        engine.crew_for = crew_for  # type: ignore[assignment]
        for each in also:
            each()

    return patch
