"""What actions of plugins share: the steps that the SDK can dispatch, and a result that says what the report says."""

from __future__ import annotations

from typing import Any

from synapse_sdk.plugins.actions.export import DefaultExportAction, ExportContext
from synapse_sdk.plugins.actions.export.steps import ConvertDataStep, FinalizeStep, PrepareExportStep, SaveFilesStep
from synapse_sdk.plugins.steps import StepRegistry

from synapse_skills.job.export.command import Export
from synapse_skills.job.export.plugin.run import PluginFailed, Run
from synapse_skills.job.export.plugin.steps import CountedFetchStep, OpenStep


class Reported:
    """An action whose run is closed when it ends, and whose result is that of the report. Stands before the SDK's."""

    ctx: Any

    def run(self) -> Any:
        """See the SDK's `BaseAction`."""
        try:
            done = super().run()  # type: ignore[misc]
            return {**done, **Run.of(self.ctx).result}
        finally:
            self._close()

    def _close(self) -> None:
        try:
            Run.of(self.ctx).close()
        except PluginFailed:
            return  # it never began


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
            ConvertDataStep(),
            SaveFilesStep(),
            FinalizeStep(),
        ):
            registry.register(step)
