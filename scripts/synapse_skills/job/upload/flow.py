"""The flow of an upload: files on their way, units created as they are complete, tasks as units are there.

Feeding, sending and creating run side by side. Creates are never cancelled: what has been sent is waited for, and
what is not answered is settled.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from synapse_skills.errors import OutOfReach, printable
from synapse_skills.job.upload.checking import Checker
from synapse_skills.job.upload.create import MAX_IN_FLIGHT, Creator, Ready, Stopped
from synapse_skills.job.upload.ledger import Ledger
from synapse_skills.job.upload.match import Matcher
from synapse_skills.job.upload.send import Job, Mover
from synapse_skills.job.upload.settle import Settler
from synapse_skills.job.upload.staging import Stager
from synapse_skills.job.upload.tally import Tally
from synapse_skills.job.upload.tasks import Tasks
from synapse_skills.plan import UploadPlan
from synapse_skills.report import Problems
from synapse_skills.texts import human_bytes
from synapse_skills.units import Unit

LINGER_S = 1.0
GRACE_S = 30.0
TRIES = 4
CANARIES = 3
CANARY_TRIES = 2
QUARANTINE = frozenset(
    {"changed-while-reading", "vanished", "unreadable-file", "link-outside"}
    # What is converted or lies elsewhere is judged when it is here: all else was found before anything was sent.
    | {"conversion-failed", "conversion-timeout", "refused-by-guard", "oversized-file"}
)
FIXES = {
    "changed-while-reading": "Let the file come to rest and run it again.",
    "vanished": "Put the file back, or plan again.",
    "unreadable-file": "Give read permission and run it again.",
    "link-outside": "Replace the link with the file itself.",
    "transfer-failed": "Run it again: files that have arrived are not sent twice.",
    "conversion-failed": "Open the file in the program that made it and save it again, or leave its data unit out.",
    "conversion-timeout": "Cut the recording into shorter parts, or convert it by hand.",
    "refused-by-guard": "What would be sent is refused: look at the original, or leave its data unit out.",
    "create-fails": "Run it again later. If it stays: look at what is odd about it, tell whoever runs the backend, or "
    "leave it out.",
    "oversized-file": "Raise max_file_size_mb, convert to a format that is smaller, or leave the data unit out.",
}


@dataclass
class Moved:
    """Files that travelled, and those that needed not; of those that were converted, bytes before and after."""

    sent: int = 0
    reused: int = 0
    converted: int = 0
    bytes_before: int = 0
    bytes_after: int = 0

    def tell(self, problems: Problems) -> None:
        """What conversions have made of the files that were sent."""
        if self.converted:
            said = f"{human_bytes(self.bytes_before)} became {human_bytes(self.bytes_after)}, as sent by this run"
            fix = "Nothing: the originals stay as they are."
            problems.add("files-converted", said, severity="info", fix=fix, count=self.converted)


class Flow:
    """One pass after another over the data units that are ready, until none is left or nothing moves."""

    def __init__(
        self,
        plan: UploadPlan,
        checker: Checker,
        ledger: Ledger,
        tally: Tally,
        creator: Creator,
        settler: Settler,
        matcher: Matcher,
        stager: Stager,
        problems: Problems,
    ) -> None:
        self.plan = plan
        self.checker = checker
        self.ledger = ledger
        self.tally = tally
        self.creator = creator
        self.settler = settler
        self.matcher = matcher
        self.stager = stager
        self.problems = problems
        size = plan.limits.batch_size
        self.tasks = Tasks(creator, settler, ledger, tally, size=size, go_on=self._check)
        self.moved = Moved()
        self.sender: Mover | None = None
        self._failure: BaseException | None = None
        self._wake = asyncio.Event()
        self._most = 2 * plan.limits.batch_size + 256
        self._in_flight = 0
        self._in_transit = 0
        self._first_pass = True
        self.stopped_by_signal = False
        self._fruitless = 0
        self._created_before = 0
        self._silent_canaries = 0
        self._to_create: asyncio.Queue[Ready] = asyncio.Queue()
        self._creates: set[asyncio.Task[None]] = set()

    # -- supervision ---------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """A signal: send nothing new; what is on its way to be created is waited for."""
        self.stopped_by_signal = True
        self.creator.stopping = True
        self.stager.stop()
        self._wake.set()

    async def guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something beside the passes; an error in it stops the upload and is raised by `run`."""
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if self._failure is None:
                self._failure = error
            self.creator.stopping = True
            # The passes may be waiting for a conversion, or for room that only sending would have made.
            self.stager.stop()
            self._wake.set()

    async def _until(self, done: Callable[[], bool]) -> None:
        while not done():
            self._check()
            self._wake.clear()
            await self._wake.wait()
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self.creator.stopping:
            raise Stopped

    # -- passes --------------------------------------------------------------------------------------------------

    async def run(self, sender: Mover, limit: int | None) -> None:
        """Upload everything that is ready; at most `limit` data units if one is given.

        Raises:
            Stopped: `stop` was called. OutOfReach: the backend can't be used any more.
        """
        self.sender = sender
        self._most += sender.holds
        workers = [asyncio.create_task(self.guarded(loop)) for loop in sender.loops()]
        workers.append(asyncio.create_task(self.guarded(self._creating)))
        try:
            last_key = await self._pass(limit, None)
            self._first_pass = False
            still = 0
            while True:
                before = self.tally.counts()
                await self._settle()
                if self.plan.project is not None:
                    await self.tasks.make_missing()
                if not self._again(last_key):
                    return
                await self._pass(None, last_key)
                after = self.tally.counts()
                moving = after.created + after.failed > before.created + before.failed
                still = 0 if moving else still + 1
                if still >= TRIES:
                    raise self._deaf()
        except Stopped:
            # Whoever was waiting only saw that all is being stopped: the reason is what counts.
            self._check()
            raise
        finally:
            self.creator.stopping = True
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            if self._creates:
                await asyncio.wait(self._creates, timeout=GRACE_S)
            self.ledger.commit()

    async def _settle(self) -> None:
        """Settle; and give up, for this run, what alone is not made while others are."""
        await self.settler.settle()
        if not self.tally.counts().created:
            return
        for key in self.settler.suspects.given_up():
            self.tally.plan(key, "failed", f"it is not made, also alone ({self.creator.why})")
            said = f"{key}: it is not made, also alone ({self.creator.why})"
            self.problems.add("create-fails", said, fix=FIXES["create-fails"])

    def _deaf(self) -> OutOfReach:
        alone = ", ".join(printable(key) for key in self.settler.suspects.alone()[:3])
        tried = f" Tried alone: {alone}." if alone else ""
        return OutOfReach(
            f"The backend makes no more data units and does not say why ({self.creator.why}).{tried}",
            hint="Wait until it is well again, then run it again: it goes on where it was.",
            code="backend-error",
        )

    def _again(self, last_key: str | None) -> bool:
        for key in self.ledger.keys_in("ready", "sent"):
            if (last_key is None or key <= last_key) and self.tally.verdict(key) == "ready":
                return True
        return False

    async def _pass(self, limit: int | None, last_key: str | None) -> str | None:
        """Feed every ready data unit; returns the key of the last one that `limit` let in."""
        fed = 0
        for number, unit in enumerate(self.checker.units()):
            if number % 256 == 0:
                # A million units that are there already must not keep signals and heartbeats waiting.
                await asyncio.sleep(0)
            self._check()
            if (limit is not None and fed >= limit) or (last_key is not None and unit.key > last_key):
                break
            job = await self._job(unit)
            if job is None:
                continue
            last = unit.key
            fed += 1
            if limit is not None and fed == limit:
                last_key = last
            await self._until(lambda: self._in_flight < self._most)
            self._in_flight += 1
            self._in_transit += 1
            assert self.sender is not None
            await self.sender.send(job)
            if fed % 64 == 0:
                await asyncio.sleep(0)
        await self._until(lambda: self._in_flight == 0 and not self._creates)
        return last_key

    async def _job(self, unit: Unit) -> Job | None:
        if self.tally.verdict(unit.key) != "ready":
            return None
        standing = self.ledger.standing(unit.key)
        if standing.state in ("created", "unknown", "sent"):
            return None
        meta, errors = self.checker.meta_of(unit)
        if errors:
            # It was fit when it was checked: `describe` says something else now.
            self.tally.plan(unit.key, "quarantined", "; ".join(str(error) for error in errors[:3]))
            self.checker.tell(unit, errors, self.problems)
            return None
        basis = self.checker.basis_of(unit, meta)
        if standing.state == "failed":
            if standing.basis == basis:
                return None
            # It was refused for what it was, and it is something else now.
            await self.creator.record({"t": "retry", "units": [unit.key]})
        if await self.matcher.match(unit, self._draft(unit, meta), basis):
            self.moved.reused += len(unit.files)
            return None
        return Job(unit, meta, basis, len(unit.files))

    def _draft(self, unit: Unit, meta: dict[str, Any] | None) -> dict[str, Any]:
        names = {spec: self.stager.name(spec, file) for spec, file in unit.files.items()}
        all_names = list(names.values())
        paths = {
            spec: f"{unit.key}/{name}" if all_names.count(name) == 1 else f"{unit.key}/{spec}/{name}"
            for spec, name in names.items()
        }
        payload: dict[str, Any] = {
            "data_collection": self.plan.data_collection,
            "files": {spec: {"path": paths[spec]} for spec in sorted(paths)},
            "meta": meta,
        }
        if self.plan.groups:
            payload["groups"] = list(self.plan.groups)
        return payload

    async def arrived(self, job: Job) -> None:
        """A unit's files have all arrived, or one of them can't."""
        self._in_transit -= 1
        self.moved.sent += job.sent
        for before, after in job.converted:
            self.moved.converted += 1
            self.moved.bytes_before += before
            self.moved.bytes_after += after
        if self._first_pass:
            self.moved.reused += job.reused
        if job.code:
            verdict = "quarantined" if job.code in QUARANTINE else "failed"
            self.tally.plan(job.unit.key, verdict, job.error)
            self.problems.add(job.code, f"{job.unit.key}: {job.error}", fix=FIXES.get(job.code, ""))
            self._in_flight -= 1
        else:
            payload = self._draft(job.unit, job.meta)
            for spec, checksum in job.checksums.items():
                payload["files"][spec] = {"checksum": checksum, **payload["files"][spec]}
            files = tuple((file.source, file.path) for file in job.unit.files.values())
            self._to_create.put_nowait(Ready(job.unit.key, payload, job.basis, files))
        self._wake.set()

    # -- creating ------------------------------------------------------------------------------------------------

    async def _creating(self) -> None:
        while True:
            batch = [await self._to_create.get()]
            if self.creator.lookup is None:
                await self._canary(batch.pop())
                continue
            loop = asyncio.get_running_loop()
            end = loop.time() + LINGER_S
            while len(batch) < self.plan.limits.batch_size:
                # Full batches where files are still coming, no waiting where none is.
                if self._to_create.empty() and (not self._in_transit or loop.time() >= end):
                    break
                try:
                    batch.append(await asyncio.wait_for(self._to_create.get(), 0.05))
                except TimeoutError:
                    continue
            for part in self.settler.suspects.apart(batch):
                if self.creator.settle_due:
                    await self._settle_early()
                while len(self._creates) >= MAX_IN_FLIGHT:
                    await asyncio.wait(self._creates, return_when=asyncio.FIRST_COMPLETED)
                task = asyncio.create_task(self.guarded(functools.partial(self._create, part)))
                self._creates.add(task)
                task.add_done_callback(self._created)

    def _created(self, task: asyncio.Task[None]) -> None:
        self._creates.discard(task)
        self._wake.set()

    async def _settle_early(self) -> None:
        if self._creates:
            await asyncio.wait(self._creates)
        await self._settle()
        created = self.tally.counts().created
        # Nothing arrives, time after time: to go on would take a settling period for each batch.
        self._fruitless = 0 if created > self._created_before else self._fruitless + 1
        self._created_before = created
        if self._fruitless >= TRIES:
            raise self._deaf()

    async def _create(self, batch: list[Ready]) -> None:
        try:
            await self.creator.create(batch)
            if self.plan.project is not None:
                await self.tasks.make_for([unit.key for unit in batch])
        finally:
            self._in_flight -= len(batch)
            self._wake.set()

    async def _canary(self, unit: Ready) -> None:
        floor = self.creator.floor
        try:
            for _ in range(CANARY_TRIES):
                work = asyncio.create_task(self.guarded(functools.partial(self.creator.canary, unit)))
                self._creates.add(work)
                work.add_done_callback(self._created)
                await asyncio.shield(work)
                self._check()
                standing = self.ledger.standing(unit.key)
                if standing.state == "sent":
                    # Nothing is known yet of what comes back: settle this one before anything else is sent.
                    await self._settle()
                    standing = self.ledger.standing(unit.key)
                if standing.state == "created" and standing.server_id is not None:
                    if self.creator.lookup is None:
                        await self.creator.learn(unit.payload, standing.server_id, floor)
                    if self.plan.project is not None:
                        await self.tasks.make_for([unit.key])
                    return
                if standing.state in ("failed", "unknown"):
                    # It has taught nothing: the next one is the canary.
                    return
            # It may be this one alone: another has to teach us.
            self._silent_canaries += 1
            if self._silent_canaries >= CANARIES:
                raise self._deaf()
        finally:
            self._in_flight -= 1
            self._wake.set()
