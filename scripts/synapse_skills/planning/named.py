"""Data units by name: those that a question would leave out, and those that a plan does leave out."""

from __future__ import annotations

import json
from typing import Any

from synapse_skills.errors import redact
from synapse_skills.planning.counted import MISSING, MOST_NAMED, OVERSIZED, UNFIT
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.findings import LEAVE_OUT, open_codes
from synapse_skills.planning.interview import Outcome
from synapse_skills.report import MAX_EXAMPLES, Problem

FIX = "They stay at home by your word. Mend them, and plan again; each is named in left_out.jsonl."


def asked_about(facts: Facts, outcome: Outcome) -> list[dict[str, Any]]:
    """A problem for each finding of data units that this round asks about; metadata is told by fault elsewhere."""
    from synapse_skills.units import FIXES

    asked = {question["key"] for question in outcome.questions}
    codes = {"incomplete": (MISSING,), "limits.max_file_size_mb": (OVERSIZED,)}
    wanted = {code for key in asked for code in codes.get(key, ())}
    if LEAVE_OUT in asked:
        wanted |= set(open_codes(facts, outcome.settled)) - {UNFIT}
    return [
        Problem(
            code=code, count=each.units, examples=list(map(redact, each.shown)), fix=FIXES.get(code, "")
        ).model_dump(mode="json")
        for code, each in facts.last_counted().found().items()
        if code in wanted
    ]


def left_at_home(lines: bytes) -> list[dict[str, Any]]:
    """left_out.jsonl as a problem of the plan; none if nothing is left out."""
    rows = lines.splitlines()
    if not rows:
        return []
    shown = [json.loads(row)["why"] for row in rows[: MOST_NAMED if len(rows) <= MOST_NAMED else MAX_EXAMPLES]]
    told = Problem(code="left-out", severity="warning", count=len(rows), examples=shown, fix=FIX)
    return [told.model_dump(mode="json")]
