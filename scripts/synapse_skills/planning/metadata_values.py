"""The rows about metadata that no table gives: sidecars, parts of names, folders, constants, and what the user says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from synapse_skills.errors import FindingError, printable
from synapse_skills.planning.answers import shown, text
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.interview import Ask, BadAnswer, Decision, Family, Inferred, Option, Settled
from synapse_skills.planning.metadata_cover import PREFIX, type_words, uncovered
from synapse_skills.planning.metadata_evidence import proposals
from synapse_skills.planning.metadata_facts import (
    NONE,
    Named,
    closed,
    fields_of,
    names_of,
    sidecars_by_name,
    unit_keys,
)
from synapse_skills.planning.metadata_fields import SAME, check_glob, folder_level, is_name_like
from synapse_skills.planning.metadata_fit import faults_of, free_columns

if TYPE_CHECKING:
    from synapse_skills.metadata import Field

CONSTANTS, SAID, FOLDERS = "metadata.constants.", "metadata.said.", "metadata.folders."
EXAMPLES = 3
MAX_WAYS = 3


# ---- metadata.sidecars


def _decide_sidecars(facts: Facts, settled: Settled) -> Inferred | None:
    if _by_table(facts):
        return None  # only files that the placement table names belong to a data unit
    found = sidecars_by_name(facts, settled)
    if not found:
        return None
    pattern = " | ".join(shape.pattern for shape in found)
    facts.set_aside(sidecars=pattern)
    count = sum(shape.files for shape in found)
    return Inferred(
        pattern, f"{count:,} files are called like metadata, such as {found[0].example}; `none` if they are data"
    )


def _by_table(facts: Facts) -> bool:
    return "grouping.table" in facts.answers or str(facts.answers.get("grouping.by")).strip().lower() == "table"


def _parse_sidecars(answer: Any, facts: Facts, settled: Settled) -> str:
    word = text(answer, facts, settled)
    if word.casefold() == NONE:
        return NONE
    if _by_table(facts):
        raise BadAnswer("The layout is a table: only files that it names belong to a data unit.")
    pattern = check_glob(word, facts, settled)
    facts.set_aside(sidecars=pattern)
    return pattern


SIDECARS_ROW = Decision(
    "metadata.sidecars",
    "Sidecars",
    "A glob: JSON or YAML files like it hold the metadata of the data unit that they lie beside; `none` for none.",
    _decide_sidecars,
    _parse_sidecars,
    needs=("sources.*.spec",),
)


# ---- metadata.name


def _decide_name(facts: Facts, settled: Settled) -> Ask | None:
    """Names are proposed for what nothing else gives, and never applied unasked."""
    wanted = [field for field in uncovered(facts, settled) if not _has_another_way(facts, settled, field)]
    found = names_of(facts, settled) if wanted else None
    if found is None:
        return None
    keys = [key.rpartition("/")[2] for key in unit_keys(facts, settled)]
    ways = list(proposals(found, wanted))[:MAX_WAYS]
    if not ways:
        return None
    options = []
    for way in ways:
        regex = found.regex(way)
        told = "; ".join(_read_as(regex, key) for key in keys[:EXAMPLES])
        parts = ", ".join(f"{name} part {number}" for number, name in sorted(way.items()))
        options.append(Option(parts, regex, told))
    names = ", ".join(printable(field.name) for field in wanted)
    return Ask(
        f"The schema requires {names}, and nothing gives it yet. Do the data units' names say it?",
        (*options, Option("No", NONE, "Names say nothing of it")),
    )


def _has_another_way(facts: Facts, settled: Settled, field: Field) -> bool:
    if PREFIX + field.name in facts.answers or free_columns(facts, settled, field):
        return True
    return is_name_like(facts, settled, field)


def _read_as(regex: str, key: str) -> str:
    import re

    found = re.search(regex, key)
    values = ", ".join(f"{name} = {printable(value)}" for name, value in (found.groupdict() if found else {}).items())
    return f"{printable(key)}: {values or 'nothing'}"


def _parse_name(answer: Any, facts: Facts, settled: Settled) -> str:
    from synapse_skills.metadata.names import from_name

    regex = text(answer, facts, settled)
    if regex.casefold() in (NONE, "no"):
        return NONE
    try:
        part = from_name(regex)
    except FindingError as error:
        raise BadAnswer(f"{error}. {error.hint}") from None
    keys = unit_keys(facts, settled)
    if not any(part(Named(key)) for key in keys):
        example = ", ".join(map(printable, keys[:EXAMPLES]))
        raise BadAnswer(f"{shown(answer)} finds nothing in the data units' names, such as {example}.")
    return regex


NAME_ROW = Decision(
    "metadata.name",
    "Names",
    "A regular expression: its named groups, found in a data unit's name, are fields; `none` for none.",
    _decide_name,
    _parse_name,
    needs=("metadata.key", "metadata.sidecars"),
)


# ---- metadata.folders.*


def _members(prefix: str, answers: Mapping[str, Any]) -> list[str]:
    return sorted(key.removeprefix(prefix) for key in answers if key.startswith(prefix) and key != prefix)


def _expand_folders(facts: Facts, settled: Settled, answers: Mapping[str, Any]) -> Iterator[Decision]:
    for name in _members(FOLDERS, answers):
        yield Decision(
            FOLDERS + name,
            "Folder",
            f"Which folder of a data unit's name is {printable(name)}: 1 is the outermost, -1 the innermost, 0 the "
            "whole name.",
            lambda facts, settled: None,
            folder_level,
        )


FOLDERS_FAMILY = Family(
    FOLDERS + "*",
    "Folder",
    "Which folder of a data unit's name is a field: 1 is the outermost, -1 the innermost, 0 the whole name.",
    _expand_folders,
    needs=("specs.*.pattern",),
)


# ---- metadata.constants.* and metadata.said.*


def _parse_value(answer: Any, facts: Facts, settled: Settled, name: str) -> Any:
    """A value as the schema wants it."""
    if closed(facts, settled) and name not in {field.name for field in fields_of(facts, settled)}:
        known = ", ".join(printable(field.name) for field in fields_of(facts, settled)[:12])
        raise BadAnswer(f"The schema has no field {printable(name)} and takes only those that it names: {known}.")
    value, faults = faults_of(facts, settled, name, answer)
    if faults:
        raise BadAnswer("; ".join(map(str, faults[:3])))
    return value


def _value_row(prefix: str, name: str, doc: str, decide: Any = None) -> Decision:
    return Decision(
        prefix + name,
        "Metadata",
        doc,
        decide or (lambda facts, settled: None),
        lambda answer, facts, settled: _parse_value(answer, facts, settled, name),
    )


def _expand_constants(facts: Facts, settled: Settled, answers: Mapping[str, Any]) -> Iterator[Decision]:
    for name in _members(CONSTANTS, answers):
        yield _value_row(CONSTANTS, name, f"The value of {printable(name)} for data units that have no other.")


CONSTANTS_FAMILY = Family(
    CONSTANTS + "*",
    "Metadata",
    "A field's value for data units that nothing else gives one; JSON or text.",
    _expand_constants,
    needs=("data_collection",),
)


def _expand_said(facts: Facts, settled: Settled, answers: Mapping[str, Any]) -> Iterator[Decision]:
    fields = {field.name: field for field in fields_of(facts, settled)}
    open_fields = {field.name for field in uncovered(facts, settled)}
    for name in [*fields, *(each for each in _members(SAID, answers) if each not in fields)]:
        if SAID + name not in answers and name not in open_fields:
            continue
        doc = f"The value of {printable(name)} for all data units, whatever else says."
        field = fields.get(name)
        yield _value_row(SAID, name, doc, None if field is None else _asking(field))


def _asking(field: Field) -> Any:
    def decide(facts: Facts, settled: Settled) -> Ask | None:
        if settled.get(PREFIX + field.name) == NONE:
            return None  # left open by the user: what that means is told when all are counted
        wanted = settled.get(PREFIX + field.name) == SAME
        what = f": {printable(field.description)}" if field.description else ""
        where = "" if wanted else " Nothing gives it yet. A table with a column for it can be named with --excel."
        options = tuple(Option(str(value), value, "for all data units") for value in field.enum[:4])
        if field.types == ("boolean",):
            options = (Option("Yes", True, "true for all"), Option("No", False, "false for all"))
        return Ask(
            f"The schema requires {printable(field.name)} ({type_words(field)}{what}). Which value do all data units "
            f"get?{where}",
            options,
        )

    return decide


SAID_FAMILY = Family(
    SAID + "*",
    "Metadata",
    "A field's value for all data units, whatever a table or a sidecar says; JSON or text.",
    _expand_said,
    needs=("metadata.field.*", "metadata.constants.*", "metadata.folders.*"),
)
