"""An export written in parts: several writers of one format, each a range of the records, and one that joins them.

A part is written by an ordinary writer into a folder of its own, but for files that are of one record alone: their
names are unique in the whole export, so they go to their place at once (`Settings.files`). Instead of closing the
writer is left (`leave`), and tells what the joining one has to know. That one, made before any of them, is handed the
parts in the order of the records (`take`), and puts the files together that belong to all records.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol

from synapse_skills.formats.base import Writer


class PartWriter(Writer, Protocol):
    """What the writer of a format does besides whose `splits` is true."""

    def leave(self) -> Any:
        """Instead of `close`: nothing more comes to this part. What `take` has to know; it can be pickled."""
        ...

    def take(self, folder: Path, left: Any) -> None:
        """Go on with a part that another writer has left in a folder. `rows` and `notes` are added by the caller."""
        ...


def pour(source: Path, stream: IO[bytes]) -> None:
    """Move the content of a file to the end of an open one; one that is not there has none."""
    try:
        with source.open("rb") as content:
            shutil.copyfileobj(content, stream, 1 << 20)
    except FileNotFoundError:
        return
    source.unlink()


class PartFiles:
    """A file of the same name for each part of the split, in the part's folder; open while a format is written.

    Args:
        folder: of the format.
        name: of the file.
        splits: parts that have one even if nothing comes into it; the only part is '' without a split.
    """

    def __init__(self, folder: Path, name: str, splits: Sequence[str]) -> None:
        self._folder = folder
        self._name = name
        self._streams: dict[str, BinaryIO] = {}
        for part in splits or ("",):
            self.of(part)

    def of(self, part: str) -> BinaryIO:
        """The file of a part."""
        if part not in self._streams:
            (self._folder / part).mkdir(exist_ok=True)
            self._streams[part] = (self._folder / part / self._name).open("wb")
        return self._streams[part]

    def parts(self) -> list[str]:
        """The parts that have one."""
        return list(self._streams)

    def take(self, folder: Path, left: Sequence[str]) -> None:
        """Add the files of these parts from another folder to the end of ours."""
        for part in left:
            pour(folder / part / self._name, self.of(part))

    def close(self) -> None:
        """Close all of them."""
        for stream in self._streams.values():
            stream.close()


def numbered_on(line: bytes, name: str, by: int) -> bytes:
    """A row of JSON that begins with a number of this name, which becomes larger by so much; any other as it is."""
    head = b'{"%b":' % name.encode()
    if not line.startswith(head):
        return line
    end = line.index(b",", len(head))
    return b"%b%d%b" % (head, int(line[len(head) : end]) + by, line[end:])
