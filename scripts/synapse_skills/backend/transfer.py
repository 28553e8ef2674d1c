"""Files to the backend's default storage: presign, PUT, confirm (contract/UPLOAD.md, sections 2.1 and 3).

All three do no harm when they happen twice: at worst an object that nothing refers to. Hashes come from the same read
that sends. A default storage that can't presign takes files through the backend itself (`data_files/`).
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import mimetypes
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import aiohttp

from synapse_skills.backend.api import Api, Refused, backoff
from synapse_skills.backend.pace import Pace
from synapse_skills.errors import SkillsError, redact

PRESIGN_PROVIDERS = frozenset({"amazon_s3", "s3", "minio", "gcp", "gcs", "azure"})
LINK_LIFE_S = 3600
CHUNK = 1 << 20
BACKEND_CHUNK = 50 << 20
PUT_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=120)
ATTEMPTS = 6
WAIT_STATUSES = frozenset({408, 425, 429})
CHANGED = "changed-while-reading"

Opener = Callable[[], BinaryIO]


class TransferFailed(SkillsError):
    """A file could not be sent; `again` says whether a later run may succeed where this one did not."""

    code = "transfer-failed"

    def __init__(self, message: str, *, again: bool, code: str = "transfer-failed") -> None:
        super().__init__(redact(message), code=code)
        self.again = again


@dataclass
class Ticket:
    """A presigned place for one file."""

    file_key: str
    url: str | None
    upload_id: str = ""
    part_size: int = 0
    parts: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Confirmed:
    """What the backend says of one file after the transfer."""

    ok: bool
    checksum: str
    error: str = ""


@dataclass(frozen=True)
class Sent:
    """One file after its PUT, before the confirmation."""

    file_key: str
    sha1: str
    size: int
    upload_id: str = ""
    parts: tuple[tuple[int, str], ...] = ()

    def as_item(self) -> dict[str, Any]:
        """The file's entry in a confirm request."""
        item: dict[str, Any] = {"file_key": self.file_key, "checksum": self.sha1, "size": self.size}
        if self.upload_id:
            parts = [{"part_number": number, "etag": etag} for number, etag in self.parts]
            item["multipart"] = {"upload_id": self.upload_id, "parts": parts}
        return item


class Expired(Exception):
    """The presigned link is no longer accepted: ask for another."""


