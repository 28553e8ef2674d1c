"""What lies in an object store, listed by a crew: each of the folders at the top by another of them.

The entries come as one listing would bring them and are judged here as ever: the crew only asks for pages. A folder
that holds more than an answer should is listed from here, in a stream, and so is a place without a few folders.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import islice
from typing import BinaryIO

from synapse_skills.job.parallel import Crew
from synapse_skills.job.upload.crew_work import Common, list_folder
from synapse_skills.sources import Source, reach
from synapse_skills.sources.access import RemoteAccess
from synapse_skills.sources.remote import Entry, Reading, Remote

TOP = 1_000
"""Entries at the top, one page: where there are more, as with a folder for each data unit, one who asks is quicker."""
_ODD = frozenset({"", ".", ".."})


class Spread(Remote):
    """A place whose listing is a crew's; all else is as it was.

    Args:
        remote: the place; `source`: as it is named.
    """

    def __init__(self, remote: Remote, source: Source, crew: Crew, common: Common) -> None:
        super().__init__(remote.address, remote.credentials)
        self._remote, self._source, self._crew, self._common = remote, source, crew, common

    def list(self, *, recursive: bool = True, done: frozenset[str] | set[str] = frozenset()) -> Iterator[Entry]:
        """See `Remote`. What lies at the top comes first."""
        top = list(islice(self._remote.list(recursive=False), TOP + 1)) if recursive and not done else []
        names = [entry.key[:-1] for entry in top if entry.key.endswith("/") and not entry.size]
        if len(names) < 2 or len(top) > TOP or any(name in _ODD or "/" in name for name in names):
            yield from self._remote.list(recursive=recursive, done=done)
            return
        yield from (entry for entry in top if entry.key[:-1] not in names)
        parts = self._crew.each(list_folder, self._common, [self._below(name) for name in names])
        for name, found in zip(names, parts, strict=True):
            if found == []:
                # An object stands for it.
                yield Entry(f"{name}/", 0, 0)
            for entry in self._here(name) if found is None else found:
                yield replace(entry, key=f"{name}/{entry.key}")

    def _below(self, name: str) -> Source:
        return replace(self._source, path=f"{self._source.path.rstrip('/')}/{name}")

    def _here(self, name: str) -> Iterator[Entry]:
        with reach(self._below(name)) as way:
            assert isinstance(way, RemoteAccess)
            yield from way.remote.list()

    def stat(self, key: str) -> Entry | None:
        """See `Remote`."""
        return self._remote.stat(key)

    def read(self, key: str) -> AbstractContextManager[Reading]:
        """See `Remote`."""
        return self._remote.read(key)

    def write(self, key: str, content: BinaryIO, size: int, *, exclusive: bool = False) -> None:
        """See `Remote`."""
        self._remote.write(key, content, size, exclusive=exclusive)

    def delete(self, key: str) -> None:
        """See `Remote`."""
        self._remote.delete(key)

    def close(self) -> None:
        """See `Remote`."""
        self._remote.close()
