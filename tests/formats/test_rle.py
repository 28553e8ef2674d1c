"""Masks: the same as pycocotools makes of them, and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as theirs

from synapse_skills.formats import rle

masks = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 1))


@given(masks)
def test_counts_are_those_of_pycocotools(array: np.ndarray) -> None:
    height, width = array.shape
    counts = rle.counts_of(array)
    encoded = theirs.encode(np.asfortranarray(array))
    assert rle.compress(counts).encode() == encoded["counts"]
    assert rle.decompress(rle.compress(counts)) == counts
    assert (rle.pixels_of_counts(counts, width, height) == array).all()
    runs = rle.runs_of(array)
    assert rle.fits(runs, width, height)
    assert (rle.pixels(runs, width, height) == array).all()
    assert rle.area(runs) == theirs.area(encoded)
    if runs:
        left, top, right, bottom = rle.bounds(runs, width)
        assert [left, top, right - left, bottom - top] == theirs.toBbox(encoded).tolist()


@given(st.lists(st.integers(0, 5_000_000), min_size=1, max_size=20))
def test_large_counts_survive(counts: list[int]) -> None:
    assert rle.decompress(rle.compress(counts)) == counts


@pytest.mark.parametrize("text", ["\x00", "é", "o", "P" * 20, "p" * 5])
def test_what_is_no_compressed_mask_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"character|cut off|longer"):
        rle.decompress(text)


@pytest.mark.parametrize("runs", [[(0, 5)], [(-1, 2)], [(0, 0)], [(2, 1), (1, 1)], [(0, 2), (1, 1)]])
def test_runs_that_do_not_fit(runs: list[tuple[int, int]]) -> None:
    assert not rle.fits(runs, 2, 2)


def test_counts_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="counts of 5 pixels for a mask of 2x2"):
        rle.pixels_of_counts([2, 3], 2, 2)


def test_a_hole_is_no_part_of_a_polygon() -> None:
    outline = ((0.0, 0.0), (6.0, 0.0), (6.0, 6.0), (0.0, 6.0))
    hole = ((2.0, 2.0), (4.0, 2.0), (4.0, 4.0), (2.0, 4.0))
    array = rle.raster([outline, hole], 8, 7)
    assert array.sum() == 32
    assert array[2:4, 2:4].sum() == 0
    assert array[:, 6:].sum() == array[6:].sum() == 0


@given(st.lists(st.tuples(st.floats(-5, 15), st.floats(-5, 15)), min_size=3, max_size=6))
def test_a_pixel_is_in_if_its_centre_is(ring: list[tuple[float, float]]) -> None:
    array = rle.raster([ring], 10, 9)
    for y in range(9):
        for x in range(10):
            crossed = sum(
                (y0 > y + 0.5) != (y1 > y + 0.5) and x + 0.5 > x0 + (y + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
                for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1], strict=True)
            )
            near = any(
                (y0 > y + 0.5) != (y1 > y + 0.5) and abs(x + 0.5 - x0 - (y + 0.5 - y0) * ((x1 - x0) / (y1 - y0))) < 1e-9
                for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1], strict=True)
            )
            assert near or array[y, x] == crossed % 2
