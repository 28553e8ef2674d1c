"""Routes of ground truths: datasets and their versions in both APIs, and the list of ground truths with all files."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from synapse_sandbox import payloads
from synapse_sandbox.box import Box, answer, number_in_path, number_in_query, origin, paged, paged_rows
from synapse_sandbox.errors import not_found
from synapse_sandbox.filters import GROUND_TRUTH, where
from synapse_sandbox.units import rows_by_id
from synapse_sandbox.v2 import enveloped, missing, wrapped


def _flag(request: Request, key: str) -> bool | None:
    text = request.query_params.get(key, "").lower()
    return None if not text else text in ("true", "1")


async def versions(box: Box, request: Request) -> Response:
    """Versions of all datasets, or of one; archived ones or others."""
    dataset, archived = number_in_query(request, "ground_truth_dataset"), _flag(request, "is_archived")
    rows = [
        row
        for row in box.store.catalogue("version")
        if dataset in (None, row["ground_truth_dataset"]) and archived in (None, row["is_archived"])
    ]
    return paged_rows(request, box.settings, rows)


async def version(box: Box, request: Request) -> Response:
    """One version."""
    row = box.store.find("version", number_in_path(request))
    if row is None:
        raise not_found("GroundTruthDatasetVersion")
    return answer(row)


async def listed(box: Box, request: Request) -> Response:
    """Ground truths with all their files, their annotations as one of them (`data_meta_1`)."""
    clause, values = where(request, GROUND_TRUTH, box.settings)
    # Fixed texts only: the values travel as parameters.
    count = box.store.db.execute(f"select count(*) from ground_truth r where {clause}", values).fetchone()[0]  # noqa: S608
    base = origin(request)

    def fetch(limit: int, offset: int) -> list[dict[str, Any]]:
        query = f"select * from ground_truth r where {clause} order by r.pgh_id desc limit ? offset ?"  # noqa: S608
        found = box.store.db.execute(query, [*values, limit, offset]).fetchall()
        units = {unit["id"]: unit for unit in rows_by_id(box, {row["data_unit"] for row in found}, base)}
        shown = []
        for row in found:
            files = dict(units.get(row["data_unit"], {}).get("files", {}))
            if row["payload"] is not None:
                link = payloads.link(box, base, row["payload"])
                name = f"{row['id']}.json"
                files["data_meta_1"] = {
                    "url": link,
                    "file_name_original": name,
                    "file_type": "data",
                    "is_primary": False,
                }
            facts = json.loads(row["facts"])
            one = {"id": row["id"], "pgh_id": row["pgh_id"], "category": facts["category"], "files": files}
            shown.append({**one, "ground_truth_dataset_versions": [row["version"]]})
        return shown

    return paged(request, box.settings, count, fetch)


async def v2_datasets(box: Box, request: Request) -> Response:
    """Datasets by id, in the second API."""
    rows = [{"id": row["id"], "name": row["name"]} for row in box.store.catalogue("dataset")]
    return wrapped(box, request, rows)


async def v2_dataset(box: Box, request: Request) -> Response:
    """One dataset, in the second API."""
    row = box.store.find("dataset", number_in_path(request))
    if row is None:
        raise missing("GroundTruthDataset")
    keys = ("id", "name", "project_id", "description")
    return enveloped({**{key: row[key] for key in keys}, "tenant_id": 1})


def _versions_of(box: Box, request: Request) -> list[dict[str, Any]]:
    dataset = number_in_path(request)
    if box.store.find("dataset", dataset) is None:
        raise missing("GroundTruthDataset")
    return [row for row in box.store.catalogue("version") if row["ground_truth_dataset"] == dataset]


async def v2_versions(box: Box, request: Request) -> Response:
    """A dataset's versions, in the second API."""
    rows = [{key: row[key] for key in ("id", "version", "created")} for row in _versions_of(box, request)]
    return wrapped(box, request, rows)


async def v2_version(box: Box, request: Request) -> Response:
    """One version of a dataset, in the second API."""
    wanted = int(request.path_params["other"])
    row = next((row for row in _versions_of(box, request) if row["id"] == wanted), None)
    if row is None:
        raise missing("GroundTruthDatasetVersion")
    shown = {key: row[key] for key in ("id", "version", "created", "description", "is_archived")}
    return enveloped({**shown, "ground_truth_dataset_id": row["ground_truth_dataset"]})
