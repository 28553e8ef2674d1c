"""The SDK's own reading half, unmodified: lists, the export handlers, the export action, the second client, its CLI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from export_seed import FIRST, PROJECT, STORAGE, VERSION, document, seed
from synapse_sdk.clients.backend import BackendClient
from synapse_sdk.clients.backend_v2 import BackendClientV2
from synapse_sdk.loggers import ConsoleLogger
from synapse_sdk.plugins.actions.export import BaseExporter, DefaultExportAction, TargetHandlerFactory
from synapse_sdk.plugins.context import PluginEnvironment, RuntimeContext

from sandbox_fixture import Sandbox, sandboxes

SCOPES: dict[str, dict[str, Any]] = {
    "assignment": {"project": PROJECT},
    "task": {"project": PROJECT},
    "ground_truth": {"ground_truth_dataset_version": VERSION},
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def made(out: Path) -> Iterator[Sandbox]:
    with sandboxes(out / "box") as start:
        yield start(seed=seed(str(out), max_page_size=3))


@pytest.fixture
def box(made: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    first = made.settings()
    monkeypatch.setenv("SYNAPSE_EXPORT_THROTTLE_SECONDS", "0")
    monkeypatch.setenv("SYNAPSE_EXPORT_PAGE_RETRY_BACKOFF", "0")
    made.reset_stats()
    yield made
    made.set_faults()
    made.set(**first)


@pytest.fixture
def client(box: Sandbox) -> Iterator[BackendClient]:
    with BackendClient(box.host, access_token=box.token) as client:
        yield client


@pytest.fixture
def second(box: Sandbox) -> BackendClientV2:
    return BackendClientV2(box.host, access_token=box.token, allow_insecure=True)


def test_lists_over_all_pages(client, box):
    rows, count = client.list_assignments({"project": PROJECT, "page_size": 3}, list_all=True)
    assert count == 7 and [row["id"] for row in rows] == [FIRST + at for at in reversed(range(7))]
    rows, count = client.list_tasks({"project": PROJECT}, list_all=True, url_conversion={})
    assert count == len(list(rows)) == 7
    rows, count = client.list_ground_truth_events(
        {"ground_truth_dataset_versions": VERSION}, list_all=True, url_conversion={}
    )
    assert count == 3 and [row["id"] for row in rows] == [3, 2, 1]
    rows, count = client.list_assignments_data({"project": PROJECT}, list_all=True)
    assert count == 7 and {frozenset(row) for row in rows} == {frozenset({"id", "data"})}
    assert len(client.list_tasks_files({"project": PROJECT})["results"]) == 3
    assert client.get_assignment(FIRST)["data"] == document(FIRST)
    assert client.get_task(1000 + FIRST)["id"] == 1000 + FIRST


def test_files_of_ground_truths_are_downloaded(client, box):
    """What the SDK does of itself with this list: every file of every row."""
    rows, _ = client.list_ground_truths({"ground_truth_dataset_versions": VERSION}, list_all=True)
    files = next(iter(rows))["files"]
    assert json.loads(Path(files["data_meta_1"]["path"]).read_text()) == document(3)
    assert Path(files["image_1"]["path"]).read_bytes().startswith(b"\x89PNG")


def test_versions_and_datasets(client, second):
    assert [row["id"] for row in client.list_ground_truth_versions({"ground_truth_dataset": 31})["results"]] == [5, 6]
    assert [row["id"] for row in client.list_ground_truth_versions({"is_archived": False})["results"]] == [VERSION]
    assert client.get_ground_truth_version(VERSION)["ground_truth_dataset"] == 31
    datasets = second.ground_truth_datasets
    assert [(row.id, row.name) for row in datasets.list(list_all=True)] == [(31, "Road GT")]
    assert datasets.retrieve(31).project_id == PROJECT
    assert [row.version for row in datasets.versions(31).list(list_all=True)] == ["v1", "v2"]
    assert datasets.versions(31).retrieve(6).is_archived is True


def test_records_in_bulk(second, box):
    rows = second.assignments.bulk_fetch([FIRST, FIRST + 2, 99999], response_mode="presigned")
    assert [(row["id"], row["project_id"], row["data_unit_id"]) for row in rows] == [(101, 3, 2101), (103, 3, 2103)]
    assert rows[0]["data"] == document(FIRST) and rows[1]["data"]["mode"] == "presigned"
    assert list(rows[0]["files_manifest"]) == ["image_1"]
    assert [row["id"] for row in second.tasks.bulk_fetch([1101])] == [1101]


@pytest.mark.parametrize("target", SCOPES)
@pytest.mark.parametrize("shape", ["v1", "manifest"])
def test_the_handlers_get_every_record_with_its_data_and_its_picture(client, box, target, shape):
    """A link that ended is asked for again by the row; a page that fails is asked for again."""
    box.set(wrap_bytes=0, files_shape=shape)
    route = {"assignment": "assignments.list", "task": "tasks.list", "ground_truth": "events.list"}[target]
    box.set_faults(
        {"kind": "expired-links", "route": route, "query": "pagination=cursor", "on": [1]},
        {"kind": "status", "status": 500, "route": route, "query": "cursor=", "times": 1},
    )
    handler = TargetHandlerFactory.get_handler(target)
    results, count = handler.get_results(client, dict(SCOPES[target]))
    items = {item["id"]: item for item in handler.get_export_item(results)}
    first = {"assignment": FIRST, "task": 1000 + FIRST, "ground_truth": 1}[target]
    assert count == len(items) == (3 if target == "ground_truth" else 7)
    assert items[first]["data"] == document(FIRST)
    assert items[first]["files"]["file_name_original"] == "이미지_0.png"


class _Exporter(BaseExporter):
    """The plainest one: everything as the base class does it."""


class _Export(DefaultExportAction):
    action_name = "export"
    entrypoint = _Exporter

    def execute(self) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("target", SCOPES)
def test_the_sdk_s_own_export_runs(client, second, box, out, target):
    params = {"storage": STORAGE, "name": target, "save_original_file": True, "path": "exports", "target": target}
    about = {"logger": ConsoleLogger(), "env": PluginEnvironment.from_environ()}
    context = RuntimeContext(**about, client=client, v2_client=second)
    result = _Export.dispatch({**params, "filter": SCOPES[target], "extra_params": {}}, context)
    without_data = 0 if target == "ground_truth" else 1
    assert result["exported_count"] == (3 if target == "ground_truth" else 7) - without_data
    assert result["failed_count"] == without_data, "a record without data is no file to the SDK"
    written = out / "exports" / target
    assert json.loads((written / "labels" / "이미지_0.json").read_text()) == document(FIRST)
    assert (written / "origin_files" / "이미지_2.png").read_bytes().startswith(b"\x89PNG")
    requests = box.stats()["requests"]
    assert requests["storages.session"] == requests["projects.get"] == 1
    if target == "ground_truth":
        assert requests["versions.get"] == requests["v2.datasets.get"] == 1


@pytest.mark.heavy
def test_the_command_line_of_the_second_api(box, tmp_path):
    synapse = Path(sys.executable).parent / "synapse"
    command = [str(synapse), "v2", "projects", "list", "--tenant", "acme"]
    done = subprocess.run(command, capture_output=True, text=True, env=box.env(tmp_path, COLUMNS="200"), timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Road" in done.stdout and "Other" in done.stdout


@pytest.mark.heavy
@pytest.mark.parametrize("target", SCOPES)
def test_a_plugin_runs_from_the_command_line(box, out, tmp_path, target):
    package = tmp_path / "plugin" / "plugin"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "export.py").write_text(
        "from synapse_sdk.plugins.actions.export import BaseExporter, DefaultExportAction\n\n\n"
        "class Exporter(BaseExporter):\n    pass\n\n\n"
        "class Export(DefaultExportAction):\n    action_name = 'export'\n    entrypoint = Exporter\n\n"
        "    def execute(self):\n        raise NotImplementedError\n"
    )
    (package.parent / "config.yaml").write_text(
        "name: Plain export\ncode: plain-export\nversion: 0.1.0\ncategory: export\n"
        "actions:\n  export:\n    entrypoint: plugin.export.Export\n    method: job\n"
    )
    params = {"storage": STORAGE, "name": f"cli-{target}", "path": "exports", "target": target}
    params |= {"save_original_file": True, "filter": SCOPES[target], "extra_params": {}}
    synapse = Path(sys.executable).parent / "synapse"
    done = subprocess.run(
        [str(synapse), "plugin", "run", "export", "--mode", "local", "--params", json.dumps(params)],
        cwd=package.parent,
        env={**box.env(tmp_path / "home"), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    labels = list((out / "exports" / f"cli-{target}" / "labels").iterdir())
    assert len(labels) == (3 if target == "ground_truth" else 6)
