"""How many rounds an export takes, and what stands first: all that can be asked at once is, the likeliest first."""

from __future__ import annotations

import json
from typing import Any

import pytest

from planning.conversation import asked, understood
from planning.export_talk import CARS, VERSION, Exporter, box, polygon, record
from synapse_skills.planning import Document
from synapse_skills.planning.export_facts import ExportFacts
from synapse_skills.planning.export_filters import RECORDS
from synapse_skills.planning.export_formats import _likely, _ranked
from synapse_skills.planning.export_place import without_default
from synapse_skills.planning.export_sample import Sample, read_sample
from synapse_skills.planning.export_shape import originals_in_words
from synapse_skills.planning.summary import diff


def keys(document: Document) -> list[str]:
    return [question["key"] for question in document.questions]


@pytest.mark.parametrize(
    ("said", "kept"),
    [("default", None), ("In the job's folder (recommended)", None), ("here", "here"), (7, 7), (None, None)],
)
def test_the_place_by_default_is_no_answer(said: Any, kept: Any) -> None:
    assert without_default({"output": said, "name": "x"}) == {"output": kept, "name": "x"}
    assert without_default({"name": "x"}) == {"name": "x"}


def sample_of(*shapes: Any) -> Sample:
    rows = [json.dumps(record(number, CARS, *shapes)).encode() for number in range(3)]
    return read_sample(rows, "assignment", CARS, {})


@pytest.mark.parametrize(
    ("shapes", "offered"),
    [
        ([box(), box("truck")], ["coco", "yolo", "voc", "csv"]),
        ([polygon()], ["coco", "yolo_seg", "masks", "csv"]),
        ([box(turn=0.4), box(turn=0.9)], ["yolo_obb", "csv", "synapse_json", "class_json"]),
        ([box(turn=0.4), box()], ["yolo_obb", "coco", "yolo", "csv"]),
        ([("relation", "of", {})], ["synapse_json", "csv", "class_json", "jsonl"]),
    ],
)
def test_formats_are_offered_by_use_and_by_what_they_hold(shapes: list[Any], offered: list[str]) -> None:
    facts, sample = ExportFacts({}), sample_of(*shapes)
    assert [form.name for form, _ in _likely(facts, sample, _ranked(facts, sample))] == offered


def test_originals_are_told_in_pictures() -> None:
    facts, sample = ExportFacts({}), sample_of(box())
    settled = {"target": "assignment", "project": CARS, "filter": {}, RECORDS: 3}
    facts.sample = lambda *_: sample  # type: ignore[method-assign]
    assert originals_in_words(facts, settled) == "3 pictures of unknown size"
    assert originals_in_words(facts, {**settled, RECORDS: 30}) == "about 30 pictures of unknown size"


def test_what_changed_in_a_path_is_its_end() -> None:
    where = "/srv/a/long/way/to/a/folder/of/somebody/who/exports/"
    [told] = diff({"output": f"{where}one"}, {"output": f"{where}two", "name": None})
    before, after = told.removeprefix("output: ").split(" → ")
    assert before.endswith('exports/one"') and after.endswith('exports/two"') and len(before) == len(after) == 50


@pytest.mark.heavy
def test_what_a_first_export_needs_is_one_round_after_its_project(exporter: Exporter) -> None:
    document = exporter.say(project=CARS)
    assert keys(document) == ["formats", "split.ratios", "originals", "output"]
    formats, split, originals, output = document.questions
    assert [option["value"] for option in formats["options"]] == ["coco", "yolo", "voc", "csv"]
    assert split["question"].startswith("If it is for training")
    assert split["options"][0]["value"] == {"train": 0.8, "val": 0.2}
    assert originals["options"][0]["description"].endswith("6 pictures of unknown size")
    assert [option["value"] for option in output["options"]] == ["default", "Cars-2026"]
    sets = ["formats=yolo", "split.ratios=80/20", "originals=none", "output=default"]
    ready = exporter.say(*sets, project=CARS)
    assert ready.status == "ready"
    # The parts are those that had been told, and nobody's folder goes along to another job.
    told = ", ".join(f"{part} {count}" for part, count in ready.dry_run["splits"].items())  # type: ignore[index]
    assert split["options"][0]["description"] == told
    assert "output" not in exporter.home().joinpath("answers.json").read_text()


@pytest.mark.heavy
def test_the_question_about_the_place_may_go_unanswered(exporter: Exporter) -> None:
    exporter.say(project=CARS)
    document = exporter.say("formats=csv", project=CARS)
    assert document.status == "ready", document.questions
    assert understood(document, "output")["because"].startswith("in the job's folder")
    # Whoever has named a format, well or badly, has the place in the plan, and is not asked.
    assert "output" not in keys(exporter.say(formats="koko", ground_truth_version=VERSION))


@pytest.mark.heavy
def test_another_folder_that_the_question_offers(exporter: Exporter) -> None:
    asked(exporter.say(project=CARS), "output")
    exporter.say("output=Cars-2026", "formats=csv", project=CARS)
    assert exporter.plan()["output"] == str(exporter.folder / "Cars-2026")


@pytest.mark.heavy
def test_the_plan_speaks_to_people(exporter: Exporter) -> None:
    said = {"formats": "yolo", "split.ratios": "80/20", "originals": "none", "project": CARS}
    summary = exporter.say(**said).summary
    assert "(train 4, val 2); all records of a data unit in one part" in summary and "don't come out even" in summary
    assert "exit" not in summary and ", seed" not in summary and "limits" not in summary
    assert "YOLO boxes (yolo): writes 12 of 12" in summary and "6 boxes" not in summary and "12 boxes" in summary
    assert "you put them into yolo/images/train, yolo/images/val" in summary
    summary = exporter.say("split.seed=4", "limits.workers=3", "originals=required", project=CARS).summary
    assert "seed 4" in summary and "at most 3 requests at a time" in summary
    assert "KB and 6 pictures of unknown size" in summary and "you put them" not in summary
