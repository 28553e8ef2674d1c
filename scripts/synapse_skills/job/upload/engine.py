"""One run of an upload, from the check to the report."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synapse_skills.backend import Api, Login, Pace, Transfer, login, stoppable
from synapse_skills.errors import OutOfReach, SkillsError, interruptible, unexpected
from synapse_skills.job.parallel import Crew
from synapse_skills.job.progress import Progress
from synapse_skills.job.running import seconds_said
from synapse_skills.job.signals import gentle_stop
from synapse_skills.job.state import State
from synapse_skills.job.upload.alike import what_sets_apart
from synapse_skills.job.upload.checking import Checked, Checker
from synapse_skills.job.upload.create import Creator, Stopped
from synapse_skills.job.upload.crew_sender import CrewSender, Team, crew_for
from synapse_skills.job.upload.crew_work import Common
from synapse_skills.job.upload.flow import Flow
from synapse_skills.job.upload.journal import DamagedJournal, Journal
from synapse_skills.job.upload.ledger import Ledger, is_damaged, remove_database
from synapse_skills.job.upload.looking import look_at
from synapse_skills.job.upload.lookup import Server
from synapse_skills.job.upload.match import Matcher
from synapse_skills.job.upload.not_sent import NOT_SENT, write_not_sent
from synapse_skills.job.upload.reporting import make_report
from synapse_skills.job.upload.segments import FolderSegments, StoreSegments
from synapse_skills.job.upload.send import Sender
from synapse_skills.job.upload.settle import Settler
from synapse_skills.job.upload.staging import CONVERSION_VARIABLE, FOLDER, Stager
from synapse_skills.job.upload.tally import Tally
from synapse_skills.job.worker import is_remote
from synapse_skills.plan import UploadPlan
from synapse_skills.report import Problems, UploadReport
from synapse_skills.sources import Access, File, Inventory, Source, reach
from synapse_skills.sources.database import is_full

PATIENCE_S = 60.0
TICK_S = 0.5
LEDGER = "ledger.sqlite"


@dataclass(frozen=True)
class Options:
    """The flags of a run."""

    dry_run: bool = False
    limit: int | None = None
    workers: int | None = None
    fresh: bool = False
    retry_failed: bool = False
    retry_unknown: bool = False


class Engine:
    """One run.

    Args:
        state: the locked state.
        left_out: the job's left_out.jsonl.
        say: prints a line for people.
    """

    def __init__(
        self,
        plan: UploadPlan,
        sources: list[Source],
        place: Any,
        describe: Any,
        state: State,
        left_out: Path,
        options: Options,
        progress: Progress,
    ) -> None:
        self.plan = plan
        self.sources = sources
        self.place = place
        self.describe = describe
        self.state = state
        self.left_out = left_out
        self.options = options
        self.progress = progress
        self.problems = Problems()
        self.checked = Checked()
        self.flow: Flow | None = None
        self.ledger: Ledger | None = None
        self.tally: Tally | None = None
        self._ways: list[Access] = []
        self._crew: Crew | None = None
        self._team: Team | None = None
        self._workers = min(plan.limits.workers, options.workers or plan.limits.workers)
        self._patience = seconds_said("SYNAPSE_SKILLS_PATIENCE_S") or PATIENCE_S
        self._started = time.time()
        self._interrupted = False
        self._spoilt = False

    def run(self) -> tuple[UploadReport, SkillsError | None]:
        """Do it. Whatever happens there is a report, and the error that ended the run if one did."""
        error: SkillsError | None = None
        try:
            with interruptible(), crew_for(self.plan, wanted=not self.options.dry_run) as self._crew:
                self._open()
                self._check()
                if not self.options.dry_run and not self.checked.differs and self.checked.planned:
                    asyncio.run(stoppable(self._upload()))
        except Stopped:
            self._interrupted = True
        except KeyboardInterrupt:
            self._interrupted = True
        except SkillsError as caught:
            error = caught
        except sqlite3.Error as caught:
            error = self._ledger_error(caught)
        except OSError as caught:
            full = caught.errno in (errno.ENOSPC, errno.EDQUOT)
            error = OutOfReach(
                f"{caught.strerror or caught} ({caught.filename or self.state.folder})",
                hint="Free some disk space, then run it again: it goes on where it was.",
                code="disk-full" if full else "os-error",
            )
        except Exception as caught:
            # A bug of ours must not cost the report: what was sent is in it.
            error = unexpected(caught)
        try:
            report = self._report(error)
        except sqlite3.Error as caught:
            # It can't even be counted any more: a report that says why is better than none.
            self.tally, error = None, error or self._ledger_error(caught)
            report = self._report(error)
        self._close()
        return report, error

    def _ledger_error(self, caught: sqlite3.Error) -> OutOfReach:
        if is_damaged(caught):
            # A cache: the next run makes it anew from the journal.
            self._spoilt = True
            return OutOfReach(
                f"The ledger in {self.state.cache} is damaged: {caught}",
                hint="Run it again: the ledger is made anew from the journal, and it goes on where it was.",
                code="ledger-damaged",
            )
        full = is_full(caught, self.state.cache / LEDGER)
        return OutOfReach(
            f"{'The disk is full: the' if full else 'The'} ledger in {self.state.cache} can't be written: {caught}",
            hint=f"{'Free some space' if full else 'Check the disk'}, then run it again: it goes on where it was.",
            code="disk-full" if full else "ledger-denied",
        )

    # -- stages --------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self.inventory = Inventory(self.state.cache / "inventory.sqlite")
        self.inventory.borrow_guard(self.state.folder.parent / "inventory.sqlite")
        segments = (
            StoreSegments(self.state.store) if self.state.is_remote else FolderSegments(self.state.folder / "journal")
        )
        journal = Journal(segments, self.state.lease.fence)
        self.ledger = Ledger(self.state.cache / LEDGER, journal)
        if self.options.fresh and not self.options.dry_run:
            # What is known as far as it can be read, for the sake of what is still on its way.
            with contextlib.suppress(DamagedJournal):
                self.ledger.catch_up()
            self.ledger.forget()
            aside = journal.set_aside()
            if aside is not None:
                self.progress.say(f"earlier state set aside in {aside}")
        self.ledger.catch_up()
        self.tally = Tally(self.ledger)

    def _check(self) -> None:
        assert self.ledger is not None and self.tally is not None
        self.progress.stage("checking")
        if self._crew is not None:
            common = Common(self.plan, tuple(self.sources), login().where, self.state.name, self._patience)
            self._team = Team(self._crew, common, self._workers)
            self._team.look_everywhere()
        for source in self.sources:
            self._ways.append(reach(source))
        self.checker = Checker(
            self.plan,
            self.sources,
            self.place,
            self.describe,
            self.inventory,
            ways=self._ways,
            progress=self.progress.checked,
            way_to=self._team.way_to if self._team else reach,
        )
        self.checked = self.checker.check(self.ledger, self.tally, self.left_out)
        if self.options.dry_run and self.checker.outlook.remote:
            self.checker.outlook.tell_what_is_checked_later(self.problems)
        # A crew looks where it works.
        obstacle = None if self._crew else self.checker.outlook.obstacle(self.state.cache)
        if obstacle is not None and not self.options.dry_run:
            raise obstacle
        if obstacle is not None:
            # What is counted here may be sent from another machine.
            self.problems.add(obstacle.code, str(obstacle), severity="warning", fix=obstacle.hint)

    async def _upload(self) -> None:
        assert self.ledger is not None and self.tally is not None
        who = login()
        self.state.belongs_to(who.host, who.tenant, self.plan.data_collection)
        if self._team is not None:
            self._team.look_everywhere(self.inventory, self.checker.outlook)
        stager = self._stager()
        try:
            await self._through(who, stager)
        finally:
            stager.close()

    async def _through(self, who: Login, stager: Stager) -> None:
        async with Api(who, patience=self._patience, connections=self._workers + 8) as api:
            presigns = await look_at(api, self.plan, self.problems)
            self._start_journal(who)
            stager.open()
            flow = self._assemble(api, stager)
            self.flow = flow
            with gentle_stop(flow.stop):
                ticking = asyncio.create_task(flow.guarded(self._tick))
                try:
                    await self._go(flow, self._sender(api, flow, presigns))
                finally:
                    ticking.cancel()
                    self._interrupted = self._interrupted or flow.stopped_by_signal

    async def _go(self, flow: Flow, sender: Sender | CrewSender) -> None:
        assert self.ledger is not None and self.tally is not None
        await flow.creator.start()
        self.progress.stage("settling")
        await flow.settler.wait_for_forgotten()
        await self._look_up()
        await self._retries(flow.creator)
        await flow.matcher.prepare()
        self.progress.stage("uploading", self.tally.counts().planned)
        try:
            await flow.run(sender, self.options.limit)
        finally:
            sender.close()
        await self._reconcile(flow.settler.server)

    def _sender(self, api: Api, flow: Flow, presigns: bool) -> Sender | CrewSender:
        assert self.ledger is not None
        sides: dict[str, Any] = {"on_unit": flow.arrived, "on_bytes": self.progress.moved, "presigns": presigns}
        if self._team is None:
            transfer = Transfer(api, Pace(self._workers))
            return Sender(transfer, self.ledger, stager=flow.stager, unchanged=self._unchanged, **sides)
        files = self.checked.files.planned - self.checked.reused
        return CrewSender(self._team, self.ledger, flow.stager, self.problems, files=files, **sides)

    async def _look_up(self) -> None:
        """What an earlier run sent without an answer: is it there?"""
        assert self.ledger is not None and self.flow is not None
        doubted = self.ledger.keys_in("sent")
        await self.flow.settler.settle()
        found = [key for key in doubted if self.ledger.standing(key).state == "created"]
        if not found:
            return
        # Their files had arrived before, or they could not be there.
        self.checked.reused += sum(self.checked.doubted.get(key, 0) for key in found)
        said = f"{len(found):,} of {len(doubted):,} that an earlier run sent without an answer were found there"
        self.problems.add("found-there", said, severity="info", fix="Nothing: none is sent twice.", count=len(found))

    async def _reconcile(self, server: Server) -> None:
        """Hold our count against the backend's own, where it tells one."""
        assert self.tally is not None
        counts = self.tally.counts()
        try:
            ours, theirs = counts.created + counts.already, await server.count_units()
        except SkillsError:
            # All is done: a backend that can't be counted, or has just gone away, takes nothing from it.
            return
        if theirs is not None and counts.already:
            self.problems.add(
                "backend-count",
                f"{ours:,} of {counts.planned:,} data units were made or found; the collection holds {theirs:,}",
                severity="info",
                fix="Nothing: it may hold more than this job's, and fewer are warned of.",
            )
        if theirs is not None and theirs < ours:
            self.problems.add(
                "fewer-on-backend",
                f"{ours:,} data units were made or found, the collection holds {theirs:,}",
                severity="warning",
                fix="Somebody may have deleted data units: look in Synapse; --fresh makes again what is missing.",
                count=ours - theirs,
            )

    def _stager(self) -> Stager:
        return Stager(
            self.plan,
            self.state.cache / FOLDER,
            ways=self._ways,
            problems=self.problems,
            timeout=seconds_said(CONVERSION_VARIABLE),
        )

    def _assemble(self, api: Api, stager: Stager) -> Flow:
        assert self.ledger is not None and self.tally is not None
        server = Server(api, self.plan.data_collection, self.plan.project)
        creator = Creator(
            api, server, self.ledger, batch_size=self.plan.limits.batch_size, on_created=self.progress.created
        )
        settler = Settler(
            creator,
            self.ledger,
            server,
            self.problems,
            settle_after_s=self.plan.limits.settle_after_s,
            say=self.progress.say,
        )
        matcher = Matcher(self.ledger, server, creator, self.problems, stager, self.progress.say)
        return Flow(self.plan, self.checker, self.ledger, self.tally, creator, settler, matcher, stager, self.problems)

    def _start_journal(self, who: Login) -> None:
        assert self.ledger is not None
        self.ledger.start_run(
            {
                "t": "job",
                "version": 1,
                "host": who.host,
                "tenant": who.tenant,
                "collection": self.plan.data_collection,
                "name": self.plan.name,
                "at": self._started,
            }
        )

    async def _retries(self, creator: Creator) -> None:
        assert self.ledger is not None
        states = ["failed"] * self.options.retry_failed + ["unknown"] * self.options.retry_unknown
        keys = self.ledger.keys_in(*states) if states else []
        tasks = self.options.retry_unknown and self.ledger.has_unknown_tasks()
        if keys or tasks:
            await creator.record({"t": "retry", "units": keys, "tasks": tasks})

    async def _tick(self) -> None:
        assert self.ledger is not None
        while True:
            await asyncio.sleep(TICK_S)
            self.ledger.commit()
            self.progress.tick()

    # -- files ---------------------------------------------------------------------------------------------------

    def _unchanged(self, file: File) -> bool:
        return self._ways[file.source].is_unchanged(file)

    # -- ends ----------------------------------------------------------------------------------------------------

    def _report(self, error: SkillsError | None) -> UploadReport:
        files = self.checked.files
        files.reused = self.checked.reused
        if self.flow is not None:
            files.sent = self.flow.moved.sent
            files.reused += self.flow.moved.reused
        if self.tally is not None and not self.options.dry_run:
            if self.flow is not None:
                self.flow.moved.tell(self.problems)
            denied = write_not_sent(self.tally, self.state)
            if denied is not None:
                self.problems.add(denied.code, str(denied), severity="warning", fix=denied.hint)
        hint = ""
        if error is None and not self._interrupted and self.ledger is not None and self.tally is not None:
            hint = what_sets_apart(self.checker, self.ledger, self.tally)
        return make_report(
            self.plan,
            self.checked,
            self.tally,
            self.problems,
            error,
            self.flow.creator.refused_tasks if self.flow is not None else {},
            dry_run=self.options.dry_run,
            interrupted=self._interrupted,
            described_by=self.describe,
            started=self._started,
            # On the cluster the job folder is a copy that goes with its worker.
            left_out=self.left_out.name if is_remote() else str(self.left_out),
            not_sent=f"{self.state.name}/{NOT_SENT}",
            hint=hint,
        )

    def _close(self) -> None:
        if self.ledger is not None:
            with contextlib.suppress(sqlite3.Error):
                self.ledger.close()
            self.ledger.journal.close()
        if self._spoilt:
            remove_database(self.state.cache / LEDGER)
        if getattr(self, "inventory", None) is not None:
            self.inventory.close()
        for way in self._ways:
            way.close()
