"""What every rendered script does around its run: where it is, what it ran, and where its report goes."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synapse_skills.errors import (
    EXIT_CODES,
    EXIT_INTERRUPTED,
    Interrupted,
    OutOfReach,
    SkillsError,
    UsageError,
    printable,
    printable_lines,
    redact,
)
from synapse_skills.job.content import content_hash
from synapse_skills.job.markers import marker_lines
from synapse_skills.sources.address import is_url

if TYPE_CHECKING:
    from synapse_skills.job.state import State
    from synapse_skills.report import ExportReport, UploadReport

DRY_RUN_VARIABLE = "SYNAPSE_SKILLS_DRY_RUN"
"""Set to 1 it makes any job a dry run: on the cluster a script gets no arguments."""
REPORT = "report.json"


def flags_of(add: Callable[[argparse.ArgumentParser], None]) -> list[tuple[str, str]]:
    """Flag with its value's name, and what it does: for documents that must not drift from the flags.

    Args:
        add: adds the flags to a parser.
    """
    parser = argparse.ArgumentParser(add_help=False)
    add(parser)
    return [
        (" ".join(filter(None, (action.option_strings[0], action.metavar))), action.help or "")  # type: ignore[arg-type]
        for action in parser._actions
    ]


def read_flags(
    add: Callable[[argparse.ArgumentParser], None], description: str, *, script: str, argv: Sequence[str] | None
) -> argparse.Namespace:
    """A script's command line; where it can have none, the environment may still say that it is a dry run.

    Args:
        add: adds the flags to a parser.
        description: what the script does.
        script: its file, for the examples.
        argv: the words; those of the process if None.
    """
    codes = "\n".join(f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES.items())
    parser = argparse.ArgumentParser(
        description=description,
        epilog=f"exit codes:\n{codes}\n\nexamples:\n  python {script} --dry-run\n  python {script} --limit 10",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add(parser)
    args = parser.parse_args(argv)
    if os.environ.get(DRY_RUN_VARIABLE) == "1":
        args.dry_run = True
    return args


def state_place(named: str | None, home: Path) -> Path | str:
    """Where a job remembers: the URL or folder that is named, else beside the job folder `home`."""
    return named if named and is_url(named) else Path(named or home.parent / "state").expanduser().absolute()


def script_folder(name: str) -> Path:
    """The folder of the script that runs; `name` is what asks for it."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if not script:
        raise UsageError(f"{name} needs to know its job folder.", hint="Give it home=Path(...).", code="no-home")
    return Path(script).resolve().parent


def content_of(home: Path) -> str | None:
    """The hash over the job folder, before anything in it changes; None where it could not ship as it is."""
    try:
        return content_hash(home)
    except SkillsError:
        return None


def seconds_said(variable: str) -> float | None:
    """The seconds that an environment variable says, None if it is not set.

    Raises:
        UsageError: they are none.
    """
    said = os.environ.get(variable)
    if not said:
        return None
    try:
        seconds = float(said)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UsageError(f"{variable} is {printable(said)[:40]!r}, not a number of seconds.", code="bad-seconds")
    return seconds


def for_log(line: str) -> str:
    """A line for people that no log takes apart: redacted, printable, without square brackets."""
    return printable_lines(redact(line)).replace("[", "(").replace("]", ")")


def show(
    report: UploadReport | ExportReport,
    error: SkillsError | None,
    lines: Callable[[Any], list[str]],
    *,
    as_json: bool,
    remote: bool,
) -> int:
    """Say what a run came to, for people, as JSON, and for whoever reads it from a log; its exit code."""
    if remote:
        for line in marker_lines("report", report.model_dump(mode="json")):
            print(line)
    if as_json:
        print(report.model_dump_json(indent=2))
        return report.exit_code
    for line in lines(report):
        print(for_log(line))
    if error is not None:
        print(f"error: {redact(str(error))}", file=sys.stderr)
        print(f"  next: {redact(error.hint)}", file=sys.stderr)
    elif report.exit_code == EXIT_INTERRUPTED:
        print(f"interrupted: {Interrupted.hint}", file=sys.stderr)
    return report.exit_code


def last_lines(report: UploadReport | ExportReport) -> list[str]:
    """What every report for people ends with: its problems, how long it took, and its exit code."""
    lines: list[str] = []
    for problem in report.problems:
        lines.append(f"{problem.severity}: {problem.code} × {problem.count:,}")
        lines.extend(f"    {example}" for example in problem.examples)
        if problem.fix:
            lines.append(f"    next: {problem.fix}")
    return [*lines, f"  {report.seconds:.1f} s, exit {report.exit_code}"]


def write_report(
    report: UploadReport | ExportReport, state: State, named: Path | None, last: str | None
) -> OutOfReach | None:
    """Write a report wherever it is looked for; why that failed if it did.

    Args:
        report: it.
        state: where it goes unless `named` says a file.
        named: what `--report` says.
        last: a second name in the state, so that what a run came to stays readable after a later dry run.
    """
    from synapse_skills.report import write_bytes

    content = (json.dumps(json.loads(report.model_dump_json()), ensure_ascii=False, indent=2) + "\n").encode()
    where = str(named) if named else f"{state.name}/{REPORT}"
    try:
        if named:
            write_bytes(named, content)
        for name in ([] if named else [REPORT]) + ([last] if last else []):
            where = f"{state.name}/{name}"
            state.store.write(name, content)
    except (OSError, OutOfReach) as caught:
        hint = "Free some disk space or name another place with --report, then run it again."
        return report_denied("The report", where, caught, hint)
    return None


def report_denied(what: str, where: str, caught: OSError | OutOfReach, hint: str) -> OutOfReach:
    """Why something that tells of a run could not be written."""
    why = caught.strerror or caught if isinstance(caught, OSError) else caught
    return OutOfReach(f"{what} can't be written to {where}: {why}", hint=hint, code="report-denied")
