"""What every remote place can do, whatever its protocol: list, look, read, write, delete, by key below one root.

Keys are relative to the root, `/` between folders, exactly as the place has them. A place is safe to use from several
threads. It raises `Fault` where its client complains; `access` and `store` turn that into errors for people.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, ClassVar

from synapse_skills.sources.address import Address
from synapse_skills.sources.faults import Fault, again

CHUNK = 1 << 20
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A file at a place.

    Attributes:
        key: relative to the root, as it is there; one with a slash at its end stands for a folder.
        size: bytes.
        version: changes whenever the content does; stands for the time of change in the inventory. 0 if it is not
            known.
        problem: why it is no file to upload, a code of `remote_walk.PROBLEMS`; '' if it is one.
    """

    key: str
    size: int
    version: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing.

    Attributes:
        entries: what is on it; folders, with a slash at the end, come last.
        last: the last key of a file on it, '' if there is none.
        token: asks for the next page; None after the last.
    """

    entries: Sequence[Entry]
    last: str
    token: str | None


def paged(ask: Callable[[str | None, str | None], Page], done: Collection[str]) -> Iterator[Entry]:
    """All entries of a listing that comes page by page.

    Args:
        ask: token and folder → a page: the first one, the one that the token names, or the first behind that folder.
        done: folders of the top that nobody wants the rest of; may grow while the listing runs.
    """
    token = behind = None
    while True:
        page = again(partial(ask, token, behind))
        yield from page.entries
        if page.token is None:
            return
        top, slash, _ = page.last.partition("/")
        skips = bool(slash) and top in done
        token, behind = (None, top) if skips else (page.token, behind)


@dataclass
class Reading:
    """An open file.

    Attributes:
        entry: what it is now. A place that knows a version by its content alone says it when all was read; until then
            it is 0, and the size may be -1.
        chunks: its bytes.
    """

    entry: Entry
    chunks: Iterator[bytes]


class Remote(ABC):
    """A folder of a remote place.

    Attributes:
        address: where it is, without secrets.
        credentials: which login is used, in a word or two for people; never the login itself.
    """

    rows_are_sorted: ClassVar[bool] = False

    def __init__(self, address: Address, credentials: str) -> None:
        self.address = address
        self.credentials = credentials

    @abstractmethod
    def list(self, *, recursive: bool = True, done: frozenset[str] | set[str] = frozenset()) -> Iterator[Entry]:
        """Every file below the root, in a stream; all files of a folder come one after the other.

        Args:
            recursive: also what lies in folders; if not, each of these comes as one entry with a slash at its end.
            done: folders directly below the root of which no more is wanted; may grow while the listing runs.
        """

    @abstractmethod
    def stat(self, key: str) -> Entry | None:
        """What a file is now; None if there is none."""

    @abstractmethod
    def read(self, key: str) -> AbstractContextManager[Reading]:
        """Open a file."""

    @abstractmethod
    def write(self, key: str, content: BinaryIO, size: int, *, exclusive: bool = False) -> None:
        """Write a file whole or not at all. With `exclusive` it must not be there before (fault `exists`)."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove a file; none is fine."""

    def check(self) -> None:
        """Fault `missing` (with the part that exists), `no-bucket`, `a-file`: the root is not there, or no folder."""
        for _ in self.list():
            return
        raise Fault("missing", "there is nothing below it")

    def close(self) -> None:  # noqa: B027 - most places have nothing to close
        """Let go of connections."""


class Tree(Remote):
    """A place that is listed folder by folder."""

    @abstractmethod
    def folder(self, prefix: str) -> Iterator[Entry]:
        """What lies directly in a folder, whose prefix ends with a slash (or is ''); folders end with a slash too.

        Raises:
            Fault: it can't be listed.
        """

    def list(self, *, recursive: bool = True, done: frozenset[str] | set[str] = frozenset()) -> Iterator[Entry]:
        """Depth first: sizes and times come with the names. A folder that may not be read is said and passed by."""
        deep = [""]
        while deep:
            prefix = deep.pop()
            if prefix and prefix.partition("/")[0] in done:
                continue
            below: list[str] = []
            try:
                for entry in self.folder(prefix):
                    if entry.key.endswith("/") and recursive:
                        below.append(entry.key)
                    else:
                        yield entry
            except Fault as error:
                if error.word not in ("denied", "missing") or not prefix:
                    raise
                if error.word == "denied":
                    yield Entry(prefix.rstrip("/"), 0, 0, "unreadable-folder")
            if recursive and prefix:
                yield Entry(prefix, 0, 0)
            deep.extend(sorted(below, reverse=True))


def version_of(seconds: float, tag: str) -> int:
    """A number for a version: the second of the change, and a print of the tag in its nanoseconds.

    Times of object stores have whole seconds, so of two versions within one second only the tag tells. As one number
    it goes wherever the time of change of a local file goes.
    """
    if not tag:
        return int(seconds * _SECOND)
    return int(seconds) * _SECOND + int.from_bytes(hashlib.sha256(tag.encode()).digest()[:8]) % _SECOND


def version_of_digest(sha256: str) -> int:
    """A number for a content of which only the checksum is known."""
    return int(sha256[:15], 16)
