"""The rows about fields: which column or sidecar's key gives which field of the schema, and what is left open."""

from __future__ import annotations

import difflib
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synapse_skills.errors import FindingError, printable
from synapse_skills.planning.answers import number_of, shown, text
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.interview import Ask, BadAnswer, Decision, Family, Inferred, Option, Settled
from synapse_skills.planning.metadata_evidence import Part, kind_of
from synapse_skills.planning.metadata_facts import (
    NONE,
    SIDECARS,
    closed,
    fields_of,
    other_sidecars,
    schema_of,
    sidecar_keys,
    table_of,
    unit_keys,
)

if TYPE_CHECKING:
    from synapse_skills.metadata import Column, Fault, Field

PREFIX = "metadata.field."
SAME, FOLDER = "same", "folder:"
AUTOMATIC = ("name", "dataset_key")
"""Fields that every data unit gets from its own key."""
MAX_COLUMNS = 3


def normal(name: str) -> str:
    """A name without what spelling makes different: composition, case, spaces, underscores and dashes."""
    letters = unicodedata.normalize("NFC", name).casefold()
    return "".join(char for char in letters if char not in " _-\t\n\r.")


# ---- which name goes with which field


def matching(fields: Sequence[Field], names: Sequence[str], taken: Iterable[str] = ()) -> dict[str, tuple[str, str]]:
    """Field → (name, why) where the names say it: the same, the same but for spelling, the field's title."""
    left = [name for name in names if name not in set(taken)]
    found: dict[str, tuple[str, str]] = {}
    tests = (
        (lambda field, name: name == field.name, "it has the field's name"),
        (lambda field, name: normal(name) == normal(field.name), "it has the field's name but for spelling"),
        (lambda field, name: bool(field.title) and normal(name) == normal(field.title), "it is the field's title"),
        (lambda field, name: normal(name) in _words(field.description), "the field's description names it"),
    )
    for test, why in tests:
        for field in fields:
            like = [name for name in left if test(field, name)] if field.name not in found else []
            if len(like) == 1:
                found[field.name] = (like[0], why)
                left.remove(like[0])
    return found


def _words(description: str) -> set[str]:
    """A description as a whole, and what stands before or in its first brackets."""
    before, _, after = description.partition("(")
    return {normal(part) for part in (description, before, after.partition(")")[0]) if len(part.strip()) > 1}


def columns_of(facts: Facts, settled: Settled) -> list[Column]:
    """The columns of the table that was settled on."""
    table = table_of(facts, settled)
    return [] if table is None else list(table.columns)


def keys_of(facts: Facts, settled: Settled) -> list[str]:
    """The fields that the sidecars hold."""
    pattern = settled.get("metadata.sidecars")
    return [] if pattern in (None, NONE) else sidecar_keys(facts, settled, pattern)


def _said_pairs(facts: Facts, settled: Settled, names: Sequence[str]) -> dict[str, str]:
    """Field → name, as the user has said it from either side."""
    wanted = {field.name for field in fields_of(facts, settled)}
    pairs: dict[str, str] = {}
    for key, answer in facts.answers.items():
        if not key.startswith(PREFIX) or not isinstance(answer, str):
            continue
        tail, value = key.removeprefix(PREFIX), _spelt(answer.strip(), names)
        if value is not None:
            pairs[tail] = value
        elif tail in names and tail not in wanted and answer.strip().casefold() != NONE:
            pairs[answer.strip()] = tail
    return pairs


def _spelt(word: str, names: Sequence[str]) -> str | None:
    """The name that is meant, if one is."""
    if word in names:
        return word
    like = [name for name in names if normal(name) == normal(word)]
    return like[0] if len(like) == 1 else None


def _names(facts: Facts, settled: Settled) -> tuple[list[str], list[str]]:
    return [column.name for column in columns_of(facts, settled)], keys_of(facts, settled)


def pairs_of(facts: Facts, settled: Settled) -> dict[str, tuple[str, str]]:
    """Field → (column or sidecar's key, why), of all that is said or plain to see."""
    columns, keys = _names(facts, settled)
    names = [*columns, *(key for key in keys if key not in columns)]
    said = _said_pairs(facts, settled, names)
    open_fields = [
        field
        for field in fields_of(facts, settled)
        if field.name not in said and f"{PREFIX}{field.name}" not in facts.answers
    ]
    dropped = [name for name in names if _is_dropped(facts, name)]
    in_table = matching(open_fields, columns, [*said.values(), *dropped])
    in_sidecars = matching(open_fields, keys, [*said.values(), *dropped])
    return {**in_sidecars, **in_table, **{field: (name, "as you said") for field, name in said.items()}}


def _is_dropped(facts: Facts, name: str) -> bool:
    answer = facts.answers.get(PREFIX + name)
    return isinstance(answer, str) and answer.strip().casefold() == NONE


