"""The rendered folder of a plugin: pages, config.yaml, what a run may be told, and whose folder it is."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
import yaml
from pydantic import ValidationError
from synapse_sdk.plugins.actions.export import TargetHandlerFactory
from synapse_sdk.plugins.config import PluginConfig
from synapse_sdk.plugins.discovery import PluginDiscovery
from syrupy.assertion import SnapshotAssertion

from synapse_skills.errors import FindingError, UsageError
from synapse_skills.export_plan import PLUGIN_STYLES, ClassesPlan, ExportExpected, ExportPlan, FormatPlan, SplitPlan
from synapse_skills.job.export.plugin.params import plan_with
from synapse_skills.rendering.export_plugin import code_of, plugin_files, render_plugin


def plan(**said: Any) -> ExportPlan:
    fields: dict[str, Any] = {
        "name": "street scenes",
        "target": "assignment",
        "project": 42,
        "formats": (FormatPlan(name="coco"), FormatPlan(name="yolo")),
        "classes": ClassesPlan(order=("car", "person"), map={"van": "car"}),
        "split": SplitPlan(ratios={"train": 0.8, "val": 0.2}, by="data_unit"),
        "filter": {"status": ["done"], "created_after": "2026-01-01T00:00:00Z"},
        "originals": "required",
        "output": "sets/street scenes",
        "storage": 11,
        "expected": ExportExpected(records=10, tools={"bounding_box": 3, "named_entity": 1, "invented": 2}),
    }
    return ExportPlan(**fields | said)


def page_of(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"page_{folder.name}", folder / "plugin" / "export.py")
    assert spec is not None and spec.loader is not None
    page = importlib.util.module_from_spec(spec)
    with mock.patch.dict(TargetHandlerFactory._handlers):
        spec.loader.exec_module(page)
    return page


@pytest.mark.parametrize("style", PLUGIN_STYLES)
def test_pages(style: str, page_snapshot: SnapshotAssertion) -> None:
    files = plugin_files(plan(), style)
    text = files["plugin/export.py"].decode()
    compile(text, "export.py", "exec")
    assert all(len(line) <= 120 for line in text.splitlines())
    assert text == page_snapshot
    assert files == plugin_files(plan(), style), "the same plan gives the same bytes"


def test_config(yaml_snapshot: SnapshotAssertion, tmp_path: Path) -> None:
    odd = plan(name='a: "b"\n# {x} 예')
    files = plugin_files(odd, "template")
    read = yaml.safe_load(files["config.yaml"])
    assert read["name"] == odd.name
    assert set(read) <= set(PluginConfig.model_fields)
    assert files["config.yaml"].decode() == yaml_snapshot
    folder = render_plugin(plan(), tmp_path / "plugin").folder
    found = PluginDiscovery.from_path(folder)
    assert found.list_actions() == ["export"] and found.config.category == "export"


@pytest.mark.parametrize(
    ("name", "code"),
    [("street scenes", "export-street-scenes"), ("Export 7", "export-7"), ("차량", "export-"), ("a 차", "export-a-")],
)
def test_codes_are_plain_and_keep_apart(name: str, code: str) -> None:
    assert code_of(name).startswith(code) and (code_of(name) == code) == name.isascii()
    assert code_of(name).isascii() and code_of(name) != code_of(name + "차")


def test_a_custom_format_has_its_function_on_the_page(tmp_path: Path) -> None:
    folder = render_plugin(plan(formats=(FormatPlan(name="custom"),)), tmp_path / "plugin", style="simple").folder
    page = page_of(folder)
    assert page.EXPORT.convert is page.convert


def test_an_edited_page_and_another_folder_are_left_alone(tmp_path: Path) -> None:
    done = render_plugin(plan(), tmp_path / "plugin")
    done.script.write_text(done.script.read_text() + "\n# mine\n")
    with pytest.raises(FindingError) as refused:
        render_plugin(plan(), tmp_path / "plugin")
    assert refused.value.code == "script-edited"
    render_plugin(plan(), tmp_path / "plugin", force=True)
    assert "# mine" not in done.script.read_text()
    with pytest.raises(FindingError) as refused:
        render_plugin(plan(name="other"), tmp_path / "plugin")
    assert refused.value.code == "another-job"
    with pytest.raises(UsageError) as wrong:
        render_plugin(plan(), tmp_path / "new", style="fancy")
    assert wrong.value.code == "no-style" and not (tmp_path / "new").exists()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return page_of(render_plugin(plan(), tmp_path_factory.mktemp("page") / "plugin").folder)


def test_what_is_not_said_is_as_planned(page: ModuleType) -> None:
    assert plan_with(plan(), page.Params()) == plan()


def test_a_run_of_another_target_in_another_place(page: ModuleType) -> None:
    said = page.Params(
        name="gt", path="/x/y/", target="ground_truth", storage=3, output_format="yolo", save_original_file=False,
        filter={"ground_truth_dataset_version": "7", "category": "train"},
    )  # fmt: skip
    made = plan_with(plan(), said)
    assert (made.target, made.project, made.ground_truth_version) == ("ground_truth", None, 7)
    assert made.filter == {"category": ["train"]}
    assert [each.name for each in made.formats] == ["yolo"] and made.originals == "none"
    assert made.place == "storage://3/x/y/gt"
    assert made.classes == plan().classes and made.split == plan().split


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"name": "../../esc"}, "name of one folder"),
        ({"name": "a/b"}, "name of one folder"),
        ({"name": " "}, "name of one folder"),
        ({"name": ".hidden"}, "name of one folder"),
        ({"path": "exports/../.."}, "inside the storage"),
        ({"path": "s3://bucket/x"}, "inside the storage"),
        ({"path": "/"}, "inside the storage"),
        ({"path": "a\\b"}, "inside the storage"),
        ({"storage": 0}, "from 1 up"),
        ({"target": "tasks"}, "assignment"),
        ({"filter": {}}, "whole tenant"),
        ({"filter": {"project": None}}, "whole tenant"),
        ({"filter": {"project": True}}, "whole tenant"),
        ({"filter": {"project": 3, "status": ["x"], "staus": "done"}}, "staus"),
        ({"filter": {"project": 3, "created_before": None}}, "no filter at all"),
        ({"target": "ground_truth", "filter": {"project": 3}}, "whole tenant"),
        ({"output_format": "pdf"}, "'all'"),
        ({"extra_params": {"path_root": "/x"}}, "path_root"),
    ],
)
def test_what_the_sdk_would_let_through_is_refused(page: ModuleType, said: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        page.Params.model_validate(said, context={"client": None})
