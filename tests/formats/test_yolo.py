"""YOLO detect, and the layout that all four kinds share."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion
from yolo_make import annotation, codes, crossing, dataset, picture, read, ringed, rows, settings

from synapse_skills.annotations.model import Box, Document, Keypoint, Mask, MediaFile, Polygon, Polyline, Record, Whole
from synapse_skills.formats.names import Names
from synapse_skills.formats.yolo import FORMAT
from synapse_skills.formats.yolo_layout import NO_SPLIT, escaped

CAT = Box(10, 20, 30, 10)


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
        "not-held": annotation(Polyline(((0, 0), (1, 1))), "cow"),
    }
    item = picture("a.jpg", *cases.values(), annotation(CAT))
    writer, [losses] = dataset(FORMAT, tmp_path, [item], settings(FORMAT, drop=("fly",)))
    assert {loss.reason: loss.annotation for loss in losses} == cases
    assert rows(tmp_path, "a") == [[0, 0.25, 0.5, 0.3, 0.2]]
    assert writer.rows == FORMAT.verify(tmp_path).rows == {"": 1}


@pytest.mark.parametrize("geometry", [ringed(), Mask(((0, 5),)), Whole(), Keypoint(3, 3)])
def test_other_shapes_are_not_held(tmp_path: Path, geometry: Polygon) -> None:
    _, [[loss]] = dataset(FORMAT, tmp_path, [picture("a.jpg", annotation(geometry))], settings(FORMAT))
    assert loss.reason == "not-held"


def test_a_picture_without_a_size_is_left_out_and_never_a_negative(tmp_path: Path) -> None:
    unknown = picture("a.jpg", annotation(CAT), annotation(CAT), size=(None, 50))
    empty = picture("b.jpg", size=(None, None))
    writer, losses = dataset(FORMAT, tmp_path, [unknown, empty], settings(FORMAT))
    assert [loss.reason for loss in losses[0]] == ["no-size", "no-size"]
    assert writer.place(unknown) is None
    assert writer.place(empty) == "images/train/b.jpg"
    assert [path.name for path in tmp_path.glob("labels/*/*")] == ["b.txt"]


def test_a_video_is_not_held_and_has_no_label_file(tmp_path: Path) -> None:
    item = picture("a.mp4", annotation(CAT), kind="video")
    writer, [[loss]] = dataset(FORMAT, tmp_path, [item], settings(FORMAT))
    assert (loss.reason, writer.place(item), list(tmp_path.glob("labels/*/*"))) == ("not-held", None, [])


@pytest.mark.parametrize(("policy", "lost"), [("clamp", []), ("drop", ["outside"]), ("fail", ["outside"])])
def test_a_box_that_runs_out(tmp_path: Path, policy: str, lost: list[str]) -> None:
    item = picture("a.jpg", annotation(crossing()))
    writer, [losses] = dataset(FORMAT, tmp_path, [item], settings(FORMAT, geometry=policy))
    assert [loss.reason for loss in losses] == lost
    assert rows(tmp_path, "a") == ([] if lost else [[0, 0.05, 0.4, 0.1, 0.4]])
    assert writer.notes == ({} if lost else {"clamped": 1})


def test_options_turn_other_shapes_into_boxes_and_count_it(tmp_path: Path) -> None:
    shapes = [Box(10, 10, 10, 10, math.pi / 4), ringed(), Mask(((100 * 4 + 7, 3), (100 * 5 + 6, 2)))]
    item = picture("a.jpg", *map(annotation, shapes), annotation(Polygon(((0, 0), (1, 1)))))
    told = settings(FORMAT, options={"rotated": "envelope", "polygon": "box", "mask": "box"})
    writer, [[loss]] = dataset(FORMAT, tmp_path, [item], told)
    side = 10 * math.sqrt(2)
    expected = [[0.15, 0.3, side / 100, side / 50], [0.2, 0.4, 0.2, 0.4], [0.08, 0.1, 0.04, 0.04]]
    assert [row[1:] for row in rows(tmp_path, "a")] == [pytest.approx(each, abs=1e-8) for each in expected]
    assert writer.notes == {"rotated-as-envelope": 1, "polygon-as-box": 1, "mask-as-box": 1}
    assert loss.reason == "too-few-points"


def test_a_quarter_turn_is_no_loss(tmp_path: Path) -> None:
    item = picture("a.jpg", annotation(Box(10, 10, 20, 10, math.pi / 2)))
    dataset(FORMAT, tmp_path, [item], settings(FORMAT))
    assert rows(tmp_path, "a") == [[0, 0.2, 0.3, 0.1, 0.4]]


def test_the_files_of_a_small_dataset(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    items = [
        picture("고양이 1.jpg", annotation(CAT), annotation(crossing(), "개"), split="train"),
        picture("negative.png", split="train"),
        picture("b.c.jpg", annotation(CAT, "개"), split="val"),
    ]
    texts = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        writer, _ = dataset(FORMAT, tmp_path / name, items, settings(FORMAT, splits=("train", "val", "test")))
        texts.append(read(tmp_path / name))
    assert texts[0] == texts[1] == snapshot
    found = FORMAT.verify(tmp_path / "one")
    assert found.problems == []
    assert found.items == {"train": 2, "val": 1, "test": 0}
    assert found.rows == writer.rows == {"train": 2, "val": 1, "test": 0}
    assert [writer.place(item) for item in items[::2]] == ["images/train/고양이 1.jpg", "images/val/b.c.jpg"]


def test_without_a_split_val_names_train_and_data_yaml_says_so(tmp_path: Path) -> None:
    dataset(FORMAT, tmp_path, [picture("a.jpg", annotation(CAT))], settings(FORMAT))
    text = (tmp_path / "data.yaml").read_text()
    assert text.startswith(NO_SPLIT)
    assert yaml.safe_load(text) == {
        "train": "images/train",
        "val": "images/train",
        "nc": 2,
        "names": {0: "cat", 1: "개"},
    }


@pytest.mark.parametrize(("splits", "named"), [(("train", "test"), "val"), (("val", "test"), "train")])
def test_a_split_without_a_part_that_the_trainer_wants(tmp_path: Path, splits: tuple[str, ...], named: str) -> None:
    dataset(FORMAT, tmp_path, [], settings(FORMAT, splits=splits))
    text = (tmp_path / "data.yaml").read_text()
    told = yaml.safe_load(text)
    assert text.startswith(f"# The split has no {named},")
    assert told[named] in {f"images/{part}" for part in splits}
    assert FORMAT.verify(tmp_path).problems == []


@given(names=st.lists(st.text(st.characters(codec="utf-16", categories=None), min_size=1), max_size=5, unique=True))
def test_any_class_name_comes_back(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    folder = tmp_path_factory.mktemp("names")
    dataset(FORMAT, folder, [], settings(FORMAT, names))
    assert list(yaml.safe_load((folder / "data.yaml").read_text())["names"].values()) == names
    assert (folder / "classes.txt").read_text().split("\n") == [*map(escaped, names), ""]
    assert FORMAT.verify(folder).problems == []


def test_a_class_name_with_a_line_break_stays_on_its_line(tmp_path: Path) -> None:
    dataset(FORMAT, tmp_path, [], settings(FORMAT, ["a\nb", "half \ud83d", "no: 'yaml' #"]))
    assert (tmp_path / "classes.txt").read_text() == "a\\nb\nhalf \\ud83d\nno: 'yaml' #\n"
    assert FORMAT.verify(tmp_path).problems == []


@given(
    st.integers(1, 10_000),
    st.integers(1, 10_000),
    st.tuples(*[st.floats(0, 1)] * 4),
)
def test_a_box_comes_back_within_a_thousandth_of_a_pixel(
    tmp_path_factory: pytest.TempPathFactory, width: int, height: int, shares: tuple[float, float, float, float]
) -> None:
    folder = tmp_path_factory.mktemp("box")
    x, y = shares[0] * (width - 0.01), shares[1] * (height - 0.01)
    box = Box(x, y, 0.01 + shares[2] * (width - 0.01 - x), 0.01 + shares[3] * (height - 0.01 - y))
    dataset(FORMAT, folder, [picture("a.png", annotation(box), size=(width, height))], settings(FORMAT))
    [[_, cx, cy, w, h]] = rows(folder, "a")
    assert FORMAT.verify(folder).problems == []
    found = ((cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height)
    assert found == pytest.approx((box.x, box.y, box.width, box.height), abs=1e-3)


def test_names_of_an_export_never_share_a_label_file() -> None:
    names = Names()
    files = ["a.jpg", "a.png", "A.JPG", "a.tar.gz", "a.tar.bz", "a", "a.", "dir/a.webp"]
    given_names = [
        names.of(Record(number, number, "task", Document()), MediaFile("image_1", name))
        for number, name in enumerate(files, 1)
    ]
    stems = [picture(name).stem.casefold() for name in given_names]
    assert len(set(stems)) == len(files)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("0 0.5 0.5 0.2", "bad-row"),
        ("0 0.5 0.5 0.2 0.2 0.2", "bad-row"),
        ("0 0.5 0.5 0.0 0.2", "bad-row"),
        ("0 0.5 0.5 nan 0.2", "bad-row"),
        ("0 1.5 0.5 0.2 0.2", "bad-row"),
        ("0 -0.1 0.5 0.2 0.2", "bad-row"),
        ("0 0.5 0.5  0.2 0.2", "bad-row"),
        ("0.0 0.5 0.5 0.2 0.2", "bad-row"),
        ("2 0.5 0.5 0.2 0.2", "unknown-class"),
        ("-1 0.5 0.5 0.2 0.2", "unknown-class"),
        ("", "bad-row"),
    ],
)
def test_the_verifier_finds_a_bad_row(tmp_path: Path, row: str, code: str) -> None:
    dataset(FORMAT, tmp_path, [picture("a.jpg", annotation(CAT))], settings(FORMAT))
    (tmp_path / "labels/train/a.txt").write_text(f"{row}\n")
    assert codes(FORMAT.verify(tmp_path)) == [code]


def test_the_verifier_finds_what_is_wrong_with_the_files(tmp_path: Path) -> None:
    items = [picture("a.jpg", annotation(CAT), split="train"), picture("b.jpg", split="val")]
    dataset(FORMAT, tmp_path, items, settings(FORMAT, splits=("train", "val")))
    for name in ("train/a.jpg", "train/a.png", "val/b.jpg", "val/c.jpg"):
        (tmp_path / "images" / name).write_bytes(b"")
    (tmp_path / "labels/val/a.txt").write_bytes(b"\xff")
    (tmp_path / "classes.txt").write_text("cat\n")
    found = sorted(codes(FORMAT.verify(tmp_path)))
    assert found == ["classes-differ", "in-two-parts", "picture-without-labels", "two-pictures", "unreadable"]


@pytest.mark.parametrize("text", ["", "names: [a]", "names: {0: a}\nnc: x", "{", "\x00", "names: {0: a}\nnc: 2"])
def test_a_broken_data_yaml_is_a_problem(tmp_path: Path, text: str) -> None:
    dataset(FORMAT, tmp_path, [picture("a.jpg", annotation(CAT))], settings(FORMAT))
    (tmp_path / "data.yaml").write_text(text)
    assert "unreadable" in codes(FORMAT.verify(tmp_path))
    (tmp_path / "data.yaml").unlink()
    assert "unreadable" in codes(FORMAT.verify(tmp_path))


@given(st.lists(st.tuples(*[st.floats(-5, 105)] * 4), min_size=1, max_size=6))
def test_the_short_way_writes_what_the_long_way_does(
    tmp_path_factory: pytest.TempPathFactory, many: list[tuple[float, float, float, float]]
) -> None:
    short, long = tmp_path_factory.mktemp("short"), tmp_path_factory.mktemp("long")
    boxes = [annotation(Box(*each)) for each in many]
    # What is turned by half a circle is the same box, and too much for the short way.
    turned = [annotation(Box(*each, math.pi)) for each in many]
    one, [lost] = dataset(FORMAT, short, [picture("a.jpg", *boxes)], settings(FORMAT))
    two, [lost_too] = dataset(FORMAT, long, [picture("a.jpg", *turned)], settings(FORMAT))
    assert (short / "labels/train/a.txt").read_bytes() == (long / "labels/train/a.txt").read_bytes()
    assert (one.rows, one.notes, [loss.reason for loss in lost]) == (
        two.rows,
        two.notes,
        [loss.reason for loss in lost_too],
    )
