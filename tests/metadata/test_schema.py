"""Metadata against a collection's schema."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synapse_skills.metadata import BadSchema, Constants, MetaCheck, check_meta

SCHEMA = {
    "type": "object",
    "required": ["site"],
    "properties": {"site": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
}


def test_all_errors_are_named() -> None:
    errors = check_meta(SCHEMA, {"age": -1})
    assert len(errors) == 2
    assert any("site" in error for error in errors)
    assert any(error.startswith("age:") for error in errors)


def test_no_schema_takes_everything_but_nan() -> None:
    assert check_meta(None, {"anything": [1, None, {"x": 2}]}) == []
    assert check_meta(None, {"x": float("nan")})
    assert check_meta(None, {"x": object()})


def test_standard_keys_are_added_where_the_schema_lets_them() -> None:
    assert MetaCheck(SCHEMA).complete({"site": "A"}, "p1") == (
        {"name": "p1", "dataset_key": "p1", "site": "A"},
        [],
    )
    closed = {**SCHEMA, "additionalProperties": False}
    assert MetaCheck(closed).complete({"site": "A"}, "p1") == ({"site": "A"}, [])
    named = {**closed, "properties": {**SCHEMA["properties"], "name": {"type": "string"}}}  # type: ignore[dict-item]
    assert MetaCheck(named).complete({"site": "A"}, "p1") == ({"name": "p1", "site": "A"}, [])


def test_what_is_said_wins_over_the_standard_keys() -> None:
    assert MetaCheck(None).complete({"name": "Kim"}, "p1")[0] == {"name": "Kim", "dataset_key": "p1"}


def test_missing_field_is_an_error_of_the_description() -> None:
    meta, errors = MetaCheck(SCHEMA).complete({}, "p1")
    assert meta is None
    assert len(errors) == 1


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "file:///etc/hostname"},
        {"properties": {"x": {"pattern": "("}}},
    ],
)
def test_schema_that_cannot_be_used(schema: dict[str, Any]) -> None:
    with pytest.raises(BadSchema):
        MetaCheck(schema)


def test_formats_are_not_enforced() -> None:
    assert check_meta({"properties": {"d": {"type": "string", "format": "date"}}}, {"d": "yesterday"}) == []


class Color(StrEnum):
    RED = "red"


@pytest.mark.parametrize("schema", [None, {"type": "object"}, SCHEMA])
def test_what_is_sent_is_what_json_makes_of_it(schema: dict[str, Any] | None) -> None:
    described = {"site": Color.RED, "pair": (1, 2), 7: "seven", "big": 10**30, "nul": "\0", "x": {None: [True]}}
    meta, errors = MetaCheck(schema).complete(described, "p1")
    assert errors == []
    assert meta is not None
    assert type(meta["site"]) is str
    assert (meta["pair"], meta["7"], meta["big"], meta["x"]) == ([1, 2], "seven", 10**30, {"null": [True]})


def deep() -> dict[str, Any]:
    top: dict[str, Any] = {}
    inner = top
    for _ in range(20_000):
        inner["x"] = {}
        inner = inner["x"]
    return top


ODD: dict[str, dict[str, Any]] = {
    "half a surrogate pair": {"site": "caf\udce9"},
    "in a key": {"caf\udce9": 1},
    "in a list": {"site": "a", "x": [{"y": "\ud800"}]},
    "nested too deeply": deep(),
    "infinite": {"site": "a", "x": float("inf")},
    "a set": {"site": "a", "x": {1}},
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("schema", [None, SCHEMA])
def test_what_can_not_be_sent_is_an_error_and_no_exception(schema: dict[str, Any] | None, name: str) -> None:
    assert check_meta(schema, ODD[name])
    meta, errors = MetaCheck(schema).complete(ODD[name], "p1")
    assert meta is None
    assert len(errors) == 1
    errors[0].message.encode()


def test_constants_are_a_fresh_dict_and_read_back() -> None:
    constants = Constants({"a": [1]})
    first = constants(None)
    first["b"] = 1
    assert constants(None) == {"a": [1]}
    assert eval(repr(constants), {"Constants": Constants}) == constants


values = st.one_of(st.none(), st.booleans(), st.integers(-5, 200), st.text(max_size=5))


# Made once: a validator for each example is what makes them slow where the machine is busy.
THEIRS = jsonschema.Draft202012Validator(SCHEMA)
OURS = MetaCheck(SCHEMA)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["site", "age", "other"]), values))
def test_second_opinion_agrees(meta: dict[str, Any]) -> None:
    assert bool(OURS.errors(meta)) == bool(list(THEIRS.iter_errors(meta)))
