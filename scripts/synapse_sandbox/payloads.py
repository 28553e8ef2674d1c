"""A record's `data` as it goes over the wire: itself, or a wrapper with a link that ends."""

from __future__ import annotations

import json
import secrets
import sqlite3

from starlette.requests import Request
from starlette.responses import Response

from synapse_sandbox import links
from synapse_sandbox.box import Box, number_in_path
from synapse_sandbox.settings import Settings

PRESIGNED, INLINE = "presigned", "inline"
COLUMNS = "p.id payload_id, p.size, p.digest, case when p.size <= ? then p.body end body"


def longest(settings: Settings, mode: str) -> int:
    """From this size on the text itself is not needed."""
    whole = settings.wrap_bytes is None or (mode != PRESIGNED and settings.inline_data in ("whole", "wrapped"))
    return 2**62 if whole or settings.wrap_bytes is None else settings.wrap_bytes


def is_linked(settings: Settings, row: sqlite3.Row) -> bool:
    """Whether a record's `data` is long enough to be answered as a link."""
    return row["size"] is not None and settings.wrap_bytes is not None and row["size"] > settings.wrap_bytes


def as_text(box: Box, base: str, row: sqlite3.Row, mode: str, *, expired: bool = False) -> str:
    """The JSON of `data`.

    Args:
        box: the sandbox.
        base: where links lead.
        row: with `COLUMNS`.
        mode: `response_mode` as it was asked for.
        expired: links have ended when they are issued.
    """
    if row["payload_id"] is None:
        return "null"
    settings = box.settings
    if settings.wrap_bytes is None or row["size"] <= settings.wrap_bytes:
        return str(row["body"])
    about = {"size": row["size"], "data_digest": row["digest"]}
    if mode == PRESIGNED:
        return json.dumps({"mode": PRESIGNED, "presigned_url": link(box, base, row["payload_id"], expired), **about})
    if settings.inline_data == "whole":
        return str(row["body"])
    if settings.inline_data == "wrapped":
        return f'{{"mode": "inline", "truncated": false, "data": {row["body"]}}}'
    wrapper = {"mode": INLINE, "truncated": True, **about, "inline_max_bytes": settings.wrap_bytes}
    if settings.inline_data == "truncated_link":
        wrapper["presigned_url"] = link(box, base, row["payload_id"], expired)
    return json.dumps(wrapper)


def link(box: Box, base: str, number: int, expired: bool = False) -> str:
    """A link to a payload; another one each time."""
    # The SDK keeps downloads by their address less its parameters: no two sandboxes may have one in common.
    path = f"payload/{number}-{links.tag(box.store.signing_key, str(number))}.json"
    seconds = box.settings.payload_seconds
    lives = -1 if expired else 2**31 if seconds is None else seconds
    return f"{base}/{path}?" + links.sign_get(box.store.signing_key, path, lives, nonce=secrets.token_hex(8))


async def fetch(box: Box, request: Request) -> Response:
    """The object store: the text of a payload, for whoever holds a link that hasn't ended or been used up."""
    number = number_in_path(request)
    links.check_get(box.store.signing_key, request.scope["path"].removeprefix("/"), request.query_params)
    uses = box.settings.payload_uses
    if uses is not None:
        nonce = request.query_params.get("nonce", "")
        if box.payload_uses[nonce] >= uses:
            raise links.S3Error(403, "AccessDenied", "Request has expired")
        box.payload_uses[nonce] += 1
    row = box.store.db.execute("select body from payload where id = ?", (number,)).fetchone()
    if row is None:
        raise links.S3Error(404, "NoSuchKey", "The specified key does not exist.")
    return Response(row["body"], media_type="application/json")
