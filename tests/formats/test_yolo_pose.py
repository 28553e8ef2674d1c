"""YOLO pose: keypoints of one object in a row."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml
from syrupy.assertion import SnapshotAssertion
from yolo_make import annotation, codes, dataset, picture, read, rows, settings

from synapse_skills.annotations.model import Annotation, Box, Group, Keypoint, Mask, Skeleton
from synapse_skills.formats.yolo_pose import FORMAT, find_flips

NAMES = ("nose", "left_eye", "right_eye")
SKELETONS = {"cat": (NAMES, ((0, 1),))}
GROUP = (Group("g", "cat"),)
BOX = Box(10, 10, 40, 20)


def point(name: str | None, x: float, y: float, visibility: int | None = 2, group: str | None = "g") -> Annotation:
    return annotation(Keypoint(x, y, visibility), name, group=group)


def told(folder: Path) -> dict:
    return yaml.safe_load((folder / "data.yaml").read_text())


def test_the_points_of_a_group_are_a_row_with_the_box_of_the_group(tmp_path: Path) -> None:
    item = picture(
        "a.jpg",
        point("right_eye", 30, 20, 1),
        annotation(BOX, "cat", group="g"),
        point("nose", 20, 15),
        groups=GROUP,
    )
    writer, [losses] = dataset(FORMAT, tmp_path, [item], settings(FORMAT, skeletons=SKELETONS))
    assert losses == []
    assert rows(tmp_path, "a") == [[0, 0.3, 0.4, 0.4, 0.4, 0.2, 0.3, 2, 0, 0, 0, 0.3, 0.4, 1]]
    assert told(tmp_path)["kpt_shape"] == [3, 3]
    assert told(tmp_path)["flip_idx"] == [0, 2, 1]
    assert told(tmp_path)["kpt_names"] == {0: list(NAMES)}
    assert FORMAT.verify(tmp_path).problems == []
    assert writer.rows == FORMAT.verify(tmp_path).rows == {"": 1}


def test_without_a_box_it_is_the_one_around_the_points_that_are_seen(tmp_path: Path) -> None:
    item = picture(
        "a.jpg", point("nose", 20, 10), point("left_eye", 40, 30, None), point("tail", 0, 0, 0), groups=GROUP
    )
    writer, [losses] = dataset(FORMAT, tmp_path, [item], settings(FORMAT))
    assert losses == []
    assert rows(tmp_path, "a")[0][1:5] == [0.3, 0.4, 0.2, 0.4]
    assert writer.notes == {"visibility-assumed": 1}


def test_keypoints_that_are_known_only_at_the_end_have_the_same_place_in_every_row(tmp_path: Path) -> None:
    first = picture("a.jpg", point("b", 1, 1), point("c", 9, 9), groups=GROUP)
    second = picture("b.jpg", point("a", 1, 1), point("c", 9, 9), groups=GROUP)
    dataset(FORMAT, tmp_path, [first, second], settings(FORMAT))
    assert told(tmp_path)["kpt_names"] == {0: ["a", "b", "c"]}
    assert rows(tmp_path, "a")[0][5:] == [0, 0, 0, 0.01, 0.02, 2, 0.09, 0.18, 2]
    assert rows(tmp_path, "b")[0][5:] == [0.01, 0.02, 2, 0, 0, 0, 0.09, 0.18, 2]


def test_what_belongs_to_no_object_or_can_not_be_held_is_lost_by_its_reason(tmp_path: Path) -> None:
    cases = {
        "no-group": point("nose", 5, 5, group=None),
        "unlabelled": point(None, 5, 5),
        "duplicate-keypoint": point("nose", 6, 6),
        "unknown-keypoint": point("tail", 6, 6),
        "outside": point("right_eye", 120, 5),
        "no-keypoints": annotation(BOX, "cat"),
        "rotated": annotation(Box(1, 1, 9, 9, 0.4), "cat", group="g"),
        "not-held": annotation(Mask(((0, 5),)), "cat"),
        "no-geometry": annotation(None, "nose", tool="keypoint"),
        "dropped": annotation(BOX, "fly"),
    }
    held = [point("nose", 5, 5), point("left_eye", 15, 15)]
    item = picture("a.jpg", *held, *cases.values(), groups=GROUP)
    _, [losses] = dataset(FORMAT, tmp_path, [item], settings(FORMAT, skeletons=SKELETONS, drop=("fly",)))
    assert {loss.reason: loss.annotation for loss in losses} == cases
    assert len(losses) == len(cases)


@pytest.mark.parametrize(
    ("members", "reasons"),
    [
        ([point("nose", 5, 5)], ["zero-area"]),
        ([point("nose", 5, 5, 0), point("left_eye", 0, 0, 0)], ["zero-area", "zero-area"]),
        ([point("nose", math.nan, 5), point("left_eye", -9, 5)], ["bad-geometry", "outside"]),
        ([point("nose", -5, 5), annotation(BOX, group="g")], ["outside", "no-keypoints"]),
        ([annotation(Skeleton(()), "cat")], ["too-few-points"]),
        ([annotation(Skeleton((Keypoint(5, 5),), ("tail",)), "cat")], ["unknown-keypoint"]),
        ([annotation(Skeleton((Keypoint(-5, 5), Keypoint(-5, 9)), NAMES[:2]), "cat")], ["outside"]),
    ],
)
def test_an_object_of_which_nothing_is_left(tmp_path: Path, members: list[Annotation], reasons: list[str]) -> None:
    item = picture("a.jpg", *members, groups=GROUP)
    _, [losses] = dataset(FORMAT, tmp_path, [item], settings(FORMAT, skeletons=SKELETONS))
    assert [loss.reason for loss in losses] == reasons
    assert rows(tmp_path, "a") == []


def test_a_box_that_is_none_is_lost_and_the_points_span_another(tmp_path: Path) -> None:
    item = picture(
        "a.jpg", point("nose", 5, 5), point("left_eye", 15, 15), annotation(Box(200, 9, 9, 9), group="g"), groups=GROUP
    )
    _, [[loss]] = dataset(FORMAT, tmp_path, [item], settings(FORMAT, skeletons=SKELETONS))
    assert loss.reason == "outside"
    assert rows(tmp_path, "a")[0][1:5] == [0.1, 0.2, 0.1, 0.2]


def test_a_skeleton_in_one_annotation(tmp_path: Path) -> None:
    body = Skeleton((Keypoint(5, 5, 2), Keypoint(15, 15, 1), Keypoint(300, 1, 2)))
    writer, [losses] = dataset(
        FORMAT, tmp_path, [picture("a.jpg", annotation(body))], settings(FORMAT, skeletons=SKELETONS)
    )
    assert losses == []
    assert rows(tmp_path, "a") == [[0, 0.1, 0.2, 0.1, 0.2, 0.05, 0.1, 2, 0.15, 0.3, 1, 0, 0, 0]]
    assert writer.notes == {"skeleton-points-outside": 1}


def test_a_class_that_only_the_joints_tell_follows_the_class_list(tmp_path: Path) -> None:
    item = picture("a.jpg", point("left_hip", 5, 5), point("nose", 15, 15), groups=(Group("g"),))
    _, [losses] = dataset(FORMAT, tmp_path, [item], settings(FORMAT))
    assert losses == []
    assert told(tmp_path)["names"] == {0: "cat", 1: "개", 2: "person"}
    assert rows(tmp_path, "a")[0][0] == 2
    assert len(told(tmp_path)["kpt_names"][2]) == 17
    assert FORMAT.verify(tmp_path).problems == []


def test_pictures_without_a_size_and_negatives(tmp_path: Path) -> None:
    unknown = picture("a.jpg", point("nose", 5, 5), size=(None, None), groups=GROUP)
    empty = [picture("b.jpg"), picture("c.jpg", size=(None, None))]
    writer, [[loss], *_] = dataset(FORMAT, tmp_path, [unknown, *empty], settings(FORMAT))
    assert loss.reason == "no-size"
    assert writer.place(unknown) is None
    assert sorted(path.name for path in tmp_path.glob("labels/train/*")) == ["b.txt", "c.txt"]
    assert told(tmp_path)["kpt_shape"] == [0, 3]


def test_no_temporary_file_stays_and_the_files_repeat(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    items = [
        picture(
            "고양이.jpg", point("왼눈", 20, 10), point("오른눈", 40, 30), split="train", groups=(Group("g", "개"),)
        ),
        picture("b.jpg", split="val"),
    ]
    texts = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        dataset(FORMAT, tmp_path / name, items, settings(FORMAT, splits=("train", "val")))
        texts.append(read(tmp_path / name))
    assert texts[0] == texts[1] == snapshot


@pytest.mark.parametrize(
    ("keys", "flips"),
    [
        (["nose", "lefteye", "righteye"], [0, 2, 1]),
        (["leye", "reye", "lip"], [1, 0, 2]),
        (["어깨왼쪽", "어깨오른쪽"], [1, 0]),
        (["좌안", "우안", "우산"], [1, 0, 2]),
        (["nose", "lefteye"], None),
        (["p1", "p2"], None),
        ([], None),
    ],
)
def test_which_keypoints_change_places_in_a_mirror(keys: list[str], flips: list[int] | None) -> None:
    assert find_flips(keys) == flips


@pytest.mark.parametrize(
    "row",
    [
        "0 0.5 0.5 0.2 0.2",
        "0 0.5 0.5 0.2 0.2 0.1 0.1 3 0.1 0.1 2 0.1 0.1 2",
        "0 0.5 0.5 0.2 0.0 0.1 0.1 2 0.1 0.1 2 0.1 0.1 2",
        "0 0.5 0.5 0.2 0.2 0.1 1.1 2 0.1 0.1 2 0.1 0.1 2",
    ],
)
def test_the_verifier_finds_a_bad_pose(tmp_path: Path, row: str) -> None:
    item = picture("a.jpg", point("nose", 5, 5), point("left_eye", 9, 9), groups=GROUP)
    dataset(FORMAT, tmp_path, [item], settings(FORMAT, skeletons=SKELETONS))
    (tmp_path / "labels/train/a.txt").write_text(f"{row}\n")
    assert codes(FORMAT.verify(tmp_path)) == ["bad-row"]
    text = (tmp_path / "data.yaml").read_text()
    (tmp_path / "data.yaml").write_text(text.replace("kpt_shape", "shape"))
    assert codes(FORMAT.verify(tmp_path)) == ["bad-row"]
