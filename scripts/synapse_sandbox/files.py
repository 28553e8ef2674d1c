"""Routes of files: presign, PUT, confirm; straight to the backend; and what a page shows of them."""

from __future__ import annotations

import asyncio
import mimetypes
import sqlite3
from collections.abc import AsyncIterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from synapse_sandbox import links
from synapse_sandbox.box import Box, answer, now, origin, read_object
from synapse_sandbox.errors import ApiError, not_found
from synapse_sandbox.objects import PREFIX, Written, new_key
from synapse_sandbox.seed import PRESIGNING

_SHOWN = ("image/", "video/", "audio/", "text/plain", "application/json", "application/pdf")


def media_url(box: Box, base: str, key: str, filename: str, *, expired: bool = False) -> str:
    """Where a file can be had without a token: a link that ends, or a key that nobody guesses (`media_seconds`)."""
    # A name of dots alone would be taken for a step by whoever reads the link.
    name = quote(filename, safe="") if filename.strip(".") else "file"
    link = f"{base}/media/{key}/{name}"
    seconds = box.settings.media_seconds
    if seconds is None:
        return link
    return f"{link}?{links.sign_get(box.store.signing_key, key, -1 if expired else seconds)}"


def files_in(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The list of files that presign and confirm take.

    Raises:
        ApiError: 400.
    """
    files = document.get("files")
    if not isinstance(files, list) or not all(isinstance(entry, dict) for entry in files):
        raise ApiError(400, {"files": ["Expected a list of objects."]})
    return files


async def presign(box: Box, request: Request) -> Response:
    """Links for a list of files, in its order; the server alone decides where they go."""
    document = await read_object(request)
    files = files_in(document)
    storages = [row for row in box.store.catalogue("storage") if row["category"] == "internal"]
    default = next((row for row in storages if row["is_default"]), storages[0] if storages else None)
    if default is None or default["provider"] not in PRESIGNING:
        raise ApiError(400, "The default storage does not support presigned uploads.")
    seconds = document.get("expiration", 3600)
    if not isinstance(seconds, int) or seconds < 1:
        raise ApiError(400, {"expiration": ["A valid integer is required."]})
    if box.settings.presign_seconds is not None:
        seconds = min(seconds, box.settings.presign_seconds)
    if box.rule(request, "expired-presign"):
        seconds = -1
    base, rows, answers = origin(request), [], []
    for entry in files:
        filename, size, content_type = entry.get("filename"), entry.get("size"), entry.get("content_type")
        if not isinstance(filename, str) or not filename or "/" in filename:
            raise ApiError(400, {"files": [{"filename": ["A file name without a folder is required."]}]})
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ApiError(400, {"files": [{"size": ["A valid integer is required."]}]})
        key = new_key()
        upload_id, parts = "", 0
        item: dict[str, Any] = {"filename": filename, "file_key": key}
        if size >= box.settings.multipart_threshold:
            upload_id, part_size = key.rpartition("/")[2], box.settings.part_size
            parts = -(-size // part_size)
            item["multipart"] = {"upload_id": upload_id, "part_size": part_size, "parts": [
                {"part_number": number, "presigned_url": links.sign(
                    box.store.signing_key, base, key, seconds, upload_id=upload_id, part=number)}
                for number in range(1, parts + 1)
            ]}  # fmt: skip
        else:
            item["presigned_url"] = links.sign(box.store.signing_key, base, key, seconds)
        rows.append((key, filename, content_type, size, upload_id or None, parts or None))
        answers.append(item)
    with box.store.transaction() as db:
        db.executemany(
            "insert into object (key, filename, content_type, declared, upload_id, parts) values (?, ?, ?, ?, ?, ?)",
            rows,
        )
    if rule := box.rule(request, "short-presign"):
        answers = answers[: len(answers) - rule.entries] if rule.entries < len(answers) else []
    expires = datetime.now(UTC) + timedelta(seconds=seconds)
    return answer({"files": answers, "expires_at": expires.isoformat()})


async def put(box: Box, request: Request) -> Response:
    """The object store: takes the bytes of one object, or of one part, from whoever holds a link."""
    key = request.path_params["key"]
    part = links.check(box.store.signing_key, key, request.query_params)
    row = box.store.db.execute("select upload_id from object where key = ?", (key,)).fetchone()
    if row is None:
        raise links.S3Error(404, "NoSuchKey", "The specified key does not exist.")
    written = await box.objects.write(key, _body(request), part)
    if part:
        box.store.db.execute("insert or replace into part values (?, ?, ?, ?)", (key, part, written.size, written.md5))
    else:
        box.store.db.execute(
            "update object set size = ?, sha1 = ?, md5 = ? where key = ?",
            (written.size, written.sha1, written.md5, key),
        )
    return Response(status_code=200, headers={"ETag": f'"{written.md5}"'})


async def _body(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        if chunk:
            yield chunk


async def confirm(box: Box, request: Request) -> Response:
    """Make data files of objects whose size and SHA-1, counted here, are what the client says."""
    entries = files_in(await read_object(request))
    for entry in entries:
        if not isinstance(entry.get("file_key"), str) or not isinstance(entry.get("checksum"), str):
            raise ApiError(400, {"files": [{"file_key": ["This field is required."]}]})
    results = []
    spoilt = len(entries) - rule.entries if (rule := box.rule(request, "bad-confirm")) else len(entries)
    # Only the joining of parts is waited for; without any, one transaction does for all.
    waits = any(entry.get("multipart") for entry in entries)
    with nullcontext() if waits else box.store.transaction():
        for at, entry in enumerate(entries):
            key, error = entry["file_key"], None
            try:
                if at >= spoilt:
                    raise _Refused("Checksum mismatch.")
                made: int | None = await _confirm_one(box, key, entry)
            except _Refused as refused:
                made, error = None, str(refused)
            result = {"file_key": key, "checksum": entry["checksum"], "data_file_id": made, "success": error is None}
            results.append(result | {"error": error})
    if rule := box.rule(request, "short-confirm"):
        results = results[: max(0, len(results) - rule.entries)]
    created = sum(1 for result in results if result["success"])
    return answer({"results": results, "created_count": created, "failed_count": len(results) - created})


class _Refused(Exception):
    """Why one file of a confirm is not made a data file."""


async def _confirm_one(box: Box, key: str, entry: dict[str, Any]) -> int:
    row = box.store.db.execute("select * from object where key = ?", (key,)).fetchone()
    if row is None:
        raise _Refused("Unknown file key.")
    if row["data_file"] is not None:
        if box.settings.confirm_twice == "refuse":
            raise _Refused("Already confirmed.")
        return int(row["data_file"])
    if row["parts"]:
        written = await _join(box, row, entry.get("multipart"))
    elif row["size"] is None:
        raise _Refused("The object has not been uploaded.")
    else:
        written = Written(row["size"], row["sha1"], row["md5"])
    if entry.get("size") != written.size or row["declared"] != written.size:
        raise _Refused(f"Size mismatch: {written.size} bytes have arrived.")
    if entry["checksum"].lower() != written.sha1:
        raise _Refused("Checksum mismatch.")
    # Nothing may await from here on: another confirm of the same key may have been quicker while parts were joined.
    with box.store.transaction() as db:
        known = db.execute("select data_file from object where key = ?", (key,)).fetchone()["data_file"]
        if known is not None:
            return int(known)
        made = add_data_file(db, key, row["filename"], row["content_type"], written)
        db.execute("update object set data_file = ? where key = ?", (made, key))
    return made


async def _join(box: Box, row: sqlite3.Row, multipart: Any) -> Written:
    if not isinstance(multipart, dict) or multipart.get("upload_id") != row["upload_id"]:
        raise _Refused("The multipart upload id is missing or wrong.")
    parts = multipart.get("parts")
    given = {
        part.get("part_number"): str(part.get("etag", "")).strip('"')
        for part in (parts if isinstance(parts, list) else [])
        if isinstance(part, dict)
    }
    stored = {
        part["number"]: part["md5"]
        for part in box.store.db.execute("select * from part where key = ? order by number", (row["key"],))
    }
    if given != stored or len(stored) != row["parts"]:
        raise _Refused("The parts are incomplete or their ETags differ.")
    try:
        return await asyncio.to_thread(box.objects.join, row["key"], sorted(stored))
    except FileNotFoundError:
        # Joined before by a confirm that was then refused or is just ahead of this one.
        return await asyncio.to_thread(box.objects.digest, row["key"])


def add_data_file(db: sqlite3.Connection, key: str, filename: str, content_type: str | None, made: Written) -> int:
    """Register bytes as a data file. The same bytes again are another data file, as far as anyone knows."""
    cursor = db.execute(
        "insert into data_file (key, filename, content_type, size, sha1, md5, created) values (?, ?, ?, ?, ?, ?, ?)",
        (key, filename, content_type, made.size, made.sha1, made.md5, now()),
    )
    return int(cursor.lastrowid or 0)


def data_file(box: Box, number: int, base: str) -> dict[str, Any]:
    """A data file as the backend shows it."""
    row = box.store.db.execute("select * from data_file where id = ?", (number,)).fetchone()
    return {
        "id": row["id"],
        "checksum": row["sha1"],
        "file": media_url(box, base, row["key"], row["filename"]),
        "size": row["size"],
        "created_at": row["created"],
        "updated_at": row["created"],
    }


async def verify_checksums(box: Box, request: Request) -> Response:
    """Which of these checksums belong to a data file."""
    given = (await read_object(request)).get("checksums")
    if not isinstance(given, list) or not all(isinstance(checksum, str) for checksum in given):
        raise ApiError(400, {"checksums": ["Expected a list of texts."]})
    column = box.settings.verify_checksums
    query = f"select 1 from data_file where {column} = ? limit 1"  # noqa: S608 - one of two names, checked in Settings
    known = [checksum for checksum in given if box.store.db.execute(query, (checksum.lower(),)).fetchone()]
    return answer({"existing_checksums": known})


async def create(box: Box, request: Request) -> Response:
    """A data file straight through the backend: the file itself, or a finished chunked upload."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with request.form() as form:
            upload = form.get("file")
            if not isinstance(upload, UploadFile):
                raise ApiError(400, {"file": ["No file was submitted."]})
            key, filename = new_key(), (upload.filename or "file").rpartition("/")[2]
            written = await box.objects.write(key, _upload(upload))
            made = add_data_file(box.store.db, key, filename, upload.content_type, written)
        return answer(data_file(box, made, origin(request)), 201)
    wanted = (await read_object(request)).get("chunked_upload")
    row = box.store.db.execute("select * from chunked where id = ?", (str(wanted),)).fetchone()
    if row is None or row["completed"] is None:
        raise ApiError(400, {"chunked_upload": ["Not a finished chunked upload."]})
    if row["data_file"] is not None:
        return answer(data_file(box, row["data_file"], origin(request)), 201)
    written = await asyncio.to_thread(box.objects.digest, PREFIX + row["id"])
    with box.store.transaction() as db:
        made = add_data_file(db, PREFIX + row["id"], row["filename"], None, written)
        db.execute("update chunked set data_file = ? where id = ?", (made, row["id"]))
    return answer(data_file(box, made, origin(request)), 201)


async def _upload(upload: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await upload.read(1024 * 1024):
        yield chunk


async def media(box: Box, request: Request) -> Response:
    """The bytes of a data file, or a range of them; served so that a browser can't be made to run them."""
    if box.settings.media_seconds is not None:
        links.check_get(box.store.signing_key, request.path_params["key"], request.query_params)
    row = box.store.db.execute("select * from data_file where key = ?", (request.path_params["key"],)).fetchone()
    if row is None:
        raise not_found("DataFile")
    place = Path(row["source"]) if row["source"] else box.objects.path(row["key"])
    if not place.is_file():
        raise links.S3Error(404, "NoSuchKey", "The specified key does not exist.")
    kind = mimetypes.guess_type(row["filename"])[0] or row["content_type"] or "application/octet-stream"
    shown = kind.startswith(_SHOWN)
    return FileResponse(
        place,
        media_type=kind,
        filename=row["filename"],
        content_disposition_type="inline" if shown else "attachment",
        headers={"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"},
    )
