"""Export plugin with a target handler of its own: where records come from, and what the SDK hands on of them.

Made from plan.json; edit the handler, then try it: synapse plugin run export --mode local --params '{"storage": 1}'
"""

from collections.abc import Generator
from pathlib import Path
from typing import Any, Literal

from synapse_skills.job.export import Export
from synapse_skills.job.export.plugin import PlannedParams, RecordsAction, RecordsExporter, RecordsHandler, register

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


class Handler(RecordsHandler):
    """An ExportTargetHandler of the SDK, for all three targets.

    The SDK's own ones hand on `data`, `files` and `id`. These records also have `task`, `tags`, `category`, `status`,
    `review` and `data_unit` with its `meta`.
    """

    def validate_filter(self, value: dict[str, Any], client: Any) -> dict[str, Any]:
        """Which filters are taken: without a scope, or with a word that the backend would ignore, it raises."""
        return super().validate_filter(value, client)

    def get_results(self, client: Any, filters: dict[str, Any], **more: Any) -> tuple[Any, int]:
        """The records of a filter, and how many there are."""
        return super().get_results(client, self.validate_filter(filters, client), **more)

    def get_export_item(self, results: Any) -> Generator[dict[str, Any], None, None]:
        """What the exporter gets, one record after the other; what is not handed on is left out of the export."""
        yield from super().get_export_item(results)


class Exporter(RecordsExporter):
    """A BaseExporter of the SDK. A hook that raises sets its record aside, with the reason; all others go on."""

    def convert_data(self, data: dict[str, Any]) -> dict[str, Any]:
        """What is to become of a record before it is written in every format: change `data`."""
        return data


class ExportAction(RecordsAction):
    """The action `export`: the steps of the SDK's DefaultExportAction."""

    action_name = "export"
    params_model = Params
    entrypoint = Exporter
    export = EXPORT

    def execute(self) -> None:
        """Never called: the steps are. The SDK wants it all the same."""
        raise NotImplementedError


register(Handler)
