"""What a user brings along: sources for each spec, a file of parameters, a batch pattern, a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from planning.conversation import MASKS, PNG, SCANS, User, asked, codes, understood, units
from synapse_skills.errors import FindingError, UsageError
from synapse_skills.planning import Document, Request, source_flags


def written(user: User, name: str, document: Any) -> Path:
    path = user.folder / name
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def say(user: User, *sets: str, **request: Any) -> Document:
    return user.say_request(Request(request.pop("flags", {}), sets, **request))


# ---- sources


def test_flags_of_sources_become_keys() -> None:
    flags = source_flags(["a"], ["image_1=b=c", "label_1=d"], recursive=False)
    assert flags == {
        "sources": ["a", "b=c", "d"],
        "sources.2.spec": "image_1",
        "sources.3.spec": "label_1",
        "sources.recursive": False,
    }
    assert source_flags([], [], recursive=None) == {}
    for wrong in ("image_1", "=x", "image_1="):
        with pytest.raises(UsageError):
            source_flags([], [wrong], recursive=None)


def test_a_mistyped_spec_comes_back_with_the_nearest_one(user: User) -> None:
    user.files({"i/1.png": PNG}, "one")
    user.files({"l/1.json": "{}"}, "two")
    flags = source_flags([], ["imag_1=one", "label_1=two"], recursive=None) | {"data_collection": SCANS}
    question = asked(say(user, flags=flags), "sources.1.spec")
    assert "did you mean image_1?" in question["error"]
    assert [option["value"] for option in question["options"]] == ["image_1", "label_1", "any"]


@pytest.mark.heavy
def test_a_spec_in_the_users_own_words(user: User) -> None:
    user.files({"i/1.png": PNG}, "one")
    user.files({"l/1.json": "{}"}, "two")
    flags = source_flags([], ["사진=one", "things=two"], recursive=None) | {"data_collection": SCANS}
    document = say(user, flags=flags)
    photos, things = asked(document, "sources.1.spec"), asked(document, "sources.2.spec")
    assert "did you mean image_1?" in photos["error"] and photos["options"][0]["value"] == "image_1"
    # No word of ours is like it: what takes the files stands first, and nothing is said to be meant.
    assert "did you mean" not in things["error"] and things["options"][0]["value"] == "label_1"


def test_only_what_lies_directly_in_a_source_counts_where_that_is_said(user: User) -> None:
    user.files({"1.png": PNG, "old/2.png": PNG}, "one")
    user.files({"1.json": "{}", "old/2.json": "{}"}, "two")
    flags = source_flags([], ["image_1=one", "label_1=two"], recursive=None) | {"data_collection": SCANS}
    assert say(user, flags=flags).status == "ready" and user.plan("one")["expected"]["units"] == 2
    flat = say(user, flags={**flags, "sources.recursive": False})
    assert flat.status == "ready" and user.plan("one")["expected"]["units"] == 1
    assert "not what lies below it" in flat.summary
    mixed = say(user, "sources.recursive=null", "sources.2.recursive=false", flags=flags)
    assert "1 of 2" in asked(mixed, "incomplete")["question"]
    assert asked(say(user, "sources.2.recursive=perhaps", flags=flags), "sources.2.recursive")["error"]


def test_nothing_directly_in_the_folder_is_told_so(user: User) -> None:
    user.files(units(2, "a.png", "a.json"))
    question = asked(user.say("sources.recursive=false", path="scans", collection=SCANS), "sources")
    assert "recursive is false" in question["error"]


def test_folders_that_could_each_be_either_are_asked_about(user: User) -> None:
    user.files({f"{n}.png": PNG for n in range(3)}, "first")
    user.files({f"{n}.png": PNG for n in range(3)}, "second")
    document = say(user, flags={"sources": ["first", "second"], "data_collection": str(MASKS)})
    question = asked(document, "sources.1.spec")
    assert [option["value"] for option in question["options"]] == ["image_1", "mask_1", "any"]
    done = say(user, "sources.1.spec=mask_1", flags={"sources": ["first", "second"], "data_collection": str(MASKS)})
    assert done.status == "ready"
    assert [source["spec"] for source in user.plan("first")["sources"]] == ["mask_1", "image_1"]


# ---- --params


def test_each_parameter_means_what_it_says(user: User) -> None:
    user.files(units(2, "a.png", "a.json"))
    params = {
        "name": "A name",
        "path": "scans",
        "storage": 11,
        "data_collection": SCANS,
        "project": 3,
        "max_file_size_mb": 7,
        "creating_data_unit_batch_size": 3,
        "use_async_upload": False,
        "extra_params": {},
        "excel_metadata_path": None,
    }
    document = say(user, params=written(user, "p.json", params))
    plan = user.plan("A-name")
    assert document.status == "ready" and (plan["name"], plan["project"]) == ("A name", 3)
    assert (plan["limits"]["max_file_size_mb"], plan["limits"]["batch_size"], plan["limits"]["workers"]) == (7, 3, 1)
    assert "one transfer at a time" in understood(document, "params.use_async_upload")["because"]
    again = say(user, flags={"name": "A name"})
    assert again.hash == document.hash, "the next round needs no file"


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"paths": "scans"}, "Did you mean path?"),
        ({"extra_params": {"x": 1}}, "plugin"),
        ({"use_single_path": "yes"}, "neither true nor false"),
        ({"path": "scans", "assets": {"image_1": {"path": "x"}}}, "use_single_path"),
        ({"assets": {"image_1": "x"}}, "needs a path"),
        ({"assets": {"image_1": {"path": "x", "recursive": True}}}, "is_recursive"),
        ({"use_async_upload": 1}, "neither true nor false"),
        ([], "no object"),
        ("{", "can't be used"),
    ],
)
def test_what_a_parameter_can_not_mean_is_refused_with_why(user: User, params: Any, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        say(user, params=written(user, "p.json", params))
    assert told in f"{caught.value} {caught.value.hint}"


def test_a_wrong_value_of_a_parameter_is_asked_like_any_answer(user: User) -> None:
    user.files(units(2, "a.png", "a.json"))
    params = written(user, "p.json", {"path": "scans", "data_collection": SCANS, "creating_data_unit_batch_size": "x"})
    assert asked(say(user, params=params), "limits.batch_size")["error"]


def test_precedence_and_a_file_that_was_edited(user: User) -> None:
    user.files(units(2, "a.png", "a.json"))
    params = {"path": "scans", "data_collection": SCANS, "creating_data_unit_batch_size": 5}
    file = written(user, "p.json", params)
    assert say(user, params=file).status == "ready" and user.plan()["limits"]["batch_size"] == 5
    assert say(user, "limits.batch_size=9", params=file).status == "ready"
    assert say(user, params=file).status == "ready" and user.plan()["limits"]["batch_size"] == 9, "--set is remembered"
    written(user, "p.json", {**params, "creating_data_unit_batch_size": 6})
    assert say(user, params=file).status == "ready" and user.plan()["limits"]["batch_size"] == 6, "a change of mind"


def test_a_mistyped_spec_in_assets_comes_back_with_the_nearest_one(user: User) -> None:
    user.files({"1.png": PNG}, "one")
    user.files({"1.json": "{}"}, "two")
    assets = {"image_1": {"path": "one"}, "labl_1": {"path": "two"}}
    document = say(user, params=written(user, "p.json", {"assets": assets, "data_collection": SCANS}))
    assert "did you mean label_1?" in asked(document, "sources.2.spec")["error"]


def test_the_same_folder_for_all_specs_is_one_source(user: User) -> None:
    user.files(units(2, "a.png", "a.json"))
    assets = {"image_1": {"path": "scans"}, "label_1": {"path": "scans"}}
    document = say(user, params=written(user, "p.json", {"assets": assets, "data_collection": SCANS}))
    assert document.status == "ready" and len(user.plan()["sources"]) == 1
    assert user.plan()["sources"][0]["spec"] is None


# ---- --pattern


def test_a_batch_pattern_takes_only_what_its_rules_name(user: User) -> None:
    user.files(units(2, "img/a.png", "json/a.json", "mask/m.png", "img/notes.txt"))
    rules = [
        {"pattern": "**/img/*.png", "spec_name": "image_1"},
        {"pattern": "**/img/*.jpg", "spec_name": "image_1"},
        {"pattern": "**/json/*.json", "spec_name": "label_1"},
    ]
    pattern = {"root": "scans", "file_rules": rules, "group_key_regex": "(.+?)/(?:img|json|mask)/"}
    file = written(user, "pattern.json", pattern)
    document = say(user, pattern=file, flags={"data_collection": str(SCANS)})
    assert document.status == "ready", document.questions
    plan = user.plan()
    assert plan["grouping"]["by"] == "pattern" and plan["expected"]["files_by_spec"] == {"image_1": 2, "label_1": 2}
    assert "no-spec" in codes(document), "what no rule names stays at home, and is told"
    assert say(user, flags={"sources": "scans"}).hash == document.hash


def test_a_rule_for_a_spec_that_is_not_there_names_the_nearest_key(user: User) -> None:
    user.files(units(2, "img/a.png"))
    rules = [{"pattern": "**/img/*.png", "spec_name": "imag_1"}]
    pattern = written(user, "p.json", {"root": "scans", "file_rules": rules, "group_key_regex": "(.+?)/img/"})
    with pytest.raises((UsageError, FindingError)) as caught:
        say(user, pattern=pattern, flags={"data_collection": str(SCANS)})
    assert "image_1" in f"{caught.value} {caught.value.hint}"


# ---- a table


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("file,unit,spec\nno.png,u,image_1\n", "no.png"),
        ("file,unit,spec\np001/a.png,u,imge_1\n", "image_1"),
        ("file,spec\np001/a.png,image_1\n", "unit"),
        ("", ""),
    ],
)
def test_a_table_that_can_not_be_used_comes_back_with_why(user: User, table: str, told: str) -> None:
    user.files(units(2, "a.png", "a.json"))
    path = written(user, "t.csv", table)
    question = asked(user.say(f"grouping.table={path}", path="scans", collection=SCANS), "grouping.table")
    assert told in question["error"]


def test_another_content_of_the_table_is_another_plan(user: User) -> None:
    user.files(units(2, "a.png", "a.json"))
    rows = [f"p00{n}/a.{end},one-{n},{spec}" for n in (1, 2) for end, spec in (("png", "image_1"), ("json", "label_1"))]
    path = written(user, "t.csv", "\n".join(["file,unit,spec", *rows]) + "\n")
    first = user.say(f"grouping.table={path}", path="scans", collection=SCANS)
    assert first.status == "ready" and user.plan()["grouping"]["by"] == "table"
    assert "as the table says" in first.summary
    written(user, "t.csv", "\n".join(["file,unit,spec", *rows]).replace("one-", "two-") + "\n")
    second = user.say(path="scans")
    assert second.status == "ready" and second.hash != first.hash
    assert user.say(path="scans").hash == second.hash
    assert codes(second) == []


# ---- projects


def test_projects_are_shown_as_a_table_when_the_number_is_not_known(user: User) -> None:
    user.files(units(2, "a.png", "a.json"))
    document = user.say(path="scans", collection=SCANS)
    assert document.status == "ready" and "no tasks" in understood(document, "project")["because"]
    listed = user.say("project=list", path="scans")
    question = asked(listed, "project")
    assert question["error"] is None and "CT labelling" in json.dumps(understood(listed, "project")["value"])
    wrong = asked(user.say("project=CT labeling", path="scans"), "project")
    assert "Did you mean CT labelling (3)?" in wrong["error"]
    assert user.say("project=ct labelling", path="scans").status == "ready" and user.plan()["project"] == 3
