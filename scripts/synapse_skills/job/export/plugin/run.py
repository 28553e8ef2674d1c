"""One run of an export plugin: records handed out, taken back, and written by the engine."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from synapse_sdk.plugins.actions.export import ExporterRunAdapter, MetricsRecord
from synapse_sdk.plugins.models.logger import LogLevel

from synapse_skills.annotations.model import Record
from synapse_skills.errors import EXIT_INCOMPLETE, EXIT_OK, SkillsError, UsageError
from synapse_skills.job.export.command import LAST_EXPORT, Export
from synapse_skills.job.export.engine import Engine, Options
from synapse_skills.job.export.manifest import digest_of, walk
from synapse_skills.job.export.output import METADATA
from synapse_skills.job.export.plugin import logs
from synapse_skills.job.export.plugin.items import changed_row, items
from synapse_skills.job.export.plugin.params import PlannedParams, as_asked, plan_with, scope_in
from synapse_skills.job.export.plugin.telling import Telling
from synapse_skills.job.export.reporting import report_lines
from synapse_skills.job.export.write import QUARANTINE, RECORDS
from synapse_skills.job.running import content_of, for_log, state_place, write_report
from synapse_skills.job.state import State
from synapse_skills.report import ExportReport

if TYPE_CHECKING:
    from synapse_sdk.plugins.context import RuntimeContext

HELD_BYTES = 4 << 20
SHARES = (30, 20, 50)
"""How much of a job fetching, converting and writing are, in percent."""


class PluginFailed(RuntimeError):
    """What ended a run, in the words that its job shows: with the code and what to do next."""

    def __init__(self, error: SkillsError) -> None:
        super().__init__(for_log(f"{error} Next: {error.hint} ({error.code})"))
        self.code = error.code


class Run:
    """One run, for one context of the SDK. A context manager, which ends it whatever happens.

    Nothing that a user could still use is ever removed: what is at the output's place stays there, and only a working
    copy of what was fetched goes.

    Args:
        export: what the page states: the plan, with the page's own in its place.
        params: what this run was told.
        ctx: the SDK's.
        steps: names for the progress of fetching, converting and writing where the SDK has no steps of its own.
    """

    _open: ClassVar[dict[int, Run]] = {}

    def __init__(
        self, export: Export, params: PlannedParams, ctx: RuntimeContext, *, steps: tuple[str, str, str] | None = None
    ) -> None:
        self.ctx = ctx
        self.params = params
        self.log = ExporterRunAdapter(ctx.logger, context=ctx)
        self.result: dict[str, Any] = {}
        self.report: ExportReport | None = None
        self.telling = Telling(ctx)
        self._steps = steps or (None, None, None)
        self._export = export
        self._exit = contextlib.ExitStack()
        self._changed: list[tuple[int, bytes]] = []
        self._changed_bytes = 0
        self._handed_out: set[int] = set()
        self._content: str | None = None
        self._error: SkillsError | None = None
        self._engine: Engine | None = None
        self._state: State | None = None

    @classmethod
    def of(cls, ctx: Any) -> Run:
        """The run of a context: handlers and exporters are made by the SDK, which gives them no more than that.

        Raises:
            PluginFailed: none was opened.
        """
        run = cls._open.get(id(ctx))
        if run is None:
            hint = "Open one before: with Run(EXPORT, params, ctx), or OpenStep."
            raise PluginFailed(UsageError("No run of this export is open.", hint=hint, code="no-run"))
        return run

    def __enter__(self) -> Self:
        Run._open[id(self.ctx)] = self
        try:
            with self._said():
                self._begin()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self) -> None:
        home = self._export.home
        if home is None:
            raise UsageError(
                "The page's Export has no home.", hint="Give it home=Path(__file__).parents[1].", code="no-home"
            )
        plan = plan_with(self._export.plan(home / "plan.json"), self.params)
        # Runs of other names are other exports: each remembers for itself.
        named = f"{plan.state.rstrip('/')}/{plan.name}" if plan.state else ""
        place = state_place(named, home) if named else Path(self._exit.enter_context(_own_folder()))
        state = State(place, named_by_plan=bool(plan.state), say=self.telling.say)
        self._state = self._exit.enter_context(state)
        self._content = content_of(home)
        self._engine = Engine(
            plan,
            self._state,
            Options(),
            self.telling,
            keep=self._export.keep,
            convert=self._export.convert,
            content=self._content or "",
        )
        if all(self._steps) and hasattr(self.ctx.logger, "set_step_proportions"):
            self.ctx.logger.set_step_proportions(dict(zip(self._steps, SHARES, strict=True)))
        shutil.rmtree(self.extra, ignore_errors=True)
        self.extra.mkdir(parents=True)
        self._engine.output.extra = self.extra
        # Closes what a run that ends half way has opened.
        self._exit.callback(self._engine.close)

    def close(self) -> None:
        """End it: the lock goes, and the working copy."""
        if Run._open.get(id(self.ctx)) is self:
            del Run._open[id(self.ctx)]
        self._exit.close()

    @property
    def engine(self) -> Engine:
        """The engine of this run."""
        assert self._engine is not None
        return self._engine

    @property
    def place(self) -> str:
        """Where the export goes."""
        return self.engine.plan.place

    @property
    def extra(self) -> Path:
        """A folder whose files come along in the export, as its `extra/`."""
        assert self._state is not None
        return self._state.cache / "extra"

    # -- fetching --------------------------------------------------------------------------------------------------

    def check(self, filters: dict[str, Any]) -> None:
        """See that a handler is asked for what this run is of.

        Raises:
            PluginFailed: for something else.
        """
        target = self.params.target
        with self._said():
            if scope_in(target, as_asked(filters)) != scope_in(target, self.params.filter):
                raise UsageError(
                    "The handler was asked for other records than the run is of.",
                    hint="Give get_results the filter of the parameters as it is.",
                    code="other-scope",
                )

    def fetch(self) -> int:
        """Fetch all records; how many there are.

        Raises:
            PluginFailed: whatever ends an export while it fetches, or no record is in the scope.
        """
        self.telling.begin(self._steps[0])
        self._error = self.engine.fetch()
        if self._error is not None or self.engine.is_interrupted:
            self.finish()
        self.telling.at(1.0)
        count = self.engine.index.count()
        self.ctx.log_message(f"{count:,} records are fetched.")
        self._metrics("data_file", MetricsRecord(stand_by=count))
        if not count:
            self.finish()
        return count

    def items(self) -> Iterator[dict[str, Any]]:
        """The records that were fetched, as the SDK hands them on, with their task, tags, category and data unit.

        One that is handed out and never comes back is left out of the export.
        """
        self.telling.begin(self._steps[1])
        total = max(1, self.engine.index.count())
        for number, item in enumerate(items(self.engine), 1):
            if self._steps[1] is not None:
                self.telling.at(number / total)
            self._handed_out.add(item["key"])
            yield item

    # -- taking back -----------------------------------------------------------------------------------------------

    def convert(self, item: dict[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]]) -> str:
        """Hand a record to a function of the page and take what it gives; why it was set aside, '' if it wasn't."""
        same = {"key": item["key"], "id": item["id"]}
        try:
            made = change(item)
            if not isinstance(made, dict):
                raise TypeError(f"it gave {type(made).__name__}, not a record")
        except Exception as error:
            return self.set_aside(same, f"{type(error).__name__}: {error}")
        return self.take(made | same)

    def take(self, item: dict[str, Any]) -> str:
        """Take a record back; why it was set aside, '' if it wasn't. Unchanged it stays as received, byte for byte."""
        if "data" not in item:
            return self.set_aside(item, "what the conversion gave has no data")
        key = int(item["key"])
        self._handed_out.discard(key)
        try:
            row = changed_row(self.engine.index.row(key), self.params.target, item["data"])
        except ValueError as error:
            return self.set_aside(item, str(error))
        if row is not None:
            self._changed.append((key, row))
            self._changed_bytes += len(row)
            if self._changed_bytes > HELD_BYTES:
                self._put_back()
        return ""

    def set_aside(self, item: dict[str, Any], why: str) -> str:
        """A record that can't be exported: it is quarantined, and the export goes on."""
        why, key = for_log(why)[:200], int(item["key"])
        self._handed_out.discard(key)
        self.engine.index.set_aside(key, why)
        return why

    def _put_back(self) -> None:
        self.engine.index.convert(self._changed)
        self._changed, self._changed_bytes = [], 0

    # -- writing ---------------------------------------------------------------------------------------------------

    def finish(self) -> dict[str, Any]:
        """Decide, fetch originals, write every format, verify, put it in its place; what the run came to.

        Raises:
            PluginFailed: it ended without an output.
        """
        self.telling.begin(self._steps[2])
        if self._error is None and not self.engine.is_interrupted:
            self._error = self.engine.guarded(self._put_back)
        if self._handed_out:
            self.engine.keep = self._is_kept
        # Other files of the page's own, or other records, are another export of the same rows.
        self.engine.content = f"{self._content}{_digest_of_all(self.extra)}{sorted(self._handed_out)}"
        report, error = self.engine.complete(self._error)
        assert self._state is not None
        self.report = report
        report.content = self._content
        denied = write_report(report, self._state, None, LAST_EXPORT)
        for line in report_lines(report):
            self.ctx.logger.info(for_log(line))
        if error is not None or denied is not None:
            raise PluginFailed(error or denied)  # type: ignore[arg-type]
        if report.exit_code not in (EXIT_OK, EXIT_INCOMPLETE):
            raise PluginFailed(_interrupted(report))
        self._tell(report)
        self.telling.at(1.0)
        self.result = result_of(report, self.place)
        return self.result

    def _is_kept(self, record: Record) -> bool:
        """Whether a record is exported: it has come back, and the page's own rule says so."""
        return record.key not in self._handed_out and (self._export.keep is None or bool(self._export.keep(record)))

    def _tell(self, report: ExportReport) -> None:
        assert self._state is not None
        said, files = report.records, report.files
        self._metrics("data_file", MetricsRecord(success=said.exported, failed=said.quarantined))
        self._metrics("original_file", MetricsRecord(success=files.originals, failed=files.missing))
        logs.tell_quarantined(self.log, self._state.folder / QUARANTINE)
        listed, index = self.engine.output.folder / METADATA / RECORDS, self._state.cache / "export.sqlite"
        logs.tell_exported(self.log, listed, index)
        words = f"{said.exported:,} of {said.read:,} records are exported to {self.place}"
        level = LogLevel.INFO
        if report.exit_code == EXIT_INCOMPLETE:
            words, level = f"{words}, but not all that was wanted: see the problems of the report", LogLevel.WARNING
        self.ctx.log_message(for_log(f"{words}."), level)

    def _metrics(self, step: str, record: MetricsRecord) -> None:
        self.log.log_metrics(record=record, step=step)

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except SkillsError as error:
            raise PluginFailed(error) from None


