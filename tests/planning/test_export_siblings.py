"""An answer about one format may name another of its family instead."""

from __future__ import annotations

import pytest

from synapse_skills.formats import FORMATS
from synapse_skills.planning.export_formats import plain_name
from synapse_skills.planning.export_siblings import with_siblings

ROTATED = "formats.yolo.rotated"


@pytest.mark.parametrize("said", ["yolo_obb", "YOLO rotated boxes", "yolo11n-obb"])
@pytest.mark.parametrize("formats", [["coco", "yolo"], "coco,yolo"])
def test_it_takes_the_place_of_the_one_that_was_chosen(said: str, formats: object) -> None:
    found = with_siblings({"formats": formats, ROTATED: said, "tools": "all"}, plain_name, FORMATS)
    assert found == {"formats": ["coco", "yolo_obb"], "tools": "all"}


@pytest.mark.parametrize(
    "answers",
    [
        {"formats": "yolo", ROTATED: "envelope"},
        {"formats": "yolo", ROTATED: "As upright boxes"},
        {"formats": "yolo", ROTATED: "csv"},
        {"formats": "yolo", ROTATED: ["yolo_obb"]},
        {"formats": "coco", ROTATED: "yolo_obb"},
        {"formats": [True], ROTATED: "yolo_obb"},
        {ROTATED: "yolo_obb"},
        {"formats": "yolo", "formats.nothing.rotated": "yolo_obb"},
    ],
)
def test_anything_else_is_left_for_the_rows_to_judge(answers: dict[str, object]) -> None:
    assert with_siblings(answers, plain_name, FORMATS) == answers
