"""HTTP to the Synapse backend: reads that know "wait" from "never", and sends that go out once.

Everything is ours over aiohttp. The SDK's client resends a POST on 502, 503 and 504, so a commit behind a 504 doubles
a batch (contract/EXPERIMENTS.md, e1); it takes an HTML page with status 200 for an answer; it never retries 429.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import ssl
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
from yarl import URL

from synapse_skills.backend.addresses import Resolver, host_of
from synapse_skills.backend.login import Login
from synapse_skills.errors import FindingError, OutOfReach, redact
from synapse_skills.texts import parse_json

# In all, because a server that lets one byte through now and then, or stops reading, would hold us up for ever.
READ_TIMEOUT = aiohttp.ClientTimeout(total=300, sock_connect=10, sock_read=120)
SEND_TIMEOUT = aiohttp.ClientTimeout(total=300, sock_connect=10, sock_read=120)
MAX_RETRY_AFTER_S = 60.0
MAX_TOLD = 20
MAX_ANSWER_BYTES = 1 << 30
LATER = (425, 429)
"""Refused, but only for now; whoever asks again does no harm."""

Outcome = Literal["ok", "refused", "unsent", "unknown"]


class NotThere(FindingError):
    """The backend says 404."""

    code = "not-found"


class Refused(FindingError):
    """The backend says 400 or 422: what was asked is wrong."""

    code = "refused"


@dataclass(frozen=True)
class Answer:
    """What became of something that was sent once.

    outcome: ok (2xx with JSON), refused (4xx: nothing was done), unsent (never reached the backend), unknown (5xx,
    reset, timeout, HTML: it may or may not have been done).
    """

    outcome: Outcome
    status: int = 0
    body: Any = None
    reason: str = ""
    retry_after: float = 0.0


def _parse(content: bytes) -> Any:
    return parse_json(content, 0)


class TooLarge(Exception):
    """An answer that no memory should hold."""


async def read_at_most(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body of an answer.

    Raises:
        TooLarge: it is longer than `limit`, as it came or unpacked.
    """
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > limit:
            response.close()
            raise TooLarge(f"more than {limit:,} bytes")
    return bytes(content)


def tls_context() -> ssl.SSLContext | Literal[True]:
    """The TLS context with the CA bundle that requests and curl users configure; True for the system's.

    aiohttp has read the system's by then, which takes a twentieth of a second: not twice.
    """
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if not bundle:
        return True
    try:
        if os.path.isdir(bundle):  # noqa: PTH112 - a plain string from the environment
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)
    except (OSError, ssl.SSLError) as error:
        raise OutOfReach(
            f"The CA bundle {bundle} can't be read: {error}",
            hint="Mend or unset REQUESTS_CA_BUNDLE (or CURL_CA_BUNDLE).",
            code="bad-ca-bundle",
        ) from None


def _has_proxy() -> bool:
    """Whether the environment names a proxy. aiohttp would ask anew for every request, and read ~/.netrc twice each
    time: a quarter of an upload of small files. Without a proxy there is nothing to ask for, and no login of ~/.netrc
    belongs into a request to a presigned link."""
    return bool({"http", "https"} & urllib.request.getproxies().keys())


def backoff(attempt: int, retry_after: float = 0.0) -> float:
    """Seconds to wait before attempt `attempt + 1`: what the server asks for, else exponential with full jitter."""
    if retry_after > 0:
        return min(retry_after, MAX_RETRY_AFTER_S)
    return random.uniform(0.1, 1.0) * min(0.25 * 2.0**attempt, 15.0)


class Patience:
    """When to try again, and when to give up.

    Args:
        seconds: how long a backend may be away or busy. A wait that it asks for itself (429) does not count: it is
            there, and says when it will have time.
    """

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._attempt = 0
        self._told = 0

    def wait(self, answer: Answer) -> float | None:
        """Seconds to wait after this answer; None when it is enough."""
        wait = backoff(self._attempt, answer.retry_after)
        if answer.status == 429 and answer.retry_after > 0 and self._told < MAX_TOLD:
            self._told += 1
            self._deadline += wait
        if time.monotonic() + wait > self._deadline:
            return None
        self._attempt += 1
        return wait


def detail_of(body: Any) -> str:
    """The human part of an error body, short: DRF sends an object, a list of objects, or a list of strings."""
    if isinstance(body, dict):
        body = body.get("detail", body)
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return redact(text if len(text) <= 300 else text[:297] + "...")


