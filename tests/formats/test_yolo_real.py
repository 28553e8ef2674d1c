"""Real labels, where SYNAPSE_SKILLS_TEST_DATA names them, read back by a library that knows nothing of ours."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from yolo_make import settings

from synapse_skills.annotations import read_row
from synapse_skills.formats import FORMATS
from synapse_skills.formats.base import Item, Settings, Writer

DATA = os.environ.get("SYNAPSE_SKILLS_TEST_DATA", "")
pytestmark = [pytest.mark.skipif(not DATA, reason="SYNAPSE_SKILLS_TEST_DATA is not set"), pytest.mark.heavy]


def source() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(DATA) / "dm_v1/items.jsonl").read_text().splitlines()]


def items() -> Iterator[tuple[dict[str, Any], Item]]:
    for row in source():
        record = read_row(row, "assignment")
        media = record.document.media[0]
        # Two photos of different sources have one name; names are told apart elsewhere (`names`).
        yield row, Item(record, media, f"{row['id']}.jpg", "train", media.width, media.height)


def exported(name: str, folder: Path, **options: str) -> tuple[Writer, Settings, Counter[tuple[str, str]]]:
    """All real labels in one format, the photos where it wants them; what is lost, by tool and reason."""
    form = FORMATS[name]
    labels = sorted(
        {
            each["classification"]["class"]
            for row in source()
            for each in row["data"]["annotations"]["image_1"]
            if each["classification"].get("class")
        }
    )
    told = settings(form, labels, splits=("train", "val"), options=options)
    writer = form.write(folder, told)
    losses: Counter[tuple[str, str]] = Counter()
    for row, item in items():
        losses.update((loss.annotation.tool, loss.reason) for loss in writer.write(item))
        place = writer.place(item)
        assert place is not None
        (folder / place).symlink_to(Path(DATA) / row["file"]["local_path"])
    writer.close()
    assert form.verify(folder).problems == []
    assert form.verify(folder).rows == writer.rows
    return writer, told, losses


def wanted(row: dict[str, Any], tool: str) -> list[tuple[str, Any]]:
    """Class and coordinate of the annotations of one tool, straight from the JSON."""
    data = row["data"]
    places = {each["id"]: each.get("coordinate") for each in data["annotationsData"]["image_1"]}
    return [
        (each["classification"]["class"], places[each["id"]])
        for each in data["annotations"]["image_1"]
        if each["tool"] == tool
    ]


def detections(folder: Path, told: Settings, *, is_obb: bool = False) -> Iterator[tuple[str, list[str], Any]]:
    sv = pytest.importorskip("supervision")
    read = sv.DetectionDataset.from_yolo(
        str(folder / "images/train"), str(folder / "labels/train"), str(folder / "data.yaml"), is_obb=is_obb
    )
    assert read.classes == list(told.classes.names)
    for path in read.image_paths:
        found = read.annotations[path]
        yield Path(path).stem, [read.classes[number] for number in found.class_id], found


def test_every_box_is_where_it_was(tmp_path: Path) -> None:
    writer, told, losses = exported("yolo", tmp_path)
    rows = {str(row["id"]): wanted(row, "bounding_box") for row in source()}
    count = 0
    for stem, classes, found in detections(tmp_path, told):
        expected = rows.pop(stem)
        assert classes == [label for label, _ in expected]
        for (_, box), corners in zip(expected, found.xyxy.tolist(), strict=True):
            edges = (box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"])
            assert corners == pytest.approx(edges, abs=2e-3)
            count += 1
    assert rows == {}
    assert count == writer.rows["train"] == 929 + 366
    assert {reason for _, reason in losses} == {"not-held"}


def test_every_turned_box_has_its_four_corners(tmp_path: Path) -> None:
    _, told, _ = exported("yolo_obb", tmp_path)
    rows = {str(row["id"]): wanted(row, "bounding_box") for row in source()}
    for stem, classes, found in detections(tmp_path, told, is_obb=True):
        assert classes == [label for label, _ in rows[stem]]
        for (_, box), corners in zip(rows[stem], found.data.get("xyxyxyxy", ()), strict=True):
            x, y, right, bottom = box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]
            expected = [x, y, right, y, right, bottom, x, bottom]
            assert corners.flatten().tolist() == pytest.approx(expected, abs=2e-3)


def test_every_polygon_is_where_it_was(tmp_path: Path) -> None:
    writer, told, losses = exported("yolo_seg", tmp_path)
    rows = {str(row["id"]): wanted(row, "polygon") for row in source()}
    sizes = {stem: (item.width, item.height) for stem, item in ((item.stem, item) for _, item in items())}
    count = 0
    for stem, classes, found in detections(tmp_path, told):
        lines = (tmp_path / "labels/train" / f"{stem}.txt").read_text().splitlines()
        assert len(lines) == len(found)
        assert classes == [label for label, _ in rows[stem]][: len(classes)]
        width, height = sizes[stem]
        for line, (_, ring), around in zip(lines, rows[stem], found.xyxy.tolist(), strict=True):
            flat = [float(each) for each in line.split()[1:]]
            points = {(round(x * width, 2), round(y * height, 2)) for x, y in zip(flat[::2], flat[1::2], strict=True)}
            assert points == {(round(each["x"], 2), round(each["y"], 2)) for each in ring}
            xs, ys = [each["x"] for each in ring], [each["y"] for each in ring]
            # The library makes whole numbers of the corners of a polygon before it looks for their box.
            assert around == pytest.approx((min(xs), min(ys), max(xs), max(ys)), abs=1.01)
            count += 1
    assert count == writer.rows["train"]
    assert count + sum(losses.values()) == sum(len(row["data"]["annotations"]["image_1"]) for row in source())


def test_masks_become_outlines(tmp_path: Path) -> None:
    writer, _, losses = exported("yolo_seg", tmp_path, mask="polygon", hole="bridge", box="polygon")
    assert set(losses) == {("keypoint", "not-held"), ("classification", "not-held")}
    assert writer.notes["mask-as-polygons"] == 6


def test_every_person_has_keypoints(tmp_path: Path) -> None:
    writer, _, losses = exported("yolo_pose", tmp_path)
    assert writer.rows["train"] == 61 - 4  # of four only one point is labelled, and no box
    text = (tmp_path / "data.yaml").read_text()
    assert "kpt_shape:\n- 17\n- 3\n" in text
    assert "flip_idx:" in text
    assert {key: number for key, number in losses.items() if key[0] == "keypoint"} == {("keypoint", "zero-area"): 4}
