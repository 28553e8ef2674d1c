"""Settling: what became of creates that were never properly answered.

Waits until the backend must have done what it was going to do, lists what is above the lowest floor, takes away what
the ledger owns, and hands the rest to the unresolved data units by fingerprint, as a multiset, oldest first. A unit
without a row was proved absent and is ready again. In a simulation of 3,000 crashes settling at once was wrong in 4
of 10 worlds, after a wait in none (contract/EXPERIMENTS.md, e7): the wait is not optional.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable

from synapse_skills.backend.api import NotThere, Refused
from synapse_skills.job.upload.create import Creator, Stopped
from synapse_skills.job.upload.ledger import NOTHING, Batch, Ledger
from synapse_skills.job.upload.lookup import PARTS, Lookup, Server, prints_of, unpack
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

    async def settle(self) -> int:
        """Settle everything that is open; no create may be in flight. Returns how many creates were settled.

        Raises:
            OutOfReach: the backend can't be asked; nothing has changed.
            Stopped: the run is being stopped while waiting.
        """
        batches = self.ledger.unsettled()
        if not batches:
            return 0
        await self._wait(batches)
        units = [batch for batch in batches if batch.kind == "unit"]
        tasks = [batch for batch in batches if batch.kind == "task"]
        if units:
            await self._settle_units(units)
        if tasks:
            await self._settle_tasks(tasks)
        self.creator.settled()
        self.ledger.commit()
        return len(batches)

    async def _wait(self, batches: list[Batch]) -> None:
        # A clock that was set back must not make us wait for longer than one full period from now.
        now = time.time()
        until = min(max(batch.sent_at for batch in batches), now) + self.settle_after_s
        end = time.monotonic() + max(0.0, until - now)
        if end - time.monotonic() > 1:
            self.say(
                f"{len(batches)} creates were not answered: looking them up in {end - time.monotonic():.0f} s, "
                "when they must have happened or never will"
            )
        while (left := end - time.monotonic()) > 0:
            if self.creator.stopping:
                raise Stopped
            await asyncio.sleep(min(STEP_S, left))

    async def _settle_units(self, batches: list[Batch]) -> None:
        lookup = self.creator.lookup
        wanted = [
            (key, unpack(prints), batch.id) for batch in batches for key, prints in self.ledger.units_of(batch.id)
        ]
        created: list[list[object]] | None
        if lookup is not None and not lookup.usable:
            created = None
        else:
            try:
                if lookup is None:
                    created = await self._find_canary(wanted, min(batch.floor for batch in batches))
                else:
                    created = await self._find(lookup, wanted, min(batch.floor for batch in batches))
            except (NotThere, Refused):
                created = None
        await self.creator.record(
            {
                "t": "settled",
                "batches": [batch.id for batch in batches],
                "created": created or [],
                "unknown": created is None,
            }
        )
        for _, identity in created or []:
            self.creator.floor = max(self.creator.floor, int(str(identity)))
        if created:
            self.creator.on_created(len(created))

    async def _find(
        self, lookup: Lookup, wanted: list[tuple[str, dict[str, str], str]], floor: int
    ) -> list[list[object]]:
        waiting: dict[str, deque[str]] = defaultdict(deque)
        for key, prints, _ in wanted:
            waiting[lookup.fingerprint(prints)].append(key)
        rows: dict[str, list[int]] = defaultdict(list)
        async for row in self.server.units_above(floor):
            if not self.ledger.owns(row["id"]) and (mark := lookup.fingerprint(prints_of(row))) in waiting:
                rows[mark].append(row["id"])
        created: list[list[object]] = []
        for mark, ids in rows.items():
            for identity in sorted(set(ids)):
                if not waiting[mark]:
                    self.problems.add(
                        "foreign-identical",
                        f"data unit id {identity}",
                        severity="warning",
                        fix="Someone else adds the same data units to this collection: they can't be told apart.",
                    )
                    continue
                created.append([waiting[mark].popleft(), identity])
        return created

    async def _find_canary(
        self, wanted: list[tuple[str, dict[str, str], str]], floor: int
    ) -> list[list[object]] | None:
        """The canary itself was not answered: nothing is known of what comes back.

        Any part that agrees makes a row ours; rows that show other content are somebody else's; rows that show
        nothing leave it unknown (None).
        """
        created: list[list[object]] = []
        open_units = {key: prints for key, prints, _ in wanted}
        blind = False
        async for row in self.server.units_above(floor):
            if self.ledger.owns(row["id"]):
                continue
            theirs = prints_of(row)
            telling = [part for part in PARTS if part != "groups" and theirs[part] != NOTHING]
            blind = blind or not telling
            for key, ours in open_units.items():
                if any(theirs[part] == ours[part] for part in telling):
                    created.append([key, row["id"]])
                    del open_units[key]
                    break
        if open_units and blind:
            return None
        return created

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
