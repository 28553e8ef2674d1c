"""An export on a Ray cluster of three machines: the bytes of one machine, whoever is killed on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from export_fixture import ExportJob, row
from launcher.environments import environment
from launcher.messages import LaunchError
from synapse_skills.job import ray_crew


@pytest.mark.heavy
def test_a_killed_driver_and_a_killed_machine_cost_no_byte(tmp_path: Path) -> None:
    try:
        python = environment("ray")
    except LaunchError as error:
        pytest.skip(f"no environment with Ray: {error}")
    paths = os.pathsep.join(str(Path(path).resolve()) for path in sys.path if path.endswith("scripts"))
    done = subprocess.run(
        [str(python), str(Path(__file__).parent / "on_ray.py"), "cluster", str(tmp_path)],
        env=os.environ | {"PYTHONPATH": paths},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["died"] == -9 and said["was_at_work"]
    assert len(said["alone"]) == 64
    assert said["again"] == said["node_killed"] == said["alone"]


def test_without_a_cluster_it_is_refused_before_anything_is_fetched(
    export_job: ExportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray_crew.importlib, "import_module", lambda name: exec("raise ImportError(name)"))
    export_job.label(row(1))
    export_job.plan_with(engine="ray")
    error = export_job.do(expect=3)
    assert error is not None and error.code == "no-ray"
    assert export_job.report()["records"]["read"] == 0
    # A dry run needs none.
    export_job.do("--dry-run")


def test_a_storage_is_no_folder(export_job: ExportJob) -> None:
    export_job.plan_with(engine="ray", output="s3://bucket/cars")
    error = export_job.do(expect=2)
    assert error is not None and error.code == "not-shared"
