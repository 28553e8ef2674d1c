"""What actions of plugins share: the steps that the SDK can dispatch, and a result that says what the report says."""

from __future__ import annotations

from typing import Any

from synapse_sdk.plugins.actions.export import DefaultExportAction, ExportContext
from synapse_sdk.plugins.actions.export.steps import FinalizeStep, PrepareExportStep, SaveFilesStep
from synapse_sdk.plugins.steps import StepRegistry

from synapse_skills.errors import UsageError
from synapse_skills.job.export.command import Export
from synapse_skills.job.export.plugin.run import PluginFailed, Run
from synapse_skills.job.export.plugin.steps import CountedFetchStep, OpenStep, PreparedConvertStep


class Reported:
    """An action whose run is closed when it ends, and whose result is that of the report. Stands before the SDK's."""

    ctx: Any

    def run(self) -> Any:
        """See the SDK's `BaseAction`."""
        try:
            done = super().run()  # type: ignore[misc]
            result = Run.of(self.ctx).result
            if not result:
                raise PluginFailed(_nothing_written())
            return {**done, **result}
        finally:
            self._close()

    def _close(self) -> None:
        try:
            Run.of(self.ctx).close()
        except PluginFailed:
            return  # it never began


def _nothing_written() -> UsageError:
    return UsageError(
        "The page has ended without writing the export.",
        hint="Its additional_file_saving has to call super().additional_file_saving(unique_export_path); a page of "
        "steps has to have WriteStep.",
        code="not-written",
    )


class RecordsAction(Reported, DefaultExportAction):
    """The standard pipeline of an export. A page gives `export`, `entrypoint` and `params_model`."""

    export: Export

    def setup_steps(self, registry: StepRegistry[ExportContext]) -> None:
        """The SDK's steps but the one that would delete the output, and the head that it has switched off."""
        params: Any = self.params
        for step in (
            OpenStep(self.export, params),
            CountedFetchStep(),
            PrepareExportStep(),
            PreparedConvertStep(),
            SaveFilesStep(),
            FinalizeStep(),
        ):
            registry.register(step)
