"""Every fault does what it says: what is done, what is answered, when the connection goes."""

import hashlib
import http.client
import socket
import time

import pytest

from sandbox_fixture import COLLECTION, SEED, Sandbox

ANONYMOUS = {"Synapse-Access-Token": ""}


@pytest.fixture
def create(box, files):
    def send(count=1, **more):
        return box.request("POST", "/data_units/", [{"data_collection": COLLECTION, "files": files}] * count, **more)

    return send


def presign(box, *sizes):
    files = [{"filename": f"{number}.bin", "size": size} for number, size in enumerate(sizes)]
    return box.post("/data_files/presigned_upload/upload/", {"files": files})


def uploaded(box, *contents):
    links = presign(box, *map(len, contents))["files"]
    for link, content in zip(links, contents, strict=True):
        assert box.request("PUT", link["presigned_url"], content, ANONYMOUS)[0] == 200
    return [
        {"file_key": link["file_key"], "checksum": hashlib.sha1(content).hexdigest(), "size": len(content)}
        for link, content in zip(links, contents, strict=True)
    ]


def confirm(box, entries):
    return box.post("/data_files/presigned_upload/confirm_upload/", {"files": entries})


def statuses(send, count):
    return [send()[0] for _ in range(count)]


def test_503_n_times_and_then_well(box, create):
    before = len(box.units())
    box.set_faults({"kind": "status", "route": "units.create", "times": 2})
    assert statuses(create, 4) == [503, 503, 201, 201]
    assert len(box.units()) == before + 2
    (rule,) = box.faults()
    assert (rule["seen"], rule["fired"]) == (4, 2)
    assert box.stats()["statuses"]["units.create"] == {"503": 2, "201": 2}


def test_on_these_calls(box, create):
    box.set_faults({"kind": "status", "status": 500, "route": "units.create", "on": [2, 4]})
    assert statuses(create, 5) == [201, 500, 201, 500, 201]


def test_at_random_but_the_same_every_time(box):
    rule = {"kind": "status", "status": 502, "route": "GET /agents/", "probability": 0.5}

    def round_of(seed):
        box.set_faults(rule, seed=seed)
        return statuses(lambda: box.request("GET", "/agents/"), 20)

    first = round_of(1)
    assert {200, 502} == set(first)
    assert round_of(1) == first
    assert round_of(2) != first


def test_429_says_when_to_come_back(box):
    box.set_faults({"kind": "status", "status": 429, "retry_after": 2, "route": "agents.list"})
    connection = http.client.HTTPConnection(box.host.removeprefix("http://"), timeout=10)
    connection.request("GET", "/agents/", headers={"Synapse-Access-Token": f"Token {box.token}"})
    response = connection.getresponse()
    assert (response.status, response.getheader("Retry-After")) == (429, "2")
    connection.close()


@pytest.mark.parametrize(
    ("rule", "status", "words"),
    [
        ({"status": 400, "body": "html"}, 400, "<html>"),
        ({"status": 403, "body": "xml"}, 403, "<Code>AccessDenied</Code>"),
        ({"status": 504, "body": "empty"}, 504, ""),
    ],
)
def test_bodies(box, rule, status, words):
    (link,) = presign(box, 3)["files"]
    box.set_faults({"kind": "status", "route": "files.put", **rule})
    answer = box.request("PUT", link["presigned_url"], b"abc", ANONYMOUS)
    assert answer[0] == status and words in answer[1]
    box.set_faults()
    assert box.request("PUT", link["presigned_url"], b"abc", ANONYMOUS)[0] == 200


@pytest.mark.parametrize("kind", ["5xx-after-commit", "status-after-commit"])
def test_5xx_after_commit(box, create, kind):
    before = len(box.units())
    box.set_faults({"kind": kind, "route": "units.create", "times": 1})
    assert create(2)[0] == 504
    assert len(box.units()) == before + 2


