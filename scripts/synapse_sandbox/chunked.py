"""The chunked upload: chunks with a Content-Range, then an MD5 over all of them."""

from __future__ import annotations

import asyncio
import re
import secrets
import sqlite3
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from synapse_sandbox.box import Box, answer, now, origin, read_object
from synapse_sandbox.errors import ApiError, not_found
from synapse_sandbox.files import media_url
from synapse_sandbox.objects import PREFIX

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_COMPLETE = 2  # what the real one has been seen to say


async def put(box: Box, request: Request) -> Response:
    """Take a chunk: the first makes the upload, the others go on where it stands."""
    found = _RANGE.fullmatch(request.headers.get("content-range", ""))
    if found is None:
        raise ApiError(400, "Invalid Content-Range.")
    start, end, total = (int(text) for text in found.groups())
    async with request.form() as form:
        upload, filename = form.get("file"), form.get("filename")
        if isinstance(upload, UploadFile):
            chunk = await upload.read()
        elif isinstance(upload, str):
            chunk = upload.encode()
        else:
            raise ApiError(400, {"file": ["No chunk file was submitted."]})
    if len(chunk) != end - start + 1:
        raise ApiError(400, "File size doesn't match headers.")
    if "uuid" in request.path_params:
        row = _row(box, request)
    else:
        number = secrets.token_hex(16)
        box.store.db.execute(
            "insert into chunked (id, filename, size, total) values (?, ?, 0, ?)",
            (number, str(filename or "file").rpartition("/")[2], total),
        )
        row = _row(box, request, number)
    if row["completed"] is not None:
        raise ApiError(400, "Upload has already been marked as complete.")
    if start != row["size"]:
        raise ApiError(400, {"detail": "Offsets do not match.", "offset": row["size"]})
    box.objects.append(PREFIX + row["id"], chunk, start)
    box.store.db.execute("update chunked set size = ? where id = ?", (end + 1, row["id"]))
    return answer(_shown(box, _row(box, request, row["id"]), request))


async def finish(box: Box, request: Request) -> Response:
    """Check the MD5 and close the upload. Without any chunk before it, this is the upload of an empty file."""
    given = (await read_object(request)).get("md5")
    if "uuid" in request.path_params:
        row = _row(box, request)
    else:
        number = secrets.token_hex(16)
        box.objects.append(PREFIX + number, b"", 0)
        box.store.db.execute("insert into chunked (id, filename, size, total) values (?, 'file', 0, 0)", (number,))
        row = _row(box, request, number)
    written = await asyncio.to_thread(box.objects.digest, PREFIX + row["id"])
    if given != written.md5:
        raise ApiError(400, "md5 checksum does not match.")
    if row["total"] != written.size:
        raise ApiError(400, f"{written.size} of {row['total']} bytes have arrived.")
    box.store.db.execute("update chunked set completed = coalesce(completed, ?) where id = ?", (now(), row["id"]))
    return answer(
        {**_shown(box, _row(box, request, row["id"]), request), "checksum": written.sha1, "size": written.size}
    )


async def show(box: Box, request: Request) -> Response:
    """How far an upload is; `completed_at` tells whether a lost answer to `finish` was a yes."""
    return answer(_shown(box, _row(box, request), request))


def _row(box: Box, request: Request, number: str | None = None) -> sqlite3.Row:
    wanted = number or request.path_params["uuid"]
    row: sqlite3.Row | None = box.store.db.execute("select * from chunked where id = ?", (wanted,)).fetchone()
    if row is None:
        raise not_found("ChunkedUpload")
    return row


def _shown(box: Box, row: sqlite3.Row, request: Request) -> dict[str, Any]:
    base = origin(request)
    return {
        "id": row["id"],
        "url": f"{base}/chunked_upload/{row['id']}/",
        "file": media_url(box, base, PREFIX + row["id"], row["filename"]),
        "filename": row["filename"],
        "offset": row["size"],
        "status": _COMPLETE if row["completed"] else 1,
        "completed_at": row["completed"],
    }
