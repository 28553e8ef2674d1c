"""A cluster that takes jobs, a user who may submit them, and nobody who waits."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import synapse_sdk.utils.auth

from cluster.fake_ray import FakeRay
from cluster.ready import Cli, Ready, write_config
from rendering.plans import plan
from synapse_skills import environment
from synapse_skills.rendering import render_job

ending = importlib.import_module("synapse_skills.cluster.ending")
places = importlib.import_module("synapse_skills.cluster.places")
status = importlib.import_module("synapse_skills.cluster.status")
submit = importlib.import_module("synapse_skills.cluster.submit")


@pytest.fixture
def ray() -> Iterator[FakeRay]:
    fake = FakeRay()
    try:
        yield fake
    finally:
        fake.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks follow each other at once."""
    monkeypatch.setattr(ending, "EVERY_S", 0.02)
    monkeypatch.setattr(status, "_STOP_EVERY", 0.02)
    monkeypatch.setattr(submit, "_LOOK_AGAIN", (0.0, 0.05))


@pytest.fixture
def user(tmp_path: Path, ray: FakeRay, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder whose config.json has a login and an agent, and an environment without any of ours."""
    home = tmp_path / "user"
    (home / ".synapse").mkdir(parents=True)
    config = home / ".synapse" / "config.json"
    write_config(config)
    for name in list(os.environ):
        if name.startswith(("SYNAPSE_", "RAY_", "AWS_")) and name != "SYNAPSE_SKILLS_TEST_DATA":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(synapse_sdk.utils.auth, "CONFIG_FILE", config)
    monkeypatch.setattr(environment, "DASHBOARD_PORT", ray.port)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: object() if name == "ray" else found(name, *more)
    )
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job folder to copy, with so much of the library that a test is quick; one test takes all of it."""
    folder = render_job(plan(), tmp_path_factory.mktemp("rendered") / "job").folder
    for room in (folder / "synapse_skills").iterdir():
        if room.is_dir():
            shutil.rmtree(room)
    return folder


@pytest.fixture
def ready(tmp_path: Path, user: Path, rendered: Path, monkeypatch: pytest.MonkeyPatch) -> Ready:
    # The tests' own folder is a temporary one, which is warned of.
    monkeypatch.setattr(places, "_TEMPORARY", ())
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(places.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    return Ready(tmp_path / "synapse-jobs" / "scans", tmp_path / "shared" / "scans", rendered)


@pytest.fixture
def cli(tmp_path: Path, ray: FakeRay, user: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    made = Cli(tmp_path / "bin", ray.url)
    monkeypatch.setattr(submit, "cli_command", lambda: [str(made.script)])
    return made
