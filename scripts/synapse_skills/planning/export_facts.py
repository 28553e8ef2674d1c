"""What can be found out for an export: projects, ground truths, how many records there are, and what a sample shows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synapse_skills.errors import FindingError
from synapse_skills.planning.asking import Asking
from synapse_skills.planning.export_kept import kept_rows
from synapse_skills.planning.export_sample import SAMPLE, Sample, Trial, read_sample, trial
from synapse_skills.planning.home import Home

if TYPE_CHECKING:
    from synapse_skills.export_plan import ClassesPlan
    from synapse_skills.formats.base import Format


class ExportFacts(Asking):
    """The facts of one round, as a context manager."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        super().__init__()
        self.home: Home | None = None
        self.answers = dict(answers)
        self.said = frozenset(answers)
        self.asked: set[str] = set()

    def projects(self) -> list[dict[str, Any]]:
        """All projects, by id."""
        return self.once("projects", lambda: sorted(self.backend().projects(), key=lambda row: int(row["id"])))

    def ground_truths(self) -> list[dict[str, Any]]:
        """All versions of all ground truths, by id; a backend that has none of the lists has no ground truth."""

        def find() -> list[dict[str, Any]]:
            from synapse_skills.backend.api import NotThere

            try:
                return self.backend().ground_truths()
            except NotThere:
                return []

        return self.once("ground-truths", find)

    def ground_truth(self, identity: int) -> dict[str, Any]:
        """One version of a ground truth."""
        return self.once(("ground-truth", identity), lambda: self.backend().ground_truth_version(identity))

    def title(self, target: str, scope: int) -> str:
        """What a scope is called."""
        if target != "ground_truth":
            row = self.project(scope)
            return str(row.get("title") or row.get("name") or f"project-{scope}")
        row = self.ground_truth(scope)
        return " ".join(part for part in (row["name"] or f"ground-truth-{scope}", row["version"]) if part)

    def count(self, target: str, scope: int, filter: Mapping[str, Any]) -> int:
        """How many records a filter leaves."""

        def find() -> int:
            from synapse_skills.backend.filters import query_of
            from synapse_skills.job.export.scope import PATHS

            return self.backend().count(PATHS[target], dict(query_of(target, scope, filter)))

        return self.once(("count", target, scope, _key(filter)), find)

    def sample(self, target: str, scope: int, filter: Mapping[str, Any]) -> Sample:
        """Some of the records, of several places of the list."""

        def find() -> Sample:
            from synapse_skills.job.export.sample import sample_of

            home = self.home.folder if self.home is not None else None
            key = (self.backend().login.host, target, scope, _key(filter), self.count(target, scope, filter))
            rows = kept_rows(home, key, lambda: sample_of(self.backend(), target, scope, filter, SAMPLE))
            return read_sample(rows, target, scope, filter)

        return self.once(("sample", target, scope, _key(filter)), find)

    def formats(self) -> Mapping[str, Format]:
        """All formats by name."""
        from synapse_skills.formats import FORMATS

        return FORMATS

    def form(self, name: str) -> Format:
        """One format.

        Raises:
            FindingError: there is none of this name.
        """
        try:
            return self.formats()[name]
        except KeyError:
            known = ", ".join(self.formats())
            raise FindingError(f"There is no format {name!r}.", hint=f"One of {known}.", code="no-format") from None

    def tried(
        self,
        sample: Sample,
        name: str,
        options: Mapping[str, Any],
        classes: ClassesPlan,
        *,
        geometry: str = "clamp",
        tools: Sequence[str] = (),
    ) -> Trial:
        """What a format makes of the sample."""
        whole = self.form(name).complete(options)
        key = ("tried", id(sample), name, _key(whole), _key(classes.model_dump()), geometry, tuple(sorted(tools)))
        return self.once(key, lambda: trial(sample, self.form(name), whole, classes, geometry=geometry, tools=tools))


def _key(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), sort_keys=True, ensure_ascii=False, default=str)
