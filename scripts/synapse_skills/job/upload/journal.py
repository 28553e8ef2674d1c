"""The journal: what was sent and what was answered, append-only, the truth of an upload.

One segment a run in `<state>/journal/`, JSON lines, each record durable before the call returns. The SQLite ledger is
rebuilt from it. A record that a kill cut off has no newline and never happened: nothing is done before it is durable.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from synapse_skills.errors import FindingError

Record = dict[str, Any]


class DamagedJournal(FindingError):
    """A record in the middle of a journal segment can't be read."""

    code = "state-damaged"
    hint = "Restore the state folder from a copy, or start over with --fresh after checking what is on the backend."


class Journal:
    """The segments of one state folder, one of them open for appending.

    Args:
        folder: `<state>/journal`, made if it is missing.
        fence: called before every record; raises if the folder is another run's by now.
    """

    def __init__(self, folder: Path, fence: Callable[[], None] = lambda: None) -> None:
        self.folder = folder
        self._fence = fence
        folder.mkdir(parents=True, exist_ok=True)
        self._handle: int | None = None
        self._name = ""
        self._offset = 0
        self._broken = False
        self._batches = 0

    @property
    def empty(self) -> bool:
        """Whether nothing was ever recorded here."""
        return not self.segments()

    def segments(self) -> list[str]:
        """Names of the segments, oldest first."""
        return sorted(path.name for path in self.folder.glob("*.jsonl"))

    def open(self, header: Record) -> tuple[str, int]:
        """Start this run's segment with a header; returns its name and the offset behind the header."""
        # Above every other's, however many are left: the order of the names is the order in time.
        numbers = [int(name[:6]) for name in self.segments() if name[:6].isdecimal()]
        self._name = f"{max(numbers, default=0) + 1:06d}-{int(time.time())}-{os.getpid()}.jsonl"
        # Exclusive: two runs never share a segment, whatever happened to the lock.
        self._handle = os.open(self.folder / self._name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._offset, self._broken = 0, False
        offset = self.append(header)
        _sync_folder(self.folder)
        return self._name, offset

    def next_batch(self) -> str:
        """A name for the next batch, unique over all runs."""
        self._batches += 1
        return f"{self._name.split('-')[0]}-{os.getpid()}-{self._batches}"

    @property
    def position(self) -> tuple[str, int]:
        """Segment and offset behind the last record."""
        return self._name, self._offset

    def append(self, record: Record) -> int:
        """Write one record and wait until it is on the disk; returns the offset behind it.

        Raises:
            OSError: it could not be made durable. The segment takes nothing more then: a line that was cut off may
                only be the last one.
        """
        if self._handle is None or self._broken:
            raise OSError(errno.EIO, "the journal takes no more records after a failed write", str(self.folder))
        self._fence()
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"
        content = line.encode()
        self._broken = True
        written = 0
        while written < len(content):
            written += os.write(self._handle, content[written:])
        os.fsync(self._handle)
        self._broken = False
        self._offset += len(content)
        return self._offset

    def read(self, marks: dict[str, int]) -> Iterator[tuple[str, int, Record]]:
        """Records behind the marks, with the segment and the offset behind each.

        Raises:
            DamagedJournal: a line that is complete is not a record.
        """
        for name in self.segments():
            offset = marks.get(name, 0)
            with (self.folder / name).open("rb") as stream:
                stream.seek(offset)
                for line in stream:
                    if not line.endswith(b"\n"):
                        break
                    offset += len(line)
                    try:
                        record = json.loads(line)
                        kind = record["t"]
                    except (ValueError, KeyError, TypeError):
                        raise DamagedJournal(f"Journal segment {name} is damaged before byte {offset}.") from None
                    assert kind
                    yield name, offset, record

    def set_aside(self) -> Path | None:
        """Move all segments to a neighbour folder (`--fresh`); returns it, None if there was nothing."""
        if self.empty:
            return None
        target = self.folder.with_name(f"journal-set-aside-{int(time.time())}-{os.getpid()}")
        self.folder.rename(target)
        self.folder.mkdir()
        return target

    def close(self) -> None:
        """Close the open segment."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _sync_folder(folder: Path) -> None:
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        # Some network file systems and Windows can't open a folder; the file itself is synced.
        return
    try:
        os.fsync(handle)
    except OSError:
        return
    finally:
        os.close(handle)
