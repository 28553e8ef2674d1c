"""Routes of the second API: the list of projects, which v1 does not have, one project, and records in bulk.

Each answer is wrapped in `{data, meta}`. Pages go by a cursor, and `next_cursor` is a whole URL: the SDK's paginator
follows it as one (contract/EXPORT.md, section 1.6).
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from synapse_sandbox.box import Box, answer, number_in_path, number_in_query, read_object
from synapse_sandbox.catalogue import configuration
from synapse_sandbox.errors import ApiError
from synapse_sandbox.filters import TARGETS
from synapse_sandbox.records import Rows

_LISTED = ("id", "title", "category", "category_display", "created", "is_archived", "task_count")
_DISPLAY = {
    "image": "이미지",
    "video": "비디오",
    "audio": "오디오",
    "text": "텍스트",
    "pcd": "PCD",
    "prompt": "프롬프트",
    "time_series": "시계열",
}
BULK = 200
_EPOCH = "2026-01-15T09:00:00Z"


async def projects(box: Box, request: Request) -> Response:
    """Projects by id, one page, narrowed by category and data collection; other parameters have no effect."""
    category = request.query_params.get("category")
    collection = number_in_query(request, "data_collection")
    rows = [
        row
        for row in (_full(box, row) for row in sorted(box.store.catalogue("project"), key=lambda row: int(row["id"])))
        if category in (None, "", row["category"]) and collection in (None, row["data_collection_id"])
    ]
    return wrapped(box, request, [{key: row[key] for key in _LISTED} for row in rows])


def wrapped(box: Box, request: Request, rows: list[dict[str, Any]]) -> Response:
    """One page of rows that are sorted by id."""
    size = min(max(number_in_query(request, "per_page") or box.settings.page_size, 1), box.settings.max_page_size)
    after = _after(request)
    rest = [row for row in rows if row["id"] > after]
    page = rest[:size]
    cursor = _cursor(page[-1]["id"]) if len(rest) > size else None
    if cursor is not None and box.settings.v2_cursor == "url":
        cursor = str(request.url.include_query_params(cursor=cursor))
    pagination = {"next_cursor": cursor, "previous_cursor": None, "per_page": size}
    return answer({"data": page, "meta": {"request_id": _request_id(), "pagination": pagination}})


def enveloped(row: Any) -> Response:
    """One thing."""
    return answer({"data": row, "meta": {"request_id": _request_id()}})


def missing(what: str) -> ApiError:
    """404 as the second API words it."""
    error = {"code": "NOT_FOUND", "message": f"No {what} matches the given query.", "details": None}
    return ApiError(404, {"error": error, "meta": {"request_id": _request_id()}})


async def bulk_fetch(box: Box, request: Request, target: str) -> Response:
    """Records by id, 200 at the most; those that don't exist are left out."""
    ids = (await read_object(request)).get("ids")
    if not isinstance(ids, list) or not all(isinstance(number, int) for number in ids) or len(ids) > BULK:
        error = {"code": "ids_limit_exceeded", "message": f"At most {BULK} whole numbers.", "details": None}
        raise ApiError(400, {"error": error, "meta": {"request_id": _request_id()}})
    rows = Rows(box, request, TARGETS[target], "bulk").texts(ids)
    meta = json.dumps({"request_id": _request_id()})
    return Response(f'{{"data": [{", ".join(rows)}], "meta": {meta}}}', media_type="application/json")


async def project(box: Box, request: Request) -> Response:
    """One project in full."""
    row = box.store.find("project", number_in_path(request))
    if row is None:
        raise missing("Project")
    return enveloped(_full(box, row))


def _full(box: Box, row: dict[str, Any]) -> dict[str, Any]:
    """A seed's project with every field that the schema of the second API requires."""
    number = int(row["id"])
    count = box.store.db.execute("select count(*) from task where project = ?", (number,)).fetchone()[0]
    category = row.get("category", "image")
    return {
        "tenant_id": 1,
        "data_collection_id": row.get("data_collection", 0),
        "description": "",
        "settings": {},
        "caution": "sensitive_content",
        "access_level": "private",
        "count_max_assignments_per_task": 1,
        "can_discard": True,
        "enable_workforce": True,
        "is_archived": False,
        "created": _EPOCH,
        **row,
        "category": category,
        "category_display": _DISPLAY.get(category, category),
        "task_count": count,
        "configuration": configuration(row.get("configuration", {}), box.settings.configuration),
    }


def _cursor(number: int) -> str:
    return base64.urlsafe_b64encode(f"p={number}".encode()).decode()


def _after(request: Request) -> int:
    text = request.query_params.get("cursor")
    if not text:
        return 0
    try:
        return int(base64.urlsafe_b64decode(text.encode()).decode().removeprefix("p="))
    except (ValueError, binascii.Error):
        error = {"code": "VALIDATION_ERROR", "message": "Invalid cursor", "details": None}
        raise ApiError(400, {"error": error, "meta": {"request_id": _request_id()}}) from None


def _request_id() -> str:
    return f"req_{uuid4().hex[:12]}"
