"""Outlines of masks, bridges to holes, boxes around points."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from synapse_skills.annotations.model import Box, Mask, Point, Polygon
from synapse_skills.formats import geometry, outlines

WIDTH, HEIGHT = 7, 6


def mask_of(picture: str) -> tuple[Mask, int, int]:
    lines = picture.split()
    cells = "".join(lines)
    runs = tuple((place, 1) for place, cell in enumerate(cells) if cell == "#")
    return Mask(_joined(runs)), len(lines[0]), len(lines)


def _joined(runs: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    joined: list[tuple[int, int]] = []
    for start, length in runs:
        if joined and sum(joined[-1]) == start:
            joined[-1] = (joined[-1][0], joined[-1][1] + length)
        else:
            joined.append((start, length))
    return tuple(joined)


def is_in(ring: tuple[Point, ...], x: float, y: float) -> bool:
    inside = False
    for (x0, y0), (x1, y1) in zip(ring, (*ring[1:], ring[0]), strict=True):
        if (y0 <= y) != (y1 <= y) and x0 + (y - y0) * (x1 - x0) / (y1 - y0) > x:
            inside = not inside
    return inside


@pytest.mark.parametrize(
    ("runs", "reason"),
    [((), "zero-area"), (((3, 0),), "zero-area"), (((40, 3),), "bad-geometry"), (((-1, 3),), "bad-geometry")],
)
def test_a_mask_that_is_none(runs: tuple[tuple[int, int], ...], reason: str) -> None:
    assert outlines.mask_polygons(Mask(runs), WIDTH, HEIGHT) == reason
    assert outlines.mask_box(Mask(runs), WIDTH, HEIGHT) == reason


def test_one_pixel_has_an_outline() -> None:
    assert outlines.mask_polygons(Mask(((9, 1),)), WIDTH, HEIGHT) == [Polygon(((2, 1), (3, 1), (3, 2), (2, 2)))]
    assert outlines.mask_box(Mask(((9, 1),)), WIDTH, HEIGHT) == Box(2, 1, 1, 1)


def test_pixels_that_touch_at_a_corner_are_two_parts() -> None:
    for picture in ("#. .#", ".# #."):
        parts = outlines.mask_polygons(*mask_of(picture))
        assert not isinstance(parts, str)
        assert [geometry.polygon_area(part) for part in parts] == [1, 1]


def test_a_part_in_the_hole_of_another_is_a_part_and_the_hole_belongs_to_the_outer_one() -> None:
    parts = outlines.mask_polygons(*mask_of("####### #.....# #.###.# #.#.#.# #.###.# #.....# #######"))
    assert not isinstance(parts, str)
    assert [(geometry.polygon_area(part), len(part.holes)) for part in parts] == [(24, 1), (8, 1)]


@given(st.lists(st.booleans(), min_size=WIDTH * HEIGHT, max_size=WIDTH * HEIGHT))
def test_outlines_hold_the_pixels_of_the_mask_and_no_others(cells: list[bool]) -> None:
    mask = Mask(_joined(tuple((place, 1) for place, cell in enumerate(cells) if cell)))
    parts = outlines.mask_polygons(mask, WIDTH, HEIGHT)
    if isinstance(parts, str):
        assert parts == "zero-area"
        assert not any(cells)
        return
    rings = [outlines.bridged(part) for part in parts]
    for place, cell in enumerate(cells):
        x, y = place % WIDTH + 0.5, place // WIDTH + 0.5
        held = [is_in(part.points, x, y) and not any(is_in(hole, x, y) for hole in part.holes) for part in parts]
        assert sum(held) == cell
        # Off the middle: a bridge may run through it, and the even-odd rule says nothing of a place on an edge.
        assert sum(is_in(ring, x + 0.0123, y + 0.0271) for ring in rings) == cell
    assert sum(map(geometry.polygon_area, parts)) == sum(cells)
    assert sum(map(geometry.signed_area, rings)) == pytest.approx(sum(cells))
    box = outlines.mask_box(mask, WIDTH, HEIGHT)
    assert isinstance(box, Box)
    around = geometry.bounds(point for part in parts for point in part.points)
    assert geometry.box_bounds(box) == around


def test_a_bridge_leaves_out_every_hole() -> None:
    square = ((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0))
    holes = tuple(((x, x), (x + 1, x), (x + 1, x + 1), (x, x + 1)) for x in (1.0, 3.0, 8.0))
    for points in (square, square[::-1]):
        ring = outlines.bridged(Polygon(points, holes))
        assert geometry.signed_area(ring) == 97
        assert not is_in(ring, 3.4, 3.6)
        assert is_in(ring, 5.3, 6.1)
        assert len(ring) == 4 + 3 * 6


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=3, max_size=12))
def test_the_smallest_box_holds_all_points_and_is_no_larger_than_the_upright_one(points: list[Point]) -> None:
    assume(not isinstance(geometry.clean_ring(points), str))
    box = outlines.smallest_box(points)
    around = geometry.box_of(geometry.bounds(points))
    assert box.width * box.height <= around.width * around.height + 1e-9
    x, y = box.x + box.width / 2, box.y + box.height / 2
    cos, sin = math.cos(box.rotation), math.sin(box.rotation)
    for px, py in points:
        assert abs((px - x) * cos + (py - y) * sin) <= box.width / 2 + 1e-6
        assert abs((py - y) * cos - (px - x) * sin) <= box.height / 2 + 1e-6


def test_the_smallest_box_of_a_turned_box_is_that_box() -> None:
    turned = random.Random(7)
    for _ in range(50):
        box = Box(
            turned.uniform(0, 9),
            turned.uniform(0, 9),
            turned.uniform(1, 9),
            turned.uniform(1, 9),
            turned.uniform(-4, 4),
        )
        found = outlines.smallest_box(geometry.corners(box))
        assert found.width * found.height == pytest.approx(box.width * box.height)
        assert sorted(geometry.corners(found)) == [pytest.approx(each) for each in sorted(geometry.corners(box))]
