"""What `preview` is given → its page: a plan, or an upload that has run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synapse_skills.errors import FindingError, UsageError
from synapse_skills.rendering.gallery import Page
from synapse_skills.rendering.page import MOST_UNITS, upload_page
from synapse_skills.rendering.plan_page import plan_page
from synapse_skills.rendering.planned import read_planned
from synapse_skills.rendering.result import UploadResult, read_result

MOST_PLANNED = 24  # data units of a plan: enough to judge a rule, and a page that loads on a phone


@dataclass(frozen=True)
class Preview:
    """A page, what `--json` says about it, and the same for people."""

    page: Page
    about: dict[str, Any]
    told: str


def preview(path: Path, *, state: Path | None = None, most: int | None = None) -> Preview:
    """Make the page of a plan.json, or of a job's home or job folder: of its upload if that has run, else of its plan.

    Args:
        path: what was named.
        state: the state folder; then an upload is meant.
        most: how many data units are shown; fewer for a plan unless said.

    Raises:
        UsageError: there is neither a plan nor an upload.
        FindingError: no upload has run with this state, or a file of the job is not what it should be.
        OutOfReach: the state can't be read.
    """
    result = _result(path, state, most)
    if result is not None:
        return _of_upload(result)
    planned = read_planned(path, most=most or MOST_PLANNED)
    page = plan_page(planned)
    expected = planned.plan.expected
    about = {"shows": "plan", "planned": expected.units, "left_out": planned.left_out.units, "hash": planned.hash}
    told = f"the plan of {_units(expected.units)}, {page.units:,} of them {_with(page)}; hash {planned.hash}."
    return Preview(page, about, told)


def _result(path: Path, state: Path | None, most: int | None) -> UploadResult | None:
    """The upload, None if it is the plan that can be shown."""
    if not path.is_dir():
        if state is not None:
            raise UsageError("--state goes with a job's folder, not with a plan.", hint="Name synapse-jobs/NAME.")
        return None
    try:
        return read_result(path, state=state, most=most or MOST_UNITS)
    except (FindingError, UsageError) as error:
        if state is not None or error.code not in ("nothing-there", "no-job"):
            raise
        return None


def _of_upload(result: UploadResult) -> Preview:
    page = upload_page(result)
    told = f"{_units(page.units)} {_with(page)}; {result.arrived:,} have arrived in all."
    return Preview(page, {"shows": "upload", "arrived": result.arrived}, told)


def _units(count: int) -> str:
    return f"{count:,} data unit{'' if count == 1 else 's'}"


def _with(page: Page) -> str:
    return f"with {page.pictures:,} picture{'' if page.pictures == 1 else 's'}"
