"""What is at a path: the report of `check_path`."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from synapse_skills.errors import EXIT_FINDINGS, EXIT_OK, printable
from synapse_skills.report import Problem
from synapse_skills.sources.access import Access, reach
from synapse_skills.sources.inventory import Inventory
from synapse_skills.sources.source import File, Source, suffix_of
from synapse_skills.sources.walk import Walk
from synapse_skills.texts import human_bytes

_MOST_ENTRIES = 12
_MOST_SUFFIXES = 20
_MOST_DEPTHS = 20
# Extensions and top-level folders that are counted one by one; a tree may have a million of either.
_MOST_COUNTED = 10_000
_SHOWN_CHARS = 60


@dataclass
class PathReport:
    """What a look at a path has found.

    Attributes:
        kind: `local`, the scheme of a URL, `storage`, or `on-agent` for what the cluster sees.
        credentials: which login it was read with, in words; '' for a folder.
        is_sample: the look ended at `limit`, so the counts are those of a part.
        limit: the limit that was set, None without one.
        by_extension: files and bytes of the commonest extensions; '' is none, '*' is the rest of them.
        by_depth: files so many folders below the path, from '0' (directly in it) on; '*' is deeper still.
        entries: the first names in the folder by alphabet, folders with a slash.
        entry_files: how many of the files lie in each of these folders.
        entry_count: how many names it holds.
    """

    path: str
    kind: str
    reachable: bool
    recursive: bool
    is_sample: bool
    limit: int | None
    folders: int
    files: int
    bytes: int
    by_extension: dict[str, dict[str, int]]
    by_depth: dict[str, int]
    entries: list[str]
    entry_files: dict[str, int]
    entry_count: int
    credentials: str = ""
    problems: list[Problem] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """1 if there is nothing to upload or something is wrong that the counts depend on."""
        has_errors = any(problem.severity == "error" for problem in self.problems)
        return EXIT_FINDINGS if has_errors or not self.files else EXIT_OK

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON takes it; a local folder has no login, so nothing is said about one."""
        found = {**asdict(self), "problems": [problem.model_dump() for problem in self.problems]}
        if not self.credentials:
            del found["credentials"]
        return found


@dataclass
class _Tally:
    """Counts of one pass over the files, bounded whatever their names are."""

    extensions: dict[str, list[int]] = field(default_factory=dict)
    depths: dict[int, int] = field(default_factory=dict)
    tops: dict[str, int] = field(default_factory=dict)

    def add(self, file: File, extension: str) -> None:
        """Count one file."""
        if extension not in self.extensions and len(self.extensions) >= _MOST_COUNTED:
            extension = "*"
        held = self.extensions.setdefault(extension, [0, 0])
        held[0] += 1
        held[1] += file.size
        depth = file.path.count("/")
        self.depths[depth] = self.depths.get(depth, 0) + 1
        if depth:
            top = file.path[: file.path.index("/")]
            if top in self.tops:
                self.tops[top] += 1

    def by_extension(self) -> dict[str, dict[str, int]]:
        """The commonest first, the rest together."""
        rest = self.extensions.pop("*", [0, 0])
        ordered = sorted(self.extensions.items(), key=lambda item: (-item[1][0], item[0]))
        for _, (files, size) in ordered[_MOST_SUFFIXES:]:
            rest = [rest[0] + files, rest[1] + size]
        shown = [*ordered[:_MOST_SUFFIXES], *([("*", rest)] if rest[0] else [])]
        return {extension: {"files": files, "bytes": size} for extension, (files, size) in shown}

    def by_depth(self) -> dict[str, int]:
        """The upper levels one by one, what is deeper together."""
        shown = {str(depth): self.depths[depth] for depth in sorted(self.depths) if depth < _MOST_DEPTHS}
        deeper = sum(files for depth, files in self.depths.items() if depth >= _MOST_DEPTHS)
        return shown | ({"*": deeper} if deeper else {})


