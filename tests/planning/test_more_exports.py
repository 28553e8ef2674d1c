"""More whole conversations about exports: tables and texts, choices of records, and users who are hard to please."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from planning.export_persona import Talk, export_box, hold, to_the_end
from planning.export_readers import coco, lines, names_in, near, of_json, table
from planning.export_scenes import (
    CHAT,
    CLIPS,
    DETECT,
    GOLD,
    GOLD_PARTS,
    ODD,
    PROJECTS,
    RAW,
    REVIEW,
    SORTED,
    TABLE,
    TWICE,
    WORK,
    content_of,
)
from planning.export_talk import Exporter
from planning.export_world import Labelled
from sandbox_fixture import Sandbox

__all__ = ["export_box"]


def boxes_of(records: list[Labelled]) -> dict[str, list[Any]]:
    """Class and corners of all boxes, by file name."""
    return {
        each.name: [(shape.label, [near(value) for value in shape.corners]) for shape in each.shapes]
        for each in records
    }


def boxes_in(path: Path) -> dict[str, list[Any]]:
    """The same, as pycocotools reads it."""
    return {name: [(row["class"], row["bbox"]) for row in rows] for name, rows in coco(path).items()}


def instances(folder: Path, part: str = "") -> Path:
    return folder / "annotations" / f"instances{part}.json"


def test_a_table_for_a_spreadsheet(exporter: Exporter, export_box: Sandbox) -> None:
    """CSV with a byte order mark: Korean, quotes, line breaks, and cells that would be formulas."""
    first = {"project": "표", "formats": "csv"}
    talk, done = to_the_end(exporter, export_box, first, by="csv")
    assert len(talk.rounds) <= 2
    rows = table(done.of("csv") / "annotations.csv")
    assert len(rows) == done.written("csv") == 3
    by_class = {(row["file_name"], row["class"]): row for row in rows}
    formula = by_class["'=cmd.png", "'=SUM(A1)"]
    assert [float(formula[key]) for key in ("x", "y", "width", "height")] == [1, 2, 3, 4]
    assert (formula["attr.메모"], formula["attr.n"]) == ("'+82 10", "3")
    child = by_class["보행자.png", "보행자, 어린이"]
    assert child["attr.메모"] == '줄\n"둘"' and float(child["x"]) == 5.5
    assert json.loads(by_class["보행자.png", "'=SUM(A1)"]["points"]) == [[1, 1], [9, 1], [9, 9]]
    assert {row["record_id"] for row in rows} == {str(each.id) for each in TABLE}


def test_everything_misspelt(exporter: Exporter, export_box: Sandbox) -> None:
    """All mistakes are said in the first round, each with what was probably meant."""
    first = {"project": "Detekt", "formats": "coko", "filter": {"reveiw": "confirmd"}, "split.ratios": "80/30"}
    facts = {
        "project": 12,
        "formats": "coco",
        "filter": [{"review": "confirmed"}],
        "split.ratios": ["No split", "No split"],
    }
    talk, done = to_the_end(exporter, export_box, first, facts, by="pycocotools")
    wrong = [question for question in talk.rounds[0].questions if question["error"]]
    assert {question["key"] for question in wrong} >= {"project", "formats", "filter"}
    assert sum("Did you mean" in question["error"] for question in wrong) >= 3
    assert boxes_in(instances(done.of("coco"))) == boxes_of(DETECT)


def test_nothing_known_at_all(exporter: Exporter, export_box: Sandbox) -> None:
    """Somebody who wants an export, and knows what the project is called."""
    facts = {"target": "Assignments", "project": "Detect", "formats": "COCO"}
    talk, done = to_the_end(exporter, export_box, {}, facts, by="pycocotools")
    assert talk.asked[:2] == ["project", "formats"] and len(talk.rounds) <= 3
    form = next(iter(done.report["annotations"]["formats"]))
    assert form == "coco" and boxes_in(instances(done.of("coco"))) == boxes_of(DETECT)


@pytest.mark.heavy
def test_everything_known_at_once(exporter: Exporter, export_box: Sandbox) -> None:
    first = {
        "target": "assignment",
        "project": 12,
        "name": "Mine",
        "formats": ["coco", "csv"],
        "filter": {"review": "confirmed", "discarded": False},
        "classes.order": ["bus", "car"],
        "split.ratios": "none",
        "originals": "none",
        "output": str(exporter.folder / "there"),
    }
    talk, done = to_the_end(exporter, export_box, first, by="pycocotools, csv")
    assert (len(talk.rounds), talk.asked, done.output) == (1, [], exporter.folder / "there")
    assert boxes_in(instances(done.of("coco"))) == boxes_of(DETECT)
    assert [each["name"] for each in of_json(done.of("coco") / "classes.json")] == ["bus", "car"]
    assert len((done.of("csv") / "annotations.csv").read_text().splitlines()) == 1 + done.written("csv")


@pytest.mark.heavy
def test_a_change_of_mind(exporter: Exporter, export_box: Sandbox) -> None:
    """Planned as COCO in one part, then wanted without buses in two."""
    before = hold(exporter, Talk({"project": "Detect", "formats": "coco"}))
    again = {"project": "Detect", "split.ratios": "50/50", "classes.drop": ["bus"]}
    _, done = to_the_end(exporter, export_box, again, by="pycocotools")
    after = exporter.rounds[-1]
    assert before.hash != after.hash and "changed" in after.summary
    train, val = (boxes_in(instances(done.of("coco"), part)) for part in ("_train", "_val"))
    assert train and val and not set(train) & set(val)
    cars = {name: [one for one in shapes if one[0] == "car"] for name, shapes in boxes_of(DETECT).items()}
    assert train | val == cars
    assert done.lost("coco") == {"dropped": Counter(s.label for each in DETECT for s in each.shapes)["bus"]}


@pytest.mark.heavy
def test_payloads_byte_for_byte(exporter: Exporter, export_box: Sandbox) -> None:
    _, done = to_the_end(exporter, export_box, {"project": "Odd", "formats": "synapse_json"}, by="bytes")
    folder = done.of("synapse_json")
    assert names_in(folder) == ["annotations/odd.json", "annotations/plain.json", "records.jsonl"]
    compact = RAW.replace(": ", ":").replace(", ", ",").replace(",  ", ",").replace(":  ", ":").replace(": ", ":")
    written = (folder / "annotations" / "odd.json").read_text(encoding="utf-8")
    # A backend may put other spaces between; keys, their order and every digit are the platform's.
    assert "".join(written.split()) == "".join(compact.split())
    assert {each["record_id"]: each["file"] for each in lines(folder / "records.jsonl")} == {
        each.id: f"annotations/{Path(each.name).stem}.json" for each in ODD
    }


@pytest.mark.heavy
def test_descriptions_of_videos_by_class_in_folders_of_their_category(exporter: Exporter, export_box: Sandbox) -> None:
    _, done = to_the_end(exporter, export_box, {"project": "Clips", "formats": "class_json"}, by="json")
    folder = done.of("class_json") / "annotations"
    expected = {
        f"{each.meta['category']}/{Path(each.name).stem}_{shape.label}.json": shape.attributes["description_kr"]
        for each in CLIPS
        for shape in each.shapes
    }
    assert names_in(folder) == sorted(expected) and any(name.startswith("1. 자연/") for name in expected)
    for name, text in expected.items():
        (only,) = of_json(folder / name)["annotations"]["video_1"]
        assert only["classification"]["description_kr"] == text


@pytest.mark.heavy
def test_a_ground_truth_with_its_own_parts(exporter: Exporter, export_box: Sandbox) -> None:
    first = {"ground_truth_version": "Gold cats 1.0", "formats": "coco"}
    facts = {"split.ratios": "As ", "originals": "Yes, all"}
    _, done = to_the_end(exporter, export_box, first, facts, by="pycocotools")
    for word, part in {"train": "train", "validation": "val", "test": "test"}.items():
        mine = [each for each, own in zip(GOLD, GOLD_PARTS, strict=True) if own == word]
        assert boxes_in(instances(done.of("coco"), f"_{part}")) == boxes_of(mine)
        for each in mine:
            assert (done.of("coco") / "images" / part / each.name).read_bytes() == content_of(each)


@pytest.mark.heavy
def test_tasks(exporter: Exporter, export_box: Sandbox) -> None:
    """What tasks hold themselves, which is not always what their assignments do."""
    facts = {"empty": "Keep"}
    first = {"project": "Work", "target": "tasks", "formats": "coco"}
    _, done = to_the_end(exporter, export_box, first, facts, by="pycocotools")
    expected = boxes_of(WORK) | {"t1.png": []}
    assert boxes_in(instances(done.of("coco"))) == expected


@pytest.mark.heavy
def test_rejected_work_only(exporter: Exporter, export_box: Sandbox) -> None:
    facts = {"filter": "rejected"}
    _, done = to_the_end(exporter, export_box, {"project": "Review", "formats": "coco"}, facts, by="pycocotools")
    rejected = [each for each in REVIEW if each.row["status_review"] == "rejected"]
    assert len(rejected) == 3
    assert boxes_in(instances(done.of("coco"))) == boxes_of(rejected)


@pytest.mark.heavy
def test_tags_and_dates(exporter: Exporter, export_box: Sandbox) -> None:
    wish = {"tags": "night", "created_after": "2026-03-03", "created_before": "2026-03-08"}
    facts = {"filter.review": "All"}
    first = {"project": "Review", "formats": "coco", "filter": wish}
    _, done = to_the_end(exporter, export_box, first, facts, by="pycocotools")
    wanted = [each for n, each in enumerate(REVIEW) if n % 2 and 3 <= n + 1 < 8]
    assert len(wanted) == 2
    assert boxes_in(instances(done.of("coco"))) == boxes_of(wanted)


@pytest.mark.heavy
def test_of_several_works_on_one_picture_the_confirmed_one_counts(exporter: Exporter, export_box: Sandbox) -> None:
    facts = {"filter.review": "All", "duplicates": "The best"}
    _, done = to_the_end(exporter, export_box, {"project": "Twice", "formats": "coco"}, facts, by="pycocotools")
    assert boxes_in(instances(done.of("coco"))) == boxes_of([TWICE[0], TWICE[3]])
    assert done.report["records"]["left_out"] == 2


@pytest.mark.heavy
def test_pictures_in_folders_by_class(exporter: Exporter, export_box: Sandbox) -> None:
    facts = {"originals": "Yes, all"}
    _, done = to_the_end(
        exporter, export_box, {"project": "Sorted", "formats": "image_folder"}, facts, by="json, bytes"
    )
    folder = done.of("image_folder")
    told = {each["file_name"]: each for each in lines(folder / "metadata.jsonl")}
    assert set(told) == {f"{each.shapes[0].label}/{each.name}" for each in SORTED}
    for each in SORTED:
        name = f"{each.shapes[0].label}/{each.name}"
        assert (folder / name).read_bytes() == content_of(each)
        assert (told[name]["label"], json.loads(told[name]["attributes"])) == (each.shapes[0].label, {"밝기": "밤"})


@pytest.mark.heavy
def test_questions_and_answers(exporter: Exporter, export_box: Sandbox) -> None:
    _, done = to_the_end(exporter, export_box, {"project": "Chat", "formats": "jsonl"}, by="json")
    found = {each["file_name"]: each for each in lines(done.of("jsonl") / "annotations.jsonl")}
    assert set(found) == {each.name for each in CHAT}
    for number, each in enumerate(CHAT):
        asked, answered = found[each.name]["annotations"]
        assert (asked["tool"], asked["geometry"]["text"]) == ("prompt", f"{number} 더하기 {number}?")
        assert (answered["tool"], answered["geometry"]["text"]) == ("answer", f"{2 * number}입니다.")


@pytest.mark.heavy
def test_a_format_of_ones_own(exporter: Exporter, export_box: Sandbox) -> None:
    """The example that is rendered: tasks for Label Studio, in hundredths of the picture."""
    _, done = to_the_end(exporter, export_box, {"project": "Detect", "formats": "custom"}, by="json")
    (name,) = [each for each in names_in(done.of("custom")) if each.endswith(".json")]
    tasks = of_json(done.of("custom") / name)
    assert len(tasks) == len(DETECT)
    regions = [region for task in tasks for each in task["annotations"] for region in each["result"]]
    found = sorted(
        (region["value"]["rectanglelabels"][0], region["value"]["x"], region["value"]["width"]) for region in regions
    )
    shapes = [shape for each in DETECT for shape in each.shapes]
    expected = sorted((s.label, s.corners[0] / 0.64, s.corners[2] / 0.64) for s in shapes)
    assert found == [(label, near(x), near(width)) for label, x, width in expected]


def test_the_scenes_are_whole() -> None:
    ids = [each.id for _, records in PROJECTS.values() for each in records]
    assert len(ids) == len(set(ids)) and len(PROJECTS) >= 15
