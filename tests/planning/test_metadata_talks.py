"""Conversations about metadata: tables, sidecars, names and values, from nothing known to a plan."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest

from forked import Forked
from planning.conversation import PNG, SEED, SITES, User, asked, codes, understood, units
from planning.metadata_talk import (
    BROKEN,
    COLLECTIONS,
    KOREAN,
    MANY,
    MEDICAL,
    NAMES,
    PATIENTS,
    PLAIN,
    SHEETS,
    frozen,
    table,
)
from sandbox_fixture import Sandbox, sandboxes
from synapse_skills.planning import Request

# Slow, each with a quicker neighbour that runs every day.
pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def planning_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandboxes(tmp_path_factory.mktemp("metadata")) as start:
        yield start(seed={**SEED, "collections": [*SEED["collections"], *COLLECTIONS]})


DATA = os.environ.get("SYNAPSE_SKILLS_TEST_DATA", "")
HEADER = ["patient", "age", "sex", "scanned", "ward"]
ROWS = [HEADER, ["p001", 45, "M", "2024-01-19", "a"], ["p002", 62, "F", "2024-02-29", "b"]]


def test_nothing_known_and_a_workbook_in_the_folder(user: User) -> None:
    user.files(units(2, "a.png"))
    book = openpyxl.Workbook()
    for row in ROWS:
        book.worksheets[0].append(row)
    book.save(user.folder / "scans/meta.xlsx")
    first = user.say()
    assert {question["key"] for question in first.questions} == {"sources", "data_collection"}
    document = user.say(path="scans", collection=PATIENTS)
    assert document.status == "ready", document.problems
    assert understood(document, "metadata.table")["because"].startswith("found in the source: 2 rows")
    assert understood(document, "metadata.key")["value"] == "patient"
    wanted = understood(document, "meta_schema")
    assert [row["field"] for row in wanted["value"]][:2] == ["age", "sex"]
    assert wanted["value"][0] == {"field": "age", "type": "integer", "required": True, "covered by": "column age"}
    assert "column-not-in-schema" in codes(document), "ward is dropped, and that is said"
    assert frozen(user)["p001"] == {"age": 45, "sex": "M", "scanned": "2024-01-19"}
    (rule,) = user.plan()["metadata"]
    assert (rule["kind"], rule["key"], rule["rows"]) == ("table", "patient", 2)
    assert "meta.xlsx" in document.summary and "age ← column age" in document.summary
    assert user.say(path="scans").hash == document.hash


def test_a_collection_without_a_schema_asks_nothing(user: User) -> None:
    user.files(units(2, "a.png"))
    document = user.say(path="scans", collection=PLAIN)
    assert document.status == "ready" and user.plan()["metadata"] == []
    assert not [item for item in document.understood if item["key"].startswith(("meta_schema", "metadata."))]


def test_korean_headers_are_asked_about_by_what_fits(user: User) -> None:
    user.files(units(2, "a.png"))
    table(
        user.folder / "scans/metadata.csv", [["환자", "진단명", "만나이"], ["p001", "정상", 45], ["p002", "골절", 62]]
    )
    document = user.say(path="scans", collection=KOREAN)
    assert understood(document, "metadata.field.diagnosis")["because"] == "the field's description names it"
    question = asked(document, "metadata.field.years")
    assert [option["value"] for option in question["options"]] == ["만나이", "same"]
    wrong = user.say("metadata.field.years=나이값", path="scans")
    assert "Did you mean 만나이?" in asked(wrong, "metadata.field.years")["error"]
    done = user.say("metadata.field.years=만나이", path="scans")
    assert done.status == "ready", done.problems
    assert frozen(user)["p002"] == {"diagnosis": "골절", "years": "62"}
    assert user.plan()["metadata"][0]["fields"] == {"진단명": "diagnosis", "만나이": "years"}


def test_a_column_can_be_named_from_its_own_side(user: User) -> None:
    user.files(units(2, "a.png"))
    table(
        user.folder / "scans/metadata.csv", [["환자", "진단명", "만나이"], ["p001", "정상", 45], ["p002", "골절", 62]]
    )
    document = user.say("metadata.field.만나이=years", "metadata.field.진단명=none", path="scans", collection=KOREAN)
    assert asked(document, "metadata.said.diagnosis")
    done = user.say("metadata.said.diagnosis=모름", path="scans")
    assert done.status == "ready" and frozen(user)["p001"] == {"years": "45"}
    assert user.plan()["metadata"][1]["values"] == {"diagnosis": "모름"}


def test_a_wrong_key_column_is_refused_with_the_right_ones(user: User) -> None:
    user.files(units(2, "a.png"))
    table(user.folder / "scans/meta.csv", ROWS)
    document = user.say("metadata.key=ward", path="scans", collection=PATIENTS)
    assert "names no data unit" in asked(document, "metadata.key")["error"]
    assert user.say("metadata.key=patient", path="scans").status == "ready"


def test_no_column_names_the_data_units(user: User) -> None:
    user.files(units(2, "a.png"))
    table(user.folder / "scans/meta.csv", [["who", "age"], ["x", 1], ["y", 2]])
    question = asked(user.say(path="scans", collection=PLAIN), "metadata.key")
    assert "p001" in question["question"] and "who: x" in question["question"]
    stopped = user.say("metadata.key=stop", path="scans")
    assert (stopped.status, codes(stopped)[0]) == ("blocked", "no-key-column")
    assert user.say("metadata.key=none", path="scans").status == "ready" and user.plan()["metadata"] == []


def test_two_rows_for_one_data_unit(user: User) -> None:
    user.files(units(2, "a.png"))
    table(user.folder / "scans/meta.csv", [*ROWS, ["p001", 46, "M", "2024-01-19", "a"], ["p009", 1, "F", "", ""]])
    question = asked(user.say(path="scans", collection=PATIENTS), "metadata.rows")
    assert "p001: row 2: age 45; row 4: age 46" in question["question"]
    document = user.say("metadata.rows=first", path="scans")
    assert document.status == "ready" and frozen(user)["p001"]["age"] == "45"
    assert {"metadata-duplicate-key", "row-without-unit"} <= set(codes(document))
    nothing = user.say("metadata.rows=none", path="scans")
    assert asked(nothing, "leave_out"), "p001 has no row now, and the schema wants one"
    assert nothing.problems[-1]["code"] == "meta-invalid"


def test_rows_that_do_not_fit_are_left_out_by_name(user: User) -> None:
    user.files(units(30, "a.png"))
    rows = [[f"p{number:03}", "old" if number == 7 else number, "F", "2024-01-01"] for number in range(1, 31)]
    table(user.folder / "scans/meta.csv", [HEADER[:4], *rows])
    document = user.say(path="scans", collection=PATIENTS)
    question = asked(document, "leave_out")
    assert "1 data unit has metadata that does not fit the schema" in question["question"]
    (problem,) = [each for each in document.problems if each["code"] == "meta-invalid"]
    assert problem["count"] == 1 and "p007 (row 8)" in problem["examples"][0]
    done = user.say("leave_out=meta-invalid", path="scans")
    assert done.status == "ready" and done.dry_run is not None
    assert (done.dry_run["pending"], done.dry_run["left_out"]) == (29, 1)
    (row,) = user.left_out()
    assert (row["unit"], row["codes"]) == ("p007", ["meta-invalid"]) and "old" in row["why"]


def test_ten_thousand_faults_are_one_line(user: User) -> None:
    user.files(units(12, "a.png"))
    table(user.folder / "scans/meta.csv", [HEADER[:3], *([f"p{n:03}", "?", "F"] for n in range(1, 13))])
    document = user.say(path="scans", collection=PATIENTS)
    (problem,) = [each for each in document.problems if each["code"] == "meta-invalid" and "integer" in each["fix"]]
    assert problem["count"] == 12 and len(problem["examples"]) == 3


def test_sidecars_are_found_and_are_no_data(user: User) -> None:
    user.files(units(3, "a.png"))
    user.files({f"p{n:03}/info.yaml": f"age: {n}\nsex: F\n" for n in range(1, 4)})
    document = user.say(path="scans", collection=PATIENTS)
    assert document.status == "ready", document.problems
    assert understood(document, "metadata.sidecars")["value"] == "info.yaml"
    assert user.plan()["metadata"][0]["pattern"] == "info.yaml"
    assert understood(document, "meta_schema")["value"][0]["covered by"] == "sidecars"
    assert "sidecars='info.yaml'" in (user.home() / "job/upload.py").read_text()


def test_sidecars_beside_labels_of_the_same_extension(user: User) -> None:
    user.files(units(3, "a.png", "label.json"))
    user.files({f"p{n:03}/meta.json": json.dumps({"site": f"s{n}"}) for n in range(1, 4)})
    document = user.say(path="scans", collection=SITES)
    assert document.status == "ready", document.questions
    assert user.plan()["expected"]["files_by_spec"] == {"image_1": 3, "label_1": 3}
    assert asked(user.say("metadata.sidecars=none", path="scans"), "specs.label_1.pattern")


def test_files_that_only_may_be_sidecars_are_asked_about(user: User) -> None:
    user.files(units(3, "a.png"))
    user.files({f"p{n:03}/record.json": json.dumps({"site": f"s{n}"}) for n in range(1, 4)})
    question = asked(user.say(path="scans", collection=NAMES), "metadata.field.site")
    assert [option["value"] for option in question["options"]] == ["sidecars:record.json", "same"]
    document = user.say("metadata.field.site=sidecars:record.json", path="scans")
    assert document.status == "ready" and user.plan()["metadata"][0]["pattern"] == "record.json"


def test_names_are_proposed_and_refused(user: User) -> None:
    user.files({f"{site}_{number:03}.png": PNG for site in ("seoul", "busan") for number in range(1, 4)})
    document = user.say(path="scans", collection=NAMES)
    question = asked(document, "metadata.name")
    first = question["options"][0]
    assert first["description"].count("site = ") == 3 and "busan_001: site = busan" in first["description"]
    refused = user.say("metadata.name=none", path="scans")
    assert asked(refused, "metadata.said.site")["options"] == []
    assert user.say("metadata.said.site=seoul", path="scans").status == "ready"
    taken = user.say(f"metadata.name={first['value']}", "metadata.said.site=null", path="scans")
    assert taken.status == "ready", taken.questions
    assert user.plan()["metadata"] == [{**taken_rule(), "regex": first["value"]}]


def taken_rule() -> dict[str, object]:
    from synapse_skills.plan import MetadataRule

    return MetadataRule(kind="name", regex="x").model_dump(mode="json")


def test_folders_above_are_offered(user: User) -> None:
    user.files({f"{site}/p{n}/a.png": PNG for site in ("seoul", "busan") for n in (1, 2)})
    first = user.say("grouping.depth=2", path="scans", collection=NAMES)
    values = [option["value"] for option in asked(first, "metadata.field.site")["options"]]
    assert values == ["folder:1", "same"]
    document = user.say("metadata.field.site=folder:1", path="scans")
    assert document.status == "ready" and user.plan()["metadata"][0]["folders"] == {"site": 1}


def test_constants_give_way_and_what_is_said_does_not(user: User) -> None:
    user.files(units(2, "a.png"))
    table(user.folder / "scans/meta.csv", [["id", "site"], ["p001", "seoul"]])
    document = user.say(
        "metadata.constants.site=unknown", "metadata.said.taken=2024-05-01", path="scans", collection=NAMES
    )
    assert document.status == "ready", document.questions
    kinds = [rule["kind"] for rule in user.plan()["metadata"]]
    assert kinds == ["constants", "table", "said"]
    wrong = user.say("metadata.constants.site=7.5", "metadata.said.site=[1]", path="scans")
    assert "site" in asked(wrong, "metadata.said.site")["error"]


def test_another_table_is_a_change_of_mind(user: User) -> None:
    user.files(units(2, "a.png"))
    table(user.folder / "scans/meta.csv", ROWS)
    table(user.folder / "better.csv", [["unit", "age", "sex"], ["p001", 1, "M"], ["p002", 2, "M"]])
    assert user.say("metadata.key=patient", path="scans", collection=PATIENTS).status == "ready"
    other = user.say("metadata.table=better.csv", path="scans")
    assert other.status == "ready", other.questions
    assert frozen(user)["p001"] == {"age": "1", "sex": "M"} and "changed" in other.summary


def test_a_table_that_changes_between_two_rounds_is_another_plan(user: User) -> None:
    user.files(units(2, "a.png"))
    table(user.folder / "scans/meta.csv", ROWS)
    before = user.say(path="scans", collection=PATIENTS)
    table(user.folder / "scans/meta.csv", [HEADER, ["p001", 46, *ROWS[1][2:]], ROWS[2]])
    after = user.say(path="scans")
    assert after.status == "ready" and after.hash != before.hash and "the table was edited" in after.summary
    table(user.folder / "scans/meta.csv", [["Patient No", "age"], ["p001", 46]])
    assert user.say(path="scans").status == "questions", "sex is gone, and p002 too"


@pytest.mark.parametrize(
    ("name", "code"),
    [("nowhere.xlsx", "no-table"), ("https://host/meta.xlsx", "table-in-storage"), ("p001/a.png", "bad-table")],
)
def test_a_table_that_is_none_is_a_refusal(user: User, name: str, code: str) -> None:
    user.files(units(1, "a.png"))
    document = user.say_request(Request({"sources": "scans", "data_collection": str(PLAIN), "metadata.table": name}))
    assert (document.status, document.exit_code, codes(document)) == ("blocked", 1, [code])
    if code == "no-table":
        assert "in the source or in the working folder" in document.problems[0]["examples"][0]


def test_a_broken_table_in_the_source_is_asked_about(user: User) -> None:
    user.files({**units(1, "a.png"), "meta.xlsx": b"PK\x03\x04 no workbook"})
    document = user.say(path="scans", collection=PLAIN)
    assert [option["value"] for option in asked(document, "metadata.table")["options"]] == ["stop", "none"]
    assert "bad-table" in codes(document)
    assert codes(user.say("metadata.table=stop", path="scans"))[0] == "bad-table"
    assert user.say("metadata.table=none", path="scans").status == "ready"


def test_several_tables_and_many_missing_fields(user: User) -> None:
    user.files(units(2, "a.png"))
    table(user.folder / "scans/meta.csv", ROWS)
    table(user.folder / "scans/metadata.csv", [ROWS[0], *reversed(ROWS[1:])])
    question = asked(user.say(path="scans", collection=PATIENTS), "metadata.table")
    assert [option["label"] for option in question["options"]] == ["meta.csv", "metadata.csv", "None of them"]
    assert user.say("metadata.table=metadata.csv", path="scans").status == "ready"
    user.files(units(2, "a.png"), "other")
    asked_for = asked(user.say(path="other", collection=MANY), "metadata.table")
    assert "a, b, c" in asked_for["question"] and asked_for["options"] == []
    later = user.say("metadata.table=none", path="other")
    assert [question["key"] for question in later.questions] == [f"metadata.said.{name}" for name in "abc"]


def test_the_flags_and_the_parameter_name_the_same(user: User, tmp_path: Path) -> None:
    user.files(units(2, "a.png"))
    table(user.folder / "rows.csv", ROWS)
    params = user.folder / "p.json"
    given = {"path": "scans", "data_collection": PATIENTS, "excel_metadata_path": "rows.csv"}
    params.write_text(json.dumps(given))
    document = user.say_request(Request({}, params=params))
    assert document.status == "ready" and user.plan()["metadata"][0]["file"] == str(user.folder / "rows.csv")


def test_sources_that_disagree_are_told(user: User) -> None:
    user.files(units(2, "a.png"))
    user.files({"p001/info.yaml": "age: 99\nsex: M\nextra: 1\n", "p002/info.yaml": "age: 62\n"})
    table(user.folder / "scans/meta.csv", ROWS)
    document = user.say(path="scans", collection=PATIENTS)
    assert document.status == "ready", document.problems
    (conflict,) = [each for each in document.problems if each["code"] == "metadata-conflict"]
    assert conflict["count"] == 1 and "p001" in conflict["examples"][0] and "99" in conflict["examples"][0]
    dropped = [each["examples"] for each in document.problems if each["code"] == "column-not-in-schema"]
    assert dropped == [["ward", "extra"]]
    wanted = understood(document, "meta_schema")["value"][0]
    assert wanted["covered by"] == "column age, then sidecars"


def test_the_table_is_no_data_even_if_a_spec_takes_it(user: User) -> None:
    user.files({"a.png": PNG, "a.csv": "1,2\n", "b.png": PNG})
    table(user.folder / "scans/meta.csv", [["file", "ward"], ["a.png", "x"], ["b.png", "y"]])
    document = user.say(path="scans", collection=SHEETS)
    assert document.status == "ready", document.questions
    assert user.plan()["expected"]["units"] == 2 and user.plan()["expected"]["files_by_spec"]["table_1"] == 1
    assert "set_aside=('meta.csv',)" in (user.home() / "job/upload.py").read_text()
    as_data = user.say("metadata.table=none", path="scans")
    assert "missing-required-spec" in codes(as_data) or asked(as_data, "incomplete"), "now it is a data unit of its own"


def test_one_sheet_of_several_names_the_data_units(user: User) -> None:
    user.files(units(2, "a.png"))
    book = openpyxl.Workbook()
    book.worksheets[0].append(["read", "me"])
    book.worksheets[0].append(["this", "first"])
    other = book.create_sheet("patients")
    for row in ROWS:
        other.append(row)
    book.save(user.folder / "scans/meta.xlsx")
    document = user.say(path="scans", collection=PATIENTS)
    assert understood(document, "metadata.sheet")["value"] == "patients"
    assert document.status == "ready", document.problems
    wrong = user.say("metadata.sheet=nosuch", path="scans")
    assert "there is Sheet, patients" in asked(wrong, "metadata.sheet")["error"]


def test_what_the_collection_wants_is_shown_before_there_are_files(user: User) -> None:
    wanted = understood(user.say(collection=PATIENTS), "meta_schema")
    assert [(row["field"], row["covered by"]) for row in wanted["value"]] == [
        ("age", "nothing yet"),
        ("sex", "nothing yet"),
        ("scanned", "nothing yet"),
        ("name", "the data unit's name"),
    ]
    assert "not covered yet: age, sex" in wanted["because"]


def test_a_column_that_names_few_data_units_is_asked_about(user: User) -> None:
    user.files(units(9, "a.png"))
    table(user.folder / "scans/meta.csv", [["who", "x"], ["p001", 1], *([f"q{n}", n] for n in range(8))])
    question = asked(user.say(path="scans", collection=PLAIN), "metadata.key")
    assert "1 of 9 rows name 1 data units" in question["options"][0]["description"]
    document = user.say("metadata.key=who", path="scans")
    assert document.status == "ready" and {"row-without-unit", "unit-without-row"} <= set(codes(document))


def test_a_schema_that_is_none_is_a_refusal(user: User) -> None:
    user.files(units(1, "a.png"))
    document = user.say(path="scans", collection=BROKEN)
    assert (document.status, codes(document)) == ("blocked", ["bad-meta-schema"])


@pytest.mark.skipif(not DATA, reason="SYNAPSE_SKILLS_TEST_DATA is not set")
@pytest.mark.parametrize("name", ["meta.xlsx", "meta.xls"])
def test_real_patients_arrive_with_every_value_and_its_type(user: User, planning_box: Sandbox, name: str) -> None:
    first = user.say(path=f"{DATA}/medical", collection=MEDICAL)
    assert [option["value"] for option in asked(first, "metadata.table")["options"]][-1] == "none"
    document = user.say(f"metadata.table={name}", "limits.settle_after_s=2", path=f"{DATA}/medical")
    assert document.status == "ready", (document.questions, document.problems)
    before = {unit["id"] for unit in planning_box.units(MEDICAL)}
    child = Forked(user.home("medical") / "job/upload.py", [], planning_box.env(user.folder / "me"), user.folder)
    out, error = child.communicate()
    assert child.returncode == 0, out + error
    stored = [unit["meta"] for unit in planning_box.units(MEDICAL) if unit["id"] not in before]
    if not stored:  # the same content is there already, from the other workbook: nothing is made twice
        stored = [unit["meta"] for unit in planning_box.units(MEDICAL)]
    found = {meta["patient_id"]: meta for meta in stored}
    assert len(found) == 8
    assert found["patient_001"] == {
        "patient_id": "patient_001",
        "diagnosis": "정상 (가상)",
        "sex": "M",
        "age": 45,
        "scanned": "2024-01-19",
        "modality": "CT",
        "width": 128,
        "height": 128,
        "kilobytes": 38.3,
        "hospital": "서울 제1병원",
        "male": True,
    }
    assert found["patient_008"]["age"] == 0 and "sex" not in found["patient_008"]
    assert found["patient_006"]["note"] == "줄바꿈\n포함" and "scanned" not in found["patient_006"]
    assert found["patient_007"]["note"].startswith("=1+1")
    assert all(type(meta["width"]) is int and type(meta["kilobytes"]) is float for meta in stored)
