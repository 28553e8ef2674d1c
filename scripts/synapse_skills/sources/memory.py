"""`memory://`: fsspec's file system in this process's memory, for tests and for trying things out."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO, ClassVar

from synapse_skills.sources.address import Address
from synapse_skills.sources.faults import Fault
from synapse_skills.sources.remote import CHUNK, Entry, Reading, Remote, version_of

_LOCK = threading.Lock()


class Memory(Remote):
    """A folder of the one memory file system."""

    rows_are_sorted: ClassVar[bool] = True

    def __init__(self, address: Address) -> None:
        from fsspec.implementations.memory import MemoryFileSystem

        super().__init__(address, "none")
        # The file system's own dict: its calls would tidy keys, and a listing is what is there now.
        self._files: dict[str, Any] = MemoryFileSystem.store
        self._prefix = "/" + "/".join(part for part in (address.host, address.path) if part)
        self._prefix = self._prefix.rstrip("/") + "/"

    def list(self, *, recursive: bool = True, done: frozenset[str] | set[str] = frozenset()) -> Iterator[Entry]:
        """All at once, in order."""
        with _LOCK:
            keys = sorted(key[len(self._prefix) :] for key in self._files if key.startswith(self._prefix))
        folder = ""
        for key in keys:
            top, slash, _ = key.partition("/")
            if slash and top in done:
                continue
            if slash and not recursive:
                if top != folder:
                    folder = top
                    yield Entry(f"{top}/", 0, 0)
            elif key and (found := self.stat(key)) is not None:
                yield found

    def check(self) -> None:
        """The root has something below it, if only its own marker."""
        keys = list(self._files)
        if any(key.startswith(self._prefix) for key in keys) or not self.address.path:
            return
        above = self._prefix.rstrip("/")
        if above in keys:
            raise Fault("a-file")
        while above := above.rpartition("/")[0]:
            if any(key.startswith(f"{above}/") for key in keys):
                raise Fault("missing", f"memory:/{above} exists")
        raise Fault("missing")

    def stat(self, key: str) -> Entry | None:
        """The file as it is now."""
        file = self._files.get(self._prefix + key)
        if file is None:
            return None
        content = file.getvalue()
        return Entry(key, len(content), version_of(file.modified.timestamp(), hashlib.sha1(content).hexdigest()))  # noqa: S324

    @contextlib.contextmanager
    def read(self, key: str) -> Iterator[Reading]:
        """Its bytes."""
        found, file = self.stat(key), self._files.get(self._prefix + key)
        if found is None or file is None:
            raise Fault("missing")
        content = file.getvalue()
        yield Reading(found, (content[at : at + CHUNK] for at in range(0, len(content), CHUNK)))

    def write(self, key: str, content: BinaryIO, size: int, *, exclusive: bool = False) -> None:
        """Put it there."""
        from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

        make: Any = MemoryFile
        system: Any = MemoryFileSystem
        data = content.read()
        with _LOCK:
            if exclusive and self._prefix + key in self._files:
                raise Fault("exists")
            self._files[self._prefix + key] = make(system(), self._prefix + key, data)

    def delete(self, key: str) -> None:
        """Forget it."""
        with _LOCK:
            self._files.pop(self._prefix + key, None)
