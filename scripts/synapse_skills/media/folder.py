"""All of a folder converted into another one: in parallel, going on where it was, the originals untouched."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from synapse_skills.errors import (
    EXIT_ENVIRONMENT,
    EXIT_FINDINGS,
    EXIT_INCOMPLETE,
    EXIT_OK,
    Interrupted,
    OutOfReach,
    UsageError,
    interruptible,
    printable,
    redact,
)
from synapse_skills.media.conversion import ALL_TARGETS, estimate, needs_ffmpeg
from synapse_skills.media.failures import DiskFull, NoFfmpeg
from synapse_skills.media.ffmpeg import find_ffmpeg
from synapse_skills.media.manifest import Manifest, sweep
from synapse_skills.media.pool import Job, Outcome, convert_all
from synapse_skills.media.tree import Found, Original, find, is_plain, result_names
from synapse_skills.texts import human_bytes

MAX_TOLD = 1_000
_MAX_WORKERS = 8
_NOTE_KINDS = 50

Progress = Callable[[int, int, int], None]


@dataclass
class FolderReport:
    """What became of a folder.

    Attributes:
        found: files that can become the target: converted + already + failed + pending.
        already: converted by an earlier run, and not changed since.
        pending: not tried, because the run had to stop.
        left: what was not looked at further, counted by kind.
        renamed: results that keep the extension of their original in their name, as another one has the plain name.
        notes: what is not as in the originals, and in how many.
        failures: file, code and reason; the first thousand.
    """

    source: str
    out: str
    to: str
    found: int = 0
    converted: int = 0
    already: int = 0
    failed: int = 0
    pending: int = 0
    bytes: int = 0
    seconds: float = 0.0
    left: dict[str, int] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    renamed_count: int = 0
    notes: dict[str, int] = field(default_factory=dict)
    failures: list[dict[str, str]] = field(default_factory=list)
    stopped_by: str = ""
    hint: str = ""

    @property
    def exit_code(self) -> int:
        """3 if the environment stopped it, 1 if there was nothing to convert, 5 if some failed."""
        if self.stopped_by:
            return EXIT_ENVIRONMENT
        if not self.found:
            return EXIT_FINDINGS
        return EXIT_INCOMPLETE if self.failed else EXIT_OK

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON takes it."""
        return {**asdict(self), "exit_code": self.exit_code}

    def fail(self, path: str, code: str, reason: str) -> None:
        """Count one that could not be converted."""
        self.failed += 1
        if len(self.failures) < MAX_TOLD:
            self.failures.append({"file": printable(path), "code": code, "reason": redact(printable(reason))})


def target_named(text: str) -> str:
    """`.png` for `png`, `.PNG` and so on.

    Raises:
        UsageError: nothing becomes that.
    """
    target = "." + text.strip().lower().lstrip(".")
    target = ".jpg" if target == ".jpeg" else target
    if target not in ALL_TARGETS:
        raise UsageError(f"Nothing is converted to {printable(text)}.", hint=f"One of {', '.join(ALL_TARGETS)}.")
    return target


def convert_folder(
    source: Path, target: str, out: Path, *, workers: int | None = None, progress: Progress | None = None
) -> FolderReport:
    """Convert what can become `target` in a file or folder; what an earlier run has done is not done again.

    Args:
        source: a file, or a folder that is looked at with all folders below it.
        target: `.png`, `.jpg`, `.mp4`, `.mp3`, `.m4a`, `.aac` or `.json`.
        out: where the results go, in the same folders as in the source.
        workers: how many at once; as many as there are processors if None, fewer for what ffmpeg does.
        progress: called with how many are done, failed and to do in all.

    Raises:
        UsageError: source and out can't go together.
        OutOfReach: no source, no ffmpeg, no room, no permission, or another run is under way.
        Interrupted: SIGTERM or Ctrl-C; all workers have ended.
    """
    began = time.monotonic()
    report = FolderReport(printable(str(source)), printable(str(out)), target)
    try:
        with interruptible():
            _begin(source, out, workers, progress, report)
    except KeyboardInterrupt:
        raise Interrupted(f"Interrupted: {report.converted:,} of {report.found:,} converted now.") from None
    report.seconds = round(time.monotonic() - began, 1)
    return report


