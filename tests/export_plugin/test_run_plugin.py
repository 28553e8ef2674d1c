"""A published plugin, run with a plan's parameters: shown, approved, begun, followed, stopped."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import synapse_sdk.utils.auth as auth

import run_plugin
from cluster.ready import write_config
from export_plugin.running import Plugins
from export_plugin.test_plugin_pages import plan
from synapse_skills import environment
from synapse_skills.cluster import plugin as running
from synapse_skills.errors import run
from synapse_skills.plan import plan_bytes, plan_hash


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of a planned export."""
    folder = tmp_path / "synapse-jobs" / "streets"
    folder.mkdir(parents=True)
    (folder / "plan.json").write_bytes(plan_bytes(plan()))
    return folder


def test_without_approval_it_is_only_shown(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(run_plugin.main, [str(home), "--params", '{"name": "today"}', "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["status"] == "shown" and shown["plugin"] == "export-street-scenes"
    assert shown["params"] == {
        "name": "today",
        "storage": 11,
        "save_original_file": True,
        "path": "sets",
        "target": "assignment",
        "filter": {"project": 42, "status_label": ["done"], "created__gte": "2026-01-01T00:00:00Z"},
        "output_format": "all",
    }
    assert shown["command"].startswith("synapse plugin run export --mode remote -p export-street-scenes --no-debug")
    assert not (home / "plugin_run.json").exists()


@pytest.mark.parametrize(
    ("words", "code", "exit_code"),
    [
        (["--params", "[1]"], "bad-params", 2),
        (["--params", '{"name": "../x"}'], "bad-params", 2),
        (["--params", '{"filter": {}}'], "bad-params", 2),
        (["--params", '{"projects": 3}'], "bad-params", 2),
        (["--approve", "000000000000"], "not-approved", 1),
        (["--follow"], "no-plugin-run", 2),
    ],
)
def test_what_is_refused_before_anything_begins(
    home: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: str, exit_code: int
) -> None:
    assert run(run_plugin.main, [str(home), *words, "--json"]) == exit_code
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code
    assert not (home / "plugin_run.json").exists()


def test_a_plan_without_a_storage_asks_for_one(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "plan.json").write_bytes(plan_bytes(plan(storage=None, output="/data/out")))
    assert run(run_plugin.main, [str(home), "--json"]) == 2
    assert "list_resources storages" in json.loads(capsys.readouterr().out)["error"]["hint"]
    assert run(run_plugin.main, [str(home), "--params", '{"storage": 3}', "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["params"]["path"] == "exports"


@pytest.mark.parametrize(
    ("job", "exit_code"),
    [
        (running.PluginJob("x", "SUCCEEDED", result={"exit_code": 5}), 5),
        (running.PluginJob("x", "SUCCEEDED", result={"exit_code": 0}), 0),
        (running.PluginJob("x", "SUCCEEDED", result="odd"), 0),
        (running.PluginJob("x", "FAILED"), 5),
        (running.PluginJob("x", "STOPPED"), 130),
        (running.PluginJob("x", "RUNNING"), 0),
    ],
)
def test_how_a_job_ends(job: running.PluginJob, exit_code: int) -> None:
    assert job.exit_code == exit_code


@pytest.fixture
def logged_in(plugins: Plugins, tmp_path: Path) -> Iterator[Plugins]:
    """Everything that is asked for goes to the sandbox, where an agent is selected."""
    user = tmp_path / "user"
    agent = {"id": 7, "name": "Agent seven", "url": plugins.box.host}
    (user / ".synapse").mkdir(parents=True)
    write_config(user / ".synapse" / "config.json", host=plugins.box.host, access_token=plugins.box.token, agent=agent)
    variables = {**plugins.box.env(user), "SYNAPSE_SKILLS_PATIENCE_S": "2"}
    config = user / ".synapse" / "config.json"
    with (
        mock.patch.dict(os.environ, variables, clear=True),
        mock.patch.object(auth, "CONFIG_FILE", config),
        mock.patch.object(environment, "config_path", lambda: config),
        mock.patch.object(running, "POLL_S", 0.1),
    ):
        yield plugins


@pytest.mark.heavy
def test_begun_followed_and_stopped(logged_in: Plugins, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    box, approve = logged_in.box, plan_hash(plan_bytes(plan()))

    def ask(*words: str) -> tuple[int, dict[str, Any]]:
        code = run(run_plugin.main, [str(home), *words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    code, refused = ask("--approve", approve)
    assert (code, refused["error"]["code"]) == (1, "plugin-refused"), refused
    assert "export-street-scenes: Failed to run plugin: 404" in refused["error"]["message"]
    box.post("/_sandbox/plugins", {"code": "export-street-scenes"})
    code, begun = ask("--approve", approve)
    assert (code, begun["status"]) == (0, "PENDING"), begun
    job_id = begun["job_id"]
    row = box.get(f"/jobs/{job_id}/")
    assert row["params"] == begun["params"] and row["agent"] == 7 and row["action"] == "export"
    assert json.loads((home / "plugin_run.json").read_text())["job_id"] == job_id

    def work() -> None:
        for number in range(3):
            box.post("/_sandbox/jobs", {"id": job_id, "status": "RUNNING", "logs": [f"line {number} [STEP: x]"]})
            time.sleep(0.2)
        result = {"exit_code": 5, "exported_count": 3}
        box.post("/_sandbox/jobs", {"id": job_id, "status": "SUCCEEDED", "result": result, "logs": ["last"]})

    worker = threading.Thread(target=work)
    worker.start()
    code = run(run_plugin.main, [str(home), "--follow", "--json"])
    worker.join()
    out, err = capsys.readouterr()
    assert code == 5 and json.loads(out)["result"]["exported_count"] == 3
    assert err.splitlines() == [*(f"line {number} [STEP: x]" for number in range(3)), "last"]
    code, begun = ask("--approve", approve)
    code, stopped = ask("--stop")
    assert (code, stopped["status"], stopped["exit_code"]) == (0, "STOPPED", 130)
    assert ask("--status")[0] == 130
    assert ask("--stop")[1]["status"] == "STOPPED", "stopping what is stopped does no harm"
    # The SDK's own commands read the same routes.
    done = logged_in.command(home, "job", "get", job_id)
    assert done.returncode == 0 and "SUCCEEDED" in done.stdout
    for words in (("logs", job_id), ("logs", job_id, "-f")):
        assert "last" in logged_in.command(home, "job", *words).stdout


@pytest.mark.heavy
def test_published_to_the_sandbox_it_can_be_run(logged_in: Plugins, tmp_path: Path) -> None:
    folder = logged_in.render(plan(name="published"), "step")
    done = logged_in.command(folder, "publish", "-y")
    assert done.returncode == 0, done.stdout + done.stderr
    made = logged_in.box.post("/plugins/export-published/run/", {"agent": 7, "action": "export", "params": {}})
    assert made["plugin_release"] == {"plugin": "export-published", "version": "0.1.0"}
