"""What is read is what was meant: a file that changes on the way does not arrive whole."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from synapse_skills.backend.api import Api
from synapse_skills.backend.body import CHUNK, Body, whole
from synapse_skills.backend.login import Login
from synapse_skills.backend.trying import CHANGED, TransferFailed
from synapse_skills.job.upload.staging import as_listed
from synapse_skills.sources import File

CONTENT = os.urandom(2 * CHUNK + 5)


def chunks_of(body: Body) -> list[bytes]:
    async def collect() -> list[bytes]:
        return [chunk async for chunk in body.chunks(lambda: None)]

    return asyncio.run(collect())


def test_a_small_file_that_changed_is_not_sent() -> None:
    with pytest.raises(TransferFailed) as caught:
        whole(lambda: io.BytesIO(b"1234"), hashlib.sha1(usedforsecurity=False), 4, lambda stream: False)
    assert caught.value.code == CHANGED


def test_the_last_piece_of_a_large_file_that_changed_is_held_back() -> None:
    asked: list[int] = []

    def unchanged(stream: BinaryIO) -> bool:
        asked.append(stream.tell())
        return False

    body = Body(lambda: io.BytesIO(CONTENT), 0, len(CONTENT), hashlib.sha1(usedforsecurity=False), unchanged)
    with pytest.raises(TransferFailed):
        chunks_of(body)
    assert isinstance(body.error, TransferFailed) and body.error.code == CHANGED
    assert asked == [len(CONTENT)]


def test_what_has_not_changed_arrives_with_its_sum() -> None:
    digest = hashlib.sha1(usedforsecurity=False)
    body = Body(lambda: io.BytesIO(CONTENT), 0, len(CONTENT), digest, lambda stream: True)
    assert b"".join(chunks_of(body)) == CONTENT and digest.digest() == hashlib.sha1(CONTENT).digest()


def test_a_file_is_as_listed_until_its_size_or_time_is_another(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"1234")
    found = path.stat()
    file = File(0, "a.png", found.st_size, found.st_mtime_ns)
    with path.open("rb") as stream:
        assert as_listed(stream, file)
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1_000_000))
        assert not as_listed(stream, file)
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
        os.truncate(path, 3)
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
        assert not as_listed(stream, file)


@pytest.mark.parametrize(("proxy", "asked"), [("http://127.0.0.1:9", True), ("", False)])
def test_the_environment_is_asked_for_proxies_and_logins_only_where_there_is_a_proxy(
    monkeypatch: pytest.MonkeyPatch, proxy: str, asked: bool
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    if proxy:
        monkeypatch.setenv("https_proxy", proxy)

    async def trusts() -> bool:
        async with Api(Login("https://synapse.example", None, "access", {})) as api:
            return api.plain_session.trust_env

    assert asyncio.run(trusts()) is asked
