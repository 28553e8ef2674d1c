"""Presigned links are signed and end; confirm believes nothing that it has not counted itself."""

import hashlib
import http.client
import os
import re
import socket
import time
import urllib.request
from urllib.parse import urlsplit

import pytest

ANONYMOUS = {"Synapse-Access-Token": ""}


def presign(box, *sizes, **more):
    files = [{"filename": f"{number}.bin", "size": size} for number, size in enumerate(sizes)]
    return box.post("/data_files/presigned_upload/upload/", {"files": files, **more})["files"]


def put(box, url, content):
    return box.request("PUT", url, content, ANONYMOUS)


def confirm(box, key, content, **more):
    entry = {"file_key": key, "checksum": hashlib.sha1(content).hexdigest(), "size": len(content), **more}
    return box.post("/data_files/presigned_upload/confirm_upload/", {"files": [entry]})["results"][0]


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda url: url.partition("?")[0], "AccessDenied"),
        (lambda url: re.sub("Signature=....", "Signature=0000", url), "SignatureDoesNotMatch"),
        (lambda url: re.sub("Expires=3600", "Expires=9999", url), "SignatureDoesNotMatch"),
        (lambda url: url + "&partNumber=1", "SignatureDoesNotMatch"),
        (lambda url: re.sub("files/.{32}", "files/" + "0" * 32, url), "SignatureDoesNotMatch"),
    ],
)
def test_a_link_allows_what_was_signed_and_nothing_else(box, spoil, code):
    (link,) = presign(box, 3)
    status, text = put(box, spoil(link["presigned_url"]), b"abc")
    assert status == 403
    assert text.startswith("<?xml") and f"<Code>{code}</Code>" in text
    assert confirm(box, link["file_key"], b"abc")["error"] == "The object has not been uploaded."
    assert put(box, link["presigned_url"], b"abc")[0] == 200


def test_a_link_ends(box):
    box.set(presign_seconds=0)
    (link,) = presign(box, 3)
    time.sleep(0.01)
    status, text = put(box, link["presigned_url"], b"abc")
    assert (status, "Request has expired" in text) == (403, True)


def test_a_link_lives_no_longer_than_the_server_lets_it(box):
    box.set(presign_seconds=60)
    assert "X-Amz-Expires=60&" in presign(box, 3)[0]["presigned_url"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"size": 4}, "Size mismatch: 3 bytes have arrived."),
        ({"checksum": "0" * 40}, "Checksum mismatch."),
        ({"file_key": "tenants/1/files/" + "0" * 32}, "Unknown file key."),
    ],
)
def test_confirm_counts_itself(box, changes, error):
    (link,) = presign(box, 3)
    put(box, link["presigned_url"], b"abc")
    before = len(box.files())
    assert confirm(box, link["file_key"], b"abc", **changes)["error"] == error
    assert len(box.files()) == before
    assert confirm(box, link["file_key"], b"abc")["success"], "what was refused can be put right"


def test_confirm_refuses_bytes_that_were_not_announced(box):
    (link,) = presign(box, 3)
    put(box, link["presigned_url"], b"abcd")
    assert confirm(box, link["file_key"], b"abcd")["success"] is False
    put(box, link["presigned_url"], b"abc")
    assert confirm(box, link["file_key"], b"abc")["success"] is True


def test_confirm_twice(box):
    (link,) = presign(box, 3)
    put(box, link["presigned_url"], b"abc")
    first = confirm(box, link["file_key"], b"abc")
    before = len(box.files())
    assert confirm(box, link["file_key"], b"abc") == first
    box.set(confirm_twice="refuse")
    assert confirm(box, link["file_key"], b"abc")["success"] is False
    assert len(box.files()) == before


@pytest.mark.parametrize("size", [3, 3 << 20])
def test_the_last_bytes_that_were_put_count(box, size):
    (link,) = presign(box, size)
    for letter in (b"a", b"b"):
        assert put(box, link["presigned_url"], letter * size)[0] == 200
    assert confirm(box, link["file_key"], b"a" * size)["error"] == "Checksum mismatch."
    assert confirm(box, link["file_key"], b"b" * size)["success"] is True
    places = [place for place in box.state.glob("objects/*/*") if place.name.startswith(link["file_key"][-32:])]
    assert [place.read_bytes() for place in places] == [b"b" * size]


def test_a_confirm_that_is_not_understood_confirms_nothing(box):
    (link,) = presign(box, 3)
    put(box, link["presigned_url"], b"abc")
    before = len(box.files())
    good = {"file_key": link["file_key"], "checksum": hashlib.sha1(b"abc").hexdigest(), "size": 3}
    asked = {"files": [good, {"file_key": 5}]}
    assert box.request("POST", "/data_files/presigned_upload/confirm_upload/", asked)[0] == 400
    assert len(box.files()) == before


