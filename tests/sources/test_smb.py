"""SMB against Debian's Samba: the common cases, and what only a share can answer. Skipped where there is no smbd."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from sources.access_cases import ODD, AccessCases, StoreCases, codes_of, listed
from sources.cases import WalkCases
from sources.smb_server import OTHER, PASSWORD, SmbServer, SmbTree, smb_server
from synapse_skills.errors import FindingError, OutOfReach
from synapse_skills.sources import FileChanged, Inventory, Source, credentials_of, faults, open_store, reach

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def smb() -> Iterator[SmbServer]:
    with smb_server() as server:
        yield server


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr(faults, "_sleep", waited.append)
    return waited


@pytest.fixture
def tree(smb: SmbServer) -> SmbTree:
    return SmbTree(smb, f"t{uuid.uuid4().hex}")


_ODD = [name for name in ODD if not set(name) & set('?"*:<>|\\')]


class TestSmb(WalkCases, AccessCases, StoreCases):
    odd = _ODD
    odd_name = "한글#%.json"

    @pytest.fixture
    def tree(self, smb: SmbServer) -> SmbTree:
        return SmbTree(smb, f"t{uuid.uuid4().hex}")


def test_a_wrong_password_is_said_without_it(tree: SmbTree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.write("a.png")
    monkeypatch.setenv("SYNAPSE_SMB_PASSWORD", "a-wrong-password")
    with pytest.raises(OutOfReach) as caught:
        reach(tree.source())
    assert caught.value.code == "source-login"
    assert "SYNAPSE_SMB_PASSWORD" in caught.value.hint
    assert "a-wrong-password" not in str(caught.value)
    monkeypatch.setenv("SYNAPSE_SMB_PASSWORD", PASSWORD)
    monkeypatch.setenv("SYNAPSE_SMB_USERNAME", "no-such-user")
    assert codes_of(tree.source()) == "source-login"
    # The user of the URL counts, not that of the variables.
    named = Source(tree.url.replace("smb://", "smb://root@"))
    assert credentials_of(named) == "environment"
    reach(named).close()


def test_a_wrong_share_folder_and_host_are_told_apart(tree: SmbTree, pauses: list[float]) -> None:
    tree.write("a.png")
    host = tree.url.rpartition("/data/")[0]
    for url, code, says in (
        (f"{host}/nope/x", "source-missing", "no such bucket or share"),
        (f"{host}/data/nope/x", "source-missing", "the share \\\\127.0.0.1\\data exists"),
        (host, "source-missing", "names no share"),
        (f"{tree.url}/a.png", "source-not-a-folder", "is a file"),
        (f"{tree.url}/a?b", "source-failed", "no names with any of"),
    ):
        with pytest.raises(OutOfReach) as caught:
            reach(Source(url))
        assert (caught.value.code, says in str(caught.value)) == (code, True), str(caught.value)
    assert not pauses
    assert codes_of(Source("smb://127.0.0.1:9/data/x")) == "source-unreachable"
    assert len(pauses) == faults.TRIES - 1


def test_what_another_may_not_read_is_named(
    tree: SmbTree, inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.write("open/a.png")
    tree.write("open/shut.png")
    tree.write("closed/b.png")
    monkeypatch.setenv("SYNAPSE_SMB_USERNAME", OTHER)
    (tree.root / "closed").chmod(0o700)
    (tree.root / "open/shut.png").chmod(0o600)
    walk = inventory.walk([tree.source()])
    assert {problem.code: problem.count for problem in walk.problems.as_list()} == {"unreadable-folder": 1}
    files = {file.path: file for file in inventory.files()}
    with reach(tree.source()) as way:
        way.fetch(files["open/a.png"], tmp_path / "out")
        with pytest.raises(OutOfReach) as caught:
            way.fetch(files["open/shut.png"], tmp_path / "out")
        assert caught.value.code == "source-denied"
    assert codes_of(tree.source("closed")) == "source-denied"
    assert codes_of(Source(tree.url.replace("/data/", "/closed/"))) == "source-denied"
    with open_store(tree.url) as store, pytest.raises(OutOfReach) as caught:
        store.write("state/x", b"1")
    assert caught.value.code == "source-denied"


def test_a_server_that_comes_back_is_asked_again(
    tree: SmbTree, smb: SmbServer, inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.write("a.bin", b"1" * 100_000)
    file = listed(tree, inventory)["a.bin"]
    with reach(tree.source()) as way:
        smb.stop()
        monkeypatch.setattr(faults, "_sleep", lambda seconds: smb.start())
        way.fetch(file, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"1" * 100_000


def test_a_server_that_stays_away_is_said(
    tree: SmbTree, smb: SmbServer, inventory: Inventory, tmp_path: Path, pauses: list[float]
) -> None:
    tree.write("a.bin", b"1" * 100_000)
    file = listed(tree, inventory)["a.bin"]
    try:
        with reach(tree.source()) as way:
            smb.stop()
            with pytest.raises(OutOfReach) as caught:
                way.fetch(file, tmp_path / "out")
    finally:
        smb.start()
    assert caught.value.code in ("source-unreachable", "source-cut")
    assert len(pauses) == faults.TRIES - 1


def test_silence_ends(
    tree: SmbTree, smb: SmbServer, inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.write("a.bin", b"1" * 100_000)
    file = listed(tree, inventory)["a.bin"]
    monkeypatch.setenv("SYNAPSE_SOURCE_TIMEOUT_S", "0.2")
    monkeypatch.delenv("SMB_EXPERIMENTAL_TRANSPORT_RECEIVE_TIMEOUT", raising=False)
    try:
        with reach(tree.source()) as way:
            smb.pause(going=False)
            with pytest.raises(OutOfReach) as caught:
                way.fetch(file, tmp_path / "out")
            smb.pause(going=True)
    finally:
        smb.pause(going=True)
    assert caught.value.code == "source-timeout"


def test_a_big_file_comes_whole(tree: SmbTree, inventory: Inventory, tmp_path: Path, pauses: list[float]) -> None:
    content = bytes(range(256)) * (40 << 12)
    tree.write("big.bin", content)
    file = listed(tree, inventory)["big.bin"]
    with reach(tree.source()) as way:
        way.fetch(file, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == content
    with open_store(tree.url) as store:
        store.write("copy.bin", tmp_path / "out")
    assert (tree.root / "copy.bin").read_bytes() == content
    assert not pauses


def test_names_keep_their_form(tree: SmbTree, inventory: Inventory, tmp_path: Path) -> None:
    composed, apart = "환자.png", unicodedata.normalize("NFD", "환자.png")
    tree.write(composed, b"1")
    tree.write(apart, b"22")
    with reach(tree.source()) as way:
        for name, file in listed(tree, inventory).items():
            way.fetch(file, tmp_path / "out")
            assert (tmp_path / "out").read_bytes() == {composed: b"1", apart: b"22"}[name]


def test_a_file_of_the_same_size_that_changed_is_refused(tree: SmbTree, inventory: Inventory, tmp_path: Path) -> None:
    tree.write("a.png", b"1")
    file = listed(tree, inventory)["a.png"]
    tree.write("a.png", b"2")
    with reach(tree.source()) as way, pytest.raises(FileChanged):
        way.fetch(file, tmp_path / "out")


def test_links_never_lead_out(tree: SmbTree, inventory: Inventory, smb: SmbServer) -> None:
    (smb.root.parent / "secret.txt").write_text("x")
    tree.write("a.png", b"123")
    (tree.root / "out.png").symlink_to(smb.root.parent / "secret.txt")
    (tree.root / "broken.png").symlink_to("nothing")
    assert list(listed(tree, inventory)) == ["a.png"]
    with reach(tree.source()) as way, pytest.raises((FindingError, OutOfReach)):
        way.open("out.png")
