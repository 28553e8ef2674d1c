"""The demo of the cluster: what it needs is said at once, and for real every data unit is there once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import demo_ray
from launcher.environments import environment
from launcher.messages import LaunchError
from synapse_skills.errors import EXIT_ENVIRONMENT, EXIT_OK, EXIT_USAGE

DEMO = Path(demo_ray.__file__)


def shown(python: str, folder: Path, seconds: float, **more: str) -> tuple[int, Any, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SYNAPSE_", "RAY_"))}
    nowhere = "http://127.0.0.1:9"
    env = kept | {"SYNAPSE_HOST": nowhere, "SYNAPSE_ACCESS_TOKEN": "users-own-token", "HTTP_PROXY": nowhere, **more}
    done = subprocess.run(
        [python, str(DEMO), "--out", str(folder), "--json"], capture_output=True, text=True, timeout=seconds, env=env,
        check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def test_without_ray_it_says_how_to_get_it(tmp_path: Path) -> None:
    if (Path(sys.executable).parent / "ray").exists():
        pytest.skip("Ray is in this environment")
    code, document, _ = shown(sys.executable, tmp_path / "out", 60)
    assert (code, document["error"]["code"]) == (EXIT_ENVIRONMENT, "no-ray")
    assert "run.py" in document["error"]["hint"]
    # The folder is a demo's now, and nothing else's.
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    code, document, _ = shown(sys.executable, tmp_path / "other", 60)
    assert (code, document["error"]["code"]) == (EXIT_USAGE, "folder-not-ours")
    assert (tmp_path / "other" / "mine.txt").read_text() == "mine"


@pytest.mark.heavy
def test_everything_is_there_once_whatever_was_stopped_and_killed(tmp_path: Path) -> None:
    try:
        python = environment("ray")
    except LaunchError as error:
        pytest.skip(f"no environment with Ray: {error} {error.hint}")
    code, document, said = shown(python, tmp_path / "out", 1200)
    if code == EXIT_ENVIRONMENT and document["error"]["code"] == "ray-no-room":
        pytest.skip(document["error"]["message"])
    assert code == EXIT_OK, (document, said)
    assert (document["units"], document["files"], document["again"]) == (17, 41, 0)
    assert document["last"] + document["known"] == document["many"] == demo_ray.MANY
    assert 0 < document["stopped"] <= document["known"] < demo_ray.MANY
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_dir() or b"users-own-token" not in path.read_bytes(), path
