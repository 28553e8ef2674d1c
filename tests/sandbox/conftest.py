"""One sandbox a module: each test finds it with its first settings and without faults, but with the others' data."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from synapse_sdk.clients.backend import BackendClient

from sandbox_fixture import PNG, SEED, Sandbox, sandboxes


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandboxes(tmp_path_factory.mktemp("shared")) as start:
        yield start(seed=SEED)


@pytest.fixture
def box(shared: Sandbox) -> Iterator[Sandbox]:
    first = shared.settings()
    shared.reset_stats()
    yield shared
    shared.set_faults()
    shared.set(**first)


@pytest.fixture
def client(box: Sandbox) -> Iterator[BackendClient]:
    with BackendClient(box.host, access_token=box.token) as made:
        yield made


@pytest.fixture
def files(box: Sandbox) -> dict[str, dict[str, str]]:
    """The files of one fit data unit, uploaded."""
    return {
        "image_1": {"checksum": box.put_file("a.png", PNG), "path": "one/a.png"},
        "label_1": {"checksum": box.put_file("a.json", b"{}"), "path": "one/a.json"},
    }
