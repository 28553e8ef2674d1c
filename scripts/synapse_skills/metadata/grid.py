"""What every kind of table comes down to before it is understood: rows of cells, '' for an empty one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

CHUNK = 2000
Chunk = tuple[Sequence[int], Sequence[Sequence[Any]]]
"""Row numbers and rows; rows may be of different lengths."""


class Grid(Protocol):
    """Rows that can be read again and again."""

    def chunks(self) -> Iterator[Chunk]:
        """(row numbers, rows), some thousand rows at a time."""


def column_of(letters: bytes) -> int:
    """`C` → 2."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1
