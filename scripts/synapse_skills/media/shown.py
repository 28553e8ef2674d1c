"""A conversion of a folder for people: how far it is, and what became of it."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from synapse_skills.errors import printable
from synapse_skills.media.folder import FolderReport
from synapse_skills.texts import human_bytes

_MOST_FAILURES = 20
_MOST_RENAMED = 5
_ON_A_TERMINAL_S = 0.2
_IN_A_LOG_S = 15.0


@contextlib.contextmanager
def converting(*, quiet: bool) -> Iterator[Callable[[int, int, int], None] | None]:
    """A line that runs on a terminal, or one now and then in a log, on stderr."""
    if quiet:
        yield None
        return
    is_terminal = sys.stderr.isatty()
    every = _ON_A_TERMINAL_S if is_terminal else _IN_A_LOG_S
    last = time.monotonic()

    def say(converted: int, failed: int, of: int) -> None:
        nonlocal last
        if time.monotonic() - last < every:
            return
        last = time.monotonic()
        told = f"{converted:,} of {of:,} converted" + (f", {failed:,} failed" if failed else "")
        print(f"\r\x1b[K{told}" if is_terminal else told, end="" if is_terminal else "\n", file=sys.stderr, flush=True)

    try:
        yield say
    finally:
        if is_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def show_report(report: FolderReport) -> None:
    """Print a report, at most some forty lines of it."""
    if not report.found:
        print(f"Nothing in {report.source} can become {report.to}.")
    else:
        print(
            f"{report.converted:,} of {report.found:,} converted to {report.to} in {report.seconds:g} s, "
            f"{human_bytes(report.bytes)} in {report.out}"
        )
    for count, what in [
        (report.already, "were there already"),
        (report.failed, "failed"),
        (report.pending, f"not tried: {report.stopped_by}"),
    ]:
        if count:
            print(f"  {count:,} {what}")
    for failure in report.failures[:_MOST_FAILURES]:
        print(f"    {failure['file']}: {failure['reason']} ({failure['code']})")
    if report.failed > _MOST_FAILURES:
        print(f"    and {report.failed - _MOST_FAILURES:,} more: --json names up to a thousand")
    if report.notes:
        print("  not as in the original:")
        for note, count in sorted(report.notes.items(), key=lambda each: (-each[1], each[0]))[: _MOST_RENAMED * 2]:
            print(f"    {count:,} × {printable(note)}")
    if report.renamed_count:
        print(f"  {report.renamed_count:,} keep their extension in the name, as another file has the plain one:")
        for path, name in list(report.renamed.items())[:_MOST_RENAMED]:
            print(f"    {path} → {printable(name)}")
    for kind, count in report.left.items():
        print(f"  left where they are: {count:,} {kind}")
    if report.hint:
        print(f"  next: {report.hint}")
