"""Google Cloud Storage and web servers that refuse, stumble or fall silent: what a user is told, and what goes on.

The emulator behind the common cases of GCS knows no refusals: here a few lines speak the two calls of its JSON API.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from sources.access_cases import codes_of
from sources.trees import Fault, cut_off, silence, status
from synapse_skills.errors import OutOfReach
from synapse_skills.sources import File, FileVanished, Inventory, Source, faults, open_store, reach

PAGE = 1_000


class Place:
    """A server of files by name; `faults` are answered first, `asked` is what was wanted."""

    def __init__(self, answer: Callable[[Place, BaseHTTPRequestHandler], None]) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.asked: list[str] = []
        place = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                place.asked.append(self.path)
                if place.faults:
                    place.faults.pop(0)(self)
                else:
                    answer(place, self)

            do_HEAD = do_GET

            def log_message(self, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _gcs(place: Place, handler: BaseHTTPRequestHandler) -> None:
    """Objects of the bucket `scans`: a page of names, a description, the bytes."""
    url = urlsplit(handler.path)
    asked = {name: values[0] for name, values in parse_qs(url.query).items()}
    bucket, _, name = url.path.removeprefix("/storage/v1/b/").partition("/o")
    if bucket != "scans":
        return _no(404, "The specified bucket does not exist.")(handler)
    if not name:
        names = sorted(each for each in place.files if each.startswith(asked["prefix"]))
        first, most = int(asked.get("pageToken", 0)), int(asked["maxResults"])
        page: dict[str, Any] = {"items": [_row(each, place.files[each]) for each in names[first : first + most]]}
        if first + most < len(names):
            page["nextPageToken"] = str(first + most)
        return status(200, json.dumps(page), kind="application/json")(handler)
    content = place.files.get(unquote(name[1:]))
    if content is None:
        return _no(404, "No such object")(handler)
    if asked.get("alt") == "media":
        return status(200, content.decode(), kind="text/plain")(handler)
    return status(200, json.dumps(_row(name, content)), kind="application/json")(handler)


def _row(name: str, content: bytes) -> dict[str, str]:
    return {"name": name, "size": str(len(content)), "generation": "7", "timeCreated": "2026-01-02T03:04:05Z"}


def _no(code: int, message: str, reason: str = "") -> Fault:
    error = {"error": {"message": message, "errors": [{"reason": reason}]}}
    return status(code, json.dumps(error), kind="application/json")


def _plain(place: Place, handler: BaseHTTPRequestHandler) -> None:
    content = place.files.get(unquote(handler.path[1:]))
    status(404 if content is None else 200, (content or b"").decode(), kind="text/plain")(handler)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr(faults, "_sleep", waited.append)
    return waited


@pytest.fixture(scope="module")
def _gcs_server() -> Iterator[Place]:
    place = Place(_gcs)
    yield place
    place.stop()


@pytest.fixture
def gcs(_gcs_server: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("SYNAPSE_GCS_ENDPOINT_URL", f"http://{_gcs_server.host}")
    monkeypatch.setenv("SYNAPSE_GCS_ANONYMOUS", "1")
    _gcs_server.files = {"ct/a.png": b"12345"}
    _gcs_server.faults.clear()
    _gcs_server.asked.clear()
    return _gcs_server


@pytest.fixture(scope="module")
def _web_server() -> Iterator[Place]:
    place = Place(_plain)
    yield place
    place.stop()


@pytest.fixture
def web(_web_server: Place) -> Place:
    rows = [{"path": "a.png", "bytes": 5}, {"path": "b.png", "bytes": 2}]
    _web_server.files = {"manifest.json": json.dumps(rows).encode(), "a.png": b"12345", "b.png": b"12"}
    _web_server.faults.clear()
    return _web_server


BUCKET = Source("gs://scans/ct")


# ---- Google Cloud Storage


@pytest.mark.parametrize(
    ("fault", "code", "says"),
    [
        (_no(403, "me@x does not have storage.objects.list access"), "source-denied", "storage.objects.list"),
        (_no(401, "Invalid Credentials"), "source-login", "Invalid Credentials"),
        (_no(404, "The specified bucket does not exist."), "source-missing", "no such bucket"),
        (_no(400, "Invalid argument"), "source-failed", "Invalid argument"),
        (status(200, "<html>log in</html>", kind="text/html"), "source-failed", "not Google Cloud Storage"),
    ],
)
def test_what_gcs_refuses_is_asked_once(gcs: Place, pauses: list[float], fault: Fault, code: str, says: str) -> None:
    gcs.faults.append(fault)
    with pytest.raises(OutOfReach, match=says) as caught:
        reach(BUCKET)
    assert (caught.value.code, caught.value.exit_code, bool(caught.value.hint)) == (code, 3, True)
    assert not pauses


def test_a_burst_of_503_and_of_limits_is_waited_for(
    gcs: Place, pauses: list[float], inventory: Inventory, tmp_path: Path
) -> None:
    gcs.faults += [status(503), status(502), _no(403, "slower", "rateLimitExceeded"), status(429)]
    walk = inventory.walk([BUCKET])
    assert (walk.files, len(pauses)) == (1, 4)
    (file,) = inventory.files()
    with reach(BUCKET) as way:
        gcs.faults += [status(503), status(500)]
        way.fetch(file, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"12345"
    gcs.faults += [status(503)] * 50
    assert codes_of(BUCKET) == "source-busy"


def test_a_wrong_bucket_and_prefix_say_which_part_exists(gcs: Place) -> None:
    gcs.files["ct/2026/a.png"] = b"1"
    for url, says in (
        ("gs://scnas/ct", "no such bucket"),
        ("gs://scans/ct/2025", "gs://scans/ct exists"),
        ("gs://scans/dta", "the bucket gs://scans exists"),
        ("gs://scans/ct/a.png", "is a file, not a folder"),
    ):
        with pytest.raises(OutOfReach, match=says):
            reach(Source(url))


def test_2500_objects_are_three_pages(gcs: Place, inventory: Inventory) -> None:
    gcs.files = {f"ct/{number % 3}/{number:05}.png": b"12" for number in range(2_500)}
    walk = inventory.walk([BUCKET])
    assert (walk.files, walk.bytes, walk.folders) == (2_500, 5_000, 3)
    assert sum("maxResults=1000" in each for each in gcs.asked) == 3


def test_a_stumble_between_two_pages_loses_no_object(gcs: Place, pauses: list[float]) -> None:
    gcs.files = {f"ct/{number:05}.png": b"12" for number in range(1_001)}
    with reach(BUCKET) as way:
        names = way.entries()
        first = [next(names)[0] for _ in range(PAGE)]
        gcs.faults += [status(503), cut_off({})]
        assert [*first, *(name for name, _ in names)] == [f"{number:05}.png" for number in range(1_001)]
    assert len(pauses) == 2


def test_an_object_that_has_gone_is_named(gcs: Place, inventory: Inventory, tmp_path: Path) -> None:
    inventory.walk([BUCKET])
    (file,) = inventory.files()
    gcs.files = {"ct/other.png": b"1"}
    with reach(BUCKET) as way, pytest.raises(FileVanished, match=r"a\.png is gone"):
        way.fetch(file, tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))


def test_silence_of_gcs_is_a_timeout(gcs: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNAPSE_SOURCE_TIMEOUT_S", "0.1")
    gcs.faults += [silence(0.3)] * 10
    assert codes_of(BUCKET) == "source-timeout"
    monkeypatch.setenv("SYNAPSE_GCS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert codes_of(BUCKET) == "source-unreachable"


# ---- web servers


def _listed(web: Place, inventory: Inventory) -> tuple[Source, dict[str, File]]:
    source = Source(f"http://{web.host}")
    inventory.walk([source])
    return source, {file.path: file for file in inventory.files()}


def test_a_web_server_that_stumbles_is_asked_again(
    web: Place, inventory: Inventory, tmp_path: Path, pauses: list[float]
) -> None:
    web.faults += [status(503), status(429), status(502)]
    source, files = _listed(web, inventory)
    assert len(pauses) == 3
    with reach(source) as way:
        web.faults += [status(503), cut_off({"Content-Length": "5"})]
        way.fetch(files["a.png"], tmp_path / "out")
    assert ((tmp_path / "out").read_bytes(), len(pauses)) == (b"12345", 5)
    web.faults += [status(503)] * 50
    assert codes_of(source) == "source-busy"


def test_a_file_of_the_manifest_that_is_not_there_is_named(web: Place, inventory: Inventory, tmp_path: Path) -> None:
    source, files = _listed(web, inventory)
    del web.files["a.png"]
    with reach(source) as way:
        assert not way.is_unchanged(files["a.png"])
        with pytest.raises(FileVanished, match=r"a\.png is gone"):
            way.fetch(files["a.png"], tmp_path / "out")
        way.fetch(files["b.png"], tmp_path / "out")


@pytest.mark.parametrize(
    ("fault", "code"), [(status(401), "source-login"), (status(403), "source-denied"), (status(418), "source-failed")]
)
def test_what_a_web_server_refuses_is_said(web: Place, fault: Fault, code: str, pauses: list[float]) -> None:
    web.faults.append(fault)
    assert codes_of(Source(f"http://{web.host}")) == code
    assert not pauses


def test_silence_of_a_web_server_is_a_timeout(
    web: Place, inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNAPSE_SOURCE_TIMEOUT_S", "0.1")
    source, files = _listed(web, inventory)
    with reach(source) as way:
        web.faults += [silence(0.3)] * 10
        with pytest.raises(OutOfReach) as caught:
            way.fetch(files["a.png"], tmp_path / "out")
    assert caught.value.code == "source-timeout"
    web.faults.clear()
    assert codes_of(Source("http://127.0.0.1:9/x")) == "source-unreachable"


def test_nothing_is_written_to_a_web_server(web: Place) -> None:
    with open_store(f"http://{web.host}") as store, pytest.raises(OutOfReach, match="can't be written to"):
        store.write("a", b"x")
