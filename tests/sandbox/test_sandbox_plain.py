"""What goes over one connection: plain requests, and those that uvicorn's own protocol takes over."""

import re
import socket
import time
from urllib.parse import urlsplit

import pytest

GET = "GET /health/ HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"


@pytest.fixture
def talk(box):
    """Sends pieces over one connection and reads as many answers."""
    place = urlsplit(box.host)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        file = connection.makefile("rb")

        def send(*pieces):
            for piece in pieces:
                connection.sendall(piece if isinstance(piece, bytes) else piece.encode("latin-1"))

        def read(with_body=True):
            status, length = int(file.readline().split()[1]), 0
            while (line := file.readline()) not in (b"\r\n", b""):
                if found := re.match(rb"content-length: *([0-9]+)", line, re.IGNORECASE):
                    length = int(found[1])
            return status, file.read(length) if with_body else b""

        send.read, send.file, send.host = read, file, place.netloc
        send.leave = lambda: connection.shutdown(socket.SHUT_RDWR)
        yield send


def get(talk, more=""):
    return GET.format(host=talk.host, more=more)


def post(talk, box, more="", body="{}"):
    head = f"POST /data_files/verify_checksums/ HTTP/1.1\r\nHost: {talk.host}\r\n"
    return f"{head}Synapse-Access-Token: Token {box.token}\r\n{more}\r\n{body}"


def test_a_head_that_arrives_byte_by_byte(talk):
    talk(*get(talk))
    assert talk.read()[0] == 200


def test_requests_that_do_not_wait_for_answers(talk, box):
    body = '{"checksums": []}'
    talk(get(talk) + post(talk, box, f"Content-Length: {len(body)}\r\n", body) * 2 + get(talk))
    assert [talk.read() for _ in range(4)][1:3] == [(200, b'{"existing_checksums":[]}')] * 2


def test_a_body_in_pieces_that_nobody_reads(talk, box):
    """401 comes before the body has arrived; what is left of it is no request."""
    refused = post(talk, box, "Content-Length: 300000\r\n", "").replace(box.token, "wrong")
    talk(refused, b"x" * 1000)
    assert talk.read()[0] == 401
    talk(b"x" * 299_000 + get(talk).encode())
    assert talk.read()[0] == 200


def test_head_has_no_body(talk):
    talk(get(talk).replace("GET", "HEAD"))
    assert talk.read(with_body=False)[0] == 200
    talk(get(talk))
    assert talk.read()[0] == 200


@pytest.mark.parametrize(
    "more",
    [
        "Transfer-Encoding: chunked\r\n\r\n11\r\n{checksums}\r\n0\r\n",
        "Expect: 100-continue\r\nContent-Length: 17\r\n\r\n{checksums}",
        "X-Folded: a\r\n b\r\nContent-Length: 17\r\n\r\n{checksums}",
    ],
)
def test_what_is_not_plain_is_answered_as_well(talk, box, more):
    talk(get(talk))
    assert talk.read()[0] == 200
    asked = post(talk, box, more.replace("{checksums}", '{"checksums": []}'), "")
    talk(asked if more.endswith("0\r\n") else asked.removesuffix("\r\n"))
    found = talk.read()
    assert (talk.read() if found[0] == 100 else found) == (200, b'{"existing_checksums":[]}')
    talk(get(talk))
    assert talk.read()[0] == 200, "and the connection goes on"


@pytest.mark.parametrize(
    "more",
    ["Content-Length: -1\r\n", "Content-Length: 1\r\nContent-Length: 2\r\n", "Bad name: x\r\n", "Host: twice\r\n"],
)
def test_what_is_wrong_is_refused(talk, more):
    talk(get(talk, more))
    assert talk.read()[0] == 400
    assert b"Invalid HTTP request received." in talk.file.read(), "and the connection ends"


def test_a_connection_ends_where_that_is_asked_for(talk):
    talk(get(talk, "Connection: close\r\n"))
    assert talk.read()[0] == 200
    assert talk.file.read() == b""


def test_a_client_that_leaves_in_the_middle_of_a_body(talk, box):
    dropped = box.stats()["statuses"].get("files.verify", {}).get("dropped", 0)
    talk(post(talk, box, "Content-Length: 100\r\n", "{"))
    talk.leave()
    deadline = time.monotonic() + 10
    while box.stats()["statuses"].get("files.verify", {}).get("dropped", 0) == dropped:
        assert time.monotonic() < deadline
        time.sleep(0.01)
