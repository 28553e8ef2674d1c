"""Export plugin, in the template style: the SDK takes every record through the hooks of `Exporter`, one by one.

Made from plan.json; edit the hooks, then try it: synapse plugin run export --mode local --params '{"storage": 1}'
"""

from pathlib import Path
from typing import Any, Literal

from synapse_skills.job.export import Export
from synapse_skills.job.export.plugin import PlannedParams, RecordsAction, RecordsExporter, register

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


class Exporter(RecordsExporter):
    """A BaseExporter of the SDK. A hook that raises sets its record aside, with the reason; all others go on.

    A record has `id`, `data` (the annotations as Synapse keeps them), `files`, `task`, `tags`, `category`, `status`,
    `review` and `data_unit` with its `meta`. What hooks change of `data` is what is exported; the rest is to look at.

    `setup_output_directories`, `save_original_file` and `save_as_json` are called as well, for files of the page's own:
    what they write below the path that they are given is in the export's folder `extra`.
    """

    def before_convert(self, data: dict[str, Any]) -> dict[str, Any]:
        """First of all."""
        return data

    def convert_data(self, data: dict[str, Any]) -> dict[str, Any]:
        """What is to become of a record before it is written in every format."""
        return data

    def after_convert(self, data: dict[str, Any]) -> dict[str, Any]:
        """Last of all."""
        return data

    def additional_file_saving(self, unique_export_path: Path) -> None:
        """All records are through their hooks. Files of the page's own come first, below this path too."""
        # Everything is written, verified, and put in its place.
        super().additional_file_saving(unique_export_path)


class ExportAction(RecordsAction):
    """The action `export`: the steps of the SDK's DefaultExportAction."""

    action_name = "export"
    params_model = Params
    entrypoint = Exporter
    export = EXPORT

    def execute(self) -> None:
        """Never called: the steps are. The SDK wants it all the same."""
        raise NotImplementedError


# The SDK's own handlers leave task, tags, category and data unit behind.
register()
