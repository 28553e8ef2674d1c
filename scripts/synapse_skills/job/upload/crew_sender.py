"""Files on their way by way of a crew: handed out in lots, and noted in the ledger as the answers come.

The crew moves files (`crew_work`); the ledger, the journal and the data units are this process's alone. A lot that is
lost with its machine is done again by another; one whose driver was killed is handed out again by the next run.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from synapse_skills.backend.pace import START
from synapse_skills.job.parallel import Crew
from synapse_skills.job.upload.crew_listing import Spread
from synapse_skills.job.upload.crew_work import BESIDE, Common, Lot, Moved, look, move
from synapse_skills.job.upload.ledger import Ledger
from synapse_skills.job.upload.outlook import Outlook
from synapse_skills.job.upload.send import Job, still_to_send
from synapse_skills.job.upload.staging import Stager
from synapse_skills.plan import UploadPlan
from synapse_skills.report import Problems
from synapse_skills.sources import Access, File, Inventory, Source, reach
from synapse_skills.sources.access import RemoteAccess

FILES, BYTES = 256, 256 << 20
"""The most that a lot has: so much is done again when a machine is lost."""
LEAST = 16
"""The fewest files that are worth a lot of their own."""
ROUNDS = 4
"""So often at least each of the crew gets a lot: the last one is not waited for by all others for long."""
LINGER_S = 0.2


@contextlib.contextmanager
def crew_for(plan: UploadPlan, *, wanted: bool) -> Iterator[Crew | None]:
    """Those who move the files of an upload; None if this process does, or nothing is to be moved.

    Raises:
        OutOfReach: the plan asks for a cluster, and there is none.
    """
    if plan.engine != "ray" or not wanted:
        yield None
        return
    from synapse_skills.job.ray_crew import OnRay

    with OnRay() as crew:
        yield crew


class Team:
    """A crew and what it has to know.

    Attributes:
        at_once: how many lots are under way at a time.

    Args:
        requests: how many all of them together may have under way at once.
    """

    def __init__(self, crew: Crew, common: Common, requests: int) -> None:
        self.crew = crew
        self.at_once = max(1, min(crew.size, requests // (2 * BESIDE + 1)))
        self.common = replace(common, requests=requests // self.at_once)

    def look_everywhere(self, inventory: Inventory | None = None, outlook: Outlook | None = None) -> None:
        """See that each machine is logged in, finds the sources (as they were listed, if they were), and can convert.

        Raises:
            FindingError, OutOfReach: one can't.
        """
        query = "SELECT source, min(path), size, mtime_ns FROM file GROUP BY source"
        samples = [File(*row) for row in inventory.rows(query)] if inventory else []
        self.crew.everywhere(look, self.common, (samples, replace(outlook, ways=()) if outlook else None))

    def way_to(self, source: Source) -> Access:
        """The way to a source, for a walk; the folders of an object store are listed by the crew."""
        way = reach(source)
        # An object store: no links, so a folder is the same whether it is looked at from above or by itself.
        if isinstance(way, RemoteAccess) and way.remote.rows_are_sorted and source.recursive:
            way.remote = Spread(way.remote, source, self.crew, self.common)
        return way


class CrewSender:
    """Moves the files of data units by a crew.

    Args:
        files: how many are to be sent.
        presigns: whether the default storage hands out links.
        on_unit: awaited with each unit whose files have all arrived or failed.
    """

    def __init__(
        self,
        team: Team,
        ledger: Ledger,
        stager: Stager,
        problems: Problems,
        *,
        files: int,
        presigns: bool,
        on_unit: Callable[[Job], Awaitable[None]],
        on_bytes: Callable[[int], None],
    ) -> None:
        self.ledger = ledger
        self.stager = stager
        self.problems = problems
        self.on_unit = on_unit
        self.on_bytes = on_bytes
        self._at_once = team.at_once
        self._most = min(FILES, max(LEAST, files // (ROUNDS * team.at_once)))
        self.holds = 2 * self._at_once * self._most
        self._do = team.crew.doing(move, replace(team.common, presigns=presigns))
        # What one lot has found out about the other side, the next one begins with.
        self._pace = max(1, START // team.at_once)
        self._waiting: asyncio.Queue[tuple[Job, dict[str, File]]] = asyncio.Queue()
        self._gathering = asyncio.Lock()
        self._threads = ThreadPoolExecutor(team.at_once, thread_name_prefix="lot")

    def loops(self) -> list[Callable[[], Coroutine[None, None, None]]]:
        """See `Mover`."""
        return [self._moving] * self._at_once

    async def send(self, job: Job) -> None:
        """See `Mover`."""
        files = still_to_send(job, self.ledger, self.stager)
        if files:
            self._waiting.put_nowait((job, files))
        else:
            await self.on_unit(job)

    def close(self) -> None:
        """See `Mover`."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _moving(self) -> None:
        while True:
            async with self._gathering:
                jobs = await self._gather()
            lot = Lot(self._pace, tuple((job.unit.key, files) for job, files in jobs.values()))
            moved: Moved = await asyncio.get_running_loop().run_in_executor(self._threads, self._do, lot)
            await self._note(jobs, moved)

    async def _gather(self) -> dict[str, tuple[Job, dict[str, File]]]:
        """The next lot: what is waiting, or comes within a moment, by the data units' keys."""
        jobs, count, size = {}, 0, 0
        wait: float | None = None
        while count < self._most and size < BYTES:
            try:
                job, files = await asyncio.wait_for(self._waiting.get(), wait)
            except TimeoutError:
                break
            jobs[job.unit.key] = job, files
            count += len(files)
            size += sum(file.size for file in files.values())
            wait = LINGER_S
        return jobs

    async def _note(self, jobs: dict[str, tuple[Job, dict[str, File]]], moved: Moved) -> None:
        """Take in what came of a lot."""
        self._pace = moved.pace
        for problem in moved.problems:
            # As `Stager` keeps them apart.
            self.problems.merge(problem, group=str(problem.severity == "info"))
        for unit in moved.units:
            job, files = jobs[unit.key]
            arrived = [
                (files[spec], checksum, self.stager.target(spec, files[spec]))
                for spec, checksum in unit.checksums.items()
            ]
            self.ledger.confirm(arrived)
            job.checksums |= unit.checksums
            job.sent += len(arrived)
            job.converted += unit.converted
            job.code, job.error = unit.code, unit.error
            job.left = 0
            self.on_bytes(sum(file.size for file, _, _ in arrived))
            await self.on_unit(job)
        if moved.error is not None:
            raise moved.error
