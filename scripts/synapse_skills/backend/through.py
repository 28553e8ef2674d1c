"""Files through the backend itself, for a default storage that hands out no links (contract/UPLOAD.md, section 2.1)."""

from __future__ import annotations

import asyncio
import functools
import hashlib
from typing import Any, BinaryIO

import aiohttp

from synapse_skills.backend.api import Answer, Api
from synapse_skills.backend.body import Opener
from synapse_skills.backend.trying import CHANGED, WAIT_STATUSES, Busy, TransferFailed, Tries, retry_after

BACKEND_CHUNK = 50 << 20
# A chunk is held in memory while it is sent: so many at once, whatever the pace.
CHUNKED_AT_ONCE = 2
TIMEOUT_S = 240.0
SLOWEST = 1 << 16  # bytes a second: slower than that counts as stalled


class Through:
    """Sends whole files to `data_files/`, large ones in chunks first."""

    def __init__(self, api: Api, tries: Tries) -> None:
        self._api = api
        self._tries = tries
        self._chunked = asyncio.Semaphore(CHUNKED_AT_ONCE)

    async def send(self, name: str, kind: str, size: int, opener: Opener) -> str:
        """Send one file; the checksum that the backend gives it, which is what a data unit refers to."""
        if size <= BACKEND_CHUNK:
            row = await self._whole(name, kind, size, opener)
        else:
            async with self._chunked:
                row = await self._in_chunks(name, size, opener)
        checksum = str(row.get("checksum") or "") if isinstance(row, dict) else ""
        if not checksum:
            raise TransferFailed(f"{name}: the backend's answer names no checksum", again=True)
        return checksum

    async def _whole(self, name: str, kind: str, size: int, opener: Opener) -> Any:
        row: Any = None

        async def attempt() -> None:
            nonlocal row
            with await asyncio.to_thread(opener) as stream:
                form = aiohttp.FormData()
                form.add_field("file", stream, filename=name, content_type=kind)
                row = await self._send("POST", "data_files/", name, size, data=form)

        await self._tries.run(attempt, name)
        return row

    async def _in_chunks(self, name: str, size: int, opener: Opener) -> Any:
        row: Any = None

        async def chunk(url: str, stream: BinaryIO, start: int) -> None:
            nonlocal row
            stream.seek(start)
            content = await asyncio.to_thread(stream.read, BACKEND_CHUNK)
            if not content:
                raise TransferFailed("the file became shorter while it was read", again=True, code=CHANGED)
            form = aiohttp.FormData({"filename": name})
            form.add_field("file", content, filename=name, content_type="application/octet-stream")
            span = {"Content-Range": f"bytes {start}-{start + len(content) - 1}/{size}"}
            row = await self._send("PUT", url, name, len(content), data=form, headers=span)

        url, start = "chunked_upload/", 0
        with await asyncio.to_thread(opener) as stream:
            while start < size:
                await self._tries.run(functools.partial(chunk, url, stream, start), name)
                offset = row.get("offset") if isinstance(row, dict) else None
                if not row or not isinstance(offset, int) or not start < offset <= size or not row.get("url"):
                    raise TransferFailed(f"{name}: the backend does not say how to go on with its chunks", again=True)
                url, start = str(row["url"]), offset
            stream.seek(0)
            md5 = await asyncio.to_thread(_md5, stream)
        done = await self._api.post_repeatable(url, {"md5": md5})
        identity = done.get("id") if isinstance(done, dict) else None
        if identity is None:
            raise TransferFailed(f"{name}: the backend does not say what its chunks have become", again=True)
        return await self._api.post_repeatable("data_files/", {"chunked_upload": identity})

    async def _send(
        self,
        method: str,
        path: str,
        name: str,
        size: int,
        *,
        data: aiohttp.FormData,
        headers: dict[str, str] | None = None,
    ) -> Any:
        sent = self._api.login.headers | (headers or {})
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S + size / SLOWEST, sock_connect=15, sock_read=120)
        async with self._api.plain_session.request(
            method, self._api.url(path), data=data, headers=sent, timeout=timeout, allow_redirects=False
        ) as response:
            if response.status >= 500 or response.status in WAIT_STATUSES:
                raise Busy(f"the backend answered {response.status}", retry_after(response))
            if response.status in (401, 403):
                raise self._api.error_of(Answer("refused", response.status), path)
            if response.status >= 300:
                text = (await response.content.read(500)).decode("utf-8", "replace")
                raise TransferFailed(f"{name}: the backend refused it ({response.status}): {text}", again=True)
            try:
                return await response.json(content_type=None)
            except ValueError:
                raise Busy("the backend answered with something that is not JSON") from None


def _md5(stream: Any) -> str:
    return hashlib.file_digest(stream, "md5").hexdigest()
