"""One row an annotation, in a table that no spreadsheet runs."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion
from yolo_make import annotation, codes, dataset, picture, read, ringed, settings, square

from synapse_skills.annotations.model import (
    Annotation,
    Box,
    Cuboid,
    Entity,
    FrameBoxes,
    Geometry,
    Keypoint,
    Mask,
    PointIndices,
    Polygon,
    Polyline,
    Relation,
    Section,
    Skeleton,
    Text,
    Whole,
)
from synapse_skills.formats import FORMATS
from synapse_skills.formats.csv_table import COLUMNS, FILE

FORMAT = FORMATS["csv"]
CAT = Box(10, 20.25, 30, 10, 0.5)


def table(folder: Path, *annotations: Annotation, **more: object) -> list[dict[str, str]]:
    dataset(FORMAT, folder, [picture("a.jpg", *annotations)], settings(FORMAT, **more))
    with (folder / FILE).open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_box_is_held_as_it_was_labelled_even_outside_its_picture(tmp_path: Path) -> None:
    [row] = table(tmp_path, annotation(Box(-7, 1e-7, 1000, 5.5, -0.1)))
    assert [row[name] for name in COLUMNS[8:13]] == ["-7", "1e-07", "1000", "5.5", "-0.1"]
    assert [row["points"], row["text"]] == ["", ""]
    assert FORMAT.verify(tmp_path).problems == []


@pytest.mark.parametrize(
    ("geometry", "points", "text"),
    [
        (Polygon(((0, 1), (2.5, 3), (4, 5))), [[0, 1], [2.5, 3], [4, 5]], ""),
        (ringed(), [[list(p) for p in square(10, 10, 20)], [list(p) for p in square(14, 14, 4)]], ""),
        (Polyline(((0, 1), (2, 3))), [[0, 1], [2, 3]], ""),
        (Keypoint(3, 4, 1), [[3, 4, 1]], ""),
        (Keypoint(3, 4), [[3, 4, None]], ""),
        (Mask(((0, 3), (9, 1))), [[0, 3], [9, 1]], ""),
        (Section(1, 2.5, "second"), {"type": "section", "start": 1, "end": 2.5, "unit": "second", "excluded": []}, ""),
        (PointIndices((1, 2)), {"type": "points3d", "points": [1, 2]}, ""),
        (Relation("a", "b"), {"type": "relation", "source": "a", "target": "b"}, ""),
        (Entity(([1, 2],), "서울"), {"type": "entity", "ranges": [[1, 2]], "content": "서울"}, "서울"),
        (
            Text(({"type": "text", "value": "a"}, "b", {"type": "image"}), {"model": "m"}),
            {
                "type": "text",
                "parts": [{"type": "text", "value": "a"}, "b", {"type": "image"}],
                "about": {"model": "m"},
            },
            "a\nb",
        ),
    ],
)
def test_every_geometry_has_its_columns(tmp_path: Path, geometry: Geometry, points: object, text: str) -> None:
    [row] = table(tmp_path, annotation(geometry))
    assert json.loads(row["points"]) == points
    assert row["text"] == text
    assert FORMAT.verify(tmp_path).problems == []


@pytest.mark.parametrize(
    "geometry",
    [
        Skeleton((Keypoint(1, 2, 2),), ("nose",)),
        FrameBoxes(((3, CAT),)),
        Cuboid((1, 2, 3), (1, 1, 1), (0, 0, math.pi)),
    ],
)
def test_other_shapes_are_objects_with_their_type(tmp_path: Path, geometry: Geometry) -> None:
    [row] = table(tmp_path, annotation(geometry))
    assert json.loads(row["points"])["type"]


def test_what_is_lost_and_what_is_held_without_a_class(tmp_path: Path) -> None:
    items = [
        annotation(CAT, "cow"),
        annotation(CAT, "fly"),
        annotation(None, tool="polygon"),
        annotation(CAT, None),
        annotation(Whole(), tool="classification"),
    ]
    _, [losses] = dataset(FORMAT, tmp_path, [picture("a", *items)], settings(FORMAT, drop=("fly",)))
    assert [loss.reason for loss in losses] == ["unknown-class", "dropped", "no-geometry"]
    with (tmp_path / FILE).open(newline="") as stream:
        assert [row["class"] for row in csv.DictReader(stream)] == ["", "cat"]


@pytest.mark.parametrize("text", ["=1+1", "+a", "-a", "@a", "\t=1", "\r=1", "\n=1", "=HYPERLINK(...)"])
def test_nothing_begins_like_a_formula(tmp_path: Path, text: str) -> None:
    [row] = table(tmp_path, annotation(Entity((), text), text, attributes={text: text}), names=[text])
    assert row["class"] == row["text"] == row[f"attr.{text}"] == f"'{text}"
    assert FORMAT.verify(tmp_path).problems == []


def test_attributes_of_all_rows_have_columns_in_order(tmp_path: Path) -> None:
    rows = table(
        tmp_path,
        annotation(CAT, attributes={"b": True, "n": None, "big": 2**70}),
        annotation(CAT, attributes={"a": -1.5, "b": {"x": [1, math.nan]}}),
    )
    assert list(rows[0])[len(COLUMNS) :] == ["attr.a", "attr.b", "attr.big", "attr.n"]
    assert [list(row.values())[len(COLUMNS) :] for row in rows] == [
        ["", "true", str(2**70), ""],
        ["-1.5", '{"x":[1,"nan"]}', "", ""],
    ]


def test_a_byte_order_mark_is_an_option(tmp_path: Path) -> None:
    for name, expected in (("no", False), ("yes", True)):
        (tmp_path / name).mkdir()
        table(tmp_path / name, annotation(CAT, "개"), options={"bom": name})
        assert (tmp_path / name / FILE).read_bytes().startswith(b"\xef\xbb\xbf") == expected
        assert FORMAT.verify(tmp_path / name).problems == []


def test_the_table_of_a_small_dataset(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    items = [
        picture("고양이.jpg", annotation(CAT, "개", attributes={"색": "빨강, 파랑"}), split="train"),
        picture("b.jpg", annotation(ringed()), annotation(Keypoint(1, 2, 0)), split="val"),
        picture("c.txt", annotation(Entity(([0, 2],), 'say "hi"\nagain')), split="val", kind="text"),
    ]
    for each in items:
        for number, one in enumerate(each.media.annotations):
            one.id = f"{each.stem}{number}"
    texts = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        writer, _ = dataset(FORMAT, tmp_path / name, items, settings(FORMAT, splits=("train", "val")))
        texts.append(read(tmp_path / name))
    assert texts[0] == texts[1] == snapshot
    found = FORMAT.verify(tmp_path / "one")
    assert found.rows == writer.rows == {"train": 1, "val": 3}
    assert found.items == {"train": 1, "val": 2}


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(categories=None))),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(categories=None), min_size=1, max_size=5),
            st.dictionaries(st.text(st.characters(categories=None), max_size=4), anything, max_size=3),
            st.tuples(*[st.floats()] * 4),
        ),
        max_size=3,
    )
)
def test_whatever_comes_is_a_row_that_reads_back(tmp_path_factory: pytest.TempPathFactory, given_rows: list) -> None:
    folder = tmp_path_factory.mktemp("csv")
    names = list(dict.fromkeys(name for name, _, _ in given_rows))
    made = [annotation(Box(*numbers), name, attributes=said) for name, said, numbers in given_rows]
    writer, [losses] = dataset(FORMAT, folder, [picture("a.jpg", *made)], settings(FORMAT, names))
    assert losses == []
    found = FORMAT.verify(folder)
    assert found.problems == []
    assert found.rows.get("", 0) == writer.rows[""] == len(made)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("record_id", "id", "bad-header"),
        ("10,20.25", "10,=1", "bad-row"),
        ("10,20.25", "10,x", "bad-row"),
        ("10,20.25", "10", "bad-row"),
        (",cat,", ",=cat,", "bad-row"),
        ("\r\n1,", "\r\nx,", "bad-row"),
    ],
)
def test_the_verifier_finds_what_is_wrong(tmp_path: Path, old: str, new: str, code: str) -> None:
    table(tmp_path, annotation(CAT))
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode()))
    assert codes(FORMAT.verify(tmp_path)) == [code]
    path.unlink()
    assert codes(FORMAT.verify(tmp_path)) == ["unreadable"]


def test_an_id_that_can_call_nothing_stays_what_others_join_by(tmp_path: Path) -> None:
    ids = ["-wDG_x1", "-2+cmd|' /C calc'!A0", "=1"]
    rows = table(tmp_path, *(msgspec.structs.replace(annotation(CAT), id=each) for each in ids))
    assert [row["annotation_id"] for row in rows] == ["-wDG_x1", "'-2+cmd|' /C calc'!A0", "'=1"]
    assert FORMAT.verify(tmp_path).problems == []


def test_how_far_a_record_is_stands_in_each_of_its_rows(tmp_path: Path) -> None:
    item = picture("a.jpg", annotation(CAT), annotation(CAT))
    record = msgspec.structs.replace(
        item.record,
        status="done",
        review="rejected",
        category="train",
        tags=("밤", "=비"),
        created="2026-03-01T00:00:00Z",
    )
    item = msgspec.structs.replace(item, record=record)
    dataset(FORMAT, tmp_path, [item], settings(FORMAT))
    with (tmp_path / FILE).open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2
    for row in rows:
        assert [row[name] for name in COLUMNS[15:]] == ["done", "rejected", "train", "밤; =비", "2026-03-01T00:00:00Z"]
    assert FORMAT.verify(tmp_path).problems == []
