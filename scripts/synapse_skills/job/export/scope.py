"""What an export is of: a target, its scope, its filter; and how its list is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from synapse_skills.backend.filters import belongs, query_of, read_filter
from synapse_skills.export_plan import ExportPlan

PATHS = {
    "assignment": "sdk/assignments/",
    "task": "sdk/tasks/",
    "ground_truth": "sdk/ground_truth_events/",
}
# What the SDK's own export asks for (contract/EXPORT.md, section 1.2).
EXPANDED = {"assignment": "data", "task": "data_unit", "ground_truth": "data"}
_BOUNDS = ("id__gt", "id__gte", "id__lt", "id__lte")


@dataclass(frozen=True)
class Scope:
    """Records of one project or ground-truth version.

    Attributes:
        number: of the project, or of the version.
        filter: friendly filters as the plan has them.
    """

    target: str
    number: int
    filter: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: ExportPlan) -> Scope:
        """The plan's."""
        number = plan.ground_truth_version if plan.target == "ground_truth" else plan.project
        assert number is not None
        return cls(plan.target, number, dict(plan.filter))

    @property
    def path(self) -> str:
        """The list's."""
        return PATHS[self.target]

    @property
    def kind(self) -> str:
        """What the number is of."""
        return "ground_truth_version" if self.target == "ground_truth" else "project"

    @property
    def ordering(self) -> str:
        """The column that tells records apart."""
        return "pgh_id" if self.target == "ground_truth" else "id"

    @property
    def has_ranges(self) -> bool:
        """Whether the list can be asked for by ranges of ids."""
        return self.target != "ground_truth"

    @cached_property
    def query(self) -> dict[str, str]:
        """What says which records are meant; never empty."""
        return query_of(self.target, self.number, self.filter)

    @cached_property
    def bounds(self) -> tuple[int, int | None]:
        """(lowest id, the one behind the highest or None) that the filter itself lets through."""
        low = max(int(self.query.get("id__gte", 0)), int(self.query.get("id__gt", -1)) + 1)
        highs = [int(self.query[name]) + add for name, add in (("id__lt", 0), ("id__lte", 1)) if name in self.query]
        return low, min(highs, default=None)

    def listing(self, **more: Any) -> dict[str, Any]:
        """The query of a page of rows with their payloads, newest first."""
        return self._without_bounds() | {
            "expand": EXPANDED[self.target],
            "response_mode": "presigned",
            "ordering": f"-{self.ordering}",
            "pagination": "cursor",
            **more,
        }

    def glance(self, **more: Any) -> dict[str, Any]:
        """The query of a page of the same rows, as light as the backend makes them: to see which have changed."""
        query = self.listing(**more)
        if self.target != "task":
            del query["expand"]
        return query | {"fields": "id,updated"}

    def counting(self) -> dict[str, Any]:
        """The query that tells how many there are, and which is the newest."""
        return self.query | {"page_size": 1, "response_mode": "presigned", "ordering": f"-{self.ordering}"}

    def by_id(self, ids: list[int], **more: Any) -> dict[str, Any]:
        """The query of some rows by their ids."""
        return self._without_bounds() | {
            "ids": ",".join(map(str, ids)),
            "expand": EXPANDED[self.target],
            "response_mode": "presigned",
            "page_size": 100,
            **more,
        }

    @cached_property
    def _read(self) -> dict[str, Any]:
        return read_filter(self.target, self.filter)

    def objection(self, head: Mapping[str, Any]) -> str | None:
        """Why a row is none of those that were asked for, as far as it tells."""
        return belongs(head, self.target, self.number, self._read)

    def _without_bounds(self) -> dict[str, str]:
        if not self.has_ranges:
            return dict(self.query)
        return {name: value for name, value in self.query.items() if name not in _BOUNDS}
