"""Rendered exports: snapshots, values as literals only, and a job folder of their own kind."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from synapse_skills.errors import FindingError
from synapse_skills.export_plan import ClassesPlan, ExportPlan, FormatPlan, SplitPlan, read_export_plan
from synapse_skills.plan import plan_hash
from synapse_skills.rendering import is_edited, render_file, render_job
from synapse_skills.rendering.export_script import render_export


def plan(**said: Any) -> ExportPlan:
    fields: dict[str, Any] = {
        "name": "street scenes",
        "target": "assignment",
        "project": 42,
        "formats": (FormatPlan(name="coco"),),
        "classes": ClassesPlan(order=("car", "person")),
        "output": "/data/exports/streets",
    }
    return ExportPlan(**fields | said)


MANY = tuple(f"class {number}" for number in range(30))
CASES = {
    "plain": plan(),
    "split": plan(split=SplitPlan(ratios={"train": 0.8, "val": 0.1, "test": 0.1}, by="data_unit", seed=3)),
    "classes": plan(classes=ClassesPlan(order=MANY, map={"자동차": "class 1", "van": "class 1"}, drop=("sky", "mud"))),
    "formats": plan(
        formats=(FormatPlan(name="coco"), FormatPlan(name="synapse_json", options={"envelope": "yes"})),
        originals="required",
        filter={"status": ["done"]},
    ),
    "truth": plan(target="ground_truth", project=None, ground_truth_version=7),
    "custom": plan(formats=(FormatPlan(name="custom"), FormatPlan(name="voc"))),
    "task": plan(target="task", split=SplitPlan(ratios={"train": 0.5, "val": 0.5}, by="meta.group")),
}


@pytest.mark.parametrize("case", CASES)
def test_export_script(case: str, script_snapshot: SnapshotAssertion) -> None:
    text = render_export(CASES[case]).decode()
    compile(text, "export.py", "exec")
    assert all(len(line) <= 120 for line in text.splitlines())
    assert text == script_snapshot


@settings(max_examples=20)
@given(
    st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=4, unique=True), st.text(min_size=1, max_size=30)
)
def test_names_from_outside_are_literals_and_nothing_else(names: list[str], output: str) -> None:
    made = plan(classes=ClassesPlan(order=tuple(names), drop=tuple(f"{name}!" for name in names)), output=output)
    tree = ast.parse(render_export(made))
    said = {node.targets[0].id: node.value for node in tree.body if isinstance(node, ast.Assign)}  # type: ignore[attr-defined]
    assert ast.literal_eval(said["CLASSES"]) == names
    assert ast.literal_eval(said["OUTPUT"]) == output
    assert {type(node) for node in tree.body} <= {ast.Assign, ast.Expr, ast.Import, ast.ImportFrom, ast.If}


def test_a_job_folder_of_an_export(tmp_path: Path) -> None:
    done = render_job(plan(), tmp_path / "job")
    names = {path.name for path in done.folder.iterdir()}
    assert names == {
        *("export.py", "plan.json", "requirements.txt", "README.md", ".rayignore", ".synapse-job", "synapse_skills"),
    }
    requirements = (done.folder / "requirements.txt").read_text()
    assert all(f"\n{name}==" in requirements for name in ("synapse-sdk", "msgspec", "orjson"))
    assert done.hash == plan_hash((done.folder / "plan.json").read_bytes())
    assert read_export_plan(done.folder / "plan.json") == plan()
    readme = (done.folder / "README.md").read_text()
    assert "--output DIR" in readme and done.hash in readme and "retry" not in readme
    assert not is_edited(done.folder)


def test_an_edited_export_script_is_not_written_over(tmp_path: Path) -> None:
    done = render_job(plan(), tmp_path / "job")
    done.script.write_text(done.script.read_text() + "\n# mine\n")
    assert is_edited(done.folder)
    with pytest.raises(FindingError, match="edited"):
        render_file(done.folder)
    assert render_job(plan(originals="optional"), done.folder, keep_edited=True).kept
    assert not render_file(done.folder, force=True).kept
    assert json.loads((done.folder / ".synapse-job").read_text())["kind"] == "export"


@pytest.mark.heavy
def test_an_upload_of_that_name_is_another_job(tmp_path: Path) -> None:
    from rendering.plans import plan as upload

    render_job(plan(), tmp_path / "job")
    with pytest.raises(FindingError, match="another job"):
        render_job(upload(name="street scenes"), tmp_path / "job")
