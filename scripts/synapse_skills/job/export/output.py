"""The output folder: whose it is, what is under way in it, and what says that it is complete.

Everything is written beside its place (`coco.partial/`) and takes it only after it was verified; the manifest follows,
and `COMPLETE`, which holds the manifest's SHA-256, comes last. Without it an output is unfinished, whatever lies there.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synapse_skills.errors import FindingError, OutOfReach, UsageError, printable
from synapse_skills.export_plan import ExportPlan
from synapse_skills.job.export.manifest import files_below, read_manifest, walk, write_manifest
from synapse_skills.on_disk import remove_folder
from synapse_skills.report import write_bytes, write_json
from synapse_skills.texts import parse_json

MARKER = ".synapse-export"
MANIFEST = "manifest.json"
COMPLETE = "COMPLETE"
METADATA = "metadata"
ORIGINALS = "originals"
EXTRA = "extra"
"""Files that a plugin's own code has written beside the formats."""
SUMMARY = "export_summary.json"
PARTIAL = ".partial"
OURS = (MARKER, MANIFEST, COMPLETE)


def marker_of(plan: ExportPlan) -> dict[str, Any]:
    """What says whose an output is."""
    return {
        "kind": "export",
        "name": plan.name,
        "target": plan.target,
        "project": plan.project,
        "ground_truth_version": plan.ground_truth_version,
    }


