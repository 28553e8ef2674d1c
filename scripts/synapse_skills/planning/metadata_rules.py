"""Settled decisions → the plan's metadata rules, and what is told about them: the schema's table, problems, lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synapse_skills.errors import FindingError, printable
from synapse_skills.plan import METADATA_TABLE, MetadataRule, UploadPlan
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.interview import Settled
from synapse_skills.planning.metadata_cover import (
    AUTOMATIC,
    FOLDER,
    NAMED,
    PREFIX,
    UNIT,
    coverage,
    dropped_columns,
    kept_columns,
    sidecar_fields,
    table_fields,
    type_words,
    unknown_columns,
)
from synapse_skills.planning.metadata_facts import NONE, Meta, fields_of, frozen, schema_of, sidecars_of, table_of
from synapse_skills.planning.metadata_far import far_name
from synapse_skills.planning.metadata_meanings import values_said
from synapse_skills.planning.metadata_values import CONSTANTS, FOLDERS, SAID
from synapse_skills.planning.on_agent import true_path
from synapse_skills.planning.sources import sources_of
from synapse_skills.report import Problem, Problems

if TYPE_CHECKING:
    from synapse_skills.units.rows import FrozenRows

MAX_FIELDS = 60
MAX_LINE_FIELDS = 10
MAX_LINE = 130
MIN_LINES = 4
MAX_SHOWN = 6
MAX_CELL = 30
NOT_YET = "nothing yet"
DATES = ("format date ", "format date-time ")
EXAMPLES = 3
ROWS_FIX = "As you said in metadata.rows; correct the table if another row is meant."


def _values(settled: Settled, prefix: str) -> dict[str, Any]:
    return {
        key.removeprefix(prefix): value
        for key, value in sorted(settled.items())
        if key.startswith(prefix) and not key.endswith("*")
    }


def _folders_of(settled: Settled) -> dict[str, int]:
    folders = _values(settled, FOLDERS)
    for key, value in sorted(settled.items()):
        if key.startswith(PREFIX) and isinstance(value, str) and value.startswith(FOLDER):
            folders.setdefault(key.removeprefix(PREFIX), int(value.removeprefix(FOLDER)))
        elif key.startswith(PREFIX) and value == UNIT:
            folders.setdefault(key.removeprefix(PREFIX), 0)
    return dict(sorted(folders.items()))


def _regex_of(settled: Settled) -> str:
    """The expression that finds fields in the names: said by itself, or as what gives one field."""
    if settled.get("metadata.name", NONE) != NONE:
        return str(settled["metadata.name"])
    said = [value for key, value in sorted(settled.items()) if key.startswith(PREFIX) and isinstance(value, str)]
    return next((value.removeprefix(NAMED) for value in said if value.startswith(NAMED)), "")


def rows_of(facts: Facts, settled: Settled) -> FrozenRows | None:
    """The table's rows, frozen; None without a table."""
    if table_of(facts, settled) is None:
        return None
    return frozen(facts, settled, table_fields(facts, settled), values_said(settled))


def odd_rows(facts: Facts, settled: Settled) -> list[Problem]:
    """Rows of which it can't be said whose they are, or which of several counts."""
    rows = rows_of(facts, settled)
    return [] if rows is None else [problem for problem in rows.problems.as_list() if problem.severity == "error"]


def constants_of(settled: Settled) -> dict[str, Any]:
    """What data units get that have no other value."""
    return _values(settled, CONSTANTS)


def metadata_rules(facts: Facts, settled: Settled) -> tuple[MetadataRule, ...]:
    """Where metadata comes from, in the order of the merge."""
    rules = []
    if constants := constants_of(settled):
        rules.append(MetadataRule(kind="constants", values=constants))
    if folders := _folders_of(settled):
        rules.append(MetadataRule(kind="folders", folders=folders))
    if regex := _regex_of(settled):
        rules.append(MetadataRule(kind="name", regex=regex))
    table, rows = table_of(facts, settled), rows_of(facts, settled)
    if table is not None and rows is not None:
        renamed = {name: field for name, field in table_fields(facts, settled).items() if field not in (None, name)}
        rules.append(
            MetadataRule(
                kind="table",
                table=METADATA_TABLE,
                sha256=rows.sha256,
                file=far_name(table.path) or true_path(table.path, sources_of(settled)),
                sheet=table.sheet,
                key=settled["metadata.key"],
                fields={name: field for name, field in renamed.items() if field is not None},
                rows=rows.used,
                values=values_said(settled),
            )
        )
    if pattern := sidecars_of(settled):
        rules.append(MetadataRule(kind="sidecars", pattern=pattern, fields=sidecar_fields(facts, settled)))
    if said := _values(settled, SAID):
        rules.append(MetadataRule(kind="said", values=said))
    return tuple(rules)


