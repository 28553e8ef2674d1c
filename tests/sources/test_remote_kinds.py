"""SFTP logins, manifests of web servers, storages of the backend: what only one kind of place has."""

from __future__ import annotations

import functools
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sandbox_fixture import Sandbox, seed_with
from sources.access_cases import codes_of
from sources.trees import S3Tree, SftpTree, SshServer, s3_server, ssh_server
from synapse_skills.errors import FindingError, OutOfReach
from synapse_skills.sources import FileChanged, Inventory, Source, credentials_of, faults, open_store, reach


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "_sleep", lambda seconds: None)


# ---- SFTP


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("ssh")) as server:
        yield server


@pytest.fixture
def files(ssh: SshServer, tmp_path: Path) -> SftpTree:
    tree = SftpTree(ssh.root, f"t{tmp_path.name}", ssh.port)
    tree.write("a.png", b"123")
    return tree


@pytest.mark.heavy
def test_a_key_logs_in(files: SftpTree, ssh: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYNAPSE_SFTP_PASSWORD")
    plain = ssh.user_key.export_private_key().decode()
    locked = ssh.user_key.export_private_key("pkcs8-pem", passphrase="a-passphrase")
    monkeypatch.setenv("SYNAPSE_SFTP_KEY", plain)
    assert reach(files.source()).credentials == "environment"
    monkeypatch.delenv("SYNAPSE_SFTP_KEY")
    (tmp_path / "key").write_bytes(locked)
    monkeypatch.setenv("SYNAPSE_SFTP_KEY_FILE", str(tmp_path / "key"))
    assert codes_of(files.source()) == "source-login"
    monkeypatch.setenv("SYNAPSE_SFTP_KEY_PASSPHRASE", "a-passphrase")
    assert reach(files.source()).credentials == "key file"
    monkeypatch.setenv("SYNAPSE_SFTP_KEY_FILE", str(tmp_path / "nope"))
    assert codes_of(files.source()) == "source-login"


@pytest.mark.heavy
def test_a_wrong_password_is_said_without_it(files: SftpTree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNAPSE_SFTP_PASSWORD", "a-wrong-password")
    with pytest.raises(OutOfReach, match="refused the login: as someone") as caught:
        reach(files.source())
    assert caught.value.code == "source-login"
    assert "a-wrong-password" not in str(caught.value)


@pytest.mark.heavy
def test_an_unknown_host_and_another_key_are_refused(
    files: SftpTree, ssh: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncssh

    known = tmp_path / "known"
    monkeypatch.setenv("SYNAPSE_SFTP_KNOWN_HOSTS", str(known))
    known.write_text("")
    assert codes_of(files.source()) == "source-host-key"
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    known.write_text(f"[127.0.0.1]:{ssh.port} {other}")
    assert codes_of(files.source()) == "source-host-key"
    # On the cluster there is no file: the key itself travels.
    monkeypatch.delenv("SYNAPSE_SFTP_KNOWN_HOSTS")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert codes_of(files.source()) == "source-host-key"
    monkeypatch.setenv("SYNAPSE_SFTP_HOST_KEY", ssh.host_key.export_public_key().decode())
    reach(files.source()).close()
    monkeypatch.setenv("SYNAPSE_SFTP_HOST_KEY", "not a key")
    assert codes_of(files.source()) == "source-host-key"


@pytest.mark.heavy
def test_links_out_and_closed_folders_are_problems(files: SftpTree, ssh: SshServer, inventory: Inventory) -> None:
    files.write("closed/x.png")
    (ssh.root / "outside.txt").write_text("x")
    (files.root / "out.png").symlink_to("../outside.txt")
    (files.root / "in.png").symlink_to("a.png")
    (files.root / "broken.png").symlink_to("nothing")
    name = files.root.name
    ssh.denied.add(f"{name}/closed")
    walk = inventory.walk([files.source()])
    assert {p.code: p.count for p in walk.problems.as_list()} == {
        "unreadable-folder": 1,
        "link-outside": 1,
        "link-broken": 1,
    }
    assert [(file.path, file.size) for file in inventory.files()] == [("a.png", 3), ("in.png", 3)]
    with reach(files.source()) as way, pytest.raises(FindingError):
        way.open("out.png")
    ssh.denied.add(name)
    assert codes_of(files.source()) == "source-denied"


def test_a_lost_connection_is_made_again(files: SftpTree, ssh: SshServer, inventory: Inventory, tmp_path: Path) -> None:
    inventory.walk([files.source()])
    (file,) = inventory.files()
    with reach(files.source()) as way:
        ssh.lost = 2
        way.fetch(file, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"123"


def test_a_listing_that_breaks_off_is_said_and_the_next_is_whole(
    files: SftpTree, ssh: SshServer, inventory: Inventory
) -> None:
    for number in range(40):
        files.write(f"{number % 4}/{number}.png")
    ssh.names_left = 30
    with pytest.raises(OutOfReach) as caught:
        inventory.walk([files.source()])
    assert caught.value.code in ("source-cut", "source-unreachable")
    assert files.root.name in str(caught.value)
    assert inventory.last_walk([files.source()]) is None
    assert inventory.walk([files.source()]).files == 41


def test_nobody_answers_ssh() -> None:
    assert codes_of(Source("sftp://me@127.0.0.1:9/x")) in ("source-unreachable", "source-login")


# ---- web servers


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    root = tmp_path / "web"
    root.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield root, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("kind", ["json", "list", "csv", "tsv"])
def test_a_manifest_says_what_there_is(web: tuple[Path, str], inventory: Inventory, tmp_path: Path, kind: str) -> None:
    root, url = web
    contents = {"a/한글 #1.png": b"12345", "a/b.json": b"{}", "c.txt": b""}
    for name, content in contents.items():
        (root / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "data" / name).write_bytes(content)
    rows = [{"path": name, "bytes": len(content), "sha256": _sha256(content)} for name, content in contents.items()]
    del rows[1]["sha256"]
    where = f"{url}/data"
    if kind in ("json", "list"):
        (root / "data/manifest.json").write_text(json.dumps({"files": rows} if kind == "json" else rows))
    else:
        mark = "," if kind == "csv" else "\t"
        lines = [mark.join(("path", "bytes", "sha256")), *(mark.join(str(v) for v in row.values()) for row in rows)]
        (root / f"data/files.{kind}").write_text("\n".join(lines))
        where += f"/files.{kind}"
    source = Source(where)
    walk = inventory.walk([source])
    assert (walk.files, walk.bytes, walk.folders, list(walk.problems.as_list())) == (3, 7, 1, [])
    with reach(source) as way:
        for file in inventory.files():
            way.fetch(file, tmp_path / "out")
            assert (tmp_path / "out").read_bytes() == contents[file.path]
            assert way.is_unchanged(file)
        (root / "data/a/한글 #1.png").write_bytes(b"54321")
        with pytest.raises(FileChanged):
            way.fetch(next(file for file in inventory.files() if file.size == 5), tmp_path / "out")


def test_no_row_of_a_manifest_goes_missing(web: tuple[Path, str], inventory: Inventory) -> None:
    root, url = web
    rows: list[Any] = [
        {"path": "ok.png", "bytes": 1},
        {"path": "ok.png", "bytes": 1},
        {"path": "../up.png", "bytes": 1},
        {"path": "http://elsewhere/x.png", "bytes": 1},
        {"path": "no-size.png"},
        {"path": "bad.png", "bytes": 1, "sha256": "zz"},
        {"bytes": 3},
        "text",
    ]
    (root / "manifest.json").write_text(json.dumps(rows))
    walk = inventory.walk([Source(url)])
    found = {problem.code: problem.count for problem in walk.problems.as_list()}
    assert (walk.files, found) == (1, {"bad-row": 4, "listed-twice": 1, "odd-key": 2})


@pytest.mark.parametrize("content", ["{", "[1", '{"files": 3}', '"x"'])
def test_a_manifest_that_is_none_is_said(web: tuple[Path, str], inventory: Inventory, content: str) -> None:
    root, url = web
    with pytest.raises(OutOfReach, match="no manifest") as caught:
        reach(Source(url))
    assert "path,bytes,sha256" in caught.value.hint
    (root / "manifest.json").write_text(content)
    with pytest.raises(OutOfReach, match="its manifest") as caught:
        inventory.walk([Source(url)])
    assert "sha256" in caught.value.hint
    with open_store(url) as store, pytest.raises(OutOfReach, match="can't be written to"):
        store.write("a", b"x")


# ---- storages of the backend


def _storage(provider: str, **configuration: Any) -> dict[str, Any]:
    return {"id": 12, "name": "x", "category": "external", "provider": provider, "configuration": configuration}


Start = Callable[..., Sandbox]


def _log_in(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNAPSE_HOST", box.host)
    monkeypatch.setenv("SYNAPSE_ACCESS_TOKEN", box.token)


@pytest.mark.heavy
def test_a_path_in_a_storage_is_read_and_written_with_its_session(
    sandbox_factory: Start, monkeypatch: pytest.MonkeyPatch, inventory: Inventory, ssh: SshServer, files: SftpTree
) -> None:
    with s3_server():
        import os

        tree = S3Tree()
        tree.write("ct/a.png", b"12")
        bucket = _storage(
            "minio",
            bucket_name=tree.bucket,
            access_key="a-storage-key",
            secret_key="a-storage-secret",
            endpoint_url=os.environ["SYNAPSE_S3_ENDPOINT_URL"],
        )
        host = _storage(
            "sftp", host="127.0.0.1", port=ssh.port, username="someone", password="a-long-password", root_path="/"
        )
        azure = _storage("azure", account="x")
        local = _storage("file_system", location=str(files.root))
        storages = [bucket, {**host, "id": 13}, {**azure, "id": 14}, {**local, "id": 15}]
        storages += [{**bucket, "id": 16, "configuration": {"bucket_name": "b"}}]
        _log_in(sandbox_factory(seed=seed_with(storages=storages)), monkeypatch)
        for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "ENDPOINT_URL"):
            monkeypatch.delenv(f"SYNAPSE_S3_{name}")
        sources = [
            Source("data/ct", storage=12),
            Source(f"storage://13/{files.root.name}"),
            Source("", storage=15),
        ]
        walk = inventory.walk(sources)
        assert [(file.source, file.path) for file in inventory.files()] == [(0, "a.png"), (1, "a.png"), (2, "a.png")]
        assert (walk.files, [credentials_of(each) for each in sources]) == (
            3,
            ["storage:12", "storage:13", "storage:15"],
        )
        for source in sources:
            with reach(source) as way, way.open("a.png") as stream:
                assert stream.read() in (b"12", b"123")
        with open_store("state", storage=12) as store:
            store.write("x", b"1")
        assert "state/x" in [key.removeprefix("data/") for key in tree.keys]
        assert codes_of(Source("x", storage=14)) == "source-not-supported"
        assert codes_of(Source("x", storage=16)) == "source-login"
        assert codes_of(Source("nope", storage=12)) == "source-missing"
        with pytest.raises(FindingError) as caught:
            reach(Source("x", storage=99))
        assert caught.value.code == "no-storage"
