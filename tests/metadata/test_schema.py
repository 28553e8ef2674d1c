"""Metadata against a collection's schema."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
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


def test_constants_are_a_fresh_dict_and_read_back() -> None:
    constants = Constants({"a": [1]})
    first = constants(None)
    first["b"] = 1
    assert constants(None) == {"a": [1]}
    assert eval(repr(constants), {"Constants": Constants}) == constants


values = st.one_of(st.none(), st.booleans(), st.integers(-5, 200), st.text(max_size=5))


@given(st.dictionaries(st.sampled_from(["site", "age", "other"]), values))
def test_second_opinion_agrees(meta: dict[str, Any]) -> None:
    theirs = list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(meta))
    assert bool(check_meta(SCHEMA, meta)) == bool(theirs)
