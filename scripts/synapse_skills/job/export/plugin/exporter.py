"""The exporter that a template page builds on: the SDK calls it record by record, the engine writes at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from synapse_sdk.plugins.actions.export import BaseExporter, ExportStatus, MetricsRecord

from synapse_skills.job.export.plugin.run import Run

FAILED = "failed"


class RecordsExporter(BaseExporter):
    """Takes records back from the page's hooks. A record whose hook raises is set aside; all others go on."""

    # Each format has a folder of its own.
    label_output_dirname = None

    @property
    def records(self) -> Run:
        """The run that is open."""
        return Run.of(self.ctx)

    def process_data_conversion(self, export_item: dict[str, Any]) -> dict[str, Any]:
        """before_convert, convert_data, after_convert; with the reason under `failed` if one of them raises."""
        told = {"key": export_item["key"], "id": export_item["id"], "files": export_item["files"]}
        try:
            made = super().process_data_conversion(export_item)
            if not isinstance(made, dict):
                raise TypeError(f"it gave {type(made).__name__}, not a record")
        except Exception as error:
            return told | {FAILED: f"{type(error).__name__}: {error}"}
        return told | made

    def save_original_file(self, result: dict[str, Any], base_path: Path, error_file_list: list[Any]) -> ExportStatus:
        """Whether a record has an original: all of them are fetched together, once it is known who is exported."""
        return ExportStatus.STAND_BY if result.get("files") else ExportStatus.FAILED

    def save_as_json(self, result: dict[str, Any], base_path: Path, error_file_list: list[Any]) -> ExportStatus:
        """Take the record back; its files are made of it when all are there."""
        run = self.records
        why = run.set_aside(result, result[FAILED]) if FAILED in result else run.take(result)
        name = {"file_name": self.get_original_file_name(result.get("files") or {}) or f"{result['id']}"}
        self.run.export_log_data_file(result["id"], name, ExportStatus.FAILED if why else ExportStatus.STAND_BY, why)
        return ExportStatus.FAILED if why else ExportStatus.STAND_BY

    def setup_output_directories(self, unique_export_path: Path, save_original_file_flag: bool) -> dict[str, Path]:
        """Nothing: what is written takes its place whole, once it was verified."""
        return {}

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
        if save_original_file_flag:
            self.save_original_file(final_data, unique_export_path, errors_original_file_list)
        status = self.save_as_json(final_data, unique_export_path, errors_json_file_list)
        if status is ExportStatus.FAILED:
            data_file_metrics_record.stand_by -= 1
            data_file_metrics_record.failed += 1
        self.run.log_metrics(record=data_file_metrics_record, step="data_file")
        return status is not ExportStatus.FAILED

    def additional_file_saving(self, unique_export_path: Path) -> None:
        """Everything is written, verified and put in its place; what the report counts is what the metrics say."""
        done = self.records.finish()
        report = done["report"]
        for record, success, failed, step in (
            (self.data_file_metrics_record, done["exported_count"], done["failed_count"], "data_file"),
            (self.original_file_metrics_record, done["original_count"], report["files"]["missing"], "original_file"),
        ):
            if record is not None:
                record.stand_by, record.success, record.failed = 0, success, failed
                self.run.set_flush_enabled(True)
                self.run.log_metrics(record=record, step=step)
