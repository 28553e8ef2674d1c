"""Bytes on disk: written beside their place and moved there whole, hashed as they come in."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

PREFIX = "tenants/1/files/"
_READ = 1024 * 1024
_AT_ONCE = 1024 * 1024


@dataclass(frozen=True)
class Written:
    """What the server itself counted and hashed."""

    size: int
    sha1: str
    md5: str


def new_key() -> str:
    """A key that nobody can guess and that is never given twice."""
    return PREFIX + secrets.token_hex(16)


class Objects:
    """A folder of objects by key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: set[str] = set()

    def path(self, key: str, part: int = 0) -> Path:
        """Where an object, or one part of it, lies. Keys are ours alone: hex behind a fixed prefix."""
        name = key.rpartition("/")[2]
        if not name.isalnum():
            raise ValueError(f"not a key: {key!r}")
        bucket = name[:2]
        if bucket not in self._made:
            (self._folder / bucket).mkdir(exist_ok=True)
            self._made.add(bucket)
        return self._folder / bucket / (f"{name}.{part}" if part else name)

    async def write(self, key: str, chunks: AsyncIterator[bytes], part: int = 0) -> Written:
        """Store what a request brings. If the client goes away halfway, nothing is stored."""
        place = str(self.path(key, part))
        begun, size = list[bytes](), 0
        async for chunk in chunks:
            begun.append(chunk)
            size += len(chunk)
            if size > _AT_ONCE:
                return await self._write_on(place, begun, chunks)
        content = begun[0] if len(begun) == 1 else b"".join(begun)
        try:
            # A new object that has arrived whole goes to its place at once: its row says nothing of it yet, and nothing
            # else happens in between.
            descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return await self._write_on(place, [content], chunks)
        try:
            _write(descriptor, content)
        except BaseException:
            Path(place).unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        sha1, md5 = hashlib.sha1(content, usedforsecurity=False), hashlib.md5(content, usedforsecurity=False)
        return Written(size, sha1.hexdigest(), md5.hexdigest())

    async def _write_on(self, place: str, begun: Iterable[bytes], chunks: AsyncIterator[bytes]) -> Written:
        # By the system's own calls: pathlib takes as long as they do.
        beside = f"{place}.{secrets.token_hex(4)}.tmp"
        size, sha1, md5 = 0, hashlib.sha1(usedforsecurity=False), hashlib.md5(usedforsecurity=False)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

        def take(chunk: bytes) -> None:
            nonlocal size
            size += len(chunk)
            sha1.update(chunk)
            md5.update(chunk)
            _write(descriptor, chunk)

        try:
            try:
                for chunk in begun:
                    take(chunk)
                async for chunk in chunks:
                    take(chunk)
            finally:
                os.close(descriptor)
            os.replace(beside, place)  # noqa: PTH105
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
        return Written(size, sha1.hexdigest(), md5.hexdigest())

    def join(self, key: str, parts: Iterable[int]) -> Written:
        """Make an object of its parts, in the order given. Blocks: call it in a thread."""
        place = self.path(key)
        beside = place.with_name(f"{place.name}.{secrets.token_hex(4)}.tmp")
        size, sha1, md5 = 0, hashlib.sha1(usedforsecurity=False), hashlib.md5(usedforsecurity=False)
        numbers = list(parts)
        try:
            with beside.open("wb") as whole:
                for number in numbers:
                    with self.path(key, number).open("rb") as file:
                        while chunk := file.read(_READ):
                            size += len(chunk)
                            sha1.update(chunk)
                            md5.update(chunk)
                            whole.write(chunk)
            beside.replace(place)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        for number in numbers:
            self.path(key, number).unlink(missing_ok=True)
        return Written(size, sha1.hexdigest(), md5.hexdigest())

    def append(self, key: str, chunk: bytes, offset: int) -> None:
        """Put a chunk of a growing object at its place."""
        descriptor = os.open(self.path(key), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(descriptor, chunk, offset)
        finally:
            os.close(descriptor)

    def digest(self, key: str) -> Written:
        """Count and hash what lies there. Blocks: call it in a thread."""
        size, sha1, md5 = 0, hashlib.sha1(usedforsecurity=False), hashlib.md5(usedforsecurity=False)
        with self.path(key).open("rb") as file:
            while chunk := file.read(_READ):
                size += len(chunk)
                sha1.update(chunk)
                md5.update(chunk)
        return Written(size, sha1.hexdigest(), md5.hexdigest())


def _write(descriptor: int, chunk: bytes) -> None:
    """All of a chunk."""
    written = os.write(descriptor, chunk)
    while written < len(chunk):
        written += os.write(descriptor, chunk[written:])