class Transfer:
    """Moves files through one Api at one Pace."""

    def __init__(self, api: Api, pace: Pace) -> None:
        self.api = api
        self.pace = pace

    async def presign(self, files: Sequence[tuple[str, int]]) -> list[Ticket | None]:
        """Ask for places for (name, size) pairs, in order; None where the backend left one out.

        Entries are matched by position, as the SDK does; a short answer loses only its tail.
        """
        request = {
            "files": [{"filename": name, "size": size, "content_type": content_type(name)} for name, size in files],
            "expiration": LINK_LIFE_S,
        }
        answer = await self.api.post_repeatable("data_files/presigned_upload/upload/", request)
        rows = answer.get("files") if isinstance(answer, dict) else None
        if not isinstance(rows, list):
            raise Refused("The backend answered a presign request with something else.", code="not-synapse")
        tickets = [_ticket(row) for row in rows[: len(files)]]
        return tickets + [None] * (len(files) - len(tickets))

    async def confirm(self, sent: Sequence[Sent]) -> list[Confirmed]:
        """Tell the backend what has arrived; answers in the order of `sent`, missing rows as not ok."""
        answer = await self.api.post_repeatable(
            "data_files/presigned_upload/confirm_upload/", {"files": [item.as_item() for item in sent]}
        )
        rows = answer.get("results") if isinstance(answer, dict) else None
        by_key = {str(row.get("file_key")): row for row in rows or [] if isinstance(row, dict)}
        result = []
        for item in sent:
            row = by_key.get(item.file_key)
            if row is None:
                result.append(Confirmed(False, "", "the backend's answer leaves this file out"))
            else:
                checksum = str(row.get("checksum") or item.sha1)
                result.append(Confirmed(bool(row.get("success")), checksum, redact(str(row.get("error") or ""))))
        return result

    async def put(self, ticket: Ticket, name: str, size: int, opener: Opener) -> Sent:
        """Send one file's bytes to its place, hashing them on the way.

        Raises:
            TransferFailed: the storage refuses it, or it can't be read, or six attempts were not enough.
            Expired: the link is too old.
        """
        if ticket.parts:
            return await self._put_parts(ticket, name, size, opener)
        sha1 = ""
        assert ticket.url is not None

        async def attempt() -> None:
            nonlocal sha1
            digest = hashlib.sha1(usedforsecurity=False)
            body: bytes | AsyncIterator[bytes]
            if size <= CHUNK:
                body = await asyncio.to_thread(_whole, opener, digest, size)
            else:
                body = _reading(opener, 0, size, digest)
            await self._put_once(ticket.url or "", name, size, body)
            sha1 = digest.hexdigest()

        await self._attempts(attempt, name)
        return Sent(ticket.file_key, sha1, size)

    async def _put_parts(self, ticket: Ticket, name: str, size: int, opener: Opener) -> Sent:
        if ticket.part_size <= 0 or ticket.part_size * len(ticket.parts) < size:
            raise TransferFailed(f"{name}: the backend offers parts for less than the whole file", again=False)
        digest = hashlib.sha1(usedforsecurity=False)
        etags = []
        for index, (number, url) in enumerate(ticket.parts):
            start = index * ticket.part_size
            length = min(ticket.part_size, size - start)
            if length <= 0:
                break
            etag = ""

            async def attempt(url: str = url, start: int = start, length: int = length) -> None:
                nonlocal etag, digest
                # Hash on a copy: an attempt that fails half-way must leave no trace in the sum.
                trial = digest.copy()
                etag = await self._put_once(url, name, length, _reading(opener, start, length, trial), typed=False)
                digest = trial

            await self._attempts(attempt, name)
            etags.append((number, etag))
        return Sent(ticket.file_key, digest.hexdigest(), size, ticket.upload_id, tuple(etags))

    async def _attempts(self, attempt: Callable[[], Any], name: str) -> None:
        for number in range(ATTEMPTS):
            try:
                async with self.pace.slot():
                    await attempt()
                await self.pace.good()
                return
            except _Busy as busy:
                self.pace.bad()
                last, wait = str(busy), backoff(number, busy.retry_after)
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                self.pace.bad()
                last, wait = redact(str(error)) or type(error).__name__, backoff(number)
            if number < ATTEMPTS - 1:
                await asyncio.sleep(wait)
        raise TransferFailed(f"{name}: {last}", again=True)

    async def _put_once(
        self, url: str, name: str, size: int, body: bytes | AsyncIterator[bytes], *, typed: bool = True
    ) -> str:
        headers = {"Content-Length": str(size)}
        kind = content_type(name) if typed else None
        skip = set()
        if kind:
            headers["Content-Type"] = kind
        else:
            skip.add("Content-Type")
        async with self.api.plain_session.put(
            url,
            data=body,
            headers=headers,
            skip_auto_headers=skip,
            allow_redirects=False,
            timeout=PUT_TIMEOUT,
        ) as response:
            text = (await response.content.read(2000)).decode("utf-8", "replace")
            if 200 <= response.status < 300:
                return str(response.headers.get("ETag", ""))
            code = _s3_code(text)
            if response.status >= 500 or response.status in WAIT_STATUSES:
                raise _Busy(f"the storage answered {response.status} {code}".strip(), _retry_after(response))
            if response.status == 403 and ("xpired" in text or code in ("AccessDenied", "ExpiredToken")):
                raise Expired
            if not code and response.status >= 400:
                # A page of a gateway, not an answer of the storage: it may pass.
                raise _Busy(f"the storage's gateway answered {response.status}", 0.0)
            raise TransferFailed(f"{name}: the storage refused it ({response.status} {code})", again=True)

    async def through_backend(self, name: str, size: int, opener: Opener) -> Sent:
        """Send a file to `data_files/`, for a default storage that can't presign; large ones in chunks first.

        Returns the checksum that the backend gives the file, which is what a data unit refers to.
        """
        row: Any = None

        async def whole() -> None:
            nonlocal row
            with await asyncio.to_thread(opener) as stream:
                form = aiohttp.FormData()
                kind = content_type(name) or "application/octet-stream"
                form.add_field("file", stream, filename=name, content_type=kind)
                row = await self._through("POST", "data_files/", name, data=form)

        async def chunk(url: str, stream: BinaryIO, start: int) -> None:
            nonlocal row
            stream.seek(start)
            content = await asyncio.to_thread(stream.read, BACKEND_CHUNK)
            if not content:
                raise TransferFailed("the file became shorter while it was read", again=True, code=CHANGED)
            form = aiohttp.FormData({"filename": name})
            form.add_field("file", content, filename=name, content_type="application/octet-stream")
            span = f"bytes {start}-{start + len(content) - 1}/{size}"
            row = await self._through("PUT", url, name, data=form, headers={"Content-Range": span})

        if size <= BACKEND_CHUNK:
            await self._attempts(whole, name)
        else:
            url, start = "chunked_upload/", 0
            with await asyncio.to_thread(opener) as stream:
                while start < size:
                    await self._attempts(functools.partial(chunk, url, stream, start), name)
                    url, start = str(row["url"]), int(row["offset"])
                stream.seek(0)
                md5 = await asyncio.to_thread(_md5, stream)
            done = await self.api.post_repeatable(url, {"md5": md5})
            row = await self.api.post_repeatable("data_files/", {"chunked_upload": done["id"]})
        checksum = str(row.get("checksum") or "") if isinstance(row, dict) else ""
        if not checksum:
            raise TransferFailed(f"{name}: the backend's answer names no checksum", again=True)
        return Sent("", checksum, size)

    async def _through(
        self, method: str, path: str, name: str, *, data: aiohttp.FormData, headers: dict[str, str] | None = None
    ) -> Any:
        sent = self.api.login.headers | (headers or {})
        async with self.api.plain_session.request(
            method, self.api.url(path), data=data, headers=sent, timeout=PUT_TIMEOUT, allow_redirects=False
        ) as response:
            if response.status >= 500 or response.status in WAIT_STATUSES:
                raise _Busy(f"the backend answered {response.status}", _retry_after(response))
            if response.status >= 300:
                text = (await response.content.read(500)).decode("utf-8", "replace")
                raise TransferFailed(f"{name}: the backend refused it ({response.status}): {text}", again=True)
            try:
                return await response.json(content_type=None)
            except ValueError:
                raise _Busy("the backend answered with something that is not JSON", 0.0) from None


