"""data.yaml of many classes: the short ways write and read what PyYAML does."""

from __future__ import annotations

import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from synapse_skills.formats.yolo_yaml import dump, dump_names, load

ODD = ("yes", "No", "NULL", "y", "nan", "1e3", "2024-01-02", "a: b", "x #y", "a ", " a", "ab-", "---", "...", "", "=")
LETTERS = "aeyYnNtfoO -_/().:#0é가😀\u0301\u00a0\u2028\n\x85\ufeff"

words = st.one_of(st.sampled_from(ODD), st.text(LETTERS, max_size=8), st.text(max_size=5).filter(str.isprintable))


@given(st.lists(words, max_size=12))
def test_names_are_written_as_pyyaml_writes_them_and_come_back(names: list[str]) -> None:
    text = dump_names(names)
    assert text == dump({"names": dict(enumerate(names))})
    assert load(text) == {"names": dict(enumerate(names))}


@pytest.mark.parametrize("mark", ["[", "{a: ", "- ", "? "])
def test_what_nests_without_end_is_an_error_and_no_crash(mark: str) -> None:
    with pytest.raises((RecursionError, yaml.YAMLError)):
        load(mark * 6_000)


@pytest.mark.heavy
def test_a_hundred_thousand_classes_take_seconds() -> None:
    names = [f"class {number}" for number in range(100_000)]
    started = time.process_time()
    text = dump_names(names)
    assert time.process_time() - started < 2, "PyYAML takes ten"
    started = time.process_time()
    assert len(load(text)["names"]) == len(names)
    if hasattr(yaml, "CSafeLoader"):
        assert time.process_time() - started < 6, "without libyaml it takes thirty"


def test_the_longest_plain_name_is_written_like_the_others() -> None:
    names = ["a" * length for length in (199, 200, 201, 20_000)] + ["b " * 6_000 + "c"]
    assert dump_names(names) == dump({"names": dict(enumerate(names))})
