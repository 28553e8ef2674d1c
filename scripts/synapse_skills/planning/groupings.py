"""The rows for the keys of each layout: depth, kind folders and endings, regular expression, table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from synapse_skills.errors import FindingError, UsageError, printable
from synapse_skills.plan import GroupingPlan
from synapse_skills.planning.answers import shown, text, text_list, whole
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.interview import Ask, BadAnswer, Decision, Inferred, Option, Settled
from synapse_skills.planning.layout import (
    FILE,
    FOLDER,
    PATTERN,
    STEM,
    TABLE,
    candidates,
    collection_specs,
    pick,
    said_specs,
)
from synapse_skills.planning.sources import sources_of


def _among(
    name: str, header: str, doc: str, by: str, parse: Callable[[Any, Any, Settled], Any], needs: str
) -> Decision:
    """A row for one field of the layouts by folder or stem: found out, or asked where two come near each other."""
    key = f"grouping.{name}"

    def decide(facts: Facts, settled: Settled) -> Inferred | Ask | None:
        if settled["grouping.by"] != by:
            return None
        found = candidates(facts, settled)
        if not found:
            return Inferred(_plain(getattr(GroupingPlan(), name)), "the default")
        choice = pick(found)
        rivals = (choice.winner,) if choice.winner is not None else choice.rivals
        if not any(one.explained for one in rivals):
            rivals = rivals[:1]
        values = list(dict.fromkeys(getattr(one.grouping, name) for one in rivals))
        first = {value: next(one for one in rivals if getattr(one.grouping, name) == value) for value in values}
        if len(values) == 1:
            return Inferred(_plain(values[0]), f"with it, one data unit is: {first[values[0]].label}")
        options = [Option(_label(name, value), _plain(value), first[value].because) for value in values[:4]]
        return Ask(f"Several layouts fit these files. {doc}", tuple(options))

    def take(answer: Any, facts: Facts, settled: Settled) -> Any:
        if settled["grouping.by"] != by:
            raise BadAnswer(f"The layout is by {settled['grouping.by']}, and {key} belongs to {by}.")
        return parse(answer, facts, settled)

    return Decision(key, header, doc, decide, take, needs=(needs,))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def in_words(grouping: GroupingPlan) -> str:
    """What one data unit is, for the plan as text."""
    if grouping.by == FOLDER:
        where = "top-level folder" if grouping.depth == 1 else f"folder {grouping.depth} levels down"
        return f"each {where} is one"
    if grouping.by == STEM:
        words = "each file is one, with those of the same name"
        words += f", whatever the folder of {', '.join(grouping.ignore)}" if grouping.ignore else ""
        return words + (f", less {', '.join(grouping.endings)}" if grouping.endings else "")
    if grouping.by == FILE:
        return "each file is one"
    if grouping.by == PATTERN:
        made = "" if grouping.template == GroupingPlan().template else f" makes {grouping.template}"
        return f"{grouping.regex} finds their names{made}"
    return "as the table says"


def _label(name: str, value: Any) -> str:
    if name == "depth":
        return "Top-level folders" if value == 1 else f"Folders {value} levels down"
    words = " ".join(printable(word) for word in value[:4]) if value else "None"
    return words[:60]


def _parse_names(answer: Any, facts: Facts, settled: Settled) -> list[str]:
    if answer in ([], "", "none", "None"):
        return []
    names = [name.strip("/") for name in text_list(answer, facts, settled)]
    if any("/" in name or not name for name in names):
        raise BadAnswer(f"{shown(answer)} is not a list of names without a slash.")
    return names


DEPTH = _among(
    "depth",
    "Folder depth",
    "How many folders below the source make a data unit's key; 1 for the top-level folders (layout `folder`).",
    FOLDER,
    whole(1, 20),
    "grouping.by",
)
IGNORE = _among(
    "ignore",
    "Kind folders",
    "Names of folders that only say the kind of file, such as images and labels, not the data unit (layout `stem`).",
    STEM,
    _parse_names,
    "grouping.depth",
)
ENDINGS = _among(
    "endings",
    "Endings",
    "Ends of names that only say the kind of file, such as _mask, not the data unit (layout `stem`).",
    STEM,
    _parse_names,
    "grouping.ignore",
)


def _decide_regex(facts: Facts, settled: Settled) -> Ask | None:
    if settled["grouping.by"] != PATTERN:
        return None
    return Ask("Which regular expression finds the data unit's name in a path? For example (.+?)/(?:img|json)/")


def _parse_regex(answer: Any, facts: Facts, settled: Settled) -> str:
    return _by_pattern(text(answer, facts, settled), None, facts, settled)


def _parse_template(answer: Any, facts: Facts, settled: Settled) -> str:
    template: str = text(answer, facts, settled)
    # Settled without a value where the layout is another: that is what is said then.
    _by_pattern(settled.get("grouping.regex") or "", template, facts, settled)
    return template


def _by_pattern(regex: str, template: str | None, facts: Facts, settled: Settled) -> str:
    grouping = {"by": PATTERN, "regex": regex} | ({"template": template} if template else {})
    if settled["grouping.by"] != PATTERN:
        raise BadAnswer(f"The layout is by {settled['grouping.by']}, and this belongs to pattern.")
    try:
        made = facts.hypothesis(sources_of(settled), said_specs(facts, settled), GroupingPlan(**grouping))
    except FindingError as error:
        raise BadAnswer(f"{error}. {error.hint}") from None
    if not made.units:
        raise BadAnswer(f"{shown(regex)} makes no data unit of these files.")
    return regex


REGEX = Decision(
    "grouping.regex",
    "Expression",
    "A regular expression on the path in the source; its first group, or `group_key`, is the key (layout `pattern`).",
    _decide_regex,
    _parse_regex,
    needs=("grouping.endings",),
)
TEMPLATE = Decision(
    "grouping.template",
    "Key template",
    "How the key is made of the expression's groups; `{group_key}` unless said otherwise (layout `pattern`).",
    lambda facts, settled: None,
    _parse_template,
    needs=("grouping.regex",),
)


def _decide_table(facts: Facts, settled: Settled) -> Ask | None:
    if settled["grouping.by"] != TABLE:
        return None
    return Ask(
        "Which table says where each file goes? Give the path of a CSV or JSON file with the columns path, unit, spec."
    )


def _parse_table(answer: Any, facts: Facts, settled: Settled) -> str:
    if settled["grouping.by"] != TABLE:
        raise BadAnswer(f"The layout is by {settled['grouping.by']}, and grouping.table belongs to table.")
    path = Path(text(answer, facts, settled)).expanduser().absolute()
    try:
        found = facts.placement(sources_of(settled), path, collection_specs(facts, settled))
    except (FindingError, UsageError) as error:
        raise BadAnswer(f"{error} {error.hint}".strip()) from None
    wrong = [problem for problem in found.problems.as_list() if problem.severity == "error"]
    if wrong or not found.placed:
        told = "; ".join(f"{each.count:,} {each.code} ({each.examples[0]}): {each.fix}" for each in wrong[:3])
        raise BadAnswer(told or f"{shown(answer)} names no file of the source.")
    return str(path)


TABLE_ROW = Decision(
    "grouping.table",
    "Table",
    "A CSV or JSON file with path, unit and spec of each file (layout `table`); what is not in it stays at home.",
    _decide_table,
    _parse_table,
    needs=("grouping.template",),
)
