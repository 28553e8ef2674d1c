"""A server in front of a sandbox that lies, breaks off, drips, and sends what nobody asked for."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

from canary import SIGNATURE
from fuzz.junk import deep, places, replaced, spoiled, text_of
from sandbox_fixture import Sandbox

SIGNED = f"https://storage.test/x?X-Amz-Credential=a&X-Amz-Signature={SIGNATURE}"
PAGE = b"<!doctype html><html><title>Sign in</title><script>alert(1)</script></html>"


class Liar:
    """One such server.

    Args:
        box: who knows the truth.

    Attributes:
        host: where it answers.
        lied: what it did, one word a lie.
    """

    def __init__(self, box: Sandbox) -> None:
        self.box = box
        self.lied: list[str] = []
        self._random = Random(0)
        self._rate = 0.0
        self._lock = threading.Lock()
        liar = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 5

            def _serve(self) -> None:
                # A client that has had enough goes away: that is its right.
                with contextlib.suppress(OSError):
                    liar._serve(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def lie(self, seed: int, rate: float) -> None:
        """Begin to lie, in so many of a hundred answers."""
        self._random, self._rate, self.lied = Random(seed), rate, []

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, asked: BaseHTTPRequestHandler) -> None:
        length = int(asked.headers.get("Content-Length") or 0)
        body = asked.rfile.read(length) if length else b""
        if "chunked" in (asked.headers.get("Transfer-Encoding") or ""):
            body = _chunks(asked)
        with self._lock:
            lies = self._random.random() < self._rate
            seed = self._random.randrange(2**32)
        random = Random(seed)
        # The sandbox tells others apart by their Host, and makes its links with it: they lead here again.
        upstream = http.client.HTTPConnection(self.box.host.removeprefix("http://"), timeout=20)
        headers = {name: value for name, value in asked.headers.items() if name.lower() != "transfer-encoding"}
        headers["Content-Length"] = str(len(body))
        with contextlib.closing(upstream):
            upstream.request(asked.command, asked.path, body, headers)
            answer = upstream.getresponse()
            truth = answer.read()
        kind = answer.headers.get("Content-Type", "application/json")
        if not lies:
            _send(asked, answer.status, truth, {"Content-Type": kind, **_more(answer)})
            return
        lie = random.choice(LIES)
        self.lied.append(lie.__name__)
        lie(asked, answer.status, truth, random)


def _more(answer: Any) -> dict[str, str]:
    return {name: answer.headers[name] for name in ("Location", "ETag", "Content-Range") if name in answer.headers}


def _chunks(asked: BaseHTTPRequestHandler) -> bytes:
    body = b""
    while size := int(asked.rfile.readline().split(b";")[0] or b"0", 16):
        body += asked.rfile.read(size)
        asked.rfile.readline()
    asked.rfile.readline()
    return body


def _send(asked: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
    asked.send_response(status)
    for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
        asked.send_header(name, value)
    asked.send_header("Content-Length", str(len(body)))
    asked.end_headers()
    if asked.command != "HEAD":
        asked.wfile.write(body)


def _raw(asked: BaseHTTPRequestHandler, content: bytes) -> None:
    asked.wfile.write(content)
    asked.wfile.flush()
    asked.close_connection = True


# ---- lies: each takes the request, the true status and body, and a source of luck


def _junk(asked: Any, status: int, truth: bytes, random: Random) -> None:
    try:
        document = json.loads(truth)
    except ValueError:
        document = {"results": []}
    if random.random() < 0.3:
        links = [at for at in places(document) if str(_at(document, at)).startswith("http")]
        document = replaced(document, random.choice(links), SIGNED) if links else document
    _send(asked, status, text_of(spoiled(document, random, random.choice((1, 1, 2, 5)))))


def _at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def _other_shape(asked: Any, status: int, truth: bytes, random: Random) -> None:
    shapes = (
        b"[]",
        b"{}",
        b"null",
        b"0",
        b'"x"',
        b"[[]]",
        b"true",
        b'{"results": {}}',
        b'{"count": -5, "results": []}',
    )
    _send(asked, status, random.choice(shapes))


def _negative(asked: Any, status: int, truth: bytes, random: Random) -> None:
    try:
        document = json.loads(truth)
    except ValueError:
        document = {}
    numbers = [at for at in places(document) if type(_at(document, at)) is int]
    for at in random.sample(numbers, min(len(numbers), random.choice((1, 3, len(numbers) or 1)))):
        document = replaced(document, at, random.choice((-1, 0, -(2**63), 2**80, 1e400)))
    _send(asked, status, text_of(document))


def _page(asked: Any, status: int, truth: bytes, random: Random) -> None:
    _send(asked, random.choice((200, 200, 403, 502, 503)), PAGE, {"Content-Type": "text/html"})


def _echo(asked: Any, status: int, truth: bytes, random: Random) -> None:
    """An error that quotes the request, its login too, and where files lie."""
    said = {"detail": f"bad request {dict(asked.headers)} see {SIGNED}"}
    _send(asked, random.choice((400, 401, 403, 404, 409, 413, 422, 500)), text_of(said))


def _endless(asked: Any, status: int, truth: bytes, random: Random) -> None:
    there = random.choice((asked.path, "/", "//", "http://127.0.0.1:1/", "", "http://[::1", "?page=2", SIGNED))
    _send(asked, random.choice((301, 302, 303, 307, 308)), b"", {"Location": there})


def _half_headers(asked: Any, status: int, truth: bytes, random: Random) -> None:
    _raw(asked, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConte"[: random.randrange(1, 55)])


def _no_http(asked: Any, status: int, truth: bytes, random: Random) -> None:
    raw = (
        b"\0" * 64,
        b"SSH-2.0-x\r\n",
        b"HTTP/9.9 abc\r\n\r\n",
        b"HTTP/1.1 999999 x\r\n\r\n",
        b"\r\n\r\n",
        b"HTTP/1.1\r\n",
    )
    _raw(asked, random.choice(raw))


def _cut_off(asked: Any, status: int, truth: bytes, random: Random) -> None:
    head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(truth) + 9}\r\n\r\n"
    _raw(asked, head.encode() + truth[: random.randrange(len(truth) + 1)])


def _bad_chunks(asked: Any, status: int, truth: bytes, random: Random) -> None:
    _raw(asked, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n")


def _bad_gzip(asked: Any, status: int, truth: bytes, random: Random) -> None:
    _send(asked, status, truth, {"Content-Encoding": random.choice(("gzip", "deflate", "br", "x"))})


def _bad_charset(asked: Any, status: int, truth: bytes, random: Random) -> None:
    _send(asked, status, truth.replace(b'"', b"\xff\xfe", 2), {"Content-Type": "application/json; charset=no-such"})


def _drip(asked: Any, status: int, truth: bytes, random: Random) -> None:
    asked.wfile.write(f"HTTP/1.1 {status} OK\r\nContent-Length: {len(truth)}\r\n\r\n".encode())
    for at in range(min(len(truth), 12)):
        asked.wfile.write(truth[at : at + 1])
        asked.wfile.flush()
        time.sleep(0.02)
    asked.close_connection = True


def _huge(asked: Any, status: int, truth: bytes, random: Random) -> None:
    _send(asked, status, b"[" + b" " * (random.choice((1, 8)) << 20) + b"]")


def _nested(asked: Any, status: int, truth: bytes, random: Random) -> None:
    body = random.choice(
        (b"[" * 100_000, b'{"a":' * 900 + b"1" + b"}" * 900, text_of({"results": [{"meta": deep(300)}]}))
    )
    _send(asked, status, body)


def _later(asked: Any, status: int, truth: bytes, random: Random) -> None:
    wait = random.choice(("-1", "soon", "nan", "1e400", "0", "Wed, 21 Oct 2099 07:28:00 GMT", "9" * 400))
    _send(asked, random.choice((429, 503)), b'{"detail": "later"}', {"Retry-After": wait})


def _nothing(asked: Any, status: int, truth: bytes, random: Random) -> None:
    _send(asked, random.choice((200, 201, 204, 206)), b"")


def _many_headers(asked: Any, status: int, truth: bytes, random: Random) -> None:
    head = "".join(f"X-{number}: {'a' * 900}\r\n" for number in range(200))
    _raw(asked, f"HTTP/1.1 200 OK\r\n{head}Content-Length: {len(truth)}\r\n\r\n".encode() + truth)


Lie = Callable[[Any, int, bytes, Random], None]
LIES: tuple[Lie, ...] = (
    *(_junk,) * 8, *(_other_shape,) * 3, *(_negative,) * 3, _page, _echo, _endless, _half_headers, _no_http, _cut_off,
    _bad_chunks, _bad_gzip, _bad_charset, _drip, _huge, _nested, _later, _nothing, _many_headers,
)  # fmt: skip


@contextlib.contextmanager
def lying(box: Sandbox) -> Iterator[Liar]:
    """A liar in front of a sandbox."""
    liar = Liar(box)
    try:
        yield liar
    finally:
        liar.stop()
