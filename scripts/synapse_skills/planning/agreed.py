"""How much the user's word to leave out or pass over was for: more than that is asked about again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from synapse_skills.planning.answers import shown
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.interview import Ask, BadAnswer, Decision, Settled

AGREED = "leave_out.agreed"


def more_than_agreed(facts: Facts, counts: Mapping[str, int]) -> str:
    """`2 data units with meta-invalid before, 22 now`; '' while there are not more than the user has agreed to.

    An answer without a record is a word given up front, or just now: it holds for whatever is there.
    """
    agreed = facts.answers.get(AGREED)
    if not isinstance(agreed, dict):
        return ""
    told = [
        f"{agreed[code]:,} {code} before, {count:,} now"
        for code, count in counts.items()
        if isinstance(agreed.get(code), int) and count > agreed[code]
    ]
    return "; ".join(told)


def ask_again(ask: Any, more: str) -> BadAnswer:
    """The same question once more, because there is more than what was agreed to."""
    if not isinstance(ask, Ask):
        return BadAnswer(f"More than you have agreed to: {more}.")
    return BadAnswer("", replace(ask, question=f"More than you have agreed to: {more}. {ask.question}"))


def _parse_agreed(answer: Any, facts: Facts, settled: Settled) -> dict[str, int]:
    if not isinstance(answer, dict) or not all(type(count) is int for count in answer.values()):
        raise BadAnswer(f"{shown(answer)} is no object with a number for each code.")
    return answer


AGREED_ROW = Decision(
    AGREED,
    "Agreed",
    "Kept by the planner: how many there were, by code, when the user agreed to leave them out or to pass over rows. "
    "More are asked about again; an answer that is given without it holds for whatever is there.",
    lambda facts, settled: None,
    _parse_agreed,
)
