"""The way to the files of a source, of whatever kind: list them, open one, fetch one whole.

`reach` is the only door. A local folder is read as ever (`Walker`, `open_inside`); all else goes through a `Remote`.
"""

from __future__ import annotations

import os
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, cast

from synapse_skills.errors import OutOfReach, printable
from synapse_skills.sources.closing import Closing
from synapse_skills.sources.faults import Fault, FileChanged, FileVanished, error_of, patiently
from synapse_skills.sources.junk import Junk
from synapse_skills.sources.opening import LinkOutside, open_inside
from synapse_skills.sources.remote import CHUNK, Remote
from synapse_skills.sources.remote_walk import RemoteWalker
from synapse_skills.sources.source import File, Source
from synapse_skills.sources.walk import Gathering, Walk, Walker

_IN_MEMORY = 8 << 20


class Access(Closing, ABC):
    """An open way to one source; a context manager, safe to use from several threads.

    Attributes:
        source: the source.
        name: the folder or URL, as messages and the inventory have it.
        credentials: which login is used, in words (`none` for a local folder).
    """

    is_remote = False
    credentials = "none"

    def __init__(self, source: Source, name: str) -> None:
        self.source = source
        self.name = name

    @abstractmethod
    def walker(
        self, index: int, *, walk: Walk, junk: Junk, limit: int | None = None, share: int | None = None
    ) -> Gathering[Any]:
        """A walk through it, for the inventory."""

    @abstractmethod
    def entries(self) -> Iterator[tuple[str, bool]]:
        """The names directly in it, in no order, and whether each is a folder."""

    @abstractmethod
    def open(self, file: File | str) -> BinaryIO:
        """Open a file for reading; seeking works.

        Args:
            file: a file as it was listed, which must be unchanged, or a path.

        Raises:
            FileVanished, FileChanged, OutOfReach: of a remote source. OSError: of a local one.
        """

    @abstractmethod
    def fetch(self, file: File, to: Path) -> None:
        """Copy a file as it was listed, whole or not at all.

        Raises:
            FileVanished: it is gone. FileChanged: size or version is another. OutOfReach: the place is not there or
            refuses it. OSError: the disk here.
        """

    @abstractmethod
    def stat(self, path: str) -> File | None:
        """What a file is now (its `source` is 0); None if there is none."""

    def is_unchanged(self, file: File) -> bool:
        """Whether a file is what was listed, as far as that can be said without reading it."""
        now = self.stat(file.path)
        if now is None or now.size != file.size:
            return False
        # 0: a web server, of which only sizes are known until a file is read.
        return now.mtime_ns == file.mtime_ns or not (now.mtime_ns or not self.is_remote)


class LocalAccess(Access):
    """A folder here."""

    def __init__(self, source: Source) -> None:
        self.root = source.root()
        super().__init__(source, str(self.root))

    def walker(
        self, index: int, *, walk: Walk, junk: Junk, limit: int | None = None, share: int | None = None
    ) -> Walker:
        """See `Access`."""
        return Walker(index, self.root, recursive=self.source.recursive, walk=walk, junk=junk, limit=limit, share=share)

    def entries(self) -> Iterator[tuple[str, bool]]:
        """See `Access`."""
        with os.scandir(self.root) as found:
            for entry in found:
                yield entry.name, entry.is_dir(follow_symlinks=False)

    def open(self, file: File | str) -> BinaryIO:
        """See `Access`; never led out of the folder."""
        return open_inside(self.root, file)

    def fetch(self, file: File, to: Path) -> None:
        """See `Access`."""
        try:
            with open_inside(self.root, file) as stream, _Whole(to) as target:
                found = os.fstat(stream.fileno())
                if (found.st_size, found.st_mtime_ns) != (file.size, file.mtime_ns):
                    raise _changed(file.path, "its size or time is another than when it was listed")
                copied = 0
                while data := stream.read(CHUNK):
                    copied += target.write(data)
                if copied != file.size:
                    raise _changed(file.path, f"{copied:,} of {file.size:,} bytes came")
        except (FileNotFoundError, LinkOutside) as error:
            raise _vanished(file.path, str(error.strerror)) from None

    def stat(self, path: str) -> File | None:
        """See `Access`."""
        try:
            with open_inside(self.root, path) as stream:
                found = os.fstat(stream.fileno())
        except OSError:
            return None
        return File(0, path, found.st_size, found.st_mtime_ns)


