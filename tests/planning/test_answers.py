"""Answers, names of jobs, and the plan as text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planning.conversation import SCANS, User, units
from synapse_skills.errors import OutOfReach, UsageError
from synapse_skills.planning import UPLOAD, reference
from synapse_skills.planning.answers import merge, number_of, one_of, parse_set, text, text_list, whole
from synapse_skills.planning.home import Home, slug, source_paths
from synapse_skills.planning.interview import BadAnswer
from synapse_skills.planning.summary import diff, so_far
from synapse_skills.report import Problem, UploadReport


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("k=1", 1), ("k=001", "001"), ("k=true", True), ("k=[1,2]", [1, 2]), ('k="a=b"', "a=b"), ("k=a=b", "a=b"),
        ("k=", ""), ("k=NaN", "NaN"), ("k=null", None), ("k= x ", " x "), ("k=서울", "서울"), ("k=[", "["),
        ('k={"a": 1}', {"a": 1}),
    ],
)  # fmt: skip
def test_values_are_json_or_text(pair: str, value: Any) -> None:
    assert parse_set([pair]) == {"k": value}


@pytest.mark.parametrize("pair", ["k", "=1", " =1", ""])
def test_a_set_without_key_or_value_is_wrong_usage(pair: str) -> None:
    with pytest.raises(UsageError):
        parse_set([pair])


def test_the_first_origin_wins_and_null_takes_back() -> None:
    assert merge({"a": 1}, {"a": 2, "b": 2}, {"b": 3, "c": 3}) == {"a": 1, "b": 2, "c": 3}
    assert merge({"a": None}, {"a": 2}) == {}


@pytest.mark.parametrize("answer", [True, "x", None, [], "nan", "inf", "1e400", {}])
def test_what_is_no_number(answer: Any) -> None:
    assert number_of(answer) is None
    with pytest.raises(BadAnswer):
        whole(1)(answer, None, {})


@pytest.mark.parametrize(
    ("answer", "fine"), [(1, True), ("7", True), (7.0, True), (0, False), (11, False), (1.5, False)]
)
def test_whole_numbers_have_bounds(answer: Any, fine: bool) -> None:
    if fine:
        assert whole(1, 10)(answer, None, {}) == int(float(answer))
    else:
        with pytest.raises(BadAnswer):
            whole(1, 10)(answer, None, {})


def test_words_texts_and_lists() -> None:
    assert one_of("leave_out", "stop")(" Leave-Out ", None, {}) == "leave_out"
    assert (
        text(2026, None, {}) == "2026"
        and text_list("a, b", None, {}) == ["a", "b"]
        and text_list([1], None, {}) == ["1"]
    )
    for bad in ("", "  ", "a\nb", "\udc80", [], {}, True):
        with pytest.raises(BadAnswer):
            text(bad, None, {})
    for worse in ([True], [{}], ["a", ""], {}):
        with pytest.raises(BadAnswer):
            text_list(worse, None, {})


@given(st.text())
def test_a_slug_is_a_name_for_any_file_system(name: str) -> None:
    made = slug(name)
    assert made and len(made.encode()) <= 120 and made not in (".", "..") and made == slug(made)
    assert re.fullmatch(r"[\w.-]+", made) and not made.startswith((".", "-"))


def test_slugs_keep_letters_of_any_language() -> None:
    assert slug("환자 사진/2026") == "환자-사진-2026" and slug("/") == "upload"
    assert slug("사진") == "사진"


def test_source_paths_never_raise() -> None:
    assert source_paths(["~nobody-such/x", "/a/../b"])[1] == "/b"
    assert source_paths(None) == source_paths([1]) == source_paths({}) == []


def test_the_difference_of_two_plans_names_fields() -> None:
    one = {"limits": {"a": 1, "b": 2}, "specs": [{"name": "s", "pattern": None}], "leave_out": [], "project": None}
    two = {"limits": {"a": 1, "b": 3}, "specs": [{"name": "s", "pattern": "x"}], "leave_out": ["c"], "project": 3}
    assert diff(one, two) == [
        "limits.b: 2 → 3",
        "specs.s.pattern: none → \"x\"",
        'leave_out: none → ["c"]',
        "project: none → 3",
    ]  # fmt: skip
    assert diff(one, json.loads(json.dumps(one))) == []


def test_what_earlier_runs_came_to_is_in_the_summary() -> None:
    report = UploadReport(name="cars", started="", seconds=0, exit_code=0, planned=40, already=32, pending=8)
    assert so_far(report) == ["  so far      32 are there already"]
    report.problems = [Problem(code="refused-before", count=5), Problem(code="outcome-unknown", count=3)]
    line = " ".join(so_far(report))
    assert "5 were refused, and are sent again only with --retry-failed; 3" in line and "--retry-unknown" in line
    assert so_far(UploadReport(name="cars", started="", seconds=0, exit_code=0, planned=40, pending=40)) == []


def test_every_key_is_explained() -> None:
    rows = dict(reference(UPLOAD))
    assert len(rows) == len(UPLOAD) and all(text.endswith(".") for text in rows.values())


def test_two_at_once_are_told_apart(user: User, tmp_path: Path) -> None:
    user.files(units(1, "a.png", "a.json"))
    user.say(path="scans", collection=SCANS)
    with Home(user.home(), "scans", "").held():
        document = user.say(path="scans")
    assert document.exit_code == 3 and document.problems[0]["code"] == "in-use"
    with Home(user.home(), "scans", "").held(), pytest.raises(OutOfReach), Home(user.home(), "scans", "").held():
        pass
