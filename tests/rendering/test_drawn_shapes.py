"""What annotations are drawn as."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

import pytest
from export_pages import Annotated, box, line, payload
from hypothesis import given, settings
from hypothesis import strategies as st

from synapse_skills.annotations import read_document
from synapse_skills.annotations.model import Annotation, Box, FrameBoxes, Keypoint, Mask, Media, Polygon, Skeleton
from synapse_skills.export_plan import ClassesPlan
from synapse_skills.formats.classes import Classes
from synapse_skills.formats.poses import COCO_EDGES, COCO_NAMES, Poses
from synapse_skills.rendering.shapes import MASK_ROWS, MOST_POINTS, MOST_SHAPES, Drawing, draw

PLAIN = re.compile(r"[MhHvz0-9 .-]*")


def drawn(media: Media, width: int | None = 64) -> Drawing:
    classes = Classes(ClassesPlan(order=("person",)))
    drawing = draw(media, width, Poses(classes, {}), lambda each: each.label or "no class")
    assert all(PLAIN.fullmatch(shape.path) for shape in drawing.shapes)
    return drawing


def read(*annotated: Annotated, **more: Any) -> Media:
    return read_document(payload(*annotated, **more)).media[0]


def only(geometry: Any, tool: str = "bounding_box") -> Media:
    return Media("image_1", "image", [Annotation("a", tool, "x", geometry=geometry)])


def test_each_shape_is_drawn_where_it_is() -> None:
    drawing = drawn(
        read(
            ("bounding_box", "car", box(4, 5, 20, 10)),
            ("bounding_box", "car", box(30, 20, 10, 10, rotation=math.pi / 6)),
            ("polygon", "road", line((0, 0), (40, 0), (40, 30))),
            ("polyline", "lane", line((1, 2), (3, 4.25))),
            ("keypoint", "dot", {"coordinate": {"x": 7, "y": 8}}),
            ("classification", "fog", {}),
        )
    )
    found = {(shape.kind, shape.label, shape.path or shape.box, shape.turn) for shape in drawing.shapes}
    assert found == {
        ("box", "car", ("4", "5", "20", "10"), ""),
        ("box", "car", ("30", "20", "10", "10"), "rotate(30 35 25)"),
        ("area", "road", "M0 0 40 0 40 30z", ""),
        ("line", "lane", "M1 2 3 4.2", ""),
        ("dots", "dot", "M7 8h.01", ""),
    }
    assert drawing.classes == {"car": 2, "road": 1, "lane": 1, "dot": 1, "fog": 1}
    assert drawing.shapes[0].label == "road"  # the largest one first
    assert drawing.undrawn == {}


def test_holes_are_a_part_of_their_outline() -> None:
    ring = ((0.0, 0.0), (9.0, 0.0), (9.0, 9.0))
    hole = ((6.0, 1.0), (8.0, 1.0), (8.0, 3.0))
    assert drawn(only(Polygon(ring, (hole,)))).shapes[0].path == "M0 0 9 0 9 9zM6 1 8 1 8 3z"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e300])
def test_what_has_no_place_is_counted_and_not_drawn(bad: float) -> None:
    for geometry in (Box(bad, 0, 1, 1), Box(0, 0, bad, 1), Polygon(((bad, 0), (1, 1), (2, 2))), Keypoint(bad, 1)):
        drawing = drawn(only(geometry))
        assert (drawing.shapes, sum(drawing.undrawn.values())) == ([], 1)


def test_a_pose_is_its_edges_and_its_joints() -> None:
    points = tuple(Keypoint(float(n), float(2 * n), 0 if n == 16 else 2) for n in range(17))
    drawing = drawn(Media("image_1", "image", [Annotation("a", "keypoint", "person", geometry=Skeleton(points))]))
    edges, dots = drawing.shapes
    assert (edges.kind, dots.kind) == ("edges", "dots")
    assert edges.path.count("M") == len([pair for pair in COCO_EDGES if 16 not in pair])
    assert dots.path.count("M") == 16
    assert drawing.classes == {"person": 1}


def test_keypoints_of_one_group_are_one_pose() -> None:
    dots = [("keypoint", name, {"coordinate": {"x": n, "y": n}}) for n, name in enumerate(COCO_NAMES[5:9])]
    group = {"id": "g", "classification": {"class": "person"}, "annotationIds": ["a0", "a1", "a2", "a3"]}
    drawing = drawn(read(*dots, groups=[group]))
    assert drawing.classes == {"person": 1}
    assert [shape.kind for shape in drawing.shapes] == ["edges", "dots"]
    assert drawing.shapes[0].path.count("M") == 3


def pixels(path: str) -> Counter[tuple[int, int]]:
    """The pixels that the rectangles of a mask's path cover."""
    found: Counter[tuple[int, int]] = Counter()
    for x, y, width, height, back in re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)H(\d+)z", path):
        assert x == back
        found.update((int(x) + i, int(y) + j) for i in range(int(width)) for j in range(int(height)))
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 13), st.lists(st.booleans(), min_size=1, max_size=120))
def test_a_mask_covers_its_pixels(width: int, flat: list[bool]) -> None:
    runs: list[tuple[int, int]] = []
    for place, is_in in enumerate(flat):
        if is_in and runs and sum(runs[-1]) == place:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        elif is_in:
            runs.append((place, 1))
    drawing = drawn(only(Mask(tuple(runs)), "segmentation"), width)
    wanted = Counter((place % width, place // width) for place, is_in in enumerate(flat) if is_in)
    assert (pixels(drawing.shapes[0].path) if drawing.shapes else Counter()) == wanted


def test_a_large_mask_is_drawn_by_some_of_its_rows() -> None:
    width, high = 4000, 3000
    drawing = drawn(only(Mask(tuple((y * width + 100, 500) for y in range(high))), "segmentation"), width)
    assert drawing.shapes[0].path.count("M") <= MASK_ROWS
    assert drawing.shapes[0].edges == (100, 0, 600, high)
    whole = drawn(only(Mask(((0, width * high),)), "segmentation"), width)
    assert whole.shapes[0].path.count("M") <= MASK_ROWS


def test_a_mask_of_an_unknown_picture_is_said() -> None:
    assert drawn(only(Mask(((0, 4),)), "segmentation"), None).undrawn == {"a mask of unknown width": 1}


def test_a_video_shows_the_first_frame_that_has_anything() -> None:
    media = Media("video_1", "video")
    for name, frames in (("a", (12, 40)), ("b", (30,))):
        boxes = tuple((frame, Box(frame, 1, 2, 3)) for frame in frames)
        media.annotations.append(Annotation(name, "bounding_box", name, geometry=FrameBoxes(boxes)))
    drawing = drawn(media)
    assert drawing.frame == 12
    assert [(shape.label, shape.box) for shape in drawing.shapes] == [("a", ("12", "1", "2", "3"))]
    assert drawing.undrawn == {"a box in other frames": 1}


def test_neither_many_shapes_nor_long_ones_fill_a_page() -> None:
    many = drawn(read(*[("bounding_box", "c", box(n)) for n in range(400)]))
    assert len(many.shapes) == MOST_SHAPES
    assert sum(many.undrawn.values()) == 400 - MOST_SHAPES
    long = drawn(only(Polygon(tuple((float(n), float(n % 7)) for n in range(50_000))), "polygon"))
    assert long.shapes[0].path.count(" ") <= 2 * MOST_POINTS + 2


def test_what_has_no_shape_is_said_in_words() -> None:
    document = read_document(
        {
            "annotations": {"text_1": [{"id": "t", "tool": "named_entity", "classification": {"class": "인물"}}]},
            "annotationsData": {
                "text_1": [{"id": "t", "ranges": [{"startOffset": 0, "endOffset": 3}], "content": "세" * 500}]
            },
        }
    )
    ((label, words),) = drawn(document.media[0]).words
    assert label == "인물"
    assert words.startswith("세세")
    assert len(words) < 200