def result_of(report: ExportReport, place: str) -> dict[str, Any]:
    """The result that the job of a plugin shows: the counts of the report, and the report itself."""
    formats = report.annotations.formats
    return {
        "format": ",".join(formats),
        "total_count": report.records.read,
        "exported_count": report.records.exported,
        "failed_count": report.records.quarantined,
        "left_out_count": report.records.left_out,
        "annotation_count": {name: counts.written for name, counts in formats.items()},
        "file_count": report.files.written,
        "original_count": report.files.originals,
        "output_path": place,
        "exit_code": report.exit_code,
        "report": report.model_dump(mode="json"),
    }


def _digest_of_all(folder: Path) -> str:
    """Of all files of a folder; '' if it has none."""
    digest, is_empty = hashlib.sha256(), True
    for relative in walk(folder):
        path = folder / relative
        if path.is_file():
            content = digest_of(str(path), path.stat().st_size)
            digest.update(f"{relative} {content}\n".encode("utf-8", "backslashreplace"))
            is_empty = False
    return "" if is_empty else digest.hexdigest()


def _interrupted(report: ExportReport) -> SkillsError:
    said = "; ".join(f"{problem.code}: {', '.join(problem.examples)}" for problem in report.problems[:3])
    return SkillsError(f"It was interrupted. {said}", hint="Run it again.", code="interrupted")


@contextlib.contextmanager
def _own_folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="synapse-export-") as folder:
        yield str(Path(folder) / "state")
