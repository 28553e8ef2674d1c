"""A look at the backend before anything is sent: is it still what the plan was made for?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synapse_skills.backend import Api, parse_collection
from synapse_skills.backend.transfer import PRESIGN_PROVIDERS
from synapse_skills.errors import FindingError
from synapse_skills.plan import UploadPlan
from synapse_skills.report import Problems


async def look_at(api: Api, plan: UploadPlan, problems: Problems) -> bool:
    """Compare the collection and the storage with the plan; returns whether the storage hands out links.

    Raises:
        FindingError: the collection has changed, or it or the project is not there. OutOfReach: no such backend.
    """
    collection = parse_collection(
        await api.get(f"data_collections/{plan.data_collection}/", {"expand": "file_specifications"})
    )
    planned = {spec.name: (spec.extensions, spec.is_required) for spec in plan.specs}
    now = {spec.name: (spec.extensions, spec.is_required) for spec in collection.specs}
    if planned != now or (plan.meta_schema or None) != (collection.meta_schema or None):
        changed = sorted(name for name in planned.keys() | now.keys() if planned.get(name) != now.get(name))
        raise FindingError(
            f"The collection has changed since the plan was made: {', '.join(changed) or 'its meta schema'}.",
            hint="Plan again with plan_upload.",
            code="collection-changed",
        )
    if plan.project is not None:
        await api.get(f"projects/{plan.project}/")
    default = _default_of(await api.get("storages/", {"category": "internal"}))
    if plan.storage is not None and default.get("id") != plan.storage:
        problems.add(
            "storage-changed",
            f"planned for storage {plan.storage}, the default is {default.get('id')} now",
            severity="warning",
            fix="Uploads land in the tenant's default storage: have it set back if that is not meant.",
        )
    return str(default.get("provider", "")).lower() in PRESIGN_PROVIDERS


def _default_of(page: Any) -> Mapping[str, Any]:
    rows = page.get("results") if isinstance(page, Mapping) else page
    rows = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    return next((row for row in rows if row.get("is_default")), rows[0] if rows else {})
