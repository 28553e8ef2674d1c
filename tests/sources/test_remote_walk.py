"""The common cases over places elsewhere: memory every day, servers in `make test-all` (S3 also in the faults)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sources.access_cases import ODD, AccessCases, StoreCases
from sources.cases import WalkCases
from sources.trees import (
    Front,
    GcsTree,
    LocalTree,
    MemoryTree,
    S3Tree,
    SftpTree,
    SshServer,
    gcs_server,
    s3_server,
    ssh_server,
)


@pytest.fixture(scope="module")
def s3() -> Iterator[Front]:
    with s3_server() as front:
        yield front


@pytest.fixture(scope="module")
def gcs() -> Iterator[tuple[Front, Any]]:
    with gcs_server() as server:
        yield server


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("ssh")) as server:
        yield server


class TestLocalAccess(AccessCases, StoreCases):
    @pytest.fixture
    def tree(self, tmp_path: Path) -> LocalTree:
        return LocalTree(tmp_path / "tree")


class TestMemory(WalkCases, AccessCases, StoreCases):
    @pytest.fixture
    def tree(self) -> MemoryTree:
        return MemoryTree()


@pytest.mark.heavy
class TestS3Access(AccessCases, StoreCases):
    @pytest.fixture
    def tree(self, s3: Front) -> S3Tree:
        return S3Tree()


@pytest.mark.heavy
class TestS3Walk(WalkCases):
    @pytest.fixture
    def tree(self, s3: Front) -> S3Tree:
        return S3Tree()


@pytest.mark.heavy
class TestGcs(WalkCases, AccessCases, StoreCases):
    # The emulator knows no conditions on a write, and fails on one without content.
    exclusive_is_atomic = False
    takes_empty_files = False

    @pytest.fixture
    def tree(self, gcs: tuple[Front, Any]) -> GcsTree:
        return GcsTree(gcs[1])


@pytest.mark.heavy
class TestSftp(WalkCases, AccessCases, StoreCases):
    odd = ODD

    @pytest.fixture
    def tree(self, ssh: SshServer) -> SftpTree:
        return SftpTree(ssh.root, f"t{uuid.uuid4().hex}", ssh.port)
