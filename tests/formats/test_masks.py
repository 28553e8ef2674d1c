"""Mask pictures and panoptic segments: which pixel is whose."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from annotations.worlds import payload
from formats.export_make import contents, items_of, record, run
from formats.yolo_make import annotation, picture
from synapse_skills.annotations.model import Box, Mask, Polygon
from synapse_skills.formats import FORMATS
from synapse_skills.formats.painting import colour

SQUARE = ((10.0, 10.0), (30.0, 10.0), (30.0, 30.0), (10.0, 30.0))
HOLE = ((15.0, 15.0), (25.0, 15.0), (25.0, 25.0), (15.0, 25.0))
ROW = Mask(((1005, 20),))  # row 10, from column 5 to 25: over the upper edge of the square
BOTH = ("masks", "panoptic")


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as found:
        return np.asarray(found)


def test_an_index_mask(tmp_path: Path) -> None:
    item = picture("cat.jpg", annotation(Polygon(SQUARE, (HOLE,))), annotation(ROW, "개"))
    ran = run("masks", tmp_path / "out", [item], order=("cat", "개"))
    assert ran.verified.problems == []
    array = pixels(ran.folder / "masks/cat.png")
    assert array.shape == (50, 100)
    assert (array == 2).sum() == 20
    assert (array == 1).sum() == 300 - 15
    assert array[20, 20] == 0
    assert array[10, 24] == 2  # what comes later lies on top
    assert ran.notes == {"occluded": 1}
    with Image.open(ran.folder / "masks/cat.png") as found:
        assert tuple(found.getpalette()[3:6]) == colour(0)


def test_a_colour_mask(tmp_path: Path) -> None:
    ran = run(
        "masks", tmp_path / "out", [picture("a.jpg", annotation(ROW))], order=("cat",), options={"style": "color"}
    )
    assert ran.verified.problems == []
    array = pixels(ran.folder / "masks/a.png")
    assert tuple(array[10, 5].tolist()) == colour(0)
    assert array.any(axis=2).sum() == 20


def test_more_classes_than_a_palette_has(tmp_path: Path) -> None:
    order = [f"c{n}" for n in range(300)]
    ran = run("masks", tmp_path / "out", [picture("a.jpg", annotation(ROW, "c299"))], order=order)
    assert ran.verified.problems == []
    assert pixels(ran.folder / "masks/a.png").max() == 300


def test_no_two_classes_have_one_colour() -> None:
    colours = [colour(place) for place in range(4000)]
    assert len(set(colours)) == 4000
    assert (0, 0, 0) not in colours


def test_panoptic_segments(tmp_path: Path) -> None:
    item = picture("cat.jpg", annotation(Polygon(SQUARE)), annotation(ROW, "개", attributes={"iscrowd": 1}))
    ran = run("panoptic", tmp_path / "out", [item], order=("cat", "개"))
    assert ran.verified.problems == []
    document = json.loads((ran.folder / "annotations/panoptic.json").read_bytes())
    assert document["annotations"][0]["segments_info"] == [
        {"id": 1, "category_id": 1, "area": 385, "bbox": [10, 10, 20, 20], "iscrowd": 0},
        {"id": 2, "category_id": 2, "area": 20, "bbox": [5, 10, 20, 1], "iscrowd": 1},
    ]
    assert [each["isthing"] for each in document["categories"]] == [1, 1]
    assert pixels(ran.folder / "annotations/panoptic/cat.png")[20, 20].tolist() == [1, 0, 0]


@pytest.mark.parametrize("name", BOTH)
def test_what_is_lost_and_why(name: str, tmp_path: Path) -> None:
    item = picture(
        "a.jpg",
        annotation(ROW),
        annotation(ROW),
        annotation(Box(1, 1, 5, 5)),
        annotation(ROW, "wolf"),
        annotation(Mask(((4999, 9),))),
        annotation(Mask(())),
        annotation(Polygon(((0.6, 0.6), (0.9, 0.6), (0.9, 0.9)))),
        annotation(None),
    )
    ran = run(name, tmp_path / "out", [item], order=("cat",))
    assert sorted(ran.reasons) == [
        *("bad-geometry", "no-geometry", "not-held", "occluded", "unknown-class", "zero-area", "zero-area"),
    ]
    assert ran.rows == ran.verified.rows == {"": 1}


@pytest.mark.parametrize("name", BOTH)
def test_media_without_pixels(name: str, tmp_path: Path) -> None:
    items = [
        picture("a.mp4", annotation(ROW), kind="video"),
        picture("b.jpg", annotation(ROW), size=(None, 5)),
    ]
    ran = run(name, tmp_path / "out", items, order=("cat",))
    assert ran.reasons == ["not-held", "no-size"]
    assert ran.notes == {"no-size": 1}


@settings(max_examples=10)
@given(st.randoms(use_true_random=False))
@pytest.mark.parametrize("name", BOTH)
def test_written_and_lost_are_all(name: str, tmp_path_factory: pytest.TempPathFactory, random: Random) -> None:
    items = items_of([record(payload(random, media=("image_1",)), number) for number in (1, 2)])
    ran = run(name, tmp_path_factory.mktemp(name) / "out", items)
    assert ran.annotations == sum(ran.rows.values()) + len(ran.losses)
    assert ran.verified.problems == []


def _repaint(folder: Path) -> None:
    [path] = folder.rglob("*.png")
    array = pixels(path).copy()
    array[0, 0] = 7
    Image.fromarray(array).save(path)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(
    ("damage", "codes"),
    [
        (_repaint, {"wrong-classes", "wrong-segments"}),
        (lambda folder: next(folder.rglob("*.png")).unlink(), {"unreadable-file"}),
        (lambda folder: next(folder.rglob("*.png")).write_bytes(b"no"), {"unreadable-file"}),
        (lambda folder: Image.new("L", (3, 3)).save(next(folder.rglob("*.png"))), {"wrong-size"}),
    ],
)
def test_damage_is_found(name: str, tmp_path: Path, damage: Any, codes: set[str]) -> None:
    ran = run(name, tmp_path / "out", [picture("a.jpg", annotation(ROW))], order=("cat",))
    damage(ran.folder)
    assert {problem.code for problem in FORMATS[name].verify(ran.folder).problems} & codes


@pytest.mark.parametrize("name", BOTH)
def test_a_small_dataset(name: str, tmp_path: Path, snapshot: Any) -> None:
    item = picture("고양이.jpg", annotation(Polygon(SQUARE)), annotation(ROW, "개"), split="val")
    ran = run(name, tmp_path / "out", [item], order=("cat", "개"), splits=("train", "val"), title="시험")
    found = contents(ran.folder)
    texts = {path: text.decode() for path, text in sorted(found.items()) if not path.endswith(".png")}
    assert [*sorted(path for path in found if path.endswith(".png")), texts] == snapshot
