"""Each style in `--mode job`, on a real Ray head on the loopback: shipped as a folder, run by a worker, same files."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from export_plugin.running import STORAGE, Plugins, files, labelled
from launcher.environments import environment
from launcher.messages import LaunchError
from synapse_skills.cluster.local_ray import LocalRay
from synapse_skills.errors import OutOfReach
from synapse_skills.export_plan import PLUGIN_STYLES, FormatPlan

pytestmark = pytest.mark.heavy

FORMATS = (FormatPlan(name="coco"), FormatPlan(name="yolo"), FormatPlan(name="synapse_json"), FormatPlan(name="csv"))
STEP_S = 420.0


@pytest.fixture(scope="module")
def ray() -> Iterator[LocalRay]:
    """A head."""
    try:
        python = Path(environment("ray"))
    except LaunchError as error:
        pytest.skip(f"no environment with Ray: {error} {error.hint}")
    try:
        with LocalRay(python=python) as started:
            started.command = python.parent / "synapse"  # type: ignore[attr-defined]
            yield started
    except OutOfReach as error:
        if error.code == "ray-no-room":
            pytest.skip(str(error))
        raise


@pytest.mark.parametrize("style", PLUGIN_STYLES)
def test_a_worker_writes_the_files_of_the_script(plugins: Plugins, ray: Any, style: str) -> None:
    job = plugins.job(formats=FORMATS, originals="optional")
    job.label(*labelled(9))
    job.do(expect=5)
    plugin = plugins.render(job.plan, style)
    config = plugins.box.login(plugins.home)
    config.write_text(json.dumps(json.loads(config.read_bytes()) | {"agent": ray.agent()}))
    hosts = f"127.0.0.1,localhost,{ray.host}"
    env = plugins.box.env(plugins.home, NO_PROXY=hosts, no_proxy=hosts, COLUMNS="300", PYTHONDONTWRITEBYTECODE="1")
    said = json.dumps({"storage": STORAGE, "path": f"ray/{style}"})
    command = [str(ray.command), "plugin", "run", "export", "--mode", "job", "--ray-address", f"ray://{ray.host}:10001"]
    done = subprocess.run(
        [*command, "--params", said], cwd=plugin, env=env, capture_output=True, text=True, timeout=STEP_S, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "SUCCEEDED" in done.stdout and plugins.box.token not in done.stdout + done.stderr
    assert plugins.there(f"ray/{style}/cars") == files(job.output)
