"""stage → send → release: what is sent for a file of a data unit.

A file here that the collection takes is sent as it is, and costs nothing. One that it does not take is converted
first, into a folder of this run's own, checked as it will arrive, sent, and removed. One that lies elsewhere is copied
there, whole and unchanged since it was listed, shown to the content guard, sent, and removed. Each way has a lane of
its own, so many at a time, and there is no more on the disk than there is room for.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from synapse_skills.backend.transfer import CHANGED
from synapse_skills.errors import OutOfReach, SkillsError
from synapse_skills.job.upload.create import Stopped
from synapse_skills.media import ConversionFailed, NotWritten, convert, estimate, needs_ffmpeg, stop_conversions
from synapse_skills.plan import UploadPlan
from synapse_skills.report import Problems
from synapse_skills.sources import Access, File, FileChanged, FileVanished
from synapse_skills.units.checks import MEBIBYTE, by_spec, converts
from synapse_skills.units.guard import ask_guard_about_copy

FOLDER = "staging"
# Seconds that ffmpeg may take for one file, where its own are not meant.
CONVERSION_VARIABLE = "SYNAPSE_SKILLS_CONVERSION_S"
QUICK, FFMPEG, REMOTE = "quick", "ffmpeg", "remote"
# So many files are brought near at once: a request for a small one is almost only waiting.
FETCHES = 8
# What may lie in the folder at once, by number too: a million labels of 1 KB are a burden to any file system.
KEEP_FILES = 512
# And by size, and what is left free on its disk: the ledger and the journal live there too.
KEEP, SPARE = 4 << 30, 64 << 20
_STOP_S = 0.2
# Said of a result that looks as the original does: told, but nothing to think about.
_AS_IT_WAS = frozenset({"16 bit kept", "turned as its EXIF says"})


class Unfit(SkillsError):
    """What would be sent of this file is not fit to be sent: its data unit is set aside."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Staged:
    """What is sent for one file.

    Attributes:
        name: as it arrives.
        size: in bytes.
        open: for reading, as often as it is sent.
        path: where it lies if it was made for this; None for a file that is sent as it is.
        unchanged: whether what was read is still what was listed; None where nothing can have changed.
    """

    name: str
    size: int
    open: Callable[[], BinaryIO]
    path: Path | None = None
    unchanged: Callable[[BinaryIO], bool] | None = None


