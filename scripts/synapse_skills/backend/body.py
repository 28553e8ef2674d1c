"""A piece of a file as the body of a request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, BinaryIO

from synapse_skills.backend.trying import CHANGED, TransferFailed

CHUNK = 1 << 20

Opener = Callable[[], BinaryIO]
Unchanged = Callable[[BinaryIO], bool]
"""Whether the file that was just read is still the one that was meant."""


class Body:
    """Reads and hashes while it is sent; flat memory.

    aiohttp makes a network error of whatever goes wrong while it reads a body, so the true reason is kept in `error`.

    Args:
        opener: opens the file.
        start: where the piece begins.
        length: how long it is.
        digest: is updated with what is read.
        unchanged: asked when all of it has been read.
    """

    def __init__(
        self, opener: Opener, start: int, length: int, digest: Any, unchanged: Unchanged | None = None
    ) -> None:
        self._opener = opener
        self._start = start
        self._length = length
        self._digest = digest
        self._unchanged = unchanged
        self.error: OSError | TransferFailed | None = None

    async def chunks(self, on_progress: Callable[[], None]) -> AsyncIterator[bytes]:
        """The piece in chunks; `on_progress` is called as each is asked for."""
        try:
            stream = await asyncio.to_thread(self._opener)
            try:
                if self._start:
                    await asyncio.to_thread(stream.seek, self._start)
                left = self._length
                while left:
                    on_progress()
                    chunk = await asyncio.to_thread(stream.read, min(CHUNK, left))
                    if not chunk:
                        raise TransferFailed("the file became shorter while it was read", again=True, code=CHANGED)
                    self._digest.update(chunk)
                    left -= len(chunk)
                    if not left:
                        # Before the last of it goes out: what has changed meanwhile does not arrive whole.
                        await asyncio.to_thread(_check, stream, self._unchanged)
                    yield chunk
                on_progress()
            finally:
                stream.close()
        except (OSError, TransferFailed) as error:
            self.error = error
            raise


def whole(opener: Opener, digest: Any, size: int, unchanged: Unchanged | None = None) -> bytes:
    """All of a small file at once."""
    with opener() as stream:
        content = stream.read(size + 1)
        if len(content) != size:
            raise TransferFailed("the file changed its size while it was read", again=True, code=CHANGED)
        _check(stream, unchanged)
    digest.update(content)
    return content


def _check(stream: BinaryIO, unchanged: Unchanged | None) -> None:
    if unchanged is not None and not unchanged(stream):
        raise TransferFailed("the file changed while it was read", again=True, code=CHANGED)
