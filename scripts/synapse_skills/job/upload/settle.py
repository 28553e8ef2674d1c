"""Settling: what became of creates that were never properly answered.

Waits until the backend must have done what it was going to do, lists what is above the lowest floor, takes away what
the ledger owns, and hands the rest to the unresolved data units (see recognise.py). A unit without a row was proved
absent and is ready again. In a simulation of 3,000 crashes settling at once was wrong in 4
of 10 worlds, after a wait in none (contract/EXPERIMENTS.md, e7): the wait is not optional.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable

from synapse_skills.backend.api import NotThere, Refused
from synapse_skills.job.upload import clock
from synapse_skills.job.upload.create import Creator, Stopped
from synapse_skills.job.upload.ledger import Batch, Ledger
from synapse_skills.job.upload.lookup import Lookup, Server, prints_of, unpack
from synapse_skills.job.upload.recognise import Found, Recogniser
from synapse_skills.job.upload.suspects import Suspects
from synapse_skills.report import Problems

STEP_S = 0.5


class Settler:
    """Looks up what creates have left open.

    Args:
        settle_after_s: seconds after which a create that was sent has been done or never will be.
        say: called with a line for people when there is something to wait for.
    """

    def __init__(
        self,
        creator: Creator,
        ledger: Ledger,
        server: Server,
        problems: Problems,
        *,
        settle_after_s: float,
        say: Callable[[str], None],
    ) -> None:
        self.creator = creator
        self.ledger = ledger
        self.server = server
        self.problems = problems
        self.settle_after_s = settle_after_s
        self.say = say
        self.suspects = Suspects(creator.batch_size)

    async def settle(self) -> int:
        """Settle everything that is open; no create may be in flight. Returns how many creates were settled.

        Raises:
            OutOfReach: the backend can't be asked; nothing has changed.
            Stopped: the run is being stopped while waiting.
        """
        batches = self.ledger.unsettled()
        if not batches:
            return 0
        await self._wait(min(clock.age_of(batch.up) for batch in batches), len(batches))
        units = [batch for batch in batches if batch.kind == "unit"]
        tasks = [batch for batch in batches if batch.kind == "task"]
        if units:
            await self._settle_units(units)
        if tasks:
            await self._settle_tasks(tasks)
        self.creator.settled()
        self.ledger.commit()
        return len(batches)

    async def wait_for_forgotten(self) -> None:
        """Wait for creates of which only is known that there were some: their records have been set aside or lost."""
        open_since = self.ledger.info("open_since")
        # 0 is what earlier versions wrote for none.
        if open_since not in (None, 0):
            await self._wait(clock.age_of(str(open_since)), 1)
            self.ledger.set_info("open_since", None)

    async def _wait(self, age: float, count: int) -> None:
        end = time.monotonic() + self.settle_after_s - age
        if end - time.monotonic() > 1:
            self.say(
                f"{count} creates were not answered: looking them up in {end - time.monotonic():.0f} s, "
                "when they must have happened or never will"
            )
        while (left := end - time.monotonic()) > 0:
            if self.creator.stopping:
                raise Stopped
            await asyncio.sleep(min(STEP_S, left))

    async def _settle_units(self, batches: list[Batch]) -> None:
        lookup = self.creator.lookup
        found: Found | None = None
        keys = [key for batch in batches for key, _ in self.ledger.units_of(batch.id)]
        if lookup is None or lookup.usable:
            try:
                found = await self._find(lookup, batches)
            except (NotThere, Refused):
                # What can't be listed can't be looked up.
                found = None
        created = found.created if found else []
        await self.creator.record(
            {
                "t": "settled",
                "batches": [batch.id for batch in batches],
                "created": created,
                "doubtful": found.doubtful if found else [],
                "unknown": found is None,
            }
        )
        self.suspects.add(self.ledger.tried_now_and_ready(keys))
        for identity in found.too_many if found else []:
            self.problems.add(
                "foreign-identical",
                f"data unit id {identity}",
                severity="warning",
                fix="Someone else adds the same data units to this collection: they can't be told apart.",
            )
        if created:
            self.creator.floor = max(self.creator.floor, *(identity for _, identity in created))
            self.creator.on_created(len(created))

    async def _find(self, lookup: Lookup | None, batches: list[Batch]) -> Found:
        wanted = [(key, unpack(prints)) for batch in batches for key, prints in self.ledger.units_of(batch.id)]
        recogniser = Recogniser(wanted, lookup, functools.cache(self.ledger.is_individual))
        async for row in self.server.units_above(min(batch.floor for batch in batches)):
            if not self.ledger.owns(row["id"]):
                recogniser.row(row["id"], prints_of(row))
        return recogniser.found()

    async def _settle_tasks(self, batches: list[Batch]) -> None:
        keys = {identity: key for batch in batches for key, identity in self.ledger.tasks_of(batch.id)}
        found: dict[str, int] | None = {}
        try:
            async for task, unit in self.server.tasks_above(min(batch.floor for batch in batches)):
                if unit in keys and found is not None:
                    found.setdefault(keys[unit], task)
        except (NotThere, Refused):
            found = None
        await self.creator.record(
            {
                "t": "settled",
                "batches": [batch.id for batch in batches],
                "created": [],
                "tasks": [[key, task] for key, task in (found or {}).items()],
                "unknown": found is None,
            }
        )
