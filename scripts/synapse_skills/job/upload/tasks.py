"""Tasks for data units that are there: made with them, or afterwards for those that have none."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence

from synapse_skills.backend.api import NotThere, Refused
from synapse_skills.job.upload.create import Creator
from synapse_skills.job.upload.ledger import Ledger
from synapse_skills.job.upload.settle import Settler
from synapse_skills.job.upload.tally import Tally


class Tasks:
    """Makes the tasks of a project.

    Args:
        size: of a batch.
        go_on: called before each batch; raises if the run is being stopped.
    """

    def __init__(
        self,
        creator: Creator,
        settler: Settler,
        ledger: Ledger,
        tally: Tally,
        *,
        size: int,
        go_on: Callable[[], None],
    ) -> None:
        self.creator = creator
        self.settler = settler
        self.ledger = ledger
        self.tally = tally
        self._size = size
        self._go_on = go_on

    async def make_for(self, keys: Sequence[str]) -> None:
        """Make one for each of these that is there."""
        created = []
        for key in keys:
            standing = self.ledger.standing(key)
            if standing.state == "created" and standing.server_id is not None:
                created.append((key, standing.server_id))
        if created:
            await self.creator.make_tasks(created)

    async def make_missing(self) -> None:
        """Tasks for units that were created without one: by an earlier run, matched, or settled."""
        matched = {identity: key for key, identity, matched in self.ledger.without_task() if matched}
        if matched:
            with contextlib.suppress(NotThere, Refused):
                await self._adopt(matched)
        # One that is not taken must not hold up the others for ever: smaller parts, then alone.
        for size in (self._size, math.ceil(math.sqrt(self._size)), 1, 1):
            waiting = [
                (key, identity)
                for key, identity, _ in self.ledger.without_task()
                if self.tally.verdict(key) == "ready" and key not in self.creator.refused_tasks
            ]
            if not waiting:
                return
            for start in range(0, len(waiting), size):
                self._go_on()
                await self.creator.make_tasks(waiting[start : start + size])
            await self.settler.settle()

    async def _adopt(self, keys: dict[int, str]) -> None:
        """Tasks that matched units have already, from a job whose state is lost."""
        found: dict[str, int] = {}
        async for task, unit in self.settler.server.tasks_above(0):
            if unit in keys:
                found.setdefault(keys[unit], task)
        if found:
            await self.creator.record(
                {"t": "settled", "batches": [], "created": [], "tasks": list(found.items()), "unknown": False}
            )
