"""What can be known to fail before anything is asked for: formats, their options, the output, the room for it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from synapse_skills.errors import OutOfReach, UsageError, printable
from synapse_skills.export_plan import ExportPlan
from synapse_skills.formats import FORMATS
from synapse_skills.job.export.delivery import check_place
from synapse_skills.job.export.index import Index
from synapse_skills.job.export.originals import Store
from synapse_skills.sources.address import is_url
from synapse_skills.texts import human_bytes

SHARE = 1.1  # of the payloads that a format is estimated to take, with what lies about it


def check_plan(plan: ExportPlan, *, has_convert: bool = False) -> None:
    """Formats that there are, with options that they have, to a place that can be written to.

    Args:
        plan: what is to be done.
        has_convert: the script brings a function for the format `custom`.

    Raises:
        UsageError: there is something else in the plan, or the script. OutOfReach: a URL that is not supported.
    """
    for each in plan.formats:
        if each.name not in FORMATS:
            raise UsageError(
                f"There is no format {printable(each.name)!r}.", hint=f"One of: {', '.join(FORMATS)}.", code="no-format"
            )
        try:
            FORMATS[each.name].complete(each.options)
        except ValueError as error:
            raise UsageError(str(error), hint="Mend it in export.py or plan again.", code="bad-option") from None
        if FORMATS[each.name].by_script and not has_convert:
            raise UsageError(
                f"The format {each.name} needs a convert, and the script gives none.",
                hint="Say convert=convert in export.py, with a function that makes files of a record.",
                code="no-convert",
            )
    if is_url(plan.place):
        check_place(plan.place)
    if plan.engine == "ray" and (is_url(plan.place) or is_url(plan.state or "")):
        raise UsageError(
            "With engine: ray the machines of the cluster write the output together, and a storage URL is no folder.",
            hint="Plan output and state in folders that all machines mount, or plan without engine=ray.",
            code="not-shared",
        )


def free_space(output: Path, index: Index, store: Store, plan: ExportPlan, *, times: float = 1.0) -> None:
    """Make sure that the output has room.

    Args:
        output: where it goes.
        index: what is written.
        store: originals that are here.
        plan: how many formats.
        times: how often the rows of the index stand for what there is (a sample).

    Raises:
        OutOfReach: it would not fit.
    """
    needed = int(index.total_bytes() * SHARE * len(plan.formats) * times)
    there = _existing(output)
    if plan.originals != "none" and store.folder.is_dir() and there.stat().st_dev != store.folder.stat().st_dev:
        # On another disk they are copied, not linked.
        needed += sum(path.stat().st_size for path in store.folder.rglob("*") if path.is_file())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise OutOfReach(
            f"The export takes about {human_bytes(needed)}; there is room for {human_bytes(free)} at {output}.",
            hint="Free some disk space, or name another folder with --output.",
            code="disk-full",
        )


def _existing(path: Path) -> Path:
    """The nearest folder that is there."""
    path = Path(os.path.abspath(path))  # noqa: PTH100 - a link must not be followed yet
    while not path.exists():
        path = path.parent
    return path
