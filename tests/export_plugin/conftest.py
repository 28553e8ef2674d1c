"""Plugins against one sandbox; snapshots that are read in a review."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from export_plugin.running import STORAGE, Plugins
from sandbox_fixture import sandboxes, seed_with
from snapshots import PythonFile, YamlFile


@pytest.fixture
def page_snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(PythonFile)


@pytest.fixture
def yaml_snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(YamlFile)


@pytest.fixture(scope="module")
def plugin_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One sandbox for all tests of a module, with a project for each of them."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "store").mkdir()
    storage = {"id": STORAGE, "name": "Main", "category": "internal", "provider": "file_system", "is_default": True}
    storage |= {"configuration": {"location": str(folder / "store")}}
    projects = [{"id": number, "title": f"project {number}"} for number in range(1, 60)]
    with sandboxes(folder) as start:
        box: Any = start(seed=seed_with(projects=projects, storages=[storage]))
        box.next_project = itertools.count(1)
        box.store = folder / "store"
        yield box


@pytest.fixture
def plugins(tmp_path: Path, plugin_box: Any) -> Iterator[Plugins]:
    settings = plugin_box.settings()
    yield Plugins(tmp_path, plugin_box, plugin_box.store)
    plugin_box.set_faults()
    plugin_box.set(**{key: value for key, value in settings.items() if plugin_box.settings()[key] != value})
