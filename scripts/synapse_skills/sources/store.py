"""A folder to write to, here or elsewhere: whole files by relative name, for journals and for what an export makes."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from synapse_skills.errors import FindingError, OutOfReach, printable
from synapse_skills.sources.closing import Closing
from synapse_skills.sources.faults import Fault, error_of, patiently
from synapse_skills.sources.remote import Remote
from synapse_skills.sources.source import Source


@dataclass(frozen=True, slots=True)
class Stored:
    """A file of a store: its name relative to the store, `/` between folders, and its size."""

    name: str
    size: int


class Store(Closing, ABC):
    """A folder to write to; a context manager, safe to use from several threads.

    Attributes:
        name: the folder or URL, for messages.
        credentials: which login is used, in words.

    Raises from every method:
        OutOfReach: the place is not there, refuses, or is full.
    """

    is_remote = False
    credentials = "none"

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def list(self, folder: str = "") -> Iterator[Stored]:
        """All files below a folder of it, in order of their names. As it is now: nothing is cached."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """A whole file; None if there is none."""

    @abstractmethod
    def fetch(self, name: str, to: Path) -> bool:
        """Copy a file of any size to one here; False if there is none."""

    @abstractmethod
    def write(self, name: str, content: bytes | Path) -> None:
        """Write a file whole or not at all, over what is there."""

    @abstractmethod
    def create(self, name: str, content: bytes) -> bool:
        """Write a file that must not be there; False if it is. Of several who try, one gets True."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove a file; none is fine."""

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Whether there is such a file."""


class LocalStore(Store):
    """A folder here, made when something is first written."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.folder = folder

    def list(self, folder: str = "") -> Iterator[Stored]:
        """See `Store`."""
        below = self.folder / checked(folder) if folder else self.folder
        with _local(self.name):
            names = sorted(
                path.relative_to(self.folder).as_posix()
                for path in below.rglob("*")
                if path.is_file() and not path.name.endswith(_PART)
            )
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                yield Stored(name, (self.folder / name).stat().st_size)

    def read(self, name: str) -> bytes | None:
        """See `Store`."""
        with _local(self.name):
            try:
                return (self.folder / checked(name)).read_bytes()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                return None

    def fetch(self, name: str, to: Path) -> bool:
        """See `Store`."""
        with _local(self.name):
            try:
                shutil.copyfile(self.folder / checked(name), to)
            except FileNotFoundError:
                return False
        return True

    def write(self, name: str, content: bytes | Path) -> None:
        """See `Store`: a temporary neighbour, synced, then renamed over it."""
        target = self.folder / checked(name)
        with _local(self.name), _neighbour(target, content) as temporary:
            temporary.replace(target)

    def create(self, name: str, content: bytes) -> bool:
        """See `Store`: the second name of a finished neighbour, which the file system gives only once."""
        target = self.folder / checked(name)
        with _local(self.name), _neighbour(target, content) as temporary:
            try:
                os.link(temporary, target)
            except FileExistsError:
                return False
            except OSError:
                # A file system without hard links: then the name is taken first.
                try:
                    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                except FileExistsError:
                    return False
                temporary.replace(target)
        return True

    def delete(self, name: str) -> None:
        """See `Store`."""
        with _local(self.name):
            (self.folder / checked(name)).unlink(missing_ok=True)

    def exists(self, name: str) -> bool:
        """See `Store`."""
        return (self.folder / checked(name)).is_file()


