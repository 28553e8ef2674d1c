"""What every rendered script does around its run: where it is, what it ran, and where its report goes."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synapse_skills.errors import (
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

if TYPE_CHECKING:
    from synapse_skills.job.state import State
    from synapse_skills.report import ExportReport, UploadReport

DRY_RUN_VARIABLE = "SYNAPSE_SKILLS_DRY_RUN"
"""Set to 1 it makes any job a dry run: on the cluster a script gets no arguments."""
REPORT = "report.json"


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
        why = caught.strerror or caught if isinstance(caught, OSError) else caught
        return OutOfReach(
            f"The report can't be written to {where}: {why}",
            hint="Free some disk space or name another place with --report, then run it again.",
            code="report-denied",
        )
    return None
