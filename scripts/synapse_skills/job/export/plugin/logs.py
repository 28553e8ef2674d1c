"""The export logs of a run: what has become of each record and each original, as the console lists them."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from synapse_sdk.plugins.actions.export import ExporterRunAdapter, ExportStatus

from synapse_skills.job.running import for_log

MOST = 10_000
"""So many records of each kind are listed; metrics and the report count all of them."""
_ORIGINAL = """
    SELECT COALESCE(missing.reason, '') FROM want LEFT JOIN missing USING (key, media)
    WHERE want.key = ? AND want.media = ?
"""


def tell_quarantined(log: ExporterRunAdapter, aside: Path) -> None:
    """List the records that could not be exported.

    Args:
        log: the run's.
        aside: the lines of quarantined records.
    """
    for about in islice(_lines(aside), MOST):
        why = for_log(f"{about['reason']}: {about['detail']}")
        log.export_log_data_file(about["record"], {"file_name": ""}, ExportStatus.FAILED, why)


def tell_exported(log: ExporterRunAdapter, listed: Path, index: Path) -> None:
    """List the records that are in the export, and their originals, if any were wanted.

    Args:
        log: the run's.
        listed: the lines of exported records, one for each of their media.
        index: of the run; closed.
    """
    last = None
    with contextlib.closing(sqlite3.connect(f"{index.as_uri()}?mode=ro", uri=True)) as database:
        for about in islice(_lines(listed), MOST):
            file = {"file_name": about["name"]}
            if about["record"] != last:
                log.export_log_data_file(about["id"], file, ExportStatus.SUCCESS, "")
                last = about["record"]
            found = database.execute(_ORIGINAL, (about["record"], about["media"])).fetchone()
            if found is not None:
                status = ExportStatus.FAILED if found[0] else ExportStatus.SUCCESS
                log.export_log_original_file(about["id"], file, status, for_log(found[0]))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as lines:
        yield from map(json.loads, lines)
