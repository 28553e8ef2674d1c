"""The manifest of an export: what was counted, then every file with its size and SHA-256, each on a line of its own.

It is written and read line by line: of a million files it has 150 MB. One of another shape, which somebody has edited,
is read at once.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from synapse_skills.on_disk import Firsts, Row, in_order

VERSION = 1
SMALL = 1 << 16
_FILES, _END = b'"files": [\n', b"]}\n"
_as_json = json.JSONEncoder(ensure_ascii=False).encode


class File(msgspec.Struct, gc=False):
    """A file of the export: its path in the output, with `/`."""

    path: str
    bytes: int
    sha256: str


class Rows(msgspec.Struct):
    """Of a format: its rows by part of the split."""

    rows: dict[str, int] = {}


class Counts(msgspec.Struct):
    """What was counted."""

    formats: dict[str, Rows] = {}
    records: int | None = None


class _Head(msgspec.Struct):
    version: int
    counts: Counts


class _Whole(_Head):
    files: list[File]


@dataclass(frozen=True)
class Manifest:
    """A manifest that was read; `held` are its files if they do not stand on lines of their own."""

    path: Path
    version: int
    counts: Counts
    digest: str
    held: list[File] | None = None

    def files(self) -> Iterator[File]:
        """All files, in its order."""
        if self.held is not None:
            yield from self.held
            return
        with self.path.open("rb") as stream:
            stream.readline()
            yield from _files(stream)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest and look at each of its lines.

    Raises:
        OSError: it can't be read. ValueError: it is none.
    """
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            stream.seek(0)
            head = stream.readline()
            if head.endswith(_FILES):
                about = msgspec.json.decode(head + b"]}", type=_Head)
                for _ in _files(stream):
                    pass
                return Manifest(path, about.version, about.counts, digest)
            stream.seek(0)
            whole = msgspec.json.decode(stream.read(), type=_Whole)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return Manifest(path, whole.version, whole.counts, digest, whole.files)


def _files(lines: Iterable[bytes]) -> Iterator[File]:
    """The files on the lines behind the head."""
    decode = msgspec.json.Decoder(File).decode
    line = b""
    for line in lines:
        if line == _END:
            return
        yield decode(line.removesuffix(b"\n").removesuffix(b","))
    raise msgspec.DecodeError(f"it ends with {line[-40:]!r}")


def write_manifest(
    path: Path, counts: Mapping[str, Any], files: Iterable[tuple[str, int, str]]
) -> tuple[int, int, str]:
    """Write a manifest and wait until it is on the disk.

    Args:
        path: of a new file.
        counts: what it says of the whole.
        files: path in the output, bytes, SHA-256.

    Returns:
        How many files, their bytes, and the manifest's own SHA-256.
    """
    digest, count, total = hashlib.sha256(), 0, 0
    with path.open("wb") as stream:

        def put(text: str) -> None:
            content = text.encode("utf-8", "backslashreplace")
            digest.update(content)
            stream.write(content)

        put(f'{{"version": {VERSION}, "counts": {_as_json(counts)}, "files": [')
        for name, size, sha256 in files:
            put((",\n" if count else "\n") + _as_json({"path": name, "bytes": size, "sha256": sha256}))
            count, total = count + 1, total + size
        put("\n]}\n")
        stream.flush()
        os.fsync(stream.fileno())
    return count, total, digest.hexdigest()


def files_below(folder: Path, name: str) -> Iterator[tuple[str, int, str]]:
    """The files below a folder of an output, as `write_manifest` takes them."""
    known = Firsts()
    for relative in walk(folder / name):
        path = f"{folder}/{name}/{relative}"
        about = os.stat(path)  # noqa: PTH116 - a path of a million is a path too many
        inode = b"%d %d" % (about.st_dev, about.st_ino)
        # The store of the state is one of the names of a linked original.
        has_names = about.st_nlink > 2
        found = (known.of(inode) or b"").decode() if has_names else ""
        if not found:
            found = digest_of(path, about.st_size)
            if has_names:
                known.claim(inode, found.encode())
        yield f"{name}/{relative}", about.st_size, found


def digest_of(path: str, size: int) -> str:
    """SHA-256 of a file. A small one is read at once: `file_digest` makes room for 256 KB before each."""
    with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 - a path of a million is a path too many
        if size <= SMALL:
            return hashlib.sha256(stream.read()).hexdigest()
        return hashlib.file_digest(stream, "sha256").hexdigest()


def walk(folder: Path | str, below: str = "") -> Iterator[str]:
    """Paths of all files below a folder, in an order that is the same everywhere; links are files."""
    if not os.path.isdir(folder):  # noqa: PTH112
        return
    for name, kind in in_order(_names_in(folder)):
        path = below + os.fsdecode(name)
        if kind:
            yield from walk(f"{folder}/{os.fsdecode(name)}", f"{path}/")
        else:
            yield path


def _names_in(folder: Path | str) -> Iterator[Row]:
    with os.scandir(folder) as entries:
        for entry in entries:
            yield os.fsencode(entry.name), b"folder" if entry.is_dir(follow_symlinks=False) else b""
