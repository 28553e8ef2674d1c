"""Where the cells of a piece of a sheet's XML are: the rectangle that holds them, or that it can't be told this way.

With numpy, which synapse-sdk brings, a million cells take a tenth of a second; without it a regular expression does
the same in ten times as long.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from synapse_skills.metadata.grid import column_of

try:
    import numpy
except ImportError:  # pragma: no cover - synapse-sdk brings it
    numpy = None  # type: ignore[assignment]

_REF = re.compile(rb'<c r="([A-Z]{1,3}[1-9][0-9]{0,6})"')
_WHOLE_REF = re.compile(rb"([A-Z]{1,3})([1-9][0-9]{0,6})")
_STRANGE = re.compile(rb"<c(?:[\t\r\n/>]| (?!r=))")
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGITS = b"0123456789"
_REF_BYTES = 10  # three letters and seven digits
_OPENING = int.from_bytes(b'<c r="', "little")

Extent = tuple[int, int, int, int]
"""First row and column, last row and column, from 0."""


class Tags(NamedTuple):
    """What a piece of XML holds.

    Attributes:
        extent: the rectangle of all cells, () if there is none, None if a cell is not written as `<c r="A1"`, as all
            common programs write it: then a parser has to look.
        declares: whether there is a comment, CDATA, a declaration: `<!`.
        formulas: whether a tag begins with `<f`.
    """

    extent: Extent | tuple[()] | None
    declares: bool
    formulas: bool


def tags_of(piece: bytes) -> Tags:
    """Look at all tags of a piece that is cut where a tag begins."""
    if numpy is None:
        return Tags(_by_search(piece), b"<!" in piece, b"<f" in piece)
    # Behind the end there is nothing that could be taken for a part of a cell.
    content = numpy.frombuffer(piece + bytes(32), dtype=numpy.uint8)
    tags = numpy.flatnonzero(content == ord("<"))
    first = content[tags + 1]
    starts = tags[first == ord("c")]
    # `<cols>` and others begin like a cell.
    other = ~numpy.isin(content[starts + 2], numpy.frombuffer(b" \t\r\n/>", dtype=numpy.uint8))
    starts = starts[~other] if other.any() else starts
    return Tags(_by_numpy(content, starts), bool((first == ord("!")).any()), bool((first == ord("f")).any()))


def _by_numpy(content: Any, starts: Any) -> Extent | tuple[()] | None:
    if not len(starts):
        return ()
    # Eight bytes from each place on, as one number; the largest comes first, so that numbers sort as texts do.
    size = len(content) - 8
    words = numpy.ndarray((size,), dtype="<u8", buffer=content, strides=(1,))
    texts = numpy.ndarray((size,), dtype=">u8", buffer=content, strides=(1,))
    if ((words[starts] & numpy.uint64((1 << 48) - 1)) != numpy.uint64(_OPENING)).any():
        return None
    corners: set[bytes] = set()
    left = starts + 6
    for length in range(2, _REF_BYTES + 1):
        ends = content[left + length] == ord('"')
        if not ends.any():
            continue
        refs, left = (left, left[:0]) if ends.all() else (left[ends], left[~ends])
        if length > 8:
            # Row 100,000 of column AAA and beyond: too long for one number, and rare.
            corners |= {content[at : at + length].tobytes() for at in refs.tolist()}
        elif not _corners(texts[refs].astype(numpy.uint64) >> numpy.uint64(64 - 8 * length), length, corners):
            return None
        if not len(left):
            break
    found = [_WHOLE_REF.fullmatch(ref) for ref in corners]
    if len(left) or not all(found):
        return None
    rows = [int(ref[2]) - 1 for ref in found if ref]
    columns = [column_of(ref[1]) for ref in found if ref]
    return min(rows), min(columns), max(rows), max(columns)


def _corners(refs: Any, length: int, corners: set[bytes]) -> bool:
    """Add cells that span the same rectangle as all of these, which have one length; False if one is no cell.

    Letters and digits of one length each sort as columns and rows do.
    """
    for letters in range(1, min(3, length - 1) + 1):
        digits = 8 * (length - letters)
        if letters < min(3, length - 1):
            # The character behind the letters is a digit in these, a letter in those that are left.
            ours = ((refs >> numpy.uint64(digits - 8)) & numpy.uint64(0xFF)) <= numpy.uint64(ord("9"))
            those, refs = (refs, refs[:0]) if ours.all() else (refs[ours], refs[~ours])
        else:
            those, refs = refs, refs[:0]
        if not len(those):
            continue
        columns = those >> numpy.uint64(digits)
        rows = those & numpy.uint64((1 << digits) - 1)
        if not _between(columns, letters, "A", "Z") or not _between(rows, length - letters, "0", "9"):
            return False
        for row, column in ((rows.min(), columns.min()), (rows.max(), columns.max())):
            corners.add(int(column).to_bytes(letters) + int(row).to_bytes(length - letters))
        if not len(refs):
            break
    return True


def _between(texts: Any, length: int, low: str, high: str) -> bool:
    """Whether each byte lies between two characters of ASCII."""
    ones = int.from_bytes(b"\1" * length)
    # No byte may be above 127: then adding and taking away never carries into the next one.
    top = numpy.uint64(ones << 7)
    above = texts + numpy.uint64(ones * (127 - ord(high)))
    below = (texts | top) - numpy.uint64(ones * ord(low))
    return not bool(((texts | above | ~below) & top).any())


def _by_search(piece: bytes) -> Extent | tuple[()] | None:
    found = _REF.findall(piece)
    if len(found) != piece.count(b"<c") and (_STRANGE.search(piece) or len(found) != piece.count(b"<c ")):
        return None
    if not found:
        return ()
    rows = [int(row) - 1 for row in {ref.lstrip(_LETTERS) for ref in found}]
    columns = [column_of(column) for column in {ref.rstrip(_DIGITS) for ref in found}]
    return min(rows), min(columns), max(rows), max(columns)
