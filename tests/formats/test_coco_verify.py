"""What the verifier of COCO finds, and how it reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from formats.export_make import run
from formats.yolo_make import annotation, picture
from synapse_skills.annotations.model import Box, Group, Keypoint, Mask, Polygon
from synapse_skills.formats import FORMATS, coco_verify


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    points = [annotation(Keypoint(5, 5, 2), "left_hip", group="g"), annotation(Keypoint(9, 9, 2), "nose", group="g")]
    items = [
        picture("a.jpg", annotation(Box(1, 1, 5, 5)), annotation(Polygon(((1.0, 1.0), (9.0, 1.0), (9.0, 9.0))))),
        picture("b.jpg", annotation(Mask(((5, 7),))), *points, groups=[Group("g", "person", ())]),
    ]
    return run("coco", tmp_path / "out", items, order=("cat", "person")).folder


def codes(folder: Path) -> list[str]:
    return [problem.code for problem in FORMATS["coco"].verify(folder).problems]


def change(folder: Path, how: Callable[[Any], None], name: str = "instances") -> None:
    """Change a file and write it in a shape that the writer doesn't: both ways of reading are tried."""
    path = folder / f"annotations/{name}.json"
    document = json.loads(path.read_bytes())
    how(document)
    path.write_text(json.dumps(document, indent=1))


@pytest.mark.parametrize(
    ("how", "code"),
    [
        (lambda d: d["annotations"][1].update(id=1), "annotation-ids"),
        (lambda d: d["images"][1].update(id=1), "image-ids"),
        (lambda d: d["images"][1].update(width=0), "no-size"),
        (lambda d: d["annotations"][0].update(image_id=9), "unknown-image"),
        (lambda d: d["annotations"][0].update(category_id=9), "unknown-category"),
        (lambda d: d["annotations"][0].update(bbox=[99, 1, 5, 5]), "box-outside"),
        (lambda d: d["annotations"][0].update(bbox=[9, 1, 0, 5]), "box-empty"),
        (lambda d: d["annotations"][0].update(area=24), "wrong-area"),
        (lambda d: d["annotations"][1].update(area=24), "wrong-area"),
        (lambda d: d["annotations"][2].update(area=24), "wrong-area"),
        (lambda d: d["annotations"][1].update(segmentation=[[1, 2, 3]]), "bad-polygon"),
        (lambda d: d["annotations"][2]["segmentation"].update(size=[1, 1]), "bad-mask"),
        (lambda d: d["annotations"][2]["segmentation"].update(counts="zz"), "bad-mask"),
        (lambda d: d["categories"][1].update(id=7), "category-ids"),
        (lambda d: d["categories"][1].update(name="cat"), "category-twice"),
        (lambda d: d["annotations"][0].pop("bbox"), "unreadable-file"),
        (lambda d: d.pop("images"), "unreadable-file"),
    ],
)
def test_damage_is_found(folder: Path, how: Callable[[Any], None], code: str) -> None:
    change(folder, how)
    assert code in codes(folder)


@pytest.mark.parametrize(
    ("how", "code"),
    [
        (lambda d: d["annotations"][0]["keypoints"].pop(), "wrong-keypoints"),
        (lambda d: d["annotations"][0].update(num_keypoints=3), "wrong-keypoints"),
        (lambda d: d["annotations"][0]["keypoints"].__setitem__(0, 999), "keypoint-outside"),
        (lambda d: d["annotations"][0].pop("keypoints"), "no-keypoints"),
    ],
)
def test_damage_of_poses_is_found(folder: Path, how: Callable[[Any], None], code: str) -> None:
    change(folder, how, "person_keypoints")
    assert code in codes(folder)


def test_the_untouched_is_fine_however_it_is_indented(folder: Path) -> None:
    assert codes(folder) == []
    before = FORMATS["coco"].verify(folder)
    change(folder, lambda document: None)
    assert FORMATS["coco"].verify(folder) == before


@pytest.mark.parametrize("cut", [3, 30, 400, -2, -20])
def test_a_file_that_is_cut_off(folder: Path, cut: int) -> None:
    path = folder / "annotations/instances.json"
    path.write_bytes(path.read_bytes()[:cut])
    assert "unreadable-file" in codes(folder)


def test_a_file_with_more_behind_it(folder: Path) -> None:
    with (folder / "annotations/instances.json").open("ab") as stream:
        stream.write(b"{}")
    assert codes(folder) == ["unreadable-file"]


def test_no_file_at_all(folder: Path) -> None:
    (folder / "annotations/instances.json").unlink()
    assert codes(folder) == ["missing-file"]


def test_categories_that_differ(folder: Path) -> None:
    text = (folder / "annotations/instances.json").read_text()
    (folder / "annotations/instances_val.json").write_text(text.replace('"cat"', '"dog"'))
    assert codes(folder) == ["categories-differ"]


def test_pictures_are_looked_for_only_where_there_are_any(folder: Path) -> None:
    (folder / "images").mkdir()
    assert codes(folder) == []
    (folder / "images/a.jpg").touch()
    assert codes(folder) == ["missing-picture"]


def test_rows_are_read_a_few_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = FORMATS["coco"].verify(folder)
    for lines in (1, 2, 3):
        monkeypatch.setattr(coco_verify, "_LINES", lines)
        assert FORMATS["coco"].verify(folder) == before