class RemoteStore(Store):
    """A folder elsewhere."""

    is_remote = True

    def __init__(self, remote: Remote) -> None:
        super().__init__(str(remote.address))
        self.remote = remote
        self.credentials = remote.credentials

    def list(self, folder: str = "") -> Iterator[Stored]:
        """See `Store`; the whole listing is read first, so that a broken one is read again and none is a part."""
        prefix = f"{checked(folder)}/" if folder else ""

        def once() -> list[Stored]:
            try:
                return [
                    Stored(entry.key, entry.size)
                    for entry in self.remote.list()
                    if entry.key.startswith(prefix) and not entry.key.endswith("/")
                ]
            except Fault as found:
                if found.word == "missing":
                    return []
                raise

        yield from sorted(patiently(once, self.name), key=lambda stored: stored.name)

    def read(self, name: str) -> bytes | None:
        """See `Store`."""

        def once() -> bytes | None:
            try:
                with self.remote.read(checked(name)) as reading:
                    content = b"".join(reading.chunks)
                    if len(content) != reading.entry.size:
                        raise Fault("cut")
                    return content
            except Fault as found:
                if found.word == "missing":
                    return None
                raise

        return patiently(once, f"{self.name}/{name}")

    def fetch(self, name: str, to: Path) -> bool:
        """See `Store`."""

        def once() -> bool:
            try:
                with self.remote.read(checked(name)) as reading, to.open("wb") as stream:
                    for chunk in reading.chunks:
                        stream.write(chunk)
                    if stream.tell() != reading.entry.size:
                        raise Fault("cut")
            except Fault as found:
                if found.word == "missing":
                    return False
                raise
            return True

        return patiently(once, f"{self.name}/{name}")

    def write(self, name: str, content: bytes | Path) -> None:
        """See `Store`."""
        self._write(name, content, exclusive=False)

    def create(self, name: str, content: bytes) -> bool:
        """See `Store`. If an answer got lost, what is there tells whether it was ours."""
        asked = 0

        def once() -> bool:
            nonlocal asked
            asked += 1
            try:
                self.remote.write(checked(name), io.BytesIO(content), len(content), exclusive=True)
            except Fault as found:
                if found.word != "exists":
                    raise
                return asked > 1 and self.read(name) == content
            return True

        return patiently(once, f"{self.name}/{name}")

    def delete(self, name: str) -> None:
        """See `Store`."""
        patiently(lambda: self.remote.delete(checked(name)), f"{self.name}/{name}")

    def exists(self, name: str) -> bool:
        """See `Store`."""
        return patiently(lambda: self.remote.stat(checked(name)), f"{self.name}/{name}") is not None

    def close(self) -> None:
        """See `Store`."""
        self.remote.close()

    def _write(self, name: str, content: bytes | Path, *, exclusive: bool) -> None:
        def opener() -> BinaryIO:
            return content.open("rb") if isinstance(content, Path) else io.BytesIO(content)

        size = content.stat().st_size if isinstance(content, Path) else len(content)

        def once() -> None:
            with opener() as stream:
                self.remote.write(checked(name), stream, size, exclusive=exclusive)

        patiently(once, f"{self.name}/{name}")


def open_store(place: str | Path, *, storage: int | None = None) -> Store:
    """Open a folder or URL for writing; nothing is asked or made before the first call.

    Args:
        place: a folder, a URL (s3, gs, sftp, smb, storage://ID/path), or a path in `storage`.
        storage: the id of a storage of the backend.

    Raises:
        OutOfReach: a kind that can't be written to, or no login for it. UsageError: the URL holds a secret.
    """
    source = Source(str(place), storage=storage)
    if not source.is_remote:
        return LocalStore(Path(place).expanduser())
    from synapse_skills.sources.connecting import connect

    address = source.address()
    try:
        return RemoteStore(connect(address, "write"))
    except Fault as found:
        raise error_of(found, str(address)) from None


def checked(name: str) -> str:
    """A name that stays in the store.

    Raises:
        FindingError: `outside-store`.
    """
    parts = name.split("/")
    if not name or "\0" in name or any(part in ("", ".", "..") for part in parts) or Path(name).is_absolute():
        raise FindingError(f"{printable(name)!r} is no name inside a store.", code="outside-store")
    return name


_PART = ".part"


@contextlib.contextmanager
def _neighbour(target: Path, content: bytes | Path) -> Iterator[Path]:
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=_PART)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            if isinstance(content, Path):
                with content.open("rb") as origin:
                    shutil.copyfileobj(origin, stream)
            else:
                stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _local(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (28, 122)
        raise OutOfReach(
            f"{printable(name)} can't be used: {error.strerror or error}.",
            hint="Free some disk space and run it again." if full else "Check the folder and its permissions.",
            code="disk-full" if full else "store-denied",
        ) from None
