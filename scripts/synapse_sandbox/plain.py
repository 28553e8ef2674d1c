"""HTTP/1.1 for the plain requests that thousands of small uploads are made of; all others are uvicorn's own.

The sandbox shares its machine with whoever is measured against it. uvicorn's parser in pure Python takes as long for a
small PUT as all else that is done for it, and most requests need little of what it knows: a method, a path, headers and
a body of a length that is told. A connection's first request that needs more (chunks, `Expect`, `Connection: close`,
anything odd or wrong) hands the connection over to uvicorn, which then judges and answers it as it always did.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from starlette.types import Message, Scope
from uvicorn.protocols.http.auto import AutoHTTPProtocol

_BASE: Any = AutoHTTPProtocol
_HEAD = re.compile(
    rb"(?:GET|HEAD|POST|PUT|DELETE) /[!-~]* HTTP/1\.1"
    rb"(?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ \t]*(?:[!-~\x80-\xff](?:[ \t]*[!-~\x80-\xff])*)?[ \t]*)+"
)
_END = b"\r\n\r\n"
_LONGEST_HEAD = 16_384
_MOST_WAITING = 65_536
# What changes how a request is read; twice the same is for uvicorn to refuse.
_TELLING = frozenset({b"content-length", b"host", b"connection", b"expect", b"transfer-encoding", b"upgrade"})
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
App = Callable[[Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


class PlainProtocol(_BASE):  # type: ignore[misc]
    """One connection: plain requests here, from the first other one on all of them in uvicorn's protocol."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_plain = True
        self._waiting = b""

    def data_received(self, data: bytes) -> None:
        """Take what has arrived."""
        if not self._is_plain:
            super().data_received(data)
            return
        exchange: Exchange | None = self.cycle
        if exchange is not None:
            if exchange.missing:
                data = exchange.feed(data)
            if not exchange.is_over:
                if data:
                    # The next request is there before this one is answered: it waits.
                    self._waiting += data
                    self.flow.pause_reading()
                return
        if data:
            self._waiting += data
            self._begin()

    def _begin(self) -> None:
        """Serve the request whose head has arrived whole."""
        self._unset_keepalive_if_required()
        head, end, rest = self._waiting.partition(_END)
        if not end and len(self._waiting) <= _LONGEST_HEAD:
            return
        scope = self._scope(head) if end else None
        if scope is None:
            self._is_plain, self.cycle = False, None
            waiting, self._waiting = self._waiting, b""
            super().data_received(waiting)
            return
        self._waiting = b""
        self.cycle = exchange = Exchange(self, scope)
        if rest:
            self._waiting = exchange.feed(rest)
        task = self.loop.create_task(exchange.run(self.app))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _scope(self, head: bytes) -> Scope | None:
        """What ASGI says of a request; None for one that isn't plain."""
        if _HEAD.fullmatch(head) is None:
            return None
        first, *lines = head.split(b"\r\n")
        headers, telling = [], dict[bytes, bytes]()
        for line in lines:
            name, _, value = line.partition(b":")
            name, value = name.lower(), value.strip(b" \t")
            if name in _TELLING:
                if name in telling:
                    return None
                telling[name] = value
            headers.append((name, value))
        length = telling.pop(b"content-length", b"0")
        if b"host" not in telling or not (length.isdigit() and len(length) < 16):
            return None
        if telling.pop(b"connection", b"keep-alive").lower() != b"keep-alive" or len(telling) > 1:
            return None
        method, target, _ = first.decode("ascii").split(" ")
        path, _, query = target.partition("?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "method": method,
            "root_path": "",
            "path": unquote(path) if "%" in path else path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": headers,
            LENGTH: int(length),
        }

    def finish(self, exchange: Exchange) -> None:
        """An answer has gone out: wait for the next request, or begin with it."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if not exchange.keep_alive:
            self.transport.close()
            return
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
        self.flow.resume_reading()
        if self._waiting and exchange.is_over:
            self._begin()


LENGTH = "synapse_sandbox.length"


class Exchange:
    """A request and its answer, by the names that uvicorn's protocol asks its own by."""

    def __init__(self, protocol: PlainProtocol, scope: Scope) -> None:
        self.protocol = protocol
        self.flow = protocol.flow
        self.scope = scope
        self.missing: int = scope[LENGTH]
        self.keep_alive = True
        self.disconnected = False
        self.response_complete = False
        self.message_event = asyncio.Event()
        self._chunks: list[bytes] = []
        self._size = 0
        self._is_told = False
        self._head: bytes | None = None

    @property
    def is_over(self) -> bool:
        """Whether the next request may begin."""
        return self.response_complete and not self.missing

    def feed(self, data: bytes) -> bytes:
        """Take what belongs to the body; what is beyond it comes back."""
        mine, beyond = (data, b"") if len(data) <= self.missing else (data[: self.missing], data[self.missing :])
        self.missing -= len(mine)
        if not self.response_complete:
            self._chunks.append(mine)
            self._size += len(mine)
            if self._size > _MOST_WAITING:
                self.flow.pause_reading()
            self.message_event.set()
        return beyond

    async def run(self, app: App) -> None:
        """Let the application answer; without a whole answer the connection is of no use any more."""
        try:
            await app(self.scope, self.receive, self.send)
        finally:
            if not self.response_complete and not self.disconnected:
                self.protocol.transport.close()

    async def receive(self) -> Message:
        """The next piece of the body, then, when there is one, the end of the connection."""
        while not self.disconnected and not self.response_complete:
            if self._chunks or not (self.missing or self._is_told):
                body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
                self._chunks, self._size = [], 0
                self._is_told = not self.missing
                return {"type": "http.request", "body": body, "more_body": not self._is_told}
            self.flow.resume_reading()
            self.message_event.clear()
            await self.message_event.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Write a piece of the answer; its head goes out with the first piece of its body."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self._head = self._head_of(message)
            return
        body: bytes = b"" if self.scope["method"] == "HEAD" else message.get("body", b"")
        if self._head is not None:
            body, self._head = self._head + body, None
        if body:
            self.protocol.transport.write(body)
        if not message.get("more_body", False):
            self.response_complete = True
            self.message_event.set()
            self.protocol.finish(self)

    def _head_of(self, message: Message) -> bytes:
        status: int = message["status"]
        given = list(message.get("headers", ()))
        if status not in (204, 304) and all(name != b"content-length" for name, _ in given):
            # Nothing else tells where it ends.
            self.keep_alive = False
        if not self.keep_alive:
            given.append((b"connection", b"close"))
        lines = [b"HTTP/1.1 %d %s" % (status, _REASONS.get(status, b""))]
        lines += [name + b": " + value for name, value in (*self.protocol.server_state.default_headers, *given)]
        return b"\r\n".join(lines) + _END
