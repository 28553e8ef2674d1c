"""The placement table: a frozen answer for each file, for trees that follow no rule.

One JSON object a line, `{"source": 0, "path": "a/b.png", "unit": "u1", "spec": "image_1"}`, sorted by source and path
as the inventory sorts its files. So a million rows are read beside a million files, one row at a time.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from synapse_skills.errors import FindingError, printable
from synapse_skills.sources import File
from synapse_skills.units.place import Placed, Unplaced

_STEPS = 64
_CHUNK = 1 << 20

Row = tuple[tuple[int, str], str, str]
"""((source, path), unit, spec)"""


class ByTable:
    """See `by_table`."""

    wants_order = True

    def __init__(self, path: str, folder: Path | None = None) -> None:
        self.path = path
        self._folder = folder
        self._stream: BinaryIO | None = None
        self._size = 0
        # Every row before the current one is smaller than this: the file that was asked about last.
        self._floor: tuple[int, str] = (-1, "")
        self._row: Row | None = None

    @property
    def file(self) -> Path:
        """The table itself: a relative path is one beside the script."""
        folder = self._folder
        if folder is None:
            script = getattr(sys.modules.get("__main__"), "__file__", None)
            folder = Path(script).resolve().parent if script else Path()
        return folder / self.path

    @property
    def signature(self) -> str:
        """What it is and what is in it."""
        try:
            with self.file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise _unreadable(self.file, error) from None
        return f"{self!r} {digest}"

    def __call__(self, file: File) -> Placed | Unplaced:
        """The row of the file; reads on from the last one, and searches only when asked out of order."""
        wanted = (file.source, file.path)
        if self._stream is None:
            self._open()
            self._row = self._read()
        if wanted < self._floor:
            self._search(wanted)
        for _ in range(_STEPS):
            if self._row is None or self._row[0] >= wanted:
                break
            self._next()
        else:
            self._search(wanted)
        self._floor = wanted
        if self._row is None or self._row[0] != wanted:
            return Unplaced("belongs-to-nothing")
        return Placed(self._row[1], self._row[2])

    def _open(self) -> None:
        try:
            self._stream = self.file.open("rb")
            self._size = os.fstat(self._stream.fileno()).st_size
        except OSError as error:
            raise _unreadable(self.file, error) from None

    def _next(self) -> None:
        """Step to the next row; at the end there is none."""
        before, self._row = self._row, self._read()
        if before is not None and self._row is not None and not before[0] < self._row[0]:
            raise self._bad("is not sorted by source and path, or names a file twice")

    def _search(self, wanted: tuple[int, str]) -> None:
        """Step to the first row that is not before this file, by halves."""
        stream = self._stream
        assert stream is not None
        low, high = 0, self._size
        while low < high:
            middle = (low + high) // 2
            stream.seek(max(middle - 1, 0))
            if middle:
                stream.readline()
            start = stream.tell()
            row = self._read() if start < high else None
            if row is not None and row[0] < wanted:
                low = stream.tell()
            else:
                high = middle
        stream.seek(low)
        self._row = self._read()

    def _read(self) -> Row | None:
        assert self._stream is not None
        line = self._stream.readline()
        if not line.strip():
            if line:
                raise self._bad("is empty")
            return None
        try:
            row = json.loads(line)
            source, path, unit, spec = row["source"], row["path"], row["unit"], row["spec"]
        except (ValueError, KeyError, TypeError):
            raise self._bad('is not {"source": …, "path": …, "unit": …, "spec": …}') from None
        if type(source) is not int or not all(isinstance(each, str) and each for each in (path, unit, spec)):
            raise self._bad("needs a number as source, and texts as path, unit and spec")
        return (source, path), unit, spec

    def _bad(self, what: str) -> FindingError:
        """The row that was read last is none; its number is counted only now."""
        assert self._stream is not None
        end, number = self._stream.tell(), 0
        self._stream.seek(0)
        while end > 0 and (chunk := self._stream.read(min(_CHUNK, end))):
            number += chunk.count(b"\n")
            end -= len(chunk)
        return FindingError(
            f"{printable(str(self.file))}: row {max(number, 1)} {what}",
            hint="Make the plan again with plan_upload; the table is made by it.",
            code="bad-placement",
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByTable) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        return f"by_table({self.path!r})"


def by_table(path: str, *, folder: Path | None = None) -> ByTable:
    """A place: a table says the data unit and the specification of each file; what is not in it stays at home.

    Args:
        path: the placement table; a relative path is one beside the script.
        folder: where a relative path is looked up instead.

    Raises:
        FindingError: when it is asked: `no-placement`, `bad-placement`.
    """
    return ByTable(path, folder)


def write_table(path: Path, rows: Iterable[tuple[int, str, str, str]]) -> int:
    """Write a placement table whole or not at all.

    Args:
        path: where to.
        rows: (source, path, unit, spec), sorted by source and path.

    Returns:
        How many rows there were.

    Raises:
        ValueError: the rows are not sorted, or name a file twice.
    """
    before: tuple[int, str] = (-1, "")
    count = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            for source, name, unit, spec in rows:
                if not before < (source, name):
                    raise ValueError(f"{(source, name)!r} does not come after {before!r}")
                before = (source, name)
                row: dict[str, Any] = {"source": source, "path": name, "unit": unit, "spec": spec}
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
                count += 1
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return count


def _unreadable(path: Path, error: OSError) -> FindingError:
    return FindingError(
        f"The placement table {printable(str(path))} can't be read: {error.strerror or error}",
        hint="It belongs beside the script: make the job folder again with render.",
        code="no-placement",
    )