def _begin(source: Path, out: Path, workers: int | None, progress: Progress | None, report: FolderReport) -> None:
    _check_places(source, out)
    found = find(source, report.to, leave_out=out)
    report.left = dict(sorted(found.left.items()))
    if not found.originals:
        report.found = len(found.unreadable)
        for path, reason in found.unreadable:
            report.fail(path, "unreadable-file", reason)
        return
    if find_ffmpeg() is None and any(needs_ffmpeg(each.suffix, report.to) for each in found.originals):
        raise NoFfmpeg(f"Converting to {report.to} needs ffmpeg, and there is none here.")
    _make(out)
    manifest = Manifest(out, source.parent if source.is_file() else source, report.to)
    try:
        _convert(found, manifest, source, out, workers, progress, report)
    finally:
        manifest.close()


def _check_places(source: Path, out: Path) -> None:
    if not source.exists():
        raise OutOfReach(
            f"There is no {printable(str(source))}.", hint="Check the spelling, and the mount.", code="source-missing"
        )
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {printable(str(out))} is a file.", hint="Name a folder; it need not exist.")
    if out.exists() and source.is_dir() and out.samefile(source):
        raise UsageError("--out is the folder itself.", hint="Name another one, so that the originals stay apart.")


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutOfReach(
            f"--out {printable(str(out))} can't be made: {error.strerror}",
            hint="Check its permissions.",
            code="os-error",
        ) from None


def _convert(
    found: Found,
    manifest: Manifest,
    source: Path,
    out: Path,
    workers: int | None,
    progress: Progress | None,
    report: FolderReport,
) -> None:
    sweep(out)
    target, notes = report.to, Counter[str]()
    root = source.parent if source.is_file() else source
    report.found = len(found.originals) + len(found.unreadable)
    for path, reason in found.unreadable:
        report.fail(path, "unreadable-file", reason)
    originals = [each for each in found.originals if _is_writable(each, report)]
    names = result_names(originals, target, manifest.names, lambda name: os.path.lexists(out / name))
    for path, name in names.items():
        if not is_plain(path, name, target):
            report.renamed_count += 1
            if len(report.renamed) < MAX_TOLD:
                report.renamed[printable(path)] = name
    to_do = []
    for original in originals:
        if manifest.is_done(original):
            report.already += 1
            notes.update(manifest.notes(original))
        elif manifest.is_foreign(original):
            reason = f"{names[original.path]} was changed by somebody since it was made: move it away"
            report.fail(original.path, "conversion-failed", reason)
        else:
            to_do.append(original)
    _check_room(to_do, target, out)
    manifest.name(names.items())
    jobs = (
        Job(number, str(root / each.path), each.suffix, str(out / names[each.path]), each.size, each.modified_ns)
        for number, each in enumerate(to_do)
    )
    try:
        with contextlib.closing(convert_all(jobs, workers or _usual_workers(to_do, target))) as outcomes:
            for outcome in outcomes:
                _count(outcome, to_do[outcome.number], manifest, notes, report)
                if progress:
                    progress(report.converted, report.failed, len(to_do))
                if report.stopped_by:
                    break
    finally:
        sweep(out)
    report.pending = report.found - report.converted - report.already - report.failed
    report.notes = dict(sorted(notes.most_common(_NOTE_KINDS)))


def _count(outcome: Outcome, original: Original, manifest: Manifest, notes: Counter[str], report: FolderReport) -> None:
    if outcome.made is None:
        report.fail(original.path, outcome.code, outcome.reason)
        if outcome.stops:
            report.stopped_by, report.hint = outcome.code, outcome.hint
        return
    manifest.done(original, outcome.made)
    report.converted += 1
    report.bytes += outcome.made.bytes
    notes.update(outcome.made.notes)


def _is_writable(original: Original, report: FolderReport) -> bool:
    try:
        original.path.encode()
    except UnicodeEncodeError:
        report.fail(original.path, "undecodable-name", "its name is not UTF-8")
        return False
    return True


def _check_room(to_do: list[Original], target: str, out: Path) -> None:
    """Refused if the results may not fit; a guess, but on the safe side."""
    wanted = sum(estimate(each.suffix, target, each.size) for each in to_do)
    free = shutil.disk_usage(out).free
    if wanted > free:
        raise DiskFull(
            f"{len(to_do):,} files to convert may need {human_bytes(wanted)}, and {human_bytes(free)} are free "
            f"in {printable(str(out))}."
        )


def _usual_workers(to_do: list[Original], target: str) -> int:
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if any(needs_ffmpeg(each.suffix, target) for each in to_do):
        processors = max(1, processors // 2)  # each takes two
    return min(processors, _MAX_WORKERS)
