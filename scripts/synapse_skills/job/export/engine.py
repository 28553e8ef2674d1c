"""One run of an export, from the first request to the report."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synapse_skills.backend import Api, login, stoppable
from synapse_skills.errors import FindingError, OutOfReach, SkillsError, interruptible
from synapse_skills.export_plan import ExportPlan
from synapse_skills.job.export.asking import api_of
from synapse_skills.job.export.checks import check_plan, free_space
from synapse_skills.job.export.decide import Keep
from synapse_skills.job.export.delivery import Delivery
from synapse_skills.job.export.ending import error_of
from synapse_skills.job.export.fetch import Fetcher, Stopped
from synapse_skills.job.export.fetch_parts import fetch_apart
from synapse_skills.job.export.index import Index, reached
from synapse_skills.job.export.links import Links
from synapse_skills.job.export.original_parts import get_apart
from synapse_skills.job.export.originals import Originals, Store
from synapse_skills.job.export.output import Output
from synapse_skills.job.export.part_work import decider_of
from synapse_skills.job.export.reporting import Outcome, compare_counts, make_report
from synapse_skills.job.export.scope import Scope
from synapse_skills.job.export.spool import Spool
from synapse_skills.job.export.trying import try_out
from synapse_skills.job.export.whereabouts import Whereabouts
from synapse_skills.job.export.writing import Writing, remember
from synapse_skills.job.parallel import Crew, crew_for
from synapse_skills.job.progress import Progress
from synapse_skills.job.signals import gentle_stop
from synapse_skills.job.state import State
from synapse_skills.report import ExportReport
from synapse_skills.sources.address import is_url

TICK_S = 0.5


@dataclass(frozen=True)
class Options:
    """The flags of a run."""

    dry_run: bool = False
    limit: int | None = None
    workers: int | None = None
    processes: int | None = None
    fresh: bool = False


class Engine:
    """One run.

    Args:
        state: the locked state.
        keep: the script's own rule.
        convert: the script's own, for the format `custom`.
        content: hash of the job folder: another script may give another export of the same rows.
    """

    def __init__(
        self,
        plan: ExportPlan,
        state: State,
        options: Options,
        progress: Progress,
        *,
        keep: Keep | None = None,
        convert: Callable[[Any], Any] | None = None,
        content: str = "",
    ) -> None:
        self.plan = plan
        self.scope = Scope.of(plan)
        self.state = state
        self.options = options
        self.progress = progress
        self.keep = keep
        self.convert = convert
        self.content = content
        self.outcome = Outcome()
        self.workers = min(plan.limits.workers, options.workers or plan.limits.workers)
        self.folder = state.folder if not options.dry_run else state.cache / "dry-run"
        self._started = time.time()
        self.is_interrupted = False
        self.delivery: Delivery | None = None
        if is_url(plan.place):
            # The copy here stays: the next run sends only what has changed.
            self.output = Output(state.cache / "output", plan, is_staged=True)
        else:
            place = Path(plan.place).expanduser().absolute()
            self.output = Output(place, plan, is_shared=plan.engine == "ray")
        self._digest = ""
        self._index: Index | None = None
        self._spool: Spool | None = None

    def run(self) -> tuple[ExportReport, SkillsError | None]:
        """Do it. Whatever happens there is a report, and the error that ended the run if one did."""
        return self.complete(self.fetch())

    def fetch(self) -> SkillsError | None:
        """The first half: every record is in the index then. The error that ended it, if one did."""
        return self.guarded(self._begin)

    def complete(self, error: SkillsError | None = None) -> tuple[ExportReport, SkillsError | None]:
        """The second half, unless the first one, or whoever looked at the records since, ended in an error."""
        if error is None and not self.is_interrupted:
            error = self.guarded(self._finish)
        self.close()
        if self.options.dry_run:
            shutil.rmtree(self.folder, ignore_errors=True)
        report = self._report(error)
        if error is None and not self.is_interrupted and self.outcome.files and self.delivery is None:
            self._remember(report)
        return report, error

    def guarded(self, work: Callable[[], None]) -> SkillsError | None:
        """Do a part of a run; the error that ended it, if one did."""
        try:
            with interruptible():
                work()
        except (Stopped, KeyboardInterrupt):
            self.is_interrupted = True
            self.outcome.reached = reached(self._index, self.store.folder)
        except Exception as caught:
            return error_of(caught, self.state)
        return None

    def _report(self, error: SkillsError | None) -> ExportReport:
        return make_report(
            self.plan,
            self.outcome,
            error,
            dry_run=self.options.dry_run,
            interrupted=self.is_interrupted,
            started=self._started,
        )

    def _remember(self, report: ExportReport) -> None:
        try:
            remember(self.folder, self.output, self._digest, report)
        except OSError:
            self.progress.say("the state can't be written: the next run will write the output once more")

    def _begin(self) -> None:
        check_plan(self.plan, has_convert=self.convert is not None)
        output = self.output
        self.progress.stage("asking")
        who = self._who = login()
        where = Whereabouts(self.plan, self.outcome.problems, dry_run=self.options.dry_run)
        if output.is_staged:
            self.delivery = Delivery(self.plan, self.state, self.progress, self.outcome.problems, workers=self.workers)
            where.claim_store(self.delivery)
        else:
            output.check_place(self.state.folder)
            where.check_folder(output.folder)
        if self.options.dry_run:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            output.claim()
            if not output.is_staged:
                output.keeps(self.plan)
            self.state.belongs_to(who.host, who.tenant, self.scope.number, self.scope.kind)
        self._open()
        if self._has_cluster and self.scope.has_ranges and self.options.limit is None:
            self._fetch_apart()
        self._online(self._try if self.options.dry_run else self._fetch)

    def _finish(self) -> None:
        with self._crew() as crew:
            self._make(crew)

    def _crew(self) -> contextlib.AbstractContextManager[Crew | None]:
        said = 1 if self.options.dry_run else self.options.processes
        return crew_for(self.plan, said, self.index.count(), self.folder, self.output.folder)

    @property
    def _has_cluster(self) -> bool:
        """Whether other machines ask the backend too, and not only work on what is there."""
        return self.plan.engine == "ray" and self.options.processes is None and not self.options.dry_run

    def _make(self, crew: Crew | None) -> None:
        output = self.output
        decider = decider_of(
            self.plan, self.index, crew, keep=self.keep, limit=self.options.limit, on_record=self._done
        )
        self.progress.stage("reading", self.index.count())
        decider.look()
        if wanted := decider.wanted_units():
            self._online(lambda api: self._units(api, wanted))
        self.progress.stage("deciding", self.index.count())
        decided = self.outcome.decided = decider.decide()
        if not decided.read:
            raise FindingError(
                "There is nothing to export: no record is in the scope.",
                hint="Check the number of the project or version, and the filter, with --dry-run.",
                code="nothing-to-export",
            )
        if count := self._wanted():
            self.progress.stage("originals" if self._whole else "sizes", count)
            if crew is not None and self._has_cluster:
                where = self._who.where
                get_apart(crew, self.plan, self.index, self.store, where, self.workers, self._arrived)
            else:
                self._online(self._originals)
        writing = Writing(
            self.plan,
            self.index,
            self.store,
            self.folder,
            self.outcome,
            self.progress,
            on_record=self._done,
            convert=self.convert,
            crew=crew,
        )
        if self.options.dry_run:
            writing.attempt(self.folder / "output", decided)
            return
        self._digest = writing.digest(self.content, str(self.options.limit))
        if not writing.is_unchanged(output, self._digest):
            writing.into(output, decided)
        if self.delivery is not None:
            if self.outcome.files:
                # What is written here need not be written again when it could not be put there.
                self._remember(self._report(None))
            self.delivery.deliver(output)

    # -- online ----------------------------------------------------------------------------------------------------

    def _online(self, work: Callable[[Api], Awaitable[Any]]) -> None:
        async def all_of_it() -> None:
            async with api_of(self._who, self.workers) as api:
                ticking = asyncio.create_task(self._tick())
                try:
                    await work(api)
                finally:
                    ticking.cancel()

        asyncio.run(stoppable(all_of_it()))

    def _fetch_apart(self) -> None:
        """Have other machines fetch what can be divided among them; what is left is fetched here, as ever."""
        self._online(lambda api: self._fetcher(api).begin())
        self._begin_fetching((self.index.begun or {}).get("count"))
        with self._crew() as crew:
            assert crew is not None
            fetch_apart(crew, self.plan, self.index, self._who.where, self.workers, self._done)

    def _begin_fetching(self, count: int | None) -> None:
        self.progress.stage("fetching", count or 0)
        self._done(self.index.count())

    async def _fetch(self, api: Api) -> None:
        fetcher = self._fetcher(api)
        self.outcome.fetched = fetcher.done
        self._begin_fetching((self.index.begun or {}).get("count") or await fetcher.count())
        with gentle_stop(fetcher.stop):
            await fetcher.run()
        if self.options.limit is None:
            compare_counts(self.outcome, self.index.count())

    def _fetcher(self, api: Api) -> Fetcher:
        return Fetcher(
            api,
            self.scope,
            self.spool,
            self.index,
            page_size=self.plan.limits.page_size,
            workers=self.workers,
            limit=self.options.limit,
            on_rows=self._done,
        )

    async def _try(self, api: Api) -> None:
        self._estimate(await try_out(api, self._fetcher(api), self.outcome.problems, self.options.limit))

    async def _units(self, api: Api, wanted: list[int]) -> None:
        links = Links(api, self.scope, self.index, self._fetcher(api).pace)
        self.progress.stage("data units", len(wanted))
        found = await links.fetch_units(wanted)
        if found < len(wanted):
            fix = "Their records go by what their own rows say."
            self.outcome.problems.add("no-data-unit", severity="warning", count=len(wanted) - found, fix=fix)

    def unit_metas(self, ids: list[int]) -> dict[int, dict[str, Any]]:
        """What the meta of data units says, by their ids; nothing of it is kept."""
        found: dict[int, dict[str, Any]] = {}

        async def ask(api: Api) -> None:
            found.update(await Links(api, self.scope, self.index, self._fetcher(api).pace).metas(ids))

        self._online(ask)
        return found

    @property
    def _whole(self) -> bool:
        """Whether originals are fetched, and not only looked at for their size."""
        return self.plan.originals != "none" and not self.options.dry_run

    def _wanted(self) -> int:
        """How many originals are to be fetched, or looked at."""
        if not self._whole:
            self.index.database.execute("DELETE FROM want WHERE NOT size")
        return int(self.index.database.execute("SELECT COUNT(*) FROM want").fetchone()[0])

    async def _originals(self, api: Api) -> None:
        links = Links(api, self.scope, self.index, self._fetcher(api).pace)
        originals = Originals(
            api, links, self.index, self.store, workers=self.workers, whole=self._whole, on_file=self._arrived
        )
        with gentle_stop(originals.stop):
            await originals.run()
        if originals.stopping:
            raise Stopped

    # -- small things ----------------------------------------------------------------------------------------------

    @property
    def index(self) -> Index:
        """The index of this run."""
        assert self._index is not None
        return self._index

    @property
    def spool(self) -> Spool:
        """The spool of this run."""
        assert self._spool is not None
        return self._spool

    @property
    def store(self) -> Store:
        """Originals; a dry run looks at those that are there."""
        return Store(self.state.folder / "originals")

    def _open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._spool = Spool(self.folder / "spool", self.state.lease.fence)
        path = (self.folder if self.options.dry_run else self.state.cache) / "export.sqlite"
        if self.options.fresh and not self.options.dry_run:
            self._spool.clear()
            shutil.rmtree(self.store.folder, ignore_errors=True)
            if self.output.is_staged:
                shutil.rmtree(self.output.folder, ignore_errors=True)
                self.output.claim()
        self._index = Index(path, self._spool)
        asked = {"target": self.scope.target, "number": self.scope.number, "filter": self.scope.filter}
        if self._index.asked not in (None, asked):
            # Other records are meant now: what was fetched is none of them, or not all.
            self.progress.say("the filter is another than before: everything is fetched anew")
            self._index.close()
            self._spool.clear()
            self._index = Index(path, self._spool)
        if self._index.asked is None:
            self._index.add(self._spool.append({"t": "asked", "asked": asked}))

    def close(self) -> None:
        """Let go of all files; a run that is complete has done so."""
        if self.delivery is not None:
            self.delivery.close()
        if self._index is not None:
            self._index.close()
            self._index = None
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def _estimate(self, count: int | None) -> None:
        sampled = self.index.count()
        if not sampled or count is None:
            return
        try:
            free_space(self.output.folder, self.index, self.store, self.plan, times=count / sampled)
        except OutOfReach as error:
            # What is tried here may run on another machine.
            self.outcome.problems.add(error.code, str(error), severity="warning", fix=error.hint)

    def _done(self, count: int) -> None:
        self.progress.created(count)
        self.progress.tick()

    def _arrived(self, size: int) -> None:
        self.progress.created(1)
        self.progress.moved(size)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.progress.tick()
