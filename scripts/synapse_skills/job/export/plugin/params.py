"""What a run of an export plugin is told, checked here: the SDK's own validators never run under its dispatch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator, model_validator
from synapse_sdk.plugins.actions.export import ExportParams

from synapse_skills.backend.filters import query_of, read_filter
from synapse_skills.errors import SkillsError, UsageError, printable
from synapse_skills.export_plan import ExportPlan, FormatPlan
from synapse_skills.formats import FORMATS

ALL = "all"
MAX_NAME = 100
SCOPE_KEYS = {
    "assignment": ("project",),
    "task": ("project",),
    "ground_truth": ("ground_truth_dataset_version", "ground_truth_dataset_versions"),
}
"""How the SDK writes the scope of a target into the filter."""
OURS = ("ctx", "export_items", "path_root", "name", "count", "save_original_file", "configuration", "project_id")
"""What the SDK hands to an exporter itself: the same word in extra_params would replace it, or end the run."""
INJECTED = ("expand", "fields", "page_size", "ordering", "response_mode", "pagination")
"""What the SDK adds to a filter on its way to a handler."""


class PlannedParams(ExportParams):
    """The parameters of a run; a plugin's page gives what its plan says as their defaults."""

    storage: int
    output_format: str = Field(default=ALL, description="One format, or all that were planned.")
    # The head that asks the backend to collect the records is switched off in the SDK; so is the question for it.
    disable_async_delegate: bool | None = True

    @field_validator("name")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        name = name.strip()
        if (
            not name
            or len(name) > MAX_NAME
            or name.startswith(".")
            or name != printable(name)
            or set(name) & set("/\\:")
        ):
            raise ValueError("a name of one folder: no slashes, no colon, no dot at its start, at most 100 letters")
        return name

    @field_validator("storage")
    @classmethod
    def _numbered(cls, storage: int) -> int:
        if storage < 1:
            raise ValueError("the number of a storage, from 1 up")
        return storage

    @field_validator("path")
    @classmethod
    def _inside(cls, path: str) -> str:
        parts = path.strip().strip("/").split("/")
        is_odd = path != printable(path) or "\\" in path or ":" in path
        if is_odd or any(part in ("", ".", "..") or part.startswith(".") for part in parts):
            raise ValueError("a path inside the storage, such as exports/cars: no `..`, no empty or hidden folder")
        return "/".join(parts)

    @field_validator("output_format")
    @classmethod
    def _known_format(cls, name: str) -> str:
        if name != ALL and name not in FORMATS:
            raise ValueError(f"there is no such format; there are: {', '.join((ALL, *FORMATS))}")
        return name

    @field_validator("extra_params")
    @classmethod
    def _no_words_of_the_sdk(cls, extra: dict[str, Any] | None) -> dict[str, Any] | None:
        if taken := sorted(set(extra or {}) & set(OURS)):
            raise ValueError(f"{', '.join(taken)}: the SDK says these itself")
        return extra

    @model_validator(mode="after")
    def _one_scope(self) -> PlannedParams:
        try:
            number, filter = scope_in(self.target, self.filter)
            query_of(self.target, number, filter)
        except SkillsError as error:
            raise ValueError(f"filter: {error} {error.hint}") from None
        return self


def scope_in(target: str, filter: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """The number of the project or version in a filter as the SDK takes it, and the rest by friendly names.

    Raises:
        UsageError: no scope, which would export the whole tenant (`no-scope`), or a filter that the target's list is
            not known to apply.
    """
    rest = dict(filter)
    given = [rest.pop(key) for key in SCOPE_KEYS[target] if key in rest]
    value = given[0] if len(given) == 1 else None
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19 else value
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise UsageError(
            f"An export of {target} without {SCOPE_KEYS[target][0]} would be one of the whole tenant.",
            hint=f'Say it, and say it once: {{"{SCOPE_KEYS[target][0]}": 12}}.',
            code="no-scope",
        )
    return number, read_filter(target, rest)


def as_asked(filter: Mapping[str, Any]) -> dict[str, Any]:
    """A filter without what the SDK has added to it."""
    return {key: value for key, value in filter.items() if key not in INJECTED}


def plan_with(plan: ExportPlan, params: PlannedParams) -> ExportPlan:
    """The plan of a run: the plugin's own, with what the run was told in its place."""
    number, filter = scope_in(params.target, params.filter)
    is_truth = params.target == "ground_truth"
    formats = plan.formats
    if params.output_format != ALL:
        formats = tuple(each for each in plan.formats if each.name == params.output_format)
        formats = formats or (FormatPlan(name=params.output_format),)
    originals = "none"
    if params.save_original_file:
        originals = plan.originals if plan.originals != "none" else "optional"
    said = plan.model_dump() | {
        "name": params.name,
        "target": params.target,
        "project": None if is_truth else number,
        "ground_truth_version": number if is_truth else None,
        "filter": filter,
        "formats": [each.model_dump() for each in formats],
        "originals": originals,
        "storage": params.storage,
        "output": f"{params.path}/{params.name}",
    }
    return ExportPlan.model_validate(said)
