"""Outlines of what has none, or has too many: of a mask, of a polygon with holes, of points without order.

The outline of a mask runs along the edges of its pixels, not through their centres as OpenCV's does: its area is the
number of pixels, a box around it is the box of the mask, and a mask of one pixel has an outline too. Neither OpenCV
nor numpy is needed for it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from synapse_skills.annotations.model import Box, Mask, Point, Polygon
from synapse_skills.formats.geometry import BAD, ZERO, Ring, bounds, box_of, signed_area

_Span = tuple[int, int]
_ABOVE, _BELOW = 0, 1
"""Where the mask lies, seen from a level piece of its outline."""


def mask_spans(mask: Mask, width: int, height: int) -> dict[int, list[_Span]] | str:
    """The columns (first, behind the last) of a mask by row, or why there are none."""
    rows: dict[int, list[_Span]] = defaultdict(list)
    for start, length in mask.runs:
        if start < 0 or length < 0 or start + length > width * height:
            return BAD
        row, column = divmod(start, width)
        left = length
        while left > 0:
            end = min(column + left, width)
            rows[row].append((column, end))
            left -= end - column
            row, column = row + 1, 0
    return dict(rows) if rows else ZERO


def mask_box(mask: Mask, width: int, height: int) -> Box | str:
    """The box around the pixels of a mask, or why there is none."""
    rows = mask_spans(mask, width, height)
    if isinstance(rows, str):
        return rows
    left = min(spans[0][0] for spans in rows.values())
    right = max(spans[-1][1] for spans in rows.values())
    return box_of((float(left), float(min(rows)), float(right), float(max(rows) + 1)))


def mask_polygons(mask: Mask, width: int, height: int) -> list[Polygon] | str:
    """The outlines of a mask, exact: one polygon for each connected part, from top to bottom, with its holes.

    Pixels that touch at a corner only are not connected.
    """
    rows = mask_spans(mask, width, height)
    if isinstance(rows, str):
        return rows
    outer: list[Ring] = []
    holes: list[Ring] = []
    for ring in _rings(_level_edges(rows)):
        (outer if signed_area(ring) > 0 else holes).append(ring)
    inside: list[list[Ring]] = [[] for _ in outer]
    around = [bounds(ring) for ring in outer]
    areas = [signed_area(ring) for ring in outer]
    for hole in holes:
        x, y = min(hole, key=lambda point: (point[1], point[0]))
        x, y = x + 0.5, y - 0.5  # a pixel of the mask: the one above the first of the hole
        candidates = (
            number
            for number, (left, top, right, bottom) in enumerate(around)
            if left < x < right and top < y < bottom and _is_around(outer[number], x, y)
        )
        inside[min(candidates, key=areas.__getitem__)].append(hole)
    return [Polygon(ring, tuple(held)) for ring, held in zip(outer, inside, strict=True)]


def _level_edges(rows: dict[int, list[_Span]]) -> list[tuple[int, int, int, int]]:
    """The level pieces of the outlines: (y, from, to, side), the mask at the right hand of who walks along."""
    edges: list[tuple[int, int, int, int]] = []
    for y in sorted({*rows, *(row + 1 for row in rows)}):
        changes = [(x, 1) for span in rows.get(y - 1, ()) for x in span]
        changes += [(x, 2) for span in rows.get(y, ()) for x in span]
        changes.sort()
        state, since = 0, 0
        for x, bit in changes:
            if x > since and state in (1, 2):  # one of the two rows is mask, and the other is not
                edges.append((y, x, since, _ABOVE) if state == 1 else (y, since, x, _BELOW))
            state, since = state ^ bit, x
    return edges


def _rings(edges: Sequence[tuple[int, int, int, int]]) -> Iterator[Ring]:
    """Join level pieces by the upright ones between them: on each column every two neighbours belong together."""
    columns: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for number, (y, start, end, side) in enumerate(edges):
        columns[start].append((y, side, number))
        columns[end].append((y, side, number))
    after: dict[int, int] = {}
    for x, ends in columns.items():
        ends.sort()
        for (_, _, one), (_, _, other) in zip(ends[::2], ends[1::2], strict=True):
            if edges[one][2] == x:
                after[one] = other
            else:
                after[other] = one
    seen: set[int] = set()
    for first in range(len(edges)):
        ring: list[Point] = []
        number = first
        while number not in seen:
            seen.add(number)
            y, start, end, _ = edges[number]
            ring += ((float(start), float(y)), (float(end), float(y)))
            number = after[number]
        if ring:
            yield tuple(ring)


def _is_around(ring: Ring, x: float, y: float) -> bool:
    """Whether a place that is on no edge lies in a ring (even-odd)."""
    inside = False
    x0, y0 = ring[-1]
    for x1, y1 in ring:
        if (y0 <= y) != (y1 <= y) and x0 + (y - y0) * (x1 - x0) / (y1 - y0) > x:
            inside = not inside
        x0, y0 = x1, y1
    return inside


def bridged(polygon: Polygon) -> Ring:
    """One ring that leaves out the holes: it walks to each of them, around it, and back the same way.

    What it walks there and back holds no area and cancels out, whatever it crosses.
    """
    outline = polygon.points if signed_area(polygon.points) > 0 else polygon.points[::-1]
    ways: dict[int, list[Ring]] = defaultdict(list)
    for hole in polygon.holes:
        ring = hole if signed_area(hole) < 0 else hole[::-1]
        x, y = ring[0]
        nearest = min(range(len(outline)), key=lambda n: (outline[n][0] - x) ** 2 + (outline[n][1] - y) ** 2)
        ways[nearest].append(ring)
    walked: list[Point] = []
    for number, point in enumerate(outline):
        walked.append(point)
        for ring in ways.get(number, ()):
            walked += (*ring, ring[0], point)
    return tuple(walked)


def hull(points: Iterable[Point]) -> Ring:
    """The convex hull, as the clock goes; fewer than three points if all lie on one line."""
    ordered = sorted(set(points))
    if len(ordered) < 3:
        return tuple(ordered)
    halves: list[list[Point]] = []
    for walk in (ordered, ordered[::-1]):
        half: list[Point] = []
        for x, y in walk:
            while len(half) > 1:
                (ax, ay), (bx, by) = half[-2:]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                    break
                half.pop()
            half.append((x, y))
        halves.append(half[:-1])
    return tuple(halves[0] + halves[1])


def smallest_box(points: Iterable[Point]) -> Box:
    """The box of the smallest area around points, turned as it needs to be; one of its sides lies on the hull."""
    ring = hull(points)
    best = box_of(bounds(ring))
    smallest = best.width * best.height
    x0, y0 = ring[-1]
    for x1, y1 in ring:
        length = math.hypot(x1 - x0, y1 - y0)
        if length > 0:
            cos, sin = (x1 - x0) / length, (y1 - y0) / length
            left, top, right, bottom = bounds((x * cos + y * sin, y * cos - x * sin) for x, y in ring)
            area = (right - left) * (bottom - top)
            if area < smallest * (1 - 1e-9):
                smallest = area
                u, v = (left + right) / 2, (top + bottom) / 2
                x, y = u * cos - v * sin, u * sin + v * cos
                w, h = right - left, bottom - top
                best = Box(x - w / 2, y - h / 2, w, h, math.atan2(sin, cos))
        x0, y0 = x1, y1
    return best