class Stager:
    """Turns files into what is sent.

    Args:
        folder: for what is made; nothing else is in it, and what an earlier run has left is removed by `open`.
        ways: to the sources.
        problems: gets what is not in the result as it was in the original.
        timeout: seconds for ffmpeg; its own if None.
        cores: how many of this machine's it may keep busy; all of them if None.
    """

    def __init__(
        self,
        plan: UploadPlan,
        folder: Path,
        *,
        ways: Sequence[Access],
        problems: Problems,
        timeout: float | None = None,
        cores: int | None = None,
    ) -> None:
        self._targets = Targets(plan)
        self._folder = folder
        self._most_mb = plan.limits.max_file_size_mb
        self._ways = ways
        self._problems = problems
        self._timeout = timeout
        cores = cores or os.cpu_count() or 1
        self.lanes: dict[str, int] = {QUICK: min(4, cores), FFMPEG: 1 if cores < 4 else 2} if plan.conversions else {}
        if any(way.is_remote for way in ways):
            self.lanes[REMOTE] = FETCHES
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._running: set[Future[tuple[Staged, tuple[str, ...]]]] = set()
        self._numbers = itertools.count(1)
        self._held = 0  # bytes of results that wait to be sent
        self._held_files = 0
        self._promised = 0  # bytes that what is being made may come to
        self._fetched: dict[int, File] = {}  # the last one of each source that could be read
        self._moved = asyncio.Event()
        self._stopped = threading.Event()
        self._noted: set[str] = set()

    def open(self) -> None:
        """Remove what a killed run has left, and make the folder if anything is to be staged.

        Raises:
            OSError: it can't be.
        """
        empty(self._folder)
        if self.lanes:
            self._folder.mkdir(mode=0o700)
            self._pools = {
                lane: ThreadPoolExecutor(width, thread_name_prefix=f"staging-{lane}")
                for lane, width in self.lanes.items()
            }

    def lane(self, spec: str, file: File) -> str:
        """Where a file waits to be staged; '' if it is sent as it is."""
        target = self._targets.of(spec, file)
        if target:
            return FFMPEG if needs_ffmpeg(file.suffix, target) else QUICK
        return REMOTE if self._ways[file.source].is_remote else ""

    def target(self, spec: str, file: File) -> str:
        """What a file becomes (`.png`); '' if it is sent as it is."""
        return self._targets.of(spec, file)

    def name(self, spec: str, file: File) -> str:
        """A file's name as it arrives."""
        return self._targets.name(spec, file)

    def plain(self, file: File) -> Staged:
        """A file that is sent as it is."""
        way = self._ways[file.source]
        return Staged(file.name, file.size, lambda: way.open(file), unchanged=lambda stream: as_listed(stream, file))

    async def stage(self, spec: str, file: File) -> Staged:
        """Make what is sent for a file; to be given back with `release`, whatever becomes of it.

        Raises:
            Unfit, ConversionFailed: this file's data unit can't be sent. OSError: the file can't be read.
            OutOfReach: no file like it can be sent here: the disk is full, there is no ffmpeg.
            Stopped: the run is being stopped.
        """
        target = self._targets.of(spec, file)
        is_remote = self._ways[file.source].is_remote
        if not target and not is_remote:
            return self.plain(file)
        need = room_for(file, target, is_remote=is_remote)
        await self._room(need, file)
        self._promised += need
        try:
            path = self._folder / f"{next(self._numbers)}{target or '.copy'}"
            work = self._pools[self.lane(spec, file)].submit(self._make, spec, file, target, path)
            self._running.add(work)
            work.add_done_callback(self._running.discard)
            staged, notes = await asyncio.wrap_future(work)
        except Exception as error:
            if self._stopped.is_set():
                # Its converter was ended: that says nothing about the file.
                raise Stopped from error
            raise
        finally:
            self._promised -= need
            self._moved.set()
        self._held += staged.size
        self._held_files += 1
        for note in notes:
            self._note(file, note)
        return staged

    def release(self, staged: Staged | None) -> None:
        """It has arrived, or will not be sent: what was made for it goes."""
        if staged is None or staged.path is None:
            return
        staged.path.unlink(missing_ok=True)
        self._held -= staged.size
        self._held_files -= 1
        self._moved.set()

    def stop(self) -> None:
        """End what is being made, at once where another program or a far end has to do it."""
        if self.lanes and not self._stopped.is_set():
            # What has not begun is not cancelled: it sees this, and whoever waits for it is told why.
            self._stopped.set()
            self._moved.set()
            stop_conversions()
            for way in self._ways:
                way.close()

    def close(self) -> None:
        """Stop, and leave nothing behind."""
        self.stop()
        while self._running:
            # One may have been between being allowed and being started when the others were ended.
            wait(list(self._running), timeout=_STOP_S)
            stop_conversions()
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)
        empty(self._folder)

    async def _room(self, need: int, file: File) -> None:
        """Wait until a result of this size has room beside the others.

        Raises:
            OutOfReach: it has none even when it is alone.
            Stopped: the run is being stopped: what lies there may never be sent, so nobody makes room any more.
        """
        while True:
            if self._stopped.is_set():
                raise Stopped
            try:
                free = free_bytes(self._folder) - self._promised
            except OSError as error:
                raise self.broken(error) from None
            fits = need + SPARE <= free
            alone = not self._held and not self._promised
            few = self._held_files < KEEP_FILES and self._held + self._promised + need <= KEEP
            if fits and (alone or few):
                return
            if alone:
                raise no_room(self._folder, free, need, f"{file.path} may take")
            self._moved.clear()
            await self._moved.wait()

    def _make(self, spec: str, file: File, target: str, path: Path) -> tuple[Staged, tuple[str, ...]]:
        """In a thread: bring one file near or convert it, and look at what will be sent."""
        if self._stopped.is_set():
            raise Stopped
        if target:
            return self._converted(spec, file, target, path)
        self._fetch(file, path)
        try:
            if why := ask_guard_about_copy(file.name, path):
                raise Unfit("refused-by-guard", f"it is refused: {why}")
        except OSError as error:
            path.unlink(missing_ok=True)
            raise self.broken(error) from None
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return Staged(file.name, file.size, lambda: path.open("rb"), path), ()

    def _fetch(self, file: File, to: Path) -> None:
        """Copy a file from elsewhere, as it was listed."""
        way = self._ways[file.source]
        try:
            way.fetch(file, to)
        except FileVanished as error:
            raise Unfit("vanished", str(error)) from None
        except FileChanged as error:
            raise Unfit(CHANGED, str(error)) from None
        except OutOfReach as error:
            if error.code != "source-denied" or not self._may_still_read(file.source):
                raise
            raise Unfit("unreadable-file", str(error)) from None
        except OSError as error:
            raise self.broken(error) from None
        self._fetched[file.source] = file

    def _may_still_read(self, source: int) -> bool:
        """Whether a file could be read before, and can be still: then it is one that is closed, and not the source."""
        before = self._fetched.get(source)
        if before is None:
            return False
        try:
            with self._ways[source].open(before.path) as stream:
                stream.read(1)
        except SkillsError:
            return False
        return True

    def _converted(self, spec: str, file: File, target: str, path: Path) -> tuple[Staged, tuple[str, ...]]:
        way = self._ways[file.source]
        copy = path.with_suffix(".original")
        try:
            if way.is_remote:
                self._fetch(file, copy)
            with copy.open("rb") if way.is_remote else way.open(file) as stream:
                made = convert(stream, file.suffix, path, timeout=self._timeout)
        except (OSError, ConversionFailed) as error:
            wrong = error.cause if isinstance(error, NotWritten) else self._wrong_with_folder()
            if wrong is not None and not isinstance(error, OutOfReach):
                raise self.broken(wrong) from None
            raise
        finally:
            copy.unlink(missing_ok=True)
        try:
            if not way.is_remote and not way.is_unchanged(file):
                raise Unfit(CHANGED, "the file changed while it was converted")
            if made.bytes > self._most_mb * MEBIBYTE:
                raise Unfit(
                    "oversized-file",
                    f"as {target} it has {made.bytes / MEBIBYTE:,.1f} MB, the limit is {self._most_mb:g} MB",
                )
            if why := ask_guard_about_copy(path.name, path):
                raise Unfit("refused-by-guard", f"as {target} it is refused: {why}")
        except OSError as error:
            path.unlink(missing_ok=True)
            raise self.broken(error) from None
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return Staged(self._targets.name(spec, file), made.bytes, lambda: path.open("rb"), path), made.notes

    def _wrong_with_folder(self) -> OSError | None:
        """Why nothing can be written where the results lie; None if it can: then the file itself is to blame."""
        try:
            with tempfile.TemporaryFile(dir=self._folder) as probe:
                probe.write(b"1")
        except OSError as error:
            return error
        return None

    def broken(self, error: OSError) -> OutOfReach:
        """Results can't be written or read where they lie: no data unit is to blame for that."""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return OutOfReach(
            f"What is to be sent can't be kept in {self._folder}: {error.strerror or error}",
            hint="Check the disk that the state is on, then run it again: it goes on where it was.",
            code="disk-full" if full else "os-error",
        )

    def _note(self, file: File, note: str) -> None:
        kind = re.sub(r"\d+", "N", note)
        example = "" if kind in self._noted else f"{file.path}: {note}"
        self._noted.add(kind)
        self._problems.add(
            "changed-by-conversion",
            example,
            severity="info" if note in _AS_IT_WAS else "warning",
            fix="The originals are untouched. Where it matters, convert such files by hand and plan again.",
            group=str(note in _AS_IT_WAS),
        )


