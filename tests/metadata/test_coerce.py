"""Values in the form that a schema asks for: changed only where it can be meant in one way, and no digit is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synapse_skills.metadata import Coercion, MetaCheck

ABSENT = object()


def coerced(part: Any, value: Any, **more: Any) -> Any:
    return Coercion({"properties": {"x": part}, **more})({"x": value}).get("x", ABSENT)


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


INTEGER, NUMBER, STRING = {"type": "integer"}, {"type": "number"}, {"type": "string"}
BOOLEAN, DATE = {"type": "boolean"}, {"type": "string", "format": "date"}
TIME = {"type": "string", "format": "date-time"}
SEX = {"enum": ["M", "F", "Not known"]}


@pytest.mark.parametrize(
    ("part", "value", "wanted"),
    [
        (INTEGER, "45", 45),
        (INTEGER, " 45.0 ", 45),
        (INTEGER, 45.0, 45),
        (INTEGER, "-7", -7),
        (INTEGER, "12345678901234567890", 12345678901234567890),
        (INTEGER, "", ABSENT),
        (INTEGER, None, ABSENT),
        ({"type": ["integer", "null"]}, "45", 45),
        ({"type": ["integer", "null"]}, "", ABSENT),
        ({"type": ["integer", "null"]}, None, None),
        ({"anyOf": [INTEGER, {"type": "null"}]}, "45", 45),
        ({"oneOf": [INTEGER, {"type": "string", "minLength": 4}]}, "45", 45),
        (NUMBER, "3.5", 3.5),
        (NUMBER, "1e3", 1000.0),
        (NUMBER, "45", 45),
        (NUMBER, 7, 7),
        (STRING, 7, "7"),
        (STRING, 7.0, "7"),
        (STRING, 2.5, "2.5"),
        (STRING, 12345678901234567890, "12345678901234567890"),
        (BOOLEAN, "TRUE", True),
        (BOOLEAN, "예", True),
        (BOOLEAN, "아니오", False),
        (BOOLEAN, "O", True),
        (BOOLEAN, "x", False),
        (BOOLEAN, 1, True),
        (BOOLEAN, 0.0, False),
        (DATE, "2024.01.19", "2024-01-19"),
        (DATE, "2024. 1. 19.", "2024-01-19"),
        (DATE, "2024/1/19", "2024-01-19"),
        (DATE, "2024년 1월 19일", "2024-01-19"),
        (DATE, 20240119, "2024-01-19"),
        (DATE, "2024-01-19T00:00:00", "2024-01-19"),
        (TIME, "2024-01-19 9:30", "2024-01-19T09:30:00"),
        (TIME, "2024/1/19 10:30:05+0900", "2024-01-19T10:30:05+09:00"),
        (SEX, " m ", "M"),
        (SEX, "notKNOWN", "Not known"),
        ({"enum": [1, 2, 3]}, "1", 1),
        ({"enum": ["1", "2"]}, 1, "1"),
        ({"type": "array", "items": INTEGER}, "1; 2;3", [1, 2, 3]),
        ({"type": "array", "items": STRING}, "a|b", ["a", "b"]),
        ({"type": "array", "items": STRING}, "one", ["one"]),
        ({"type": "array", "items": INTEGER}, "[1, 2]", [1, 2]),
        ({"type": "array", "items": INTEGER}, ["1", 2.0], [1, 2]),
        ({"type": "array", "items": SEX}, "m,f", ["M", "F"]),
        ({"type": "object", "properties": {"n": INTEGER}}, {"n": "4"}, {"n": 4}),
        ({"type": "object", "properties": {"n": INTEGER}}, '{"n": "4"}', {"n": 4}),
    ],
)
def test_what_can_be_meant_in_one_way(part: Any, value: Any, wanted: Any) -> None:
    assert same(coerced(part, value), wanted) or coerced(part, value) is wanted


@pytest.mark.parametrize(
    ("part", "value"),
    [
        (INTEGER, "4.5"),
        (INTEGER, "1,234"),
        (INTEGER, "45 years"),
        (INTEGER, True),
        (INTEGER, "٤٥"),
        (INTEGER, "9" * 5_000),
        (NUMBER, "3,5"),
        (NUMBER, "nan"),
        (NUMBER, "1e999"),
        (NUMBER, "0.12345678901234567890"),
        (STRING, "007"),
        (STRING, True),
        (STRING, ""),
        (BOOLEAN, "maybe"),
        (BOOLEAN, 2),
        (DATE, "19/01/2024"),
        (DATE, "2024-13-01"),
        (DATE, "2024-01-19T10:30:00"),
        (DATE, "20241"),
        ({**DATE, "pattern": "^\\d{4}\\.\\d\\d\\.\\d\\d$"}, "2024.01.19"),
        (SEX, "male"),
        ({"enum": ["a", "A"]}, " A"),
        ({"enum": ["yes no", "yesno"]}, "YES NO"),
        ({"type": ["integer", "boolean"]}, "1"),
        ({"type": ["string", "integer"]}, "45"),
        ({"anyOf": [STRING, INTEGER]}, "45"),
        ({"type": "array", "items": NUMBER}, "1,5"),
        ({"type": "array", "items": STRING}, "a,b;c"),
        ({"type": "object"}, '{"a": 1, "a": 2}'),
        ({}, "45"),
        (True, "45"),
        ({"$ref": "#/nowhere"}, "45"),
    ],
)
def test_what_is_left_for_the_check_to_name(part: Any, value: Any) -> None:
    new = coerced(part, value)
    assert new == value.strip() if part == {"enum": ["a", "A"]} else same(new, value)


def test_a_required_field_that_may_be_null_is_null_when_empty() -> None:
    assert coerced({"type": ["integer", "null"]}, " ", required=["x"]) is None


def test_references_and_all_of_are_followed() -> None:
    schema = {
        "$defs": {"age": {"allOf": [{"type": "integer"}, {"minimum": 0}]}},
        "allOf": [{"properties": {"x": {"$ref": "#/$defs/age"}}}],
    }
    assert Coercion(schema)({"x": "4"}) == {"x": 4}


def test_what_fits_is_never_made_unfit() -> None:
    schema = {"properties": {"d": DATE}, "not": {"properties": {"d": {"const": "2024-01-19"}}, "required": ["d"]}}
    assert Coercion(schema)({"d": "2024.01.19"}) == {"d": "2024.01.19"}
    assert MetaCheck(schema).complete({"d": "2024.01.19"}, "p") == (
        {"name": "p", "dataset_key": "p", "d": "2024.01.19"},
        [],
    )


def test_the_given_metadata_is_not_changed() -> None:
    given_meta = {"x": "45", "tags": ["1"]}
    schema = {"properties": {"x": INTEGER, "tags": {"type": "array", "items": INTEGER}}}
    assert Coercion(schema)(given_meta) == {"x": 45, "tags": [1]}
    assert given_meta == {"x": "45", "tags": ["1"]}


parts = st.one_of(
    st.sampled_from(
        [
            INTEGER,
            NUMBER,
            STRING,
            BOOLEAN,
            DATE,
            TIME,
            SEX,
            {"enum": [1, "2", None, True]},
            {"type": ["number", "null"]},
        ]
    ),
    st.sampled_from(
        [
            {"anyOf": [INTEGER, {"type": "null"}]},
            {"oneOf": [INTEGER, BOOLEAN]},
            {"type": "array", "items": INTEGER},
            {"type": "array", "items": DATE},
            {"type": ["array", "string"], "items": NUMBER},
            {"type": "object", "properties": {"n": INTEGER, "d": DATE}, "required": ["n"]},
            {"type": "integer", "minimum": 3},
            {"type": "string", "format": "date", "maxLength": 9},
        ]
    ),
)
cells = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**25), 10**25),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6),
    st.sampled_from(
        ["", " ", "007", "45.0", "2024.1.3", "20240103", "yes", "M", "f", "1;2", "[1]", '{"n":"1"}', "1,5"]
    ),
    st.lists(st.one_of(st.integers(0, 9), st.text(max_size=3)), max_size=3),
    st.dictionaries(st.sampled_from(["n", "d"]), st.text(max_size=3), max_size=2),
)


@settings(deadline=None, max_examples=120, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from("abc"), parts, min_size=1), st.dictionaries(st.sampled_from("abc"), cells))
def test_twice_is_once_and_what_fits_still_fits(fields: dict[str, Any], meta: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": fields}
    check, coercion = MetaCheck(schema), Coercion(schema)
    before = json.dumps(meta)
    once = coercion(meta)
    assert json.dumps(coercion(once)) == json.dumps(once)
    assert json.dumps(meta) == before
    if not check.faults(meta):
        assert not check.faults(once)


@given(st.integers(min_value=-(10**40), max_value=10**40))
def test_no_digit_is_lost(number: int) -> None:
    assert coerced(INTEGER, str(number)) == number
    assert coerced(STRING, number) == str(number)
    assert coerced(STRING, f"00{abs(number)}") == f"00{abs(number)}"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_in_a_text_is_that_number(number: float) -> None:
    assert coerced(NUMBER, repr(number)) == number


@pytest.mark.parametrize("odd", [{"x": {1}}, {"x": float("nan")}, {1: 2}, {"x": "\ud800"}])
@pytest.mark.parametrize("schema", [None, True, False, {"properties": {"x": INTEGER}}, {"type": "nonsense"}])
def test_it_never_raises(schema: Any, odd: dict[Any, Any]) -> None:
    assert isinstance(Coercion(schema)(odd), dict)