def meta_of(facts: Facts, settled: Settled) -> Meta | None:
    """What data units are described and checked with; None if there is nothing to describe and nothing to check."""
    rules, schema, rows = metadata_rules(facts, settled), schema_of(facts, settled), rows_of(facts, settled)
    several = rows.several if rows is not None else []
    aside = tuple((each.unit, each.numbers) for each in several if each.used is None)
    return Meta(rules, schema, aside) if rules or schema is not None else None


# ---- what is told


def schema_item(facts: Facts, settled: Settled) -> dict[str, Any] | None:
    """What the collection wants and what covers it, as an entry of `understood`."""
    if "data_collection" not in settled:
        return None
    schema = schema_of(facts, settled)
    if schema is None:
        return None
    fields, given = fields_of(facts, settled), coverage(facts, settled)
    table = [
        {
            "field": field.name,
            "type": type_words(field),
            "required": field.required,
            "covered by": ", then ".join(given.get(field.name, [NOT_YET])),
        }
        for field in fields[:MAX_FIELDS]
    ]
    required = [field for field in fields if field.required]
    left = [field.name for field in required if field.name not in given]
    because = f"the collection's metadata schema: {len(required)} of {len(fields)} fields are required"
    if left:
        because += f"; not covered yet: {', '.join(map(printable, left[:8]))}"
    if len(fields) > MAX_FIELDS:
        because += f"; the first {MAX_FIELDS} are shown"
    return {"key": "meta_schema", "value": table, "because": because}


def metadata_problems(facts: Facts, settled: Settled, *, done: bool) -> list[Problem]:
    """What is odd about the metadata, as far as it is known by now."""
    if "data_collection" not in settled:
        return []
    try:
        return list(_problems(facts, settled, done=done))
    except FindingError:
        return []  # it is among the refusals already


def _problems(facts: Facts, settled: Settled, *, done: bool) -> Iterator[Problem]:
    from synapse_skills.metadata import doubts

    found = Problems()
    for doubt in doubts(schema_of(facts, settled)):
        if doubt.rule == "format" and doubt.why.startswith(DATES):
            continue  # values are made ISO dates wherever they can be
        fix = "Nothing to do unless the backend refuses data units for it: it may see this in another way."
        found.add("schema-doubt", str(doubt), severity="info", fix=fix)
    yield from found.as_list()
    table = table_of(facts, settled) if "metadata.key" in settled else None
    if table is not None:
        said = "metadata.sheet" in facts.answers
        yield from (problem for problem in table.problems.as_list() if not said or problem.code != "table-sheets")
        rows = rows_of(facts, settled)
        assert rows is not None
        # Errors were asked about: what was agreed to is told once more.
        whole = rows.matched == rows.rows and not rows.without_row
        for problem in rows.problems.as_list():
            if problem.severity == "error" and "metadata.rows" not in settled:
                continue
            if problem.code == "key-zeros" and whole:
                problem = problem.model_copy(update={"severity": "info"})
            mild = "warning" if problem.severity == "error" else problem.severity
            update: dict[str, Any] = {"severity": mild}
            if problem.code == "metadata-duplicate-key" and "metadata.rows" in settled:
                update |= {"examples": [each.outcome for each in rows.several[:EXAMPLES]], "fix": ROWS_FIX}
            yield problem.model_copy(update=update)
    if table is not None or settled.get("metadata.sidecars", NONE) != NONE:
        dropped = Problems()
        fix = "They are left out: the schema takes no other fields. Say metadata.field.FIELD=NAME if one is meant."
        for name in unknown_columns(facts, settled):
            dropped.add("column-not-in-schema", printable(name), severity="warning", fix=fix)
        yield from dropped.as_list()


def metadata_lines(plan: UploadPlan) -> list[str]:
    """The plan's sources of metadata as text, a line each."""
    return [f"  metadata    {_rule_words(rule)}" for rule in plan.metadata]


