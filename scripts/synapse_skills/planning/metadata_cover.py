"""Which column or sidecar's key gives which field of the schema, and what covers each of them."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from synapse_skills.errors import printable
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.interview import Settled
from synapse_skills.planning.metadata_facts import NONE, SIDECARS, closed, fields_of, sidecar_keys, table_of

if TYPE_CHECKING:
    from synapse_skills.metadata import Column, Field

PREFIX = "metadata.field."
FOLDER = "folder:"
UNIT = "unit:name"
"""What gives a field the data unit's own name."""
NAMED = "name:"
"""What gives a field a part of the name: followed by an expression with a group of the field's name."""
DROP = "Drop it"
"""The label of `none` where a column is asked about."""
AUTOMATIC = ("name", "dataset_key")
"""Fields that every data unit gets from its own key."""


def normal(name: str) -> str:
    """A name without what spelling makes different: composition, case, spaces, underscores and dashes."""
    letters = unicodedata.normalize("NFC", name).casefold()
    return "".join(char for char in letters if char not in " _-\t\n\r.")


def label_of(column: str) -> str:
    """A column's name as the label of an option: short, and never the word that stands for free text."""
    words = printable(column).split()
    label = (
        " ".join(words) if len(words) < 5 and len(column) <= 40 else f"{' '.join(words[:3])[:36]} … {words[-1][:12]}"
    )
    return f"Column {label}" if label.casefold() == "other" else label


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
        tail, value = key.removeprefix(PREFIX), spelt(answer.strip(), names)
        if value is not None:
            pairs[tail] = value
        elif tail in names and tail not in wanted and answer.strip().casefold() != NONE:
            if closed(facts, settled) and answer.strip() not in wanted:
                continue  # a label, or a mistake: whoever reads the answer says so
            pairs[answer.strip()] = tail
    return pairs


def spelt(word: str, names: Sequence[str]) -> str | None:
    """The name that is meant, if one is."""
    if word in names:
        return word
    like = [name for name in names if normal(name) == normal(word)]
    return like[0] if len(like) == 1 else None


def names_there(facts: Facts, settled: Settled) -> tuple[list[str], list[str]]:
    """The table's columns and the sidecars' keys."""
    return [column.name for column in columns_of(facts, settled)], keys_of(facts, settled)


def pairs_of(facts: Facts, settled: Settled) -> dict[str, tuple[str, str]]:
    """Field → (column or sidecar's key, why), of all that is said or plain to see."""
    columns, keys = names_there(facts, settled)
    names = [*columns, *(key for key in keys if key not in columns)]
    said = _said_pairs(facts, settled, names)
    open_fields = [
        field
        for field in fields_of(facts, settled)
        if field.name not in said and f"{PREFIX}{field.name}" not in facts.answers
    ]
    dropped = [name for name in names if is_dropped(facts, name)]
    in_table = matching(open_fields, columns, [*said.values(), *dropped])
    in_sidecars = matching(open_fields, keys, [*said.values(), *dropped])
    return {**in_sidecars, **in_table, **{field: (name, "as you said") for field, name in said.items()}}


def is_dropped(facts: Facts, name: str) -> bool:
    """Whether the user wants a column or key to give nothing."""
    answer = facts.answers.get(PREFIX + name)
    return isinstance(answer, str) and answer.strip().casefold() in (NONE, DROP.casefold())


def table_fields(facts: Facts, settled: Settled) -> dict[str, str | None]:
    """Column → field for the rows that are frozen: None drops a column, one that is not named keeps its name."""
    columns, _ = names_there(facts, settled)
    pairs = {name: field for field, (name, _) in pairs_of(facts, settled).items() if name in columns}
    known = {field.name for field in fields_of(facts, settled)}
    refuses, key = closed(facts, settled), settled.get("metadata.key")
    fields: dict[str, str | None] = {}
    for name in columns:
        if name in pairs:
            fields[name] = pairs[name]
        elif name != key and (
            is_dropped(facts, name) or name in pairs.values() or name in known or (refuses and name not in known)
        ):
            # A column with the name of a field that another one gives would be the same field twice.
            fields[name] = None
    return fields


def sidecar_fields(facts: Facts, settled: Settled) -> dict[str, str]:
    """Sidecar's key → field, where they differ; '' drops what a closed schema has no field for."""
    keys = keys_of(facts, settled)
    pairs = {field: name for field, (name, _) in pairs_of(facts, settled).items() if name in keys}
    own = matching(fields_of(facts, settled), keys, pairs.values())
    pairs = {field: name for field, (name, _) in own.items()} | pairs
    fields = {name: field for field, name in sorted(pairs.items()) if name != field}
    known = {field.name for field in fields_of(facts, settled)}
    for name in keys:
        if name not in pairs.values() and (is_dropped(facts, name) or (closed(facts, settled) and name not in known)):
            fields[name] = ""
    return dict(sorted(fields.items()))


def dropped_columns(facts: Facts, settled: Settled) -> list[str]:
    """Columns with values, and sidecars' keys, that give no field: by the user's word, or a closed schema's."""
    filled = {column.name for column in columns_of(facts, settled) if any(column.kinds.values())}
    table = [name for name, field in table_fields(facts, settled).items() if not field and name in filled]
    return list(dict.fromkeys([*table, *(name for name, field in sidecar_fields(facts, settled).items() if not field)]))


def kept_columns(facts: Facts, settled: Settled) -> list[str]:
    """Columns and sidecars' keys that become fields of which the schema says nothing."""
    if closed(facts, settled):
        return []
    columns, keys = names_there(facts, settled)
    known = {field.name for field in fields_of(facts, settled)}
    fields = {**sidecar_fields(facts, settled), **table_fields(facts, settled)}
    names = [name for name in columns if name != settled.get("metadata.key")]
    given = [fields.get(name, name) for name in dict.fromkeys([*names, *keys])]
    return list(dict.fromkeys(name for name in given if name and name not in known))


def unknown_columns(facts: Facts, settled: Settled) -> list[str]:
    """Columns and sidecars' keys that a closed schema has no field for, and of which nobody has said anything."""
    if not closed(facts, settled):
        return []
    return [name for name in dropped_columns(facts, settled) if not is_dropped(facts, name)]


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
            where = "the data unit's name" if value in (0, "0") else f"folder {value} of the data unit's name"
            add(key.removeprefix("metadata.folders."), where)
        elif key.startswith(PREFIX) and isinstance(value, str) and value.startswith(FOLDER):
            add(field, f"folder {value.removeprefix(FOLDER)} of the data unit's name")
        elif key.startswith(PREFIX) and isinstance(value, str) and value.strip().casefold() == UNIT:
            add(field, "the data unit's name")
        elif key.startswith(PREFIX) and isinstance(value, str) and value.startswith(NAMED):
            add(field, "a part of the data unit's name")
    for name in groups_in(said.get("metadata.name")):
        add(name, "a part of the data unit's name")
    columns, keys = names_there(facts, settled)
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
