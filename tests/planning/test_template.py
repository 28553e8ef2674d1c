"""check_excel --make-template: the workbook that a person fills in and hands back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from openpyxl.worksheet.worksheet import Worksheet
from python_calamine import CalamineWorkbook

import check_excel
from planning.conversation import LOOSE, SCANS, SITES, User, collection, spec, units
from planning.test_uploads import run_job
from sandbox_fixture import Sandbox, sandboxes, seed_with
from synapse_skills.errors import FindingError, OutOfReach, UsageError, run
from synapse_skills.metadata.wants import wants
from synapse_skills.plan import MetadataRule
from synapse_skills.planning import template
from synapse_skills.planning.known import Known
from synapse_skills.planning.template import Template, make_template
from synapse_skills.planning.template_columns import Column, as_cell, column_of, escaped, key_name
from synapse_skills.planning.template_sheet import Sheet
from synapse_skills.units import Unit

# Slow, each with a quicker neighbour that runs every day.
pytestmark = pytest.mark.heavy

EVIL = '=HYPERLINK("http://127.0.0.1/","x")'
DIAGNOSES = [f'진단명 {number}, "둘째"' for number in range(40)]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["patient", "sex", "born", "operated"],
    "additionalProperties": False,
    "properties": {
        "patient": {"type": "string", "title": "환자 번호", "description": "With its zeros"},
        "sex": {"enum": ["M", "F"]},
        "born": {"type": "string", "format": "date"},
        "operated": {"type": "boolean"},
        "age": {"type": ["integer", "null"]},
        "weight": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "diagnosis": {"enum": DIAGNOSES},
        "scanned": {"type": "string", "format": "date-time"},
        "grade": {"enum": [1, 2, 3]},
        "extra": {"type": "object", "title": EVIL, "description": "-2+3\x00\x0b"},
        EVIL: {"type": "string"},
    },
}
HOSTILE = [
    "001",
    "=1+1",
    "+x",
    "-x",
    "@SUM(A1)",
    "#REF!",
    "TRUE",
    "1e5",
    "2024-01-02",
    "_x0041_",
    "a_x000D_b",
    "환자 9",
]


@pytest.fixture(scope="module")
def rich_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    specs = (spec("image_1", [".png"], required=True, primary=True, kind="image"),)
    with sandboxes(tmp_path_factory.mktemp("rich")) as start:
        yield start(seed=seed_with(collections=[collection(1, "Patients", *specs, schema=SCHEMA)]))


@pytest.fixture
def rich(user: User, rich_box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> User:
    """A user whose only collection has a schema with everything in it."""
    monkeypatch.setenv("SYNAPSE_HOST", rich_box.host)
    monkeypatch.setenv("SYNAPSE_ACCESS_TOKEN", rich_box.token)
    return user


def sheet_of(path: Path) -> Worksheet:
    found = load_workbook(path).worksheets[0]
    assert isinstance(found, Worksheet)
    return found


def cells(path: Path) -> list[list[Any]]:
    """The first sheet as calamine reads it."""
    return CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()


def made_for(user: User, name: str = "scans", **flags: Any) -> tuple[Template, Path]:
    out = user.folder / "template.xlsx"
    return make_template(user.home(name), out, **flags), out


def test_a_job_that_waits_for_metadata_has_a_template(rich: User) -> None:
    rich.files(units(3, "a.png"))
    assert rich.say(path="scans").status != "ready"
    made, out = made_for(rich)
    assert (made.rows, made.key, made.required) == (3, "data_unit", ["patient", "sex", "born", "operated"])
    sheet = sheet_of(out)
    header = [cell.value for cell in sheet[1]]
    assert header == ["data_unit", *(field.name for field in wants(SCHEMA))]
    assert made.as_dict()["columns"] == header[1:]
    assert [row[0].value for row in sheet.iter_rows(min_row=2)] == ["p001", "p002", "p003"]
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("B2", "A1:M4")
    colours = {cell.value: cell.fill.start_color.rgb for cell in sheet[1]}
    comments = {cell.value: cell.comment.text for cell in sheet[1] if cell.comment}
    for name in made.columns:
        assert (colours[name] == colours["patient"]) == (name in made.required)
        assert comments[name].startswith("★ Required" if name in made.required else "Optional")
    assert "환자 번호\nWith its zeros" in comments["patient"] and "yyyy-mm-dd" in comments["born"]
    assert "M | F" in comments["sex"] and "; between" in comments["tags"] and EVIL in comments["extra"]


def test_cells_have_the_choices_and_checks_of_their_field(rich: User) -> None:
    rich.files(units(2, "a.png"))
    rich.say(path="scans")
    _, out = made_for(rich)
    book = load_workbook(out)
    sheet = book.worksheets[0]
    letters = {cell.value: cell.column_letter for cell in sheet[1]}
    checks = {str(check.sqref): check for check in sheet.data_validations.dataValidation}

    def check(name: str) -> Any:
        return checks[f"{letters[name]}2:{letters[name]}3"]

    assert (check("sex").type, check("sex").formula1, check("sex").errorStyle) == ("list", '"M,F"', "stop")
    assert check("operated").formula1 == '"TRUE,FALSE"' and check("grade").formula1 == '"1,2,3"'
    assert (check("age").type, check("weight").type) == ("whole", "decimal")
    assert (check("born").type, check("scanned").type, check("born").errorStyle) == ("date", "date", "warning")
    assert len(checks) == 8
    formats = {name: sheet.column_dimensions[letter].number_format for name, letter in letters.items()}
    assert (formats["data_unit"], formats["patient"], formats["born"], formats["age"]) == ("@", "@", "yyyy-mm-dd", "0")
    # Choices with commas, or too many of them, are on a sheet that nobody sees.
    assert check("diagnosis").formula1 == f"lists!$A$1:$A${len(DIAGNOSES)}"
    assert [row[0].value for row in book["lists"].iter_rows()] == DIAGNOSES
    assert [each.sheet_state for each in book.worksheets] == ["visible", "visible", "hidden"]
    told = "\n".join(str(row[0].value) for row in book.worksheets[1].iter_rows())
    assert "Leave the column data_unit" in told and "작성 방법" in told and EVIL in told


def test_hostile_names_are_text_for_every_reader(rich: User) -> None:
    rich.files({f"{name}/a.png": units(1, "a.png")["p001/a.png"] for name in HOSTILE})
    rich.say(path="scans")
    made, out = made_for(rich)
    assert made.rows == len(HOSTILE)
    for sheet in load_workbook(out).worksheets:
        for row in sheet.iter_rows():
            assert all(cell.data_type != "f" for cell in row)
            assert all(cell.quotePrefix for cell in row if isinstance(cell.value, str))
    read = cells(out)
    assert sorted(row[0] for row in read[1:]) == sorted(HOSTILE)
    assert read[0] == ["data_unit", *made.columns] and EVIL in read[0]


@pytest.mark.parametrize(
    "text", ["a\x01b", "a\x0bb", "a\rb", "_x0041_", "_x005F_x0041_", "tab\there", "line\nbreak", " a "]
)
def test_characters_that_xml_forbids_come_back(tmp_path: Path, text: str) -> None:
    sheet = Sheet("key", [Column(text, title=text, description=text)], [text])
    sheet.append(text, {text: text})
    sheet.finish().save(tmp_path / "a.xlsx")
    load_workbook(tmp_path / "a.xlsx")
    assert cells(tmp_path / "a.xlsx") == [["key", text], [text, text]]


def test_half_a_character_does_not_spoil_the_workbook(tmp_path: Path) -> None:
    sheet = Sheet("key", [column_of(field) for field in wants({"properties": {"\ud800": {"enum": ["\udfff"]}}})], [])
    sheet.append("\ufffe", {})
    sheet.finish().save(tmp_path / "a.xlsx")
    load_workbook(tmp_path / "a.xlsx")


def test_what_is_known_is_filled_in_with_its_type(rich: User) -> None:
    rich.files(units(2, "a.png"))
    known = {"patient": "007", "sex": "F", "born": "1999-02-28", "operated": False, "age": 45, "tags": ["a", "b"]}
    known["scanned"] = "2024-01-19T10:30:00"
    sets = [f"metadata.constants.{name}={json.dumps(value)}" for name, value in known.items()]
    document = rich.say(*sets, path="scans")
    assert document.status == "ready"
    made, out = made_for(rich)
    assert made.filled == 2
    header, first, _ = cells(out)
    row = dict(zip(header, first, strict=True))
    assert row["born"] == date(1999, 2, 28) and row["scanned"] == datetime(2024, 1, 19, 10, 30)
    assert (row["patient"], row["operated"], row["age"], row["tags"]) == ("007", False, 45, "a; b")
    assert sheet_of(out)["D2"].number_format == "yyyy-mm-dd"


@pytest.mark.parametrize(
    ("kind", "value", "cell"),
    [
        ("date", "1899-12-31", "1899-12-31"),
        ("date", "1900-02-28", "1900-02-28"),
        ("date", "2024-02-30", "2024-02-30"),
        ("date", "20240119", "20240119"),
        ("text", "2024-01-19", "2024-01-19"),
        ("date-time", "2024-01-19T10:30:00+09:00", "2024-01-19T10:30:00+09:00"),
        ("date-time", "2024-01-19T10:30:00.125", "2024-01-19T10:30:00.125"),
        ("integer", 9007199254740993, "9007199254740993"),
        ("integer", 10**18, 10**18),
        ("boolean", True, True),
        ("list", ["a;b", "c"], '["a;b", "c"]'),
        ("list", [1, "b"], "1; b"),
        ("object", {"a": 1}, '{"a": 1}'),
    ],
)
def test_what_excel_would_spoil_goes_in_as_text(kind: Any, value: Any, cell: Any) -> None:
    found = as_cell(Column("x", kind), value)
    assert (found, type(found)) == (cell, type(cell))


def test_rows_of_an_earlier_table_are_joined_by_name(tmp_path: Path) -> None:
    rows = [{"unit": "a", "row": 2, "meta": {"x": 1}}, {"unit": "c/9", "row": 3, "meta": {"y": 2, "x": 3}}]
    table = tmp_path / "metadata.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    rules = [
        MetadataRule(values={"x": 0, "z": 1}),
        MetadataRule(kind="table", table="metadata.jsonl"),
        MetadataRule(kind="sidecars", pattern="*.yaml"),
        MetadataRule(kind="said", values={"z": 2}),
    ]
    name = MetadataRule(kind="name", regex=r"/(?P<number>\d+)$")
    known = Known([rules[0], name, *rules[1:]], tmp_path)
    assert known.names() == ["x", "z", "number", "y"]
    assert [known.of(Unit(key)) for key in ("a", "b/8", "c/9", "d")] == [
        {"x": 1, "z": 2},
        {"x": 0, "z": 2, "number": "8"},
        {"x": 3, "y": 2, "z": 2, "number": "9"},
        {"x": 0, "z": 2},
    ]
    table.write_text('{"unit": "a"}\n')
    with pytest.raises(FindingError) as caught:
        Known(rules, tmp_path).names()
    assert caught.value.code == "bad-frozen-rows"


def test_a_table_that_says_too_little_is_the_beginning_of_the_template(rich: User) -> None:
    rich.files({**units(2, "a.png"), "meta.csv": "id,patient,sex,note\np001,007,F,x\np002,008,M,y\n"})
    assert rich.say(path="scans").status != "ready"
    made, out = made_for(rich)
    assert (made.rows, made.filled) == (2, 2)
    header, *rows = cells(out)
    read = [dict(zip(header, row, strict=True)) for row in rows]
    assert [(row["data_unit"], row["patient"], row["sex"], row["born"]) for row in read] == [
        ("p001", "007", "F", ""),
        ("p002", "008", "M", ""),
    ]
    assert "note" not in header


def test_sidecars_are_no_data_units_and_stay_the_word(user: User) -> None:
    user.files({**units(2, "a.png", "a.json"), "p001/a.meta.json": "{}", "p002/a.meta.json": "{}"})
    user.say("metadata.sidecars=*.meta.json", path="scans", collection=SITES)
    made, out = made_for(user)
    assert [row[0] for row in cells(out)] == ["data_unit", "p001", "p002"]
    assert any("sidecar" in note for note in made.notes)


def test_data_units_left_out_are_not_listed(user: User) -> None:
    user.files(units(3, "a.png", "a.json"))
    (user.folder / "scans/p002/a.png").unlink()
    document = user.say("incomplete=leave_out", path="scans", collection=SCANS)
    assert document.status == "ready"
    made, out = made_for(user)
    assert [row[0] for row in cells(out)] == ["data_unit", "p001", "p003"]
    assert made.columns == [] and "add a column" in made.notes[0]


def test_a_later_answer_counts_more_than_an_old_plan(user: User) -> None:
    user.files(units(2, "a.png", "a.json"))
    assert user.say(path="scans", collection=SCANS).status == "ready"
    assert made_for(user)[0].columns == []
    assert user.say(path="scans", collection=SITES).status != "ready"
    made, _ = made_for(user, force=True)
    assert (made.columns, made.required) == (["site", "name"], ["site"])


def test_the_shipped_folder_names_the_job_too(user: User) -> None:
    user.files(units(2, "a.png", "a.json"))
    user.say("metadata.constants.site=Seoul", path="scans", collection=SITES)
    out = user.folder / "t.XLSX"
    made = make_template(user.home() / "job", out)
    assert (made.rows, made.filled) == (2, 2) and cells(out)[1] == ["p001", "Seoul", ""]


def test_what_the_schema_does_not_know_is_left_out_and_said(user: User, tmp_path: Path) -> None:
    rule = MetadataRule(values={"site": "x", "other": 1})
    known = Known([rule], tmp_path)
    columns, notes = template._columns({"properties": {"site": {}}, "additionalProperties": False}, known)
    assert [column.name for column in columns] == ["site"] and "other" in notes[0]
    columns, notes = template._columns({"properties": {"site": {}}}, known)
    assert [column.name for column in columns] == ["site", "other"] and notes == []


def test_a_file_that_is_there_is_not_overwritten(user: User) -> None:
    user.files(units(1, "a.png", "a.json"))
    user.say(path="scans", collection=SCANS)
    out = user.folder / "template.xlsx"
    out.write_text("filled in")
    with pytest.raises(UsageError) as caught:
        make_template(user.home(), out)
    assert caught.value.code == "template-exists" and out.read_text() == "filled in"
    assert make_template(user.home(), out, force=True).rows == 1


def test_a_failure_leaves_the_old_file_and_no_other(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    user.files(units(3, "a.png", "a.json"))
    user.say(path="scans", collection=SCANS)
    out = user.folder / "template.xlsx"
    out.write_text("filled in")
    monkeypatch.setattr(template, "EXCEL_ROWS", 2)
    with pytest.raises(FindingError, match="more than 2 data units") as caught:
        make_template(user.home(), out, force=True)
    assert caught.value.code == "too-many-units" and "CSV" in caught.value.hint

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(template, "EXCEL_ROWS", 3)
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        make_template(user.home(), out, force=True)
    assert out.read_text() == "filled in"
    assert [path.name for path in user.folder.iterdir() if "xlsx" in path.name] == ["template.xlsx"]


def test_a_job_that_is_not_clear_yet_is_sent_to_the_planner(user: User) -> None:
    user.files(units(2, "a.png", "a.json"))
    user.say(path="scans")
    with pytest.raises(FindingError, match="data_collection") as caught:
        made_for(user)
    assert caught.value.code == "not-planned" and "plan_upload" in caught.value.hint


def test_a_backend_that_is_away_is_said(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    user.files(units(2, "a.png", "a.json"))
    user.say(path="scans", collection=SITES)
    monkeypatch.setenv("SYNAPSE_HOST", "http://127.0.0.1:9")
    with pytest.raises(OutOfReach) as caught:
        made_for(user)
    assert caught.value.code == "backend-unreachable"


@pytest.mark.parametrize(
    ("name", "job", "code"),
    [
        ("a.xls", "synapse-jobs/scans", "not-xlsx"),
        ("a.csv", "synapse-jobs/scans", "not-xlsx"),
        ("none/a.xlsx", "synapse-jobs/scans", "no-folder"),
        ("a.xlsx", "scans", "no-job"),
        ("a.xlsx", "nowhere", "no-job"),
    ],
)
def test_wrong_usage(user: User, name: str, job: str, code: str) -> None:
    user.files(units(1, "a.png", "a.json"))
    user.say(path="scans", collection=LOOSE)
    with pytest.raises(UsageError) as caught:
        make_template(user.folder / job, user.folder / name)
    assert caught.value.code == code


def test_a_field_called_as_the_key_column_is_another_column() -> None:
    assert key_name(["age"]) == "data_unit"
    assert key_name(["Data_Unit", "data_unit_2 "]) == "data_unit_3"


def test_names_that_the_job_fills_in_are_not_demanded() -> None:
    columns = [column_of(field) for field in wants({"required": ["name", "x"], "properties": {"name": {}, "x": {}}})]
    assert [(column.name, column.required) for column in columns] == [("name", False), ("x", True)]
    assert escaped("x_x0041_") == "x_x005F_x0041_"


def fill_in(path: Path, rows: dict[str, dict[str, Any]]) -> None:
    """What a person does in Excel: dates as dates, choices from the lists; the formats of the columns stay."""
    book = load_workbook(path)
    sheet = book.worksheets[0]
    header = [cell.value for cell in sheet[1]]
    for row in sheet.iter_rows(min_row=2):
        for name, value in rows[str(row[0].value)].items():
            row[header.index(name)].value = value
    book.save(path)


FILLED: dict[str, dict[str, Any]] = {
    "001": {
        "patient": "007",
        "sex": "F",
        "born": date(1960, 5, 3),
        "operated": True,
        "age": 64,
        "weight": 61.5,
        "tags": "a; b",
        "diagnosis": DIAGNOSES[3],
        "scanned": datetime(2024, 1, 19, 10, 30),
        "grade": 2,
    },
    "=1+1": {"patient": "환자", "sex": "M", "born": date(2001, 12, 31), "operated": False, "weight": 70},
    "환자 9": {"patient": "9", "sex": "M", "born": "1899-12-31", "operated": "FALSE"},
}
SENT: dict[str, dict[str, Any]] = {
    "001": {
        **FILLED["001"],
        "born": "1960-05-03",
        "tags": ["a", "b"],
        "scanned": "2024-01-19T10:30:00",
    },
    "=1+1": {**FILLED["=1+1"], "born": "2001-12-31"},
    "환자 9": {**FILLED["환자 9"], "operated": False},
}


def a_filled_in_template(rich: User) -> Path:
    rich.files({f"{name}/a.png": units(1, "a.png")["p001/a.png"] for name in FILLED})
    assert rich.say(path="scans").status != "ready"
    _, out = made_for(rich)
    fill_in(out, FILLED)
    return out


def test_what_was_filled_in_is_fit(rich: User, capsys: pytest.CaptureFixture[str]) -> None:
    out = a_filled_in_template(rich)
    schema = rich.folder / "schema.json"
    schema.write_text(json.dumps(SCHEMA))
    assert run(check_excel.main, [str(out), "--key", "data_unit", "--schema", str(schema), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [problem["code"] for problem in report["problems"] if problem["severity"] == "error"] == []
    fill_in(out, {**FILLED, "001": {"born": "yesterday", "sex": "X"}})
    assert run(check_excel.main, [str(out), "--key", "data_unit", "--schema", str(schema), "--json"]) == 1


def test_the_script_makes_a_template(rich: User, capsys: pytest.CaptureFixture[str]) -> None:
    rich.files(units(2, "a.png"))
    rich.say(path="scans")
    call = ["--make-template", str(rich.folder / "t.xlsx"), "--job", str(rich.home())]
    assert run(check_excel.main, [*call, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 2
    assert run(check_excel.main, call) == 2 and "--force" in capsys.readouterr().err
    assert run(check_excel.main, [*call, "--force"]) == 0
    assert "2 rows, one for each data unit" in capsys.readouterr().out


@pytest.mark.parametrize("call", [[], ["--job", "x"], ["--make-template", "t.xlsx"], ["t.xlsx", "--force"]])
def test_flags_that_do_not_go_together(call: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        check_excel.main(call)
    assert caught.value.code == 2


def test_a_filled_in_template_is_planned_and_arrives_with_its_types(rich: User, rich_box: Sandbox) -> None:
    out = a_filled_in_template(rich)
    document = rich.say(f"metadata.table={out}", path="scans")
    assert document.status == "ready", document.as_dict()
    assert run_job(rich, rich_box, "scans") == 0
    arrived = {row["meta"]["patient"]: row["meta"] for row in rich_box.units(1)}
    assert arrived == {meta["patient"]: meta for meta in SENT.values()}
    assert {type(arrived["007"][name]) for name in ("age", "grade")} == {int}
