"""Where the segments of a journal lie: in a folder, or at a storage that can't append.

Both keep the same promise: what `append` has returned from is there whatever happens next, whole, in order and once.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from pathlib import Path
from typing import Protocol

from synapse_skills.errors import FindingError, OutOfReach
from synapse_skills.sources import Store
from synapse_skills.texts import parse_json

BLOCK = 200
_READERS = 16
_RECORD = re.compile(r"(?P<segment>[^/]+)/(?P<first>\d{8})(?:-(?P<last>\d{8}))?\.jsonl")
_ASIDE = "set-aside.json"


class DamagedJournal(FindingError):
    """A record in the middle of a journal segment can't be read."""

    code = "state-damaged"
    hint = "Restore the state folder from a copy, or start over with --fresh after checking what is on the backend."


class Segments(Protocol):
    """The segments of one journal. An offset is a number that grows with every record of a segment."""

    @property
    def place(self) -> str:
        """Where they lie, for people."""

    def names(self) -> list[str]:
        """Names of the segments, oldest first."""

    def create(self, number: int) -> str:
        """Begin a segment that nobody else ever writes to; returns its name."""

    def append(self, line: bytes) -> int:
        """Add a line and wait until it is durable; returns the offset behind it."""

    def lines(self, name: str, offset: int) -> Iterator[tuple[int, bytes]]:
        """The whole lines behind an offset, each with the offset behind it."""

    def set_aside(self) -> str:
        """Take all segments out of the journal; returns where they are kept."""

    def close(self) -> None:
        """End the segment that was begun."""


