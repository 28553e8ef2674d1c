"""A description of data units as a script writes it: the same objects that the planner counts with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from synapse_skills.plan import MetadataRule
from synapse_skills.rendering.literal import INDENT, WIDTH, literal

_OWN = "For odd data write your own: def describe(unit): return {...}"
_CONSTANTS = f"Every data unit gets these values. {_OWN}"
_ONE = f"The metadata of each data unit. {_OWN}"
_SEVERAL = f"The metadata of each data unit; where two of these give one field, the later one wins.\n# {_OWN}"


@dataclass(frozen=True)
class DescribeParts:
    """The source of a description, what it needs, and what it does.

    Attributes:
        names: what the script must import for it.
        rule: what it does, as a comment; no name of the user's is in it.
        source: Python source that makes it.
    """

    names: list[str]
    rule: str
    source: str


def describe_parts(rules: Sequence[MetadataRule]) -> DescribeParts | None:
    """What a script needs to describe data units; None if the plan has no metadata."""
    calls = [call for rule in rules if (call := _call(rule)) is not None]
    if not calls:
        return None
    if [name for name, _ in calls] == ["Constants"]:
        return DescribeParts(["Constants"], _CONSTANTS, _source(*calls[0], depth=0))
    rule = _ONE if len(calls) == 1 else _SEVERAL
    flat = f"Merged({', '.join(_source(*call, depth=0) for call in calls)})"
    lines = "".join(f"{INDENT}{_source(*call, depth=1)},\n" for call in calls)
    source = flat if "\n" not in flat and len(flat) + len("describe = ") <= WIDTH - 20 else f"Merged(\n{lines})"
    # Classes before functions, as a linter sorts them.
    names = sorted({"Merged", *(name for name, _ in calls)})
    return DescribeParts(names, rule, source)


def _call(rule: MetadataRule) -> tuple[str, Any] | None:
    """(name, argument), None for a rule that says nothing; the argument may be None for none."""
    if rule.kind == "name":
        return "from_name", rule.regex
    if rule.kind == "table":
        return "from_table", rule.table
    if rule.kind == "sidecars":
        return "from_sidecars", rule.fields or None
    values: dict[str, Any] = rule.folders if rule.kind == "folders" else rule.values
    name = {"constants": "Constants", "folders": "from_folders", "said": "Said"}[rule.kind]
    return (name, values) if values else None


def _source(name: str, argument: Any, *, depth: int) -> str:
    return f"{name}({'' if argument is None else literal(argument, depth=depth)})"
