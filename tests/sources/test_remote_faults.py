"""What goes wrong at a remote place, and what a user is told: each fault with its code, no secret in any message."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from sources.access_cases import codes_of, listed
from sources.trees import Fault, Front, MemoryTree, S3Tree, cut_off, s3_error, s3_server, silence, status
from synapse_skills.errors import OutOfReach, UsageError, redact
from synapse_skills.sources import Inventory, Source, credentials_of, faults, open_store, reach
from synapse_skills.sources.address import parse_address


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between tries, not waited for."""
    waited: list[float] = []
    monkeypatch.setattr(faults, "_sleep", waited.append)
    return waited


@pytest.fixture(scope="module")
def s3() -> Iterator[Front]:
    with s3_server() as front:
        yield front


@pytest.fixture
def front(s3: Front) -> Iterator[Front]:
    s3.faults.clear()
    s3.asked.clear()
    yield s3
    s3.faults.clear()


@pytest.fixture
def tree(front: Front) -> S3Tree:
    return S3Tree()


# ---- S3


@pytest.mark.parametrize(
    ("fault", "code", "says"),
    [
        (s3_error(403, "AccessDenied"), "source-denied", "may not be read"),
        (s3_error(403, "InvalidAccessKeyId"), "source-login", "InvalidAccessKeyId"),
        (s3_error(403, "SignatureDoesNotMatch"), "source-login", "refused the login"),
        (s3_error(400, "ExpiredToken"), "source-login", "ExpiredToken"),
        (s3_error(301, "PermanentRedirect"), "source-region", "another region"),
        (s3_error(404, "NoSuchBucket"), "source-missing", "no such bucket"),
        (s3_error(400, "InvalidArgument"), "source-failed", "InvalidArgument"),
        (status(200, "<html>log in</html>", kind="text/html"), "source-missing", "is not there"),
    ],
)
def test_what_s3_refuses_is_asked_once(tree: S3Tree, front: Front, fault: Fault, code: str, says: str) -> None:
    tree.write("a.png")
    front.faults.append(fault)
    with pytest.raises(OutOfReach) as caught:
        # The second look of a page that holds nothing finds nothing either.
        front.faults.extend([status(404), status(200, "<html></html>")])
        reach(tree.source())
    assert (caught.value.code, caught.value.exit_code) == (code, 3)
    assert says in str(caught.value)
    assert caught.value.hint
    assert "a-very-secret-key" not in str(caught.value) + caught.value.hint


