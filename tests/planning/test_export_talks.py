"""Conversations about exports, held in this process against the sandbox: what is asked, refused, and planned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from planning.conversation import User, asked, codes, understood
from planning.export_talk import CARS, EMPTY, MIXED, PLAIN, TWICE, VERSION, Exporter
from synapse_skills.errors import UsageError
from synapse_skills.planning import Document, Request, filter_flag, plan_export, read_classes
from synapse_skills.planning.export_facts import ExportFacts
from synapse_skills.planning.export_sample import Sample

# Slow, each with a quicker neighbour that runs every day.
pytestmark = pytest.mark.heavy

DONE = {"formats": "coco", "split.ratios": "none", "originals": "none"}


def keys(document: Document) -> list[str]:
    return [question["key"] for question in document.questions]


# ---- what to export


def test_nothing_known_at_all(exporter: Exporter) -> None:
    document = exporter.say()
    assert keys(document) == ["project"]
    assert [row["id"] for row in understood(document, "project")["value"]][-1] == EMPTY
    assert not (exporter.folder / "synapse-jobs").exists()


def test_nothing_known_and_no_login(nobody: User) -> None:
    document = plan_export(Request())
    assert [question["key"] for question in document.questions] == ["target", "project"]
    assert codes(document).count("no-login") >= 1


def test_without_a_login_a_project_is_out_of_reach(nobody: User) -> None:
    document = plan_export(Request({"project": CARS}))
    assert (document.status, document.exit_code) == ("blocked", 3)


@pytest.mark.parametrize("said", ["99", "cars 2025", "-1", "3.5", "[]", "{}", "true"])
def test_a_project_that_is_none_is_asked_again(exporter: Exporter, said: str) -> None:
    assert asked(exporter.say(f"project={said}"), "project")["error"]


def test_the_nearest_project_is_named(exporter: Exporter) -> None:
    assert "Did you mean cars 2026 (3)" in asked(exporter.say(project="Cars 2025"), "project")["error"].lower().replace(
        "did you", "Did you"
    )


def test_a_project_by_its_title(exporter: Exporter) -> None:
    document = exporter.say(project="cars 2026")
    assert understood(document, "project")["value"] == CARS
    assert understood(document, "target")["value"] == "assignment"


def test_a_project_without_records(exporter: Exporter) -> None:
    document = exporter.say(project=EMPTY)
    assert (document.status, document.exit_code, codes(document)) == ("blocked", 1, ["empty-scope"])


def test_the_only_ground_truth_is_taken(exporter: Exporter) -> None:
    document = exporter.say("target=ground_truth")
    assert understood(document, "ground_truth_version")["value"] == VERSION
    assert understood(document, "name")["value"] == "Gold-1.0"


@pytest.mark.parametrize("said", ["1.0", "77", "nonsense"])
def test_a_version_is_a_number_and_not_its_own_name(exporter: Exporter, said: str) -> None:
    assert asked(exporter.say(f'ground_truth_version="{said}"'), "ground_truth_version")["error"]


def test_a_project_and_a_ground_truth_at_once(exporter: Exporter) -> None:
    document = exporter.say(project=CARS, ground_truth_version=VERSION)
    assert "take one of the two back" in asked(document, "project")["error"]


@pytest.mark.heavy
def test_a_ground_truth_takes_its_classes_from_its_project(exporter: Exporter) -> None:
    document = exporter.say(**DONE, ground_truth_version=VERSION)
    assert document.status == "ready"
    plan = exporter.plan("Gold-1.0")
    assert (plan["target"], plan["ground_truth_version"], plan["project"]) == ("ground_truth", VERSION, None)
    assert plan["classes"]["order"] == ["truck", "car"]
    assert plan["expected"]["records"] == 3


@pytest.mark.heavy
def test_tasks(exporter: Exporter) -> None:
    assert exporter.say(**DONE, project=CARS, target="tasks").status == "ready"
    assert exporter.plan()["target"] == "task"


# ---- everything known


def test_everything_known_at_once(exporter: Exporter) -> None:
    document = exporter.say(**DONE, project=CARS)
    assert (document.status, document.exit_code) == ("ready", 0)
    assert document.dry_run is not None and document.dry_run["records"]["read"] == 6
    assert document.hash and document.hash in document.summary
    plan = exporter.plan()
    assert plan["classes"] == {
        "order": ["truck", "car"],
        "map": {},
        "drop": [],
        "keep": [],
        "unknown": "fail",
        "unlabelled": "fail",
    }
    assert plan["expected"] == {"records": 6, "in_scope": 6, "sampled": 6, "tools": {"bounding_box": 12}}
    assert Path(plan["output"]) == exporter.home() / "output" and not Path(plan["output"]).exists()
    assert (exporter.home() / "job" / "export.py").is_file()


def test_the_same_answers_give_the_same_bytes_and_remember_everything(exporter: Exporter) -> None:
    exporter.say(project=CARS)
    exporter.say("formats=coco", project=CARS)
    assert exporter.say("split.ratios=none", "originals=none", project=CARS).status == "ready"
    first = (exporter.home() / "plan.json").read_bytes()
    again = exporter.say(project=CARS)
    assert again.status == "ready" and (exporter.home() / "plan.json").read_bytes() == first
    assert "changed" not in again.summary


@pytest.mark.heavy
def test_a_change_of_mind_is_shown(exporter: Exporter) -> None:
    before = exporter.say(**DONE, project=CARS)
    after = exporter.say("split.ratios=70/20/10", "split.seed=4", "split.stratify=class", project=CARS)
    assert after.status == "ready" and after.hash != before.hash
    assert "changed     split" in after.summary
    assert exporter.plan()["split"] == {
        "ratios": {"train": 0.7, "val": 0.2, "test": 0.1},
        "by": "data_unit",
        "seed": 4,
        "own": False,
        "stratify": "class",
    }


@pytest.mark.heavy
def test_answers_go_on_with_another_project(exporter: Exporter) -> None:
    exporter.say(**DONE, project=CARS)
    document = exporter.say(answers=exporter.home() / "answers.json", project=PLAIN)
    assert document.status == "ready"
    assert exporter.plan("Plain")["project"] == PLAIN and exporter.plan()["project"] == CARS


@pytest.mark.heavy
def test_a_name_that_another_job_has(exporter: Exporter) -> None:
    exporter.say(**DONE, project=CARS)
    answers = exporter.home() / "answers.json"
    answers.write_text(json.dumps({**json.loads(answers.read_text()), "project": MIXED}))
    assert "already" in asked(exporter.say(project=CARS), "name")["question"]


def test_an_export_never_takes_an_uploads_folder(exporter: Exporter) -> None:
    exporter.home().mkdir(parents=True)
    (exporter.home() / "answers.json").write_text('{"sources": ["/data"]}')
    assert understood(exporter.say(project=CARS), "name")["value"] == "Cars-2026-export"
    with pytest.raises(UsageError, match="holds an upload"):
        exporter.say(project=CARS, name="Cars-2026")


# ---- filters


def test_a_misspelt_filter_is_refused_with_the_nearest(exporter: Exporter) -> None:
    with pytest.raises(UsageError) as caught:
        exporter.say("filter.reveiw=confirmed", project=CARS)
    assert "filter.review" in caught.value.hint
    question = asked(exporter.say('filter={"statsu": 1}', project=CARS), "filter")
    assert "Did you mean status" in question["error"]


@pytest.mark.parametrize(
    "said", ["filter.created_after=soon", "filter.ids=a,b", "filter.discarded=perhaps", "filter=7"]
)
def test_a_filter_that_can_not_be_is_asked_again(exporter: Exporter, said: str) -> None:
    key = said.partition("=")[0]
    assert asked(exporter.say(said, project=CARS), key)["error"]


def test_filters_that_leave_nothing(exporter: Exporter) -> None:
    document = exporter.say("filter.status=never", project=CARS)
    assert codes(document) == ["nothing-matches"] and document.status == "blocked"
    assert exporter.say("filter.status=null", project=CARS).status == "questions"


@pytest.mark.heavy
def test_a_filter_between_two_times_and_by_ids(exporter: Exporter) -> None:
    sets = ['filter={"ids": [100, 101, 102]}', "filter.created_after=2026-03-18"]
    document = exporter.say(*sets, **DONE, project=CARS)
    assert document.status == "ready"
    assert exporter.plan()["filter"] == {"created_after": "2026-03-18T00:00:00Z", "ids": [100, 101, 102]}
    assert exporter.plan()["expected"]["records"] == 2
    rows = understood(document, "filters")["value"]
    assert [(row["filter"], row["records with it alone"], row["records without it"]) for row in rows] == [
        ("created_after", 5, 3),
        ("ids", 3, 5),
    ]


def test_discarded_and_rejected_work_is_a_question_with_counts(exporter: Exporter) -> None:
    document = exporter.say(project=MIXED)
    question = asked(document, "filter")
    assert "Of 5, 3 confirmed, 2 rejected; somebody has discarded 1" in question["question"]
    best, everything, *_ = question["options"]
    assert best["value"] == {"review": "confirmed", "discarded": False} and "2 records" in best["description"]
    assert everything["value"] == {"review": "any", "discarded": False} and "4 records" in everything["description"]
    assert "formats" in keys(document), "nothing waits for the filter"
    # What it says can be said by its label, and is said again one by one.
    document = exporter.say("filter=Only confirmed", project=MIXED)
    assert understood(document, "expected.records")["value"] == 2
    document = exporter.say("filter.review=any", project=MIXED)
    assert understood(document, "expected.records")["value"] == 4


def test_what_is_said_of_one_filter_leaves_the_other_to_be_asked(exporter: Exporter) -> None:
    document = exporter.say("filter.review=any", project=MIXED)
    discarded = asked(document, "filter.discarded")
    assert discarded["options"][0]["value"] is False and "4 records left" in discarded["options"][0]["description"]
    document = exporter.say("filter.review=null", "filter.discarded=any", project=MIXED)
    review = asked(document, "filter.review")
    assert review["options"][0]["value"] == "confirmed" and not review["multiSelect"]
    assert "3 records" in review["options"][0]["description"]


def test_all_of_them_is_an_answer_and_is_not_asked_again(exporter: Exporter) -> None:
    document = exporter.say("filter.discarded=any", 'filter.review="any"', project=MIXED)
    assert not {"filter.discarded", "filter.review", "filter.status"} & set(keys(document))
    assert understood(document, "expected.records")["value"] == 5


def test_a_backend_that_ignores_a_filter(exporter: Exporter, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = Sample(foreign=["record 7: status_label is done"])
    monkeypatch.setattr(ExportFacts, "sample", lambda self, target, scope, filter: foreign)
    document = exporter.say("filter.status=done", project=CARS, **DONE)
    assert codes(document) == ["outside-scope"] and document.exit_code == 1


def test_a_filter_that_widens(exporter: Exporter, monkeypatch: pytest.MonkeyPatch) -> None:
    true = ExportFacts.count
    monkeypatch.setattr(ExportFacts, "count", lambda *given: true(*given) + (100 if given[-1] else 0))
    assert "outside-scope" in codes(exporter.say("filter.status=done", "filter.discarded=any", project=CARS))


def test_the_scope_in_the_filter_of_older_instructions() -> None:
    assert filter_flag({"project": 3, "status": "done"}) == {"project": 3, "filter": {"status": "done"}}
    assert filter_flag({"ground_truth_dataset_version": 5}) == {"ground_truth_version": 5}
    with pytest.raises(UsageError):
        filter_flag({"project": 3, "ground_truth_version": 5})


# ---- formats and losses


@pytest.mark.parametrize("said", ["formats=coko", "formats=[]", "formats=7", 'formats={"a": 1}'])
def test_a_format_that_is_none_is_asked_again(exporter: Exporter, said: str) -> None:
    question = asked(exporter.say(said, project=CARS), "formats")
    assert question["error"] and question["options"][0]["value"] == "coco"


def test_mixed_tools_ask_what_becomes_of_what_a_format_can_not_hold(exporter: Exporter) -> None:
    everything = {"filter.discarded": "any", "filter.review": "any", "formats": "yolo"}
    document = exporter.say(project=MIXED, **everything)
    assert keys(document)[:3] == ["tools", "formats.yolo.rotated", "classes.unlabelled"]
    rotated, tools = asked(document, "formats.yolo.rotated"), asked(document, "tools")
    assert [option["value"] for option in rotated["options"]] == ["yolo_obb", "envelope", "lose"]
    assert "1 of 6" in rotated["question"] and "yolo_obb keeps them" in rotated["question"]
    assert "yolo holds 1 polygon only in another shape" in tools["question"]
    assert [option["value"] for option in tools["options"]] == [
        ["bounding_box"],
        ["bounding_box", "polygon"],
        "stop",
    ]
    sets = ["tools=bounding_box,polygon", "formats.yolo.rotated=envelope", "classes.unlabelled=drop"]
    sets += ["empty=drop", "split.ratios=none", "originals=none"]
    ready = exporter.say(*sets, project=MIXED)
    assert ready.status == "ready"
    plan = exporter.plan("Mixed")
    # Who exports polygons as YOLO has said that they may be boxes.
    assert plan["formats"] == [{"name": "yolo", "options": {"rotated": "envelope", "polygon": "box"}}]
    assert (plan["tools"], plan["losses"]) == (["bounding_box", "polygon"], [])
    assert plan["classes"]["order"] == ["car", "van", "bus", "road"]
    assert plan["empty"] == "drop"
    exporter.say("tools=bounding_box", project=MIXED)
    plan = exporter.plan("Mixed")
    assert plan["tools"] == ["bounding_box"] and plan["classes"]["order"] == ["car", "van", "bus"]


def test_boxes_that_stand_askew_may_have_a_format_that_holds_their_angle(exporter: Exporter) -> None:
    sets = ["filter.discarded=any", "filter.review=any", "tools=bounding_box", "classes.unlabelled=drop"]
    sets += ["empty=drop", "split.ratios=none", "originals=none"]
    assert keys(exporter.say(*sets, formats="yolo", project=MIXED)) == ["formats.yolo.rotated"]
    ready = exporter.say("formats.yolo.rotated=YOLO rotated boxes", project=MIXED)
    assert ready.status == "ready", ready.questions
    assert exporter.plan("Mixed")["formats"] == [{"name": "yolo_obb", "options": {}}]
    # It is remembered as the choice of a format.
    assert exporter.say(project=MIXED).hash == ready.hash


def test_a_loss_without_an_option_is_asked_and_may_stop_it(exporter: Exporter) -> None:
    sets = ["filter.discarded=any", "filter.review=any", "classes.unlabelled=drop", "tools=all"]
    document = exporter.say("formats=yolo_pose", *sets, project=MIXED)
    question = asked(document, "losses.yolo_pose")
    assert "1 polygon-not-held: polygon has no place" in question["question"]
    assert "would-be-lost" in codes(exporter.say("losses.yolo_pose=stop", project=MIXED))
    assert (
        "Lost are also" in asked(exporter.say("losses.yolo_pose=rotated", project=MIXED), "losses.yolo_pose")["error"]
    )
    assert "losses.yolo_pose" not in keys(exporter.say("losses.yolo_pose=accept", project=MIXED))


def test_what_is_lost_by_another_tool_is_not_accepted_with_it(exporter: Exporter) -> None:
    sets = ["filter.discarded=any", "filter.review=any", "classes.unlabelled=drop", "formats.yolo.rotated=envelope"]
    exporter.say("formats=yolo", "tools=bounding_box", "losses.yolo=zero-area", *sets, project=MIXED)
    question = asked(exporter.say("tools=all", "formats.yolo.polygon=lose", "losses.yolo=null", project=MIXED), "empty")
    assert question["options"]
    assert understood(exporter.rounds[-1], "losses.yolo")["value"] == ["polygon-not-held"]


@pytest.mark.parametrize("said", ["formats.coco.rotated=sideways", "losses.coco.rotated=maybe"])
def test_bad_answers_about_a_format(exporter: Exporter, said: str) -> None:
    assert asked(exporter.say(said, formats="coco", project=CARS), said.partition("=")[0])["error"]


def test_an_option_of_a_format_that_was_not_chosen(exporter: Exporter) -> None:
    with pytest.raises(UsageError):
        exporter.say("formats.yolo.rotated=lose", formats="coco", project=CARS)
    with pytest.raises(UsageError, match=r"formats\.coco\.rotatd"):
        exporter.say("formats.coco.rotatd=lose", formats="coco", project=CARS)


@pytest.mark.heavy
def test_what_only_a_run_has_met_can_be_accepted(exporter: Exporter) -> None:
    assert exporter.say("losses.coco.zero-area=accept", **DONE, project=CARS).status == "ready"
    assert exporter.plan()["losses"] == ["coco:zero-area"]


# ---- classes


def test_a_class_that_is_not_in_the_list(exporter: Exporter) -> None:
    order = "classes.order=class 1,class 2"
    question = asked(exporter.say(order, **DONE, project=PLAIN), "classes.unknown")
    assert "class 3 (1)" in question["question"]
    assert codes(exporter.say("classes.unknown=fail", project=PLAIN)) == ["unknown-class"]
    assert exporter.say("classes.unknown=drop", project=PLAIN).status == "ready"


@pytest.mark.heavy
def test_classes_are_in_natural_order_without_a_configuration(exporter: Exporter) -> None:
    assert exporter.say(**DONE, project=PLAIN).status == "ready"
    assert exporter.plan("Plain")["classes"]["order"] == ["class 1", "class 2", "class 3"]


@pytest.mark.heavy
def test_classes_are_renamed_merged_and_left_out(exporter: Exporter) -> None:
    sets = ['classes.map={"class 1": "one", "class 2": "one"}', 'classes.drop=["class 3"]']
    assert exporter.say(*sets, **DONE, project=PLAIN).status == "ready"
    classes = exporter.plan("Plain")["classes"]
    assert (classes["order"], classes["drop"]) == (["one"], ["class 3"])


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ("classes.order=a,a", "classes.order"),
        ("classes.order=7", "classes.order"),
        ('classes.map=["a"]', "classes.map"),
        ('classes.map={"a": 1}', "classes.map"),
        ('classes.drop=[""]', "classes.drop"),
    ],
)
def test_classes_that_can_not_be_are_asked_again(exporter: Exporter, said: str, key: str) -> None:
    assert asked(exporter.say(said, **DONE, project=PLAIN), key)["error"]


@pytest.mark.parametrize(
    ("content", "answers"),
    [
        ("car\n\n  bus \n", {"classes.order": ["car", "bus"]}),
        ("\ufeff자동차\r\n버스\r\n", {"classes.order": ["자동차", "버스"]}),
        ('["a", "b"]', {"classes.order": ["a", "b"]}),
        ('{"order": ["a"], "map": {"b": "a"}}', {"classes.order": ["a"], "classes.map": {"b": "a"}}),
    ],
)
def test_a_file_of_classes(tmp_path: Path, content: str, answers: dict[str, object]) -> None:
    (tmp_path / "classes").write_text(content, encoding="utf-8")
    assert read_classes(tmp_path / "classes") == answers


@pytest.mark.parametrize("content", [b"", b"[1", b'{"classes": []}', b"\xff\xfe\x00"])
def test_a_file_that_holds_no_classes(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "classes").write_bytes(content)
    with pytest.raises(UsageError):
        read_classes(tmp_path / "classes")
    with pytest.raises(UsageError):
        read_classes(tmp_path / "not there")


# ---- the rest


def test_several_records_of_one_data_unit(exporter: Exporter) -> None:
    question = asked(exporter.say(formats="coco", project=TWICE), "duplicates")
    assert [option["value"] for option in question["options"]] == ["best", "newest", "all"]


def test_records_that_were_never_labelled_are_a_question(exporter: Exporter) -> None:
    everything = {"filter.discarded": "any", "filter.review": "any", "formats": "synapse_json"}
    document = exporter.say(project=MIXED, **everything)
    assert "never labelled" in asked(document, "empty")["question"]
    assert "split.ratios" not in keys(document)


@pytest.mark.parametrize(
    "said", ["60/60", "0/100", "1/2/3/4", "half", "[]", '{"training": 1}', '{"train": -1, "val": 2}']
)
def test_a_split_that_is_none_is_asked_again(exporter: Exporter, said: str) -> None:
    assert asked(exporter.say(f"split.ratios={said}", formats="coco", project=CARS), "split.ratios")["error"]


@pytest.mark.parametrize("said", ["split.by=colour", "originals=some", "naming=mine", "limits.workers=0", "state=here"])
def test_other_answers_that_can_not_be(exporter: Exporter, said: str) -> None:
    document = exporter.say(said, **{**DONE, "split.ratios": "80/20"} | dict([said.split("=")]), project=CARS)
    assert asked(document, said.partition("=")[0])["error"]


def test_an_output_that_holds_something_else(exporter: Exporter) -> None:
    foreign = exporter.folder / "mine"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("do not touch")
    for place in (str(foreign), str(foreign / "thesis.txt"), "/"):
        assert asked(exporter.say(**DONE, output=place, project=CARS), "output")["error"]
    own = exporter.home() / "output"
    own.mkdir(parents=True)
    (own / "thesis.txt").write_text("do not touch")
    document = exporter.say("output=null", project=CARS)
    assert codes(document) == ["output-not-ours"]


@pytest.mark.parametrize(
    ("place", "storage"),
    [
        ("https://example.com/x", None), ("ftp://host/x", None), ("s3://me:hidden-word@bucket/x", None),
        ("storage://main/x", None), ("s3://bucket/../x", None), ("s3://bucket/x", 11), ("/", 11), ("a/../b", 11),
    ],
)  # fmt: skip
def test_an_output_that_can_not_be_written_to(exporter: Exporter, place: str, storage: int | None) -> None:
    document = exporter.say(**DONE, output=place, storage=storage, project=CARS)
    assert asked(document, "output")["error"]
    assert "hidden-word" not in json.dumps(document.as_dict())
    assert b"hidden-word" not in b"".join(path.read_bytes() for path in exporter.home().rglob("*.json"))


def test_an_output_at_a_url(exporter: Exporter) -> None:
    document = exporter.say("output_on_worker=accept", **DONE, output="memory://sets/cars/", project=CARS)
    assert document.status == "ready" and "memory://sets/cars, about" in document.summary
    assert (exporter.plan()["output"], exporter.plan()["output_on_worker"]) == ("memory://sets/cars", "accept")
    room = next(each for each in document.understood if each["key"] == "expected.bytes")
    assert "before it goes to its place" in room["because"]


@pytest.mark.heavy
def test_an_output_in_a_storage_of_the_backend(exporter: Exporter) -> None:
    document = exporter.say(**DONE, storage="11", project=CARS)
    # From here it can't be opened; the cluster may, so it is a warning.
    assert document.status == "ready"
    assert (exporter.plan()["storage"], exporter.plan()["output"]) == (11, "exports/Cars-2026")
    assert "storage://11/exports/Cars-2026" in document.summary
    assert [each["severity"] for each in document.problems if each["code"].startswith("source-")] == ["warning"]


@pytest.mark.heavy
def test_an_output_of_this_job_may_be_written_again(exporter: Exporter) -> None:
    own = exporter.folder / "coco-out"
    own.mkdir()
    marker = {"kind": "export", "name": "Cars-2026", "target": "assignment", "project": CARS}
    (own / ".synapse-export").write_text(json.dumps({**marker, "ground_truth_version": None}))
    assert exporter.say(**DONE, output=str(own), project=CARS).status == "ready"


def test_no_room(exporter: Exporter, monkeypatch: pytest.MonkeyPatch) -> None:
    from synapse_skills.planning import export_place

    monkeypatch.setattr(export_place.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10}))
    assert codes(exporter.say(**DONE, project=CARS)) == ["no-room"]


@pytest.mark.parametrize("key", ["expected.records", "expected.in_scope", "expected.bytes"])
def test_what_is_counted_is_not_said(exporter: Exporter, key: str) -> None:
    assert asked(exporter.say(f"{key}=5", **DONE, project=CARS), key)["error"]
