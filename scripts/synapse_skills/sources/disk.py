"""A folder of this machine as a remote place: for a storage of the backend that is mounted here."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from synapse_skills.sources.address import Address
from synapse_skills.sources.faults import Fault, fault
from synapse_skills.sources.opening import open_inside
from synapse_skills.sources.remote import CHUNK, Entry, Reading, Remote


class Disk(Remote):
    """A folder below the folder that the storage is; no link leads out of that."""

    def __init__(self, root: Path, path: str, credentials: str) -> None:
        self._root = Path(os.path.realpath(root))
        self._below = self._root / path
        super().__init__(Address("storage", credentials.partition(":")[2], path), credentials)
        self._prefix = f"{path}/" if path else ""

    def list(self, *, recursive: bool = True, done: frozenset[str] | set[str] = frozenset()) -> Iterator[Entry]:
        """Depth first, sorted."""
        deep = [""]
        while deep:
            prefix = deep.pop()
            if prefix and prefix.partition("/")[0] in done:
                continue
            below: list[str] = []
            with self._faults():
                found = sorted(os.scandir(self._below / prefix), key=lambda each: each.name)
            for each in found:
                key = prefix + each.name
                if each.is_symlink():
                    yield Entry(key, 0, 0, "link-outside")
                elif each.is_dir():
                    if recursive:
                        below.append(f"{key}/")
                    else:
                        yield Entry(f"{key}/", 0, 0)
                elif each.is_file():
                    info = each.stat()
                    yield Entry(key, info.st_size, info.st_mtime_ns)
                else:
                    yield Entry(key, 0, 0, "special-file")
            if recursive and prefix:
                yield Entry(prefix, 0, 0)
            deep.extend(reversed(below))

    def check(self) -> None:
        """The folder is there."""
        if self._below.is_file():
            raise Fault("a-file")
        if not self._below.is_dir():
            raise Fault("missing", "the storage itself exists")

    def stat(self, key: str) -> Entry | None:
        """One look."""
        try:
            with open_inside(self._root, self._prefix + key) as stream:
                info = os.fstat(stream.fileno())
        except OSError:
            return None
        return Entry(key, info.st_size, info.st_mtime_ns)

    @contextlib.contextmanager
    def read(self, key: str) -> Iterator[Reading]:
        """Never led out of the storage."""
        with self._faults():
            stream = open_inside(self._root, self._prefix + key)
        with stream:
            info = os.fstat(stream.fileno())
            yield Reading(Entry(key, info.st_size, info.st_mtime_ns), iter(lambda: stream.read(CHUNK), b""))

    def write(self, key: str, content: BinaryIO, size: int, *, exclusive: bool = False) -> None:
        """A neighbour, then renamed or linked."""
        target = self._below / key
        temporary = target.with_name(f".{os.getpid()}-{id(content)}.part")
        with self._faults():
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("wb") as stream:
                    while data := content.read(CHUNK):
                        stream.write(data)
                    os.fsync(stream.fileno())
                if exclusive:
                    os.link(temporary, target)
                else:
                    temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)

    def delete(self, key: str) -> None:
        """Gone already is fine."""
        with self._faults():
            (self._below / key).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except FileExistsError:
            raise Fault("exists") from None
        except (FileNotFoundError, NotADirectoryError):
            raise Fault("missing") from None
        except PermissionError:
            raise Fault("denied") from None
        except OSError as error:
            raise fault("other", error.strerror or error) from None
