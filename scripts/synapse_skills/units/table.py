"""The placement table: a frozen answer for each file, for trees that follow no rule.

One JSON object a line, `{"source": 0, "path": "a/b.png", "unit": "u1", "spec": "image_1"}`, sorted by source and path
as the inventory sorts its files. So a million rows are read beside a million files, one row at a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from synapse_skills.sources import File, RowError, SortedRows, write_sorted
from synapse_skills.units.place import Placed, Unplaced


class ByTable(SortedRows[tuple[int, str], Placed]):
    """See `by_table`."""

    title = "placement table"
    shape = '{"source": …, "path": …, "unit": …, "spec": …}'
    sorted_by = "source and path"
    no_file = "no-placement"
    bad_row = "bad-placement"

    def parse(self, row: Any) -> tuple[tuple[int, str], Placed]:
        """A row names a file, its data unit and its specification."""
        source, path, unit, spec = row["source"], row["path"], row["unit"], row["spec"]
        if type(source) is not int or not all(isinstance(each, str) and each for each in (path, unit, spec)):
            raise RowError("needs a number as source, and texts as path, unit and spec")
        return (source, path), Placed(unit, spec)

    @property
    def signature(self) -> str:
        """What it is and what is in it."""
        return f"{self!r} {self.digest()}"

    def __call__(self, file: File) -> Placed | Unplaced:
        """The row of the file."""
        return self.find((file.source, file.path)) or Unplaced("belongs-to-nothing")

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
    lines = (
        ((source, name), {"source": source, "path": name, "unit": unit, "spec": spec})
        for source, name, unit, spec in rows
    )
    return write_sorted(path, lines)[0]
