"""One sandbox for all conversations; each user has a folder of their own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from forked import Forked
from planning.conversation import SEED, User
from planning.export_talk import SEED as EXPORT_SEED
from planning.export_talk import Exporter
from sandbox_fixture import Sandbox, sandboxes
from synapse_skills.planning import dryrun


@pytest.fixture(scope="session")
def planning_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandboxes(tmp_path_factory.mktemp("planning")) as start:
        yield start(seed=SEED)


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> User:
    """A user without a login."""
    (tmp_path / "me").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setattr("synapse_sdk.utils.auth.CONFIG_FILE", tmp_path / "me/.synapse/config.json")
    for name in ("SYNAPSE_HOST", "SYNAPSE_ACCESS_TOKEN", "SYNAPSE_PLUGIN_RUN_USER_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path / "work")
    return User(tmp_path / "work")


def forked_script(
    command: Sequence[str], environment: Mapping[str, str], folder: Path
) -> subprocess.CompletedProcess[bytes]:
    """The dry run in a forked child: a process of its own, without the seconds that imports take."""
    child = Forked(Path(command[1]), list(command[2:]), environment, folder)
    out, error = child.communicate()
    return subprocess.CompletedProcess(command, child.returncode or 0, out.encode(), error.encode())


@pytest.fixture
def user(real_user: User, monkeypatch: pytest.MonkeyPatch) -> User:
    """A user who is logged in; dry runs are forked."""
    monkeypatch.setattr(dryrun, "run_script", forked_script)
    return real_user


@pytest.fixture
def real_user(nobody: User, planning_box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> User:
    """A user who is logged in; dry runs start Python anew, with the library beside the script."""
    monkeypatch.setenv("SYNAPSE_HOST", planning_box.host)
    monkeypatch.setenv("SYNAPSE_ACCESS_TOKEN", planning_box.token)
    return nobody


@pytest.fixture(scope="session")
def export_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandboxes(tmp_path_factory.mktemp("exports")) as start:
        yield start(seed=EXPORT_SEED)


@pytest.fixture
def exporter(nobody: User, export_box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Exporter:
    """A user who is logged in where there is labelled work; dry runs are forked."""
    monkeypatch.setenv("SYNAPSE_HOST", export_box.host)
    monkeypatch.setenv("SYNAPSE_ACCESS_TOKEN", export_box.token)
    monkeypatch.setattr(dryrun, "run_script", forked_script)
    return Exporter(nobody.folder)
