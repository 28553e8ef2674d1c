"""Metadata of one shape takes a short way through `MetaCheck.complete`: it must lead where the long one does."""

import enum
import random
from types import MappingProxyType

import pytest

from synapse_skills.metadata import MetaCheck
from synapse_skills.metadata.shapes import MAX_FIELDS, Shapes

AGE = {"type": "object", "properties": {"age": {"type": "integer"}, "site": {"type": "string"}}}
SCHEMAS = {
    "none": None,
    "open": AGE,
    "closed": {**AGE, "additionalProperties": False},
    "closed, nothing named": {"additionalProperties": False},
    "closed, one name let in": {**AGE, "additionalProperties": False, "patternProperties": {"^dataset": {}}},
    "closed but not for names": {**AGE, "additionalProperties": {"maxLength": 3}},
    "closed by another": {"allOf": [{**AGE, "additionalProperties": False}]},
    "closed beside a reference": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$ref": "#/definitions/any",
        "definitions": {"any": AGE},
        "additionalProperties": False,
    },
    "unevaluated": {**AGE, "unevaluatedProperties": False},
    "false": False,
    "name is a date": {"properties": {"name": {"type": "string", "format": "date"}, "age": {"type": "integer"}}},
    "name is a number": {"properties": {"name": {"type": "integer"}, "age": {"type": ["number", "null"]}}},
    "both needed": {**AGE, "required": ["name", "dataset_key", "age"]},
    "typed": {
        "properties": {
            "age": {"type": "integer"},
            "site": {"enum": ["Seoul", "Busan", 3]},
            "seen": {"type": "string", "format": "date"},
            "dose": {"type": "number"},
            "new": {"type": ["boolean", "null"]},
        },
        "required": ["new"],
    },
}
VALUES = {
    "age": [45, "45", "45.0", 45.0, " 7 ", "", "x", 4.5, None, True, float("nan"), 1 << 15_000, "1" * 5_000, "²"],
    "site": ["Seoul", "seoul ", "Daegu", "3", 3, "", "서울", "\udc80", "a" * 200_000],
    "seen": ["2024-01-19", "20240119", "2024.1.19", "soon", "", 20240119],
    "dose": ["3.5", "0.10", "-0.5", "1e3", "0.1234567890123456789", 3.5, float("inf"), ".5", "00.5", "-0.0"],
    "new": [True, "yes", "예", "O", "1", "perhaps", 1, 0.0, None, "", "  "],
    "name": ["scan", "20240119", 5],
    "dataset_key": ["d", ""],
    "other": [[1], {"a": 1}, b"1"],
}


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_the_short_way_leads_where_the_long_one_does(schema):
    check, chance = MetaCheck(schema), random.Random(4)
    for _ in range(1_500):
        names = chance.sample(sorted(VALUES), chance.randrange(len(VALUES)))
        meta = {name: chance.choice(VALUES[name]) for name in names}
        key = chance.choice(["unit", "20240119", "7", "장치"])
        full, faults = check.complete(meta, key)
        # A view of a dict is no dict: it takes the long way.
        long, long_faults = check.complete(MappingProxyType(meta), key)
        # As text: 1 is not 1.0.
        assert repr(sorted((full or {}).items())) == repr(sorted((long or {}).items()))
        assert (full is None) == (long is None)
        assert faults == long_faults


@pytest.mark.parametrize(
    "bad", [float("nan"), float("-inf"), 1 << 15_000, "\ud800"], ids=["nan", "inf", "huge", "half"]
)
def test_a_shape_that_was_fine_does_not_let_a_value_through_that_cannot_be_sent(bad):
    check = MetaCheck(AGE)
    good = type(bad)(1)
    assert check.complete({"site": "Seoul", "value": good}, "unit")[1] == []
    assert [fault.rule for fault in check.complete({"site": "Seoul", "value": bad}, "unit")[1]] == ["not-json"]
    assert check.complete({"site": "Seoul", "value": good}, "unit")[1] == []


def test_names_come_out_as_plain_text_though_they_equal_those_of_a_known_shape():
    class Name(enum.StrEnum):
        AGE = "age"

    check = MetaCheck(AGE)
    for described in ({"age": 4}, {Name.AGE: 4}, {"age": 4}):
        full, faults = check.complete(described, "unit")
        assert not faults
        assert {type(name) for name in full} == {str}


def test_what_is_sent_is_a_copy():
    described = {"age": 4}
    full, _ = MetaCheck(AGE).complete(described, "unit")
    full["age"] = 5
    assert described == {"age": 4}


def test_names_made_up_for_each_unit_do_not_fill_the_memory():
    check = MetaCheck(AGE)
    shapes: Shapes = check._shapes
    for number in range(MAX_FIELDS):
        assert check.complete({f"field {number}": 1}, "unit")[1] == []
    assert sum(len(names) for names, _ in shapes._found) <= MAX_FIELDS