class Targets:
    """What the plan says that files become."""

    def __init__(self, plan: UploadPlan) -> None:
        self._converts = by_spec(plan.conversions)

    def of(self, spec: str, file: File) -> str:
        """The extension that a file gets; '' if it is sent as it is."""
        return (converts(self._converts, spec, file) or "") if self._converts else ""

    def name(self, spec: str, file: File) -> str:
        """A file's name as it arrives: `001.tiff` becomes `001.png`."""
        target = self.of(spec, file)
        return f"{file.name[: len(file.name) - len(file.suffix)]}{target}" if target else file.name


def as_listed(stream: BinaryIO, file: File) -> bool:
    """Whether an open file of this machine has the size and time with which it was listed."""
    found = os.fstat(stream.fileno())
    return (found.st_size, found.st_mtime_ns) == (file.size, file.mtime_ns)


def room_for(file: File, target: str, *, is_remote: bool) -> int:
    """Bytes that staging a file may take: the copy and what it becomes lie side by side for a while."""
    return (estimate(file.suffix, target, file.size) if target else 0) + (file.size if is_remote else 0)


def empty(folder: Path) -> None:
    """Remove a folder with all that is in it; of a link only the link."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def free_bytes(folder: Path) -> int:
    """What is free on a folder's disk."""
    return shutil.disk_usage(folder).free


def no_room(folder: Path, free: int, need: int, why: str) -> OutOfReach:
    """There is too little disk space to stage a file."""
    return OutOfReach(
        f"{why} {need / MEBIBYTE:,.1f} MB beside {SPARE / MEBIBYTE:,.0f} MB to spare, and {folder.parent} has "
        f"{max(free, 0) / MEBIBYTE:,.1f} MB free.",
        hint="Free some disk space, or name a folder on another disk with --state; then run it again.",
        code="disk-full",
    )
