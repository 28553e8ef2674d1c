"""Talks are short: what belongs together is one question, nothing found out is asked, and no round is long to read."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from PIL import Image

from planning.conversation import SCANS, User, asked, understood, units
from planning.export_talk import MIXED, VERSION, Exporter
from synapse_skills.planning.brief import brief
from synapse_skills.planning.export_scope import with_scope
from synapse_skills.planning.interview import AS_SAID, REMEMBERED

ROUND_BYTES = 6_000


def picture(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 6), (9, 0, 0)).save(out, kind)
    return out.getvalue()


def size_of(document: Any) -> int:
    """What an agent reads of it."""
    return len(json.dumps(document.as_dict(), ensure_ascii=False).encode())


def item(key: str, value: Any, because: str) -> dict[str, Any]:
    return {"key": key, "value": value, "because": because}


def keys(document: Any) -> list[str]:
    return [question["key"] for question in document.questions]


# ---- what a round says


def test_what_was_said_comes_back_in_one_piece_and_defaults_not_at_all() -> None:
    said = [
        item("project", 1, AS_SAID),
        item("name", "cars", AS_SAID),
        item("formats", ["coco"], REMEMBERED),
        item("limits.workers", 64, "the default"),
        item("grouping.endings", [], "with it, one data unit is: same name"),
        item("metadata.field.age", "age", "it has the field's name"),
        item("metadata.field.age", "나이", "it has the field's title"),
        item("naming", "id", "no record tells its file's name"),
    ]
    assert [(each["key"], each["value"]) for each in brief(said)] == [
        ("said", {"project": 1}),
        ("remembered", {"formats": ["coco"]}),
        ("name", "cars"),
        ("metadata.field.age", "나이"),
        ("naming", "id"),
    ]
    assert said[4]["value"] == [], "what is kept stays whole"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (list(range(12)), list(range(12))),
        (list(range(100)), [*range(8), "… 92 more"]),
        ({str(n): n for n in range(30)}, {**{str(n): n for n in range(8)}, "…": "22 more"}),
        ({"order": list(range(20))}, {"order": [*range(8), "… 12 more"]}),
        ([{"id": n} for n in range(20)], [{"id": n} for n in range(20)]),
    ],
)
def test_long_values_end_early_and_say_so_tables_do_not(value: Any, shown: Any) -> None:
    assert brief([item("classes.order", value, "found")]) == [item("classes.order", shown, "found")]


# ---- what is to be exported


@pytest.mark.parametrize(
    ("answer", "comes_to"),
    [
        ("ground_truth", {"target": "ground_truth"}),
        ("A ground truth", {"target": "ground_truth"}),
        ("ground_truth:5", {"ground_truth_version": 5}),
        ("Ground truth (5)", {"ground_truth_version": 5}),
        ("Ground truthing 2026", {"project": "Ground truthing 2026"}),
        (3, {"project": 3}),
    ],
)
def test_a_ground_truth_is_an_answer_to_which_project(answer: Any, comes_to: dict[str, Any]) -> None:
    assert with_scope({"project": answer, "name": "x"}) == {**comes_to, "name": "x"}


def test_nothing_known_is_one_question(exporter: Exporter) -> None:
    document = exporter.say()
    assert keys(document) == ["project"]
    assert document.questions[0]["options"][-1]["value"] == f"ground_truth:{VERSION}"
    document = exporter.say(project="Ground truth (5)")
    assert understood(document, "ground_truth_version")["value"] == VERSION and "formats" in keys(document)


@pytest.mark.heavy
def test_an_export_of_which_nothing_is_known_takes_three_rounds(exporter: Exporter) -> None:
    first = exporter.say()
    second = exporter.say("filter=Only confirmed", "formats=YOLO boxes", project=MIXED)
    third = exporter.say("tools=Only boxes", *(f"{key}={value}" for key, value in LAST.items()), project=MIXED)
    assert third.status == "ready", (third.questions, third.problems)
    assert all(size_of(each) < ROUND_BYTES for each in (first, second, third))
    assert "1 polygon" in third.summary or "tool-left-out" in third.summary


LAST = {"split.ratios": "none", "originals": "none", "formats.yolo.rotated": "Leave them out", "losses.yolo": "accept"}


@pytest.mark.heavy
def test_tables_and_json_come_without_pictures_unless_they_are_wanted(exporter: Exporter) -> None:
    document = exporter.say("filter=All but discarded", project=MIXED, formats="synapse_json")
    assert understood(document, "originals")["value"] == "none" and "originals" not in keys(document)
    document = exporter.say("originals=required", "empty=keep", project=MIXED)
    assert document.status == "ready", document.questions
    assert exporter.plan("Mixed")["originals"] == "required"


@pytest.mark.heavy
def test_the_label_of_a_state_is_an_answer(exporter: Exporter) -> None:
    document = exporter.say("filter.review=Only confirmed", "filter.discarded=any", project=MIXED)
    assert understood(document, "expected.records")["value"] == 3


# ---- files that nothing takes


def odd_pictures(user: User) -> None:
    user.files(units(2, "image.png", "label.json"))
    user.files({"p003/image.tiff": picture("TIFF"), "p003/label.json": "{}"})
    user.files({"p004/image.bmp": picture("BMP"), "p004/label.json": "{}"})


def test_several_kinds_that_nothing_takes_are_one_question(user: User) -> None:
    odd_pictures(user)
    document = user.say(path="scans", collection=SCANS)
    assert keys(document) == ["convert"]
    question = document.questions[0]
    assert "1 .bmp, 1 .tiff" in question["question"]
    assert [option["value"] for option in question["options"]] == [".png", ".jpg", "none", "each"]
    assert asked(user.say("convert=.gif", path="scans"), "convert")["error"]
    assert keys(user.say("convert=each", path="scans")) == ["conversions.bmp", "conversions.tiff"]


@pytest.mark.heavy
def test_all_are_converted_or_one_is_not(user: User) -> None:
    odd_pictures(user)
    document = user.say("convert=Convert all to .png", path="scans", collection=SCANS)
    assert document.status == "ready", (document.questions, document.problems)
    assert {(each["source"], each["target"]) for each in user.plan()["conversions"]} == {
        (".bmp", ".png"),
        (".tiff", ".png"),
    }
    # A change of mind about one of them.
    document = user.say("conversions.bmp=none", "incomplete=leave_out", path="scans")
    assert document.status == "ready", (document.questions, document.problems)
    assert [each["source"] for each in user.plan()["conversions"]] == [".tiff"]


@pytest.mark.heavy
def test_all_may_stay_at_home(user: User) -> None:
    odd_pictures(user)
    document = user.say("convert=Leave them at home", "incomplete=leave_out", path="scans", collection=SCANS)
    assert document.status == "ready" and user.plan()["conversions"] == []
    assert user.plan()["expected"]["units"] == 2


# ---- tables


@pytest.mark.heavy
def test_two_tables_that_say_the_same_are_no_question(user: User) -> None:
    user.files(units(2, "image.png", "label.json"))
    user.files({"meta.csv": "name,site\np001,a\np002,b\n", "metadata.tsv": "name\tsite\np001\ta\np002\tb\n"})
    document = user.say(path="scans", collection=SCANS)
    assert document.status == "ready", document.questions
    assert "holds the same rows" in understood(document, "metadata.table")["because"]
    user.files({"metadata.tsv": "name\tsite\np001\ta\np002\tc\n"})
    assert "metadata.table" in keys(user.say(path="scans"))


# ---- the same again


@pytest.mark.heavy
def test_the_same_as_last_week_with_the_new_folder_is_one_command(user: User) -> None:
    user.files(units(3, "image.png", "label.json"))
    (user.folder / "scans/p003/label.json").unlink()
    asked(user.say(path="scans", collection=SCANS), "incomplete")
    assert user.say("incomplete=leave_out", path="scans").status == "ready"
    user.files(units(5, "image.png", "label.json"), "week2")
    document = user.say(path="week2", answers=user.home())
    assert document.status == "ready" and user.plan("week2")["expected"]["units"] == 5
    assert user.plan("scans")["expected"]["units"] == 2, "the other job stays as it was"
    assert size_of(document) < ROUND_BYTES
