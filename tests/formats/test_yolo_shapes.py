"""YOLO segment and OBB, and what holds for all four kinds."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion
from yolo_make import annotation, codes, crossing, dataset, picture, read, ringed, rows, settings, square

from synapse_skills.annotations.model import Box, Group, Keypoint, Mask, Polygon, Polyline, Skeleton
from synapse_skills.formats import FORMATS, geometry
from synapse_skills.formats.base import Format

SEG, OBB = FORMATS["yolo_seg"], FORMATS["yolo_obb"]
KINDS = ("yolo", "yolo_seg", "yolo_pose", "yolo_obb")
EVERYTHING = {
    "yolo": {"rotated": "envelope", "polygon": "box", "mask": "box"},
    "yolo_seg": {"mask": "polygon", "hole": "bridge", "box": "polygon"},
    "yolo_pose": {},
    "yolo_obb": {"polygon": "min_area_box"},
}
numbers = st.one_of(st.floats(-20, 120), st.sampled_from([math.nan, math.inf, -0.0, 0.0, 1e300]))
points = st.tuples(numbers, numbers)
rings = st.lists(points, max_size=6).map(tuple)
keypoints = st.builds(Keypoint, numbers, numbers, st.sampled_from([None, 0, 1, 2]))
geometries = st.one_of(
    st.none(),
    st.builds(Box, numbers, numbers, numbers, numbers, st.sampled_from([0.0, 0.4, math.pi, math.nan])),
    st.builds(Polygon, rings, st.lists(rings, max_size=2).map(tuple)),
    st.builds(Polyline, rings),
    keypoints,
    st.builds(Skeleton, st.lists(keypoints, max_size=4).map(tuple), st.sampled_from([(), ("left_eye", "right_eye")])),
    st.builds(Mask, st.lists(st.tuples(st.integers(0, 600), st.integers(0, 40)), max_size=2).map(tuple)),
)
annotations = st.builds(
    annotation,
    geometries,
    st.sampled_from(["cat", "개", "fly", "cow", None, "nose", "left_eye"]),
    group=st.sampled_from([None, "g1", "g2"]),
)


@pytest.mark.parametrize("name", KINDS)
@limits(max_examples=30)
@given(
    items=st.lists(st.lists(annotations, max_size=6), max_size=3),
    is_kept=st.booleans(),
    policy=st.sampled_from(["clamp", "drop", "fail"]),
)
def test_whatever_comes_is_written_or_lost_and_what_is_written_is_sound(
    name: str, tmp_path_factory: pytest.TempPathFactory, items: list[list], is_kept: bool, policy: str
) -> None:
    form, folder = FORMATS[name], tmp_path_factory.mktemp(name)
    groups = (Group("g1", "cat"), Group("g2"))
    pictures = [
        picture(f"{number}.jpg", *each, size=(97, 31), split=("train", "val")[number % 2], groups=groups)
        for number, each in enumerate(items)
    ]
    told = settings(
        form, drop=("fly",), geometry=policy, splits=("train", "val"), options=EVERYTHING[name] if is_kept else {}
    )
    writer, losses = dataset(form, folder, pictures, told)
    for item, lost in zip(pictures, losses, strict=True):
        ids = [loss.annotation.id for loss in lost]
        assert len(set(ids)) == len(ids), "an annotation is lost once"
        assert set(ids) <= {each.id for each in item.media.annotations}
        if name in ("yolo", "yolo_obb"):
            assert len(rows(folder, item.stem, item.split)) == len(item.media.annotations) - len(ids)
        elif name == "yolo_seg":
            assert len(rows(folder, item.stem, item.split)) >= len(item.media.annotations) - len(ids)
        dropped = {each.id for each in item.media.annotations if each.label == "fly"}
        if name != "yolo_pose":
            assert dropped == {loss.annotation.id for loss in lost if loss.reason == "dropped"}
    found = form.verify(folder)
    assert found.problems == []
    assert found.rows == writer.rows
    assert sum(found.items.values()) == len(items)


def test_a_polygon_is_written_point_by_point(tmp_path: Path) -> None:
    ring = ((10.5, 5.0), (90.0, 5.0), (50.0, 45.0), (50.0, 45.0), (10.5, 5.0))
    dataset(SEG, tmp_path, [picture("a.jpg", annotation(Polygon(ring)))], settings(SEG))
    assert rows(tmp_path, "a") == [[0, 0.105, 0.1, 0.9, 0.1, 0.5, 0.9]]


@pytest.mark.parametrize(
    ("geometry_of", "reason"),
    [
        (ringed(), "holes"),
        (Mask(((0, 5),)), "not-held"),
        (Box(1, 1, 5, 5), "not-held"),
        (Polygon(((0, 0), (5, 5))), "too-few-points"),
        (Polygon(((0, 0), (5, 5), (9, 9))), "zero-area"),
        (Polygon(square(100, 0, 5)), "outside"),
        (None, "no-geometry"),
    ],
)
def test_what_a_row_of_points_has_no_place_for(tmp_path: Path, geometry_of: Polygon, reason: str) -> None:
    item = picture("a.jpg", annotation(geometry_of, tool="polygon"))
    _, [[loss]] = dataset(SEG, tmp_path, [item], settings(SEG))
    assert loss.reason == reason
    assert rows(tmp_path, "a") == []


def test_a_hole_outside_the_picture_is_none(tmp_path: Path) -> None:
    item = picture("a.jpg", annotation(Polygon(square(-10, 10, 20), (square(-9, 12, 4),))))
    writer, [losses] = dataset(SEG, tmp_path, [item], settings(SEG))
    assert losses == []
    assert writer.notes == {"clamped": 1}


def test_options_write_masks_holes_and_boxes(tmp_path: Path) -> None:
    two = Mask(((0, 2), (100, 2), (10, 1)))
    with_hole = Mask(((200, 3), (300, 1), (302, 1), (400, 3)))
    item = picture("a.jpg", *map(annotation, [two, with_hole, ringed(), Box(10, 10, 10, 10, math.pi / 4)]))
    writer, [losses] = dataset(SEG, tmp_path, [item], settings(SEG, options=EVERYTHING["yolo_seg"]))
    assert losses == []
    areas = []
    for _, *flat in rows(tmp_path, "a"):
        ring = [(x * 100, y * 50) for x, y in zip(flat[::2], flat[1::2], strict=True)]
        areas.append(abs(geometry.signed_area(ring)))
    assert areas == pytest.approx([4, 1, 8, 400 - 16, 100], abs=1e-4)
    assert writer.notes == {
        "mask-as-polygons": 2, "mask-in-several-rows": 1, "holes-bridged": 2, "box-as-polygon": 1,
    }  # fmt: skip


def test_a_turned_box_is_written_by_its_corners(tmp_path: Path) -> None:
    box, upright = Box(40, 10, 20, 10, 0.3), Box(1, 2, 3, 4)
    dataset(OBB, tmp_path, [picture("a.jpg", annotation(box), annotation(upright, "개"))], settings(OBB))
    expected = [value for x, y in geometry.corners(box) for value in (x / 100, y / 50)]
    first, second = rows(tmp_path, "a")
    assert first[1:] == pytest.approx(expected, abs=1e-8)
    assert second == [1, 0.01, 0.04, 0.04, 0.04, 0.04, 0.12, 0.01, 0.12]


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        (Box(10, 10, 10, 10, math.inf), "bad-geometry"),
        (Box(10, 10, -5, 10, 1.0), "bad-geometry"),
        (Box(10, 10, 0, 10, 1.0), "zero-area"),
        (Box(110, 10, 10, 10, 1.0), "outside"),
        (Polygon(square(1, 1, 3)), "not-held"),
    ],
)
def test_a_turned_box_that_is_none(tmp_path: Path, box: Box, reason: str) -> None:
    _, [[loss]] = dataset(OBB, tmp_path, [picture("a.jpg", annotation(box))], settings(OBB))
    assert loss.reason == reason


@pytest.mark.parametrize(("policy", "lost"), [("clamp", 0), ("drop", 1), ("fail", 1)])
def test_the_corners_of_a_turned_box_that_runs_out_are_moved_or_it_is_lost(
    tmp_path: Path, policy: str, lost: int
) -> None:
    item = picture("a.jpg", annotation(Box(-5, 10, 20, 20, math.pi / 4)))
    writer, [losses] = dataset(OBB, tmp_path, [item], settings(OBB, geometry=policy))
    assert len(losses) == lost
    assert writer.notes == ({} if lost else {"clamped": 1})
    assert OBB.verify(tmp_path).problems == []


def test_a_polygon_becomes_the_smallest_box_around_it(tmp_path: Path) -> None:
    box = Box(40, 10, 20, 10, 0.3)
    item = picture("a.jpg", annotation(Polygon(geometry.corners(box))))
    dataset(OBB, tmp_path, [item], settings(OBB, options={"polygon": "min_area_box"}))
    [[_, *flat]] = rows(tmp_path, "a")
    found = sorted((x * 100, y * 50) for x, y in zip(flat[::2], flat[1::2], strict=True))
    assert found == [pytest.approx(each, abs=1e-5) for each in sorted(geometry.corners(box))]


@pytest.mark.parametrize("form", [SEG, OBB], ids=lambda form: form.name)
def test_the_files_of_a_small_dataset_of_shapes(tmp_path: Path, form: Format, snapshot: SnapshotAssertion) -> None:
    shapes = [Polygon(square(3, 4, 5)), ringed(), Box(40, 10, 20, 10, 0.3), crossing(), Mask(((0, 4), (101, 2)))]
    items = [picture("차량.jpg", *[annotation(each, "개") for each in shapes])]
    texts = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        dataset(form, tmp_path / name, items, settings(form, options=EVERYTHING[form.name]))
        texts.append(read(tmp_path / name))
    assert texts[0] == texts[1] == snapshot


@pytest.mark.parametrize(
    ("form", "row"),
    [
        (SEG, "0 0.1 0.1 0.2 0.2"),
        (SEG, "0 0.1 0.1 0.2 0.2 0.3"),
        (SEG, "0 0.1 0.1 0.2 0.2 0.1 0.1"),
        (SEG, "0 0.1 0.1 0.2 0.2 0.1 1.1"),
        (OBB, "0 0.1 0.1 0.2 0.2 0.1 0.3"),
        (OBB, "0 0.1 0.1 0.2 0.2 0.1 0.3 0.4 -0.1"),
    ],
)
def test_the_verifier_finds_a_bad_shape(tmp_path: Path, form: Format, row: str) -> None:
    dataset(form, tmp_path, [picture("a.jpg")], settings(form))
    (tmp_path / "labels/train/a.txt").write_text(f"{row}\n")
    assert codes(form.verify(tmp_path)) == ["bad-row"]