def check_path(
    path: str,
    *,
    storage: int | None = None,
    recursive: bool = True,
    limit: int | None = None,
    progress: Callable[[int], None] | None = None,
    extension_of: Callable[[str], str] = suffix_of,
) -> PathReport:
    """Look at everything below a folder, and remember nothing.

    Args:
        path: a local folder or a URL.
        storage: the storage of the backend that the path is relative to.
        recursive: whether to look into the folders below it.
        limit: stop after so many files; the report says then that it is a sample. Beyond the first thousand no folder
            gives more than half of what is left to take, so that a large one does not hide the others.
        progress: called with the number of files so far.
        extension_of: what counts as the extension of a name, such as `.nii.gz`.

    Raises:
        OutOfReach: not there, not a folder, no permission, no login, or of a kind that is not supported.
    """
    source = Source(path, recursive=recursive, storage=storage)
    with reach(source) as way:
        names, entry_count = _entries(way, limit)
        shown, credentials = printable(way.name), way.credentials if way.is_remote else ""
    tally = _Tally(tops={name: 0 for name, is_folder in names if is_folder})
    with tempfile.TemporaryDirectory(prefix="synapse-skills-") as folder:

        def look(name: str, *, spread: bool) -> Walk:
            with Inventory(Path(folder) / name) as inventory:
                walk = inventory.walk([source], progress=progress, limit=limit, spread=spread)
                if spread or walk.complete:
                    for file in inventory.files():
                        tally.add(file, extension_of(file.path.rpartition("/")[2]))
                return walk

        walk = look("all.sqlite", spread=False)
        if not walk.complete:
            # Only now is it known to be a sample: taken again, from all over.
            walk = look("some.sqlite", spread=True)
    return PathReport(
        path=shown,
        kind=source.kind,
        reachable=True,
        recursive=recursive,
        is_sample=not walk.complete,
        limit=limit,
        folders=walk.folders,
        files=walk.files,
        bytes=walk.bytes,
        by_extension=tally.by_extension(),
        by_depth=tally.by_depth(),
        entries=[_shown(name, is_folder) for name, is_folder in names],
        entry_files={_shown(name, True): tally.tops[name] for name, is_folder in names if is_folder},
        entry_count=entry_count,
        credentials=credentials,
        problems=walk.problems.as_list(),
    )


def _entries(way: Access, limit: int | None) -> tuple[list[tuple[str, bool]], int]:
    """The first names of a folder, however many it has, and how many it has (of a sample elsewhere, at least)."""
    count = 0

    def names() -> Iterator[tuple[str, bool]]:
        nonlocal count
        for name, is_folder in itertools.islice(way.entries(), None if not way.is_remote else limit):
            count += 1
            yield name, is_folder

    return heapq.nsmallest(_MOST_ENTRIES, names()), count


def _shown(name: str, is_folder: bool) -> str:
    return printable(name) + ("/" if is_folder else "")


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
    whose = {"on-agent": "folder as the cluster sees it", "local": "local folder"}.get(report.kind, report.kind)
    if report.credentials:
        whose += f" (login: {report.credentials})"
    console.print(Text(f"  {whose}, reachable, {below}"))
    about = "at least " if report.is_sample else ""
    folders = f"{report.folders:,} folder{'' if report.folders == 1 else 's'} below it"
    console.print(Text(f"  {about}{_files(report.files)} in {folders}, {human_bytes(report.bytes)}"))
    if report.is_sample:
        console.print(
            Text(f"  a sample: the look ended at --limit {report.limit:,}, so all counts are those of a part")
        )
    if report.by_extension:
        table = Table("extension", box=None, padding=(0, 2))
        table.add_column("files", justify="right")
        table.add_column("size", justify="right")
        for suffix, numbers in report.by_extension.items():
            name = {"": "(none)", "*": "(others)"}.get(suffix) or _cut(printable(suffix))
            table.add_row(Text(name), f"{numbers['files']:,}", human_bytes(numbers["bytes"]))
        console.print(table)
    if len(report.by_depth) > 1 or "0" not in report.by_depth:
        told = [f"{_level(depth)} {files:,}" for depth, files in report.by_depth.items()]
        console.print(Text(f"  files by depth: {', '.join(told)}"))
    more = f" and {report.entry_count - len(report.entries):,} more" if report.entry_count > len(report.entries) else ""
    entries = [
        _cut(name) + (f" ({_files(report.entry_files[name])})" if name in report.entry_files else "")
        for name in report.entries
    ]
    console.print(Text(f"  in it: {', '.join(entries) or 'nothing'}{more}"))
    for problem in report.problems:
        console.print(Text(f"{problem.severity}: {problem.code} ({problem.count:,})"))
        for example in problem.examples:
            console.print(Text(f"  {printable(example)}"))
        if problem.fix:
            console.print(Text(f"  next: {problem.fix}"))


def _level(depth: str) -> str:
    if depth == "0":
        return "directly in it"
    return f"{_MOST_DEPTHS} or more folders down" if depth == "*" else f"{depth} down"


def _files(count: int) -> str:
    return f"{count:,} file{'' if count == 1 else 's'}"


def _cut(name: str) -> str:
    return name if len(name) <= _SHOWN_CHARS else f"{name[: _SHOWN_CHARS - 1]}…"
