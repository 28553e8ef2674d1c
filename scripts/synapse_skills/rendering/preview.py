"""What `preview` is given → its page: a plan, or an upload or export that has run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synapse_skills.errors import FindingError, UsageError
from synapse_skills.rendering.export_page import MOST_RECORDS, export_page
from synapse_skills.rendering.export_plan_page import export_plan_page, read_planned_export
from synapse_skills.rendering.export_result import ExportResult, read_export
from synapse_skills.rendering.gallery import Page
from synapse_skills.rendering.page import MOST_UNITS, upload_page
from synapse_skills.rendering.plan_page import plan_page
from synapse_skills.rendering.planned import find_plan, read_planned
from synapse_skills.rendering.result import UploadResult, read_result

MOST_PLANNED = 24  # data units of a plan: enough to judge a rule, and a page that loads on a phone


@dataclass(frozen=True)
class Preview:
    """A page, what `--json` says about it, the same for people, and what the things on it are."""

    page: Page
    about: dict[str, Any]
    told: str
    things: str = "units"


def preview(path: Path, *, state: Path | None = None, output: Path | None = None, most: int | None = None) -> Preview:
    """Make the page of a plan.json, or of a job's home or job folder: of what has run if it has, else of its plan.

    Args:
        path: what was named.
        state: the state folder; then an upload or export that has run is meant.
        output: where an export went, if not where its plan says.
        most: how many data units or records are shown; fewer for a plan unless said.

    Raises:
        UsageError: there is neither a plan nor anything that has run.
        FindingError: nothing has run with this state, or a file of the job is not what it should be.
        OutOfReach: the state can't be read.
    """
    if not path.is_dir() and (state is not None or output is not None):
        flag = "--state" if state is not None else "--output"
        raise UsageError(f"{flag} goes with a job's folder, not with a plan.", hint="Name synapse-jobs/NAME.")
    if is_export(path):
        done = _ran(path, lambda: read_export(path, state=state, output=output, most=most or MOST_RECORDS), state)
        return _of_export(done) if done is not None else _of_export_plan(find_plan(path))
    if output is not None:
        raise UsageError("--output goes with an export.", hint="Name the job of an export: synapse-jobs/NAME.")
    result = _ran(path, lambda: read_result(path, state=state, most=most or MOST_UNITS), state)
    if result is not None:
        return _of_upload(result)
    planned = read_planned(path, most=most or MOST_PLANNED)
    page = plan_page(planned)
    expected = planned.plan.expected
    about = {"shows": "plan", "planned": expected.units, "left_out": planned.left_out.units, "hash": planned.hash}
    told = f"the plan of {_units(expected.units)}, {page.units:,} of them {_with(page)}; hash {planned.hash}."
    return Preview(page, about, told)


def is_export(path: Path) -> bool:
    """Whether a plan.json, or the one in a folder, says that it is of an export; whoever reads it names its faults."""
    places = (path / "plan.json", path / "job" / "plan.json") if path.is_dir() else (path,)
    for file in places:
        try:
            document = json.loads(file.read_bytes())
        except (OSError, ValueError, RecursionError):
            continue
        return isinstance(document, dict) and document.get("kind") == "export"
    return False


def _ran[R](path: Path, read: Callable[[], R], state: Path | None) -> R | None:
    """What has run, None if it is the plan that can be shown."""
    if not path.is_dir():
        return None
    try:
        return read()
    except (FindingError, UsageError) as error:
        if state is not None or error.code not in ("nothing-there", "no-job"):
            raise
        return None


def _of_upload(result: UploadResult) -> Preview:
    page = upload_page(result)
    told = f"{_units(page.units)} {_with(page)}; {result.arrived:,} have arrived in all."
    return Preview(page, {"shows": "upload", "arrived": result.arrived}, told)


def _of_export(result: ExportResult) -> Preview:
    page, records = export_page(result), result.summary.records
    told = f"{_records(page.units)} {_with(page)}; {records.exported:,} are exported in all."
    about = {
        "shows": "export", "exported": records.exported,
        "quarantined": records.quarantined, "complete": result.is_complete,
    }  # fmt: skip
    return Preview(page, about, told, "records")


def _of_export_plan(file: Path) -> Preview:
    planned = read_planned_export(file)
    expected = planned.plan.expected.records
    about = {"shows": "plan", "kind": "export", "planned": expected, "hash": planned.hash}
    told = f"the plan of an export of {_records(expected)}; hash {planned.hash}."
    return Preview(export_plan_page(planned), about, told, "records")


def _records(count: int) -> str:
    return f"{count:,} record{'' if count == 1 else 's'}"


def _units(count: int) -> str:
    return f"{count:,} data unit{'' if count == 1 else 's'}"


def _with(page: Page) -> str:
    return f"with {page.pictures:,} picture{'' if page.pictures == 1 else 's'}"
