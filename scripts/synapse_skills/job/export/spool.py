"""The spool: rows as they were received, page by page, each page durable or not there.

Append-only segments in `<state>/spool/`, those of machines that help a run in a folder of their own there. A page is
one line of JSON, which says what the page covers and how long its rows are, and behind it the rows themselves. It is
written in one piece and synced before the call returns; a page that a kill cut off is at the end of its segment, and
never happened. What is there is found again by reading those lines.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from synapse_skills.errors import FindingError
from synapse_skills.job.export.heads import read_head

SEGMENT_BYTES = 256 << 20
MAX_HEAD_BYTES = 64 << 20
# What a row may lack.
PAYLOAD, DATA = 1, 2


class DamagedSpool(FindingError):
    """A row in the spool is not what was written."""

    code = "spool-damaged"
    hint = "Fetch everything anew with --fresh."


class Kept(msgspec.Struct, frozen=True, gc=False):
    """One thing to keep: a row (`key` orders the records) or a data unit.

    Attributes:
        id: by which the backend gives it again; not unique among ground-truth events.
        lacks: `PAYLOAD` if its payload could not be fetched, `DATA` if the backend showed none, else 0.
        version: what tells this state of the row from a later one (`updated`, or the digest of its payload).
    """

    key: int
    content: bytes
    id: int
    lacks: int = 0
    version: str = ""


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a kept thing lies."""

    key: int
    segment: str
    offset: int
    length: int
    crc: int
    id: int
    lacks: int
    version: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page that is there: what it says of itself, and where its rows lie."""

    facts: dict[str, Any]
    places: list[Place]


Unkept = tuple[dict[str, Any], Sequence[Kept]]
"""A page that is not there yet: what it says of itself, and its rows."""


def size_of(page: Unkept) -> int:
    """How many bytes its rows have."""
    return sum(len(row.content) for row in page[1])


def first_of(pages: Sequence[Unkept], most: int) -> list[Unkept]:
    """The first of some pages, and those behind it that are no more than so many bytes with it."""
    size, lot = 0, list[Unkept]()
    for page in pages:
        size += size_of(page)
        if lot and size > most:
            break
        lot.append(page)
    return lot


class Spool:
    """The segments of one export, one of them open for appending.

    Args:
        folder: `<state>/spool`, made if it is missing.
        fence: called before every page; raises if the folder is another run's by now.
        room: a folder in it that `make_room` has made, where this one appends.
    """

    def __init__(self, folder: Path, fence: Callable[[], None] = lambda: None, *, room: str = "") -> None:
        self.folder = folder
        self.room = room
        self._fence = fence
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._handle: int | None = None
        self._name = ""
        self._offset = 0
        self._reading: dict[str, int] = {}

    def segments(self) -> list[str]:
        """Names of the segments, oldest first; those of a room come where it was made."""
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*.pages"))

    def make_room(self) -> str:
        """A folder in which others append, each to segments of its own; what is appended here afterwards is later.

        It goes with `clear`: whoever still appends for a run that has died can't bring back what was forgotten.
        """
        self._fence()
        self._leave()
        room = f"{self._next():06d}-{secrets.token_hex(4)}"
        (self.folder / room).mkdir(mode=0o700)
        return room

    def append(self, facts: dict[str, Any], kept: Sequence[Kept] = ()) -> Page:
        """Write one page and wait until it is on the disk.

        Args:
            facts: what the page is about (JSON); the key `rows` is taken.
            kept: its rows.

        Raises:
            OSError: it could not be made durable; it is not there then.
        """
        return self.append_all([(facts, kept)])[0]

    def append_all(self, pages: Sequence[Unkept]) -> list[Page]:
        """Write pages, and wait once until all of them are on the disk.

        Raises:
            OSError: they could not be made durable; none of them counts as kept then.
        """
        self._fence()
        if self._handle is None or self._offset >= SEGMENT_BYTES:
            self._open()
        assert self._handle is not None
        written, parts, at = list[Page](), list[bytes](), self._offset
        for facts, kept in pages:
            page, content = self._page(facts, kept, at)
            written.append(page)
            parts.append(content)
            at += len(content)
        handle, self._handle = self._handle, None
        try:
            view = memoryview(b"".join(parts))
            while view:
                view = view[os.write(handle, view) :]
            os.fsync(handle)
        except BaseException:
            # What was written of it is at the end of its segment: the next page begins another.
            os.close(handle)
            raise
        self._handle = handle
        self._offset = at
        return written

    def _page(self, facts: dict[str, Any], kept: Sequence[Kept], at: int) -> tuple[Page, bytes]:
        """A page that begins here, and its bytes."""
        sums = [zlib.crc32(each.content) for each in kept]
        rows = [
            [each.key, len(each.content), crc, each.id, int(each.lacks), each.version]
            for each, crc in zip(kept, sums, strict=True)
        ]
        head = json.dumps(facts | {"rows": rows}, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
        offset = at + len(head)
        places = []
        for each, crc in zip(kept, sums, strict=True):
            length = len(each.content)
            places.append(Place(each.key, self._name, offset, length, crc, each.id, each.lacks, each.version))
            offset += length
        return Page(facts, places), b"".join([head, *(each.content for each in kept), b"\n"])

    def pages(self) -> Iterator[Page]:
        """All pages that are there, in the order in which they were written."""
        for name in self.segments():
            yield from self._pages_of(name)

    def _pages_of(self, name: str) -> Iterator[Page]:
        path = self.folder / name
        size = path.stat().st_size
        with path.open("rb") as stream:
            at = 0
            while at < size:
                stream.seek(at)
                head = stream.readline(MAX_HEAD_BYTES)
                if not head.endswith(b"\n"):
                    return
                try:
                    facts, rows = read_head(head)
                except ValueError:
                    return
                end = at + len(head) + sum(row[1] for row in rows)
                if end >= size:
                    return
                offset, places = at + len(head), []
                for key, length, crc, identity, lacks, version in rows:
                    places.append(Place(key, name, offset, length, crc, identity, int(lacks), version))
                    offset += length
                # Only the last page can have been cut off, by a kill or a power cut that left holes.
                if end + 1 >= size and not all(self._is_whole(stream, place) for place in places):
                    return
                yield Page(facts, places)
                at = end + 1

    @staticmethod
    def _is_whole(stream: Any, place: Place) -> bool:
        stream.seek(place.offset)
        return zlib.crc32(stream.read(place.length)) == place.crc

    def read(self, segment: str, offset: int, length: int, crc: int) -> bytes:
        """The bytes of a kept thing.

        Raises:
            DamagedSpool: they are not those that were written.
        """
        handle = self._reading.get(segment)
        if handle is None:
            if len(self._reading) >= 64:
                self._close_reading()
            try:
                handle = self._reading[segment] = os.open(self.folder / segment, os.O_RDONLY)
            except FileNotFoundError:
                raise DamagedSpool(f"{segment} is missing in {self.folder}.") from None
        content = os.pread(handle, length, offset)
        if len(content) != length or zlib.crc32(content) != crc:
            raise DamagedSpool(f"{segment} in {self.folder} is damaged at byte {offset}.")
        return content

    def clear(self) -> None:
        """Forget everything: it can be fetched again."""
        self.close()
        shutil.rmtree(self.folder)
        self.folder.mkdir(mode=0o700)

    def close(self) -> None:
        """Close all files."""
        self._leave()
        self._close_reading()

    def _leave(self) -> None:
        """What is appended next begins a segment."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _close_reading(self) -> None:
        for handle in self._reading.values():
            os.close(handle)
        self._reading.clear()

    def _next(self) -> int:
        """The number of the next segment, or room."""
        return max((int(path.name[:6]) for path in self.folder.iterdir() if path.name[:6].isdecimal()), default=0) + 1

    def _open(self) -> None:
        self._leave()
        self._name = f"{self.room}/{secrets.token_hex(8)}.pages" if self.room else f"{self._next():06d}.pages"
        # Exclusive: two runs never share a segment, whatever happened to the lock.
        self._handle = os.open(self.folder / self._name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._offset = 0
