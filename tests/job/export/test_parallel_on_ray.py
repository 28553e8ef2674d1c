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
from synapse_skills.export_plan import ExportLimits, FormatPlan, SplitPlan
from synapse_skills.job import ray_crew
from synapse_skills.job.export.output import MARKER

RECORDS = 600


@pytest.mark.heavy
def test_all_machines_but_one_and_two_drivers_are_killed(export_job: ExportJob, tmp_path: Path) -> None:
    try:
        python = environment("ray")
    except LaunchError as error:
        pytest.skip(f"no environment with Ray: {error}")
    plan = {
        "formats": tuple(FormatPlan(name=name) for name in ("coco", "yolo", "csv")),
        "split": SplitPlan(ratios={"train": 0.8, "val": 0.2}),
        "originals": "optional",
        "limits": ExportLimits(page_size=20, workers=6),
    }
    made = {"project": export_job.project, "records": RECORDS, "boxes": 2, "classes": ["car", "person"]}
    export_job.box.post("/_sandbox/fill", made)
    export_job.plan_with(**plan)
    export_job.do()
    alone, counts = export_job.bytes(), export_job.report()
    export_job.plan_with(**plan, engine="ray")
    export_job.box.set_faults({"kind": "slow", "route": "assignments.list", "seconds": 0.3})
    paths = os.pathsep.join(str(Path(path).resolve()) for path in sys.path if path.endswith("scripts"))
    state, output = tmp_path / "shared" / "state", tmp_path / "shared" / "output"
    done = subprocess.run(
        [python, str(Path(__file__).parent / "on_ray.py"), "cluster", str(export_job.job / "export.py"), state, output],
        env=export_job.box.env(tmp_path / "user", PYTHONPATH=paths, SYNAPSE_SKILLS_PATIENCE_S="20"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    print(done.stderr)
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["killed while fetching"] == said["killed while writing"] == -9
    assert said["fetched on"] and said["wrote on"] and said["code"] == 0, said["log"]
    assert export_job.bytes(output) == alone
    report = json.loads((state / "report.json").read_bytes())
    for name in ("records", "annotations", "files", "splits"):
        assert report[name] == counts[name]
    # The login is in nothing that was kept or said.
    kept = b"".join(path.read_bytes() for path in (tmp_path / "shared").rglob("*") if path.is_file())
    assert export_job.box.token not in done.stdout + done.stderr and export_job.box.token.encode() not in kept
    assert (output / MARKER).is_file() and not list(output.glob("*.partial"))


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