def test_a_burst_of_503_is_waited_for(
    tree: S3Tree, front: Front, pauses: list[float], inventory: Inventory, tmp_path: Path
) -> None:
    tree.write("a.png", b"12345")
    file = listed(tree, inventory)["a.png"]
    front.faults += [s3_error(503, "SlowDown"), s3_error(500, "InternalError"), status(502), status(429)]
    with reach(tree.source()) as way:
        assert len(pauses) == 4
        front.faults += [s3_error(503, "SlowDown")] * 3
        way.fetch(file, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"12345"
    assert len(pauses) == 7


def test_503_for_ever_ends(tree: S3Tree, front: Front, pauses: list[float]) -> None:
    front.faults += [s3_error(503, "SlowDown")] * 50
    assert codes_of(tree.source()) == "source-busy"
    assert len(pauses) == faults.TRIES - 1


def test_a_listing_that_stumbles_is_asked_again(
    tree: S3Tree, front: Front, inventory: Inventory, pauses: list[float]
) -> None:
    tree.write("a.png")
    with reach(tree.source()) as way:
        front.faults += [s3_error(503, "SlowDown"), cut_off({})]
        assert [name for name, _ in way.entries()] == ["a.png"]
    assert len(pauses) == 2


def test_a_body_that_is_cut_off_is_fetched_again(
    tree: S3Tree, front: Front, inventory: Inventory, tmp_path: Path
) -> None:
    tree.write("a.bin", b"1" * 1000)
    file = listed(tree, inventory)["a.bin"]
    with reach(tree.source()) as way:
        found = way.stat("a.bin")
        assert found == file
        front.asked.clear()
        front.faults += [cut_off({"Last-Modified": _http_date(file.mtime_ns), "ETag": _etag(b"1" * 1000)})] * 2
        way.fetch(file, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"1" * 1000
    assert len(front.asked) == 3


def test_a_page_in_place_of_an_object_is_asked_again(
    tree: S3Tree, front: Front, inventory: Inventory, tmp_path: Path
) -> None:
    """It has none of what S3 tells of each object."""
    tree.write("a.bin", b"1" * 1000)
    file = listed(tree, inventory)["a.bin"]
    page = status(200, "<html>log in</html>", kind="text/html")
    with reach(tree.source()) as way:
        front.faults += [page, cut_off({})]
        way.fetch(file, tmp_path / "out")
        front.faults += [page]
        assert way.stat("a.bin") == file
    assert (tmp_path / "out").read_bytes() == b"1" * 1000


def test_silence_is_a_timeout(tree: S3Tree, front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNAPSE_SOURCE_TIMEOUT_S", "0.1")
    front.faults += [silence(0.4)] * 10
    assert codes_of(tree.source()) == "source-timeout"


def test_nobody_there_and_no_tls(monkeypatch: pytest.MonkeyPatch, front: Front) -> None:
    monkeypatch.setenv("SYNAPSE_S3_ENDPOINT_URL", "http://127.0.0.1:9")
    assert codes_of(Source("s3://bucket/x")) == "source-unreachable"
    monkeypatch.setenv("SYNAPSE_S3_ENDPOINT_URL", f"https://127.0.0.1:{front.port}")
    assert codes_of(Source("s3://bucket/x")) == "source-tls"


def test_a_wrong_bucket_and_a_wrong_key_say_which_part_exists(tree: S3Tree) -> None:
    tree.write("ct/2026/a.png")
    for source, says in (
        (Source("s3://no-such-bucket-here/ct"), "no such bucket"),
        (tree.source("ct/2025"), f"s3://{tree.bucket}/data/ct exists"),
        (Source(f"s3://{tree.bucket}/dta/ct"), f"the bucket s3://{tree.bucket} exists"),
        (tree.source("ct/2026/a.png"), "is a file, not a folder"),
    ):
        with pytest.raises(OutOfReach) as caught:
            reach(source)
        assert says in str(caught.value)


def test_no_key_goes_missing_silently(tree: S3Tree, inventory: Inventory) -> None:
    odd = ["a//b.png", "/lead.png", "../up.png", "a/./b.png", "n" * 300, "file-with-slash/"]
    for key in odd:
        tree.write(key, b"12")
    for key in ("a/", "ok.png", "tab\there.png"):
        tree.write(key, b"" if key.endswith("/") else b"1")
    walk = inventory.walk([tree.source()])
    problems = {problem.code: problem for problem in walk.problems.as_list()}
    assert [file.path for file in inventory.files()] == ["ok.png", "tab\there.png"]
    assert problems["odd-key"].count == len(odd)
    assert problems["odd-key"].severity == "error"
    assert problems["control-character"].count == 1


def test_a_listing_needs_no_request_for_each_file(tree: S3Tree, front: Front, inventory: Inventory) -> None:
    for number in range(200):
        tree.write(f"{number % 7}/{number}.png")
    front.asked.clear()
    assert inventory.walk([tree.source()]).files == 200
    assert len(front.asked) == 2


def test_two_versions_of_one_second_differ(tree: S3Tree, inventory: Inventory) -> None:
    tree.write("a.png", b"1")
    first = listed(tree, inventory)["a.png"]
    tree.write("a.png", b"2")
    second = listed(tree, inventory)["a.png"]
    assert first.size == second.size
    assert first.mtime_ns != second.mtime_ns


@pytest.mark.parametrize("kind", ["memory", pytest.param("s3", marks=pytest.mark.heavy)])
def test_a_spread_sample_looks_into_every_folder(kind: str, front: Front, inventory: Inventory) -> None:
    tree = MemoryTree() if kind == "memory" else S3Tree()
    for number in range(2_300):
        tree.write(f"images/{number:05}.png")
    for number in range(30):
        tree.write(f"labels/{number:05}.json")
    walk = inventory.walk([tree.source()], limit=1_500, spread=True)
    folders = {file.path.partition("/")[0] for file in inventory.files()}
    assert (walk.complete, folders) == (False, {"images", "labels"})


def test_a_lost_answer_to_a_create_is_no_loss(tree: S3Tree, front: Front) -> None:
    with open_store(tree.url) as store:
        # It was written, and the answer did not arrive.
        tree.write("lock", b"mine")
        front.faults += [s3_error(503, "SlowDown")]
        assert store.create("lock", b"mine")
        front.faults += [s3_error(503, "SlowDown")]
        assert not store.create("lock", b"theirs")


@pytest.mark.heavy
def test_2500_objects_are_three_pages(tree: S3Tree, front: Front, inventory: Inventory) -> None:
    for number in range(2_500):
        tree.write(f"{number % 3}/{number:05}.png", b"12")
    front.asked.clear()
    walk = inventory.walk([tree.source()])
    assert (walk.files, walk.bytes, walk.folders) == (2_500, 5_000, 3)
    assert len(front.asked) == 4


@pytest.mark.heavy
def test_a_huge_file_streams_with_flat_memory(tree: S3Tree, inventory: Inventory, tmp_path: Path) -> None:
    # moto and the front hold it in this process: what counts is that the copy adds no second one.
    tree.write("huge.bin", b"\0" * (200 << 20))
    file = listed(tree, inventory)["huge.bin"]
    with reach(tree.source()) as way:
        way.fetch(file, tmp_path / "warm")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        way.fetch(file, tmp_path / "out")
    assert (tmp_path / "out").stat().st_size == 200 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10


# ---- logins


def _bare(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """A machine on which nobody has logged in anywhere."""
    import os

    for name in list(os.environ):
        if name.startswith(("SYNAPSE_S", "SYNAPSE_G", "SYNAPSE_H", "AWS_", "GOOGLE_", "SSH_", "KRB5", "STORAGE_EMUL")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(home / "gcloud"))


@pytest.mark.parametrize(
    ("url", "looked"),
    [
        ("s3://b/x", ["SYNAPSE_S3_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "~/.aws/credentials"]),
        ("gs://b/x", ["SYNAPSE_GCS_KEY", "SYNAPSE_GCS_KEY_FILE", "GOOGLE_APPLICATION_CREDENTIALS", "gcloud"]),
        ("sftp://me@h/x", ["SYNAPSE_SFTP_PASSWORD", "SYNAPSE_SFTP_KEY_FILE", "SSH_AUTH_SOCK", "~/.ssh"]),
        ("smb://me@h/share/x", ["SYNAPSE_SMB_USERNAME", "SYNAPSE_SMB_PASSWORD", "SYNAPSE_SMB_DOMAIN"]),
    ],
)
def test_a_missing_login_names_what_was_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, looked: list[str]
) -> None:
    _bare(monkeypatch, tmp_path)
    for call in (reach, credentials_of):
        with pytest.raises(OutOfReach) as caught:
            call(Source(url))
        assert caught.value.code == "source-login"
        assert all(name in caught.value.hint for name in looked)


def test_the_plan_can_say_which_login_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _bare(monkeypatch, tmp_path)
    assert credentials_of(Source(str(tmp_path))) == "none"
    assert credentials_of(Source("a/b", storage=11)) == "storage:11"
    assert credentials_of(Source("storage://11/a/b")) == "storage:11"
    assert credentials_of(Source("https://h/x")) == "anonymous"
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text(
        "[default]\naws_access_key_id=k\naws_secret_access_key=s\n[lab]\naws_access_key_id=k\naws_secret_access_key=s\n"
    )
    assert credentials_of(Source("s3://b")) == "profile default"
    monkeypatch.setenv("AWS_PROFILE", "lab")
    assert credentials_of(Source("s3://b")) == "profile lab"
    monkeypatch.setenv("SYNAPSE_S3_PROFILE", "nope")
    assert codes_of(Source("s3://b")) == "source-login"
    monkeypatch.setenv("SYNAPSE_S3_ACCESS_KEY_ID", "half-a-key")
    with pytest.raises(OutOfReach, match="SYNAPSE_S3_SECRET_ACCESS_KEY is not set") as caught:
        credentials_of(Source("s3://b"))
    assert "half-a-key" not in str(caught.value)
    monkeypatch.setenv("SYNAPSE_S3_SECRET_ACCESS_KEY", "the-other-half")
    assert credentials_of(Source("s3://b")) == "environment"
    monkeypatch.setenv("SYNAPSE_S3_ANONYMOUS", "1")
    assert credentials_of(Source("s3://b")) == "anonymous"


@pytest.mark.parametrize("content", ["not json", '{"private_key": "-----BEGIN SECRET-----"}', "[]"])
def test_a_key_that_is_none_is_not_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str) -> None:
    _bare(monkeypatch, tmp_path)
    (tmp_path / "key.json").write_text(content)
    for name, value in (("SYNAPSE_GCS_KEY", content), ("SYNAPSE_GCS_KEY_FILE", str(tmp_path / "key.json"))):
        monkeypatch.setenv(name, value)
        with pytest.raises(OutOfReach, match="is no key of a service account") as caught:
            credentials_of(Source("gs://b"))
        assert "SECRET-" not in str(caught.value)
        monkeypatch.delenv(name)


# ---- URLs


@pytest.mark.parametrize(
    ("url", "alternative"),
    [
        ("az://c/x", "blobfuse2"),
        ("abfs://c@a.dfs.core.windows.net/x", "blobfuse2"),
        ("ftp://h/x", "sftp://"),
        ("file:///data", "path"),
        ("hdfs://n/x", "copy"),
        ("nosuch://x", "folders are read"),
    ],
)
def test_other_kinds_are_refused_with_the_alternative(url: str, alternative: str) -> None:
    with pytest.raises(OutOfReach) as caught:
        reach(Source(url))
    assert caught.value.code == "source-not-supported"
    assert alternative in caught.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIAKEY:very-secret@bucket/x",
        "sftp://me:very-secret@host/x",
        "smb://dom;me:very-secret@host/share",
        "https://me:very-secret@host/x",
        "https://host/manifest.json?X-Amz-Signature=very-secret",
    ],
)
def test_a_secret_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    for call in (reach, credentials_of, lambda source: source.name(), lambda source: open_store(source.path)):
        with pytest.raises(UsageError) as caught:
            call(Source(url))
        assert caught.value.code == "source-secret"
        assert "very-secret" not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize(
    ("url", "text", "host", "path"),
    [
        ("S3://Bucket/a/b/", "s3://Bucket/a/b", "Bucket", "a/b"),
        ("s3a://b", "s3://b", "b", ""),
        ("gcs://b/x#1?y%20", "gs://b/x#1?y%20", "b", "x#1?y%20"),
        ("sftp://me@h:2222/data/한글", "sftp://me@h:2222/data/한글", "h", "data/한글"),
        ("sftp://[::1]:22/x", "sftp://[::1]:22/x", "[::1]", "x"),
        ("storage://7/a", "storage://7/a", "7", "a"),
    ],
)
def test_urls_are_split(url: str, text: str, host: str, path: str) -> None:
    address = parse_address(url)
    assert (str(address), address.host, address.path) == (text, host, path)
    assert parse_address(text) == address


@pytest.mark.parametrize("url", ["s3:///x", "sftp://h:port/x", "sftp://h:99999/x", "s3://b/../c", "gs://b/a/../../c"])
def test_urls_that_name_nothing_are_refused(url: str) -> None:
    assert codes_of(Source(url)) in ("source-missing", "source-outside")


def test_a_storage_never_leaves_its_root() -> None:
    assert codes_of(Source("../other", storage=3)) == "source-outside"


def test_a_url_is_not_a_folder_here(tmp_path: Path) -> None:
    with pytest.raises(OutOfReach) as caught:
        Source("s3://b/x").root()
    assert caught.value.code == "source-not-local"
    assert redact(json.dumps(Source("s3://b/x").name())) == '"s3://b/x"'


def _http_date(mtime_ns: int) -> str:
    from email.utils import formatdate

    return formatdate(mtime_ns // 1_000_000_000, usegmt=True)


def _etag(content: bytes) -> str:
    import hashlib

    return f'"{hashlib.md5(content).hexdigest()}"'
