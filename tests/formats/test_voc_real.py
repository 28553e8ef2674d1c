"""Real labels as Pascal VOC, where SYNAPSE_SKILLS_TEST_DATA names them, read by a library that knows nothing of us."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from yolo_make import settings

from synapse_skills.annotations import read_row
from synapse_skills.annotations.model import Box
from synapse_skills.formats import FORMATS
from synapse_skills.formats.base import Item

DATA = os.environ.get("SYNAPSE_SKILLS_TEST_DATA", "")
pytestmark = [pytest.mark.skipif(not DATA, reason="SYNAPSE_SKILLS_TEST_DATA is not set"), pytest.mark.heavy]


@pytest.mark.parametrize("name", ["voc", "csv"])
def test_every_real_box_comes_back(tmp_path: Path, name: str) -> None:
    form = FORMATS[name]
    rows = [json.loads(line) for line in (Path(DATA) / "dm_v1/items.jsonl").read_text().splitlines()]
    records = [read_row(row, "assignment") for row in rows]
    media = [record.document.media[0] for record in records]
    labels = sorted({each.label for medium in media for each in medium.annotations if each.label})
    writer = form.write(tmp_path, settings(form, labels, splits=("train", "val")))
    written = 0
    for row, record, medium in zip(rows, records, media, strict=True):
        item = Item(record, medium, f"{record.id}.jpg", ("train", "val")[record.id % 2], medium.width, medium.height)
        losses = writer.write(item)
        written += len(medium.annotations) - len(losses)
        assert {loss.reason for loss in losses} <= {"not-held"}
        if place := writer.place(item):
            (tmp_path / place).symlink_to(Path(DATA) / row["file"]["local_path"])
    writer.close()
    found = form.verify(tmp_path)
    assert found.problems == []
    assert found.rows == writer.rows
    assert sum(found.rows.values()) == written
    if name == "csv":
        assert written == sum(len(medium.annotations) for medium in media)
        return
    sv = pytest.importorskip("supervision")
    read = sv.DetectionDataset.from_pascal_voc(str(tmp_path / "JPEGImages"), str(tmp_path / "Annotations"))
    count = 0
    for record, medium in zip(records, media, strict=True):
        boxes = [each for each in medium.annotations if isinstance(each.geometry, Box)]
        back = read.annotations[str(tmp_path / "JPEGImages" / f"{record.id}.jpg")]
        assert [read.classes[number] for number in back.class_id] == [each.label for each in boxes]
        for each, (left, top, right, bottom) in zip(boxes, back.xyxy.tolist(), strict=True):
            box = each.geometry
            assert isinstance(box, Box)
            # The library takes 1 from the first pixels: its corners are the edges that were labelled, made whole.
            assert -0.002 <= box.x - left < 1
            assert -0.002 <= box.y - top < 1
            assert -0.002 <= right - (box.x + box.width) < 1
            assert -0.002 <= bottom - (box.y + box.height) < 1
            count += 1
    assert count == 929 + 366
