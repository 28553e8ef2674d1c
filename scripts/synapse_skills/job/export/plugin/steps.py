"""Steps of an export that plugins share. None of them, rolled back, removes anything that a user could still use."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from synapse_sdk.plugins.actions.export import ExportContext, ExportLogMessageCode
from synapse_sdk.plugins.actions.export.steps import ConvertDataStep, FetchResultsStep
from synapse_sdk.plugins.steps import BaseStep, StepResult

from synapse_skills.job.export.command import Export
from synapse_skills.job.export.plugin.params import PlannedParams
from synapse_skills.job.export.plugin.run import PluginFailed, Run


def _ends_as_result[Step](
    execute: Callable[[Step, ExportContext], StepResult],
) -> Callable[[Step, ExportContext], StepResult]:
    """For a step that asks the run: where that fails, the step's result says so."""

    @functools.wraps(execute)
    def told(step: Step, context: ExportContext) -> StepResult:
        try:
            return execute(step, context)
        except PluginFailed as error:
            return StepResult(success=False, error=str(error))

    return told


class OpenStep(BaseStep[ExportContext]):
    """Opens the run; whoever runs the steps closes it. In the place of the SDK's, which deletes the output if a later
    step fails.
    """

    name = "initialize"
    progress_weight = 0.02
    progress_proportion = 2

    def __init__(self, export: Export, params: PlannedParams) -> None:
        self._export = export
        self._params = params

    @_ends_as_result
    def execute(self, context: ExportContext) -> StepResult:
        """See the SDK's `BaseStep`."""
        run = Run(self._export, self._params, context.runtime_ctx)
        run.__enter__()
        place: Any = run.place
        context.path_root = place
        context.unique_export_path = run.extra
        context.output_path = run.place
        context.log_message(ExportLogMessageCode.EXPORT_INITIALIZED)
        return StepResult(data={"output_path": run.place}, rollback_data={"kept": run.place})

    def rollback(self, context: ExportContext, result: StepResult) -> None:
        """Say what stays."""
        if kept := result.rollback_data.get("kept"):
            context.logger.info(f"Nothing was removed from {kept}.")


class CountedFetchStep(FetchResultsStep):
    """The SDK's own step; once the count is known, later steps tell of themselves once a percent."""

    def execute(self, context: ExportContext) -> StepResult:
        """See the SDK's `BaseStep`."""
        done = super().execute(context)
        context.params["export_progress_flush_interval"] = max(1, -(-context.total_count // 100))
        context.params["export_progress_flush_min_seconds"] = 0
        return done


class PreparedConvertStep(ConvertDataStep):
    """The SDK's own step; before it the exporter's `setup_output_directories`, which the SDK's steps leave out."""

    def execute(self, context: ExportContext) -> StepResult:
        """See the SDK's `BaseStep`."""
        if context.exporter is not None and context.unique_export_path is not None:
            with_originals = bool(context.params.get("save_original_file"))
            made = context.exporter.setup_output_directories(context.unique_export_path, with_originals)
            context.output_paths = made
        return super().execute(context)


class FetchStep(BaseStep[ExportContext]):
    """Fetches all records: `context.results` gives them, `context.total_count` says how many there are."""

    name = "fetch"
    progress_weight = 0.3
    progress_proportion = 30

    @_ends_as_result
    def execute(self, context: ExportContext) -> StepResult:
        """See the SDK's `BaseStep`."""
        run = Run.of(context.runtime_ctx)
        context.total_count = run.fetch()
        context.results = run.items()
        return StepResult(data={"count": context.total_count})

    def rollback(self, context: ExportContext, result: StepResult) -> None:
        """Forget them: they are still in Synapse."""
        context.results, context.total_count = None, 0


class ConvertStep(BaseStep[ExportContext]):
    """Hands every record to a function of the page; one that raises sets its record aside, into `context.errors`.

    Args:
        convert: item → item.
    """

    name = "convert"
    progress_weight = 0.2
    progress_proportion = 20

    MOST_ERRORS = 100

    def __init__(self, convert: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self._convert = convert

    def execute(self, context: ExportContext) -> StepResult:
        """See the SDK's `BaseStep`."""
        run = Run.of(context.runtime_ctx)
        total, failed = max(1, context.total_count), 0
        for number, item in enumerate(context.results or (), 1):
            if why := run.convert(item, self._convert):
                failed += 1
                if failed <= self.MOST_ERRORS:
                    context.errors.append(f"record {item['key']}: {why}")
            run.telling.at(number / total)
        context.failed_count = failed
        return StepResult(data={"converted": context.total_count - failed, "failed": failed})

    def rollback(self, context: ExportContext, result: StepResult) -> None:
        """Forget the counts."""
        context.failed_count = 0


class WriteStep(BaseStep[ExportContext]):
    """Writes every format, verifies it and puts it in its place."""

    name = "write"
    progress_weight = 0.48
    progress_proportion = 48

    @_ends_as_result
    def execute(self, context: ExportContext) -> StepResult:
        """See the SDK's `BaseStep`."""
        done = Run.of(context.runtime_ctx).finish()
        context.exported_count, context.failed_count = done["exported_count"], done["failed_count"]
        context.output_path = done["output_path"]
        told = {name: done[name] for name in ("format", "exported_count", "failed_count", "output_path")}
        return StepResult(data=told, rollback_data={"kept": done["output_path"]})

    def rollback(self, context: ExportContext, result: StepResult) -> None:
        """A verified export is there, and stays: a step that failed after it does not take it away."""
        if kept := result.rollback_data.get("kept"):
            context.logger.info(f"The export at {kept} is complete and stays.")