class Api:
    """One backend, one login. An async context manager.

    Args:
        login: who we are.
        patience: seconds that a read goes on trying while the backend is away or busy.
    """

    def __init__(self, login: Login, *, patience: float = 60.0, connections: int = 64) -> None:
        self.login = login
        self.patience = patience
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None
        self._once: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Api:
        tls = tls_context()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=self._connections, resolver=Resolver(self._trusted())),
            trust_env=_has_proxy(),
            timeout=READ_TIMEOUT,
        )
        # A create on a kept-alive connection that the server has just closed looks like a lost answer: a fresh
        # connection for each keeps "unknown" for what is unknown.
        self._once = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, force_close=True), trust_env=_has_proxy(), timeout=SEND_TIMEOUT
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        for session in (self._session, self._once):
            if session is not None:
                await session.close()

    def _trusted(self) -> set[str]:
        """Hosts that the user has named: the backend's, and the proxies'."""
        return {host_of(each) for each in (self.login.host, *urllib.request.getproxies().values())}

    @property
    def plain_session(self) -> aiohttp.ClientSession:
        """The pooled session, without any login header: for presigned links."""
        assert self._session is not None
        return self._session

    def url(self, path: str) -> str:
        """Absolute URL of a backend path; `next` links pass through if they stay on the backend's host."""
        if path.startswith(("http://", "https://")):
            own = URL(self.login.host).origin()
            if URL(path).origin() != own:
                # Behind a proxy the backend may name itself by another address; the login must not follow it there.
                return str(own.join(URL(path).relative()))
            return path
        return f"{self.login.host}/{path}"

    async def get(self, path: str, params: dict[str, Any] | None = None) -> Any:
        """GET, retried while waiting makes sense. Returns the JSON body.

        Raises:
            NotThere: 404. Refused: another 4xx. OutOfReach: login refused, not Synapse, or still away after
            `patience` seconds.
        """
        return await self._repeat("GET", path, params=params)

    async def get_as(
        self,
        path: str,
        params: Mapping[str, Any] | None,
        parse: Callable[[bytes], Any],
        on_trouble: Callable[[], None] = lambda: None,
    ) -> Any:
        """GET like `get`, for a body that is read in its own way.

        Args:
            path: as for `get`; `params` too.
            parse: takes the bytes; its ValueError means that this is no answer of the backend, and is tried again.
            on_trouble: called whenever the backend suffers, so that whoever asks can slow down.
        """
        return await self._repeat("GET", path, params=dict(params or {}), parse=parse, on_trouble=on_trouble)

    async def post_repeatable(self, path: str, body: Any) -> Any:
        """POST something that does no harm when it arrives twice (presign, confirm), retried like a read."""
        return await self._repeat("POST", path, body=body)

    async def _repeat(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, Any] | None = None,
        body: Any = None,
        parse: Callable[[bytes], Any] = _parse,
        on_trouble: Callable[[], None] = lambda: None,
    ) -> Any:
        patience = Patience(self.patience)
        while True:
            answer = await self._request(self.plain_session, method, path, params=params, body=body, parse=parse)
            if answer.outcome == "ok":
                return answer.body
            if answer.outcome == "refused" and answer.status not in LATER:
                raise self.error_of(answer, path)
            on_trouble()
            wait = patience.wait(answer)
            if wait is None:
                raise self.error_of(answer, path)
            await asyncio.sleep(wait)

    async def post_once(self, path: str, body: Any) -> Answer:
        """POST exactly once. Never raises for what the network or the backend does: the answer says it."""
        assert self._once is not None
        return await self._request(self._once, "POST", path, body=body)

    async def _request(
        self,
        session: aiohttp.ClientSession,
        method: str,
        path: str,
        *,
        params: dict[str, Any] | None = None,
        body: Any = None,
        parse: Callable[[bytes], Any] = _parse,
    ) -> Answer:
        data = None if body is None else json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
        headers = dict(self.login.headers)
        if data is not None:
            headers["Content-Type"] = "application/json"
        query = {key: str(value) for key, value in (params or {}).items() if value is not None} | self.login.params
        try:
            async with session.request(
                method, self.url(path), params=query or None, data=data, headers=headers, allow_redirects=False
            ) as response:
                content = await read_at_most(response, MAX_ANSWER_BYTES)
                return self._understand(response.status, response.headers, content, parse)
        except TooLarge as error:
            return Answer("unknown", response.status, reason=str(error))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Answer("unsent", reason=_reason(error))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Answer("unknown", reason=_reason(error))
        except ValueError:
            # A `next` that is no address.
            return Answer("unsent", reason="the backend named a page that is no address")

    @staticmethod
    def _understand(status: int, headers: Any, raw: bytes, parse: Callable[[bytes], Any] = _parse) -> Answer:
        if not 200 <= status < 300:
            parse = _parse
        try:
            body = parse(raw) if raw else None
        except ValueError:
            body = None
            kind = "an HTML page" if b"<" in raw[:200] else "something that is not JSON"
            if status < 400:
                return Answer("unknown", status, reason=f"{kind} in place of an answer")
        try:
            retry_after = float(headers.get("Retry-After", 0) or 0)
        except ValueError:
            retry_after = 1.0
        if 200 <= status < 300:
            return Answer("ok", status, body)
        if 400 <= status < 500 and status != 408:
            return Answer("refused", status, body, detail_of(body) if body is not None else "", retry_after)
        return Answer("unknown", status, body, f"status {status}", retry_after)

    def error_of(self, answer: Answer, path: str) -> FindingError | OutOfReach:
        """The error that an answer amounts to, when it is final."""
        host = self.login.host
        if answer.status in (401, 403):
            return OutOfReach(
                f"{host} refused the login ({answer.status}).",
                hint="Run `synapse login` again, or check SYNAPSE_ACCESS_TOKEN and the tenant.",
                code="login-refused",
            )
        if answer.status == 404:
            what = path.split("?")[0].strip("/")
            return NotThere(f"{host} has no {what}.", hint="Check the id with list_resources.")
        if answer.status == 429:
            return OutOfReach(
                f"{host} is limiting requests (429).", hint="Wait, then run it again.", code="rate-limited"
            )
        if answer.outcome == "refused":
            return Refused(f"{host} refused {path.split('?')[0]}: {answer.status} {answer.reason}".rstrip())
        if answer.outcome == "unsent":
            return OutOfReach(
                f"{host} can't be reached: {answer.reason}",
                hint="Check SYNAPSE_HOST and the network, then run it again.",
                code="backend-unreachable",
            )
        if answer.status and answer.status < 400:
            return OutOfReach(
                f"{host} answered with {answer.reason}.",
                hint="This looks like a login page or a proxy: check SYNAPSE_HOST.",
                code="not-synapse",
            )
        return OutOfReach(
            f"{host} is not answering properly: {answer.reason}",
            hint="Wait until the backend is well again, then run it again: it goes on where it was.",
            code="backend-error",
        )


def _reason(error: BaseException) -> str:
    text = redact(str(error)) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
