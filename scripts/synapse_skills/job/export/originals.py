"""Originals of the records: downloaded once into a store of the state, from links that are issued when they are needed.

A file that is in the store is whole: it was checked before it got its name. What was cut off goes on where it stopped,
if the storage says that it still is the same file.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from synapse_skills.annotations.model import MediaFile
from synapse_skills.backend import Api, Pace, TransferFailed
from synapse_skills.backend.storage_link import follow, storage_link
from synapse_skills.backend.trying import WAIT_STATUSES, Busy, Tries, retry_after
from synapse_skills.errors import printable, redact
from synapse_skills.job.export import signature, sizes
from synapse_skills.job.export.index import Index
from synapse_skills.job.export.links import Links
from synapse_skills.job.export.payloads import ATTEMPTS, EXPIRED, REISSUES, Expired

BATCH = 50
CHUNK = 1 << 18
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=60)
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_SHA1 = re.compile(r"[0-9a-f]{40}", re.IGNORECASE)


class Wrong(Exception):
    """What came is not the file: why."""


@dataclass(frozen=True, slots=True)
class Want:
    """A file that is wanted: whole, or only its beginning for the size."""

    key: int
    media: str
    spec: str | None
    data_unit: int | None
    checksum: str | None
    size: bool


class Store:
    """The originals of one state, by what they belong to.

    Args:
        folder: `<state>/originals`.
        under_way: a folder in it for files that have not come whole, if others fetch the same ones at the same time.
    """

    def __init__(self, folder: Path, under_way: Path | None = None) -> None:
        self.folder = folder
        self.under_way = under_way

    def path_of(self, want: Want) -> Path:
        """Where a wanted file lies, or would."""
        return self.path(want.key, want.data_unit, want.spec or "", want.checksum)

    def part_of(self, path: Path) -> Path:
        """Where a file is until it is whole."""
        return (self.under_way or path.parent) / f"{path.name}.part"

    def path(self, key: int, data_unit: int | None, spec: str, checksum: str | None) -> Path:
        """Where a file lies, or would; another content has another place where its checksum is known."""
        owner = f"unit-{data_unit}" if data_unit is not None else f"record-{key}"
        plain = spec if _PLAIN.fullmatch(spec) else hashlib.sha256(spec.encode("utf-8", "replace")).hexdigest()[:16]
        mark = hashlib.sha256((checksum or "").encode("utf-8", "replace")).hexdigest()[:12] if checksum else "-"
        return self.folder / f"{(data_unit or key) % 256:02x}" / f"{owner}.{plain}.{mark}"


class Originals:
    """Fetches the originals that an index wants.

    Args:
        whole: download files; otherwise only what is needed to know the size of pictures.
        on_file: is told of each file's bytes.
    """

    def __init__(
        self,
        api: Api,
        links: Links,
        index: Index,
        store: Store,
        *,
        workers: int,
        whole: bool,
        on_file: Callable[[int], None] = lambda size: None,
    ) -> None:
        self.api = api
        self.links = links
        self.index = index
        self.store = store
        self.whole = whole
        self.on_file = on_file
        self.stopping = False
        self._pace = Pace(workers)
        self._tries = Tries(self._pace, api.patience, attempts=ATTEMPTS, gone="No original can be had from the storage")
        self._under_way: dict[Path, asyncio.Lock] = {}

    def stop(self) -> None:
        """Begin nothing new."""
        self.stopping = True

    async def run(self) -> None:
        """Fetch all that is wanted; what can't be had is noted in the index, with the reason."""
        self.index.database.execute("DELETE FROM missing")
        for batch in itertools.batched(self._wanted(), BATCH):
            if self.stopping:
                return
            await self._batch(list(batch))

    def _wanted(self) -> Iterator[Want]:
        last: tuple[int, str] = (-1, "")
        query = "SELECT * FROM want WHERE (key, media) > (?, ?) ORDER BY key, media LIMIT ?"
        while rows := self.index.database.execute(query, (*last, BATCH)).fetchall():
            for key, media, spec, data_unit, checksum, size in rows:
                yield Want(key, media, spec, data_unit, checksum, bool(size))
            last = rows[-1][:2]

    async def _batch(self, wants: list[Want]) -> None:
        open_wants = [want for want in wants if not self._is_there(want)]
        if not open_wants:
            return
        files = await self.links.of([want.key for want in open_wants])
        reasons = await asyncio.gather(*(self._one(want, files.get(want.key, ())) for want in open_wants))
        sizes_found = [reason for reason in reasons if isinstance(reason, tuple)]
        missing = [
            (want.key, want.media, reason)
            for want, reason in zip(open_wants, reasons, strict=True)
            if isinstance(reason, str) and reason and self.whole
        ]
        with self.index.transaction():
            self.index.database.executemany("INSERT OR REPLACE INTO missing VALUES (?, ?, ?)", missing)
        if sizes_found:
            self.index.add(self.index.spool.append({"t": "sizes", "sizes": [list(each) for each in sizes_found]}))

    def _is_there(self, want: Want) -> bool:
        if self.whole:
            return want.spec is not None and self.store.path_of(want).is_file()
        found = self.index.database.execute("SELECT 1 FROM size WHERE key = ? AND media = ?", (want.key, want.media))
        return found.fetchone() is not None

    async def _one(self, want: Want, files: tuple[MediaFile, ...]) -> str | tuple[int, str, int, int]:
        """Get one file: '' if all is well, the size if only that is wanted, else why it can't be had."""
        for attempt in range(REISSUES + 1):
            if attempt:
                files = (await self.links.of([want.key], again=True)).get(want.key, ())
            file = next((each for each in files if each.spec == want.spec), None)
            if file is None or not file.url:
                return "the backend names no file"
            try:
                url = storage_link(self.api.login.host, file.url)
                if not self.whole:
                    return await self._probe(want, file, url)
                path = self.store.path_of(want)
                async with self._under_way.setdefault(path, asyncio.Lock()):
                    if not path.is_file():
                        await self._download(path, file, url)
                self._under_way.pop(path, None)
                return ""
            except Expired:
                continue
            except Wrong as wrong:
                return str(wrong)
            except TransferFailed as failed:
                return printable(redact(str(failed)))
        return "its link is refused even when it is new"

    # -- sizes -----------------------------------------------------------------------------------------------------

    async def _probe(self, want: Want, file: MediaFile, url: URL) -> str | tuple[int, str, int, int]:
        for length in sizes.PROBES:
            head = b""

            async def attempt(length: int = length) -> None:
                nonlocal head
                async with self._get(url, {"Range": f"bytes=0-{length - 1}"}) as response:
                    head = await response.content.read(length)
                    while len(head) < length and (more := await response.content.read(length - len(head))):
                        head += more

            await self._tries.run(attempt, file.name)
            size = await asyncio.to_thread(sizes.size_in, head)
            if size is not None:
                return (want.key, want.media, *size)
            if len(head) < length:
                break
        return "no picture whose size could be read"

    @contextlib.asynccontextmanager
    async def _get(self, url: URL, headers: dict[str, str]) -> Any:
        # Ranges are of the file's own bytes, so it must not come compressed.
        headers = headers | {"Accept-Encoding": "identity"}
        async with follow(self.api.plain_session, url, headers=headers, timeout=TIMEOUT) as response:
            if response.status >= 500 or response.status in WAIT_STATUSES:
                raise Busy(f"the storage answered {response.status}", retry_after(response))
            if response.status in EXPIRED:
                raise Expired
            if response.status == 416:
                yield response
                return
            if response.status >= 300:
                raise TransferFailed(f"the storage answered {response.status}", again=True)
            yield response

    # -- whole files -----------------------------------------------------------------------------------------------

    async def _download(self, path: Path, file: MediaFile, url: URL) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = self.store.part_of(path)
        await self._tries.run(functools.partial(self._receive, part, file, url), file.name or path.name)
        size = part.stat().st_size
        why = await asyncio.to_thread(_objection, part, file, size)
        if why:
            _forget(part)
            raise Wrong(why)
        part.replace(path)
        _tag(part).unlink(missing_ok=True)
        self.on_file(size)

    async def _receive(self, part: Path, file: MediaFile, url: URL) -> None:
        tag = _tag(part)
        begun = part.stat().st_size if part.is_file() and tag.is_file() else 0
        headers = {"Range": f"bytes={begun}-", "If-Range": tag.read_text()} if begun else {}
        async with self._get(url, headers) as response:
            if response.status == 416:
                _forget(part)
                raise Busy("the file is shorter than what had come of it")
            goes_on = response.status == 206 and begun > 0
            etag = response.headers.get("ETag", "")
            if not goes_on:
                _forget(part)
                if etag and not etag.startswith("W/"):
                    tag.write_text(etag)
            said = response.headers.get("Content-Length")
            with part.open("ab" if goes_on else "wb") as stream:
                got = 0
                async for chunk in response.content.iter_chunked(CHUNK):
                    stream.write(chunk)
                    got += len(chunk)
            if said is not None and said.isdecimal() and got != int(said):
                raise Busy(f"{got} bytes came of {said}")


def _objection(part: Path, file: MediaFile, size: int) -> str:
    """Why what came can't be the file; '' if it can."""
    with part.open("rb") as stream:
        head = stream.read(signature.HEAD_BYTES)
        why = signature.objection(file.name, head, size)
        if why:
            return why
        if file.bytes is not None and file.bytes != size:
            return f"{size} bytes came, the backend says {file.bytes}"
        if file.checksum and _SHA1.fullmatch(file.checksum):
            stream.seek(0)
            found = hashlib.file_digest(stream, lambda: hashlib.sha1(usedforsecurity=False)).hexdigest()
            if found != file.checksum.lower():
                return "its checksum is another than the backend says"
    return ""


def _tag(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _tag(part).unlink(missing_ok=True)
