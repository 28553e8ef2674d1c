"""One streaming walk over a folder.

Depth first over open `os.scandir` iterators, so neither a folder with a million entries nor one with a million
folders is ever held in memory; order comes from the inventory's index, not from here. Whatever is not taken is
counted: no name on disk goes missing silently.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from synapse_skills.errors import printable
from synapse_skills.report import Problems
from synapse_skills.sources.junk import JUNK_NAMES, JUNK_STARTS, Junk, junk_kind

BATCH = 1_000
"""Files in a batch, which one SQL statement takes: a third faster than row by row."""
# Each open folder holds a file descriptor, and macOS gives a process 256: deeper trees go on from a short list.
MAX_OPEN_FOLDERS = 48

_FIX_LINK = "Name the folder that holds both as the source, or put the files in place of the links."
_FIX_UNREADABLE = "Ask for permission to read it, or run as a user who has it; until then it is missing from the count."
_FIX_NAMES = "Rename them, for names from Korean Windows for example with: convmv -f cp949 -t utf8 -r --notest FOLDER"

Batch = list[str | int]
"""path, size, mtime_ns of one file, then those of the next: flat, as SQLite takes the values of many rows."""
_Frame = tuple["os._ScandirIterator[str]", str, bool, int | None]
"""An open folder: its entries, its path with a slash, whether a link led here, and at how many files it is left."""
OddName = tuple[int, str, str]
"""source, folded path, path: of a name that another one in the same folder could be taken for."""


@dataclass
class Walk:
    """What a walk found. `complete` is False if it was stopped by a limit: then it is a sample."""

    files: int = 0
    bytes: int = 0
    folders: int = 0
    problems: Problems = field(default_factory=Problems)
    complete: bool = True


class Gathering[Where](ABC):
    """What every walk through a source does with what it finds: counts it, and hands it out in batches.

    Attributes:
        odd: names to be compared for twins; the caller takes them away with every batch.
        files: files so far.
    """

    def __init__(
        self,
        index: int,
        where: Where,
        *,
        recursive: bool,
        walk: Walk,
        junk: Junk,
        limit: int | None = None,
        share: int | None = None,
    ) -> None:
        self.odd: list[OddName] = []
        self.files = 0
        self._index = index
        self._where = where
        self._recursive = recursive
        self._walk = walk
        self._junk = junk
        self._limit = limit
        self._share = share
        self._batch: Batch = []

    @abstractmethod
    def batches(self) -> Iterator[Batch]:
        """Files, BATCH at a time: path, size, version, path, size, …; the last batch may be empty."""

    def _full(self) -> int:
        """How many files the open batch may have."""
        return BATCH if self._limit is None else max(1, min(BATCH, self._limit - self._walk.files))

    def _found(self) -> int:
        """Files so far, those in the open batch too."""
        return self._walk.files + len(self._batch) // 3

    def _taken(self) -> Batch:
        batch, self._batch = self._batch, []
        self.files += len(batch) // 3
        self._walk.files += len(batch) // 3
        self._walk.bytes += sum(batch[1::3])  # type: ignore[arg-type]
        return batch


class Walker(Gathering[Path]):
    """Walks a local source; `files` counts the regular ones."""

    @cached_property
    def _root(self) -> str:
        return str(self._where)

    @cached_property
    def _inside(self) -> str:
        return self._root if self._root.endswith(os.sep) else self._root + os.sep

    def batches(self) -> Iterator[Batch]:
        """Regular files, BATCH at a time, in batches that end at the limit; the last one may be empty."""
        deep = [(self._root, "", False)]
        while deep:
            folder, prefix, linked = deep.pop()
            yield from self._tree(folder, prefix, linked, deep)
        yield self._taken()

    def _tree(self, folder: str, prefix: str, linked: bool, deep: list[tuple[str, str, bool]]) -> Iterator[Batch]:
        """Walk a folder and what is below it; what lies too deep to keep open goes to `deep`."""
        stack: list[_Frame] = []
        self._open(stack, folder, prefix, linked)
        try:
            while stack:
                entries, prefix, linked, until = stack[-1]
                batch = self._batch
                if until is not None and self._found() >= until:
                    self._walk.complete = False
                    self._close(stack)
                    continue
                full = 3 * self._full()
                if until is not None:
                    full = min(full, 3 * (until - self._walk.files))
                extend = batch.extend
                below: tuple[str, str, bool] | None = None
                try:
                    for entry in entries:
                        name = entry.name
                        if (name[0] in JUNK_STARTS or name in JUNK_NAMES) and self._is_junk(entry, prefix):
                            continue
                        # The common name takes none of the slow looks: ASCII, lower case, printable.
                        is_plain = name.isascii() and name.isprintable() and (name.islower() or name == name.lower())
                        if not is_plain and not self._look(entry, prefix):
                            continue
                        try:
                            if entry.is_file(follow_symlinks=False):
                                found = entry.stat(follow_symlinks=False)
                                extend((prefix + name, found.st_size, found.st_mtime_ns))
                            elif entry.is_dir(follow_symlinks=False):
                                if self._recursive:
                                    below = (entry.path, f"{prefix}{name}/", linked)
                                else:
                                    self._walk.folders += 1
                            elif entry.is_symlink():
                                below = self._link(entry, prefix, linked)
                            else:
                                self._problem("special-file", prefix + name, _special(entry), "warning", "Remove it.")
                        except OSError as error:
                            self._unreadable("unreadable-file", prefix + name, error)
                        if below is not None or len(batch) >= full:
                            break
                    else:
                        self._close(stack)
                except OSError as error:
                    # Reading the folder broke off half way: what was read counts, the rest is missing.
                    self._unreadable("unreadable-folder", prefix or ".", error)
                    self._close(stack)
                if below is not None:
                    if len(stack) < MAX_OPEN_FOLDERS:
                        self._open(stack, *below)
                    else:
                        deep.append(below)
                if len(self._batch) >= full or len(self.odd) >= BATCH:
                    yield self._taken()
        finally:
            while stack:
                self._close(stack)

    def _open(self, stack: list[_Frame], folder: str, prefix: str, linked: bool) -> None:
        self._walk.folders += bool(prefix)
        try:
            stack.append((os.scandir(folder), prefix, linked, self._until(stack)))
        except FileNotFoundError:
            # Removed while the walk was on its way: not on disk, not missing.
            return
        except OSError as error:
            self._unreadable("unreadable-folder", prefix or ".", error)

    @staticmethod
    def _close(stack: list[_Frame]) -> None:
        stack.pop()[0].close()

    def _until(self, stack: list[_Frame]) -> int | None:
        """How many files there may be when a folder of a spread sample ends: half of what its parent has left."""
        if self._share is None:
            return None
        found = self._found()
        above = stack[-1][3] if stack else None
        if above is None:
            return found + self._share
        return min(above, found + max(BATCH, (above - found) // 2))

    def _is_junk(self, entry: os.DirEntry[str], prefix: str) -> bool:
        """A closer look at a name that may be junk; counts it if it is."""
        try:
            is_folder = entry.is_dir(follow_symlinks=False)
        except OSError:
            is_folder = False
        kind = junk_kind(entry.name, is_folder)
        if kind is not None:
            self._junk.add(kind, prefix + entry.name + ("/" if is_folder else ""))
        return kind is not None

    def _look(self, entry: os.DirEntry[str], prefix: str) -> bool:
        """Note whatever is odd about a name; False if it can't be stored at all."""
        name = entry.name
        try:
            name.encode()
        except UnicodeEncodeError:
            self._problem("undecodable-name", prefix, _decoded(name), "error", _FIX_NAMES, joined=True)
            return False
        if not name.isprintable() and any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in name):
            fix = "Rename it: line breaks and control characters in a name break tools that read it later."
            self._problem("control-character", prefix + name, "", "warning", fix)
        folded = fold(name)
        if folded != name:
            self.odd.append((self._index, prefix + folded, prefix + name))
        return True

    def _link(self, entry: os.DirEntry[str], prefix: str, linked: bool) -> tuple[str, str, bool] | None:
        """Take a link to a file inside the root; refuse what leaves it, loops, or would be read twice."""
        path = prefix + entry.name
        try:
            real = os.path.realpath(entry.path, strict=True)
            found = os.stat(real)  # noqa: PTH116
        except OSError as error:
            if isinstance(error, FileNotFoundError | NotADirectoryError):
                self._problem("link-broken", path, "leads to nothing", "warning", "Restore its target or remove it.")
            elif "loop" in (error.strerror or "").lower() or "symbolic links" in (error.strerror or "").lower():
                self._problem("link-outside", path, "leads to itself", "warning", _FIX_LINK)
            else:
                self._unreadable("unreadable-file", path, error)
            return None
        if real != self._root and not real.startswith(self._inside):
            self._problem("link-outside", path, "leaves the source", "warning", _FIX_LINK)
        elif stat.S_ISREG(found.st_mode):
            self._batch.extend((path, found.st_size, found.st_mtime_ns))
        elif not stat.S_ISDIR(found.st_mode):
            self._problem("special-file", path, "a link to something that is no file", "warning", "Remove it.")
        elif self._recursive:
            return self._folder_link(entry, real, path, linked)
        return None

    def _folder_link(self, entry: os.DirEntry[str], real: str, path: str, linked: bool) -> tuple[str, str, bool] | None:
        """A folder link is followed only into a folder that the walk does not read anyway (a hidden store).

        All else would bring every file in twice (`latest -> 2024-01-05`), or loop. Links below a followed link are
        not followed again, so the number of folders stays bounded however the links are laid.
        """
        here = os.path.realpath(entry.path[: -len(entry.name)])
        target = real[len(self._inside) :]
        if real == self._root or (here + os.sep).startswith(real + os.sep):
            self._problem("link-outside", path, "leads to a folder above itself, a loop", "warning", _FIX_LINK)
        elif linked:
            self._problem("link-outside", path, "is a folder link below another one", "warning", _FIX_LINK)
        elif not any(part in JUNK_NAMES or part.startswith(".") for part in Path(target).parts):
            why = f"leads to {printable(target)}, which is read anyway"
            self._problem("link-outside", path, why, "warning", _FIX_LINK)
        else:
            return (entry.path, f"{path}/", True)
        return None

    def _unreadable(self, code: str, path: str, error: OSError) -> None:
        if isinstance(error, FileNotFoundError):
            return
        self._problem(code, path, error.strerror or str(error), "error", _FIX_UNREADABLE)

    def _problem(self, code: str, path: str, why: str, severity: str, fix: str, *, joined: bool = False) -> None:
        shown = printable(path)
        example = shown + why if joined else f"{shown}: {why}" if why else shown
        self._walk.problems.add(code, example, severity=severity, fix=fix)


def fold(name: str) -> str:
    """What two names have in common if a system that ignores case, or composes letters, takes them for the same."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _special(entry: os.DirEntry[str]) -> str:
    mode = entry.stat(follow_symlinks=False).st_mode
    for is_kind, kind in ((stat.S_ISFIFO, "fifo"), (stat.S_ISSOCK, "socket"), (stat.S_ISBLK, "block device")):
        if is_kind(mode):
            return kind
    return "device" if stat.S_ISCHR(mode) else "not a regular file"


def _decoded(name: str) -> str:
    """A name that is not UTF-8, its bytes escaped, and how it reads in the likeliest old encoding."""
    raw = os.fsencode(name)
    shown = printable(raw.decode("utf-8", "backslashreplace"))
    try:
        guess = raw.decode("cp949")
    except UnicodeDecodeError:
        return shown
    return f"{shown} (in CP949: {printable(guess)})"
