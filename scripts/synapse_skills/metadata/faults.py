"""What is wrong with the metadata of data units, one line for each kind of fault however many units have it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from synapse_skills.errors import printable, redact
from synapse_skills.report import MAX_EXAMPLES, Problem

MAX_GROUPS = 30
MAX_EXAMPLE = 300

_FIXES = {
    "type": "Correct the values, or leave the cell empty where the field may be missing.",
    "enum": "Use one of the allowed values, spelled as the schema spells it.",
    "const": "Use the one allowed value.",
    "required": "Fill in what is missing, in the row or the sidecar of each of these data units.",
    "row": "Add rows for these data units, or correct the keys of the rows that were meant for them.",
    "aside": "As you said in metadata.rows: say there which row counts, or correct the table.",
    "dependentRequired": "Give it where the fields that demand it are given, or leave those out too.",
    "additionalProperties": "Leave the field out, or rename it to a field that the schema knows.",
    "minimum": "Correct the values: they lie outside what the schema allows.",
    "minLength": "Correct the values: their length is not what the schema allows.",
    "minItems": "Correct the lists: the number of items is not what the schema allows.",
    "pattern": "Write the values in the form that the schema's pattern asks for.",
    "bad-sidecar": "Mend these files: one JSON or YAML object each, with text, numbers, lists and objects.",
    "describe": "Mend describe() in the script: it returns a dict with the metadata of one data unit.",
    "not-json": "Give text, numbers, true or false, lists or objects: nothing else can be sent.",
}
_SAME = {
    "dependencies": "dependentRequired",
    "unevaluatedProperties": "additionalProperties",
    "propertyNames": "additionalProperties",
    "maximum": "minimum",
    "exclusiveMinimum": "minimum",
    "exclusiveMaximum": "minimum",
    "multipleOf": "minimum",
    "maxLength": "minLength",
    "maxItems": "minItems",
    "uniqueItems": "minItems",
    "contains": "minItems",
}
_OTHERWISE = "Correct the values, or have the collection's schema changed in Synapse."


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with the metadata of one data unit.

    Attributes:
        field: where, dotted, indices as `*`; empty for the whole object.
        rule: the schema's keyword; `not-json` for what can't be sent at all.
        message: what is wrong, with the value: "age: 'abc' is no integer".
        summary: the same for all data units with this fault: "age: not an integer".
    """

    field: str
    rule: str
    message: str
    summary: str

    def __str__(self) -> str:
        return self.message


def fix_for(rule: str) -> str:
    """What to do about a kind of fault."""
    return _FIXES.get(_SAME.get(rule, rule), _OTHERWISE)


@dataclass(slots=True)
class _Group:
    summary: str
    rule: str
    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, where: str, fault: Fault) -> None:
        self.count += 1
        if len(self.examples) < MAX_EXAMPLES:
            example = redact(f"{printable(where)}: {fault.message}" if where else fault.message)
            self.examples.append(example if len(example) <= MAX_EXAMPLE else example[: MAX_EXAMPLE - 1] + "…")


class Faults:
    """Collects faults by kind: memory does not grow with the number of data units.

    Attributes:
        units: how many data units had a fault.
    """

    def __init__(self) -> None:
        self.units = 0
        self._groups: dict[tuple[str, str, str], _Group] = {}
        self._others: _Group | None = None

    def add(self, where: str, faults: Iterable[Fault]) -> None:
        """Count the faults of one data unit; one kind counts once for a unit.

        Args:
            where: what to call the unit, such as "patient_001 (row 3)".
            faults: what is wrong with it; none is fine.
        """
        kinds = {(fault.field, fault.rule, fault.summary): fault for fault in reversed(list(faults))}
        if not kinds:
            return
        self.units += 1
        for kind in reversed(kinds):
            fault = kinds[kind]
            group = self._groups.get(kind)
            if group is None and len(self._groups) < MAX_GROUPS:
                group = self._groups[kind] = _Group(fault.summary, fault.rule)
            if group is None:
                group = self._others = self._others or _Group("other faults", "")
            group.add(where, fault)

    def __bool__(self) -> bool:
        return self.units > 0

    def _sorted(self) -> list[_Group]:
        groups = sorted(self._groups.values(), key=lambda group: (-group.count, group.summary))
        return [*groups, self._others] if self._others else groups

    def problems(self, code: str = "meta-invalid") -> list[Problem]:
        """One problem for each kind of fault, the most frequent first, and at most one for all kinds beyond 30."""
        return [
            Problem(
                code=code, count=group.count, examples=list(group.examples), fix=f"{group.summary}. {_fix_of(group)}"
            )
            for group in self._sorted()
        ]

    def kinds(self) -> list[str]:
        """The summaries of all kinds, in the order of `problems`."""
        return [group.summary for group in self._sorted()]

    def lines(self) -> list[str]:
        """For people: "age: not an integer × 10,000 — patient_001 (row 3): age: 'abc' is no integer; …"."""
        return [f"{group.summary} × {group.count:,} — {'; '.join(group.examples)}" for group in self._sorted()]


def _fix_of(group: _Group) -> str:
    return fix_for(group.rule) if group.rule else "Correct the kinds named above first, then look again."
