"""A conversation about metadata in many rounds, as a user with a workbook in another language holds it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import openpyxl
import pytest
from PIL import Image

from planning.conversation import IMAGE, PNG, SCANS, SEED, User, asked, codes, collection, spec, understood, units
from planning.metadata_talk import COLLECTIONS, NAMES, PATIENTS, frozen, image_only, table
from sandbox_fixture import Sandbox, sandboxes
from synapse_skills.planning import Request

# Slow, each with a quicker neighbour that runs every day.
pytestmark = pytest.mark.heavy

WIDE, HUGE, OPTIONAL, TRIAL = 80, 81, 82, 83
TRIAL_SCHEMA = {
    "type": "object",
    "required": ["patient_id", "age"],
    "additionalProperties": False,
    "properties": {
        "patient_id": {"type": "string", "title": "환자 ID"},
        "age": {"type": "integer", "title": "나이"},
        "sex": {"enum": ["M", "F"], "title": "성별"},
        "scanned": {"type": "string", "format": "date"},
        "site": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
}
WIDE_SCHEMA = {
    "type": "object",
    "required": ["asked", "f0"],
    "additionalProperties": False,
    "properties": {
        name: {"type": "string"} for name in ("left", "asked", "other", *(f"f{number}" for number in range(14)))
    },
}
HUNDREDS = {
    "type": "object",
    "additionalProperties": False,
    "properties": {f"a_field_with_a_name_{number}": {"type": "string"} for number in range(300)},
}
OWN = [
    image_only(WIDE, "Wide", WIDE_SCHEMA),
    image_only(HUGE, "Hundreds", HUNDREDS),
    image_only(TRIAL, "Trial", TRIAL_SCHEMA),
    collection(OPTIONAL, "Optional labels", spec("image_1", [".png"], **IMAGE), spec("label_1", [".json"])),
]


def _tiff() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 6)).save(out, "TIFF")
    return out.getvalue()


TIFF = _tiff()


@pytest.fixture(scope="module")
def planning_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandboxes(tmp_path_factory.mktemp("rounds")) as start:
        yield start(seed={**SEED, "collections": [*SEED["collections"], *COLLECTIONS, *OWN]})


def with_table(user: User, excel: str, *sets: str, collection: int = PATIENTS, path: str = "scans") -> Any:
    """A round with all flags, as they are typed again each time."""
    flags = {"sources": path, "data_collection": str(collection), "metadata.table": excel}
    return user.say_request(Request(flags, sets))


# ---- the same flags again


def test_flags_repeated_each_round_forget_nothing(user: User) -> None:
    user.files(units(2, "a.png"))
    rows = [["환자", "연세", "구분", "검사"], ["p001", 45, "M", "2024-01-19"], ["p002", 62, "F", "2024-02-29"]]
    table(user.folder / "환자.csv", rows)
    document, answers = with_table(user, "환자.csv"), {"age": "연세", "sex": "구분", "검사": "scanned"}
    for _ in range(3):
        name = next(q["key"].removeprefix("metadata.field.") for q in document.questions)
        document = with_table(user, "환자.csv", f"metadata.field.{name}={answers.pop(name)}")
        assert not [item for item in document.understood if item["key"] == "metadata.table.before"]
    assert (document.status, answers) == ("ready", {})
    assert user.plan()["metadata"][0]["fields"] == {"연세": "age", "구분": "sex", "검사": "scanned"}
    for spelling in ("./환자.csv", str(user.folder / "환자.csv"), "scans/../환자.csv"):
        assert with_table(user, spelling).hash == document.hash


def test_a_table_of_the_source_is_the_same_when_it_is_named(user: User) -> None:
    user.files(units(2, "a.png"))
    table(user.folder / "scans/meta.csv", [["id", "years", "sex"], ["p001", 45, "M"], ["p002", 62, "F"]])
    before = user.say("metadata.field.age=years", path="scans", collection=PATIENTS)
    assert before.status == "ready", before.questions
    assert with_table(user, "scans/meta.csv").status == "ready"
    assert with_table(user, "meta.csv").status == "ready"


def test_answers_that_go_with_another_table_are_named(user: User) -> None:
    user.files(units(2, "a.png"))
    table(user.folder / "one.csv", [["id", "years", "sex"], ["p001", 45, "M"], ["p002", 62, "F"]])
    table(user.folder / "two.csv", [["id", "age", "sex"], ["p001", 1, "M"], ["p002", 2, "F"]])
    assert with_table(user, "one.csv", "metadata.field.age=years", "metadata.key=id").status == "ready"
    other = with_table(user, "two.csv")
    note = understood(other, "metadata.table.before")
    assert note["value"] == ["metadata.field.age", "metadata.key"]
    assert "one.csv" in note["because"] and "two.csv" in note["because"]
    assert other.status == "ready" and frozen(user)["p001"]["age"] == "1"
    assert not [item for item in with_table(user, "two.csv").understood if item["key"] == "metadata.table.before"]


# ---- what is approved


def test_every_field_and_every_dropped_column_stands_in_what_is_approved(user: User) -> None:
    user.files(units(2, "a.png"))
    header = ["unit", *(f"열 {number}" for number in range(14)), "비고", "빈칸"]
    rows = [[name, *range(14), "메모", ""] for name in ("p001", "p002")]
    table(user.folder / "scans/meta.csv", [header, *rows])
    sets = [f"metadata.field.f{number}=열 {number}" for number in range(14)]
    first = user.say(*sets, "metadata.said.asked=yes", path="scans", collection=WIDE)
    assert [question["key"] for question in first.questions] == ["metadata.field.비고"], "nothing is asked about 빈칸"
    document = user.say("metadata.field.비고=none", path="scans")
    assert document.status == "ready", document.questions
    lines = document.summary.splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 160
    told = " ".join(line.strip() for line in lines)
    assert all(f"f{number} ← column 열 {number}" in told for number in range(14)), document.summary
    assert "required: asked ← said: yes" in told and "no value: left, other" in told
    assert "columns dropped: 비고" in told and "빈칸" not in told
    assert [each["examples"] for each in first.problems if each["code"] == "column-not-in-schema"] == [["비고"]]


def test_a_schema_of_hundreds_of_fields_leaves_room_for_the_hash(user: User) -> None:
    user.files(units(1, "a.png"))
    table(user.folder / "scans/meta.csv", [["unit", *HUNDREDS["properties"]], ["p001", *["x"] * 300]])
    document = user.say(path="scans", collection=HUGE)
    assert document.status == "ready" and len(document.summary.splitlines()) <= 40
    assert f"hash        {document.hash}" in document.summary and "more than fit here" in document.summary


def test_a_long_pattern_is_wrapped_and_not_cut(user: User) -> None:
    user.files({f"seoul_{number:03}.png": PNG for number in range(3)})
    regex = r"^(?P<site>" + "|".join(f"hospital{number}" for number in range(20)) + r"|seoul)_\d+$"
    document = user.say(f"metadata.name={regex}", path="scans", collection=NAMES)
    assert document.status == "ready", document.questions
    assert regex in "".join(line.strip() for line in document.summary.splitlines())


def test_changes_of_metadata_are_told_in_words(user: User) -> None:
    user.files(units(3, "a.png"))
    path = table(user.folder / "scans/meta.csv", [["id", "years", "sex"], *(["p001", 4, "M"], ["p002", 62, "F"])])
    sets = ("metadata.field.age=years", "leave_out=meta-invalid")
    assert user.say(*sets, path="scans", collection=PATIENTS).status == "ready"
    table(path, [["id", "years", "sex"], *(["p001", 45, "M"], ["p002", 62, "F"], ["p003", 1, "F"])])
    document = user.say("metadata.constants.scanned=2024-01-01", path="scans")
    told = [line for line in document.summary.splitlines() if line.startswith("  changed ")]
    assert "  changed     the table was edited, or other rows and columns of it count" in told
    assert "  changed     data units with a row in the table: 2 → 3" in told
    assert any("constants scanned" in line for line in told) and "sha256" not in document.summary


def test_what_units_lack_and_what_is_converted_is_counted_in_those_that_go(user: User) -> None:
    user.files({**units(4, "a.png", "label.json"), **{f"t{n}/a.tiff": TIFF for n in range(3)}})
    user.files({f"t{n}/label.json": "{}" for n in range(2)})
    document = user.say("conversions.tiff=.png", "incomplete=leave_out", path="scans", collection=SCANS)
    assert document.status == "ready", (document.questions, document.problems)
    assert "converted   2 .tiff" in document.summary, document.summary
    user.files(units(4, "a.png"), "other")
    user.files({"p001/label.json": "{}"}, "other")
    optional = user.say(path="other", collection=OPTIONAL)
    assert "label_1: .json, optional, 1 files, 25% of the units: 3 data units without" in optional.summary


# ---- a field that says which data unit it is


def numbered(user: User, count: int = 3, prefix: str = "") -> None:
    user.files({f"{prefix}{number:03}/a.png": PNG for number in range(1, count + 1)})


def workbook(user: User, rows: list[list[Any]], name: str = "환자목록.xlsx", **sheets: list[list[Any]]) -> Any:
    """A workbook with one sheet, or more."""
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    for title, others in sheets.items():
        sheet = book.create_sheet(title)
        for row in others:
            sheet.append(row)
    book.save(user.folder / name)
    return user.folder / name


TRIAL_ROWS = [
    ["번호", "나이", "성별", "검사", "메모"],
    [1, 47, "M", "2024-01-19", "정상"],
    [2, 62, "F", "2024-02-29", "재검"],
    [3, 55, "F", "2024-03-01", "없음"],
]


def test_the_name_of_the_data_unit_is_offered_before_the_key_column(user: User) -> None:
    numbered(user)
    workbook(user, TRIAL_ROWS)
    document = with_table(user, "환자목록.xlsx", collection=TRIAL)
    question = asked(document, "metadata.field.patient_id")
    values = [option["value"] for option in question["options"]]
    assert values == ["unit:name", "번호", "메모", "same"], "검사 is plainly the date's"
    assert question["options"][0]["description"] == "001, 002, 003"
    assert question["options"][1]["description"].startswith("key column: 1, 2, 3: the leading zeros of 001, 002, 003")
    flag = "환자목록.xlsx"
    columns = with_table(user, flag, "metadata.field.patient_id=unit:name", collection=TRIAL)
    dates, notes = asked(columns, "metadata.field.검사"), asked(columns, "metadata.field.메모")
    assert dates["options"][0]["value"] == "scanned"
    assert [option["value"] for option in notes["options"]] == ["site", "tags", "none"]
    assert "정상, 재검, 없음" in notes["question"]
    sets = ("metadata.field.검사=scanned", "metadata.field.메모=Drop it")
    done = with_table(user, flag, *sets, collection=TRIAL)
    assert done.status == "ready", done.questions
    assert "columns dropped: 메모" in done.summary and "no value: site, tags" in done.summary
    assert "column-not-in-schema" not in codes(done) and frozen(user)["001"]["scanned"] == "2024-01-19"


def test_the_whole_name_becomes_a_field_in_plan_and_script(user: User) -> None:
    numbered(user)
    table(user.folder / "scans/meta.csv", [["번호", "나이"], [1, 47], [2, 62], [3, 55]])
    document = user.say("metadata.field.patient_id=The data unit's name", path="scans", collection=TRIAL)
    assert document.status == "ready", document.questions
    assert user.plan()["metadata"][0]["folders"] == {"patient_id": 0}
    assert "required: patient_id ← the data unit's name" in document.summary
    assert "from_folders({'patient_id': 0})" in (user.home() / "job/upload.py").read_text()
    by_column = user.say("metadata.field.patient_id=번호", path="scans")
    assert by_column.status == "ready" and user.plan()["metadata"][0]["fields"]["번호"] == "patient_id"


def test_a_part_of_the_name_is_offered_and_one_expression_is_enough(user: User) -> None:
    numbered(user, prefix="patient_")
    table(
        user.folder / "scans/meta.csv", [["who", "나이"], ["patient_001", 47], ["patient_002", 62], ["patient_003", 5]]
    )
    question = asked(user.say(path="scans", collection=TRIAL), "metadata.field.patient_id")
    name, part, same = question["options"]
    assert (name["value"], same["value"], part["description"]) == ("unit:name", "same", "001, 002, 003")
    document = user.say(f"metadata.field.patient_id={part['value']}", path="scans")
    assert document.status == "ready", document.questions
    assert user.plan()["metadata"][0]["regex"] == part["value"].removeprefix("name:")
    wrong = user.say("metadata.field.patient_id=name:(?P<other>.)", path="scans")
    assert "finds no patient_id" in asked(wrong, "metadata.field.patient_id")["error"]


# ---- consent is for what was consented to


def fits(user: User, good: int, bad: int) -> None:
    """Data units whose rows fit the schema, and some whose age is no number."""
    user.files(units(good + bad, "a.png"))
    rows = [[f"p{n:03}", n if n <= good else "old", "F"] for n in range(1, good + bad + 1)]
    table(user.folder / "scans/meta.csv", [["id", "age", "sex"], *rows])


def test_more_than_was_agreed_to_is_asked_again(user: User) -> None:
    fits(user, 10, 2)
    assert user.say("leave_out=meta-invalid", path="scans", collection=PATIENTS).status == "ready"
    kept = json.loads((user.home() / "answers.json").read_text())
    assert kept["leave_out.agreed"] == {"meta-invalid": 2}
    same = user.say(path="scans")
    assert same.status == "ready" and same.hash == user.rounds[0].hash
    fits(user, 10, 8)
    question = asked(user.say("leave_out=meta-invalid", path="scans"), "leave_out")
    assert "2 meta-invalid before, 8 now" in question["question"] and question["error"] is None
    assert len(question["options"]) == 2
    assert user.say("leave_out=meta-invalid", path="scans").status == "ready"
    assert user.say(path="scans").status == "ready", "it is said now for all eight"
    fits(user, 17, 1)
    assert user.say(path="scans").status == "ready", "fewer are fine"
    fits(user, 10, 8)
    assert user.say(path="scans").status == "ready"


def test_answers_without_counts_hold_for_what_is_there(user: User) -> None:
    fits(user, 10, 8)
    answers = user.folder / "said.json"
    answers.write_text(json.dumps({"leave_out": ["meta-invalid"], "data_collection": PATIENTS}))
    assert user.say(path="scans", answers=answers).status == "ready"
    counted = {"leave_out.agreed": {"meta-invalid": 3}}
    answers.write_text(json.dumps({"leave_out": ["meta-invalid"], "data_collection": PATIENTS, **counted}))
    question = asked(user.say(path="scans", answers=answers), "leave_out")
    assert "3 meta-invalid before, 8 now" in question["question"]


def test_incomplete_units_and_rows_are_agreed_to_by_number_too(user: User) -> None:
    user.files({**units(30, "a.png", "label.json"), "q1/a.png": PNG})
    assert user.say("incomplete=leave_out", path="scans", collection=SCANS).status == "ready"
    user.files({"q2/a.png": PNG})
    again = user.say(path="scans")
    question = asked(again, "incomplete")
    (missing,) = [each for each in again.problems if each["code"] == "missing-required-spec"]
    assert missing["count"] == 2 and [each[:2] for each in missing["examples"]] == ["q1", "q2"]
    assert "1 missing-required-spec before, 2 now" in question["question"]
    assert user.say("incomplete=leave_out", path="scans").status == "ready"
    user.files(units(3, "a.png"), "rows")
    twice = [["id", "age", "sex"], *([f"p00{n}", n, "F"] for n in (1, 2, 3)), ["p001", 9, "F"]]
    table(user.folder / "rows/meta.csv", twice)
    assert user.say("metadata.rows=first", path="rows", collection=PATIENTS).status == "ready"
    table(user.folder / "rows/meta.csv", [*twice, ["p002", 9, "F"]])
    assert "1 metadata-duplicate-key before, 2 now" in asked(user.say(path="rows"), "metadata.rows")["question"]


def test_a_word_is_for_as_many_as_its_question_said(user: User) -> None:
    fits(user, 9, 1)
    rows = [[f"p{n:03}", n if n < 10 else "old", "F"] for n in range(1, 11)]
    table(user.folder / "scans/meta.csv", [["id", "age", "sex"], *rows, ["p002", 3, "M"]])
    first = user.say(path="scans", collection=PATIENTS)
    assert asked(first, "metadata.rows") and "1 data unit has metadata" in asked(first, "leave_out")["question"]
    # Without these rows there is one more to leave out, and the word was not for that.
    again = asked(user.say("metadata.rows=none", "leave_out=meta-invalid", path="scans"), "leave_out")
    assert "1 meta-invalid before, 2 now" in again["question"]
    document = user.say("leave_out=meta-invalid", path="scans")
    assert document.status == "ready" and "rows for 9 data units" in document.summary
    assert 'for example p001: age 1, sex "F"' in document.summary and "limits" not in document.summary
    assert "2 data units that have metadata that does not fit the schema" in document.summary
    why = (user.home() / "left_out.jsonl").read_text(encoding="utf-8")
    assert "p002: its rows 3, 12 were set aside: age: missing, sex: missing" in why and "no row" not in why
    user.say("metadata.rows=3", path="scans")
    assert user.say(path="scans").status == "ready"


# ---- several rows for one data unit


def test_two_rows_are_told_apart_and_one_of_them_is_named(user: User) -> None:
    user.files(units(2, "a.png"))
    rows = [["id", "나이", "sex"], ["p001", 47, "M"], ["p002", 62, "F"], ["p001", 99, "F"]]
    table(user.folder / "scans/meta.csv", rows)
    question = asked(user.say(path="scans", collection=PATIENTS), "metadata.rows")
    assert (
        "1 data unit has several rows in the table, which differ: p001: row 2: 나이 47, sex M;" in question["question"]
    )
    neither = question["options"][-1]
    assert neither["label"] == "Use neither"
    assert neither["description"].startswith("p001 would stay at home: age, sex are required")
    assert [option["value"] for option in question["options"]] == ["stop", 2, 4, "none"]
    document = user.say("metadata.rows=Row 4", path="scans")
    assert document.status == "ready" and frozen(user)["p001"]["age"] == "99"
    (told,) = [each for each in document.problems if each["code"] == "metadata-duplicate-key"]
    assert (told["severity"], told["examples"]) == ("warning", ["p001: row 4 is used, row 2 dropped"])
    assert user.say("metadata.rows=2", path="scans").status == "ready" and frozen(user)["p001"]["age"] == "47"
    wrong = user.say("metadata.rows=3", path="scans")
    assert "p001 has rows 2 or 4" in asked(wrong, "metadata.rows")["error"]
    table(user.folder / "scans/meta.csv", [*rows, ["p002", 1, "M"]])
    several = asked(user.say("metadata.rows=null", path="scans"), "metadata.rows")
    assert [option["value"] for option in several["options"]] == ["stop", "first", "last", "none"]
    assert user.say("metadata.rows=last", path="scans").status == "ready"
    assert {name: meta["age"] for name, meta in frozen(user).items()} == {"p001": "99", "p002": "1"}
    assert user.say("metadata.rows=[2, 5]", path="scans").status == "ready"
    assert {name: meta["age"] for name, meta in frozen(user).items()} == {"p001": "47", "p002": "1"}


# ---- what is missing, and what is noise


def test_units_without_a_row_are_told_as_such_from_the_first_round(user: User) -> None:
    numbered(user, 4)
    table(user.folder / "scans/meta.csv", [["번호", "나이", "성별"], [1, 47, "M"], [2, "", "F"], [3, 55, "F"]])
    first = user.say(path="scans", collection=TRIAL)
    (alone,) = [each for each in first.problems if each["code"] == "unit-without-row"]
    assert asked(first, "metadata.field.patient_id") and alone["examples"] == ["004"]
    document = user.say("metadata.field.patient_id=unit:name", path="scans")
    told = {each["examples"][0]: each["fix"] for each in document.problems if each["code"] == "meta-invalid"}
    assert any("002 (row 3)" in example and "Fill in what is missing" in fix for example, fix in told.items()), told
    assert any("004: no row in the table" in example and "Add rows" in fix for example, fix in told.items()), told
    assert not any("constant" in fix for fix in told.values())


def test_what_needs_no_attention_is_no_warning(user: User) -> None:
    numbered(user)
    rows = [["번호", "나이", "환자 ID", "scanned"], *([n, 40 + n, f"a{n}", "2024.01.19"] for n in (1, 2, 3))]
    workbook(user, rows, "scans/meta.xlsx", **{"How to fill this in": [["a", "b"], ["c", "d"]]})
    document = user.say(path="scans", collection=TRIAL)
    assert document.status == "ready", document.questions
    severities = {each["code"]: each["severity"] for each in document.problems}
    assert severities["key-zeros"] == severities["table-sheets"] == "info" and "schema-doubt" not in severities
    (sheets,) = [each for each in document.problems if each["code"] == "table-sheets"]
    assert "metadata.sheet=NAME" in sheets["fix"]
    table(user.folder / "scans/meta.csv", [rows[0], *rows[2:]])
    (user.folder / "scans/meta.xlsx").unlink()
    less = user.say("leave_out=meta-invalid", path="scans")
    assert {each["code"]: each["severity"] for each in less.problems}["key-zeros"] == "warning"
