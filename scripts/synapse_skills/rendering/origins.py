"""Where the metadata of a plan comes from, and what is converted, in words for a page."""

from __future__ import annotations

from itertools import islice

from synapse_skills.plan import MetadataRule, UploadPlan

MOST = 12
Words = list[tuple[str, str]]
"""Pieces of a sentence: ('text', …), which is ours, and ('code', …), which is the user's own."""


def origins(plan: UploadPlan) -> list[tuple[str, Words]]:
    """A label and a sentence for each source of metadata that differs from data unit to data unit, in their order."""
    told = {"folders": _folders, "name": _name, "table": _table, "sidecars": _sidecars}
    return [(rule.kind, told[rule.kind](rule)) for rule in plan.metadata if rule.kind in told]


def conversions(plan: UploadPlan) -> list[Words]:
    """A sentence for each conversion."""
    return [
        [("code", each.source), ("text", "becomes"), ("code", each.target), ("text", "for"), ("code", each.spec)]
        for each in plan.conversions[:MOST]
    ]


def _folders(rule: MetadataRule) -> Words:
    words: Words = []
    for field, level in islice(rule.folders.items(), MOST):
        which = f"is folder {level} of" if level > 0 else f"is folder {-level} from the end of" if level else "is"
        words += [("code", field), ("text", f"{which} the data unit's name;")]
    return _ended(words, len(rule.folders))


def _name(rule: MetadataRule) -> Words:
    return [("text", "found in the data unit's name by"), ("code", rule.regex or "")]


def _sidecars(rule: MetadataRule) -> Words:
    words: Words = [("text", "files like"), ("code", rule.pattern or ""), ("text", "in each data unit")]
    return words + _renamed(rule)


def _table(rule: MetadataRule) -> Words:
    words: Words = [("code", rule.file or rule.table or "")]
    if rule.sheet:
        words += [("text", "sheet"), ("code", rule.sheet)]
    if rule.key:
        words += [("text", "by the column"), ("code", rule.key)]
    words.append(("text", f"with rows for {rule.rows:,} data units"))
    return words + _renamed(rule)


def _renamed(rule: MetadataRule) -> Words:
    given = {name: field for name, field in rule.fields.items() if field and name != field}
    dropped = [name for name, field in rule.fields.items() if not field]
    words: Words = []
    for name, field in islice(given.items(), MOST):
        words += [("text", "·"), ("code", name), ("text", "is"), ("code", field)]
    words = _ended(words, len(given))
    if dropped:
        words += [("text", "· not taken:"), *(("code", name) for name in dropped[:MOST])]
        words = _ended(words, len(dropped))
    return words


def _ended(words: Words, count: int) -> Words:
    return [*words, ("text", f"and {count - MOST} more")] if count > MOST else words
