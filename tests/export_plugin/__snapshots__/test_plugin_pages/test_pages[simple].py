"""Export plugin, in the simple style: one method that takes the records, and gives them back to be written.

Made from plan.json; edit `convert`, then try it: synapse plugin run export --mode local --params '{"storage": 1}'
"""

from pathlib import Path
from typing import Any, Literal

from synapse_sdk.plugins.actions.export import BaseExportAction, TargetHandlerFactory

from synapse_skills.job.export import Export
from synapse_skills.job.export.plugin import PlannedParams, Run, register

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


class ExportAction(BaseExportAction[Params]):
    """The action `export`."""

    action_name = "export"

    def get_filtered_results(self, filters: dict[str, Any]) -> tuple[Any, int]:
        """The records of a filter, and how many there are."""
        handler = TargetHandlerFactory.get_handler(self.params.target)
        results, count = handler.get_results(self.client, filters, ctx=self.ctx)
        return handler.get_export_item(results), count

    def execute(self) -> dict[str, Any]:
        """Fetch, convert, write; the result is that of the report."""
        with Run(EXPORT, self.params, self.ctx, steps=("fetch", "convert_data", "save_files")) as run:
            records, _ = self.get_filtered_results(self.params.filter)
            # A record that is not given back to the run is left out.
            for record in records:
                run.convert(record, change)
            return run.finish()


register()
