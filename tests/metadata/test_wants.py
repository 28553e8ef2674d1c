"""What a schema asks for, told field by field, whatever the schema looks like."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from metadata.test_opinions import metas, schemas
from synapse_skills.metadata import Coercion, Field, doubts, is_closed, wants


def test_required_first_then_the_schemas_own_order() -> None:
    schema = {
        "required": ["z", "undescribed"],
        "properties": {
            "a": {"type": "string", "title": "A", "description": "about a", "default": "x"},
            "z": {"type": ["integer", "null"]},
            "tags": {"type": "array", "items": {"enum": ["r", "g"]}},
            "when": {"type": "string", "format": "date"},
            "gone": False,
        },
    }
    assert wants(schema) == (
        Field("z", ("integer", "null"), required=True),
        Field("undescribed", required=True),
        Field("a", ("string",), title="A", description="about a", default="x"),
        Field("tags", ("array",), item_types=("string",)),
        Field("when", ("string",), format="date"),
    )


def test_references_all_of_and_alternatives() -> None:
    schema = {
        "$defs": {
            "base": {"required": ["id"], "properties": {"id": {"$ref": "#id"}}},
            "ident": {"$anchor": "id", "type": "string"},
            "a/b~c": {"type": "boolean"},
        },
        "$ref": "#/$defs/base",
        "allOf": [
            {"properties": {"id": {"enum": ["p", "q"]}, "n": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}}
        ],
        "oneOf": [{"properties": {"mr": {"$ref": "#/$defs/a~1b~0c"}}}, {"required": ["ct"]}],
    }
    fields = {field.name: field for field in wants(schema)}
    assert list(fields) == ["id", "n", "mr"]
    assert fields["id"] == Field("id", ("string",), required=True, enum=("p", "q"))
    assert fields["n"].types == ("integer", "null")
    assert fields["mr"].types == ("boolean",)


def test_up_to_draft_seven_what_stands_beside_a_reference_is_ignored() -> None:
    part = {"$ref": "#/definitions/t", "type": "string"}
    schema: dict[str, Any] = {"definitions": {"t": {"type": "integer"}}, "properties": {"a": part}}
    legacy = {"$schema": "http://json-schema.org/draft-07/schema#", **schema}
    assert wants(legacy)[0].types == ("integer",)


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"properties": {"a": schema}, "allOf": [schema]}
    return schema


ODD: list[Any] = [
    None,
    True,
    False,
    {},
    {"type": "array"},
    {"$ref": "#"},
    {"allOf": [{"$ref": "#"}]},
    {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
    {"properties": {"a": {"$ref": "#"}}},
    {"properties": {"a": {"anyOf": [{"$ref": "#/properties/a"}, {"type": "null"}]}}},
    {"$dynamicRef": "#x", "$dynamicAnchor": "x"},
    deep(8),
]


@pytest.mark.parametrize("schema", ODD, ids=str)
def test_odd_schemas_are_told_and_nobody_goes_round_in_circles(schema: Any) -> None:
    assert all(isinstance(field, Field) for field in wants(schema))
    assert is_closed(schema) is False
    assert doubts(schema) == []
    assert Coercion(schema)({"a": "1"}) == {"a": "1"}


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(schemas(), metas)
def test_any_schema_that_is_accepted_can_be_told(schema: dict[str, Any], meta: dict[str, Any]) -> None:
    names = [field.name for field in wants(schema)]
    assert len(names) == len(set(names))
    assert isinstance(Coercion(schema)(meta), dict)


@pytest.mark.parametrize(
    "schema",
    [
        {"additionalProperties": False},
        {"unevaluatedProperties": False},
        {"allOf": [{"additionalProperties": False}]},
        {"$ref": "#/$defs/a", "$defs": {"a": {"additionalProperties": False}}},
    ],
)
def test_closed(schema: dict[str, Any]) -> None:
    assert is_closed(schema)
    assert not is_closed({"additionalProperties": {}})
