"""check_excel: what a person reads and a program gets, and how it exits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import check_excel
from metadata.workbooks import awful, workbook
from synapse_skills.errors import run

Ran = tuple[int, str, str]
Run = Callable[..., Ran]


@pytest.fixture
def script(capsys: pytest.CaptureFixture[str]) -> Run:
    """script(*arguments) → exit code, stdout, stderr."""

    def script(*arguments: object) -> Ran:
        try:
            code = run(check_excel.main, [str(argument) for argument in arguments])
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        return code, *capsys.readouterr()

    return script


def report(ran: Ran) -> dict[str, Any]:
    return dict(json.loads(ran[1]))


def problems(ran: Ran) -> dict[str, list[str]]:
    return {problem["code"]: problem["examples"] for problem in report(ran)["problems"]}


def test_an_awful_workbook_says_every_fault_with_its_rows(script: Run, tmp_path: Path) -> None:
    path = awful(tmp_path / "awful.xlsx")
    code, said, _ = script(path, "--key", "ID")
    assert code == 1 and len(said.splitlines()) < 80
    for line in (
        "error: table-duplicate-key (2)",
        "  002: rows 7 and 9",
        "  001: rows 6 and 15",
        "  rows 10 and 14",
        "  column G (점수): rows 6 and 7",
    ):
        assert line in said.splitlines()
    told = problems(script(path, "--key", "A", "--json"))
    assert told["table-duplicate-key"] == ["002: rows 7 and 9", "001: rows 6 and 15"]
    assert told["table-empty-key"] == ["rows 10 and 14"]


def test_a_fit_table_exits_0_and_says_what_could_be_the_key(script: Run, tmp_path: Path) -> None:
    path = workbook(tmp_path / "t.xlsx", [["patient", "age", "site"], ["P1", 45, "a"], ["P2", 46, "a"]])
    code, said, _ = script(path)
    assert code == 0 and "it could be patient, age" in said
    document = report(script(path, "--json"))
    assert document["possible_keys"] == ["patient", "age"] and document["rows"] == 2 and not document["problems"]
    assert document["columns"][1] == {
        "letter": "B", "name": "age", "kinds": {"integer": 2}, "filled": 2, "empty": 0, "examples": ["45", "46"],
    }  # fmt: skip


def test_values_are_held_against_a_schema_after_coercion(script: Run, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text(
        json.dumps(
            {
                "type": "object",
                "required": ["age"],
                "additionalProperties": False,
                "properties": {"age": {"type": "integer"}, "code": {"type": "string"}},
            }
        )
    )
    table = tmp_path / "t.csv"
    table.write_text("id,age,code\nP1,45,007\nP2,4.5,1\nP3,,2\n")
    document = report(script(table, "--key", "id", "--schema", schema, "--json"))
    assert (document["schema_checked"], document["rows_that_do_not_fit"], document["exit_code"]) == (True, 2, 1)
    said = [example for problem in document["problems"] for example in problem["examples"]]
    assert len(said) == 2 and any("P2 (row 3)" in text for text in said) and any("P3 (row 4)" in text for text in said)
    table.write_text("id,age,code\nP1,45,007\n")
    assert script(table, "--key", "id", "--schema", schema)[0] == 0


def test_ten_thousand_rows_with_one_fault_are_one_line(script: Run, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("id,age\n" + "".join(f"P{n},old\n" for n in range(10_000)))
    schema = tmp_path / "schema.json"
    schema.write_text('{"properties": {"age": {"type": "integer"}}}')
    document = report(script(table, "--key", "id", "--schema", schema, "--json"))
    assert [(problem["count"], len(problem["examples"])) for problem in document["problems"]] == [(10_000, 3)]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["gone.xlsx"], 2, "no-table"),
        (["."], 2, "no-table"),
        (["t.csv", "--key", "nobody"], 2, "no-key-column"),
        (["t.csv", "--sheet", "S"], 2, "no-such-sheet"),
        (["t.csv", "--schema", "gone.json"], 2, "no-schema"),
        (["t.csv", "--schema", "t.csv"], 2, "no-schema"),
        (["t.csv", "--schema", "bad.json"], 1, "bad-meta-schema"),
        (["empty.csv"], 1, "bad-table"),
        (["t.csv", "--schema", "a", "--collection", "1"], 2, ""),
        ([], 2, ""),
    ],
)
def test_what_can_go_wrong(
    script: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("id,age\nP1,45\n")
    Path("empty.csv").write_text("")
    Path("bad.json").write_text('{"type": "no such type"}')
    ran = script(*arguments, "--json")
    assert ran[0] == code and "Traceback" not in ran[2]
    if said:
        error = json.loads(ran[1])["error"]
        assert error["code"] == said and error["message"] and error["hint"]


def test_a_header_without_rows_is_a_finding(script: Run, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("id,age\n")
    ran = script(table, "--json")
    assert ran[0] == 1 and list(problems(ran)) == ["table-no-rows"]
