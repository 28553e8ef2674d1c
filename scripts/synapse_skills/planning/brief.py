"""What was understood, as short as a conversation wants it: no bare defaults, no long lists, answers in one piece.

A document is read by an agent in each round, and what it holds is paid for each time. All of it is in the plan.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from synapse_skills.planning.interview import AS_SAID, REMEMBERED

MAX_LISTED = 12
SHOWN = 8
DEFAULT = "the default"
MARK = "…"
# The name tells where the job is, so it stands by itself whoever has said it.
OWN_LINE = ("name",)
AS_IN = "as in "
"""How a reason begins that names the job whose answer it is."""


def brief(understood: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Items of a document, each value as short as it can be said.

    What the user said comes back as one object, `said`, as another what earlier rounds remember, and what another
    job's answers say: so a reader sees how an answer was taken, and what has not been said today.
    """
    found: list[dict[str, Any]] = []
    told: dict[str, dict[str, Any]] = {AS_SAID: {}, REMEMBERED: {}}
    for item in understood:
        value, because = item["value"], item["because"]
        if because.startswith(AS_IN):
            told.setdefault(because, {})
        if because in told and item["key"] not in OWN_LINE:
            told[because][item["key"]] = _short(value)
        elif not _needs_no_word(item):
            found.append({**item, "value": _short(value)})
    names = {AS_SAID: "said", REMEMBERED: "remembered"}
    first = [{"key": names.get(why, "taken over"), "value": values, "because": why} for why, values in told.items()]
    return [*(item for item in first if item["value"]), *found]


def _needs_no_word(item: dict[str, Any]) -> bool:
    """A bare default, nothing at all, or a column with its field's own name, which the schema's table says."""
    key, value, because = item["key"], item["value"], item["because"]
    return because.startswith(DEFAULT) or value in ([], {}) or key == f"metadata.field.{value}"


def _short(value: Any) -> Any:
    """A value whose long lists end early, and say so."""
    if isinstance(value, list) and len(value) > MAX_LISTED and not isinstance(value[0], dict):
        return [*value[:SHOWN], f"{MARK} {len(value) - SHOWN:,} more"]
    if isinstance(value, dict):
        rows = list(value.items())
        kept = {key: _short(each) for key, each in (rows if len(rows) <= MAX_LISTED else rows[:SHOWN])}
        return kept if len(kept) == len(rows) else {**kept, MARK: f"{len(rows) - SHOWN:,} more"}
    return value