def example_lines(example: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """How the metadata of a data unit arrives, as text: `p001: site "001", grade 3`."""
    return [
        f"{printable(key)}: {', '.join(f'{printable(name)} {_cell(value)}' for name, value in shown[:MAX_SHOWN])}"
        + (", …" if len(shown) > MAX_SHOWN else "")
        for key, meta in example.items()
        if (shown := [(name, value) for name, value in meta.items() if name not in AUTOMATIC])
    ]


def _cell(value: Any) -> str:
    import json

    written = printable(json.dumps(value, ensure_ascii=False, default=str))
    return written if len(written) <= MAX_CELL else f"{written[: MAX_CELL - 1]}…"


def schema_lines(facts: Facts, settled: Settled, room: int) -> list[str]:
    """What gives each field, and what is dropped, as text: a line for each field, or many in a line if lines are few.

    Args:
        facts: of this round.
        settled: everything.
        room: lines that there are; more come back only where no way of saying it is short enough.
    """
    schema = schema_of(facts, settled)
    dropped = [printable(name) for name in dropped_columns(facts, settled)]
    groups: list[tuple[str, list[str]]] = []
    if schema is not None:
        given, fields = coverage(facts, settled), fields_of(facts, settled)
        for need, required in (("required", True), ("optional", False)):
            some = [field.name for field in fields if field.required is required and field.name in given]
            groups.append((need, [f"{printable(name)} ← {', then '.join(given[name])}" for name in some]))
        left = [field for field in fields if field.name not in given]
        no_value = [printable(field.name) + (" (required)" if field.required else "") for field in left]
        kept = [printable(name) for name in kept_columns(facts, settled)]
        groups += [("no value", no_value), ("kept besides", kept)]
    groups.append(("columns dropped", dropped))
    groups = [(name, parts) for name, parts in groups if parts]
    single = [f"{name}: {part}" for name, parts in groups[:2] for part in parts if name in ("required", "optional")]
    if single and len(single) + len(groups) <= min(room, MAX_LINE_FIELDS):
        fields_lines = [*single, *_packed([each for each in groups if each[0] not in ("required", "optional")])]
    else:
        fields_lines = _packed(groups)
    if len(fields_lines) > max(room, MIN_LINES):
        rest = len(fields_lines) - max(room, MIN_LINES) + 1
        fields_lines = [
            *fields_lines[:-rest],
            f"and more than fit here ({rest} lines): see meta_schema in `understood`",
        ]
    return [f"{'  schema      ' if number == 0 else ' ' * 14}{line}" for number, line in enumerate(fields_lines)]


def _packed(groups: Sequence[tuple[str, list[str]]]) -> list[str]:
    """Groups of parts as lines, none cut in two."""
    lines = []
    for name, parts in groups:
        line = f"{name}: {parts[0]}"
        for part in parts[1:]:
            mark = "; " if "←" in part else ", "
            if len(line) + len(part) > MAX_LINE:
                lines.append(line + mark.rstrip())
                line = f"{' ' * 2}{part}"
            else:
                line += mark + part
        lines.append(line)
    return lines


def _rule_words(rule: MetadataRule) -> str:
    if rule.kind == "folders":
        named = [field for field, number in rule.folders.items() if number == 0]
        folders = [f"{field} {number}" for field, number in rule.folders.items() if number]
        parts = ["folders of the names: " + ", ".join(folders)] * bool(folders)
        return "; ".join([*parts, *["the data unit's name: " + ", ".join(named)] * bool(named)])
    if rule.kind == "name":
        return f"parts of the names: {rule.regex}"
    if rule.kind == "table":
        sheet = f", sheet {rule.sheet}" if rule.sheet else ""
        said = "; ".join(f"{field}: {_meant(values)}" for field, values in rule.values.items())
        return f"{rule.file}{sheet}: key {rule.key}, rows for {rule.rows:,} data units" + (f"; {said}" if said else "")
    if rule.kind == "sidecars":
        return f"sidecars like {rule.pattern}"
    values = ", ".join(f"{field} = {_shown(value)}" for field, value in rule.values.items())
    return f"{'the same for all' if rule.kind == 'said' else 'unless given otherwise'}: {values}"


def _meant(values: dict[str, Any]) -> str:
    return ", ".join(f"{printable(cell)} → {'nothing' if meant is None else meant}" for cell, meant in values.items())


def _shown(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
