"""The wire as it was captured from the unmodified client (contract/UPLOAD.md, section 9), and the answers to it."""

import http.client
import json
import re
from urllib.parse import urlsplit

import pytest

from sandbox_fixture import COLLECTION


def normal(document):
    """A document with what differs from run to run replaced by what it is."""
    text = json.dumps(document, sort_keys=True)
    text = re.sub(r"http://127\.0\.0\.1:\d+", "HOST", text)
    # A link to read, with its signature: what it leads to is what matters.
    text = re.sub(r"(/media/[^?\"]+)\?[^\"]+", r"\1", text)
    text = re.sub(r"tenants/1/files/[0-9a-f]{32}", "KEY", text)
    text = re.sub(r"X-Amz-Date=\d+", "X-Amz-Date=T", text)
    text = re.sub(r"X-Amz-Signature=[0-9a-f]{64}", "X-Amz-Signature=S", text)
    text = re.sub(r"uploadId=[0-9a-f]{32}", "uploadId=U", text)
    text = re.sub(r'"upload_id": "[0-9a-f]{32}"', '"upload_id": "U"', text)
    text = re.sub(r"chunked_upload/[0-9a-f]{32}", "chunked_upload/ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", "TIME", text)
    return json.loads(text)


class Wire:
    """One keep-alive connection, as the clients hold it."""

    def __init__(self, box):
        self.token = box.token
        self.connection = http.client.HTTPConnection(urlsplit(box.host).netloc, timeout=10)

    def __call__(self, method, url, body=None, headers=None):
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        data = json.dumps(body).encode() if isinstance(body, dict | list) else body
        own = {"Synapse-Access-Token": f"Token {self.token}", "Content-Type": "application/json"}
        self.connection.request(method, target, data, own if headers is None else headers)
        response = self.connection.getresponse()
        content = response.read()
        return response, json.loads(content) if response.getheader("Content-Type") == "application/json" else content


@pytest.fixture
def wire(box):
    made = Wire(box)
    yield made
    made.connection.close()


def test_bulk_upload_and_create(wire, box):
    """Trace 9.1, over one connection that is kept alive."""
    wire("GET", "/storages/?category=internal")
    socket = wire.connection.sock

    asked = {
        "files": [
            {"filename": "image.png", "size": 4, "content_type": "image/png"},
            {"filename": "label.json", "size": 2, "content_type": None},
        ],
        "expiration": 3600,
    }
    _, presigned = wire("POST", "/data_files/presigned_upload/upload/", asked)
    link = "HOST/bucket/KEY?X-Amz-Date=T&X-Amz-Expires=3600&X-Amz-Signature=S"
    assert normal(presigned) == {
        "files": [
            {"filename": "image.png", "file_key": "KEY", "presigned_url": link},
            {"filename": "label.json", "file_key": "KEY", "presigned_url": link},
        ],
        "expires_at": "TIME",
    }
    keys = [entry["file_key"] for entry in presigned["files"]]
    assert len(set(keys)) == 2

    response, content = wire("PUT", presigned["files"][0]["presigned_url"], b"\x89PNG", {"Content-Type": "image/png"})
    assert (response.status, content) == (200, b"")
    assert response.getheader("ETag") == '"3bdaf5969285188ac756c339f69f5c79"'
    wire("PUT", presigned["files"][1]["presigned_url"], b"{}", {"User-Agent": "python-httpx/0.28.1"})

    wrong, label = "8e4b06c2ff8cff5ab5f8d0ed1d8e4a4d6f9c9bdb", "bf21a9e8fbc5a3846fb05b4fa0859e0917b2202f"
    _, confirmed = wire(
        "POST",
        "/data_files/presigned_upload/confirm_upload/",
        # Completion order, and one wrong checksum.
        {
            "files": [
                {"file_key": keys[1], "checksum": label, "size": 2},
                {"file_key": keys[0], "checksum": wrong, "size": 4},
            ]
        },
    )
    made = confirmed["results"][0]["data_file_id"]
    assert normal(confirmed) == {
        "results": [
            {"file_key": "KEY", "checksum": label, "data_file_id": made, "success": True, "error": None},
            {
                "file_key": "KEY",
                "checksum": wrong,
                "data_file_id": None,
                "success": False,
                "error": "Checksum mismatch.",
            },
        ],
        "created_count": 1,
        "failed_count": 1,
    }
    assert wire.connection.sock is socket, "HTTP/1.1, kept alive"


def test_create_answers_in_the_order_asked(wire, box, files):
    sent = {"data_collection": COLLECTION, "files": files, "meta": {"age": 3}, "groups": ["a", "b1"]}
    response, rows = wire("POST", "/data_units/", [sent, sent])
    assert response.status == 201
    assert [row["id"] for row in rows] == [unit["id"] for unit in box.units()[-2:]]
    data_files = {file["filename"]: file["id"] for file in box.files()}
    assert normal(rows[0]) == {
        "id": rows[0]["id"],
        "data_collection": COLLECTION,
        "created": "TIME",
        "meta": {"age": 3},
        "groups": ["a", "b1"],
        "files": {
            "image_1": {
                "id": data_files["a.png"],
                "url": "HOST/media/KEY/a.png",
                "file_name_original": "a.png",
                "file_type": "image",
                "is_primary": True,
                "checksum": files["image_1"]["checksum"],
                "path": "one/a.png",
            },
            "label_1": {
                "id": data_files["a.json"],
                "url": "HOST/media/KEY/a.json",
                "file_name_original": "a.json",
                "file_type": "data",
                "is_primary": False,
                "checksum": files["label_1"]["checksum"],
                "path": "one/a.json",
            },
        },
    }


