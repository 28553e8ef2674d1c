"""Another format of the same family, offered where it holds as it is what the chosen one has only in another shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from synapse_skills.planning.answers import text_list
from synapse_skills.planning.export_facts import ExportFacts
from synapse_skills.planning.export_filters import sample_of
from synapse_skills.planning.export_tools import ALL_CLASSES, tools_of
from synapse_skills.planning.interview import BadAnswer, Settled


def sibling_of(facts: ExportFacts, settled: Settled, name: str, most: int) -> str:
    """The format of the family (`yolo…`) that loses the least by default, if no more than `most`; '' if none does."""
    sample, tools = sample_of(facts, settled), tools_of(facts, settled)
    there = [each for each in facts.formats() if _family(each) == _family(name) and each not in settled["formats"]]
    lost = {each: facts.tried(sample, each, {}, ALL_CLASSES, tools=tools).lost.total() for each in there}
    best = min(there, key=lambda each: lost[each], default="")
    return best if best and lost[best] <= most else ""


def _family(name: str) -> str:
    return name.partition("_")[0]


def with_siblings(answers: Mapping[str, Any], named: Callable[[str], str], known: Mapping[str, Any]) -> dict[str, Any]:
    """Answers in which `formats.yolo.rotated=yolo_obb` has become what it says: that format instead of this one.

    Args:
        answers: as they came.
        named: a word to the name of the format that it means.
        known: the formats by name.
    """
    found = dict(answers)
    for key, answer in answers.items():
        first, _, option = key.partition(".")
        name, _, option = option.partition(".")
        if first != "formats" or not option or name not in known or not isinstance(answer, str):
            continue
        other = named(answer)
        if other not in known or _family(other) != _family(name):
            continue
        try:
            chosen = [named(word) for word in text_list(answers.get("formats"), None, {})]
        except BadAnswer:
            continue  # the row about formats says what is wrong with them
        if name in chosen:
            del found[key]
            found["formats"] = list(dict.fromkeys(other if each == name else each for each in chosen))
    return found
