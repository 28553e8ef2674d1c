"""The exporter that a template page builds on: the SDK calls it record by record, the engine writes at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from synapse_sdk.plugins.actions.export import BaseExporter, ExportStatus, MetricsRecord

from synapse_skills.job.export.plugin.run import Run

FAILED = "failed"


class RecordsExporter(BaseExporter):
    """Takes records back from the page's hooks. A record whose hook raises is set aside; all others go on.

    What hooks write below the path that they are given comes along with the export, in its folder `extra`.
    """

    # Each format has a folder of its own.
    label_output_dirname = None

    _error_lists: tuple[list[Any], list[Any]] = ([], [])

    @property
    def records(self) -> Run:
        """The run that is open."""
        return Run.of(self.ctx)

    def process_data_conversion(self, export_item: dict[str, Any]) -> dict[str, Any]:
        """before_convert, convert_data, after_convert, and take the record back; why not, if not, under `failed`."""
        told = {"key": export_item["key"], "id": export_item["id"]}
        files = export_item["files"]
        try:
            made = super().process_data_conversion(export_item)
            if not isinstance(made, dict):
                raise TypeError(f"it gave {type(made).__name__}, not a record")
        except Exception as error:
            why = self.records.set_aside(told, f"{type(error).__name__}: {error}")
            return told | {"files": files, FAILED: why}
        made = {"files": files} | made | told
        why = self.records.take(made)
        return made | {FAILED: why} if why else made

    def setup_output_directories(self, unique_export_path: Path, save_original_file_flag: bool) -> dict[str, Path]:
        """Nothing: formats take their place whole, once they are verified."""
        return {}

    def save_original_file(self, result: dict[str, Any], base_path: Path, error_file_list: list[Any]) -> ExportStatus:
        """Whether a record has an original: all of them are fetched together, once it is known who is exported."""
        return ExportStatus.STAND_BY if result.get("files") else ExportStatus.FAILED

    def save_as_json(self, result: dict[str, Any], base_path: Path, error_file_list: list[Any]) -> ExportStatus:
        """Nothing: the files of a record are made when all are there. FAILED sets the record aside."""
        return ExportStatus.STAND_BY

    def process_file_saving(
        self,
        final_data: dict[str, Any],
        unique_export_path: Path,
        save_original_file_flag: bool,
        errors_json_file_list: list[Any],
        errors_original_file_list: list[Any],
        original_file_metrics_record: MetricsRecord,
        data_file_metrics_record: MetricsRecord,
        no: int,
    ) -> bool:
        """One record: it stands by until all are there, or has failed."""
        self._error_lists = (errors_json_file_list, errors_original_file_list)
        why = final_data.get(FAILED) or self._saved(final_data, unique_export_path, save_original_file_flag)
        if why:
            data_file_metrics_record.stand_by -= 1
            data_file_metrics_record.failed += 1
        self.run.log_metrics(record=data_file_metrics_record, step="data_file")
        return not why

    def _saved(self, record: dict[str, Any], path: Path, with_original: bool) -> str:
        """Have the page save what it wants of a record; why the record was set aside, '' if it wasn't."""
        of_json, of_originals = self._error_lists
        try:
            if with_original:
                self.save_original_file(record, path, of_originals)
            if self.save_as_json(record, path, of_json) is not ExportStatus.FAILED:
                return ""
            why = "save_as_json has failed"
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        return self.records.set_aside(record, why)

    def additional_file_saving(self, unique_export_path: Path) -> None:
        """Everything is written, verified and put in its place; what the report counts is what the metrics say."""
        self._save_error_list(unique_export_path, *self._error_lists)
        done = self.records.finish()
        for record, success, failed in (
            (self.data_file_metrics_record, done["exported_count"], done["failed_count"]),
            (self.original_file_metrics_record, done["original_count"], done["report"]["files"]["missing"]),
        ):
            if record is not None:
                record.stand_by, record.success, record.failed = 0, success, failed
