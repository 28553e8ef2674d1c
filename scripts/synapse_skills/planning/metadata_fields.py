"""The rows about fields: which column or sidecar's key gives which field of the schema, asked where nothing tells."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from synapse_skills.errors import FindingError, printable
from synapse_skills.planning.answers import number_of, shown, text
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.interview import Ask, BadAnswer, Decision, Family, Inferred, Option, Settled
from synapse_skills.planning.metadata_cover import (
    FOLDER,
    PREFIX,
    columns_of,
    is_dropped,
    label_of,
    names_there,
    normal,
    pairs_of,
    spelt,
    type_words,
    uncovered,
)
from synapse_skills.planning.metadata_evidence import Part, kind_of
from synapse_skills.planning.metadata_facts import (
    NONE,
    SIDECARS,
    closed,
    fields_of,
    other_sidecars,
    schema_of,
    unit_keys,
)

if TYPE_CHECKING:
    from synapse_skills.metadata import Column, Fault, Field

SAME = "same"
MAX_COLUMNS = 3


# ---- metadata.field.*


def free_columns(facts: Facts, settled: Settled, field: Field) -> list[Column]:
    """Columns that no field has yet and whose cells could be this one's values, the likeliest first."""
    used = {name for name, _ in pairs_of(facts, settled).values()} | {settled.get("metadata.key")}
    fitting = []
    for column in columns_of(facts, settled):
        if column.name not in used and not is_dropped(facts, column.name):
            fit = _fit(facts, settled, column, field)
            alike = difflib.SequenceMatcher(None, normal(column.name), normal(field.name)).ratio()
            fitting.append((-fit, -alike, column.empty, column))
    return [column for fit, *_, column in sorted(fitting, key=lambda each: each[:3]) if fit]


_KINDS = {
    "integer": {"integer"},
    "number": {"number", "integer"},
    "boolean": {"boolean"},
    "string": {"text"},
    "date": {"date", "datetime"},
}


def _fit(facts: Facts, settled: Settled, column: Column, field: Field) -> int:
    """How well a column's cells could be a field's values: 0 if one of those that are known could not."""
    kinds = {kind for kind, count in column.kinds.items() if count}
    if not kinds or any(faults_of(facts, settled, field.name, example)[1] for example in column.examples):
        return 0
    wanted = {field.format.removesuffix("-time")} if field.format.startswith("date") else set(field.types)
    natural = set().union(*(_KINDS.get(name, set()) for name in wanted))
    # Any number is a text too, and any text may be one of a list: its own kind of cell is likelier.
    return 3 if field.enum else 2 if kinds <= natural else 1


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


def _folders(facts: Facts, settled: Settled, field: Field) -> Iterator[Option]:
    """Folders above the data unit's own whose names could be the values."""
    rows = [key.split("/") for key in unit_keys(facts, settled)]
    depth = min((len(row) for row in rows), default=0)
    for level in range(1, depth):
        values = tuple(dict.fromkeys(row[level - 1] for row in rows))
        if len(values) > 1 and Part(level, values, frozenset(map(kind_of, values))).suits(field):
            told = ", ".join(map(printable, values[:3]))
            yield Option(f"Folder {level} of the path", f"{FOLDER}{level}", f"{len(values):,} values, such as {told}")


def _options(facts: Facts, settled: Settled, field: Field) -> list[Option]:
    options = [
        Option(label_of(column.name), column.name, f"column: {', '.join(map(printable, column.examples[:3]))}")
        for column in free_columns(facts, settled, field)[:MAX_COLUMNS]
    ]
    options += list(_folders(facts, settled, field))[:1]
    if settled.get("metadata.sidecars") is None:
        for pattern, keys, count in other_sidecars(facts, settled):
            if spelt(field.name, keys) is not None:
                option = Option(f"Files like {printable(pattern)}", f"{SIDECARS}{pattern}", f"{count:,} files hold it")
                options.append(option)
                break
    return options[:3]


def _decide_field(facts: Facts, settled: Settled, field: Field) -> Inferred | Ask | None:
    found = pairs_of(facts, settled).get(field.name)
    if found is not None:
        return Inferred(found[0], found[1])
    if field.name not in {each.name for each in uncovered(facts, settled)}:
        return None
    options = _options(facts, settled, field)
    if not options:
        return None
    same = Option("One value for all", SAME, "You say it next")
    what = f": {printable(field.description)}" if field.description else ""
    return Ask(
        f"The schema requires {printable(field.name)} ({type_words(field)}{what}). What gives it?", (*options, same)
    )


