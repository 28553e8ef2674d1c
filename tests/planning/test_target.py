"""What is offered first when something is to be chosen by its name."""

from __future__ import annotations

import pytest

from synapse_skills.planning.interview import Ask, BadAnswer, Option
from synapse_skills.planning.target import by_name, retired

ROWS = [(64, "Road scenes"), (65, "Road scenes pilot"), (66, "Lungs")]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("CT scans 2024 (closed)", "closed"),
        ("archive_2023", "archive"),
        ("CT 2024 보관용", "보관"),
        ("CT scans", ""),
        ("Disclosed and golden", ""),
    ],
)
def test_a_name_may_say_that_its_time_is_over(name: str, word: str) -> None:
    assert retired(name) == word


def test_what_a_misspelt_name_means_is_the_first_option() -> None:
    ask = Ask("Which?", tuple(Option(name, number) for number, name in ROWS))
    with pytest.raises(BadAnswer, match="Did you mean Road scenes pilot") as caught:
        by_name("road scenes pilots", ROWS, "data collection", ask)
    assert caught.value.ask is not None
    assert [option.value for option in caught.value.ask.options] == [65, 64, 66]
