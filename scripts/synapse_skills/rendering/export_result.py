"""An export that has run, read back from its job's folder and its output. Needs no backend, and changes nothing."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from synapse_skills.errors import FindingError, OutOfReach, printable
from synapse_skills.export_plan import ExportPlan, read_export_plan
from synapse_skills.job.export.command import LAST_EXPORT
from synapse_skills.job.export.decide import parts_of
from synapse_skills.job.export.output import COMPLETE, METADATA, SUMMARY
from synapse_skills.job.export.write import RECORDS
from synapse_skills.job.places import cache_for, cache_of
from synapse_skills.rendering.export_sample import Sampled, sample_records
from synapse_skills.rendering.folder import SCRIPTS, is_edited
from synapse_skills.rendering.found import find_job, find_report
from synapse_skills.report import ExportReport
from synapse_skills.sources.address import is_url, parse_address

SCRIPT = SCRIPTS["export"]
MOST_ASIDE = 12
REPORT = "report.json"
QUARANTINE = "quarantine.jsonl"


class Contents(msgspec.Struct):
    """What is in an export, counted by the engine while it wrote."""

    by_class: dict[str, dict[str, int]] = {}
    by_tool: dict[str, int] = {}
    by_size: dict[str, int] = {}
    other_classes: int = 0


class RecordsRead(msgspec.Struct):
    """Records, and why some of them are not in the export."""

    read: int = 0
    exported: int = 0
    quarantined: int = 0
    left_out: int = 0
    quarantined_because: dict[str, int] = {}
    left_out_because: dict[str, int] = {}


class FormatWritten(msgspec.Struct):
    """What one format holds, what it does not, and what was written in another shape."""

    written: int = 0
    lost: dict[str, int] = {}
    changed: dict[str, int] = {}


class Annotations(msgspec.Struct):
    """Source annotations, and what became of them by format."""

    read: int = 0
    formats: dict[str, FormatWritten] = {}


class OriginalsPlaced(msgspec.Struct):
    """Originals beside the annotations."""

    placed: int = 0
    missing: int = 0


class Summary(msgspec.Struct):
    """`export_summary.json` as far as a page tells it; what an older one lacks is empty."""

    records: RecordsRead = msgspec.field(default_factory=RecordsRead)
    annotations: Annotations = msgspec.field(default_factory=Annotations)
    items: dict[str, int] = {}
    classes: tuple[str, ...] = ()
    contents: Contents = msgspec.field(default_factory=Contents)
    originals: OriginalsPlaced = msgspec.field(default_factory=OriginalsPlaced)


class SetAside(msgspec.Struct):
    """A line of `quarantine.jsonl`: a record that is not in the export."""

    record: int
    reason: str
    detail: str = ""
    annotations: int = 0


@dataclass
class ExportResult:
    """Everything that a page about an export tells.

    Attributes:
        report: of the last run that was no dry run; None if it was killed before it could write one.
        summary: of the output; made from the report if the output is not here.
        output: the folder of the output.
        is_complete: an export was finished there.
        state: the folder with rows and originals.
        edited: the script is no longer as rendered.
        set_aside: the first of the quarantined records.
        sample: records to look at.
    """

    plan: ExportPlan
    report: ExportReport | None
    summary: Summary
    output: Path
    is_complete: bool
    state: Path
    edited: bool = False
    set_aside: list[SetAside] = field(default_factory=list)
    sample: list[Sampled] = field(default_factory=list)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the split; () without one."""
        return parts_of(self.plan.split)


def read_export(folder: Path, *, state: Path | None = None, output: Path | None = None, most: int = 48) -> ExportResult:
    """Read what became of an export.

    Args:
        folder: the job's home, or its job folder.
        state: the state folder, if the job was run with `--state`.
        output: where the export went, if it was run with `--output`.
        most: how many records are looked at one by one.

    Raises:
        UsageError: there is no export in the folder.
        FindingError: it has not been run yet, or a file of it is not what it should be.
        OutOfReach: its state or output can't be read.
    """
    home, job = find_job(folder, SCRIPT, what="export")
    plan = read_export_plan(job / "plan.json")
    place = _state(plan, home, state)
    where = output.expanduser().absolute() if output is not None else _output(plan, place, named=state is not None)
    try:
        report = _last(place)
        is_complete = (where / COMPLETE).is_file()
        if report is None and not is_complete:
            raise FindingError(
                f"Nothing has been exported by {printable(str(folder))} yet.",
                hint="Run the job first: run.py job DIR.",
                code="nothing-there",
            )
        summary = _summary(where / METADATA / SUMMARY) if is_complete else None
        result = ExportResult(plan, report, summary or _of_report(report), where, is_complete, place, is_edited(job))
        result.set_aside = _set_aside(place / QUARANTINE)
        if is_complete:
            records = result.summary.records.exported
            result.sample = sample_records(where / METADATA / RECORDS, place / "spool", plan.target, records, most)
    except OSError as error:
        raise OutOfReach(
            f"What the export left behind can't be read: {error.strerror or error}"
            f" ({printable(str(error.filename or place))}).",
            hint="Check the permissions of its state and output.",
            code="state-denied",
        ) from None
    return result


def last_export_report(path: Path) -> ExportReport | None:
    """An export's report, None if there is none (`bad-report` as `find_report` has it)."""
    return find_report(path, ExportReport.model_validate_json)


def _state(plan: ExportPlan, home: Path, named: Path | None) -> Path:
    """Where the state of the job lies here: what lies at a storage has a folder of this machine that goes with it."""
    if named is not None:
        return named
    if plan.state and is_url(plan.state):
        return cache_of(str(parse_address(plan.state)))
    return Path(plan.state).expanduser() if plan.state else home / "state"


def _output(plan: ExportPlan, state: Path, *, named: bool) -> Path:
    """Where the output lies here: what went to a storage was made and verified in the job's working files first."""
    if not is_url(plan.place):
        return Path(plan.output).expanduser().absolute()
    is_remote = plan.state is not None and is_url(plan.state) and not named
    working = state if is_remote else cache_for(state.absolute(), named_by_plan=plan.state is not None and not named)
    return working / "output"


def _last(state: Path) -> ExportReport | None:
    # A dry run after the export has report.json; the export's own report lies beside it.
    for name in (LAST_EXPORT, REPORT):
        report = last_export_report(state / name)
        if report is not None and report.mode != "dry-run":
            return report
    return None


def _summary(path: Path) -> Summary:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Summary)
    except FileNotFoundError:
        problem = "is missing"
    except (msgspec.MsgspecError, UnicodeError):
        problem = "is not what an export writes"
    raise FindingError(
        f"{printable(str(path))} {problem}.",
        hint="Look at the output with verify_export; run the job again.",
        code="bad-summary",
    )


def _of_report(report: ExportReport | None) -> Summary:
    """What the report knows of an output that is not here."""
    if report is None:
        return Summary()
    said: dict[str, Any] = report.model_dump(mode="json")
    return msgspec.convert(
        {
            "records": said["records"],
            "annotations": said["annotations"],
            "items": said["splits"],
            "originals": {"placed": report.files.originals, "missing": report.files.missing},
        },
        Summary,
    )


def _set_aside(path: Path) -> list[SetAside]:
    found: list[SetAside] = []
    with contextlib.suppress(FileNotFoundError), path.open("rb") as stream:
        for line in stream:
            if len(found) >= MOST_ASIDE:
                break
            with contextlib.suppress(msgspec.MsgspecError, UnicodeError):
                found.append(msgspec.json.decode(line, type=SetAside))
    return found