class FolderSegments:
    """A file for each segment.

    Args:
        folder: `<state>/journal`, made if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._handle: int | None = None
        self._offset = 0
        self._is_new = False

    @property
    def place(self) -> str:
        """The folder."""
        return str(self.folder)

    def names(self) -> list[str]:
        """As they lie there."""
        return sorted(path.name for path in self.folder.glob("*.jsonl"))

    def create(self, number: int) -> str:
        """Exclusive: two runs never share a segment, whatever happened to the lock."""
        name = f"{number:06d}-{int(time.time())}-{os.getpid()}.jsonl"
        self._handle = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._offset, self._is_new = 0, True
        return name

    def append(self, line: bytes) -> int:
        """Write and sync. The offset counts bytes.

        Raises:
            OSError: it may be there in part: the segment must take nothing more.
        """
        if self._handle is None:
            raise OSError(errno.EBADF, "no segment is open", self.place)
        written = 0
        while written < len(line):
            written += os.write(self._handle, line[written:])
        os.fsync(self._handle)
        if self._is_new:
            _sync_folder(self.folder)
            self._is_new = False
        self._offset += len(line)
        return self._offset

    def lines(self, name: str, offset: int) -> Iterator[tuple[int, bytes]]:
        """A line that a kill cut off has no newline and never happened."""
        with (self.folder / name).open("rb") as stream:
            stream.seek(offset)
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                offset += len(line)
                yield offset, line

    def set_aside(self) -> str:
        """A neighbour folder takes them."""
        target = self.folder.with_name(f"journal-set-aside-{int(time.time())}-{os.getpid()}")
        self.folder.rename(target)
        self.folder.mkdir()
        return target.name

    def close(self) -> None:
        """Close the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class StoreSegments:
    """A small object for each record, at a storage that can't append: `journal/<segment>/00000042.jsonl`.

    The other way is one object that is written anew with every record. It fails where it matters: Google's storage
    takes one write a second for an object, and a write that fails half way would be a write to records that were
    durable before. A new name each time can't harm what is there, and costs one request as well: 2 for each batch of
    data units. Reading so many is slow, so every `BLOCK` records are also written together; a block is a copy, and
    whoever reads takes each number once, from the block if it is whole.

    Args:
        store: the state's storage.
        folder: the name before all names here.
    """

    def __init__(self, store: Store, folder: str = "journal") -> None:
        self._store = store
        self._folder = folder
        self._name = ""
        self._count = 0
        self._block: list[bytes] = []
        self._found: dict[str, list[tuple[int, int, str]]] = {}

    @property
    def place(self) -> str:
        """The storage's address."""
        return f"{self._store.name}/{self._folder}"

    def names(self) -> list[str]:
        """One listing; those that were set aside are not among them."""
        found = self._listed()
        aside = self._set_aside_names()
        self._found = {name: objects for name, objects in found.items() if name not in aside}
        return sorted(self._found)

    def create(self, number: int) -> str:
        """A random name: nobody else writes to it. Nothing is there before the first record."""
        taken = max((int(name[:6]) for name in self._listed()), default=0)
        self._name = f"{max(number, taken + 1):06d}-{int(time.time())}-{secrets.token_hex(8)}"
        self._count, self._block = 0, []
        return self._name

    def append(self, line: bytes) -> int:
        """One object. The offset counts records.

        Raises:
            OutOfReach: nobody knows whether it arrived: the segment must take nothing more.
        """
        number = self._count + 1
        self._store.write(f"{self._folder}/{self._name}/{number:08d}.jsonl", line)
        self._count = number
        self._block.append(line)
        if len(self._block) == BLOCK:
            block, self._block = b"".join(self._block), []
            with contextlib.suppress(OutOfReach):  # a copy, to read faster
                self._store.write(f"{self._folder}/{self._name}/{number - BLOCK + 1:08d}-{number:08d}.jsonl", block)
        return number

    def lines(self, name: str, offset: int) -> Iterator[tuple[int, bytes]]:
        """Records in the order of their numbers, each once.

        Raises:
            DamagedJournal: one is missing, and later ones are there. The last may be torn: then it never happened.
        """
        objects = self._found.get(name, [])
        blocks = {first: (last, key) for first, last, key in objects if last > first}
        singles = {first: key for first, last, key in objects if last == first}
        highest = max((last for _, last, _ in objects), default=0)
        while offset < highest:
            first = offset // BLOCK * BLOCK + 1
            block = self._block_lines(*blocks[first], first) if first in blocks else None
            begin, lines = first, iter(block or ())
            if block is None:
                begin, lines = (
                    offset + 1,
                    self._single_lines(name, singles, offset + 1, min(first + BLOCK - 1, highest)),
                )
            for number, line in enumerate(lines, begin):
                if not line.endswith(b"\n") and number < highest:
                    raise self._gap(name, number)
                if not line.endswith(b"\n"):
                    return
                if number > offset:
                    offset = number
                    yield number, line

    def set_aside(self) -> str:
        """One write says which segments count no longer: moving them could be killed half way."""
        names = sorted(self._set_aside_names() | set(self._listed()))
        self._store.write(f"{self._folder}/{_ASIDE}", (json.dumps({"segments": names}) + "\n").encode())
        return f"{self.place}/{_ASIDE}"

    def close(self) -> None:
        """Nothing is open."""

    def _listed(self) -> dict[str, list[tuple[int, int, str]]]:
        """Segment → first and last number and name of each object."""
        found: dict[str, list[tuple[int, int, str]]] = {}
        for stored in self._store.list(self._folder):
            match = _RECORD.fullmatch(stored.name.removeprefix(f"{self._folder}/"))
            if match:
                first = int(match["first"])
                found.setdefault(match["segment"], []).append((first, int(match["last"] or first), stored.name))
        return found

    def _set_aside_names(self) -> set[str]:
        content = self._store.read(f"{self._folder}/{_ASIDE}")
        if content is None:
            return set()
        try:
            return set(parse_json(content)["segments"])
        except (ValueError, KeyError, TypeError):
            raise DamagedJournal(f"{self.place}/{_ASIDE} can't be read.") from None

    def _block_lines(self, last: int, key: str, first: int) -> list[bytes] | None:
        """A block's lines; None if it is not whole: the records themselves are there too."""
        lines = (self._store.read(key) or b"").splitlines(keepends=True)
        return lines if len(lines) == last - first + 1 and lines[-1].endswith(b"\n") else None

    def _single_lines(self, name: str, singles: dict[int, str], first: int, last: int) -> Iterator[bytes]:
        def read(number: int) -> bytes:
            content = self._store.read(singles[number]) if number in singles else None
            if content is None:
                raise self._gap(name, number)
            return content

        with ThreadPoolExecutor(_READERS, thread_name_prefix="journal") as pool:
            for some in batched(range(first, last + 1), 4 * _READERS):
                yield from pool.map(read, some)

    def _gap(self, name: str, number: int) -> DamagedJournal:
        return DamagedJournal(f"Journal segment {name} in {self.place} lacks record {number}, and has later ones.")


def _sync_folder(folder: Path) -> None:
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        # Some network file systems and Windows can't open a folder; the file itself is synced.
        return
    try:
        os.fsync(handle)
    except OSError:
        return
    finally:
        os.close(handle)
