"""Export plugin, in the step style: open, fetch, convert, write; steps can be replaced, or have others beside them.

Made from plan.json; edit `change` or the steps, then try it:
synapse plugin run export --mode local --params '{"storage": 1}'
"""

from pathlib import Path
from typing import Any, Literal

from synapse_sdk.plugins.actions.export import BaseExportAction, ExportContext
from synapse_sdk.plugins.steps import StepRegistry

from synapse_skills.job.export import Export
from synapse_skills.job.export.plugin import ConvertStep, FetchStep, OpenStep, PlannedParams, Reported, WriteStep

TARGET = 'assignment'
PROJECT = 42

# Format → how it is written; what is not said is as the format has it.
FORMATS = {'coco': {}, 'yolo': {}}

# The classes in their order: the place of a name is its number, the same in every format and every part.
CLASSES = ['car', 'person']
# As it was labelled → as it is written.
RENAME = {'van': 'car'}

# Parts of the dataset, by data unit.
SPLIT = {'train': 0.8, 'val': 0.2}

EXPORT = Export(
    TARGET,
    PROJECT,
    formats=FORMATS,
    classes=CLASSES,
    rename=RENAME,
    split=SPLIT,
    originals='required',
    home=Path(__file__).resolve().parents[1],
)


class Params(PlannedParams):
    """What a run may be told; the defaults are the plan's."""

    name: str = 'street scenes'
    storage: int = 11
    path: str = 'sets'
    target: Literal["assignment", "ground_truth", "task"] = TARGET
    filter: dict[str, Any] = {'project': 42, 'status_label': ['done'], 'created__gte': '2026-01-01T00:00:00Z'}
    save_original_file: bool = True
    output_format: Literal['all', 'coco', 'yolo'] = "all"


def change(record: dict[str, Any]) -> dict[str, Any]:
    """What is to become of a record before it is written in every format: change `data`.

    A record has `id`, `data` (the annotations as Synapse keeps them), `files`, `task`, `tags`, `category`, `status`,
    `review` and `data_unit` with its `meta`. If this raises, the record is set aside with the reason.
    """
    return record


class ExportAction(Reported, BaseExportAction[Params]):
    """The action `export`."""

    action_name = "export"

    def setup_steps(self, registry: StepRegistry[ExportContext]) -> None:
        """The steps in their order. Rolled back, none of them removes what is at the output's place."""
        for step in (OpenStep(EXPORT, self.params), FetchStep(), ConvertStep(change), WriteStep()):
            registry.register(step)

    def create_context(self) -> ExportContext:
        """What the steps share: `context.results`, `total_count`, `exported_count`, `failed_count`, `errors`."""
        return ExportContext(runtime_ctx=self.ctx, params=self.params.model_dump())

    def execute(self) -> None:
        """Never called: the steps are. The SDK wants it all the same."""
        raise NotImplementedError
