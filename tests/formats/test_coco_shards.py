"""COCO in several files: ids go on from one to the next, and no file may be missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO

from formats.export_make import contents, run
from formats.yolo_make import annotation, picture
from synapse_skills.annotations.model import Box, Group, Keypoint
from synapse_skills.formats import FORMATS
from synapse_skills.formats.base import Item

SHARDS = [f"annotations/instances_train-{number:05}-of-00003.json" for number in range(3)]


def pictures(count: int) -> list[Item]:
    """Every second has a person of two joints, every third nothing at all."""
    items = []
    for number in range(count):
        shapes = [annotation(Box(1, 1, 5, 5)) for _ in range(number % 3)]
        points = [annotation(Keypoint(5, 5, 2), name, group="g") for name in ("nose", "left_hip") if number % 2]
        groups = [Group("g", "person", tuple(each.id for each in points))] if points else []
        items.append(picture(f"{number}.jpg", *shapes, *points, split="train", groups=groups))
    return items


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    splits = ("train", "val")
    order = ("cat", "person")
    return run("coco", tmp_path / "out", pictures(7), order=order, splits=splits, options={"shard": 3}).folder


def codes(folder: Path) -> dict[str, list[str]]:
    return {problem.code: problem.examples for problem in FORMATS["coco"].verify(folder).problems}


def change(path: Path, how: Callable[[Any], None]) -> None:
    document = json.loads(path.read_bytes())
    how(document)
    path.write_text(json.dumps(document))


def test_a_file_that_is_gone_or_too_much_is_found(folder: Path) -> None:
    (folder / SHARDS[1]).rename(folder / "kept")
    assert "instances train: 3 of 3 files" not in str(codes(folder))
    assert codes(folder)["missing-file"][0].startswith("instances_train-00002-of-00003.json")
    (folder / "kept").rename(folder / SHARDS[1])
    assert codes(folder) == {}
    (folder / SHARDS[2]).rename(folder / "kept")
    assert codes(folder)["missing-file"] == ["instances train: 2 of 3 files"]
    (folder / "kept").rename(folder / SHARDS[2])
    (folder / "annotations/instances_train.json").write_bytes((folder / SHARDS[0]).read_bytes())
    assert "missing-file" in codes(folder)


@pytest.mark.parametrize(
    ("how", "code"),
    [
        (lambda document: document["images"][0].update(id=1), "image-ids"),
        (lambda document: document["annotations"][0].update(id=1), "annotation-ids"),
        (lambda document: document["annotations"][0].update(image_id=1), "unknown-image"),
        (lambda document: document["categories"][0].update(name="dog"), "categories-differ"),
    ],
)
def test_ids_are_of_all_files(folder: Path, how: Callable[[Any], None], code: str) -> None:
    change(folder / SHARDS[1], how)
    assert code in codes(folder)


def test_a_number_of_pictures_that_is_none_is_refused() -> None:
    for value in (-1, 2.5, True, "3"):
        with pytest.raises(ValueError, match="shard is one of 0, any whole number above 0, not"):
            FORMATS["coco"].complete({"shard": value})


def test_every_file_is_a_dataset_and_all_together_are_the_whole(folder: Path, tmp_path: Path) -> None:
    assert sorted(path for path in contents(folder) if "instances" in path) == [
        *SHARDS,
        "annotations/instances_val-00000-of-00001.json",
    ]
    for kind in ("instances", "person_keypoints"):
        read = [COCO(str(path)) for path in sorted((folder / "annotations").glob(f"{kind}_train-*.json"))]
        assert [len(each.imgs) for each in read] == [3, 3, 1]
        rows = [row for each in read for row in each.dataset["annotations"]]
        whole = run("coco", tmp_path / kind, pictures(7), order=("cat", "person"), splits=("train", "val")).folder
        alone = COCO(str(whole / f"annotations/{kind}_train.json"))
        assert rows == alone.dataset["annotations"] and rows
        assert [row for each in read for row in each.dataset["images"]] == alone.dataset["images"]
        assert all(each.dataset["categories"] == alone.dataset["categories"] for each in read)
        for each in read:
            assert {row["image_id"] for row in each.dataset["annotations"]} <= set(each.imgs)
    found = FORMATS["coco"].verify(folder)
    assert (found.problems, found.items, found.rows) == ([], {"train": 7, "val": 0}, {"train": 9, "val": 0})


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4])
def test_as_many_files_as_it_takes(count: int, tmp_path: Path) -> None:
    items = [picture(f"{number}.jpg", annotation(Box(1, 1, 5, 5))) for number in range(count)]
    ran = run("coco", tmp_path / "out", items, order=("cat",), options={"shard": 2})
    assert ran.verified.problems == []
    assert len(list((ran.folder / "annotations").iterdir())) == max(1, -(-count // 2))