class _Busy(Exception):
    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def _retry_after(response: aiohttp.ClientResponse) -> float:
    try:
        return float(response.headers.get("Retry-After", 0))
    except ValueError:
        return 1.0


def _s3_code(text: str) -> str:
    start, end = text.find("<Code>"), text.find("</Code>")
    return text[start + 6 : end][:60] if 0 <= start < end else ""


def content_type(name: str) -> str | None:
    """The MIME type that is both asked for and sent; None if unknown, as the SDK does it."""
    return mimetypes.guess_type(name)[0]


def _ticket(row: Any) -> Ticket | None:
    if not isinstance(row, dict) or not row.get("file_key"):
        return None
    multipart = row.get("multipart")
    if isinstance(multipart, dict):
        parts = [(int(part["part_number"]), str(part["presigned_url"])) for part in multipart.get("parts") or []]
        return Ticket(
            str(row["file_key"]), None, str(multipart.get("upload_id")), int(multipart.get("part_size") or 0), parts
        )
    url = row.get("presigned_url")
    return Ticket(str(row["file_key"]), str(url)) if url else None


async def _reading(opener: Opener, start: int, length: int, digest: Any) -> AsyncIterator[bytes]:
    stream = await asyncio.to_thread(opener)
    try:
        if start:
            await asyncio.to_thread(stream.seek, start)
        left = length
        while left:
            chunk = await asyncio.to_thread(stream.read, min(CHUNK, left))
            if not chunk:
                raise TransferFailed(
                    "the file became shorter while it was read", again=True, code="changed-while-reading"
                )
            digest.update(chunk)
            left -= len(chunk)
            yield chunk
    finally:
        stream.close()


def _md5(stream: Any) -> str:
    return hashlib.file_digest(stream, "md5").hexdigest()


def _whole(opener: Opener, digest: Any, size: int) -> bytes:
    with opener() as stream:
        content = stream.read(size + 1)
    if len(content) != size:
        raise TransferFailed("the file changed its size while it was read", again=True, code=CHANGED)
    digest.update(content)
    return content
