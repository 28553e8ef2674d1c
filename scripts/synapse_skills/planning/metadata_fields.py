"""The rows about fields: which column or sidecar's key gives which field of the schema, asked where nothing tells."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from synapse_skills.errors import FindingError, printable
from synapse_skills.planning.answers import number_of, shown, text
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.interview import Ask, BadAnswer, Decision, Family, Inferred, Later, Option, Settled
from synapse_skills.planning.metadata_cover import (
    DROP,
    FOLDER,
    NAMED,
    PREFIX,
    UNIT,
    columns_of,
    coverage,
    label_of,
    names_there,
    pairs_of,
    spelt,
    type_words,
    uncovered,
    unknown_columns,
)
from synapse_skills.planning.metadata_evidence import Part, kind_of, proposals
from synapse_skills.planning.metadata_facts import (
    NONE,
    SIDECARS,
    Named,
    closed,
    fields_of,
    names_of,
    other_sidecars,
    unit_keys,
)
from synapse_skills.planning.metadata_fit import MAX_VALUES, alike, faults_of, fit_of, free_columns, values_of

if TYPE_CHECKING:
    from synapse_skills.metadata import Field

SAME = "same"
MAX_COLUMNS = 3
MAX_ASKED = 4
IDENTIFIERS = {"id", "ids", "identifier", "key", "no", "nr", "number", "uid", "accession"}
KOREAN_IDENTIFIERS = ("번호", "식별", "아이디")


def _folders(facts: Facts, settled: Settled, field: Field) -> Iterator[Option]:
    """Folders above the data unit's own whose names could be the values."""
    rows = [key.split("/") for key in unit_keys(facts, settled)]
    depth = min((len(row) for row in rows), default=0)
    for level in range(1, depth):
        values = tuple(dict.fromkeys(row[level - 1] for row in rows))
        if len(values) > 1 and Part(level, values, frozenset(map(kind_of, values))).suits(field):
            told = ", ".join(map(printable, values[:3]))
            yield Option(f"Folder {level} of the path", f"{FOLDER}{level}", f"{len(values):,} values, such as {told}")


# ---- fields that say which data unit it is


def is_name_like(facts: Facts, settled: Settled, field: Field) -> bool:
    """Whether a field could be the data unit's own name: it is called like an identifier, and the names fit."""
    said = re.split(r"[^0-9a-z가-힣]+", _spaced(f"{field.name} {field.title}").casefold())
    named = any(word in IDENTIFIERS for word in said) or any(word in "".join(said) for word in KOREAN_IDENTIFIERS)
    keys = unit_keys(facts, settled)[:MAX_VALUES]
    return named and bool(keys) and not any(faults_of(facts, settled, field.name, key)[1] for key in keys)


def _spaced(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)


def _name_options(facts: Facts, settled: Settled, field: Field) -> Iterator[Option]:
    """The data unit's own name, the key column where it is spelt otherwise there, and a part of the name."""
    if not is_name_like(facts, settled, field):
        return
    keys = unit_keys(facts, settled)
    told = ", ".join(map(printable, keys[:3]))
    yield Option("The data unit's name", UNIT, told)
    key = settled.get("metadata.key")
    column = next((each for each in columns_of(facts, settled) if each.name == key), None)
    used = {name for name, _ in pairs_of(facts, settled).values()}
    if column is not None and key not in used and fit_of(facts, settled, column, field):
        values = [str(value) for value in values_of(facts, settled)[column.name]]
        if not set(values) <= set(keys):
            zeros = {value.lstrip("0") or "0" for value in values} & {each.lstrip("0") or "0" for each in keys}
            lost = f": the leading zeros of {told} are lost there" if zeros and not set(values) & set(keys) else ""
            shown_ones = ", ".join(map(printable, values[:3]))
            yield Option(label_of(column.name), column.name, f"key column: {shown_ones}{lost}")
    names = names_of(facts, settled)
    others = [value for each, value in settled.items() if each.startswith(PREFIX) and str(value).startswith(NAMED)]
    if names is None or others or settled.get("metadata.name", NONE) != NONE:
        return
    for way in islice(proposals(names, [field]), 1):
        regex = names.regex(way)
        found = [match[field.name] for each in keys[:3] if (match := re.search(regex, each.rpartition("/")[2]))]
        if found:
            yield Option("A part of the name", f"{NAMED}{regex}", ", ".join(map(printable, found)))


