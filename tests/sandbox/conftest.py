"""One sandbox a module: each test finds it with its first settings and without faults, but with the others' data."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sandbox_fixture import SEED, Sandbox, sandboxes
from synapse_sdk.clients.backend import BackendClient

PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x56\xc7\x2f\x0d\x00\x00\x00\x00IEND\xaeB`\x82"
)


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
