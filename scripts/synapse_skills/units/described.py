"""The metadata of data units as it is sent: described, coerced, checked. Planner and job count with the same object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from synapse_skills.errors import FindingError, SkillsError, printable
from synapse_skills.metadata import (
    BadSidecar,
    Coercion,
    Conflict,
    Constants,
    Fault,
    FromTable,
    Merged,
    MetaCheck,
    Said,
    from_folders,
    from_name,
    from_sidecars,
    from_table,
)
from synapse_skills.plan import MetadataRule
from synapse_skills.report import MAX_EXAMPLES, Problem
from synapse_skills.units.survey import Unit

Describe = Callable[[Unit], Mapping[str, Any]]
"""data unit → metadata; a script may put a function of its own here."""
CONFLICT_FIX = (
    "The later of constants, folders, name, table, sidecars wins: correct the other, or say the value yourself."
)
_MOST_FIELDS = 50


def describe_for(rules: Sequence[MetadataRule], *, folder: Path | None = None) -> Describe | None:
    """The metadata of a plan: the object that planner and job count with.

    Args:
        rules: the plan's `metadata`.
        folder: where metadata.jsonl lies; beside the script if None.

    Returns:
        `Constants` if there is nothing else, else `Merged`; None without any metadata.

    Raises:
        FindingError: `bad-regex`, `bad-folders`.
    """
    parts: list[Describe] = []
    for rule in rules:
        if rule.kind == "constants" and rule.values:
            parts.append(Constants(rule.values))
        elif rule.kind == "folders" and rule.folders:
            parts.append(from_folders(rule.folders))
        elif rule.kind == "name":
            parts.append(from_name(rule.regex or ""))
        elif rule.kind == "table":
            parts.append(from_table(rule.table or "", folder=folder))
        elif rule.kind == "sidecars":
            parts.append(from_sidecars(rule.fields))
        elif rule.kind == "said" and rule.values:
            parts.append(Said(rule.values))
    if not parts:
        return None
    return parts[0] if len(parts) == 1 and type(parts[0]) is Constants else Merged(*parts)


def table_rule(rules: Sequence[MetadataRule]) -> MetadataRule | None:
    """The rule of a plan that takes metadata from a table, None if there is none."""
    return next((rule for rule in rules if rule.kind == "table"), None)


def check_frozen(rule: MetadataRule, path: Path) -> None:
    """Make sure that frozen rows are those of the plan.

    Raises:
        FindingError: `metadata-changed`: they are others. `no-metadata-table`: they can't be read.
    """
    if rule.sha256 is not None and from_table(path.name, folder=path.parent).digest() != rule.sha256:
        raise FindingError(
            f"{printable(str(path))} holds other rows than the plan was made with.",
            hint="Correct the table that it was made from and plan again; the frozen rows are not for editing.",
            code="metadata-changed",
        )


class Described:
    """The metadata of data units by a description and a schema; it counts where sources disagree.

    Args:
        describe: what `describe_for` gives, or a function of somebody's own; None for `name` and `dataset_key` alone.
        schema: the collection's meta schema.
        aside: data units whose rows in the table give nothing, with which rows those are.

    Raises:
        BadSchema: the schema can't be used.
        OutOfReach: the collection has a schema and jsonschema-rs is not installed.
    """

    def __init__(
        self, describe: Describe | None, schema: Mapping[str, Any] | None, aside: Mapping[str, str] | None = None
    ) -> None:
        self.describe = describe
        self._aside = aside or {}
        self.check = MetaCheck(schema)
        self._coercion = Coercion(schema)
        self._table = _table_in(describe)
        self._conflicts: dict[str, tuple[int, list[str]]] = {}

    def meta_of(self, unit: Unit) -> tuple[dict[str, Any] | None, list[Fault]]:
        """The metadata of a data unit as it is sent, and what is wrong with it.

        Raises:
            FindingError: the frozen rows are missing or damaged: `no-metadata-table`, `bad-metadata-table`.
        """
        described: Mapping[str, Any] = {}
        try:
            if isinstance(self.describe, Merged):
                described, conflicts = self.describe.merge(unit)
                for conflict in conflicts:
                    self._note(unit, conflict)
            elif self.describe is not None:
                described = self.describe(unit)
                if type(described) is not dict and isinstance(described, Mapping):
                    # Whatever makes its values only when they are asked for fails here, where its data unit is known.
                    described = dict(described.items())
        except BadSidecar as error:
            return None, [Fault("", "bad-sidecar", str(error), f"sidecar {error.kind}")]
        except SkillsError:
            raise
        except Exception as error:
            kind = f"describe failed: {type(error).__name__}"
            return None, [Fault("", "describe", f"{kind}: {error}", kind)]
        if not isinstance(described, Mapping):
            message = f"describe gave {type(described).__name__}, not a dict"
            return None, [Fault("", "describe", message, message)]
        meta, faults = self.check.complete(described, unit.key)
        if faults and self._table is not None and self._table.row_of(unit) is None:
            faults = _without_row(faults, self._aside.get(unit.key, ""))
        return meta, faults

    def where(self, unit: Unit) -> str:
        """What to call a data unit in a message: `patient_001 (row 3)`, so that its row is found."""
        row = None if self._table is None else self._table.row_of(unit)
        return unit.key if row is None else f"{unit.key} (row {row})"

    def conflicts(self) -> list[Problem]:
        """Where sources of metadata disagreed so far, a problem for each field: how many data units, three examples."""
        return [
            Problem(
                code="metadata-conflict",
                severity="warning",
                count=count,
                examples=examples,
                fix=f"{printable(name)}: {CONFLICT_FIX}",
            )
            for name, (count, examples) in sorted(self._conflicts.items(), key=lambda item: (-item[1][0], item[0]))
        ]

    def forget(self) -> None:
        """Count conflicts anew."""
        self._conflicts.clear()

    def _note(self, unit: Unit, conflict: Conflict) -> None:
        # A table's "45" and a sidecar's 45 are one number where the schema wants a number.
        values = [self._coercion({conflict.field: value}).get(conflict.field) for _, value in conflict.said]
        if all(value == values[0] and type(value) is type(values[0]) for value in values):
            return
        name = conflict.field
        if name not in self._conflicts and len(self._conflicts) >= _MOST_FIELDS:
            name = "other fields"
        count, examples = self._conflicts.get(name, (0, []))
        if len(examples) < MAX_EXAMPLES:
            examples.append(f"{printable(unit.key)}: {conflict}")
        self._conflicts[name] = (count + 1, examples)


def _without_row(faults: list[Fault], aside: str) -> list[Fault]:
    """What is missing because no row of the table counts for the data unit, as one fault that says so."""
    missing = [fault for fault in faults if fault.rule == "required"]
    if not missing:
        return faults
    names = [fault.summary for fault in missing[:MAX_EXAMPLES]] + ["…"] * (len(missing) > MAX_EXAMPLES)
    rest = [fault for fault in faults if fault.rule != "required"]
    if aside:
        summary = f"its rows in the table were set aside: {', '.join(names)}"
        return [Fault("", "aside", f"its {aside} were set aside: {', '.join(names)}", summary), *rest]
    told = f"no row in the table: {', '.join(names)}"
    return [Fault("", "row", told, told), *rest]


def _table_in(describe: Describe | None) -> FromTable | None:
    parts = describe.parts if isinstance(describe, Merged) else (describe,)
    return next((part for part in parts if isinstance(part, FromTable)), None)
