"""Whole conversations with a sandbox as the backend: asked, answered, refused, planned, rendered, dry-run."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from planning.conversation import (
    LOOSE,
    MASKS,
    PAIRS,
    PNG,
    SCANS,
    SITES,
    VIDEOS,
    User,
    asked,
    codes,
    understood,
    units,
)
from synapse_skills.errors import UsageError
from synapse_skills.plan import plan_hash


def test_no_arguments_give_the_first_questions(user: User) -> None:
    document = user.say()
    assert [question["key"] for question in document.questions] == ["sources", "data_collection"]
    assert asked(document, "sources")["options"] == []
    table = understood(document, "data_collection")["value"]
    assert {row["id"] for row in table} == {SCANS, MASKS, SITES, VIDEOS, LOOSE, PAIRS}
    assert len(asked(document, "data_collection")["options"]) == 4
    assert not (user.folder / "synapse-jobs").exists()


def test_without_a_login_the_first_questions_still_come(nobody: User) -> None:
    document = nobody.say()
    assert [question["key"] for question in document.questions] == ["sources", "data_collection"]
    assert codes(document) == ["no-login"]


def test_with_a_folder_and_no_login_it_is_blocked_and_nothing_said_is_lost(nobody: User) -> None:
    nobody.files(units(2, "a.png", "a.json"))
    document = nobody.say(path="scans", collection=SCANS)
    assert (document.status, document.exit_code, codes(document)) == ("blocked", 3, ["no-login"])
    assert json.loads((nobody.home() / "answers.json").read_text())["data_collection"] == str(SCANS)


def test_an_ordinary_dataset_takes_one_answer(user: User) -> None:
    source = user.files(units(5, "a.png", "a.json"))
    first = user.say(path="scans")
    assert [question["key"] for question in first.questions] == ["data_collection"]
    assert asked(first, "data_collection")["options"][0]["value"] == SCANS
    document = user.say(path="scans", collection=SCANS)
    assert document.status == "ready" and not document.problems
    plan = user.plan()
    assert plan["data_collection"] == SCANS and plan["storage"] == 11 and plan["sources"][0]["path"] == str(source)
    assert plan["expected"] == {
        "units": 5,
        "files": 10,
        "bytes": 5 * (len(PNG) + 2),
        "left_out": 0,
        "files_by_spec": {"image_1": 5, "label_1": 5},
    }
    assert document.dry_run is not None
    assert (document.dry_run["planned"], document.dry_run["files"]["planned"]) == (5, 10)
    assert document.hash == plan_hash((user.home() / "plan.json").read_bytes())
    assert document.plan == "synapse-jobs/scans/plan.json"
    assert understood(document, "grouping.by")["because"].startswith(
        "5 of 5 top-level folders have one .png and one .json"
    )
    assert "default storage" in understood(document, "storage")["because"]
    assert stat.S_IMODE(user.home().stat().st_mode) == 0o700
    assert str(document.hash) in document.summary


def test_the_dry_run_starts_the_rendered_script_with_its_own_library(
    real_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_user.files(units(2, "a.png", "a.json"))
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    assert real_user.say(path="scans", collection=SCANS).status == "ready"
    library = real_user.home() / "job/synapse_skills/__init__.py"
    assert not list(library.parent.rglob("__pycache__"))
    script = real_user.home() / "job/upload.py"
    script.write_text(script.read_text().replace("import Place", "import NoSuchName, Place"))
    broken = real_user.say(path="scans")
    assert codes(broken)[-1] == "script-failed" and "NoSuchName" in broken.problems[-1]["examples"][0]


def test_the_same_answers_give_the_same_plan_byte_for_byte(user: User) -> None:
    user.files(units(3, "a.png", "a.json"))
    user.say(path="scans", collection=SCANS)
    first = {path.name: path.read_bytes() for path in (user.home() / "job").iterdir() if path.is_file()}
    again = user.say(path="scans")
    assert again.status == "ready"
    assert {path.name: path.read_bytes() for path in (user.home() / "job").iterdir() if path.is_file()} == first
    other = user.say(answers=user.home() / "answers.json", out=user.folder / "other")
    assert other.status == "ready"
    assert (user.folder / "other" / "plan.json").read_bytes() == (user.home() / "plan.json").read_bytes()


@pytest.mark.parametrize("answer", ["99", "CT scan", "0", "1.5", "[]"])
def test_a_wrong_collection_comes_back_as_the_same_question(user: User, answer: str) -> None:
    user.files(units(2, "a.png", "a.json"))
    before = asked(user.say(path="scans"), "data_collection")
    document = user.say(path="scans", collection=answer)
    again = asked(document, "data_collection")
    assert again["error"] and {**again, "error": None} == before and document.exit_code == 4
    assert user.say(path="scans", collection="ct SCANS").status == "ready"


@pytest.mark.parametrize("path", ["nowhere", "scans/p001/a.png", "empty", "ftp://host/x"])
def test_a_wrong_folder_comes_back_as_the_same_question(user: User, path: str) -> None:
    user.files(units(1, "a.png"))
    (user.folder / "empty").mkdir()
    question = asked(user.say(path=path, collection=SCANS), "sources")
    assert question["error"] and not question["options"]


def test_nothing_is_asked_twice_and_a_change_of_mind_shows_the_difference(user: User) -> None:
    user.files(units(3, "a.png", "a.json"))
    assert user.say(path="scans").status == "questions"
    user.say(path="scans", collection=SCANS)
    document = user.say("limits.batch_size=7", path="scans")
    assert not user.repeated and document.status == "ready"
    assert "changed     limits.batch_size: 100 → 7" in document.summary
    assert "changed" not in user.say(path="scans").summary
    assert user.plan()["limits"]["batch_size"] == 7
    assert user.say("limits.batch_size=null", path="scans").status == "ready"
    assert user.plan()["limits"]["batch_size"] == 100


def test_flags_beat_set_and_set_beats_answers(user: User) -> None:
    user.files(units(2, "a.png", "a.json"))
    answers = user.folder / "mine.json"
    answers.write_text(json.dumps({"data_collection": SCANS, "limits.batch_size": 3, "limits.workers": 9}))
    document = user.say("limits.batch_size=4", "limits.workers=5", path="scans", answers=answers, batch_size=6)
    assert document.status == "ready"
    assert (user.plan()["limits"]["batch_size"], user.plan()["limits"]["workers"]) == (6, 5)
    kept = json.loads((user.home() / "answers.json").read_text())
    assert kept["limits.batch_size"] == 6 and kept["limits.workers"] == 5 and kept["data_collection"] == SCANS


def test_an_unknown_key_is_wrong_usage_with_the_nearest(user: User) -> None:
    user.files(units(1, "a.png", "a.json"))
    with pytest.raises(UsageError) as caught:
        user.say("limits.batch_siez=4", path="scans", collection=SCANS)
    assert "limits.batch_size" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        user.say("specs.imag_1.pattern=*.png", path="scans", collection=SCANS)
    assert "specs.image_1.pattern" in caught.value.hint


def test_answers_about_specs_of_another_collection_are_dropped_with_a_change_of_mind(user: User) -> None:
    user.files(units(3, "a.png", "mask/b.png", "a.json"))
    assert user.say("specs.mask_1.pattern=mask/*.png", path="scans", collection=MASKS).status == "ready"
    document = user.say("specs.image_1.pattern=a.png", path="scans", collection=SCANS)
    assert document.status == "ready" and user.plan()["data_collection"] == SCANS


def test_incomplete_units_are_asked_about_and_left_out_by_name(user: User) -> None:
    user.files(units(40, "a.png", "a.json"))
    (user.folder / "scans/p007/a.json").unlink()
    question = asked(user.say(path="scans", collection=SCANS), "incomplete")
    assert "1 of 40" in question["question"] and "label_1" in question["question"]
    assert [option["value"] for option in question["options"]] == ["leave_out", "stop"]
    stopped = user.say("incomplete=stop", path="scans")
    assert (stopped.status, stopped.exit_code, codes(stopped)) == ("blocked", 1, ["missing-required-spec"])
    assert stopped.problems[0]["examples"] == ["p007: no label_1"]
    document = user.say("incomplete=Leave them out", path="scans")
    assert document.status == "ready" and document.dry_run is not None
    assert (document.dry_run["planned"], document.dry_run["left_out"]) == (39, 1)
    assert user.left_out() == [{"unit": "p007", "codes": ["missing-required-spec"], "why": "p007: no label_1"}]
    assert (user.home() / "job/left_out.jsonl").read_bytes() == (user.home() / "left_out.jsonl").read_bytes()
    assert user.plan()["expected"]["left_out"] == 1


def test_stop_is_forgotten_once_it_is_mended(user: User) -> None:
    user.files(units(3, "a.png", "a.json"))
    (user.folder / "scans/p001/a.json").unlink()
    assert user.say("incomplete=stop", path="scans", collection=SCANS).status == "blocked"
    user.files({"p001/a.json": "{}"})
    assert user.say(path="scans").status == "ready"


def test_shared_extensions_are_told_apart_by_folders_that_are_called_like_a_spec(user: User) -> None:
    user.files(units(6, "img/a.png", "mask/seg.png"))
    document = user.say(path="scans", collection=MASKS)
    assert document.status == "ready"
    found = understood(document, "specs.mask_1.pattern")
    assert found["value"] == "mask/*.png" and found["because"].startswith("6 files")
    assert user.plan()["expected"]["files_by_spec"] == {"image_1": 6, "mask_1": 6}


def test_endings_of_names_tell_specs_apart(user: User) -> None:
    names = {f"p{n}/case{n}.png": PNG for n in range(5)} | {f"p{n}/case{n}_mask.png": PNG for n in range(5)}
    user.files(names)
    assert user.say(path="scans", collection=MASKS).status == "ready"
    assert user.plan()["expected"]["files_by_spec"] == {"image_1": 5, "mask_1": 5}


def test_shared_extensions_are_asked_with_what_the_files_say(user: User) -> None:
    user.files(units(6, "one/a.png", "two/b.png"))
    question = asked(user.say(path="scans", collection=PAIRS), "specs.right_1.pattern")
    assert question["header"] == "PNG files"
    assert {option["value"] for option in question["options"]} == {"one/*.png", "two/*.png"}
    assert question["options"][0]["description"] == "6 files, one in each data unit"
    wrong = asked(user.say("specs.right_1.pattern=nothing/*.png", path="scans"), "specs.right_1.pattern")
    assert wrong["error"] and wrong["options"] == question["options"]
    document = user.say("specs.right_1.pattern=folder two/", path="scans")
    assert document.status == "ready"
    assert user.plan()["expected"]["files_by_spec"] == {"left_1": 6, "right_1": 6}
    assert json.loads((user.home() / "answers.json").read_text())["specs.right_1.pattern"] == "two/*.png"


def test_more_files_than_specs_are_never_left_at_home_without_a_word(user: User) -> None:
    user.files(units(6, "scan.png", "overlay.png", "label.json"))
    question = asked(user.say(path="scans", collection=SCANS), "specs.image_1.pattern")
    assert "stay at home" in question["question"] and len(question["options"]) == 2
    document = user.say("specs.image_1.pattern=scan.png", path="scans")
    assert document.status == "ready" and user.plan()["expected"]["files_by_spec"] == {"image_1": 6, "label_1": 6}
    assert "no-spec" in codes(document)


def test_a_file_too_many_in_one_unit_is_a_finding(user: User) -> None:
    user.files(units(6, "a.png", "a.json") | {"p003/b.png": PNG})
    question = asked(user.say(path="scans", collection=SCANS), "leave_out")
    assert "several files for one spec" in question["question"]


def test_a_shared_extension_that_only_one_spec_can_fill_is_not_asked(user: User) -> None:
    user.files(units(4, "a.png"))
    document = user.say(path="scans", collection=MASKS)
    assert document.status == "ready"
    assert user.plan()["expected"]["files_by_spec"] == {"image_1": 4, "mask_1": 0}


def test_extensions_decide_where_each_unit_has_one_of_both(user: User) -> None:
    user.files({f"p{n}/{name}": PNG for n in range(4) for name in ("a.png",)})
    for number in range(4):
        (user.folder / f"scans/p{number}/b.jpg").write_bytes(
            bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffd9")
        )
    document = user.say(path="scans", collection=PAIRS)
    assert document.status == "ready"
    assert user.plan()["expected"]["files_by_spec"] == {"left_1": 4, "right_1": 4}


def test_large_files_are_asked_about(user: User) -> None:
    user.files(units(3, "a.png", "a.json"))
    with (user.folder / "scans/p002/a.png").open("r+b") as file:
        file.truncate(60 * 2**20)
    question = asked(user.say(path="scans", collection=SCANS), "limits.max_file_size_mb")
    assert [option["value"] for option in question["options"]] == [60, "leave_out", "stop"]
    small = asked(user.say("limits.max_file_size_mb=55", path="scans"), "limits.max_file_size_mb")
    assert "55 MB" in small["error"]
    left = user.say("limits.max_file_size_mb=leave_out", path="scans")
    assert left.status == "ready" and user.plan()["leave_out"] == ["oversized-file"]
    assert user.plan()["limits"]["max_file_size_mb"] == 50 and [row["unit"] for row in user.left_out()] == ["p002"]
    raised = user.say("limits.max_file_size_mb=60", path="scans")
    assert raised.status == "ready" and user.plan()["limits"]["max_file_size_mb"] == 60 and user.left_out() == []
    assert user.say("limits.max_file_size_mb=stop", path="scans").exit_code == 1


def test_what_the_guard_refuses_is_asked_about_and_aborts_nothing(user: User) -> None:
    user.files(units(3, "a.png", "a.json"))
    user.files({"p002/a.json": '{"x": "<script>alert(1)</script>"}', "p003/a.json": ""})
    question = asked(user.say(path="scans", collection=SCANS), "leave_out")
    assert question["multiSelect"] and {option["value"] for option in question["options"]} == {
        "refused-by-guard",
        "empty-file",
        "stop",
    }
    half = asked(user.say("leave_out=empty-file", path="scans"), "leave_out")
    assert "refused-by-guard" in half["error"]
    document = user.say("leave_out=Leave out refused, Leave out empty", path="scans")
    assert document.status == "ready"
    assert [(row["unit"], row["codes"]) for row in user.left_out()] == [
        ("p002", ["refused-by-guard"]),
        ("p003", ["empty-file"]),
    ]
    assert user.say("leave_out=stop", path="scans").exit_code == 1


def test_all_that_is_wrong_is_asked_in_one_round(user: User) -> None:
    user.files(units(6, "a.png", "a.json"))
    (user.folder / "scans/p001/a.json").unlink()
    user.files({"p002/a.json": "", "p003/b.png": PNG})
    with (user.folder / "scans/p004/a.png").open("r+b") as file:
        file.truncate(51 * 2**20)
    document = user.say(path="scans", collection=SCANS)
    assert [question["key"] for question in document.questions] == [
        "limits.max_file_size_mb",
        "incomplete",
        "leave_out",
    ]
    answers = ("limits.max_file_size_mb=51", "incomplete=leave_out", 'leave_out=["empty-file","several-candidates"]')
    assert user.say(*answers, path="scans").status == "ready"
    assert [row["unit"] for row in user.left_out()] == ["p001", "p002", "p003"]


def test_no_unit_left_is_not_an_answer(user: User) -> None:
    user.files(units(2, "a.png", "a.json"))
    user.files({"p001/a.json": "", "p002/a.json": ""})
    document = user.say("leave_out=empty-file", path="scans", collection=SCANS)
    assert document.status != "ready"


def test_names_that_are_not_unicode_need_consent(user: User) -> None:
    source = user.files(units(2, "a.png", "a.json"))
    try:
        Path(str(source) + "/p001/\udcb0\udca1.png").write_bytes(PNG)
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    question = asked(user.say(path="scans", collection=SCANS), "leave_out")
    assert "not UTF-8" in question["question"]
    document = user.say("leave_out=undecodable-name", path="scans")
    assert document.status == "ready" and "undecodable-name" in document.summary


def test_what_a_schema_requires_is_asked(user: User) -> None:
    user.files(units(2, "a.png", "a.json"))
    document = user.say(path="scans", collection=SITES)
    question = asked(document, "metadata.said.site")
    assert "site (string)" in question["question"] and question["options"] == []
    wrong = user.say("metadata.constants.site=[]", path="scans")
    assert "site" in asked(wrong, "metadata.constants.site")["error"]
    right = user.say("metadata.constants.site=서울", path="scans")
    assert right.status == "ready" and user.plan()["metadata"][0]["values"] == {"site": "서울"}
    assert "Constants({'site': '서울'})" in (user.home() / "job/upload.py").read_text()
    assert "jsonschema-rs==" in (user.home() / "job/requirements.txt").read_text()


@pytest.mark.parametrize(
    ("tree", "code"),
    [
        ({f"p{n}/a.tif": "x" for n in range(3)}, "collection-does-not-fit"),
        ({f"p{n}/a.png": PNG for n in range(3)}, "collection-does-not-fit"),
    ],
)
def test_what_is_not_understood_blocks_with_why(user: User, tree: dict[str, bytes | str], code: str) -> None:
    user.files(tree)
    document = user.say(path="scans", collection=SCANS)
    assert (document.status, document.exit_code, codes(document)) == ("blocked", 1, [code])
    assert document.problems[0]["fix"]


def test_what_no_layout_explains_is_asked_with_what_one_can_say(user: User) -> None:
    user.files({f"x{n}/{n}.png": PNG for n in range(3)} | {f"y{n}/label-{n * 7}.json": "{}" for n in range(3)})
    question = asked(user.say(path="scans", collection=SCANS), "grouping.by")
    assert [option["value"] for option in question["options"]] == ["table", "pattern", "folder", "stem"]
    regex = asked(user.say("grouping.by=pattern", path="scans"), "grouping.regex")
    assert regex["options"] == []
    assert asked(user.say("grouping.regex=(", path="scans"), "grouping.regex")["error"]
    nowhere = asked(user.say("grouping.regex=nowhere/(x)", path="scans"), "grouping.regex")
    assert "makes no data unit" in nowhere["error"]


def test_units_may_lie_deeper(user: User) -> None:
    user.files({f"batch{b}/p{n}/{name}": PNG if "png" in name else "{}" for b in (1, 2) for n in range(3)
                for name in ("a.png", "a.json")})  # fmt: skip
    document = user.say(path="scans", collection=SCANS)
    assert document.status == "ready" and understood(document, "grouping.depth")["value"] == 2
    assert user.plan()["expected"]["units"] == 6


def test_a_spec_without_extensions_goes_by_its_file_type(user: User) -> None:
    user.files({**units(3, "a.png"), "p001/notes.txt": "x"})
    document = user.say(path="scans", collection=LOOSE)
    assert document.status == "ready" and user.plan()["expected"]["files"] == 3
    assert "no-spec" in codes(document)


def test_another_storage_is_refused_with_why(user: User) -> None:
    user.files(units(2, "a.png", "a.json"))
    question = asked(user.say(path="scans", collection=SCANS, storage=12), "storage")
    assert "default storage 11" in question["error"]
    assert user.say("storage=stop", path="scans").exit_code == 1
    assert user.say(path="scans", storage=11).status == "ready"


def test_a_project_is_checked_to_be_there(user: User) -> None:
    user.files(units(2, "a.png", "a.json"))
    question = asked(user.say(path="scans", collection=SCANS, project=99), "project")
    assert "99" in question["error"] and question["options"] == []
    assert user.say(path="scans", project=3).status == "ready" and user.plan()["project"] == 3


def test_a_second_folder_of_the_same_name_gets_its_own_job(user: User) -> None:
    user.files(units(2, "a.png", "a.json"), "one/scans")
    user.files(units(3, "a.png", "a.json"), "two/scans")
    user.say(path="one/scans", collection=SCANS)
    question = asked(user.say(path="two/scans", collection=SCANS), "name")
    assert [option["value"] for option in question["options"]] == ["scans-2", "scans"]
    assert user.say("name=scans-2", path="two/scans", collection=SCANS).status == "ready"
    assert user.plan()["expected"]["units"] == 2 and user.plan("scans-2")["expected"]["units"] == 3


def test_a_new_name_takes_the_answers_along(user: User) -> None:
    user.files(units(2, "a.png", "a.json"))
    user.say(path="scans", collection=SCANS)
    assert user.say(path="scans", name="CT scans 2026").status == "ready"
    assert user.plan("CT-scans-2026")["name"] == "CT scans 2026"


def test_a_job_that_has_sent_keeps_its_collection(user: User) -> None:
    user.files(units(2, "a.png", "mask/m.png", "a.json"))
    user.say("specs.image_1.pattern=a.png", path="scans", collection=SCANS)
    (user.home() / "state/journal").mkdir(parents=True, exist_ok=True)
    (user.home() / "state/journal/000001.jsonl").write_text("{}\n")
    question = asked(user.say(path="scans", collection=MASKS), "name")
    assert str(SCANS) in question["question"] and len(question["options"]) == 2


def test_several_folders_are_several_sources(user: User) -> None:
    user.files(units(2, "a.png", "a.json"), "one")
    user.files({"q1/a.png": PNG, "q1/a.json": "{}"}, "two")
    document = user.say('sources=["one", "two"]', f"data_collection={SCANS}")
    assert document.status == "ready" and user.plan("one")["expected"]["units"] == 3
    nested = user.say('sources=["one", "one/p001"]', f"data_collection={SCANS}")
    assert "count twice" in asked(nested, "sources")["error"]


def test_the_home_never_lies_inside_the_source(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    source = user.files(units(2, "a.png", "a.json"))
    monkeypatch.chdir(source)
    document = user.say(path=".", collection=SCANS)
    assert codes(document) == ["home-in-source"] and document.exit_code == 1
    assert not (source / "synapse-jobs").exists()
    assert user.say(path=".", collection=SCANS, out=user.folder / "elsewhere").status == "ready"


def test_out_must_be_a_folder_of_its_own(user: User) -> None:
    user.files(units(2, "a.png", "a.json"))
    with pytest.raises(UsageError):
        user.say(path="scans", collection=SCANS, out=user.folder)


def test_groups_and_state_are_taken_when_given(user: User) -> None:
    user.files(units(2, "a.png", "a.json"))
    assert asked(user.say("state=here", path="scans", collection=SCANS), "state")["error"]
    document = user.say("groups=acme, 2026", f"state={user.folder}/durable", path="scans")
    assert document.status == "ready" and user.plan()["groups"] == ["acme", "2026"]


def test_an_edited_script_is_kept_and_its_counts_accepted_by_consent(user: User) -> None:
    user.files(units(3, "a.png", "a.json"))
    user.say(path="scans", collection=SCANS)
    script = user.home() / "job/upload.py"
    edited = script.read_text().replace(
        'if __name__ == "__main__":',
        'rule = place\n\n\ndef place(file):\n    return rule(file) if file.folders != ("p002",) else None\n\n\n'
        'if __name__ == "__main__":',
    )
    script.write_text(edited)
    document = user.say(path="scans")
    question = asked(document, "expected")
    assert [option["value"] for option in question["options"]] == ["dry-run", "plan"]
    assert "differs-from-plan" in codes(document) and script.read_text() == edited
    first = user.plan()
    accepted = user.say("expected=dry-run", path="scans")
    assert accepted.status == "ready" and script.read_text() == edited
    assert first["expected"]["units"] == 3 and user.plan()["expected"]["units"] == 2
    assert user.say("expected=plan", path="scans").exit_code == 1


def test_odd_things_that_stop_nothing_are_told(user: User) -> None:
    user.files(units(3, "a.png", "a.json") | {"readme.md": "x", ".DS_Store": "x", "p001/notes.txt": "x"})
    document = user.say(path="scans", collection=SCANS)
    assert document.status == "ready"
    assert {"junk-set-aside", "belongs-to-nothing", "no-spec"} <= set(codes(document))


def test_a_summary_of_a_hostile_plan_stays_short(user: User) -> None:
    user.files(units(2, "a.png", "a.json"), "a b\u2028{{x}}")
    document = user.say(path="a b\u2028{{x}}", collection=SCANS)
    assert document.status == "ready" and len(document.summary.splitlines()) < 40
    assert "\u2028" not in document.summary