def test_multipart_links(wire, box):
    """Trace 9.2: four parts of 30 bytes for 100; the ETag is sent back with its quotes."""
    box.set(multipart_threshold=100, part_size=30)
    _, answer = wire("POST", "/data_files/presigned_upload/upload/", {"files": [{"filename": "a.bin", "size": 100}]})
    link = "HOST/bucket/KEY?X-Amz-Date=T&X-Amz-Expires=3600&uploadId=U&partNumber={}&X-Amz-Signature=S"
    assert normal(answer["files"][0]) == {
        "filename": "a.bin",
        "file_key": "KEY",
        "multipart": {
            "upload_id": "U",
            "part_size": 30,
            "parts": [{"part_number": number, "presigned_url": link.format(number)} for number in range(1, 5)],
        },
    }


def test_chunked(wire):
    """Trace 9.3."""
    boundary = "b0"
    form = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="filename"\r\n\r\na.bin\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="file"\r\n\r\n12345\r\n'
        f"--{boundary}--\r\n"
    ).encode()
    headers = {
        "Synapse-Access-Token": f"Token {wire.token}",
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Range": "bytes 0-4/5",
    }
    response, begun = wire("PUT", "/chunked_upload/", form, headers)
    assert response.status == 200
    assert normal(begun) == {
        "id": begun["id"],
        "url": "HOST/chunked_upload/ID/",
        "file": "HOST/media/KEY/a.bin",
        "filename": "a.bin",
        "offset": 5,
        "status": 1,
        "completed_at": None,
    }
    assert wire("POST", begun["url"], {"md5": "0" * 32})[0].status == 400
    _, done = wire("POST", begun["url"], {"md5": "827ccb0eea8a706c4c34a16891f84e7b"})
    assert (done["id"], done["status"], done["size"]) == (begun["id"], 2, 5)
    response, made = wire("POST", "/data_files/", {"chunked_upload": begun["id"]})
    assert (response.status, made["checksum"]) == (201, "8cb2237d0679ca88db6464eac60da96345513964")


def test_pages_repeat_their_filters(wire, box, files):
    """Trace 9.4: the client follows `next` and sends no parameter again."""
    box.post("/data_units/", [{"data_collection": COLLECTION, "files": files}] * 3)
    response, page = wire("GET", f"/data_units/?data_collection={COLLECTION}&page_size=2&unknown=1&ordering=-id")
    assert response.status == 200
    assert (
        page["next"] == f"{box.host}/data_units/?data_collection={COLLECTION}&page_size=2&unknown=1&ordering=-id&page=2"
    )
    assert page["previous"] is None and page["count"] == len(box.units())
    _, following = wire("GET", page["next"])
    assert following["results"][0]["id"] == page["results"][1]["id"] - 1
    assert "page=1" in following["previous"]
    assert wire("GET", "/data_units/?page=99")[1] == {"detail": "Invalid page."}


def test_errors_are_json(wire):
    for method, target, status, body in (
        ("GET", "/nowhere/", 404, {"detail": "Not found."}),
        ("GET", "/data_units", 404, {"detail": "Not found."}),
        ("DELETE", "/data_units/", 405, {"detail": 'Method "DELETE" not allowed.'}),
        ("GET", "/data_units/0/", 404, {"detail": "No DataUnit matches the given query."}),
        ("GET", "/data_units/?id__gt=x", 400, {"id__gt": ["Enter a number."]}),
    ):
        response, answer = wire(method, target)
        assert (response.status, answer) == (status, body)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Synapse-Access-Token": "{token}"}, 401),
        ({"Synapse-Access-Token": "Token wrong"}, 401),
        ({"Synapse-Access-Token": "Token é"}, 401),
        ({"Synapse-Access-Token": "Token {token}"}, 200),
        ({"Authorization": "Token {token}"}, 401),
        ({"Authorization": "Token {token}", "Synapse-Tenant": "Token acme"}, 200),
        ({"Authorization": "Token {token}", "Synapse-Tenant": "Token other"}, 403),
    ],
)
def test_who_may_enter(box, wire, headers, status):
    sent = {name: value.format(token=box.token).encode("latin-1") for name, value in headers.items()}
    response, answer = wire("GET", "/agents/", headers=sent)
    assert response.status == status
    assert status == 200 or set(answer) == {"detail"}


def test_what_the_upload_action_asks_for(wire):
    """Trace 9.6."""
    response, storage = wire("GET", "/storages/11/?with_configuration=true")
    assert response.status == 200
    assert storage == {
        "id": 11,
        "name": "Main storage",
        "category": "internal",
        "provider": "amazon_s3",
        "is_default": True,
        "configuration": {"bucket_name": "main"},
    }
    assert wire("GET", "/storages/11/")[1]["configuration"] == {}, "never null, and only told who asks"
    _, collection = wire("GET", f"/data_collections/{COLLECTION}/?expand=file_specifications")
    assert collection["meta"] is None
    assert collection["file_specifications"][0] == {
        "id": 1,
        "name": "image_1",
        "file_type": "image",
        "extensions": [".png", ".jpg"],
        "is_required": True,
        "is_primary": True,
    }
    _, project = wire("GET", "/projects/3/")
    assert project == {"id": 3, "title": "CT labelling", "name": "CT labelling", "configuration": {}}
    _, session = wire("POST", "/storages/11/session/", {"purpose": "read"})
    assert session == {
        "provider": "amazon_s3",
        "configuration": {"bucket_name": "main"},
        "expires_at": None,
        "contract_version": 1,
    }
    assert wire("POST", "/storages/12/session/", {"purpose": "read"})[0].status == 404
    assert wire("POST", "/storages/11/session/", {"purpose": "steal"})[0].status == 400