def table_fields(facts: Facts, settled: Settled) -> dict[str, str | None]:
    """Column → field for the rows that are frozen: None drops a column, one that is not named keeps its name."""
    columns, _ = _names(facts, settled)
    pairs = {name: field for field, (name, _) in pairs_of(facts, settled).items() if name in columns}
    known = {field.name for field in fields_of(facts, settled)}
    refuses, key = closed(facts, settled), settled.get("metadata.key")
    fields: dict[str, str | None] = {}
    for name in columns:
        if name in pairs:
            fields[name] = pairs[name]
        elif name != key and (
            _is_dropped(facts, name) or name in pairs.values() or name in known or (refuses and name not in known)
        ):
            # A column with the name of a field that another one gives would be the same field twice.
            fields[name] = None
    return fields


def sidecar_fields(facts: Facts, settled: Settled) -> dict[str, str]:
    """Sidecar's key → field, where they differ."""
    keys = keys_of(facts, settled)
    pairs = {field: name for field, (name, _) in pairs_of(facts, settled).items() if name in keys}
    own = matching(fields_of(facts, settled), keys, pairs.values())
    pairs = {field: name for field, (name, _) in own.items()} | pairs
    return {name: field for field, name in sorted(pairs.items()) if name != field}


def unknown_columns(facts: Facts, settled: Settled) -> list[str]:
    """Columns that a closed schema has no field for."""
    if not closed(facts, settled):
        return []
    fields = table_fields(facts, settled)
    return [name for name, field in fields.items() if field is None and not _is_dropped(facts, name)]


# ---- what covers a field


def coverage(facts: Facts, settled: Settled) -> dict[str, list[str]]:
    """Field → everything that gives it, in the order of the merge: the last one wins."""
    given: dict[str, list[str]] = {}

    def add(name: str, how: str) -> None:
        given.setdefault(name, []).append(how)

    said = {**facts.answers, **settled}
    for name in AUTOMATIC:
        add(name, "the data unit's name")
    for key, value in said.items():
        if key.startswith("metadata.constants."):
            add(key.removeprefix("metadata.constants."), f"constant {_short(value)}")
    for key, value in said.items():
        field = key.removeprefix(PREFIX)
        if key.startswith("metadata.folders."):
            add(key.removeprefix("metadata.folders."), f"folder {value} of the data unit's name")
        elif key.startswith(PREFIX) and isinstance(value, str) and value.startswith(FOLDER):
            add(field, f"folder {value.removeprefix(FOLDER)} of the data unit's name")
    for name in groups_in(said.get("metadata.name")):
        add(name, "a part of the data unit's name")
    if "specs.*.pattern" in settled or any(key.startswith("limits.") for key in settled) or "metadata.key" in settled:
        columns, keys = _names(facts, settled)
        pairs = pairs_of(facts, settled)
        for field, (name, _) in pairs.items():
            if name in columns:
                add(field, f"column {printable(name)}")
        for field in [*(field for field, (name, _) in pairs.items() if name in keys), *keys]:
            if not any(how.startswith("sidecars") for how in given.get(field, [])):
                add(field, "sidecars")
    for key, value in said.items():
        if key.startswith(PREFIX) and isinstance(value, str) and value.startswith(SIDECARS):
            add(key.removeprefix(PREFIX), "sidecars")
    for key, value in said.items():
        if key.startswith("metadata.said."):
            add(key.removeprefix("metadata.said."), f"said: {_short(value)}")
    return given


def groups_in(regex: Any) -> list[str]:
    """The named groups of an expression that was said; nothing for one that is none."""
    import re

    if not isinstance(regex, str) or regex == NONE:
        return []
    try:
        return list(re.compile(regex).groupindex)
    except re.error:
        return []


def uncovered(facts: Facts, settled: Settled) -> list[Field]:
    """Required fields that nothing gives."""
    given = coverage(facts, settled)
    return [field for field in fields_of(facts, settled) if field.required and field.name not in given]


def _short(value: Any) -> str:
    written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    written = printable(written)
    return written if len(written) <= 40 else f"{written[:39]}…"


def type_words(field: Field) -> str:
    """`integer`, `text (date)`, `one of M, F`."""
    if field.enum:
        values = ", ".join(_short(value) for value in field.enum[:6])
        return f"one of {values}{', …' if len(field.enum) > 6 else ''}"
    names = " or ".join(field.types) or "anything"
    if "array" in field.types and field.item_types:
        names += f" of {' or '.join(field.item_types)}"
    return f"{names} ({field.format})" if field.format else names


# ---- metadata.field.*


def free_columns(facts: Facts, settled: Settled, field: Field) -> list[Column]:
    """Columns that no field has yet and whose cells could be this one's values, the likeliest first."""
    used = {name for name, _ in pairs_of(facts, settled).values()} | {settled.get("metadata.key")}
    fitting = []
    for column in columns_of(facts, settled):
        if column.name not in used and not _is_dropped(facts, column.name):
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
        Option(printable(column.name), column.name, f"column: {', '.join(map(printable, column.examples[:3]))}")
        for column in free_columns(facts, settled, field)[:MAX_COLUMNS]
    ]
    options += list(_folders(facts, settled, field))[:1]
    if settled.get("metadata.sidecars") is None:
        for pattern, keys, count in other_sidecars(facts, settled):
            if _spelt(field.name, keys) is not None:
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
    columns, keys = _names(facts, settled)
    names = [*columns, *keys]
    wanted = [field.name for field in fields_of(facts, settled)]
    found = _spelt(word, names)
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
    columns, keys = _names(facts, settled)
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
