"""The least that an upload has to do, for `upload.py` to compare with: SOURCE METADATA.jsonl COLLECTION.

Presign, PUT, confirm and create over aiohttp, data units by the hundred, four such batches side by side, 64 PUTs at
once. Nothing is checked, nothing is remembered, and the first thing that goes wrong ends it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from itertools import batched
from pathlib import Path
from typing import Any

import aiohttp

SPECS = {"image.png": "image_1", "mask.png": "mask_1", "label.json": "label_1"}
TYPES = {".png": "image/png", ".json": "application/json"}
BATCH = 100
BATCHES_AT_ONCE = 4
PUTS_AT_ONCE = 64


class Loop:
    """One upload."""

    def __init__(self, session: aiohttp.ClientSession, collection: int) -> None:
        self.session = session
        self.host = os.environ["SYNAPSE_HOST"]
        self.headers = {"Synapse-Access-Token": f"Token {os.environ['SYNAPSE_ACCESS_TOKEN']}"}
        self.collection = collection
        self.batches = asyncio.Semaphore(BATCHES_AT_ONCE)
        self.puts = asyncio.Semaphore(PUTS_AT_ONCE)

    async def post(self, path: str, body: Any) -> Any:
        async with self.session.post(f"{self.host}/{path}", json=body, headers=self.headers) as response:
            response.raise_for_status()
            return await response.json()

    async def put(self, path: Path, url: str) -> str:
        async with self.puts:
            content = path.read_bytes()
            headers = {"Content-Type": TYPES[path.suffix]}
            async with self.session.put(url, data=content, headers=headers) as response:
                response.raise_for_status()
            return hashlib.sha1(content, usedforsecurity=False).hexdigest()

    async def batch(self, units: list[tuple[Path, dict[str, Any]]]) -> None:
        async with self.batches:
            paths = [folder / name for folder, _ in units for name in SPECS]
            wanted = [{"filename": p.name, "size": p.stat().st_size, "content_type": TYPES[p.suffix]} for p in paths]
            places = (await self.post("data_files/presigned_upload/upload/", {"files": wanted, "expiration": 3600}))[
                "files"
            ]
            urls = [place["presigned_url"] for place in places]
            sums = await asyncio.gather(*(self.put(path, url) for path, url in zip(paths, urls, strict=True)))
            sent = [
                {"file_key": place["file_key"], "checksum": checksum, "size": want["size"]}
                for place, checksum, want in zip(places, sums, wanted, strict=True)
            ]
            await self.post("data_files/presigned_upload/confirm_upload/", {"files": sent})
            checksums = dict(zip(paths, sums, strict=True))
            requests = [
                {
                    "data_collection": self.collection,
                    "files": {
                        spec: {"checksum": checksums[folder / name], "path": f"{folder.name}/{name}"}
                        for name, spec in SPECS.items()
                    },
                    "meta": meta,
                }
                for folder, meta in units
            ]
            await self.post("data_units/", requests)


async def main(source: Path, metadata: Path, collection: int) -> None:
    """All batches."""
    with metadata.open(encoding="utf-8") as lines:
        metas = {row["unit"]: row["meta"] for row in map(json.loads, lines)}
    units = [(Path(entry.path), metas[entry.name]) for entry in os.scandir(source)]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        loop = Loop(session, collection)
        await asyncio.gather(*(loop.batch(list(some)) for some in batched(units, BATCH)))
    print(f"{len(units)} data units")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
