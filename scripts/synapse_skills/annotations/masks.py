"""Masks: pixels by index, or runs of them, row by row over the whole picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synapse_skills.annotations.model import Mask
from synapse_skills.annotations.numbers import MAX_INDEX, Bad, shown, whole

Runs = tuple[tuple[int, int], ...]


def read_mask(value: Any, row: Mapping[str, Any]) -> Mask:
    """A mask as pixel indices or as runs. Where the row doesn't say which, the entries do: a number, or a pair.

    Raises:
        Bad: it is empty, mixed, or not what the row says it is.
    """
    if not isinstance(value, list):
        raise Bad(f"the mask is {shown(value)}")
    if not value:
        raise Bad("the mask has no pixels")
    in_runs = all(isinstance(each, list) for each in value)
    declared = _declared(row)
    if declared is not None and declared != in_runs:
        raise Bad(f"the mask says that it is {'in runs' if declared else 'in pixels'}, and is not")
    return Mask(_joined(_pairs(value)) if in_runs else _runs_of(value))


def _declared(row: Mapping[str, Any]) -> bool | None:
    """Whether the mask is in runs, as far as the row says it."""
    encoding = row.get("encoding")
    if encoding in ("dm_rle", "raw_indices"):
        return bool(encoding == "dm_rle")
    if encoding is not None:
        raise Bad(f"the encoding of the mask is {shown(encoding)}")
    form, flag = row.get("compressionFormat"), row.get("isCompressed")
    if form not in (None, "rle") or flag not in (None, True, False):
        raise Bad("the compression of the mask is none that is known")
    if flag is None:
        return True if form == "rle" else None
    if bool(flag) != (form == "rle") and form is not None:
        raise Bad("isCompressed and compressionFormat contradict each other")
    return bool(flag)


def _pairs(value: list[list[Any]]) -> list[tuple[int, int]]:
    pairs = []
    for each in value:
        if len(each) != 2:
            raise Bad(f"a run is a list of {len(each)}")
        start, length = whole(each[0]), whole(each[1])
        if length == 0 or start + length > MAX_INDEX:
            raise Bad(f"a run has {shown(length)} pixels")
        pairs.append((start, length))
    return pairs


def _joined(pairs: list[tuple[int, int]]) -> Runs:
    pairs.sort()
    joined: list[tuple[int, int]] = []
    first, end = pairs[0][0], pairs[0][0] + pairs[0][1]
    for start, length in pairs[1:]:
        if start > end:
            joined.append((first, end - first))
            first, end = start, start + length
        else:
            end = max(end, start + length)
    joined.append((first, end - first))
    return tuple(joined)


def _runs_of(value: list[Any]) -> Runs:
    indices = sorted({whole(each) for each in value})
    runs: list[tuple[int, int]] = []
    first = last = indices[0]
    for index in indices[1:]:
        if index != last + 1:
            runs.append((first, last + 1 - first))
            first = index
        last = index
    runs.append((first, last + 1 - first))
    return tuple(runs)


def check_inside(mask: Mask, width: int, height: int) -> None:
    """Refuse a mask that has pixels beyond its picture: then its indices are of another picture.

    Raises:
        Bad: it has.
    """
    start, length = mask.runs[-1]
    if start + length > width * height:
        raise Bad(f"the mask has pixels beyond a picture of {width} x {height}")
