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
from synapse_skills.planning.interview import Ask, BadAnswer, Decision, Family, Inferred, Option, Settled
from synapse_skills.planning.metadata_cover import (
    FOLDER,
    NAMED,
    PREFIX,
    UNIT,
    columns_of,
    coverage,
    is_dropped,
    label_of,
    names_there,
    normal,
    pairs_of,
    spelt,
    type_words,
    uncovered,
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
    schema_of,
    table_of,
    unit_keys,
)

if TYPE_CHECKING:
    from synapse_skills.metadata import Column, Fault, Field

SAME = "same"
MAX_COLUMNS = 3
MAX_ROWS = 2_000
MAX_VALUES = 50
MISFITS = 0.1
ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")
ALIKE = 0.6
IDENTIFIERS = {"id", "ids", "identifier", "key", "no", "nr", "number", "uid", "accession"}
KOREAN_IDENTIFIERS = ("번호", "식별", "아이디")


# ---- metadata.field.*


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
            fitting.append((-fit, -_alike(column.name, field), column.empty, column))
    return [column for *_, column in sorted(fitting, key=lambda each: each[:3])]


def _alike(name: str, field: Field) -> float:
    return max(
        difflib.SequenceMatcher(None, normal(name), normal(word)).ratio() for word in (field.name, field.title) if word
    )


def _wants_more(facts: Facts, settled: Settled, column: Column, other: Field, field: Field, fit: int) -> bool:
    """Whether a column is plainly another field's: its values are of that one's own kind, or its name is alike."""
    theirs = fit_of(facts, settled, column, other)
    alike = _alike(column.name, other)
    return theirs > fit or (theirs == fit and alike >= ALIKE and alike > _alike(column.name, field))


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
        return None
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
    "The column or sidecars' key that gives a field of the schema; `unit:name` for the data unit's own name, "
    "`folder:1` for a folder of it, `name:REGEX` for a part, `sidecars:GLOB` for sidecars, `none` for none. With a "
    "column's name for *: its field, or `none` to drop it.",
    _expand_fields,
    needs=("metadata.key", "metadata.sidecars", "metadata.name"),
)
