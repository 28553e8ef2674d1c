"""Creates that happen exactly once: intent durable, sent once, and whatever is not answered looked up later.

The first create of a job is a canary of one data unit, read back to learn what the backend echoes. A 400 or 413
halves the batch until the bad unit stands alone. Everything that is neither a proper answer nor a refusal is unknown
and settled (see settle.py): never resent blindly.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from synapse_skills.backend import Answer, Api
from synapse_skills.backend.api import LATER, NotThere, Patience, Refused
from synapse_skills.job.upload import clock
from synapse_skills.job.upload.ledger import NOTHING, Ledger
from synapse_skills.job.upload.lookup import PARTS, Lookup, Server, pack, prints_of

MAX_IN_FLIGHT = 4
TOO_MANY_UNKNOWN = 8
UNKNOWN_IN_A_ROW = 3
CANARY_READS = 5
CANARY_ROWS = 1000


@dataclass(frozen=True)
class Ready:
    """A data unit whose files (source and path) have all arrived, as it will be sent."""

    key: str
    payload: dict[str, Any]
    basis: str
    files: tuple[tuple[int, str], ...] = ()


class Stopped(Exception):
    """The run is being stopped: nothing new is sent."""


class Creator:
    """Takes data units that are ready and makes them on the server, and their tasks.

    Args:
        batch_size: the most units in one request.
        on_created: called with the number of units each time some have been created.
    """

    def __init__(
        self,
        api: Api,
        server: Server,
        ledger: Ledger,
        *,
        batch_size: int,
        on_created: Callable[[int], None],
    ) -> None:
        self.api = api
        self.server = server
        self.ledger = ledger
        self.batch_size = batch_size
        self.on_created = on_created
        self.stopping = False
        self.unknown_batches = 0
        self._in_a_row = 0
        self.why = ""  # the last one was not answered
        self.refused_tasks: dict[str, str] = {}
        self.floor = 0
        self.task_floor = 0
        self._journal_lock = asyncio.Lock()
        echo = ledger.info("echo")
        self.lookup: Lookup | None = None
        if echo is not None:
            self.lookup = Lookup(tuple(part for part in echo.split(",") if part), bool(ledger.info("rising")))

    async def start(self) -> None:
        """Read the floors: what is made from now on has higher ids.

        A backend that lists nothing has none: then nothing is looked up either.
        """
        self.floor = self.ledger.highest_id()
        with contextlib.suppress(NotThere, Refused):
            self.floor = max(self.floor, await self.server.newest_unit())
        if self.server.project is not None:
            with contextlib.suppress(NotThere, Refused):
                self.task_floor = await self.server.newest_task()

    async def record(self, record: dict[str, Any]) -> None:
        """Make a record durable without holding up the transfers; one at a time, in order.

        Whoever waits may be cancelled, the record may not: half of it done (in the journal, not in the ledger, the
        lock given up while the thread still writes) would spoil the next one.
        """
        await asyncio.shield(self._record(record))

    async def _record(self, record: dict[str, Any]) -> None:
        async with self._journal_lock:
            await asyncio.to_thread(self.ledger.journal.append, record)
            self.ledger.apply(record)
            name, offset = self.ledger.journal.position
            self.ledger.set_info(f"mark:{name}", offset)

    @property
    def settle_due(self) -> bool:
        """Whether so much is unanswered that it should be looked up before more is sent."""
        return self.unknown_batches >= TOO_MANY_UNKNOWN or self._in_a_row >= UNKNOWN_IN_A_ROW

    def settled(self) -> None:
        """All that was unanswered has been looked up."""
        self.unknown_batches = 0
        self._in_a_row = 0

    async def create(self, units: Sequence[Ready]) -> None:
        """Create data units, halving what is refused. Returns when each is created, failed or unknown.

        Raises:
            OutOfReach: login refused, or the backend can't be reached; the units are ready again.
            Stopped: the run is being stopped before anything was sent.
        """
        intent = [[unit.key, pack(prints_of(unit.payload)), unit.basis] for unit in units]
        keys, body = [unit.key for unit in units], [unit.payload for unit in units]
        refused = await self._post("unit", "data_units/", intent, keys, body)
        if refused is None:
            return
        if refused.status in (401, 403, 404):
            raise self.api.error_of(refused, "data_units/")
        if len(units) == 1:
            reason = f"refused by the backend ({refused.status}): {refused.reason}"
            await self.record({"t": "failed", "unit": units[0].key, "reason": reason, "basis": units[0].basis})
            # Perhaps the backend has swept its files away since an earlier run: the next try sends them again.
            self.ledger.unconfirm(units[0].files)
            return
        middle = len(units) // 2
        await self.create(units[:middle])
        await self.create(units[middle:])

    async def _post(self, kind: str, path: str, intent: list[Any], keys: list[str], body: Any) -> Answer | None:
        """Send one batch once, its intent durable before and what came of it after.

        Args:
            kind: `unit` or `task`.
            intent: what the journal has to know of each thing sent; `keys`: the data units, in the same order.

        Returns:
            The answer that refuses it; None if it was taken, or nobody knows.

        Raises:
            OutOfReach: the backend can't be reached, or is limiting requests for too long; nothing was made.
            Stopped: the run is being stopped before anything was sent.
        """
        patience = Patience(self.api.patience)
        while True:
            if self.stopping:
                raise Stopped
            batch, floor = self.ledger.journal.next_batch(), self.floor if kind == "unit" else self.task_floor
            await self.record({"t": "intent", "batch": batch, "kind": kind, "floor": floor, **_now(), "units": intent})
            answer = await self.api.post_once(path, body)
            ids = _ids(answer, len(keys)) if answer.outcome == "ok" else None
            if ids is not None:
                await self.record({"t": "answer", "batch": batch, "ids": list(zip(keys, ids, strict=True))})
                if kind == "unit":
                    await self._created(ids, floor)
                return None
            if answer.outcome in ("ok", "unknown"):
                self.why = answer.reason or "an answer that does not fit"
                await self._unanswered(batch)
                return None
            await self.record({"t": "refused", "batch": batch, "status": answer.status})
            if answer.outcome != "unsent" and answer.status not in LATER:
                return answer
            wait = patience.wait(answer)
            if wait is None:
                raise self.api.error_of(answer, path)
            await asyncio.sleep(wait)

    async def _created(self, ids: list[int], floor: int) -> None:
        self.floor = max(self.floor, *ids)
        self._in_a_row = 0
        self.on_created(len(ids))
        if min(ids) <= floor and self.lookup is not None and self.lookup.rising:
            # New ids are not higher than old ones: above a floor not all is found that was made since.
            await self._knows(Lookup(self.lookup.echo, rising=False))

    async def _unanswered(self, batch: str) -> None:
        """It stays `sent`, settling decides; the wait for that begins now, not when the request went out."""
        self.unknown_batches += 1
        self._in_a_row += 1
        await self.record({"t": "unanswered", "batch": batch, **_now()})

    async def canary(self, unit: Ready) -> None:
        """Create the first unit alone and learn from its row what comes back."""
        floor = self.floor
        await self.create([unit])
        standing = self.ledger.standing(unit.key)
        if standing.state == "created" and standing.server_id is not None:
            await self.learn(unit.payload, standing.server_id, floor)

    async def learn(self, payload: dict[str, Any], server_id: int, floor: int) -> None:
        """Read a created unit back; what agrees with what was sent is what a lost answer can be looked up by.

        Args:
            floor: the newest id before it was created.

        Raises:
            OutOfReach: the backend is away, which says nothing about what it shows: the next unit is the canary.
        """
        ours = prints_of(payload)
        row: dict[str, Any] | None = None
        for attempt in range(CANARY_READS):
            try:
                row = await self._read_back(server_id)
            except (NotThere, Refused):
                # It can't be listed: what is not answered will stay unknown.
                break
            if row is not None:
                break
            await asyncio.sleep(0.2 * (attempt + 1))
        echo: list[str] = []
        if row is not None:
            theirs = prints_of(row)
            echo = [part for part in PARTS if theirs[part] == ours[part] and ours[part] != NOTHING]
        await self._knows(Lookup(tuple(echo), rising=row is not None and server_id > floor))

    async def _read_back(self, server_id: int) -> dict[str, Any] | None:
        count = 0
        async for row in self.server.units_above(0):
            count += 1
            if row["id"] == server_id:
                return row
            if count >= CANARY_ROWS:
                break
        return None

    async def _knows(self, lookup: Lookup) -> None:
        await self.record({"t": "lookup", "echo": list(lookup.echo), "rising": lookup.rising})
        self.lookup = lookup

    async def make_tasks(self, units: Sequence[tuple[str, int]]) -> None:
        """Make a task for each (key, server id); what is not answered is settled later.

        One that is refused alone is remembered in `refused_tasks` and not tried again by this run.
        """
        keys = [key for key, _ in units]
        body = {"project": self.server.project, "data": [{"data_unit": identity} for _, identity in units]}
        refused = await self._post("task", "tasks/", keys, keys, body)
        if refused is None:
            return
        if refused.status not in (400, 413, 422):
            raise self.api.error_of(refused, "tasks/")
        if len(units) == 1:
            self.refused_tasks[keys[0]] = f"refused by the backend ({refused.status}): {refused.reason}"
            return
        middle = len(units) // 2
        await self.make_tasks(units[:middle])
        await self.make_tasks(units[middle:])


def _now() -> dict[str, Any]:
    """When something is done: for people, and for whoever has to know how long ago it was."""
    return {"at": time.time(), "up": clock.mark()}


def _ids(answer: Answer, count: int) -> list[int] | None:
    """The ids of an answer if there is exactly one, different, for each thing sent; None otherwise."""
    rows = answer.body
    if isinstance(rows, dict):
        rows = rows.get("results", [rows] if "id" in rows else None)
    if not isinstance(rows, list) or len(rows) != count:
        return None
    found = [row.get("id") if isinstance(row, dict) else row for row in rows]
    ids = [identity for identity in found if isinstance(identity, int) and not isinstance(identity, bool)]
    return ids if len(set(ids)) == count and min(ids) > 0 else None
