"""Shapes in their picture."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from synapse_skills.annotations.model import Box, Point, Polygon
from synapse_skills.formats import geometry
from synapse_skills.formats.geometry import NOISE

WIDTH, HEIGHT = 20, 12
POLICIES = ("clamp", "drop", "fail")
anything = st.floats(allow_nan=True, allow_infinity=True)
near = st.floats(-30, 50)
points = st.tuples(near, near)
rings = st.lists(points, min_size=0, max_size=9)
boxes = st.builds(Box, near, near, st.floats(0, 60), st.floats(0, 60), st.floats(-7, 7))


def winding(ring: tuple[Point, ...], x: float, y: float) -> int:
    """How often a ring goes around a place: the reference that knows nothing of clipping."""
    count = 0
    for (x0, y0), (x1, y1) in zip(ring, (*ring[1:], ring[0]), strict=True):
        if (y0 <= y) != (y1 <= y) and (x0 + (y - y0) * (x1 - x0) / (y1 - y0)) > x:
            count += 1 if y1 > y0 else -1
    return count


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        (Box(math.nan, 0, 1, 1), "bad-geometry"),
        (Box(0, 0, math.inf, 1), "bad-geometry"),
        (Box(1e300, 0, 1, 1), "bad-geometry"),
        (Box(5, 5, -2, 3), "bad-geometry"),
        (Box(5, 5, 0, 3), "zero-area"),
        (Box(5, 5, 3, NOISE / 2), "zero-area"),
        (Box(-9, 0, 8, 4), "outside"),
        (Box(20, 0, 8, 4), "outside"),
        (Box(0, 12, 8, 4), "outside"),
    ],
)
@pytest.mark.parametrize("policy", POLICIES)
def test_a_box_that_is_none(box: Box, reason: str, policy: str) -> None:
    assert geometry.clamp_box(box, WIDTH, HEIGHT, policy) == reason


def test_a_box_that_runs_out_is_moved_or_lost_as_the_policy_says() -> None:
    box = Box(-2, 3, 30, 4)
    assert geometry.clamp_box(box, WIDTH, HEIGHT) == Box(0, 3, 20, 4)
    assert geometry.clamp_box(box, WIDTH, HEIGHT, "drop") == "outside"
    assert geometry.clamp_box(box, WIDTH, HEIGHT, "fail") == "outside"


@pytest.mark.parametrize("policy", POLICIES)
def test_rounding_noise_at_the_edge_is_no_reason_to_lose_a_box(policy: str) -> None:
    noisy = Box(-NOISE / 2, 0, 20 + NOISE, 12 + 1e-12)
    assert geometry.clamp_box(noisy, WIDTH, HEIGHT, policy) == Box(0, 0, 20, 12)
    assert not geometry.runs_out(geometry.box_bounds(noisy), WIDTH, HEIGHT)
    assert geometry.runs_out((0, 0, 20 + 2 * NOISE, 12), WIDTH, HEIGHT)


def test_a_box_inside_is_handed_back_as_it_is() -> None:
    box = Box(0, 0, 20, 12)
    assert geometry.clamp_box(box, WIDTH, HEIGHT, "fail") is box


@given(st.builds(Box, anything, anything, anything, anything), st.sampled_from(POLICIES))
def test_a_clamped_box_lies_inside_and_never_grows(box: Box, policy: str) -> None:
    kept = geometry.clamp_box(box, WIDTH, HEIGHT, policy)
    if isinstance(kept, str):
        assert kept in {"bad-geometry", "zero-area", "outside"}
        return
    assert kept.x >= 0
    assert kept.y >= 0
    assert kept.x + kept.width <= WIDTH + 1e-9
    assert kept.y + kept.height <= HEIGHT + 1e-9
    assert NOISE <= kept.width <= box.width + 1e-6
    assert NOISE <= kept.height <= box.height + 1e-6


@given(boxes)
def test_the_envelope_holds_every_corner_and_touches_its_four_sides(box: Box) -> None:
    around = geometry.envelope(box)
    left, top, right, bottom = geometry.box_bounds(around)
    turned = geometry.corners(box)
    assert all(left - 1e-4 <= x <= right + 1e-4 and top - 1e-4 <= y <= bottom + 1e-4 for x, y in turned)
    assert geometry.bounds(turned) == pytest.approx((left, top, right, bottom), abs=1e-4)


@given(boxes)
def test_turned_corners_keep_area_and_centre(box: Box) -> None:
    turned = geometry.corners(box)
    assert geometry.signed_area(turned) == pytest.approx(box.width * box.height, abs=1e-6)
    assert sum(x for x, _ in turned) / 4 == pytest.approx(box.x + box.width / 2, abs=1e-9)
    assert sum(y for _, y in turned) / 4 == pytest.approx(box.y + box.height / 2, abs=1e-9)


def test_a_positive_rotation_turns_as_the_clock_does() -> None:
    top_left, top_right, *_ = geometry.corners(Box(0, 0, 10, 4, math.pi / 2))
    assert top_left == pytest.approx((7, -3))
    assert top_right == pytest.approx((7, 7))


def test_a_quarter_turn_is_an_upright_box_again() -> None:
    assert geometry.upright(Box(0, 0, 10, 4, math.pi / 2)) == Box(3, -3, 4, 10)
    assert geometry.upright(Box(0, 0, 10, 4, -math.pi)) == Box(0, 0, 10, 4)
    assert geometry.upright(Box(0, 0, 10, 4, 0.01)) is None
    assert geometry.upright(Box(0, 0, 10, 4, math.nan)) is None
    assert geometry.clamp_box(geometry.envelope(Box(0, 0, 10, 4, math.inf)), 20, 12) == "bad-geometry"


@pytest.mark.parametrize(
    ("ring", "reason"),
    [
        ([], "too-few-points"),
        ([(0, 0), (1, 1)], "too-few-points"),
        ([(0, 0), (1, 1), (1, 1), (0, 0)], "too-few-points"),
        ([(0, 0), (1, 1), (0, 0), (1, 1), (0, 0)], "too-few-points"),
        ([(0, 0), (1, 1), (2, 2), (5, 5)], "zero-area"),
        ([(0, 0), (1, math.nan), (2, 2)], "bad-geometry"),
        ([(0, 0), (1, -math.inf), (2, 2)], "bad-geometry"),
    ],
)
def test_a_ring_that_is_none(ring: list[Point], reason: str) -> None:
    assert geometry.clean_ring(ring) == reason
    assert geometry.clip_ring(ring, WIDTH, HEIGHT) == reason


def test_points_that_repeat_are_dropped_and_a_closed_ring_is_opened() -> None:
    ring = [(0, 0), (0, 0), (4, 0), (4, 0), (4, 3), (0, 0)]
    assert geometry.clean_ring(ring) == ((0, 0), (4, 0), (4, 3))


def test_a_figure_of_eight_has_an_area() -> None:
    assert geometry.clean_ring([(0, 0), (4, 4), (4, 0), (0, 4)]) == ((0, 0), (4, 4), (4, 0), (0, 4))


@pytest.mark.parametrize("policy", ["drop", "fail"])
def test_a_polygon_that_runs_out_is_lost_if_nothing_may_be_moved(policy: str) -> None:
    assert geometry.clip_ring([(-1, 0), (5, 0), (5, 5)], WIDTH, HEIGHT, policy) == "outside"
    inside = geometry.clip_ring([(-NOISE / 2, 0), (5, 0), (5, 5)], WIDTH, HEIGHT, policy)
    assert not isinstance(inside, str)
    assert min(x for x, _ in inside) == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_a_polygon_around_the_corner_of_the_picture_is_outside(policy: str) -> None:
    assert geometry.clip_ring([(-5, -1), (-1, -5), (-5, -5)], WIDTH, HEIGHT, policy) == "outside"
    assert geometry.clip_ring([(20, 0), (25, 0), (20, 5)], WIDTH, HEIGHT, policy) == "outside"


@given(rings, st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1))
def test_clipping_changes_nothing_inside_the_picture(ring: list[Point], column: int, row: int) -> None:
    cut = geometry.clip_ring(ring, WIDTH, HEIGHT)
    x, y = column + 0.4371, row + 0.5813
    if isinstance(cut, str):
        assume(cut == "outside")
        assert not _holds_more_than_noise(ring, x, y)
        return
    assert all(0 <= a <= WIDTH and 0 <= b <= HEIGHT for a, b in cut)
    assume(_distance(tuple(ring), x, y) > 1e-6)
    assert winding(cut, x, y) == winding(tuple(ring), x, y)


def _holds_more_than_noise(ring: list[Point], x: float, y: float) -> bool:
    """Whether a place inside the picture is in the ring, farther from its edge than noise."""
    return winding(tuple(ring), x, y) != 0 and _distance(tuple(ring), x, y) > NOISE


def _distance(ring: tuple[Point, ...], x: float, y: float) -> float:
    """From a place to the nearest edge of a ring."""
    nearest = math.inf
    for (x0, y0), (x1, y1) in zip(ring, (*ring[1:], ring[0]), strict=True):
        dx, dy = x1 - x0, y1 - y0
        length = dx * dx + dy * dy
        share = 0.0 if length == 0 else min(1.0, max(0.0, ((x - x0) * dx + (y - y0) * dy) / length))
        nearest = min(nearest, math.hypot(x - x0 - share * dx, y - y0 - share * dy))
    return nearest


@given(rings)
def test_the_area_of_a_simple_cut_is_the_area_inside(ring: list[Point]) -> None:
    """Of a triangle, which can't cross itself: never more than the whole, and inside the picture the whole."""
    assume(len(ring) >= 3)
    cut = geometry.clip_ring(ring[:3], WIDTH, HEIGHT)
    assume(not isinstance(cut, str))
    assert abs(geometry.signed_area(cut)) <= abs(geometry.signed_area(ring[:3])) + 1e-6


def test_holes_are_cut_too_and_go_when_nothing_is_left_of_them() -> None:
    square = ((-4.0, 0.0), (10.0, 0.0), (10.0, 10.0), (-4.0, 10.0))
    holes = (
        ((-2.0, 2.0), (2.0, 2.0), (2.0, 4.0), (-2.0, 4.0)),
        ((-3.0, 1.0), (-1.0, 1.0), (-1.0, 2.0)),
        ((5.0, 5.0), (6.0, 6.0)),
    )
    cut = geometry.clip_polygon(Polygon(square, holes), WIDTH, HEIGHT)
    assert isinstance(cut, Polygon)
    assert len(cut.holes) == 1
    assert geometry.polygon_area(cut) == 100 - 4
    assert geometry.polygon_box(cut) == Box(0, 0, 10, 10)


def test_a_point_outside_is_lost_and_one_on_the_edge_stays() -> None:
    assert geometry.clamp_point((-0.5, 3), WIDTH, HEIGHT) == "outside"
    assert geometry.clamp_point((math.nan, 3), WIDTH, HEIGHT) == "bad-geometry"
    assert geometry.clamp_point((20 + NOISE / 2, 3), WIDTH, HEIGHT) == (20, 3)