def test_an_empty_file(box):
    (link,) = presign(box, 0)
    assert put(box, link["presigned_url"], b"")[0] == 200
    assert confirm(box, link["file_key"], b"")["success"]


def test_a_body_in_chunks_of_unknown_length(box):
    (link,) = presign(box, 6)
    parts = urlsplit(link["presigned_url"])
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    connection.request("PUT", f"{parts.path}?{parts.query}", iter([b"abc", b"def"]), encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()
    assert confirm(box, link["file_key"], b"abcdef")["success"]


def test_a_body_that_breaks_off_leaves_nothing(box):
    (link,) = presign(box, 6)
    parts = urlsplit(link["presigned_url"])
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        head = f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: 6\r\n\r\nabc"
        connection.sendall(head.encode())
        time.sleep(0.1)
    time.sleep(0.1)
    assert confirm(box, link["file_key"], b"abc")["error"] == "The object has not been uploaded."
    assert not list(box.state.rglob("*.tmp"))


class TestMultipart:
    @pytest.fixture
    def upload(self, box):
        box.set(multipart_threshold=50, part_size=40)
        content = os.urandom(100)
        (link,) = presign(box, 100)
        parts = link["multipart"]["parts"]
        for part in parts:
            start = (part["part_number"] - 1) * 40
            assert put(box, part["presigned_url"], content[start : start + 40])[0] == 200
        etags = [
            {"part_number": number, "etag": f'"{hashlib.md5(content[start : start + 40]).hexdigest()}"'}
            for number, start in ((1, 0), (2, 40), (3, 80))
        ]
        return link, content, etags

    def test_parts_are_joined_in_order(self, box, upload):
        link, content, etags = upload
        multipart = {"upload_id": link["multipart"]["upload_id"], "parts": etags[::-1]}
        row = confirm(box, link["file_key"], content, multipart=multipart)
        assert row["success"], row
        assert box.files()[-1]["sha1"] == hashlib.sha1(content).hexdigest()
        assert confirm(box, link["file_key"], content, multipart=multipart) == row

    def test_a_missing_part_a_wrong_etag_and_a_wrong_upload(self, box, upload):
        link, content, etags = upload
        number = link["multipart"]["upload_id"]
        for multipart in (
            None,
            {"upload_id": "other", "parts": etags},
            {"upload_id": number, "parts": etags[:2]},
            {"upload_id": number, "parts": [*etags[:2], {"part_number": 3, "etag": "x"}]},
        ):
            assert not confirm(box, link["file_key"], content, multipart=multipart)["success"]
        # A wrong checksum after the parts were joined can be put right as well.
        full = {"upload_id": number, "parts": etags}
        assert not confirm(box, link["file_key"], content, multipart=full, checksum="0" * 40)["success"]
        assert confirm(box, link["file_key"], content, multipart=full)["success"]

    def test_a_client_that_hashes_less_than_it_says_is_found_out(self, box):
        box.set(multipart_threshold=50, part_size=40)
        (link,) = presign(box, 100)
        put(box, link["multipart"]["parts"][0]["presigned_url"], b"x" * 40)
        multipart = {
            "upload_id": link["multipart"]["upload_id"],
            "parts": [{"part_number": 1, "etag": hashlib.md5(b"x" * 40).hexdigest()}],
        }
        assert not confirm(box, link["file_key"], b"x" * 40, size=100, multipart=multipart)["success"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"files": [{"filename": "a"}]},
        {"files": [{"filename": "../a", "size": 1}]},
        {"files": [{"filename": "a", "size": -1}]},
        {"files": "a"},
        [],
    ],
)
def test_a_bad_presign_is_refused(box, body):
    assert box.request("POST", "/data_files/presigned_upload/upload/", body)[0] == 400


def test_names_travel_through_the_address(box):
    for name in ("한글 이름.txt", "a?b#c%d.txt", "line\nbreak.txt", "'\"<b>.txt"):
        box.put_file(name, name.encode())
        file = box.files()[-1]
        assert file["filename"] == name
    collection = {"data_collection": 57, "files": {}}
    box.set(enforces=[])
    for file in box.files()[-4:]:
        unit = box.post("/data_units/", {**collection, "files": {"x": {"checksum": file["sha1"]}}})
        status, content = box.request("GET", unit["files"]["x"]["url"], headers=ANONYMOUS)
        assert (status, content) == (200, file["filename"])


def test_a_file_can_not_make_a_browser_run_it(box):
    box.put_file("page.html", b"<script>1</script>")
    box.set(enforces=[])
    unit = box.post("/data_units/", {"data_collection": 57, "files": {"x": {"checksum": box.files()[-1]["sha1"]}}})
    with urllib.request.urlopen(unit["files"]["x"]["url"]) as response:
        assert response.headers["Content-Disposition"].startswith("attachment")
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in response.headers["Content-Security-Policy"]
