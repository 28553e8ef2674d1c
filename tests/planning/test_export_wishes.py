"""A second wish about the same project, and several mistakes at once: what was there stays, and all is said at once."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

import plan_export
from planning.conversation import asked, codes, understood
from planning.export_talk import CARS, MIXED, VERSION, Exporter
from synapse_skills.planning import Document, filter_flag
from synapse_skills.planning.export_kept import kept_rows

# Slow, each with a quicker neighbour that runs every day.
pytestmark = pytest.mark.heavy

DONE = {"formats": "coco", "split.ratios": "none", "originals": "none"}


def keys(document: Document) -> list[str]:
    return [question["key"] for question in document.questions]


def ran(exporter: Exporter, name: str = "Cars-2026", **changes: Any) -> None:
    """A job whose export is finished, as a run leaves it."""
    exporter.say(**DONE | changes, project=CARS)
    state = exporter.home(name) / "state"
    state.mkdir(exist_ok=True)
    report = {"exit_code": 0, "records": {"exported": 6}, "annotations": {"formats": {"coco": {}}}}
    (state / "last_export.json").write_text(json.dumps(report))


def test_another_wish_gets_a_job_of_its_own(exporter: Exporter) -> None:
    ran(exporter)
    before = (exporter.home() / "answers.json").read_bytes()
    document = exporter.say(project=CARS, formats="voc")
    question = asked(document, "name")
    assert "a finished export of 6 records as coco" in question["question"]
    assert [option["value"] for option in question["options"]] == ["Cars-2026-2", "Cars-2026"]
    assert "originals" in keys(document), "nothing waits for the name"
    # What was said is remembered beside, whether the name is answered now or later.
    assert "name" in keys(exporter.say("originals=none", "split.ratios=none", project=CARS))
    ready = exporter.say("name=Cars-2026-2")
    assert ready.status == "ready" and exporter.plan("Cars-2026-2")["formats"][0]["name"] == "voc"
    assert (exporter.home() / "answers.json").read_bytes() == before
    assert exporter.plan()["formats"][0]["name"] == "coco"


def test_the_same_wish_goes_on_and_says_what_is_remembered(exporter: Exporter) -> None:
    ran(exporter)
    document = exporter.say(project=CARS, formats="COCO")
    assert document.status == "ready" and exporter.plan()["formats"][0]["name"] == "coco"
    assert understood(document, "formats")["because"] == "as you said"
    assert understood(document, "originals")["because"] == "remembered from an earlier round"


def test_another_filter_is_another_wish_and_may_replace_the_first(exporter: Exporter) -> None:
    ran(exporter)
    asked(exporter.say(project=CARS, filter={"ids": [101]}, **DONE), "name")
    assert exporter.say("name=Cars-2026").status == "ready"
    assert exporter.plan()["filter"] == {"ids": [101]}
    assert not exporter.home("Cars-2026-2").exists()


def test_three_mistakes_are_said_in_one_round(exporter: Exporter) -> None:
    document = exporter.say(project=99, formats="yolox9", filter={"statuss": "done"})
    assert keys(document) == ["project", "filter", "formats"]
    assert all(question["error"] for question in document.questions)
    assert "Did you mean yolo?" in asked(document, "formats")["error"]
    assert asked(document, "formats")["options"][0]["value"] == "yolo"
    assert "Did you mean status" in asked(document, "filter")["error"]


def test_a_wrong_word_is_quoted_as_it_was_typed(exporter: Exporter) -> None:
    assert '"Cars 2025"' in asked(exporter.say(project="Cars 2025"), "project")["error"]
    question = asked(exporter.say(ground_truth_version="Silver"), "ground_truth_version")
    assert '"Silver"' in question["error"] and f"{VERSION}" in question["question"]


def test_versions_of_yolo_are_one_format(exporter: Exporter) -> None:
    for word, name in {
        "YOLOv8": "yolo",
        "yolov8n-seg": "yolo_seg",
        "yolo11": "yolo",
        "YOLO segmentation": "yolo_seg",
    }.items():
        assert understood(exporter.say(project=CARS, formats=word), "formats")["value"] == [name]


# ---- filters


def test_any_in_a_filter_is_no_value(exporter: Exporter) -> None:
    document = exporter.say(project=MIXED, filter={"review": "any", "discarded": "any"})
    assert understood(document, "expected.records")["value"] == 5
    assert not {"filter.review", "filter.discarded", "filter.status"} & set(keys(document))
    for said in ('filter={"review": ["any", "rejected"]}', "filter.review=any,rejected"):
        assert "either any" in asked(exporter.say(said, project=MIXED), said.partition("=")[0])["error"]


def test_a_value_that_no_record_has_is_answered_with_those_there_are(exporter: Exporter) -> None:
    problem = exporter.say("filter.review=reject", "filter.discarded=any", project=MIXED).problems[0]
    assert problem["code"] == "nothing-matches"
    assert "confirmed (3), rejected (2)" in problem["fix"] and "Did you mean rejected?" in problem["fix"]


# ---- several at once


@pytest.mark.parametrize("said", ["3,4", "3 4", "3; 4", [3, 4], ["Cars 2026", "Mixed"]])
def test_several_projects_are_refused_by_name_with_what_to_do(exporter: Exporter, said: Any) -> None:
    document = exporter.say(project=said, **DONE)
    assert (document.status, document.exit_code) == ("blocked", 1)
    (problem,) = document.problems
    assert problem["code"] == "several-scopes"
    assert "one project, and 2 were named" in problem["examples"][0] and "--classes FILE" in problem["fix"]
    assert not (exporter.folder / "synapse-jobs").exists()


def test_several_versions_and_several_in_a_filter_are_refused_too(exporter: Exporter) -> None:
    for said in ({"ground_truth_version": [VERSION, 6]}, filter_flag({"project": [CARS, MIXED]})):
        assert codes(exporter.say(**said)) == ["several-scopes"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--project", "3", "4"], "3 4"),
        (["--project", "3", "--project", "4"], "3 4"),
        (["--project", "Cars", "2026"], "Cars 2026"),
    ],
)
def test_words_after_project_are_one_answer(words: list[str], said: str) -> None:
    assert plan_export.flags_of(plan_export.parser().parse_args(words)) == {"project": said}


def test_a_title_of_several_words_is_no_list_of_projects(exporter: Exporter) -> None:
    assert understood(exporter.say(project="cars 2026"), "project")["value"] == CARS


# ---- tools, classes, parts


def test_only_some_classes_are_kept_and_the_nearest_is_named(exporter: Exporter) -> None:
    said = {"project": CARS, "classes.map": {"truck": "vehicle"}, **DONE}
    error = asked(exporter.say("classes.keep=vehicel", **said), "classes.keep")["error"]
    assert "Did you mean vehicle?" in error
    assert "It is written as" in asked(exporter.say("classes.keep=truck", **said), "classes.keep")["error"]
    document = exporter.say("classes.keep=vehicle", **said)
    classes = exporter.plan()["classes"]
    assert (classes["order"], classes["keep"], classes["unlabelled"]) == (["vehicle"], ["vehicle"], "drop")
    assert "loses 6 (6 dropped: " in document.summary


def test_tools_that_there_are_not(exporter: Exporter) -> None:
    assert "bounding_box (12)" in asked(exporter.say("tools=polygon", project=CARS, **DONE), "tools")["error"]
    assert "There is no tool" in asked(exporter.say("tools=balls", project=CARS, **DONE), "tools")["error"]
    assert understood(exporter.say("tools=Boxes", project=CARS, **DONE), "tools")["value"] == ["bounding_box"]


def test_a_split_by_category_needs_categories_and_ratios(exporter: Exporter) -> None:
    said = {"formats": "coco", "project": CARS, "originals": "none"}
    assert "category that is train" in asked(exporter.say("split.ratios=own", **said), "split.ratios")["error"]
    assert '"half"' in asked(exporter.say("split.ratios=half", **said), "split.ratios")["error"]
    document = exporter.say("split.ratios=none", "split.by=category", **said)
    assert "There is no split" in asked(document, "split.by")["error"]


def test_records_are_looked_at_once_in_a_conversation(exporter: Exporter, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter.say(project=CARS)
    kept = list((exporter.home() / ".sample").iterdir())
    assert len(kept) == 1

    def never(*given: object) -> list[bytes]:
        raise AssertionError("asked again")

    monkeypatch.setattr(sys.modules["synapse_skills.job.export.sample"], "sample_of", never)
    assert exporter.say("formats=coco", project=CARS).status == "questions"
    monkeypatch.undo()
    kept[0].write_bytes(kept[0].read_bytes()[:-3])
    rows = kept_rows(exporter.home(), ("x",), lambda: [b"1\n2", b""])
    assert kept_rows(exporter.home(), ("x",), lambda: []) == rows
