"""Pascal VOC files as VOC's readers read them."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion
from yolo_make import annotation, codes, crossing, dataset, picture, read, ringed, settings

from synapse_skills.annotations.model import Box, Mask, Polyline
from synapse_skills.formats.voc import FORMAT, is_true, pixels

CAT = Box(10, 20, 30, 10)
EDGES = ("xmin", "ymin", "xmax", "ymax")


def boxes(folder: Path, stem: str) -> list[tuple[int, ...]]:
    root = ElementTree.parse(folder / "Annotations" / f"{stem}.xml").getroot()
    return [tuple(int(each.findtext(f"bndbox/{edge}", "")) for edge in EDGES) for each in root.iter("object")]


def test_what_can_not_be_held_is_lost_by_its_reason(tmp_path: Path) -> None:
    cases = {
        "rotated": annotation(Box(10, 10, 9, 9, 0.5)),
        "bad-geometry": annotation(Box(math.nan, 0, 1, 1)),
        "zero-area": annotation(Box(3, 3, 0, 9)),
        "outside": annotation(Box(100, 50, 9, 9)),
        "no-geometry": annotation(None, tool="bounding_box"),
        "unknown-class": annotation(CAT, "cow"),
        "unlabelled": annotation(CAT, None),
        "dropped": annotation(Polyline(((0, 0), (1, 1))), "fly"),
        "not-held": annotation(ringed()),
    }
    item = picture("a.jpg", *cases.values(), annotation(CAT))
    writer, [losses] = dataset(FORMAT, tmp_path, [item], settings(FORMAT, drop=("fly",)))
    assert {loss.reason: loss.annotation for loss in losses} == cases
    assert boxes(tmp_path, "a") == [(11, 21, 40, 30)]
    assert writer.rows == FORMAT.verify(tmp_path).rows == {"": 1}


def test_a_picture_without_a_size_and_a_video_are_left_out(tmp_path: Path) -> None:
    items = [picture("a.jpg", annotation(CAT), size=(None, 5)), picture("b.mp4", annotation(CAT), kind="video")]
    writer, losses = dataset(FORMAT, tmp_path, items, settings(FORMAT))
    assert [[loss.reason for loss in each] for each in losses] == [["no-size"], ["not-held"]]
    assert [writer.place(item) for item in items] == [None, None]
    assert list((tmp_path / "Annotations").iterdir()) == []


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 10, (1, 10)),
        (0.2, 9.8, (1, 10)),
        (3, 4, (4, 4)),
        (3.9999999, 7.0000001, (5, 7)),
        (3.9995, 4.0005, (5, 5)),
        (9.9995, 10, (10, 10)),
    ],
)
def test_pixels_that_a_span_touches(start: float, end: float, expected: tuple[int, int]) -> None:
    assert pixels(start, end, 10) == expected


@given(st.floats(0, 99.9), st.floats(0.002, 100))
def test_a_box_grows_by_less_than_a_pixel_on_each_side(start: float, length: float) -> None:
    end = min(start + length, 100)
    first, last = pixels(start, end, 100)
    assert 1 <= first <= last <= 100
    assert -1 < first - 1 - start <= 0.01
    assert -0.01 <= last - end < 1


def test_counted_from_zero_each_is_one_less_and_options_hold_more(tmp_path: Path) -> None:
    shapes = [CAT, Box(10, 10, 10, 10, math.pi / 4), ringed(), Mask(((205, 2),)), crossing()]
    told = settings(FORMAT, options={"base": 0, "rotated": "envelope", "polygon": "box", "mask": "box"})
    writer, [losses] = dataset(FORMAT, tmp_path, [picture("a.jpg", *map(annotation, shapes))], told)
    assert losses == []
    assert boxes(tmp_path, "a") == [
        (10, 20, 39, 29), (7, 7, 22, 22), (10, 10, 29, 29), (5, 2, 6, 2), (0, 10, 9, 29),
    ]  # fmt: skip
    assert writer.notes == {"rotated-as-envelope": 1, "polygon-as-box": 1, "mask-as-box": 1, "clamped": 1}


def test_the_files_of_a_small_dataset(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    said = {"difficult": True, "truncated": "no", "occluded": "1", "색": "빨강 & <파랑>", "n": [1, None]}
    items = [
        picture("고양이 & 1.jpg", annotation(CAT, "개", attributes=said), annotation(crossing()), split="train"),
        picture("negative.png", split="val"),
    ]
    texts = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        dataset(FORMAT, tmp_path / name, items, settings(FORMAT, splits=("train", "val"), title="a < b"))
        texts.append(read(tmp_path / name))
    assert texts[0] == texts[1] == snapshot
    found = FORMAT.verify(tmp_path / "one")
    assert (found.items, found.rows, found.problems) == ({"train": 1, "val": 1}, {"train": 2, "val": 0}, [])


@given(st.text(st.characters(codec="utf-16", categories=None), min_size=1))
def test_any_name_and_attribute_is_xml(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.mktemp("voc")
    item = picture("a.jpg", annotation(CAT, name, attributes={name: name}))
    dataset(FORMAT, folder, [item], settings(FORMAT, [name], title=name))
    root = ElementTree.parse(folder / "Annotations/a.xml").getroot()
    assert FORMAT.verify(folder).problems == []
    if name.isprintable():
        assert root.findtext("object/name") == root.findtext("object/attributes/attribute/value") == name


def test_control_characters_are_written_as_their_escapes(tmp_path: Path) -> None:
    dataset(FORMAT, tmp_path, [picture("a.jpg", annotation(CAT, "a\x01b\rc"))], settings(FORMAT, ["a\x01b\rc"]))
    root = ElementTree.parse(tmp_path / "Annotations/a.xml").getroot()
    assert root.findtext("object/name") == "a\\x01b\rc"


@pytest.mark.parametrize("value", [True, 1, "1", " True ", "YES", "예"])
def test_what_says_yes(value: object) -> None:
    assert is_true(value)
    assert not any(map(is_true, [False, 0, 2, None, "", "no", [1]]))


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("<xmax>40</xmax>", "<xmax>101</xmax>", "bad-box"),
        ("<xmax>40</xmax>", "<xmax>10</xmax>", "bad-box"),
        ("<xmax>40</xmax>", "<xmax>40.5</xmax>", "bad-box"),
        ("<xmax>40</xmax>", "", "bad-box"),
        ("<name>cat</name>", "<name></name>", "bad-object"),
        ("<difficult>0", "<difficult>x", "bad-object"),
        ("a.jpg", "b.jpg", "bad-file"),
        ("<width>100", "<width>0", "bad-file"),
        ("<width>100", "<width>", "unreadable"),
        ("</annotation>", "", "unreadable"),
    ],
)
def test_the_verifier_finds_what_is_wrong(tmp_path: Path, old: str, new: str, code: str) -> None:
    dataset(FORMAT, tmp_path, [picture("a.jpg", annotation(CAT))], settings(FORMAT))
    path = tmp_path / "Annotations/a.xml"
    path.write_text(path.read_text().replace(old, new))
    assert code in codes(FORMAT.verify(tmp_path))


def test_the_verifier_finds_lists_and_pictures_that_do_not_fit(tmp_path: Path) -> None:
    items = [picture(f"{stem}.jpg", annotation(CAT), split="train") for stem in "abc"]
    dataset(FORMAT, tmp_path, items, settings(FORMAT, splits=("train", "val")))
    (tmp_path / "ImageSets/Main/train.txt").write_text("a\nb\n")
    (tmp_path / "ImageSets/Main/val.txt").write_text("a\nx\n")
    (tmp_path / "JPEGImages/y.jpg").write_bytes(b"")
    found = sorted(codes(FORMAT.verify(tmp_path)))
    assert found == ["in-no-part", "in-two-parts", "missing-file", "picture-without-labels"]


@given(st.lists(st.tuples(*[st.one_of(st.floats(-1, 51), st.integers(0, 50).map(float))] * 4), min_size=1, max_size=3))
def test_the_short_way_writes_what_the_long_way_does(
    tmp_path_factory: pytest.TempPathFactory, many: list[tuple[float, float, float, float]]
) -> None:
    for base in (0, 1):
        short, long = tmp_path_factory.mktemp("short"), tmp_path_factory.mktemp("long")
        boxes = [annotation(Box(*each)) for each in many]
        # What is turned by half a circle is the same box, and too much for the short way.
        turned = [annotation(Box(*each, math.pi)) for each in many]
        for folder, some in ((short, boxes), (long, turned)):
            dataset(FORMAT, folder, [picture("a.jpg", *some)], settings(FORMAT, options={"base": base}))
        assert (short / "Annotations/a.xml").read_bytes() == (long / "Annotations/a.xml").read_bytes()
