"""What submit and job_status print for people: plain text, in which nothing that a job says is ever interpreted."""

from __future__ import annotations

import re
import sys
from typing import Any, TextIO

from synapse_skills.cluster.ending import Ended
from synapse_skills.cluster.gate import Gate
from synapse_skills.cluster.local import ENDED, Here
from synapse_skills.cluster.places import Refusal
from synapse_skills.cluster.rehearsal import Rehearsed
from synapse_skills.cluster.status import Known, Seen
from synapse_skills.errors import printable, printable_lines, redact
from synapse_skills.job.markers import ProgressSaid
from synapse_skills.report import ExportReport, UploadReport

_WIDTH = 60
_VERSIONS = re.compile(r" \(from versions: [^)]*\)")


def say(text: str, stream: TextIO | None = None) -> None:
    """Print safely: no control characters, no secrets."""
    print(redact(printable_lines(text)), file=stream or sys.stdout, flush=True)


def duration(seconds: float | None) -> str:
    """Seconds for people: 3:07, 1:02:03."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def show_gate(found: Gate) -> None:
    """Refusals and warnings, each with what mends it, on stderr."""
    for kind, rows in (("refused", found.refusals), ("warning", found.warnings)):
        for row in rows:
            say(_finding(kind, row), sys.stderr)


def _finding(kind: str, row: Refusal) -> str:
    return f"{kind}: {row.code}: {row.message}\n  next: {row.fix}"


class ProgressLine:
    """How far a job is, as one line that is written over on a terminal; elsewhere the job's own lines say it."""

    def __init__(self, stream: TextIO, what: str = "data units") -> None:
        self._stream = stream
        self._what = what
        self._width = 0

    def show(self, said: ProgressSaid) -> None:
        """The newest statement."""
        text = f"{said.done:,} of {said.planned:,} {self._what}, {said.files:,} files, {duration(said.seconds)}"
        if self._stream.isatty():
            self._stream.write(f"\r{text.ljust(self._width)}")
            self._stream.flush()
            self._width = len(text)

    def line(self, text: str) -> None:
        """A line of the job's log, above it."""
        self.end()
        say(text, self._stream)

    def end(self) -> None:
        """Nothing more comes."""
        if self._width:
            self._stream.write(f"\r{' ' * self._width}\r")
            self._width = 0


def report_lines(report: UploadReport | ExportReport) -> list[str]:
    """A report for people, of whichever kind."""
    # Imported here: reading an export's needs what an upload's does without.
    if isinstance(report, ExportReport):
        from synapse_skills.job.export.reporting import report_lines as lines_of_export

        return lines_of_export(report)
    from synapse_skills.job.upload.command import report_lines as lines_of_upload

    return lines_of_upload(report)


def show_ended(ended: Ended, *, what: str = "data units", followed: bool = False) -> None:
    """A job: its state, how far it is, its last lines, its report, and what to do next.

    Args:
        ended: the job.
        what: that which it counts.
        followed: its lines have been shown already, and a job says its report in them.
    """
    info = ended.info
    say(f"{info.id}: {info.status}, {duration(info.elapsed())}")
    if info.said and info.has_ended and info.status != "SUCCEEDED" and ended.report is None:
        say("  Ray says: " + _reason(info.said))
    if ended.progress is not None and ended.report is None:
        ProgressLine(sys.stdout).line(
            f"  {ended.progress.done:,} of {ended.progress.planned:,} {what}, {ended.progress.files:,} files"
        )
    if not followed and ended.log_tail and ended.report is None:
        say("  last lines:")
        for line in ended.log_tail:
            say("    " + line)
    if ended.report is not None:
        told = report_lines(ended.report)
        if not (followed and told[-1] in ended.log_tail):
            say("\n".join(told))
    elif ended.note:
        say("  " + ended.note)
    if ended.next_step():
        say("  next: " + ended.next_step())


def show_here(found: Here) -> None:
    """A job that runs here, or has."""
    say(f"{found.home.folder.name}: {found.message}")
    if found.status == ENDED and found.report is not None:
        say("\n".join(report_lines(found.report)))
    if found.next_step:
        say("  next: " + found.next_step)


def _reason(message: str) -> str:
    """What Ray says, on one line; of pip's pages its errors, without every version that there is."""
    lines = [line.strip() for line in message.splitlines()]
    errors = [line for line in lines if line.startswith("ERROR: ") and "yanked" not in line]
    text = " ".join(" ".join(errors or lines).split())
    return printable(_VERSIONS.sub("", text)[-600:])


def show_seen(seen: Seen, *, followed: bool = False) -> None:
    """One job, also where the cluster can't be asked."""
    if seen.target.home is not None and seen.target.submission is not None:
        submission = seen.target.submission
        say(f"{submission.mode} of plan {submission.plan} from {seen.target.home.folder}, {submission.submitted_at}")
    if seen.ended is not None:
        show_ended(seen.ended, what=seen.target.counts, followed=followed)
        return
    known = seen.target.submission.ended if seen.target.submission else None
    say(f"{seen.target.job_id}: " + (f"{known.status} when last seen" if known else "state unknown"))
    if seen.trouble is not None:
        say(f"error: {seen.trouble}\n  next: {seen.trouble.hint}", sys.stderr)


def show_known(known: Known) -> None:
    """A table of jobs."""
    columns = ("name", "job_id", "mode", "plan", "status", "done", "to", "from", "since", "elapsed")
    rows = [[_cell(row, column) for column in columns] for row in known.rows]
    if rows:
        table = [list(columns), *rows]
        widths = [max(len(row[at]) for row in table) for at in range(len(columns))]
        for row in table:
            say("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    elif known.trouble is None:
        say("No job was submitted from here, and the cluster lists none of ours.")
    for problem in known.problems:
        say(f"warning: {problem['message']}\n  next: {problem['hint']}", sys.stderr)
    if known.trouble is not None:
        say(f"error: {known.trouble}\n  next: {known.trouble.hint}", sys.stderr)


def _cell(row: dict[str, Any], column: str) -> str:
    if column == "elapsed":
        return duration(row["elapsed_s"])
    if column == "done":
        return f"{row['done']:,} of {row['planned']:,}" if row["done"] is not None and row["planned"] else "-"
    if column == "to":
        return f"collection {row['collection']}" if row["collection"] else "-"
    if column == "from":
        return printable(str(row["source"] or (f"project {row['project']}" if row["project"] else "-")))[-_WIDTH:]
    return printable(str(row[column] or "-"))[:_WIDTH]


def show_rehearsed(found: Rehearsed) -> None:
    """What a rehearsal came to."""
    for line in report_lines(found.report):
        say(line)
    if found.again is not None:
        again = found.again
        say(f"the same command again: {again.created:,} made, {again.already:,} known")
    say(f"the stand-in holds {found.there:,} data units")
    for problem in found.problems:
        say(f"{problem.severity}: {problem.code} × {problem.count:,}")
        for example in problem.examples:
            say(f"    {example}")
        say(f"    next: {problem.fix}")
