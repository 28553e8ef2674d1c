"""check_meta.py as it is called."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sandbox_fixture import COLLECTION, SandboxFactory, seed_with

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_meta.py"
SCHEMA = {
    "type": "object",
    "required": ["patient_id", "age", "name"],
    "additionalProperties": False,
    "properties": {
        "patient_id": {"type": "string", "title": "Patient"},
        "age": {"type": "integer"},
        "sex": {"enum": ["M", "F"]},
        "scanned": {"type": "string", "format": "date"},
        "name": {"type": "string"},
    },
}


class Answer(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def call(folder: Path, *flags: str, **env: str) -> Answer:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *flags],
        cwd=folder,
        capture_output=True,
        text=True,
        env=env or None,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    return Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    rows = ["unit,patient_id,age,sex,scanned,color", "p1,001,45,m,2024.1.3,"]
    rows += [f"q{number},002,abc,male,,red" for number in range(5)]
    (tmp_path / "table.csv").write_text("\n".join([*rows, "z,,4,F,,"]))
    (tmp_path / "good.jsonl").write_text('{"patient_id": "1", "age": 4}\n{"patient_id": "2", "age": 5.0}\n')
    for name, text in {
        "a.json": '{"patient_id": "1", "age": 1}',
        "b.yaml": "patient_id: '2'\nage: x\n",
        "c.json": "[1",
    }.items():
        (tmp_path / "side").mkdir(exist_ok=True)
        (tmp_path / "side" / name).write_text(text)
    return tmp_path


def test_wants_first_then_faults_grouped_by_row(folder: Path) -> None:
    answer = call(folder, "--schema", "schema.json", "--excel", "table.csv", "--key", "unit")
    assert answer.code == 1
    lines = answer.out.splitlines()
    assert lines[1].split() == ["required", "patient_id", "string", "—", "Patient"]
    assert "  other fields are refused" in lines
    assert any("format date is not checked here" in line for line in lines)
    assert "Checked 7 objects of table.csv: 1 fit, 6 don't." in lines
    at = lines.index("error: age: not an integer × 5")
    assert lines[at + 1] == "  q0 (row 3): age: 'abc' is no integer"
    assert [line for line in lines if line.startswith("error: ")] == [
        "error: age: not an integer × 5",
        "error: color: unknown field × 5",
        "error: sex: none of M, F × 5",
        "error: patient_id: missing × 1",
    ]


def test_a_document_for_programs(folder: Path) -> None:
    answer = call(folder, "--schema", "schema.json", "--json", "good.jsonl", "--report", "json")
    assert (answer.code, answer.err) == (0, "")
    document = answer.document
    assert (document["inspected"], document["fit"], document["unfit"], document["problems"]) == (2, 2, 0, [])
    assert document["schema"]["fields"][0]["name"] == "patient_id"
    broken = call(folder, "--schema", "schema.json", "--json", "nothing.json", "--report=json")
    assert (broken.code, broken.document["error"]["code"]) == (2, "no-table")


def test_an_error_without_a_document_is_for_people_though_json_is_among_the_flags(folder: Path) -> None:
    answer = call(folder, "--schema", "schema.json", "--json", "nothing.json")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: ")


def test_sidecars_each_with_its_own_fault(folder: Path) -> None:
    answer = call(folder, "--schema", "schema.json", "--sidecars", "side/*", "--report", "json")
    assert answer.code == 1
    document = answer.document
    assert (document["inspected"], document["unfit"]) == (3, 2)
    told = sorted(problem["examples"][0] for problem in document["problems"])
    assert told[0] == "side/b.yaml: age: 'x' is no integer"
    assert told[1].startswith("side/c.json: ") and "not JSON" in told[1]


def test_nothing_inspected_is_a_finding(folder: Path) -> None:
    (folder / "empty.csv").write_text("patient_id,age\n")
    for flags in (("--sidecars", "none/*.json"), ("--excel", "empty.csv")):
        answer = call(folder, "--schema", "schema.json", *flags, "--report", "json")
        assert (answer.code, answer.document["inspected"]) == (1, 0)
        assert "no-object" in [problem["code"] for problem in answer.document["problems"]]


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        ((), 2),
        (("--schema", "schema.json"), 2),
        (("--schema", "nowhere.json", "--excel", "table.csv"), 2),
        (("--schema", "table.csv", "--excel", "table.csv"), 1),
        (("--schema", "schema.json", "--excel", "table.csv", "--key", "nobody"), 2),
        (("--schema", "schema.json", "--sidecars", "side/*", "--sheet", "x"), 2),
        (("--collection", "x", "--excel", "table.csv"), 2),
        (("--schema", "bad.json", "--excel", "table.csv"), 1),
    ],
)
def test_wrong_usage_and_broken_schemas(folder: Path, flags: tuple[str, ...], code: int) -> None:
    (folder / "bad.json").write_text('{"type": "nonsense"}')
    answer = call(folder, *flags)
    assert (answer.code, answer.out) == (code, "")
    assert answer.err


@pytest.mark.heavy
def test_the_schema_of_a_collection(folder: Path, sandbox_factory: SandboxFactory) -> None:
    seed = seed_with()
    seed["collections"][0]["meta"] = {"data_unit_meta_schema": SCHEMA}
    seed["collections"].append({**seed["collections"][0], "id": COLLECTION + 1, "name": "Bare", "meta": None})
    box = sandbox_factory(seed=seed)
    env = box.env(folder / "home")
    answer = call(folder, "--collection", str(COLLECTION), "--json", "good.jsonl", **env)
    assert answer.code == 0
    assert answer.out.startswith(f"Schema: data collection {COLLECTION} (CT scans)\n")
    bare = call(folder, "--collection", str(COLLECTION + 1), "--excel", "table.csv", **env)
    assert bare.code == 0 and "everything fits that can be sent" in bare.out
    assert call(folder, "--collection", "999", "--json", "good.jsonl", **env).code == 1
    away = {**env, "SYNAPSE_HOST": "http://127.0.0.1:9"}
    assert call(folder, "--collection", str(COLLECTION), "--json", "good.jsonl", **away).code == 3


def test_help_has_two_examples_and_exit_codes(folder: Path) -> None:
    text = call(folder, "--help").out
    assert text.count("check_meta.py --") >= 2 and "exit codes:" in text
