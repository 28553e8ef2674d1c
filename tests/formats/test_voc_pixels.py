"""The pixels of Pascal VOC, as its readers read them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from yolo_make import annotation, codes, dataset, picture, read, ringed, settings, square

from synapse_skills.annotations.model import Box, Mask, Polygon
from synapse_skills.formats.voc import FORMAT
from synapse_skills.formats.voc_pixels import CLASSES, FOLDERS, MOST, palette
from synapse_skills.job.export.sizes import channels_of_file

CAT = Box(10, 20, 30, 10)
YES = {"segmentation": "yes"}


def pixels(folder: Path, name: str, stem: str = "a") -> np.ndarray:
    with Image.open(folder / name / f"{stem}.png") as opened:
        assert opened.mode == "P"
        return np.asarray(opened)


def names(folder: Path, stem: str = "a") -> list[str | None]:
    root = ElementTree.parse(folder / "Annotations" / f"{stem}.xml").getroot()
    return [each.findtext("name") for each in root.iter("object")]


def test_what_can_not_be_painted_is_lost_by_its_reason(tmp_path: Path) -> None:
    cases = {
        "too-few-points": annotation(Polygon(((0, 0), (5, 5)))),
        "outside": annotation(Polygon(square(200, 200, 9))),
        "bad-geometry": annotation(Mask(((0, 9999),))),
        "occluded": annotation(Polygon(square(60, 20, 5))),
        "unknown-class": annotation(Polygon(square(1, 1, 5)), "cow"),
        "rotated": annotation(Box(10, 10, 9, 9, 0.5)),
    }
    above = annotation(Polygon(square(58, 18, 10)), "개")
    writer, [losses] = dataset(
        FORMAT, tmp_path, [picture("a.jpg", *cases.values(), above)], settings(FORMAT, options=YES)
    )
    assert {loss.reason: loss.annotation for loss in losses} == cases
    assert writer.rows == FORMAT.verify(tmp_path).rows == {"": 1}
    assert names(tmp_path) == ["개"]
    assert set(np.unique(pixels(tmp_path, "SegmentationClass"))) == {0, 2}


def test_a_number_in_the_picture_is_that_of_the_object(tmp_path: Path) -> None:
    low, high = annotation(Polygon(square(0, 0, 20)), "개"), annotation(Polygon(square(10, 10, 20)))
    shapes = [annotation(CAT), low, annotation(ringed()), annotation(Mask(((4999, 1),)), "개"), high]
    empty = picture("b.jpg", annotation(CAT))
    writer, losses = dataset(FORMAT, tmp_path, [picture("a.jpg", *shapes), empty], settings(FORMAT, options=YES))
    # The ring lies under the last square, but for nothing of it.
    assert [loss.reason for loss in losses[0]] == ["occluded"]
    assert names(tmp_path) == ["cat", "개", "개", "cat"]
    kinds, numbers = pixels(tmp_path, "SegmentationClass"), pixels(tmp_path, "SegmentationObject")
    assert kinds.shape == (50, 100)
    assert (numbers[5, 5], numbers[25, 25], numbers[49, 99], numbers[40, 40]) == (2, 4, 3, 0)
    assert (kinds[5, 5], kinds[25, 25], kinds[49, 99]) == (2, 1, 2)
    assert (numbers == 2).sum() == 20 * 20 - 10 * 10
    assert writer.notes == {"occluded": 1}
    assert (tmp_path / "ImageSets/Segmentation/trainval.txt").read_text() == "a\n"
    said = [
        ElementTree.parse(tmp_path / f"Annotations/{stem}.xml").getroot().findtext("segmented") for stem in ("a", "b")
    ]
    assert said == ["1", "0"]
    assert [each["name"] for each in json.loads((tmp_path / CLASSES).read_bytes())] == ["cat", "개"]
    assert FORMAT.verify(tmp_path).problems == []


def test_more_than_an_index_can_number_is_lost(tmp_path: Path) -> None:
    shapes = [annotation(Mask(((number, 1),))) for number in range(MOST + 2)]
    _, [losses] = dataset(FORMAT, tmp_path, [picture("a.jpg", *shapes)], settings(FORMAT, options=YES))
    assert [loss.annotation for loss in losses] == shapes[MOST:]
    assert {loss.reason for loss in losses} == {"too-many"}
    assert FORMAT.verify(tmp_path).problems == []


def test_without_the_option_there_are_no_pixels(tmp_path: Path) -> None:
    _, [losses] = dataset(FORMAT, tmp_path, [picture("a.jpg", annotation(ringed()))], settings(FORMAT))
    assert [loss.reason for loss in losses] == ["not-held"]
    assert not any("Segmentation" in name for name in read(tmp_path))


def test_the_palette_is_vocs() -> None:
    # As the development kit prints it.
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 8: (64, 0, 0), 15: (192, 128, 128)}
    known |= {20: (0, 64, 128), 255: (224, 224, 192)}
    colours = palette()
    assert {number: tuple(colours[3 * number : 3 * number + 3]) for number in known} == known


def test_depth_is_what_the_original_says(tmp_path: Path) -> None:
    for name, mode, depth in (("g", "L", 1), ("c", "RGB", 3), ("p", "P", 3), ("a", "RGBA", 4)):
        Image.new(mode, (4, 4)).save(tmp_path / f"{name}.png")
        assert channels_of_file(tmp_path / f"{name}.png") == depth
        item = picture(f"{name}.png")
        (tmp_path / name).mkdir()
        dataset(
            FORMAT,
            tmp_path / name,
            [type(item)(item.record, item.media, item.name, "", 4, 4, (), depth)],
            settings(FORMAT),
        )
        root = ElementTree.parse(tmp_path / name / f"Annotations/{name}.xml").getroot()
        assert root.findtext("size/depth") == str(depth)
    (tmp_path / "no.png").write_bytes(b"no picture")
    assert channels_of_file(tmp_path / "no.png") is None


def _resized(folder: Path) -> None:
    Image.new("P", (9, 9)).save(folder / "SegmentationClass/a.png")


def _repainted(folder: Path) -> None:
    with Image.open(folder / "SegmentationObject/a.png") as opened:
        array = np.asarray(opened).copy()
    array[array == 1] = 7
    Image.fromarray(array).convert("P").save(folder / "SegmentationObject/a.png")


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (_resized, "bad-file"),
        (_repainted, "bad-file"),
        (lambda folder: (folder / "SegmentationObject/a.png").unlink(), "unreadable"),
        (lambda folder: (folder / "SegmentationClass/b.png").touch(), "picture-without-labels"),
        (lambda folder: (folder / "ImageSets/Segmentation/trainval.txt").write_text("a\na\n"), "in-two-parts"),
        (lambda folder: (folder / "ImageSets/Segmentation/trainval.txt").write_text(""), "bad-file"),
    ],
)
def test_damage_is_found(damage: Callable[[Path], object], code: str, tmp_path: Path) -> None:
    dataset(FORMAT, tmp_path, [picture("a.jpg", annotation(ringed()))], settings(FORMAT, options=YES))
    assert codes(FORMAT.verify(tmp_path)) == []
    assert all((tmp_path / name / "a.png").is_file() for name in FOLDERS)
    damage(tmp_path)
    assert code in codes(FORMAT.verify(tmp_path))
