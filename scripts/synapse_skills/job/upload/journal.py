"""The journal: what was sent and what was answered, append-only, the truth of an upload.

One segment a run in `<state>/journal/`, JSON lines, each record durable before the call returns. The SQLite ledger is
rebuilt from it. A record that a kill cut off never happened: nothing is done before it is durable.
"""

from __future__ import annotations

import errno
import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from synapse_skills.job.upload.records import check_record
from synapse_skills.job.upload.segments import DamagedJournal, FolderSegments, Segments
from synapse_skills.texts import parse_json

__all__ = ["DamagedJournal", "Journal", "Record"]
Record = dict[str, Any]


class Journal:
    """The segments of one state, one of them open for appending.

    Args:
        segments: where they lie; a folder stands for the files in it.
        fence: called around every record; raises if the state is another run's by now.
    """

    def __init__(self, segments: Segments | Path, fence: Callable[[], None] = lambda: None) -> None:
        self._segments: Segments = FolderSegments(segments) if isinstance(segments, Path) else segments
        self._fence = fence
        self._name = ""
        self._run = secrets.token_hex(4)
        self._offset = 0
        self._broken = True  # until a segment is open
        self._batches = 0

    @property
    def empty(self) -> bool:
        """Whether nothing was ever recorded here."""
        return not self.segments()

    def segments(self) -> list[str]:
        """Names of the segments, oldest first."""
        return self._segments.names()

    def open(self, header: Record) -> tuple[str, int]:
        """Start this run's segment with a header; returns its name and the offset behind the header."""
        # Above every other's, however many are left: the order of the names is the order in time.
        numbers = [int(name[:6]) for name in self.segments() if name[:6].isdecimal()]
        self._name = self._segments.create(max(numbers, default=0) + 1)
        self._offset, self._broken = 0, False
        return self._name, self.append(header)

    def next_batch(self) -> str:
        """A name for the next batch, unique over all runs."""
        self._batches += 1
        return f"{self._name.split('-')[0]}-{self._run}-{self._batches}"

    @property
    def position(self) -> tuple[str, int]:
        """Segment and offset behind the last record."""
        return self._name, self._offset

    def append(self, record: Record) -> int:
        """Write one record and wait until it is durable; returns the offset behind it.

        Raises:
            OSError, OutOfReach: it could not be made durable, or the state is another run's. The segment takes nothing
                more then: a record that was cut off may only be the last one.
        """
        if self._broken:
            raise OSError(errno.EIO, "the journal takes no more records after a failed write", self._segments.place)
        self._fence()
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"
        self._broken = True
        self._offset = self._segments.append(line.encode())
        # A slow disk or storage may have taken so long that another run has watched this one die.
        self._fence()
        self._broken = False
        return self._offset

    def read(self, marks: dict[str, int]) -> Iterator[tuple[str, int, Record]]:
        """Records behind the marks, with the segment and the offset behind each.

        Raises:
            DamagedJournal: a line that is complete is not a record, or one is missing.
        """
        for name in self.segments():
            for offset, line in self._segments.lines(name, marks.get(name, 0)):
                try:
                    record = parse_json(line, 0)
                    check_record(record)
                except ValueError:
                    raise DamagedJournal(f"Journal segment {name} is damaged before {offset}.") from None
                yield name, offset, record

    def set_aside(self) -> str | None:
        """Begin anew (`--fresh`); returns where the segments are kept, None if there was nothing."""
        return None if self.empty else self._segments.set_aside()

    def close(self) -> None:
        """Close the open segment."""
        self._broken = True
        self._segments.close()
