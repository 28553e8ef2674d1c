"""Which files of a folder are converted, and what each result is called: never over another file."""

from __future__ import annotations

import itertools
import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from synapse_skills.errors import OutOfReach, printable
from synapse_skills.media.conversion import targets
from synapse_skills.sources.junk import JUNK_NAMES
from synapse_skills.sources.source import suffix_of


@dataclass(frozen=True, slots=True)
class Original:
    """A file to convert: its path below the source with slashes, and how it was when it was seen."""

    path: str
    suffix: str
    size: int
    modified_ns: int


@dataclass
class Found:
    """What a walk has come to.

    Attributes:
        originals: what can become the target, in the order of their paths.
        left: what stays where it is, counted by kind.
        unreadable: folders and files that could not be looked at, with the reason.
    """

    originals: list[Original] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def find(source: Path, target: str, *, leave_out: Path) -> Found:
    """Look at a file or, with all folders below it, at a folder; `leave_out` and what is in it is not looked at."""
    found = Found()
    if source.is_file():
        _take(source.name, source.stat(), target, found)
        return found
    try:
        left_out = leave_out.stat()
    except OSError:
        left_out = None
    pending = [""]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(source / folder) as entries:
                seen = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if not folder:
                raise OutOfReach(
                    f"{printable(str(source))} can't be read: {error.strerror}", code="source-denied"
                ) from None
            found.unreadable.append((folder, f"can't be opened: {error.strerror}"))
            continue
        below = []
        for entry in seen:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.name.startswith(".") or entry.name in JUNK_NAMES:
                found.left["hidden or of the system"] += 1
            elif entry.is_dir(follow_symlinks=False):
                if left_out is None or not os.path.samestat(entry.stat(), left_out):
                    below.append(path)
            else:
                _look_at(entry, path, target, found)
        pending.extend(reversed(below))
    found.originals.sort(key=lambda original: original.path)
    return found


def _look_at(entry: os.DirEntry[str], path: str, target: str, found: Found) -> None:
    try:
        seen = entry.stat()
    except OSError as error:
        if target in targets(suffix_of(path)):
            found.unreadable.append((path, f"can't be opened: {error.strerror}"))
        else:
            found.left["links that lead nowhere"] += 1
        return
    if stat.S_ISDIR(seen.st_mode):
        found.left["links to folders (not followed)"] += 1
    elif not stat.S_ISREG(seen.st_mode):
        found.left["no regular files"] += 1
    else:
        _take(path, seen, target, found)


def _take(path: str, seen: os.stat_result, target: str, found: Found) -> None:
    suffix = suffix_of(path)
    if target in targets(suffix):
        found.originals.append(Original(path, suffix, seen.st_size, seen.st_mtime_ns))
    elif suffix == target:
        found.left[f"{target} already"] += 1
    else:
        found.left["of other kinds"] += 1


def result_names(
    originals: Iterable[Original], target: str, known: Mapping[str, str], exists: Callable[[str], bool]
) -> dict[str, str]:
    """The path of each result below the output folder.

    `a.tiff` becomes `a.png`. Where two would have one name (`a.tiff` and `a.bmp`; names that differ only by case or by
    how letters are composed) or a file that is not ours has it, they keep their extension: `a.tiff.png`, `a.bmp.png`;
    if that is taken too, with a number. Names that were given before stay.
    """
    names: dict[str, str] = {}
    taken = {_folded(name) for name in known.values()}
    waiting: dict[str, list[str]] = {}
    for original in originals:
        if original.path in known:
            names[original.path] = known[original.path]
        else:
            waiting.setdefault(_folded(_plain(original.path, target)), []).append(original.path)
    crowded: list[str] = []
    for name, paths in waiting.items():
        plain = _plain(paths[0], target)
        if len(paths) == 1 and name not in taken and not exists(plain):
            names[paths[0]] = plain
            taken.add(name)
        else:
            crowded.extend(paths)
    for path in sorted(crowded):
        whole = unicodedata.normalize("NFC", path)
        for number in itertools.count(1):
            name = f"{whole}{target}" if number == 1 else f"{whole}-{number}{target}"
            if _folded(name) not in taken and not exists(name):
                names[path] = name
                taken.add(_folded(name))
                break
    return names


def is_plain(path: str, name: str, target: str) -> bool:
    """Whether a result is called as everybody would expect."""
    return name == _plain(path, target)


def _plain(path: str, target: str) -> str:
    return unicodedata.normalize("NFC", str(PurePosixPath(path).with_suffix(""))) + target


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
