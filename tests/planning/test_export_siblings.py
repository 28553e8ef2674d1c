"""An answer about one format may name another of its family instead."""

from __future__ import annotations

import json
from typing import Any

import pytest

from planning.export_talk import CARS, box, polygon, record
from synapse_skills.formats import FORMATS
from synapse_skills.planning.export_facts import ExportFacts
from synapse_skills.planning.export_filters import RECORDS
from synapse_skills.planning.export_formats import _decide_option
from synapse_skills.planning.export_sample import read_sample
from synapse_skills.planning.export_siblings import with_siblings
from synapse_skills.planning.export_words import plain_name
from synapse_skills.planning.interview import Ask, Inferred

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


@pytest.mark.parametrize(
    ("option", "tools", "shapes", "offered"),
    [
        ("rotated", ["bounding_box"], [box(turn=0.4), box(turn=0.9)], "yolo_obb"),
        ("polygon", ["polygon"], [polygon()], "yolo_seg"),
        ("polygon", ["bounding_box", "polygon"], [box(), polygon()], ""),
    ],
)
def test_the_tools_alone_are_no_word_for_another_shape_where_a_sibling_holds_them(
    option: str, tools: list[str], shapes: list[Any], offered: str
) -> None:
    facts, form = ExportFacts({"formats": ["yolo"]}), FORMATS["yolo"]
    sample = read_sample([json.dumps(record(1, CARS, *shapes)).encode()], "assignment", CARS, {})
    facts.sample = lambda *_: sample  # type: ignore[method-assign]
    settled = {"target": "assignment", "project": CARS, "filter": {}, RECORDS: 1, "formats": ["yolo"], "tools": tools}
    [row] = [each for each in form.options if each.name == option]
    found = _decide_option(form, row, facts, settled)
    if offered:
        assert isinstance(found, Ask) and found.options[0].value == offered
    else:
        assert isinstance(found, Inferred) and found.value == "box"
