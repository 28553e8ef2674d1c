"""Where the cells of a piece of a sheet's XML are: the rectangle that holds them, or that it can't be told this way.

With numpy, which synapse-sdk brings, a million cells take a tenth of a second; without it a regular expression does
the same in ten times as long.
"""

from __future__ import annotations

import re
from typing import Any

try:
    import numpy
except ImportError:  # pragma: no cover - synapse-sdk brings it
    numpy = None  # type: ignore[assignment]

_REF = re.compile(rb'<c r="([A-Z]{1,3}[1-9][0-9]{0,6})"')
_STRANGE = re.compile(rb"<c(?:[\t\r\n/>]| (?!r=))")
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGITS = b"0123456789"
_REF_BYTES = 11  # three letters, seven digits and the quote

Extent = tuple[int, int, int, int]
"""First row and column, last row and column, from 0."""


def extent_of(piece: bytes) -> Extent | tuple[()] | None:
    """The rectangle of all cells in a piece, () if there is none.

    None if a cell is not written as `<c r="A1"`, as all common programs write it: then a parser has to look.
    """
    return _by_search(piece) if numpy is None else _by_numpy(piece)


def _by_numpy(piece: bytes) -> Extent | tuple[()] | None:
    content = numpy.frombuffer(piece + b"\0" * (_REF_BYTES + 6), dtype=numpy.uint8)
    starts = numpy.flatnonzero((content[:-1] == ord("<")) & (content[1:] == ord("c")))
    # `<cols>` and others begin like a cell.
    starts = starts[numpy.isin(content[starts + 2], numpy.frombuffer(b" \t\r\n/>", dtype=numpy.uint8))]
    if not len(starts):
        return ()
    for offset, byte in enumerate(b' r="', 2):
        if not (content[starts + offset] == byte).all():
            return None
    columns = numpy.zeros(len(starts), dtype=numpy.int64)
    rows = numpy.zeros(len(starts), dtype=numpy.int64)
    letters = numpy.zeros(len(starts), dtype=numpy.int64)
    digits = numpy.zeros(len(starts), dtype=numpy.int64)
    open_ = numpy.ones(len(starts), dtype=bool)
    for offset in range(_REF_BYTES):
        char = content[starts + 6 + offset].astype(numpy.int64)
        is_letter = open_ & (digits == 0) & (char >= ord("A")) & (char <= ord("Z"))
        is_digit = open_ & (letters > 0) & (char >= ord("0")) & (char <= ord("9"))
        columns = numpy.where(is_letter, columns * 26 + char - 64, columns)
        rows = numpy.where(is_digit, rows * 10 + char - 48, rows)
        letters, digits = letters + is_letter, digits + is_digit
        ends = open_ & (char == ord('"'))
        if (open_ & ~(is_letter | is_digit | ends)).any():
            return None
        open_ &= ~ends
        if not open_.any():
            break
    if open_.any() or (letters > 3).any() or (digits > 7).any() or (rows < 1).any():
        return None
    return _plain(rows.min() - 1, columns.min() - 1, rows.max() - 1, columns.max() - 1)


def _plain(*numbers: Any) -> Extent:
    low_row, low_column, high_row, high_column = map(int, numbers)
    return low_row, low_column, high_row, high_column


def _by_search(piece: bytes) -> Extent | tuple[()] | None:
    found = _REF.findall(piece)
    if len(found) != piece.count(b"<c") and (_STRANGE.search(piece) or len(found) != piece.count(b"<c ")):
        return None
    if not found:
        return ()
    rows = [int(row) - 1 for row in {ref.lstrip(_LETTERS) for ref in found}]
    columns = [column_of(column) for column in {ref.rstrip(_DIGITS) for ref in found}]
    return min(rows), min(columns), max(rows), max(columns)


def column_of(letters: bytes) -> int:
    """`C` → 2."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1
