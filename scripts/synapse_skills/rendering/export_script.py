"""plan.json → export.py."""

from __future__ import annotations

from typing import Any

from synapse_skills.export_plan import ExportPlan
from synapse_skills.rendering.literal import literal
from synapse_skills.rendering.script import environment

_SCOPES = {"assignment": "project", "task": "project", "ground_truth": "ground-truth version"}
_BY = {"record": "record", "data_unit": "data unit", "checksum": "checksum of the original", "category": "category"}


def render_export(plan: ExportPlan) -> bytes:
    """The script of an export: the same plan gives the same bytes."""
    return environment().get_template("export/export.py.j2").render(**statement_of(plan)).encode()


def statement_of(plan: ExportPlan) -> dict[str, Any]:
    """What a page that states an export is rendered with."""
    word, scope = scope_of(plan)
    by = plan.split.by if plan.split is not None else ""
    return {
        "plan": plan,
        "scope": scope,
        "scope_name": "GROUND_TRUTH_VERSION" if plan.target == "ground_truth" else "PROJECT",
        "scope_word": word,
        "formats": literal({each.name: dict(each.options) for each in plan.formats}),
        "classes": literal(list(plan.classes.order)),
        "rename": literal(dict(plan.classes.map)),
        "drop": literal(list(plan.classes.drop)),
        "keep_classes": literal(list(plan.classes.keep)),
        "tools": literal(list(plan.tools)),
        "is_custom": any(each.name == "custom" for each in plan.formats),
        "split_by": _BY.get(by, "what their meta says, as plan.json has it"),
        "is_own": plan.split is not None and plan.split.own,
        "stratified": "; each class has its share in every part" if _is_stratified(plan) else "",
    }


def _is_stratified(plan: ExportPlan) -> bool:
    return plan.split is not None and plan.split.stratify == "class"


def scope_of(plan: ExportPlan) -> tuple[str, int]:
    """What the scope of a plan is called, and its number."""
    number = plan.ground_truth_version if plan.target == "ground_truth" else plan.project
    assert number is not None
    return _SCOPES[plan.target], number
