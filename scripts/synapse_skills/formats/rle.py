"""Masks as runs: row by row as the platform has them (`model.Mask`), and column by column as COCO has them.

COCO's counts go down the columns and begin with the pixels that are not in the mask; its compressed form is a string
of six bits a character. Both are made here as pycocotools makes them, with numpy alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from synapse_skills.annotations.model import Point

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

Runs = Sequence[tuple[int, int]]


def fits(runs: Runs, width: int, height: int) -> bool:
    """Whether runs are rising, do not overlap, and lie in a picture of this size."""
    end = 0
    for start, length in runs:
        if start < end or length <= 0:
            return False
        end = start + length
    return end <= width * height


def pixels(runs: Runs, width: int, height: int) -> Pixels:
    """A mask as an array of 0 and 1, (height, width)."""
    import numpy as np

    edges = np.zeros(width * height + 1, dtype=np.int8)
    pairs = np.asarray(runs, dtype=np.int64).reshape(-1, 2)
    np.add.at(edges, pairs[:, 0], 1)
    np.subtract.at(edges, pairs.sum(axis=1), 1)
    flat = np.cumsum(edges[:-1], dtype=np.int8)
    return flat.astype(np.uint8).reshape(height, width)


def runs_of(array: Pixels) -> tuple[tuple[int, int], ...]:
    """The runs of an array, row by row."""
    starts, ends = _edges(array.reshape(-1))
    return tuple(zip(starts.tolist(), (ends - starts).tolist(), strict=True))


def counts_of(array: Pixels) -> list[int]:
    """COCO's counts: lengths down the columns, of 0 and 1 in turn, beginning with 0."""
    import numpy as np

    starts, ends = _edges(array.T.reshape(-1))
    if not starts.size:
        return [int(array.size)]
    edges = np.empty(2 * starts.size, dtype=np.int64)
    edges[0::2], edges[1::2] = starts, ends
    counts: list[int] = np.diff(edges, prepend=0).tolist()
    if rest := int(array.size - edges[-1]):
        counts.append(rest)
    return counts


def pixels_of_counts(counts: Sequence[int], width: int, height: int) -> Pixels:
    """The array of COCO's counts.

    Raises:
        ValueError: they are not the counts of a mask of this size.
    """
    import numpy as np

    if sum(counts) != width * height or any(count < 0 for count in counts):
        raise ValueError(f"counts of {sum(counts)} pixels for a mask of {width}x{height}")
    values = np.arange(len(counts), dtype=np.int64) % 2
    flat = np.repeat(values.astype(np.uint8), np.asarray(counts, dtype=np.int64))
    return np.ascontiguousarray(flat.reshape(width, height).T)


def compress(counts: Sequence[int]) -> str:
    """COCO's compressed counts: from the third on the difference to the one before the last, in groups of five bits."""
    text = bytearray()
    for number, count in enumerate(counts):
        value = count - counts[number - 2] if number > 2 else count
        while True:
            bits = value & 0x1F
            value >>= 5
            is_last = value == (-1 if bits & 0x10 else 0)
            text.append(48 + (bits if is_last else bits | 0x20))
            if is_last:
                break
    return text.decode("ascii")


def decompress(text: str) -> list[int]:
    """The counts of a compressed string.

    Raises:
        ValueError: it is none.
    """
    counts: list[int] = []
    value = shift = 0
    for char in text.encode("utf-8", "surrogatepass"):
        bits = char - 48
        if not 0 <= bits < 64:
            raise ValueError("a character that no compressed mask has")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            if shift > 60:
                raise ValueError("a number longer than any picture")
            continue
        if bits & 0x10:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("the last number is cut off")
    return counts


def area(runs: Runs) -> int:
    """How many pixels a mask has."""
    return sum(length for _, length in runs)


def bounds(runs: Runs, width: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a mask that is not empty, in whole pixels (right and bottom are beyond the last)."""
    import numpy as np

    pairs = np.asarray(runs, dtype=np.int64).reshape(-1, 2)
    first, last = pairs[:, 0], pairs.sum(axis=1) - 1
    top, bottom = int(first[0] // width), int(last[-1] // width) + 1
    if (first // width != last // width).any():  # a run goes over the end of a row: it holds both edges
        return 0, top, width, bottom
    return int((first % width).min()), top, int((last % width).max()) + 1, bottom


def raster(rings: Iterable[Sequence[Point]], width: int, height: int) -> Pixels:
    """The pixels whose centres lie inside rings; what lies in two (a hole in its outline) is outside again."""
    import numpy as np

    flips = np.zeros((height, width + 1), dtype=np.uint8)
    for ring in rings:
        points = np.asarray(ring, dtype=np.float64)
        for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
            if y0 == y1:
                continue
            (xa, ya), (xb, yb) = ((x0, y0), (x1, y1)) if y0 < y1 else ((x1, y1), (x0, y0))
            # Rows whose centre line the edge crosses; its lower end belongs to the next edge.
            rows = np.arange(max(0, int(np.ceil(ya - 0.5))), min(height, int(np.ceil(yb - 0.5))))
            crossings = xa + (rows + 0.5 - ya) * ((xb - xa) / (yb - ya))
            columns = np.clip(np.ceil(crossings - 0.5), 0, width).astype(np.int64)
            flips[rows, columns] ^= 1  # one edge crosses a row once: no pair is there twice
    inside: Pixels = np.bitwise_xor.accumulate(flips[:, :width], axis=1)
    return inside


def _edges(flat: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where runs of 1 begin and end."""
    import numpy as np

    changes = np.flatnonzero(np.diff(flat != 0, prepend=False, append=False)).astype(np.int64)
    return changes[0::2], changes[1::2]