class RemoteAccess(Access):
    """A folder elsewhere."""

    is_remote = True

    def __init__(self, source: Source, remote: Remote) -> None:
        super().__init__(source, source.name())
        self.remote = remote
        self.credentials = remote.credentials
        self._closed = threading.Event()

    def walker(
        self, index: int, *, walk: Walk, junk: Junk, limit: int | None = None, share: int | None = None
    ) -> RemoteWalker:
        """See `Access`."""
        return RemoteWalker(
            index, self.remote, recursive=self.source.recursive, walk=walk, junk=junk, limit=limit, share=share
        )

    def entries(self) -> Iterator[tuple[str, bool]]:
        """See `Access`."""
        try:
            for entry in self.remote.list(recursive=False):
                yield entry.key.rstrip("/"), entry.key.endswith("/")
        except Fault as found:
            raise error_of(found, self.name) from None

    def open(self, file: File | str) -> BinaryIO:
        """See `Access`. It is fetched first: into memory if it is small, into a nameless temporary file otherwise."""
        target = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - the caller closes it
        try:
            path = file if isinstance(file, str) else file.path
            self._copy(path, None if isinstance(file, str) else file, cast(BinaryIO, target))
            target.seek(0)
            return cast(BinaryIO, target)
        except BaseException:
            target.close()
            raise

    def fetch(self, file: File, to: Path) -> None:
        """See `Access`."""
        with _Whole(to) as target:
            self._copy(file.path, file, target)

    def stat(self, path: str) -> File | None:
        """See `Access`."""
        found = patiently(lambda: self.remote.stat(path), self._url(path))
        return None if found is None else File(0, path, found.size, found.version)

    def close(self) -> None:
        """See `Access`."""
        self._closed.set()
        self.remote.close()

    def _copy(self, path: str, file: File | None, target: BinaryIO) -> None:
        """Bytes of a file; tried again from its beginning if the connection breaks."""

        def once() -> None:
            target.seek(0)
            target.truncate()
            with self.remote.read(path) as reading:
                if reading.entry.size >= 0:
                    self._compare(file, reading.entry.size, reading.entry.version, path)
                copied = 0
                for data in reading.chunks:
                    if self._closed.is_set():
                        raise OutOfReach(f"{self.name} was closed while a file was fetched.", code="source-closed")
                    copied += target.write(data)
                if copied != reading.entry.size:
                    raise Fault("cut", f"{copied:,} of {reading.entry.size:,} bytes came")
                self._compare(file, copied, reading.entry.version, path)

        try:
            patiently(once, self._url(path))
        except OutOfReach as error:
            if error.code == "source-missing":
                raise _vanished(self._url(path), "it was listed and is not there any more") from None
            raise

    def _compare(self, file: File | None, size: int, version: int, path: str) -> None:
        if file is None:
            return
        if size != file.size:
            raise _changed(self._url(path), f"it has {size:,} bytes, {file.size:,} when it was listed")
        if version and file.mtime_ns and version != file.mtime_ns:
            raise _changed(self._url(path), "its content or time is another than when it was listed")

    def _url(self, path: str) -> str:
        return f"{self.name}/{path}"


def reach(source: Source) -> Access:
    """Open the way to a source, and see that it is there.

    Raises:
        OutOfReach: `source-missing` (it says which part exists), `source-not-a-folder`, `source-denied`,
            `source-login`, `source-timeout`, `source-unreachable`, `source-tls`, `source-host-key`, `source-region`,
            `source-busy`, `source-not-supported`.
        UsageError: the URL holds a secret.
    """
    if not source.is_remote:
        return LocalAccess(source)
    from synapse_skills.sources.connecting import connect

    address = source.address()
    remote: Remote | None = None
    try:
        remote = connect(address)
        patiently(remote.check, str(address))
        return RemoteAccess(source, remote)
    except Fault as found:
        raise error_of(found, str(address)) from None
    except BaseException:
        if remote is not None:
            remote.close()
        raise


def credentials_of(source: Source) -> str:
    """Which login a source is read with, without asking the place: what a plan may say about it.

    Returns:
        `none` (a local folder), `storage:ID`, `environment`, `profile NAME`, `key file`, `ssh agent`, `anonymous` or
        `node`.

    Raises:
        OutOfReach: `source-login`: there is none; the hint names what was looked at.
    """
    if not source.is_remote:
        return "none"
    from synapse_skills.sources.connecting import login_of

    address = source.address()
    try:
        return login_of(address)
    except Fault as found:
        raise error_of(found, str(address)) from None


class _Whole:
    """A file that is there when the block ends well, and never half of it."""

    def __init__(self, to: Path) -> None:
        self._to = to
        self._temporary = to.with_name(f".{to.name[:100]}.part")

    def __enter__(self) -> BinaryIO:
        self._stream = self._temporary.open("w+b")
        return self._stream

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        if kind is None:
            self._temporary.replace(self._to)
        else:
            self._temporary.unlink(missing_ok=True)


def _changed(path: str, why: str) -> FileChanged:
    return FileChanged(f"{printable(path)} has changed: {why}.")


def _vanished(path: str, why: str) -> FileVanished:
    return FileVanished(f"{printable(path)} is gone: {why}.")
