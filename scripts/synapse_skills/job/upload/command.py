"""What a rendered script calls: `Upload(...).main()`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from synapse_skills.arguments import whole_number
from synapse_skills.errors import FindingError, SkillsError, UsageError, run
from synapse_skills.job.markers import marker_lines
from synapse_skills.job.running import (
    content_of,
    flags_of,
    last_lines,
    read_flags,
    script_folder,
    show,
    state_place,
    write_report,
)
from synapse_skills.job.worker import is_remote
from synapse_skills.texts import human_bytes

if TYPE_CHECKING:
    from synapse_skills.report import UploadReport
    from synapse_skills.sources import Source

LAST_UPLOAD = "last_upload.json"


def add_job_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of every job."""
    parser.add_argument("--dry-run", action="store_true", help="check and count everything, send nothing")
    parser.add_argument(
        "--limit",
        type=whole_number(),
        metavar="N",
        help="send only the first N data units that are not there yet; the rest is pending",
    )
    parser.add_argument("--workers", type=whole_number(1, 64), metavar="N", help="at most N transfers at once, 1 to 64")
    parser.add_argument(
        "--state", metavar="DIR", help="where the job remembers: a folder or a storage URL (default: ../state)"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="set the state aside and begin anew; what the backend has is recognised"
    )
    parser.add_argument("--retry-failed", action="store_true", help="send again what the backend refused")
    parser.add_argument(
        "--retry-unknown", action="store_true", help="send again what may have been created: it may be there twice then"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="where the report goes (default: the state folder)")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON document on stdout")


def job_flags() -> list[tuple[str, str]]:
    """Flag with its value's name, and what it does: for documents that must not drift from the flags."""
    return flags_of(add_job_flags)


class Upload:
    """An upload, as a rendered script states it.

    Args:
        collection: id of the data collection; must be the plan's.
        sources: where the files are.
        place: file → data unit and spec: a `Place`, or a function of your own.
        describe: data unit → metadata: `Constants(...)`, or a function of your own.
        home: the job folder with plan.json; the script's own folder if None.
    """

    def __init__(
        self,
        collection: int,
        sources: Sequence[Source],
        *,
        place: Any,
        describe: Callable[[Any], Mapping[str, Any]] | None = None,
        home: Path | None = None,
    ) -> None:
        self.collection = collection
        self.sources = list(sources)
        self.place = place
        self.describe = describe
        self.home = home

    def main(self, argv: Sequence[str] | None = None) -> NoReturn:
        """Run with the command line's flags and end the process with the exit code of DESIGN.md, section 8."""
        sys.exit(run(self._main, argv))

    def _main(self, argv: Sequence[str] | None) -> int:
        args = read_flags(
            add_job_flags,
            "Upload this dataset to its data collection. Killed or cut off, run it again: it goes on.",
            script="upload.py",
            argv=argv,
        )
        remote = is_remote()
        report, error = self.execute(args, remote=remote)
        return show(report, error, report_lines, as_json=args.json, remote=remote)

    def execute(self, args: argparse.Namespace, *, remote: bool = False) -> tuple[UploadReport, SkillsError | None]:
        """Run the upload with parsed flags; returns its report, which has also been written.

        Args:
            remote: whoever started it reads a log: how far it is is said there in a form that can be read back.
        """
        from synapse_skills.job.progress import Progress
        from synapse_skills.job.state import State
        from synapse_skills.job.upload.engine import Engine, Options
        from synapse_skills.plan import read_plan

        home = self.home or script_folder("Upload")
        plan = read_plan(home / "plan.json")
        if plan.data_collection != self.collection:
            raise FindingError(
                f"The script is for collection {self.collection}, its plan for {plan.data_collection}.",
                hint="Make a plan for the other collection instead of changing the number.",
                code="other-collection",
            )
        if not self.sources:
            raise UsageError("The script names no source.", hint="Give SOURCES at least one Source.", code="no-source")
        place = state_place(args.state or plan.state, home)
        options = Options(
            dry_run=args.dry_run,
            limit=args.limit,
            workers=args.workers,
            fresh=args.fresh,
            retry_failed=args.retry_failed,
            retry_unknown=args.retry_unknown,
        )
        progress = Progress(quiet=args.json, remote=remote)
        content = content_of(home)
        shared = bool(plan.state) and not args.state
        with State(place, named_by_plan=shared, say=progress.say) as state:
            engine = Engine(
                plan, self.sources, self.place, self.describe, state, home / "left_out.jsonl", options, progress
            )
            report, error = engine.run()
            progress.end()
            if remote and args.dry_run:
                _say_unfit(engine.checked.unfit)
            report.content = content
            # A later dry run has report.json; what the upload came to stays readable.
            denied = write_report(report, state, args.report, None if report.mode == "dry-run" else LAST_UPLOAD)
            if denied is not None:
                error = error or denied
                report.exit_code = report.exit_code or error.exit_code
        return report, error


def _say_unfit(rows: Sequence[Any]) -> None:
    """Name the data units that can't be sent: a planner elsewhere can't open the files and find them itself."""
    for some in batched(rows, 1_000):
        for line in marker_lines("unfit", {"units": list(some)}):
            print(line)


def report_lines(report: UploadReport) -> list[str]:
    """The report for people."""
    what = "dry run" if report.mode == "dry-run" else "upload"
    lines = [f"{what} of {report.name}: {report.planned:,} data units planned"]
    for key in ("created", "already", "failed", "quarantined", "pending", "left_out"):
        count = getattr(report, key)
        if count:
            lines.append(f"  {key.replace('_', ' '):<12} {count:>10,}")
    files = report.files
    size = human_bytes(files.bytes)
    lines.append(f"  files        {files.planned:>10,}  ({size}; {files.sent:,} sent, {files.reused:,} reused)")
    if report.tasks.planned:
        lines.append(f"  tasks        {report.tasks.created:>10,}  of {report.tasks.planned:,}")
    return lines + last_lines(report)