def test_a_commit_that_comes_late(box, create):
    before = len(box.units())
    box.set_faults({"kind": "commit-late", "route": "units.create", "seconds": 0.6, "times": 1})
    started = time.monotonic()
    with pytest.raises(ConnectionResetError):
        create(2)
    assert time.monotonic() - started < 0.5, "the connection goes at once"
    assert len(box.units()) == before and box.stats()["late"] == 1
    assert create()[0] == 201, "others are not kept waiting"
    assert len(box.units()) == before + 1
    box.wait_late()
    assert len(box.units()) == before + 3
    assert time.monotonic() - started > 0.6


def test_a_late_commit_of_a_file_and_of_tasks(box, create):
    unit = create()[1][0]["id"]
    (link,) = presign(box, 3)["files"]
    entry = {"file_key": link["file_key"], "checksum": hashlib.sha1(b"abc").hexdigest(), "size": 3}
    box.set_faults({"kind": "commit-late", "route": "files.put|tasks.create|PUT|POST /tasks/", "seconds": 0.2})
    with pytest.raises(OSError, match="reset"):
        box.request("PUT", link["presigned_url"], b"abc", ANONYMOUS)
    before = len(box.tasks())
    with pytest.raises(ConnectionResetError):
        box.post("/tasks/", {"project": 3, "data": [{"data_unit": unit}]})
    assert confirm(box, [entry])["failed_count"] == 1
    box.wait_late()
    assert confirm(box, [entry])["created_count"] == 1
    assert len(box.tasks()) == before + 1


def test_dropped_before_and_after_the_commit(box, create):
    before = len(box.units())
    box.set_faults({"kind": "drop", "route": "units.create", "times": 1})
    with pytest.raises(ConnectionResetError):
        create()
    assert len(box.units()) == before
    box.set_faults({"kind": "accept-then-drop", "route": "units.create", "times": 1})
    with pytest.raises(ConnectionResetError):
        create()
    assert len(box.units()) == before + 1
    assert box.stats()["statuses"]["units.create"] == {"dropped": 2}


def test_a_put_reset_in_the_middle_of_its_body(box):
    (link,) = presign(box, 5_000_000)["files"]
    box.set_faults({"kind": "drop", "route": "files.put", "times": 1})
    host, _, port = box.host.removeprefix("http://").partition(":")
    target = link["presigned_url"].removeprefix(box.host)
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"PUT {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5000000\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 1000)
        with pytest.raises(ConnectionResetError):
            while True:
                connection.sendall(b"x" * 1000)
                time.sleep(0.005)
    assert not list(box.state.rglob("*.tmp"))
    assert box.request("PUT", link["presigned_url"], b"x" * 5_000_000, ANONYMOUS)[0] == 200


def test_slow_before_and_slow_after_the_commit(box, create):
    before = len(box.units())
    for kind, done in (("slow", 0), ("slow-after-commit", 1)):
        box.set_faults({"kind": kind, "route": "units.create", "seconds": 0.6, "times": 1})
        with pytest.raises(TimeoutError):
            create(timeout=0.2)
        assert len(box.units()) == before + done
        time.sleep(0.6)
        before += 1
        assert len(box.units()) == before
    box.set_faults({"kind": "slow", "route": "units.create", "seconds": 0.2})
    started = time.monotonic()
    assert create()[0] == 201
    assert time.monotonic() - started > 0.2


def test_a_login_page_with_200(box, create, client):
    before = len(box.units())
    box.set_faults({"kind": "login-page", "route": "units.create"})
    assert isinstance(client.create_data_units([]), str), "which looks like success to who doesn't check"
    status, text = create()
    assert status == 200 and text.startswith("<!doctype html>")
    assert len(box.units()) == before


def test_a_token_that_ends_in_the_middle(box, create):
    box.set_faults({"kind": "status", "status": 401, "route": "api", "after": 2})
    assert statuses(create, 4) == [201, 201, 401, 401]
    assert box.request("GET", "/agents/")[0] == 401
    assert box.request("GET", "/health/", headers=ANONYMOUS)[0] == 200, "no token, no end"


