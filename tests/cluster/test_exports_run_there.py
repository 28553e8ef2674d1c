"""An export that really runs where it is submitted to: as a process of its own, to S3, with its report brought home."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import submit as script
from cluster.ready import write_config
from cluster.running_ray import RunningCli, RunningRay
from cluster.test_exports_there import export_plan
from export_fixture import row
from sandbox_fixture import PROJECT, SandboxFactory
from sources.trees import S3Tree, s3_server
from synapse_skills.cluster import JobHome, submit
from synapse_skills.errors import run
from synapse_skills.export_plan import ClassesPlan
from synapse_skills.plan import plan_bytes, plan_hash
from synapse_skills.rendering import render_job

submitting = importlib.import_module("synapse_skills.cluster.submit")
pytestmark = pytest.mark.heavy


@pytest.fixture
def ray(tmp_path: Path) -> Iterator[RunningRay]:
    there = RunningRay(tmp_path / "cluster")
    try:
        yield there
    finally:
        there.close()


def test_there_and_back(
    tmp_path: Path, user: Path, ray: RunningRay, sandbox_factory: SandboxFactory, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    box = sandbox_factory()
    box.post("/_sandbox/label", {"records": [{"project": PROJECT, **row(number)} for number in range(12)]})
    write_config(user / ".synapse" / "config.json", host=box.host, access_token=box.token)
    cli = RunningCli(tmp_path / "bin", ray, box.host, box.token)
    monkeypatch.setattr(submitting, "cli_command", lambda: [str(cli.script)])
    with s3_server():
        tree = S3Tree()
        home = JobHome(tmp_path / "synapse-jobs" / "cars")
        classes = ClassesPlan(order=("car", "person"))
        made = export_plan(project=PROJECT, classes=classes, output=f"{tree.url}/sets", state=f"{tree.url}/state")
        render_job(made, home.job)
        (home.folder / "plan.json").write_bytes(plan_bytes(made))
        digest = plan_hash(plan_bytes(made))

        def ask(*flags: str) -> tuple[int, dict[str, Any]]:
            code = run(script.main, [str(home.folder), *flags, "--json"])
            document: dict[str, Any] = json.loads(capsys.readouterr().out)
            return code, document

        code, refused = ask("--approve", digest)
        assert code == 1
        assert {each["code"] for each in refused["refusals"]} == {"no-dry-run", "place-not-proved"}
        code, dry = ask("--dry-run", "--wait")
        assert (code, dry["job"]["report"]["mode"]) == (0, "dry-run"), dry
        assert not [name for name in tree.keys if "/sets/" in name]
        code, done = ask("--approve", digest, "--wait")
        report = done["job"]["report"]
        assert (code, report["records"]["exported"]) == (0, 12), done
        coco = report["annotations"]["formats"]["coco"]
        assert report["annotations"]["read"] == coco["written"] + sum(coco["lost"].values())
        assert json.loads(home.report.read_text()) == report
        there = json.loads(tree._backend.get_object(tree.bucket, "data/sets/coco/annotations/instances.json").value)
        assert (len(there["images"]), len(there["annotations"])) == (12, coco["written"])
        secret = os.environ["SYNAPSE_S3_SECRET_ACCESS_KEY"]
        assert secret not in json.dumps([dry, done]) + "".join(ray.logs.values())
        # What people read in the log has nothing that the SDK's command would eat.
        lines = [line for line in done["job"]["log_tail"] if "raylet" not in line]
        assert not [line for line in lines if "[" in line]


def test_a_folder_of_the_worker_is_refused_there_too(
    tmp_path: Path, user: Path, ray: RunningRay, sandbox_factory: SandboxFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = sandbox_factory()
    box.post("/_sandbox/label", {"records": [{"project": PROJECT, **row(1)}]})
    cli = RunningCli(tmp_path / "bin", ray, box.host, box.token)
    monkeypatch.setattr(submitting, "cli_command", lambda: [str(cli.script)])
    folder = tmp_path / "job"
    render_job(export_plan(project=PROJECT, output=str(tmp_path / "own"), state=str(tmp_path / "state")), folder)
    # Past the gate, as `synapse script submit` by hand would be.
    job = submit(folder, env={}, script="export.py")
    for thread in ray._threads:
        thread.join(60)
    assert ray.jobs[job]["driver_exit_code"] == 1 and "output_on_worker=accept" in ray.logs[job]
    assert not (tmp_path / "own").exists()
