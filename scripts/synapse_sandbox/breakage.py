"""How a chosen fault happens around a route: what is done, what is answered, and when the connection goes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Message, Receive, Send

from synapse_sandbox.box import Box, answer
from synapse_sandbox.faults import AROUND, Rule

LOGIN_PAGE = (
    "<!doctype html><html><head><title>Sign in</title></head><body><form method=post>"
    "<input name=user><input name=password type=password></form></body></html>"
)
_REASONS = {400: "Bad Request", 403: "Forbidden", 429: "Too Many Requests", 502: "Bad Gateway", 504: "Gateway Time-out"}
Run = Callable[[Receive, Send], Awaitable[None]]


class Breakage:
    """Carries faults out; knows the open connections, because a reset is nothing that an answer could say."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.connections: dict[Any, asyncio.Transport] = {}
        self._late: set[asyncio.Task[None]] = set()

    async def happen(self, rule: Rule, request: Request, send: Send, run: Run) -> None:
        """Let one request go wrong.

        Args:
            rule: what happens.
            request: as it came in, unread.
            send: towards the client.
            run: the route itself, with its own receive and send.
        """
        if rule.kind not in AROUND:
            await run(request.receive, send)
            return
        if rule.kind == "drop":
            # Some of the body has arrived, so that this is "in the middle", and none of it is kept.
            await request.receive()
            await self.reset(request)
            return
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        if rule.kind == "slow":
            # The whole request has arrived: whether the client still waits for it changes nothing here.
            await asyncio.sleep(rule.seconds)
            await run(_replay(body), send)
        elif rule.kind == "commit-late":
            self._later(rule.seconds, run, body)
            await self.reset(request)
        elif rule.kind == "status":
            await failure(rule)(request.scope, request.receive, send)
        elif rule.kind == "login-page":
            await HTMLResponse(LOGIN_PAGE)(request.scope, request.receive, send)
        else:
            sent: list[Message] = []

            async def keep(message: Message) -> None:
                sent.append(message)

            await run(_replay(body), keep)
            if rule.kind == "drop-after-commit":
                await self.reset(request)
            elif rule.kind == "truncated":
                await _half(sent)(request.scope, request.receive, send)
            elif rule.kind == "cut-off":
                await send(sent[0])
                await send({"type": "http.response.body", "body": _half(sent).body, "more_body": True})
                # What has been written goes out first: a reset throws away what is still waiting.
                await asyncio.sleep(0.05)
                await self.reset(request)
            elif rule.kind == "slow-after-commit":
                await asyncio.sleep(rule.seconds)
                for message in sent:
                    await send(message)
            else:
                await failure(rule)(request.scope, request.receive, send)

    async def reset(self, request: Request) -> None:
        """Close the client's connection with a RST, as a dying proxy does."""
        transport = self.connections.get(request.scope.get("client"))
        if transport is None:
            return
        sock: socket.socket | None = transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        # The loop closes it in its next round; only then may the route end, or the server would answer for it.
        for _ in range(3):
            await asyncio.sleep(0)

    def _later(self, seconds: float, run: Run, body: bytes) -> None:
        async def commit() -> None:
            try:
                await asyncio.sleep(seconds)
                await run(_replay(body), _nowhere)
            except Exception:
                traceback.print_exc(file=sys.stderr)
            finally:
                self.box.stats.late -= 1

        self.box.stats.late += 1
        task = asyncio.create_task(commit())
        self._late.add(task)
        task.add_done_callback(self._late.discard)


async def _nowhere(message: Message) -> None:
    """Send to a client that has gone."""


def _replay(body: bytes) -> Receive:
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


def _half(sent: list[Message]) -> Response:
    body = b"".join(message.get("body", b"") for message in sent[1:])
    kind = dict(sent[0]["headers"]).get(b"content-type", b"application/octet-stream").decode()
    return Response(body[: len(body) // 2], sent[0]["status"], media_type=kind)


def failure(rule: Rule) -> Response:
    """The answer of a `status` fault."""
    reason = _REASONS.get(rule.status, "Service Unavailable" if rule.status >= 500 else "Error")
    headers = {} if rule.retry_after is None else {"Retry-After": f"{rule.retry_after:g}"}
    if rule.body == "html":
        text = f"<html><head><title>{rule.status} {reason}</title></head><body>{reason}</body></html>"
        return HTMLResponse(text, rule.status, headers)
    if rule.body == "xml":
        code = "AccessDenied" if rule.status == 403 else reason.replace(" ", "")
        text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{reason}</Message></Error>'
        return Response(text, rule.status, headers, "application/xml")
    if rule.body == "empty":
        return Response(status_code=rule.status, headers=headers)
    return answer({"detail": f"{reason} (a fault that was asked for)"}, rule.status, headers)
