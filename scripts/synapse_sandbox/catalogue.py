"""Routes of what the seed brought: agents, collections, storages, projects."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from synapse_sandbox.box import Box, answer, number_in_path, origin, paged_rows, read_object
from synapse_sandbox.errors import ApiError, not_found


async def health(box: Box, request: Request) -> Response:
    """What an agent answers to a ping."""
    return answer({"status": "ok"})


async def agents(box: Box, request: Request) -> Response:
    """All agents; one without an address is reached here."""
    rows = [{"url": origin(request), **row} for row in box.store.catalogue("agent")]
    return paged_rows(request, box.settings, rows)


async def collections(box: Box, request: Request) -> Response:
    """Data collections by id, one page, narrowed by `search` in the name."""
    wanted = request.query_params.get("search", "").casefold()
    rows = [_collection(row, request) for row in box.store.catalogue("collection") if wanted in row["name"].casefold()]
    return paged_rows(request, box.settings, rows)


async def collection(box: Box, request: Request) -> Response:
    """One data collection."""
    row = box.store.find("collection", number_in_path(request))
    if row is None:
        raise not_found("DataCollection")
    return answer(_collection(row, request))


def _collection(row: dict[str, Any], request: Request) -> dict[str, Any]:
    # Unexpanded relations are ids, as everywhere in REST framework.
    if "file_specifications" in request.query_params.get("expand", "").split(","):
        return row
    return {**row, "file_specifications": [spec["id"] for spec in row["file_specifications"]]}


async def storages(box: Box, request: Request) -> Response:
    """Storages, narrowed by category; never with what they are configured with."""
    category = request.query_params.get("category")
    rows = [_plain(row) for row in box.store.catalogue("storage") if category in (None, "", row["category"])]
    return paged_rows(request, box.settings, rows)


async def storage(box: Box, request: Request) -> Response:
    """One storage, with its configuration if that is asked for."""
    row = _storage(box, request)
    wanted = request.query_params.get("with_configuration", "").lower() in ("true", "1")
    return answer({**_plain(row), "configuration": row["configuration"] if wanted else {}})


async def storage_session(box: Box, request: Request) -> Response:
    """What a client needs to open a storage itself; 404 or 405 on older backends."""
    if box.settings.storage_session == "missing":
        raise ApiError(404, "Not found.")
    if box.settings.storage_session == "not_allowed":
        raise ApiError(405, 'Method "POST" not allowed.')
    body = await read_object(request)
    if body.get("purpose") not in ("read", "write"):
        raise ApiError(400, {"purpose": [f'"{body.get("purpose")}" is not a valid choice.']})
    row = _storage(box, request)
    seconds = box.settings.session_seconds
    ends = None if seconds is None else (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    return answer(
        {
            "provider": row["provider"],
            "configuration": {**row["configuration"], **row.get("credential", {})},
            "expires_at": ends,
            "contract_version": box.settings.session_contract,
        }
    )


def _storage(box: Box, request: Request) -> dict[str, Any]:
    row = box.store.find("storage", number_in_path(request))
    if row is None:
        raise not_found("Storage")
    return row


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    # A credential is issued by a session only, as on the real backend.
    return {key: value for key, value in row.items() if key not in ("configuration", "credential")}


async def project(box: Box, request: Request) -> Response:
    """One project. There is no list of them in v1."""
    row = box.store.find("project", number_in_path(request))
    if row is None:
        raise not_found("Project")
    return answer({**row, "configuration": configuration(row["configuration"], box.settings.configuration)})


def configuration(given: dict[str, Any], shape: str) -> dict[str, Any]:
    """A project's configuration, its classes in one of the two shapes that the SDK itself reads."""
    tools = given.get("classification")
    if shape == "as_seeded" or not isinstance(tools, dict):
        return given
    changed = {}
    for tool, entry in tools.items():
        schema = entry.get("classification_schema", []) if isinstance(entry, dict) else entry
        names = [code.get("code") if isinstance(code, dict) else code for code in schema]
        changed[tool] = names if shape == "names" else {"classification_schema": [{"code": name} for name in names]}
    return {**given, "classification": changed}
