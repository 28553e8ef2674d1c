"""Values of command lines."""

from __future__ import annotations

import argparse

import pytest

from synapse_skills.arguments import whole_number


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", " 1", "x", "65", "1e3", "²"])
def test_what_is_no_such_number_is_refused_in_words(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="from 1 to 64 is wanted"):
        whole_number(1, 64)(text)


def test_numbers_in_the_bounds_are_taken() -> None:
    assert [whole_number(1, 64)(text) for text in ("1", "007", "64")] == [1, 7, 64]
    assert whole_number(0)("0") == 0 and whole_number()("1000000") == 1_000_000
