"""COCO: what is in the files, shape by shape."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as theirs
from pycocotools.coco import COCO

from annotations.worlds import payload
from formats.export_make import contents, items_of, record, run
from formats.yolo_make import annotation, picture
from synapse_skills.annotations.model import Box, Group, Keypoint, Mask, Polygon, Polyline, Skeleton
from synapse_skills.formats.base import Item
from synapse_skills.formats.poses import COCO_NAMES

SQUARE = ((10.0, 10.0), (30.0, 10.0), (30.0, 30.0), (10.0, 30.0))
HOLE = ((15.0, 15.0), (25.0, 15.0), (25.0, 25.0), (15.0, 25.0))


def one(tmp_path: Path, *geometries: Any, **more: Any) -> tuple[list[dict[str, Any]], Any]:
    """The rows of one picture of 100 × 50 with these shapes, and the run."""
    ran = run(
        "coco", tmp_path / "out", [picture("cat.jpg", *map(annotation, geometries))], order=("cat", "dog"), **more
    )
    assert ran.verified.problems == []
    return read(ran.folder)["annotations"], ran


def read(folder: Path, name: str = "instances") -> dict[str, Any]:
    return json.loads((folder / f"annotations/{name}.json").read_bytes())


def test_a_box(tmp_path: Path) -> None:
    rows, ran = one(tmp_path, Box(1.5, 2.25, 10.125, 12.0))
    assert rows == [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "bbox": [1.5, 2.25, 10.125, 12.0],
            "area": 121.5,
            "segmentation": [],
            "iscrowd": 0,
        }
    ]
    assert ran.rows == {"": 1}
    assert read(ran.folder)["images"] == [
        {"id": 1, "file_name": "cat.jpg", "width": 100, "height": 50}
        | {"record_id": 1, "data_unit_id": None, "media": "image_1"}
    ]


@pytest.mark.parametrize(("policy", "box"), [("clamp", [90.0, 40.0, 10.0, 10.0]), ("drop", None), ("fail", None)])
def test_a_box_that_runs_out(tmp_path: Path, policy: str, box: list[float] | None) -> None:
    rows, ran = one(tmp_path, Box(90, 40, 30, 30), geometry=policy)
    assert [row["bbox"] for row in rows] == ([box] if box else [])
    assert ran.reasons == ([] if box else ["outside"])


@pytest.mark.parametrize(
    ("geometry", "reason"),
    [
        (Box(math.nan, 0, 5, 5), "bad-geometry"),
        (Box(5, 5, 0, 5), "zero-area"),
        (Box(5, 5, -3, 5), "bad-geometry"),
        (Box(5, 5, 20, 10, 0.3), "rotated"),
        (Polygon(((1.0, 1.0), (5.0, 5.0))), "too-few-points"),
        (Polygon(((200.0, 200.0), (300.0, 200.0), (300.0, 300.0))), "outside"),
        (Mask(()), "zero-area"),
        (Mask(((4990, 20),)), "bad-geometry"),
        (Polyline(((1.0, 1.0), (5.0, 5.0))), "not-held"),
        (Keypoint(1, 1), "no-group"),
        (None, "no-geometry"),
    ],
)
def test_what_is_lost_and_why(tmp_path: Path, geometry: Any, reason: str) -> None:
    rows, ran = one(tmp_path, geometry)
    assert rows == []
    assert ran.reasons == [reason]
    assert ran.verified.items == {"": 1}  # the picture stays: it is a negative


def test_a_turned_box_by_its_envelope(tmp_path: Path) -> None:
    rows, ran = one(tmp_path, Box(40, 20, 20, 10, math.pi / 6), options={"rotated": "envelope"})
    [row] = rows
    assert row["area"] == pytest.approx(200)
    assert len(row["segmentation"][0]) == 8
    assert row["bbox"][2] == pytest.approx(20 * math.cos(math.pi / 6) + 10 * 0.5)
    assert ran.notes == {"rotated-as-envelope": 1}


def test_a_quarter_turn_is_no_loss(tmp_path: Path) -> None:
    rows, _ = one(tmp_path, Box(40, 20, 20, 10, math.pi / 2))
    assert rows[0]["bbox"] == [45.0, 15.0, 10.0, 20.0]


def test_a_polygon_and_its_box_are_two(tmp_path: Path) -> None:
    rows, _ = one(tmp_path, Box(10, 10, 20, 20), Polygon(SQUARE))
    assert [row["segmentation"] for row in rows] == [[], [[10, 10, 30, 10, 30, 30, 10, 30]]]
    assert [row["area"] for row in rows] == [400, 400]


@pytest.mark.parametrize("counts", ["compressed", "list"])
def test_holes_are_holes(tmp_path: Path, counts: str) -> None:
    _, ran = one(tmp_path, Polygon(SQUARE, (HOLE,)), options={"rle": counts})
    coco = COCO(str(ran.folder / "annotations/instances.json"))
    mask = coco.annToMask(coco.anns[1])
    assert mask.sum() == coco.anns[1]["area"] == 300
    assert mask[15:25, 15:25].sum() == 0
    assert ran.notes == {"holes-as-mask": 1}


@pytest.mark.parametrize("counts", ["compressed", "list"])
def test_a_mask_is_held_to_the_pixel(tmp_path: Path, counts: str) -> None:
    runs = ((205, 7), (305, 3), (4990, 10))
    rows, ran = one(tmp_path, Mask(runs), options={"rle": counts})
    coco = COCO(str(ran.folder / "annotations/instances.json"))
    flat = coco.annToMask(coco.anns[1]).reshape(-1)
    assert flat.nonzero()[0].tolist() == [n for start, length in runs for n in range(start, start + length)]
    assert rows[0]["bbox"] == theirs.toBbox(coco.annToRLE(coco.anns[1])).tolist()


def test_a_crowd_is_a_mask(tmp_path: Path) -> None:
    crowd = annotation(Polygon(SQUARE), attributes={"iscrowd": 1, "note": "군중"})
    ran = run("coco", tmp_path / "out", [picture("a.jpg", crowd)], order=("cat",))
    [row] = read(ran.folder)["annotations"]
    assert (row["iscrowd"], row["area"], row["attributes"]) == (1, 400, {"iscrowd": 1, "note": "군중"})
    assert set(row["segmentation"]) == {"size", "counts"}


def test_attributes_stay_as_they_came(tmp_path: Path) -> None:
    said = {"n": 2**70, "f": 1.5, "deep": {"a": [None, True]}, "half": "\ud800"}
    ran = run(
        "coco", tmp_path / "out", [picture("a.jpg", annotation(Box(1, 1, 5, 5), attributes=said))], order=("cat",)
    )
    assert read(ran.folder)["annotations"][0]["attributes"] == said | {"half": "?"}


def test_parts_share_categories_and_ids(tmp_path: Path) -> None:
    items = [picture(f"{n}.jpg", annotation(Box(1, 1, 5, 5)), split=split) for n, split in enumerate(("val", "train"))]
    ran = run("coco", tmp_path / "out", items, order=("cat", "도로"), splits=("train", "val", "test"))
    assert ran.verified.problems == []
    assert ran.rows == ran.verified.rows == {"train": 1, "val": 1, "test": 0}
    parts = [read(ran.folder, f"instances_{split}") for split in ("train", "val", "test")]
    assert parts[0]["categories"] == parts[1]["categories"] == parts[2]["categories"]
    assert [each["name"] for each in parts[0]["categories"]] == ["cat", "도로"]
    assert [image["id"] for part in parts for image in part["images"]] == [2, 1]
    assert sorted(contents(ran.folder)) == [
        *(f"annotations/instances_{split}.json" for split in ("test", "train", "val")),
        "classes.json",
    ]


def test_without_a_size_there_is_no_picture(tmp_path: Path) -> None:
    item = picture("a.jpg", annotation(Box(1, 1, 5, 5)), size=(None, None))
    ran = run("coco", tmp_path / "out", [item], order=("cat",))
    assert (ran.reasons, ran.notes, ran.verified.items) == (["no-size"], {"no-size": 1}, {"": 0})


def test_other_media_are_not_held(tmp_path: Path) -> None:
    ran = run("coco", tmp_path / "out", [picture("a.mp4", annotation(Box(1, 1, 5, 5)), kind="video")], order=("cat",))
    assert (ran.reasons, ran.verified.items) == (["not-held"], {"": 0})


def pose(*joints: tuple[str, float, float, int | None], group: str | None = "person", box: Box | None = None) -> Item:
    points = [annotation(Keypoint(x, y, seen), name, group="g") for name, x, y, seen in joints]
    boxes = [annotation(box, "person", group="g")] if box else []
    members = tuple(each.id for each in (*points, *boxes))
    return picture("a.jpg", *points, *boxes, groups=[Group("g", group, members)])


def test_a_group_of_joints_is_a_person(tmp_path: Path) -> None:
    item = pose(("left_shoulder", 20, 10, 1), ("nose", 10, 5, 2), ("rightHip", 0, 0, 0), box=Box(5, 5, 30, 40))
    ran = run("coco", tmp_path / "out", [item], order=("person",))
    assert ran.verified.problems == []
    assert ran.reasons == []
    people = read(ran.folder, "person_keypoints")
    assert people["categories"][0]["keypoints"] == list(COCO_NAMES)
    assert people["categories"][0]["skeleton"][0] == [16, 14]
    [row] = people["annotations"]
    assert row["keypoints"][:3] == [10, 5, 2]
    assert row["keypoints"][15:18] == [20, 10, 1]
    assert (row["num_keypoints"], row["bbox"], row["category_id"]) == (2, [5, 5, 30, 40], 1)
    assert len(read(ran.folder)["annotations"]) == 1  # the box is an instance besides


def test_joints_that_are_nobodys_and_too_many(tmp_path: Path) -> None:
    item = pose(("nose", 1, 1, 2), ("nose", 2, 2, 2), ("left_hip", 500, 1, 2), ("left_knee", 9, 9, None))
    ran = run("coco", tmp_path / "out", [item], order=("person",))
    assert sorted(ran.reasons) == ["duplicate-keypoint", "outside"]
    [row] = read(ran.folder, "person_keypoints")["annotations"]
    assert row["num_keypoints"] == 2
    assert row["keypoints"][39:42] == [9, 9, 2]  # visibility unknown: it was placed, so it is seen


def test_any_skeleton(tmp_path: Path) -> None:
    """Joints are in natural order over all pictures, the same in every part."""
    items = [
        pose(("p10", 1, 1, 2), ("p2", 2, 2, 2), group="문"),
        pose(("p1", 3, 3, 2), group="문"),
    ]
    items[1] = picture("b.jpg", *items[1].media.annotations, groups=items[1].media.groups, split="val")
    items[0] = picture("a.jpg", *items[0].media.annotations, groups=items[0].media.groups, split="train")
    ran = run("coco", tmp_path / "out", items, order=("문",), splits=("train", "val"))
    assert ran.verified.problems == []
    train, val = read(ran.folder, "person_keypoints_train"), read(ran.folder, "person_keypoints_val")
    assert train["categories"] == val["categories"]
    assert train["categories"][0]["keypoints"] == ["p1", "p2", "p10"]
    assert train["annotations"][0]["keypoints"] == [0, 0, 0, 2, 2, 2, 1, 1, 2]


def test_the_plans_skeleton_rules(tmp_path: Path) -> None:
    item = pose(("tail", 1, 1, 2), ("wing", 2, 2, 2), group="dog")
    told = {"dog": (("nose", "tail"), ((0, 1),))}
    ran = run("coco", tmp_path / "out", [item], order=("dog",), skeletons=told)
    people = read(ran.folder, "person_keypoints")
    assert people["categories"][0]["skeleton"] == [[1, 2]]
    assert people["annotations"][0]["keypoints"] == [0, 0, 0, 1, 1, 2]
    assert ran.reasons == ["unknown-keypoint"]


@pytest.mark.parametrize(
    ("order", "plan", "reason"),
    [
        (("car",), {}, "unknown-class"),
        (("person",), {"drop": ("person",)}, "dropped"),
        (("nose",), {}, "unknown-class"),
    ],
)
def test_a_pose_of_no_class_is_lost(tmp_path: Path, order: tuple[str, ...], plan: Any, reason: str) -> None:
    ran = run("coco", tmp_path / "out", [pose(("nose", 1, 1, 2))], order=order, plan=plan)
    assert ran.reasons == [reason]


def test_a_group_without_a_class_is_a_person_if_its_joints_tell(tmp_path: Path) -> None:
    ran = run("coco", tmp_path / "out", [pose(("left_hip", 1, 1, 2), group=None)], order=("car",))
    assert read(ran.folder, "person_keypoints")["categories"][0]["name"] == "person"
    assert read(ran.folder, "person_keypoints")["annotations"][0]["category_id"] == 2
    assert read(ran.folder)["categories"] == [{"id": 1, "name": "car", "supercategory": ""}]
    lost = run("coco", tmp_path / "other", [pose(("knob", 1, 1, 2), group=None)], order=("car",))
    assert lost.reasons == ["unlabelled"]


def test_all_points_in_one_annotation(tmp_path: Path) -> None:
    points = tuple(Keypoint(n, n, 2) for n in range(1, 18))
    skeleton = annotation(Skeleton((*points[:-1], Keypoint(500, 500, 2))), "person", tool="keypoint")
    ran = run("coco", tmp_path / "out", [picture("a.jpg", skeleton)], order=("person",))
    [row] = read(ran.folder, "person_keypoints")["annotations"]
    assert (row["num_keypoints"], ran.notes, ran.reasons) == (16, {"keypoints-outside": 1}, [])


@settings(max_examples=20)
@given(st.randoms(use_true_random=False))
def test_written_and_lost_are_all(tmp_path_factory: pytest.TempPathFactory, random: Random) -> None:
    """Row by row: one for each annotation that is not lost, keypoints aside; boxes and polygons equal the source."""
    tools = ("bounding_box", "polygon", "segmentation", "polyline", "classification")
    made = [record(payload(random, media=("image_1",), tools=tools), number) for number in (1, 2)]
    items = items_of(made)
    ran = run("coco", tmp_path_factory.mktemp("coco") / "out", items, geometry="fail")
    assert ran.annotations == sum(ran.rows.values()) + len(ran.losses)
    lost = {id(loss.annotation) for loss in ran.losses}
    kept = [each for item in items for each in item.media.annotations if id(each) not in lost]
    for each, row in zip(kept, read(ran.folder)["annotations"], strict=True):
        if isinstance(each.geometry, Box) and not each.geometry.rotation:
            box = each.geometry
            assert row["bbox"] == [box.x, box.y, box.width, box.height]
        elif isinstance(each.geometry, Polygon) and not each.geometry.holes:
            flat = [number for point in each.geometry.points for number in point]
            assert row["segmentation"][0] == flat or len(row["segmentation"][0]) < len(flat)  # twins are one point


def test_a_small_dataset(tmp_path: Path, snapshot: Any) -> None:
    items = [
        picture("고양이.jpg", annotation(Box(1, 2, 3.5, 4)), annotation(Polygon(SQUARE), "개"), split="train"),
        pose(("nose", 10, 5, 2), ("left_hip", 20, 10, 1)),
    ]
    items[1] = picture("b.jpg", *items[1].media.annotations, groups=items[1].media.groups, split="val")
    ran = run("coco", tmp_path / "out", items, order=("cat", "개", "person"), splits=("train", "val"), title="시험")
    assert {name: text.decode() for name, text in sorted(contents(ran.folder).items())} == snapshot