class Output:
    """The output folder of one export.

    Args:
        folder: absolute.
        is_staged: it is our own copy of what goes to a storage: nobody's edits have to be kept.
        is_shared: other machines write to it; one that a killed run has lost may do so for a while after it.

    Attributes:
        extra: a folder whose files come along beside the formats, if there are any.
    """

    def __init__(self, folder: Path, plan: ExportPlan, *, is_staged: bool = False, is_shared: bool = False) -> None:
        self.folder = folder
        self._run = f".{secrets.token_hex(4)}" if is_shared else ""
        self.is_staged = is_staged
        self.extra: Path | None = None
        self._mine = marker_of(plan)

    def check_place(self, state: Path) -> None:
        """Make sure that it is a place of its own: `--fresh` removes what lies in the state.

        Raises:
            UsageError: it is no path. FindingError: it lies in the state.
        """
        shown = printable(str(self.folder))
        if "\0" in str(self.folder):
            raise UsageError(f"{shown} is no path.", hint="Name another one with --output.", code="not-a-folder")
        if self.folder.resolve().is_relative_to(state.resolve()):
            raise FindingError(
                f"{shown} lies in the state of this job, which is removed by --fresh.",
                hint="Name a folder beside it with --output.",
                code="output-not-ours",
            )

    def claim(self) -> None:
        """Make it ours, or find that it is somebody else's.

        Raises:
            UsageError: it is no folder. FindingError: it holds something else than this job's output.
            OutOfReach: it can't be written.
        """
        shown = printable(str(self.folder))
        try:
            if self.folder.exists() and not self.folder.is_dir():
                raise UsageError(
                    f"{shown} is not a folder.", hint="Name another one with --output.", code="not-a-folder"
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_unmarked()
            if any(self.folder.iterdir()):
                if self._theirs() != self._mine:
                    raise FindingError(
                        f"{shown} is not empty, and what is in it is not this job's.",
                        hint="Name an empty or new folder with --output (or plan another output).",
                        code="output-not-ours",
                    )
            else:
                write_json(self.folder / MARKER, self._mine)
        except OSError as error:
            raise OutOfReach(
                f"The output {shown} can't be written: {error.strerror or error}.",
                hint="Name another folder with --output, or mend its permissions.",
                code="output-denied",
            ) from None

    def _remove_unmarked(self) -> None:
        """Remove what a run has left that was killed while it made the marker: the folder is nobody's still."""
        if not (self.folder / MARKER).exists():
            for half in self.folder.glob(f".{MARKER}.*"):
                half.unlink(missing_ok=True)

    def keeps(self, plan: ExportPlan) -> None:
        """Refuse to remove what an earlier export of this job has finished here, without a word about it in the plan.

        Raises:
            FindingError: the output is complete, and holds formats that the plan neither writes nor replaces.
        """
        if gone := would_remove(self.folder, plan):
            raise removal_refused(str(self.folder), gone)

    def _theirs(self) -> Any:
        try:
            return parse_json((self.folder / MARKER).read_bytes())
        except (OSError, ValueError):
            return None

    @property
    def is_complete(self) -> bool:
        """Whether an export was finished here."""
        return (self.folder / COMPLETE).is_file()

    def partial(self, name: str) -> Path:
        """An empty folder in which something is written; what an earlier run left there is removed."""
        folder = self.beside(name)
        if folder.exists():
            remove_folder(folder)
        folder.mkdir()
        return folder

    def beside(self, name: str) -> Path:
        """Where a folder is written before it takes its place."""
        return self.folder / f"{name}{self._run}{PARTIAL}"

    def take_extra(self) -> list[str]:
        """Copy what comes along beside its place; the name of its folder, if there is anything."""
        if self.extra is None or next(walk(self.extra), None) is None:
            return []
        shutil.copytree(self.extra, self.beside(EXTRA))
        return [EXTRA]

    def drop_partials(self) -> None:
        """Remove what is half written."""
        for path in self.folder.glob(f"*{PARTIAL}"):
            if path.is_dir() and not path.is_symlink():
                with contextlib.suppress(OSError):
                    remove_folder(path)
            else:
                # A link would be written through, to wherever it leads.
                path.unlink()

    def install(self, names: list[str]) -> None:
        """Put what is verified in its place; from here until `finish` the output is not complete."""
        before = self._installed()
        (self.folder / COMPLETE).unlink(missing_ok=True)
        (self.folder / MANIFEST).unlink(missing_ok=True)
        for name in sorted({*names, *before}):
            target, partial = self.folder / name, self.beside(name)
            if target.exists():
                remove_folder(target)
            if name == ORIGINALS and partial.exists() and not any(partial.iterdir()):
                partial.rmdir()
            elif partial.exists():
                partial.rename(target)

    def _installed(self) -> set[str]:
        """Folders that an earlier export put here; a format may not be asked for any more."""
        return installed_in(self.folder)

    def finish(self, names: list[str], counts: Mapping[str, Any]) -> tuple[int, int]:
        """Write the manifest of what was installed, then `COMPLETE`; how many files and bytes that is."""
        path = self.folder / MANIFEST
        temporary = path.with_name(f"{MANIFEST}{PARTIAL}")
        every = itertools.chain.from_iterable(files_below(self.folder, name) for name in sorted(names))
        files, size, digest = write_manifest(temporary, counts, every)
        temporary.replace(path)
        write_bytes(self.folder / COMPLETE, f"{digest}\n".encode())
        return files, size

    def manifest_digest(self) -> str:
        """What `COMPLETE` says of the manifest; '' if there is none."""
        try:
            return (self.folder / COMPLETE).read_text(encoding="ascii").strip()
        except (OSError, UnicodeError):
            return ""


def removal_refused(place: str, gone: list[str]) -> FindingError:
    """The error of a plan that would remove finished formats."""
    named = ", ".join(map(printable, gone))
    return FindingError(
        f"{printable(place)} holds a finished export as {named}, which this one would remove.",
        hint=f"Name another place with --output, or plan with replaces={named.replace(', ', ',')}.",
        code="would-remove",
    )


def installed_in(folder: Path) -> set[str]:
    """Folders that the manifest of an output names."""
    marks: set[str] = set()
    with contextlib.suppress(OSError, ValueError):
        marks = {each.path.partition("/")[0] for each in read_manifest(folder / MANIFEST).files()}
    return {name for name in marks if (folder / name).is_dir() and name not in (".", "..")}


def finished_formats(folder: Path) -> list[str]:
    """The formats of the finished export in an output; none if it is not finished."""
    there = installed_in(folder) if (folder / COMPLETE).is_file() else set()
    return sorted(there - {METADATA, ORIGINALS, EXTRA})


def would_remove(folder: Path, plan: ExportPlan) -> list[str]:
    """Formats of a finished export that a plan would remove, and has no word for it."""
    return removed_by(plan, finished_formats(folder))


def removed_by(plan: ExportPlan, there: list[str]) -> list[str]:
    """Of the formats that are there, those that a plan would remove, and has no word for it."""
    spared = {*(each.name for each in plan.formats), *plan.replaces}
    return [name for name in there if name not in spared]


def place(source: Path, target: Path) -> bool:
    """Put a file of the store into the output, as a link where the file system can; False if it isn't there."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except FileExistsError:
            target.unlink()
            os.link(source, target)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES, errno.ENOSYS):
            raise
        shutil.copyfile(source, target)
    return True