def _options(facts: Facts, settled: Settled, field: Field) -> list[Option]:
    options = list(_name_options(facts, settled, field))
    options += [
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
    return options


def _decide_field(facts: Facts, settled: Settled, field: Field) -> Inferred | Ask | None:
    found = pairs_of(facts, settled).get(field.name)
    if found is not None:
        return Inferred(found[0], found[1])
    if field.name not in {each.name for each in uncovered(facts, settled)}:
        return _ask_listed(facts, settled, field)
    options = _options(facts, settled, field)
    if not options:
        return None
    same = Option("One value for all", SAME, "You say it next")
    what = f": {printable(field.description)}" if field.description else ""
    more = ", ".join(option.label for option in options[MAX_COLUMNS : MAX_COLUMNS + 3])
    also = f" Other columns whose values would fit can be named too: {more}." if more else ""
    return Ask(
        f"The schema requires {printable(field.name)} ({type_words(field)}{what}). What gives it?{also}",
        (*options[:MAX_COLUMNS], same),
    )


def _ask_listed(facts: Facts, settled: Settled, field: Field) -> Ask | None:
    """An optional field that lists its values, and the one column that holds just those under another name."""
    if not field.enum or field.required or closed(facts, settled) or field.name in coverage(facts, settled):
        return None
    columns = free_columns(facts, settled, field)
    if len(columns) != 1:
        return None
    (column,) = columns
    told = ", ".join(map(printable, column.examples[:3]))
    return Ask(
        f"Nothing gives {printable(field.name)} ({type_words(field)}) yet, and the column {printable(column.name)} "
        f"({told}) would fit. Is it that?",
        (
            Option(f"Yes: {label_of(column.name)}", column.name, f"Its values are sent as {printable(field.name)}"),
            Option("No", NONE, f"The field stays empty, and the column is sent as {printable(column.name)}"),
        ),
    )


# ---- filled columns that a closed schema would drop


def columns_to_place(facts: Facts, settled: Settled) -> list[str]:
    """Filled columns without a field that could be a field's without a column: asked about, the first of them."""
    names = [column.name for column in columns_of(facts, settled)]
    left = MAX_ASKED - sum(PREFIX + name in facts.answers for name in names)
    dropped = [name for name in unknown_columns(facts, settled) if name in names]
    return [name for name in dropped if _fields_for(facts, settled, name)][: max(left, 0)]


def _fields_for(facts: Facts, settled: Settled, name: str) -> list[Field]:
    """Fields that nothing gives and that a column's values would fit, the likeliest first."""
    column = next(each for each in columns_of(facts, settled) if each.name == name)
    given = coverage(facts, settled)
    open_fields = [field for field in fields_of(facts, settled) if field.name not in given and not field.required]
    ranked = [
        (-fit, -alike(name, field), number, field)
        for number, field in enumerate(open_fields)
        if PREFIX + field.name not in facts.answers and (fit := fit_of(facts, settled, column, field))
    ]
    return [field for *_, field in sorted(ranked, key=lambda each: each[:3])]


def _decide_column(facts: Facts, settled: Settled, name: str) -> Ask | Later | None:
    if name not in columns_to_place(facts, settled):
        return None
    open_fields = [field for field in uncovered(facts, settled) if PREFIX + field.name not in facts.answers]
    if any(isinstance(_decide_field(facts, settled, field), Ask) for field in open_fields):
        return Later()  # it may be what gives a required field: that is asked first
    column = next(each for each in columns_of(facts, settled) if each.name == name)
    examples = ", ".join(map(printable, column.examples[:3]))
    options = [
        Option(label_of(field.name), field.name, f"{type_words(field)}: nothing else gives it")
        for field in _fields_for(facts, settled, name)[:MAX_COLUMNS]
    ]
    return Ask(
        f"The schema has no field for the column {printable(name)} ({examples}). Which field is it?",
        (*options, Option(DROP, NONE, "Its values are not sent")),
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
    if word.casefold() == DROP.casefold():
        return NONE
    if word.casefold() in (NONE, SAME):
        return word.casefold()
    if word.casefold() == UNIT:
        return UNIT
    if word.startswith(NAMED):
        return _parse_named(word.removeprefix(NAMED), facts, settled, name)
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


def _parse_named(regex: str, facts: Facts, settled: Settled, name: str) -> str:
    from synapse_skills.metadata.names import from_name

    others = [key for key, value in settled.items() if key.startswith(PREFIX) and str(value).startswith(NAMED)]
    if others or settled.get("metadata.name", NONE) != NONE:
        raise BadAnswer(f"One expression finds all: add a group (?P<{name}>…) to metadata.name.")
    try:
        found = from_name(regex)
    except FindingError as error:
        raise BadAnswer(f"{error}. {error.hint}") from None
    if not any(name in found(Named(key)) for key in unit_keys(facts, settled)):
        raise BadAnswer(f"{shown(regex)} finds no {printable(name)} in the data units' names.")
    return NAMED + regex


def folder_level(answer: Any, facts: Facts, settled: Settled) -> int:
    """Which folder of the data units' names is meant.

    Raises:
        BadAnswer: no data unit's name has so many.
    """
    number = number_of(answer)
    # Where names make the data units, the last part of a key is no folder.
    names = int(settled["grouping.by"] != "folder")
    depth = max((key.count("/") + 1 - names for key in unit_keys(facts, settled)), default=0)
    if number is None or number != int(number) or not (number == 0 or 1 <= abs(number) <= depth):
        example = next(iter(unit_keys(facts, settled)), "")
        raise BadAnswer(
            f"{shown(answer)} is no folder of the data units' names: they have {depth}, as in {printable(example)}; "
            "1 is the outermost, -1 the innermost, 0 the whole name."
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
    asked = columns_to_place(facts, settled)
    new = [] if closed(facts, settled) else sorted(set(said) - set(fields))
    for name in [*fields, *(each for each in dict.fromkeys([*columns, *keys, *new]) if each not in fields)]:
        field = fields.get(name)
        if field is None and name not in said and name not in asked:
            continue
        yield Decision(
            PREFIX + name,
            "Metadata",
            f"The column or the sidecars' key that gives {printable(name)}; `none` for none.",
            (lambda facts, settled, field=field: _decide_field(facts, settled, field))  # type: ignore[misc]
            if field is not None
            else (lambda facts, settled, name=name: _decide_column(facts, settled, name)),  # type: ignore[misc]
            lambda answer, facts, settled, name=name: _parse_field(answer, facts, settled, name),  # type: ignore[misc]
        )


FIELD = Family(
    PREFIX + "*",
    "Metadata",
    "The column or sidecars' key that gives a field of the schema; `unit:name` for the data unit's own name, "
    "`folder:1` for a folder of it, `name:REGEX` for a part, `sidecars:GLOB` for sidecars, `none` for none. With a "
    "column's name for *: its field, or `none` to drop it.",
    _expand_fields,
    needs=("metadata.key", "metadata.sidecars", "metadata.name"),
)