def _parse_field(answer: Any, facts: Facts, settled: Settled, name: str) -> str:
    word = text(answer, facts, settled)
    columns, keys = names_there(facts, settled)
    names = [*columns, *keys]
    wanted = [field.name for field in fields_of(facts, settled)]
    found = spelt(word, names)
    if found is not None and (name in wanted or not (name in names and word in wanted)):
        others = [key for key, value in settled.items() if key.startswith(PREFIX) and value == found]
        if any(key in facts.answers for key in others):
            raise BadAnswer(f"{shown(found)} gives {printable(others[0].removeprefix(PREFIX))} already.")
        return found
    if word.casefold() in (NONE, SAME):
        return word.casefold()
    if word.startswith(FOLDER):
        return FOLDER + str(folder_level(word.removeprefix(FOLDER), facts, settled))
    if word.startswith(SIDECARS):
        return SIDECARS + check_glob(word.removeprefix(SIDECARS), facts, settled)
    if name in names and name not in wanted and (word in wanted or not closed(facts, settled)):
        return word  # said from the other side: this column gives that field
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.0)
    hint = f" Did you mean {printable(near[0])}?" if near else ""
    raise BadAnswer(
        f"{shown(answer)} is no column of the table.{hint} One value for all data units is said with "
        f"metadata.said.{printable(name)}."
    )


def folder_level(answer: Any, facts: Facts, settled: Settled) -> int:
    """Which folder of the data units' names is meant.

    Raises:
        BadAnswer: no data unit's name has so many.
    """
    number = number_of(answer)
    # Where names make the data units, the last part of a key is no folder.
    names = int(settled["grouping.by"] != "folder")
    depth = max((key.count("/") + 1 - names for key in unit_keys(facts, settled)), default=0)
    if number is None or number != int(number) or not 1 <= abs(number) <= depth:
        example = next(iter(unit_keys(facts, settled)), "")
        raise BadAnswer(
            f"{shown(answer)} is no folder of the data units' names: they have {depth}, as in {printable(example)}; "
            "1 is the outermost, -1 the innermost."
        )
    return int(number)


def check_glob(pattern: str, facts: Facts, settled: Settled) -> str:
    """A glob for sidecars.

    Raises:
        BadAnswer: it can't be one, or no file is like it.
    """
    from synapse_skills.units.sidecars import Sidecars

    pattern = pattern.strip().removeprefix("./")
    try:
        reads = Sidecars(pattern)
    except FindingError as error:
        raise BadAnswer(f"{error}. {error.hint}") from None
    if settled.get("grouping.by") == "table":
        raise BadAnswer("The layout is a table: only files that it names belong to a data unit.")
    if not any(reads.is_one(file) for file in facts.inventory().files()):
        raise BadAnswer(f"No file is like {shown(pattern)}.")
    return pattern


def _expand_fields(facts: Facts, settled: Settled, answers: Mapping[str, Any]) -> Iterator[Decision]:
    fields = {field.name: field for field in fields_of(facts, settled)}
    columns, keys = names_there(facts, settled)
    said = [key.removeprefix(PREFIX) for key in answers if FIELD.covers(key)]
    new = [] if closed(facts, settled) else sorted(set(said) - set(fields))
    for name in [*fields, *(each for each in dict.fromkeys([*columns, *keys, *new]) if each not in fields)]:
        field = fields.get(name)
        if field is None and name not in said:
            continue
        yield Decision(
            PREFIX + name,
            "Metadata",
            f"The column or the sidecars' key that gives {printable(name)}; `none` for none.",
            (lambda facts, settled, field=field: _decide_field(facts, settled, field))  # type: ignore[misc]
            if field is not None
            else (lambda facts, settled: None),
            lambda answer, facts, settled, name=name: _parse_field(answer, facts, settled, name),  # type: ignore[misc]
        )


FIELD = Family(
    PREFIX + "*",
    "Metadata",
    "The column or sidecars' key that gives a field of the schema; `none` for none. With a column's name for *: its "
    "field, or `none` to drop it.",
    _expand_fields,
    needs=("metadata.key", "metadata.sidecars", "metadata.name"),
)
