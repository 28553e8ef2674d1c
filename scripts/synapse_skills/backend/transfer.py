"""Files to the backend's default storage: presign, PUT, confirm (contract/UPLOAD.md, sections 2.1 and 3).

All three do no harm when they happen twice: at worst an object that nothing refers to. Hashes come from the same read
that sends. A default storage that can't presign takes files through the backend itself (`data_files/`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import mimetypes
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from synapse_skills.backend.addresses import host_of, is_own_network
from synapse_skills.backend.api import Api, Refused
from synapse_skills.backend.body import CHUNK, Body, Opener, Unchanged, whole
from synapse_skills.backend.pace import Pace
from synapse_skills.backend.through import Through
from synapse_skills.backend.trying import CHANGED, OWN_NETWORK, WAIT_STATUSES, Busy, TransferFailed, Tries, retry_after
from synapse_skills.errors import redact

__all__ = [
    "CHANGED",
    "LINK_LIFE_S",
    "PRESIGN_PROVIDERS",
    "Confirmed",
    "Expired",
    "Sent",
    "Ticket",
    "Transfer",
    "TransferFailed",
]

PRESIGN_PROVIDERS = frozenset({"amazon_s3", "s3", "minio", "gcp", "gcs", "azure"})
LINK_LIFE_S = 3600
PUT_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=120)
# A storage that takes no more bytes never ends a PUT by itself: reading times out, writing does not.
STALL_S = 240.0


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
        self._tries = Tries(pace, api.patience)
        self._through = Through(api, self._tries)

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
        taken: set[str] = set()
        for at, ticket in enumerate(tickets):
            if ticket is not None and ticket.file_key in taken:
                # Two files in one place: one would overwrite the other.
                tickets[at] = None
            elif ticket is not None:
                taken.add(ticket.file_key)
        return tickets + [None] * (len(files) - len(tickets))

    async def confirm(self, sent: Sequence[Sent]) -> list[Confirmed]:
        """Tell the backend what has arrived; answers in the order of `sent`, missing rows as not ok."""
        answer = await self.api.post_repeatable(
            "data_files/presigned_upload/confirm_upload/", {"files": [item.as_item() for item in sent]}
        )
        rows = answer.get("results") if isinstance(answer, dict) else None
        rows = rows if isinstance(rows, list) else []
        by_key = {str(row.get("file_key")): row for row in rows if isinstance(row, dict)}
        result = []
        for item in sent:
            row = by_key.get(item.file_key)
            if row is None:
                result.append(Confirmed(False, "", "the backend's answer leaves this file out"))
            else:
                checksum = str(row.get("checksum") or item.sha1)
                if len(checksum) == len(item.sha1) and checksum.lower() != item.sha1:
                    # A checksum of another kind is the backend's own affair, another SHA-1 is another content.
                    result.append(Confirmed(False, "", "other bytes arrived than were sent"))
                    continue
                result.append(Confirmed(bool(row.get("success")), checksum, redact(str(row.get("error") or ""))))
        return result

    async def put(
        self, ticket: Ticket, name: str, size: int, opener: Opener, unchanged: Unchanged | None = None
    ) -> Sent:
        """Send one file's bytes to its place, hashing them on the way.

        Args:
            ticket: the place.
            name: of the file, as it arrives.
            size: in bytes.
            opener: opens the file, once for each attempt.
            unchanged: asked whenever the file has been read, while it is open.

        Raises:
            TransferFailed: the storage refuses it, or it can't be read, or six attempts were not enough.
            Expired: the link is too old.
        """
        if ticket.parts:
            return await self._put_parts(ticket, name, size, opener, unchanged)
        sha1 = ""
        assert ticket.url is not None

        async def attempt() -> None:
            nonlocal sha1
            digest = hashlib.sha1(usedforsecurity=False)
            body: bytes | Body
            if size <= CHUNK:
                body = await asyncio.to_thread(whole, opener, digest, size, unchanged)
            else:
                body = Body(opener, 0, size, digest, unchanged)
            await self._put_once(ticket.url or "", name, size, body)
            sha1 = digest.hexdigest()

        await self._tries.run(attempt, name)
        return Sent(ticket.file_key, sha1, size)

    async def _put_parts(
        self, ticket: Ticket, name: str, size: int, opener: Opener, unchanged: Unchanged | None
    ) -> Sent:
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
                etag = await self._put_once(
                    url, name, length, Body(opener, start, length, trial, unchanged), typed=False
                )
                digest = trial

            await self._tries.run(attempt, name)
            etags.append((number, etag))
        return Sent(ticket.file_key, digest.hexdigest(), size, ticket.upload_id, tuple(etags))

    async def _put_once(self, url: str, name: str, size: int, body: bytes | Body, *, typed: bool = True) -> str:
        headers = {"Content-Length": str(size)}
        kind = content_type(name) if typed else None
        skip = set()
        if kind:
            headers["Content-Type"] = kind
        else:
            skip.add("Content-Type")
        if is_own_network(host_of(url)):
            raise TransferFailed(f"{name}: its link is {OWN_NETWORK}", again=False)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(STALL_S) as stall:

                def moving() -> None:
                    # It may have ended while the last chunk was being read.
                    with contextlib.suppress(RuntimeError):
                        stall.reschedule(loop.time() + STALL_S)

                data: bytes | AsyncIterator[bytes] = body.chunks(moving) if isinstance(body, Body) else body
                async with self.api.plain_session.put(
                    url,
                    data=data,
                    headers=headers,
                    skip_auto_headers=skip,
                    allow_redirects=False,
                    timeout=PUT_TIMEOUT,
                ) as response:
                    return await _etag(response, name)
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            if isinstance(body, Body) and body.error is not None:
                raise body.error from None
            raise

    async def through_backend(self, name: str, size: int, opener: Opener) -> Sent:
        """Send a file to `data_files/`, for a default storage that can't presign; large ones in chunks first.

        Returns the checksum that the backend gives the file, which is what a data unit refers to.
        """
        kind = content_type(name) or "application/octet-stream"
        return Sent("", await self._through.send(name, kind, size, opener), size)


async def _etag(response: aiohttp.ClientResponse, name: str) -> str:
    text = (await response.content.read(2000)).decode("utf-8", "replace")
    if 200 <= response.status < 300:
        return str(response.headers.get("ETag", ""))
    code = _s3_code(text)
    if response.status >= 500 or response.status in WAIT_STATUSES:
        raise Busy(f"the storage answered {response.status} {code}".strip(), retry_after(response))
    if response.status == 403 and ("xpired" in text or code in ("AccessDenied", "ExpiredToken")):
        raise Expired
    if not code and response.status >= 400:
        # A page of a gateway, not an answer of the storage: it may pass.
        raise Busy(f"the storage's gateway answered {response.status}")
    raise TransferFailed(f"{name}: the storage refused it ({response.status} {code})", again=True)


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
        try:
            parts = [(int(part["part_number"]), str(part["presigned_url"])) for part in multipart.get("parts") or []]
            size = int(multipart.get("part_size") or 0)
        except (KeyError, TypeError, ValueError):
            return None
        return Ticket(str(row["file_key"]), None, str(multipart.get("upload_id")), size, parts) if parts else None
    url = row.get("presigned_url")
    return Ticket(str(row["file_key"]), str(url)) if url else None
