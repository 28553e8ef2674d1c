"""A sorted table beside the script: one JSON object a line, read row by row along with whoever asks in its order.

So a million rows are read beside a million files or data units, one row at a time. Whoever asks out of order is
answered by a search in halves.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from synapse_skills.errors import FindingError, printable

_STEPS = 64
_CHUNK = 1 << 20


class SortedRows[Key: (str, tuple[int, str]), Value]:
    """The rows of one table; a subclass says what a row is and what its errors are called.

    Args:
        path: the table; a relative path is one beside the script.
        folder: where a relative path is looked up instead.
    """

    wants_order = True
    title = "table"
    shape = "a JSON object"
    sorted_by = "key"
    no_file = "no-table"
    bad_row = "bad-table"

    def __init__(self, path: str, folder: Path | None = None) -> None:
        self.path = path
        self._folder = folder
        self._stream: BinaryIO | None = None
        self._size = 0
        self._mtime_ns = 0
        # Every row before the current one is smaller than this: what was asked for last.
        self._floor: Key | None = None
        self._row: tuple[Key, Value] | None = None

    def parse(self, row: Any) -> tuple[Key, Value]:
        """One row.

        Raises:
            ValueError, KeyError, TypeError: it is none.
        """
        raise NotImplementedError

    @property
    def file(self) -> Path:
        """The table itself."""
        folder = self._folder
        if folder is None:
            script = getattr(sys.modules.get("__main__"), "__file__", None)
            folder = Path(script).resolve().parent if script else Path()
        return folder / self.path

    def digest(self) -> str:
        """SHA-256 of what is in it."""
        try:
            with self.file.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise self._unreadable(error) from None

    def find(self, wanted: Key) -> Value | None:
        """The row of this key; reads on from the last one, and searches only when asked out of order.

        Raises:
            FindingError: the table is not there, is not sorted, or a row is none.
        """
        if self._stream is None:
            self._open()
            self._row = self._read()
        if self._floor is not None and wanted < self._floor:
            self._search(wanted)
        for _ in range(_STEPS):
            if self._row is None or self._row[0] >= wanted:
                break
            self._next()
        else:
            self._search(wanted)
        self._floor = wanted
        return self._row[1] if self._row is not None and self._row[0] == wanted else None

    def _open(self) -> None:
        try:
            self._stream = self.file.open("rb")
            about = os.fstat(self._stream.fileno())
            self._size, self._mtime_ns = about.st_size, about.st_mtime_ns
        except OSError as error:
            raise self._unreadable(error) from None

    def _next(self) -> None:
        """Step to the next row; at the end there is none."""
        before, self._row = self._row, self._read()
        if before is not None and self._row is not None and not before[0] < self._row[0]:
            self._bad(f"is not sorted by {self.sorted_by}, or there is one like it")

    def _search(self, wanted: Key) -> None:
        """Step to the first row that is not before this key, by halves."""
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

    def _read(self) -> tuple[Key, Value] | None:
        assert self._stream is not None
        line = self._stream.readline()
        about = os.fstat(self._stream.fileno())
        if (about.st_size, about.st_mtime_ns) != (self._size, self._mtime_ns):
            # Another table than the one that was compared with the plan, though the same file.
            self._bad("can't be trusted: the file was written to while it was read")
        if not line.strip():
            if line:
                self._bad("is empty")
            return None
        try:
            return self.parse(_DECODER.decode(line.decode()))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            self._bad(str(error) if isinstance(error, RowError) else f"is not {self.shape}")

    def _bad(self, what: str) -> NoReturn:
        """The row that was read last is none; its number is counted only now."""
        assert self._stream is not None
        end, number = self._stream.tell(), 0
        self._stream.seek(0)
        while end > 0 and (chunk := self._stream.read(min(_CHUNK, end))):
            number += chunk.count(b"\n")
            end -= len(chunk)
        raise FindingError(
            f"{printable(str(self.file))}: row {max(number, 1)} {what}",
            hint="Make the plan again with plan_upload; the table is made by it.",
            code=self.bad_row,
        )

    def _unreadable(self, error: OSError) -> FindingError:
        return FindingError(
            f"The {self.title} {printable(str(self.file))} can't be read: {error.strerror or error}",
            hint="It belongs beside the script: make the job folder again with render.",
            code=self.no_file,
        )

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, SortedRows) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)


class RowError(ValueError):
    """Says what is wrong with a row, to follow on "row 3"."""


def _refuse(constant: str) -> NoReturn:
    raise RowError(f"holds {constant}, which is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def write_sorted(path: Path, rows: Iterable[tuple[Any, Mapping[str, Any]]]) -> tuple[int, str]:
    """Write such a table whole or not at all.

    Args:
        path: where to.
        rows: (key, what the line holds), sorted by key.

    Returns:
        How many rows there were, and the SHA-256 of the file.

    Raises:
        ValueError: the rows are not sorted, a key comes twice, or a value is no JSON.
    """
    before: Any = None
    count = 0
    digest = hashlib.sha256()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            for key, row in rows:
                if before is not None and not before < key:
                    raise ValueError(f"{key!r} does not come after {before!r}")
                before = key
                line = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode()
                digest.update(line)
                stream.write(line)
                count += 1
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return count, digest.hexdigest()
