"""What a rendered script calls: `Export(...).main()`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic import ValidationError

from synapse_skills.arguments import whole_number
from synapse_skills.errors import FindingError, SkillsError, UsageError, run
from synapse_skills.export_plan import ExportPlan, read_export_plan
from synapse_skills.job.running import (
    content_of,
    flags_of,
    read_flags,
    script_folder,
    show,
    state_place,
    write_report,
)
from synapse_skills.job.worker import is_remote

if TYPE_CHECKING:
    from synapse_skills.annotations.model import Record
    from synapse_skills.formats.custom import CustomRecord
    from synapse_skills.report import ExportReport

LAST_EXPORT = "last_export.json"


def add_export_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of every export."""
    parser.add_argument("--dry-run", action="store_true", help="count, and try a sample; the output stays as it is")
    parser.add_argument("--limit", type=whole_number(), metavar="N", help="export only the N newest records")
    parser.add_argument("--workers", type=whole_number(1, 64), metavar="N", help="at most N requests at once (1 to 64)")
    parser.add_argument("--processes", type=whole_number(1, 64), metavar="N", help="N processes read and write records")
    parser.add_argument("--output", metavar="DIR", help="where the export goes: folder or URL (default: the plan's)")
    parser.add_argument("--state", metavar="DIR", help="where the job remembers (default: ../state)")
    parser.add_argument("--fresh", action="store_true", help="forget what was fetched and fetch everything anew")
    parser.add_argument("--report", type=Path, metavar="FILE", help="where the report goes (default: the state folder)")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON document on stdout")


def export_flags() -> list[tuple[str, str]]:
    """Flag with its value's name, and what it does: for documents that must not drift from the flags."""
    return flags_of(add_export_flags)


class Export:
    """An export, as a rendered script states it. What is not given is as the plan has it.

    Args:
        target: assignment, ground_truth or task; must be the plan's.
        scope: number of the project, or of the ground truth's version; must be the plan's.
        formats: format → its options.
        classes: names in their order; their place is their number.
        rename: class as it was labelled → name in `classes`.
        drop: labelled classes to leave out.
        keep_classes: names in `classes`: all other classes are left out.
        tools: only annotations of these tools.
        split: part → its share, such as `{"train": 0.8, "val": 0.2}`; None for no split.
        originals: none, optional or required.
        output: where it goes.
        keep: record → whether it is exported; a function of your own.
        convert: record → files, for the format `custom` (`formats/custom.py`); a function of your own.
        home: the job folder with plan.json; the script's own folder if None.
    """

    def __init__(
        self,
        target: str,
        scope: int,
        *,
        formats: Mapping[str, Mapping[str, Any]],
        classes: Sequence[str] = (),
        rename: Mapping[str, str] | None = None,
        drop: Sequence[str] = (),
        keep_classes: Sequence[str] | None = None,
        tools: Sequence[str] | None = None,
        split: Mapping[str, float] | None = None,
        originals: str = "none",
        output: str | None = None,
        keep: Callable[[Record], bool] | None = None,
        convert: Callable[[CustomRecord], Any] | None = None,
        home: Path | None = None,
    ) -> None:
        self.target = target
        self.scope = scope
        self.formats = formats
        self.classes = classes
        self.rename = rename or {}
        self.drop = drop
        self.keep_classes = keep_classes
        self.tools = tools
        self.split = split
        self.originals = originals
        self.output = output
        self.keep = keep
        self.convert = convert
        self.home = home

    def main(self, argv: Sequence[str] | None = None) -> NoReturn:
        """Run with the command line's flags and end the process with the exit code of DESIGN.md, section 8."""
        sys.exit(run(self._main, argv))

    def _main(self, argv: Sequence[str] | None) -> int:
        args = read_flags(
            add_export_flags,
            "Export these records. Killed or cut off, run it again: it goes on, and gives the same bytes. "
            "After it is complete, it looks for what has changed and writes again only then.",
            script="export.py",
            argv=argv,
        )
        remote = is_remote()
        report, error = self.execute(args, remote=remote)
        from synapse_skills.job.export.reporting import report_lines

        return show(report, error, report_lines, as_json=args.json, remote=remote)

    def execute(self, args: argparse.Namespace, *, remote: bool = False) -> tuple[ExportReport, SkillsError | None]:
        """Run the export with parsed flags; returns its report, which has also been written.

        Args:
            remote: whoever started it reads a log: how far it is is said there in a form that can be read back.
        """
        from synapse_skills.job.export.engine import Engine, Options
        from synapse_skills.job.progress import Progress
        from synapse_skills.job.state import State

        home = self.home or script_folder("Export")
        plan = self.plan(home / "plan.json", args.output)
        place = state_place(args.state or plan.state, home)
        options = Options(
            dry_run=args.dry_run, limit=args.limit, workers=args.workers, processes=args.processes, fresh=args.fresh
        )
        progress = Progress(quiet=args.json, remote=remote, what="records")
        content = content_of(home)
        with State(place, named_by_plan=bool(plan.state) and not args.state, say=progress.say) as state:
            engine = Engine(plan, state, options, progress, keep=self.keep, convert=self.convert, content=content or "")
            report, error = engine.run()
            progress.end()
            report.content = content
            denied = write_report(report, state, args.report, None if args.dry_run else LAST_EXPORT)
            if denied is not None:
                error = error or denied
                report.exit_code = report.exit_code or denied.exit_code
        return report, error

    def plan(self, path: Path, output: str | None = None) -> ExportPlan:
        """The plan, with what the script says in place of the plan's own.

        Raises:
            FindingError: the script is for another target or scope than the plan (`other-scope`).
            UsageError: what it says makes no plan (`bad-script`).
        """
        plan = read_export_plan(path)
        scope = plan.ground_truth_version if plan.target == "ground_truth" else plan.project
        if (self.target, self.scope) != (plan.target, scope):
            raise FindingError(
                f"The script is for {self.target} of {self.scope}, its plan for {plan.target} of {scope}.",
                hint="Make a plan for the other one instead of changing it here.",
                code="other-scope",
            )
        said = plan.model_dump() | {
            "formats": [{"name": name, "options": dict(options)} for name, options in self.formats.items()],
            "classes": plan.classes.model_dump()
            | {"order": tuple(self.classes), "map": dict(self.rename), "drop": tuple(self.drop)}
            | {"keep": plan.classes.keep if self.keep_classes is None else tuple(self.keep_classes)},
            "tools": plan.tools if self.tools is None else tuple(self.tools),
            "split": None
            if self.split is None
            else (plan.split.model_dump() if plan.split else {}) | {"ratios": dict(self.split)},
            "originals": self.originals,
            "output": output or self.output or plan.place,
            "storage": None,
        }
        try:
            return ExportPlan.model_validate(said)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise UsageError(
                f"What the script says makes no plan: {where or 'plan'}: {first['msg']}",
                hint="Mend it in export.py, or render the job again with --force.",
                code="bad-script",
            ) from None
