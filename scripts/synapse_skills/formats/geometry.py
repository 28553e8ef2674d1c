"""What every format asks of shapes: are they sound, do they lie in the picture, what is around them.

Pure functions on pixels. x runs to the right and y down; a picture of `width` × `height` covers 0…width, 0…height (the
edges of its pixels, not their centres). A shape that can't be used is answered with the reason of its loss, a `str`:

- `bad-geometry`: a number that no pixel has (NaN, infinite, beyond `FARTHEST`), or a side of negative length
- `too-few-points`: a ring of less than three different points
- `zero-area`: no side, or a ring on one line
- `outside`: nothing of it lies in the picture; with the policies `drop` and `fail`, also what runs out of it in part

`NOISE` is the tolerance: what runs out by less is rounding noise and is set on the edge without a word under every
policy, and what is shorter has no length. It is as fine as the coarsest format here keeps a box of 10,000 pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from synapse_skills.annotations.model import Box, Point, Polygon

NOISE = 1e-3
UPRIGHT = 1e-7
"""Radians: what is turned by less is not turned. The corners of a box of 10,000 pixels move by 0.0005."""

FARTHEST = 1e9
"""Pixels: whatever lies farther away is no place in any picture, and would overflow what is computed from it."""

BAD, TOO_FEW, ZERO, OUTSIDE = "bad-geometry", "too-few-points", "zero-area", "outside"

Ring = tuple[Point, ...]
Bounds = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def are_finite(numbers: Iterable[float]) -> bool:
    """Whether all of them are numbers to count with."""
    return all(-FARTHEST <= number <= FARTHEST for number in numbers)


def bounds(points: Iterable[Point]) -> Bounds:
    """The upright rectangle around points; there must be at least one."""
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def box_bounds(box: Box) -> Bounds:
    """The edges of a box, its rotation left aside."""
    return box.x, box.y, box.x + box.width, box.y + box.height


def box_of(edges: Bounds) -> Box:
    """The box with these edges."""
    left, top, right, bottom = edges
    return Box(left, top, right - left, bottom - top)


def runs_out(edges: Bounds, width: float, height: float) -> bool:
    """Whether a shape with these bounds runs out of its picture by more than `NOISE`."""
    left, top, right, bottom = edges
    return left < -NOISE or top < -NOISE or right > width + NOISE or bottom > height + NOISE


def clamp_box(box: Box, width: float, height: float, policy: str = "clamp") -> Box | str:
    """A box inside its picture. Its rotation is left aside: of a turned one take the `upright` or the `envelope` first.

    Args:
        box: as it was labelled.
        width: of the picture.
        height: of the picture.
        policy: `clamp` moves what runs out to the edge; `drop` and `fail` answer `outside`.

    Returns:
        The same object if nothing had to be moved; else another box, or the reason why there is none.
    """
    x, y, w, h = box.x, box.y, box.width, box.height
    right, bottom = x + w, y + h
    if x >= 0 and y >= 0 and right <= width and bottom <= height and w >= NOISE and h >= NOISE:
        return box
    if not are_finite((x, y, w, h)) or w < 0 or h < 0:
        return BAD
    if w < NOISE or h < NOISE:
        return ZERO
    if policy != "clamp" and runs_out((x, y, right, bottom), width, height):
        return OUTSIDE
    left, top = max(x, 0.0), max(y, 0.0)
    right, bottom = min(right, float(width)), min(bottom, float(height))
    if right - left < NOISE or bottom - top < NOISE:
        return OUTSIDE
    return Box(left, top, right - left, bottom - top)


def upright(box: Box) -> Box | None:
    """The same rectangle without a rotation; None if it stands askew."""
    if box.rotation == 0:
        return box
    if not math.isfinite(box.rotation):
        return None
    quarter = math.pi / 2
    turns = round(box.rotation / quarter)
    if abs(box.rotation - turns * quarter) > UPRIGHT:
        return None
    if turns % 2 == 0:
        return Box(box.x, box.y, box.width, box.height)
    return Box(box.x + (box.width - box.height) / 2, box.y + (box.height - box.width) / 2, box.height, box.width)


def corners(box: Box) -> Ring:
    """The corners of a box turned about its centre: the top left one first, then on as the clock goes.

    A positive rotation turns as the clock does, as on every canvas whose y runs down.
    """
    x, y = box.x + box.width / 2, box.y + box.height / 2
    cos, sin = math.cos(box.rotation), math.sin(box.rotation)
    along, down = (box.width / 2 * cos, box.width / 2 * sin), (-box.height / 2 * sin, box.height / 2 * cos)
    return (
        (x - along[0] - down[0], y - along[1] - down[1]),
        (x + along[0] - down[0], y + along[1] - down[1]),
        (x + along[0] + down[0], y + along[1] + down[1]),
        (x - along[0] + down[0], y - along[1] + down[1]),
    )


def envelope(box: Box) -> Box:
    """The upright box around a turned one."""
    if box.rotation == 0:
        return box
    if not math.isfinite(box.rotation):
        return Box(math.nan, math.nan, math.nan, math.nan)
    return upright(box) or box_of(bounds(corners(box)))


def signed_area(ring: Sequence[Point]) -> float:
    """The area by the shoelace formula; positive if the points go as the clock does (y runs down)."""
    total = 0.0
    x0, y0 = ring[-1]
    for x, y in ring:
        total += x0 * y - x * y0
        x0, y0 = x, y
    return total / 2


def polygon_area(polygon: Polygon) -> float:
    """The area of the outline less that of the holes."""
    return abs(signed_area(polygon.points)) - sum(abs(signed_area(hole)) for hole in polygon.holes)


def polygon_box(polygon: Polygon) -> Box:
    """The upright box around a polygon."""
    return box_of(bounds(polygon.points))


def clean_ring(points: Sequence[Point]) -> Ring | str:
    """A ring without points that repeat the one before, open at its end; or why it is none."""
    if not all(are_finite(point) for point in points):
        return BAD
    ring: list[Point] = []
    for point in points:
        if not ring or point != ring[-1]:
            ring.append(point)
    while len(ring) > 1 and ring[-1] == ring[0]:
        ring.pop()
    if len(ring) < 3 or len(set(ring)) < 3:
        return TOO_FEW
    return ZERO if _is_flat(ring) else tuple(ring)


def _is_flat(ring: Sequence[Point]) -> bool:
    """Whether all points lie on one line. Not the area: that of a figure of eight is 0 as well."""
    x0, y0 = ring[0]
    far = max(ring, key=lambda point: (point[0] - x0) ** 2 + (point[1] - y0) ** 2)
    dx, dy = far[0] - x0, far[1] - y0
    length = math.hypot(dx, dy)
    return length < NOISE or all(abs(dx * (y - y0) - dy * (x - x0)) < NOISE * length for x, y in ring)


def clip_ring(points: Sequence[Point], width: float, height: float, policy: str = "clamp") -> Ring | str:
    """A ring inside its picture: as it came if it lies there, else clean and cut at the edges (Sutherland, Hodgman).

    A point that stands twice in a row is harmless, and annotators leave such points: what needs no cut is not touched.
    The cut of a ring that leaves the picture and comes back is one ring too: its parts are joined along the edge.
    """
    ring = clean_ring(points)
    if isinstance(ring, str):
        return ring
    edges = bounds(ring)
    if edges[0] >= 0 and edges[1] >= 0 and edges[2] <= width and edges[3] <= height:
        return ring if points[0] == points[-1] else tuple(points)
    if policy != "clamp" and runs_out(edges, width, height):
        return OUTSIDE
    cut: Sequence[Point] = ring
    for axis, limit, sign in ((0, 0.0, 1), (0, float(width), -1), (1, 0.0, 1), (1, float(height), -1)):
        cut = _cut(cut, axis, limit, sign)
        if not cut:
            return OUTSIDE
    inside = clean_ring(cut)
    return OUTSIDE if isinstance(inside, str) else inside


def _cut(ring: Sequence[Point], axis: int, limit: float, sign: int) -> list[Point]:
    """What of a ring lies on one side of an upright or level line."""
    kept: list[Point] = []
    before = ring[-1]
    was_in = (before[axis] - limit) * sign >= 0
    for point in ring:
        is_in = (point[axis] - limit) * sign >= 0
        if is_in != was_in:
            share = (limit - before[axis]) / (point[axis] - before[axis])
            other = before[1 - axis] + share * (point[1 - axis] - before[1 - axis])
            kept.append((limit, other) if axis == 0 else (other, limit))
        if is_in:
            kept.append(point)
        before, was_in = point, is_in
    return kept


def clip_polygon(polygon: Polygon, width: float, height: float, policy: str = "clamp") -> Polygon | str:
    """A clean polygon inside its picture, or why there is none. Holes that hold no area are none, and go."""
    outline = clip_ring(polygon.points, width, height, policy)
    if isinstance(outline, str):
        return outline
    holes = (clip_ring(hole, width, height, "clamp") for hole in polygon.holes)
    return Polygon(outline, tuple(hole for hole in holes if not isinstance(hole, str)))


def clamp_point(point: Point, width: float, height: float) -> Point | str:
    """A point of the picture; one that lies outside is lost whatever the policy: elsewhere it would be wrong."""
    x, y = point
    if not are_finite(point):
        return BAD
    if runs_out((x, y, x, y), width, height):
        return OUTSIDE
    return min(max(x, 0.0), float(width)), min(max(y, 0.0), float(height))