def test_short_presign_and_links_that_have_expired(box):
    box.set_faults({"kind": "short-presign", "entries": 2, "times": 1}, {"kind": "expired-presign", "on": [2]})
    assert [link["filename"] for link in presign(box, 1, 2, 3)["files"]] == ["0.bin"]
    (link,) = presign(box, 3)["files"]
    status, text = box.request("PUT", link["presigned_url"], b"abc", ANONYMOUS)
    assert (status, "Request has expired" in text) == (403, True)


def test_short_confirm_and_bad_confirm(box):
    entries = uploaded(box, b"one", b"two", b"three")
    box.set_faults({"kind": "bad-confirm", "times": 1}, {"kind": "short-confirm", "on": [2]})
    bad = confirm(box, entries)
    assert [row["success"] for row in bad["results"]] == [True, True, False]
    assert (bad["created_count"], bad["failed_count"]) == (2, 1)
    short = confirm(box, entries)
    assert [row["file_key"] for row in short["results"]] == [entry["file_key"] for entry in entries[:2]]
    assert box.files()[-1]["sha1"] == entries[2]["checksum"], "confirmed all the same"


def test_too_large(box, create):
    box.set_faults({"kind": "too-large", "units": 2})
    assert [create(count)[0] for count in (3, 2, 1)] == [413, 201, 201]


def test_poison(box, files):
    box.set_faults({"kind": "poison", "contains": "독"})
    good = {"data_collection": COLLECTION, "files": files, "meta": {"name": "약"}}
    bad = {**good, "meta": {"name": "독버섯"}}
    before = len(box.units())
    status, answer = box.request("POST", "/data_units/", [good, bad])
    assert (status, answer[0]) == (400, {}) and answer[1]
    assert box.request("POST", "/data_units/", [bad])[0] == 400
    assert box.request("POST", "/data_units/", [good])[0] == 201
    assert len(box.units()) == before + 1


def test_control_page_and_refused_calls_are_never_faulted(box):
    box.set_faults({"kind": "status", "route": ".*"})
    assert box.request("GET", "/agents/")[0] == 503
    assert box.request("GET", "/agents/", headers={"Synapse-Access-Token": "Token wrong"})[0] == 401
    assert box.request("GET", "/")[0] == 200
    assert box.faults()[0]["seen"] == 1


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"kind": "stauts", "route": "api"}, "faults[0].kind: 'stauts' is none"),
        ({"kind": "status"}, "faults[0].route is missing"),
        ({"kind": "status", "route": "units.craete"}, "faults[0].route: no route 'units.craete'"),
        ({"kind": "status", "route": "("}, "faults[0].route: '(' is neither a route nor a pattern"),
        ({"kind": "status", "route": "api", "time": 1}, "faults[0].time: no such key"),
        ({"kind": "status", "route": "api", "times": "1"}, "faults[0].times: '1' is not possible here"),
        ({"kind": "poison"}, "faults[0].contains is missing"),
        ({"kind": "poison", "contains": "x", "route": "api"}, "faults[0].route: poison happens at units.create only"),
    ],
)
def test_a_mistyped_fault_is_refused_instead_of_never_happening(box, rule, words):
    status, answer = box.request("POST", "/_sandbox/faults", {"faults": [rule]})
    assert status == 400 and words in answer["detail"]


def test_faults_from_a_file_and_latency(tmp_path):
    box = Sandbox.start(
        tmp_path, seed=SEED, faults=[{"kind": "status", "route": "agents.list", "on": [1]}], latency_ms=150
    )
    try:
        started = time.monotonic()
        assert statuses(lambda: box.request("GET", "/agents/"), 2) == [503, 200]
        assert time.monotonic() - started > 0.3
    finally:
        assert box.stop() == 0
