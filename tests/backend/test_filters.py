"""Filters: nothing is ever sent that the backend would ignore, and no row that does not belong is taken."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_skills.backend.filters import (
    ALLOWED,
    FILTERS,
    SCOPES,
    TARGETS,
    belongs,
    filters_table,
    name_of,
    names_for,
    query_of,
    read_filter,
)
from synapse_skills.errors import UsageError


@pytest.mark.parametrize("scope", [0, -1, None, True, "7", 7.0, {}])
@pytest.mark.parametrize("target", TARGETS)
def test_without_a_scope_nothing_is_asked(target: str, scope: Any) -> None:
    with pytest.raises(UsageError) as caught:
        query_of(target, scope, {})
    assert caught.value.code == "no-scope"


@pytest.mark.parametrize("target", TARGETS)
def test_the_scope_is_always_sent(target: str) -> None:
    assert query_of(target, 7, {}) == {SCOPES[target]: "7"}


def test_a_target_that_is_none() -> None:
    with pytest.raises(UsageError, match="everything"):
        query_of("everything", 1, {})


@pytest.mark.parametrize("target", TARGETS)
def test_every_key_is_one_that_the_list_applies(target: str) -> None:
    assert {FILTERS[name].keys[target] for name in names_for(target)} <= ALLOWED[target]
    assert not ALLOWED[target] & {"created_after", "created_before", "has_data", "status", "user"}


@pytest.mark.parametrize(
    ("target", "word", "near"),
    [
        ("assignment", "statsu", "status"),
        ("assignment", "revewer", "reviewer"),
        ("ground_truth", "categry", "category"),
        ("task", "labler", "labeler"),
        ("assignment", "created_befor", "created_before"),
    ],
)
def test_a_misspelt_filter_is_refused_with_the_nearest(target: str, word: str, near: str) -> None:
    with pytest.raises(UsageError) as caught:
        query_of(target, 1, {word: 1})
    assert caught.value.code == "unknown-filter"
    assert f"Did you mean {near}?" in caught.value.hint


@pytest.mark.parametrize(
    ("target", "word"),
    [
        ("assignment", "has_data"),
        ("task", "confirmed"),
        ("ground_truth", "created_after"),
        ("ground_truth", "project"),
        ("assignment", "category"),
        ("task", ""),
    ],
)
def test_what_the_targets_list_would_ignore_is_refused(target: str, word: str) -> None:
    with pytest.raises(UsageError) as caught:
        query_of(target, 1, {word: "2026-01-01"})
    assert caught.value.code == "unknown-filter"


def test_another_target_has_it() -> None:
    with pytest.raises(UsageError, match="assignment has it"):
        name_of("task", "confirmed")


@pytest.mark.parametrize(
    ("target", "given", "expected"),
    [
        ("assignment", {"labeler": [3, 1]}, {"users": "1,3"}),
        ("task", {"labeler": "3, 1"}, {"labelers": "1,3"}),
        ("assignment", {"user": 3}, {"users": "3"}),
        ("assignment", {"workshop": 4}, {"workshop": "4"}),
        ("task", {"workshop": 4}, {"workshops": "4"}),
        ("assignment", {"status_label": "done"}, {"status_label": "done"}),
        ("assignment", {"ids": [9, 9, 4]}, {"ids": "4,9"}),
        ("assignment", {"id__in": "4,9"}, {"ids": "4,9"}),
        ("assignment", {"discarded": "no"}, {"is_discarded": "false"}),
        ("assignment", {"created-after": "2026-01-31"}, {"created__gte": "2026-01-31T00:00:00Z"}),
        ("task", {"created_before": "2026-01-31T09:00:00+09:00"}, {"created__lt": "2026-01-31T00:00:00Z"}),
        ("assignment", {"created__gte": "2026-01-31"}, {"created__gte": "2026-01-31T00:00:00Z"}),
        ("ground_truth", {"category": ["train", "test"]}, {"categories": "test,train"}),
        ("ground_truth", {"ids": 5, "search": " 고양이 "}, {"ids": "5", "search": "고양이"}),
    ],
)
def test_friendly_names_become_the_targets_own_keys(target: str, given: Any, expected: dict[str, str]) -> None:
    assert query_of(target, 7, given) == {SCOPES[target]: "7", **expected}


@pytest.mark.parametrize(
    "given",
    [
        {"status": None},
        {"status": []},
        {"status": ""},
        {"status": {"a": 1}},
        {"ids": "1;2"},
        {"ids": [True]},
        {"ids": -3},
        {"ids": "²"},
        {"discarded": "maybe"},
        {"created_after": "yesterday"},
        {"created_after": 2026},
        {"id_from": [1, 2]},
        {"search": " "},
        {"created_after": "2026-02-01", "created_before": "2026-02-01"},
        {"id_from": 9, "id_to": 8},
        {"labeler": 1, "user": 2},
    ],
)
def test_a_value_that_would_filter_nothing_or_something_else_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        query_of("assignment", 1, given)
    assert caught.value.code == "bad-filter"


def test_more_ids_than_an_address_can_hold() -> None:
    with pytest.raises(UsageError) as caught:
        query_of("task", 1, {"ids": list(range(100_000, 102_000))})
    assert caught.value.code == "filter-too-long"
    assert "id_from" in caught.value.hint


ROW = {
    "id": 7,
    "project": 3,
    "status_label": "done",
    "is_discarded": False,
    "created": "2026-01-31T12:00:00Z",
    "task": {"id": 70},
    "user": 5,
}


@pytest.mark.parametrize(
    ("scope", "given"),
    [
        (4, {}),
        (3, {"status": "approved"}),
        (3, {"discarded": True}),
        (3, {"created_after": "2026-02-01"}),
        (3, {"created_before": "2026-01-31"}),
        (3, {"ids": [8]}),
        (3, {"without_ids": [7]}),
        (3, {"id_from": 8}),
        (3, {"id_to": 6}),
        (3, {"labeler": 6}),
        (3, {"task": 71}),
    ],
)
def test_a_row_that_does_not_belong_is_told(scope: int, given: dict[str, Any]) -> None:
    assert belongs(ROW, "assignment", scope, read_filter("assignment", given))


def test_a_row_that_belongs_or_does_not_tell() -> None:
    given = {"status": "done", "discarded": False, "created_after": "2026-01-31", "ids": [7], "labeler": 5, "task": 70}
    filter = read_filter("assignment", {**given, "tags": "new", "review": "x", "reviewer": 1})
    assert belongs(ROW, "assignment", 3, filter) is None
    assert belongs({"id": 7}, "assignment", 4, filter) is None


def test_events_of_a_ground_truth_are_known_by_either_id() -> None:
    row = {"id": 1, "pgh_id": 900, "ground_truth_dataset_version": {"id": 2}, "category": "train"}
    assert belongs(row, "ground_truth", 2, {"ids": [900]}) is None
    assert belongs(row, "ground_truth", 2, {"ids": [2]})
    assert belongs(row, "ground_truth", 3, {})
    assert belongs(row, "ground_truth", 2, {"category": ["test"]})


@given(
    st.dictionaries(st.text(max_size=12), st.none() | st.booleans() | st.integers() | st.text(max_size=8), max_size=3)
)
def test_whatever_is_given_only_known_keys_are_sent(filter: dict[str, Any]) -> None:
    for target in TARGETS:
        try:
            query = query_of(target, 1, filter)
        except UsageError:
            continue
        assert set(query) <= ALLOWED[target]
        assert query[SCOPES[target]] == "1"
        again = read_filter(target, filter)
        assert read_filter(target, again) == again
        assert len(query) == len(filter) + 1


def test_the_table_has_every_filter() -> None:
    table = filters_table()
    assert all(f"| `{name}` |" in table for name in FILTERS)
