"""How well a column's cells could be a field's values."""

from __future__ import annotations

import difflib
import re
from itertools import islice
from typing import TYPE_CHECKING, Any

from synapse_skills.planning.facts import Facts
from synapse_skills.planning.interview import Settled
from synapse_skills.planning.metadata_cover import columns_of, coverage, is_dropped, normal, pairs_of
from synapse_skills.planning.metadata_facts import fields_of, schema_of, table_of

if TYPE_CHECKING:
    from synapse_skills.metadata import Column, Fault, Field

MAX_ROWS = 2_000
MAX_VALUES = 50
MISFITS = 0.1
ALIKE = 0.6
ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def free_columns(facts: Facts, settled: Settled, field: Field) -> list[Column]:
    """Columns that could be a field's values and that no other field has or plainly wants, the likeliest first."""
    used = {name for name, _ in pairs_of(facts, settled).values()} | {settled.get("metadata.key")}
    given = coverage(facts, settled)
    rivals = [each for each in fields_of(facts, settled) if each.name not in given and each.name != field.name]
    fitting = []
    for column in columns_of(facts, settled):
        if column.name in used or is_dropped(facts, column.name):
            continue
        fit = fit_of(facts, settled, column, field)
        if fit and not any(_wants_more(facts, settled, column, other, field, fit) for other in rivals):
            fitting.append((-fit, -alike(column.name, field), column.empty, column))
    return [column for *_, column in sorted(fitting, key=lambda each: each[:3])]


def alike(name: str, field: Field) -> float:
    """How much a name is like a field's name or title, between 0 and 1."""
    return max(
        difflib.SequenceMatcher(None, normal(name), normal(word)).ratio() for word in (field.name, field.title) if word
    )


def _wants_more(facts: Facts, settled: Settled, column: Column, other: Field, field: Field, fit: int) -> bool:
    """Whether a column is plainly another field's: its values are of that one's own kind, or its name is alike."""
    theirs = fit_of(facts, settled, column, other)
    likeness = alike(column.name, other)
    return theirs > fit or (theirs == fit and likeness >= ALIKE and likeness > alike(column.name, field))


_KINDS = {
    "integer": {"integer"},
    "number": {"number", "integer"},
    "boolean": {"boolean"},
    "string": {"text"},
}


def fit_of(facts: Facts, settled: Settled, column: Column, field: Field) -> int:
    """How well a column's cells could be a field's values: 0 if they could not."""
    kinds = {kind for kind, count in column.kinds.items() if count}
    values = values_of(facts, settled).get(column.name, [])
    if not kinds or not values:
        return 0
    known = ("fit", settled["data_collection"], field.name, settled.get("metadata.table"), column.name)
    bad = facts.once(known, lambda: sum(not _suits(facts, settled, field, each) for each in values))
    if bad > MISFITS * len(values):
        return 0
    if field.format.startswith("date"):
        return 3
    wanted = set(field.types)
    natural = set().union(*(_KINDS.get(name, set()) for name in wanted))
    # Any number is a text too, and any text may be one of a list: its own kind of cell is likelier.
    return 3 if field.enum else 2 if kinds <= natural else 1


def _suits(facts: Facts, settled: Settled, field: Field, value: Any) -> bool:
    made, faults = faults_of(facts, settled, field.name, value)
    # A format is nothing that the schema's validator looks at: what is no date would pass.
    return not faults and (not field.format.startswith("date") or bool(ISO_DATE.match(str(made))))


def values_of(facts: Facts, settled: Settled) -> dict[str, list[Any]]:
    """Different values of each column, the first of them."""
    table = table_of(facts, settled)
    if table is None:
        return {}

    def find() -> dict[str, list[Any]]:
        found: dict[str, dict[str, Any]] = {}
        for row in islice(table.rows(), MAX_ROWS):
            for name, value in row.values.items():
                some = found.setdefault(name, {})
                if len(some) < MAX_VALUES:
                    some.setdefault(str(value), value)
        return {name: list(some.values()) for name, some in found.items()}

    return facts.once(("values", table.path, table.sheet), find)


def faults_of(facts: Facts, settled: Settled, name: str, value: Any) -> tuple[Any, list[Fault]]:
    """A value as the schema wants it in one field, and what is wrong with it."""
    schema = schema_of(facts, settled)
    collection = settled["data_collection"]

    def make() -> tuple[Any, Any]:
        from synapse_skills.metadata import Coercion, MetaCheck

        return Coercion(schema), MetaCheck(schema)

    coercion, check = facts.once(("meta check", collection), make)
    value = coercion({name: value}).get(name, value)
    faults = [
        fault
        for fault in check.faults({name: value})
        if fault.field == name or fault.field.startswith(f"{name}.") or fault.rule == "not-json"
    ]
    return value, faults
