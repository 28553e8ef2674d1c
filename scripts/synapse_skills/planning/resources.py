"""What there is on the backend, for a table: collections, one collection, storages, projects, ground truths, agents."""

from __future__ import annotations

from typing import Any

from synapse_skills.backend import Backend, Collection, parse_collection
from synapse_skills.errors import FindingError, UsageError
from synapse_skills.planning.target import describe_specs, project_row

KINDS = ("collections", "collection", "storages", "projects", "ground-truths", "agents")


def list_resources(kind: str, identity: str | None = None, *, search: str = "") -> list[dict[str, Any]]:
    """Rows of one kind, all pages, by id.

    Args:
        kind: one of KINDS.
        identity: the number of the collection, for `collection`: its rows are its specs.
        search: only rows whose name holds this text.

    Raises:
        UsageError: `collection` without a number.
        FindingError: there is no such collection.
        OutOfReach: no login, or the backend is away.
    """
    if kind == "collection" and not (identity or "").strip().isdigit():
        raise UsageError("`collection` wants its number.", hint="For example: list_resources.py collection 57")
    if kind != "collection" and identity is not None:
        raise UsageError(f"`{kind}` takes no number.", hint="Look for a name with --search TEXT.")
    with Backend() as backend:
        if kind == "collection":
            return _specs(backend.collection(int(identity or 0)), search)
        if kind == "collections":
            rows = [_collection(row) for row in backend.collections(search)]
        elif kind == "storages":
            default = backend.default_storage()["id"]
            rows = [_storage(row, default) for row in backend.storages()]
        elif kind == "projects":
            rows = [project_row(row) for row in backend.projects(search)]
        elif kind == "ground-truths":
            rows = backend.ground_truths(search)
        else:
            rows = [_agent(row) for row in backend.agents()]
    wanted = search.casefold()
    return sorted((row for row in rows if wanted in str(row["name"]).casefold()), key=lambda row: int(row["id"]))


def _collection(row: dict[str, Any]) -> dict[str, Any]:
    try:
        known = parse_collection(row)
    except FindingError:
        return {
            "id": int(row["id"]),
            "name": str(row.get("name") or ""),
            "spec_count": len(row.get("file_specifications") or []),
            "specs": "can't be read: nothing can be uploaded to it",
            "meta_schema": None,
        }
    return {
        "id": known.id,
        "name": known.name,
        "spec_count": len(known.specs),
        "specs": describe_specs(known.specs),
        "meta_schema": known.meta_schema is not None,
    }


def _specs(collection: Collection, search: str) -> list[dict[str, Any]]:
    return [
        {
            "collection": collection.id,
            "name": spec.name,
            "file_type": spec.file_type,
            "extensions": " ".join(spec.extensions),
            "required": spec.is_required,
            "primary": spec.is_primary,
            "meta_schema": collection.meta_schema,
        }
        for spec in collection.specs
        if search.casefold() in spec.name.casefold()
    ]


def _storage(row: dict[str, Any], default: Any) -> dict[str, Any]:
    keys = ("id", "name", "category", "provider")
    return {key: row.get(key) for key in keys} | {"default": row["id"] == default}


def _agent(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row.get(key) for key in ("id", "name", "status")}
