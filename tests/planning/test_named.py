"""What stays at home is named: all of it where it is little, else the first three."""

from __future__ import annotations

import json

import pytest

from synapse_skills.planning.counted import Found
from synapse_skills.planning.named import left_at_home


def test_a_plan_that_leaves_nothing_out_says_nothing_of_it() -> None:
    assert left_at_home(b"") == []


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (10, 10), (11, 3)])
def test_few_are_all_named_and_of_many_the_first_three(count: int, shown: int) -> None:
    names = [f"p{number:02}: an empty file" for number in range(count)]
    lines = "".join(json.dumps({"unit": name[:3], "codes": ["empty-file"], "why": name}) + "\n" for name in names)
    (told,) = left_at_home(lines.encode())
    assert (told["code"], told["severity"], told["count"]) == ("left-out", "warning", count)
    assert told["examples"] == names[:shown]
    assert Found(count, names[:10]).shown == names[:shown]
