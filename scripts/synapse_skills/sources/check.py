"""What is at a path: the report of `check_path`."""

from __future__ import annotations

import contextlib
import heapq
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from synapse_skills.errors import EXIT_FINDINGS, EXIT_OK, printable
from synapse_skills.report import Problem
from synapse_skills.sources.inventory import Inventory
from synapse_skills.sources.source import Source

_MOST_ENTRIES = 12
_MOST_SUFFIXES = 20


@dataclass
class PathReport:
    """What a look at a path has found.

    Attributes:
        kind: `local` is all there is so far.
        is_sample: the look ended at --limit, so the counts are those of a part.
        by_extension: files and bytes of the commonest extensions; '' is none, '*' is the rest of them.
        entries: the first names in the folder by alphabet, folders with a slash.
        entry_count: how many names it holds.
    """

    path: str
    kind: str
    reachable: bool
    recursive: bool
    is_sample: bool
    folders: int
    files: int
    bytes: int
    by_extension: dict[str, dict[str, int]]
    entries: list[str]
    entry_count: int
    problems: list[Problem] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """1 if there is nothing to upload or something is wrong that the counts depend on."""
        has_errors = any(problem.severity == "error" for problem in self.problems)
        return EXIT_FINDINGS if has_errors or not self.files else EXIT_OK

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON takes it."""
        return {**asdict(self), "problems": [problem.model_dump() for problem in self.problems]}


def check_path(
    path: str,
    *,
    recursive: bool = True,
    limit: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> PathReport:
    """Look at everything below a folder, and remember nothing.

    Args:
        path: a local folder.
        recursive: whether to look into the folders below it.
        limit: stop soon after so many files; the report says then that it is a sample.
        progress: called with the number of files so far.

    Raises:
        OutOfReach: not there, not a folder, no permission, or of a kind that is not supported yet.
    """
    source = Source(path, recursive=recursive)
    root = source.root()
    with (
        tempfile.TemporaryDirectory(prefix="synapse-skills-") as folder,
        Inventory(Path(folder) / "inventory.sqlite") as inventory,
    ):
        walk = inventory.walk([source], progress=progress, limit=limit)
        counts = inventory.counts()
    entries, entry_count = _entries(root)
    suffixes = list(counts.by_suffix.items())
    rest = [counts.other, *(numbers for _, numbers in suffixes[_MOST_SUFFIXES:])]
    by_extension = {suffix: {"files": files, "bytes": size} for suffix, (files, size) in suffixes[:_MOST_SUFFIXES]}
    if any(files for files, _ in rest):
        by_extension["*"] = {"files": sum(files for files, _ in rest), "bytes": sum(size for _, size in rest)}
    return PathReport(
        path=printable(str(root)),
        kind="local",
        reachable=True,
        recursive=recursive,
        is_sample=not walk.complete,
        folders=walk.folders,
        files=walk.files,
        bytes=walk.bytes,
        by_extension=by_extension,
        entries=entries,
        entry_count=entry_count,
        problems=walk.problems.as_list(),
    )


def _entries(root: Path) -> tuple[list[str], int]:
    """The first names of a folder, however many it has."""
    count = 0

    def names() -> Iterator[tuple[str, bool]]:
        nonlocal count
        with os.scandir(root) as found:
            for entry in found:
                count += 1
                yield entry.name, entry.is_dir(follow_symlinks=False)

    first = heapq.nsmallest(_MOST_ENTRIES, names())
    return [printable(name) + ("/" if is_folder else "") for name, is_folder in first], count


@contextlib.contextmanager
def counting(*, quiet: bool) -> Iterator[Callable[[int], None] | None]:
    """A count that runs on a terminal while the walk does; nothing anywhere else."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("Looking…") as status:
        yield lambda files: status.update(f"{files:,} files so far…")


def show_report(report: PathReport) -> None:
    """Print a report for people."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.print(Text(report.path, style="bold"))
    below = "and what is below it" if report.recursive else "without what is below it"
    console.print(Text(f"  local folder, reachable, {below}"))
    about = "at least " if report.is_sample else ""
    console.print(
        Text(f"  {about}{report.files:,} files in {report.folders:,} folders below it, {human_bytes(report.bytes)}")
    )
    if report.is_sample:
        console.print(Text("  a sample: the look ended at --limit, so the counts are those of a part"))
    if report.by_extension:
        table = Table("extension", box=None, padding=(0, 2))
        table.add_column("files", justify="right")
        table.add_column("size", justify="right")
        for suffix, numbers in report.by_extension.items():
            name = {"": "(none)", "*": "(others)"}.get(suffix, printable(suffix))
            table.add_row(Text(name), f"{numbers['files']:,}", human_bytes(numbers["bytes"]))
        console.print(table)
    more = f" and {report.entry_count - len(report.entries):,} more" if report.entry_count > len(report.entries) else ""
    console.print(Text(f"  in it: {', '.join(report.entries) or 'nothing'}{more}"))
    for problem in report.problems:
        console.print(Text(f"{problem.severity}: {problem.code} ({problem.count:,})"))
        for example in problem.examples:
            console.print(Text(f"  {printable(example)}"))
        if problem.fix:
            console.print(Text(f"  next: {problem.fix}"))


def human_bytes(size: int) -> str:
    """`1.4 MB`, in steps of 1024 as file managers show them."""
    number = float(size)
    for unit in ("bytes", "KB", "MB", "GB"):
        if number < 1024:
            return f"{number:,.0f} {unit}" if unit == "bytes" else f"{number:,.1f} {unit}"
        number /= 1024
    return f"{number:,.1f} TB"
