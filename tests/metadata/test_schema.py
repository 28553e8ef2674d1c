"""Metadata against a collection's schema."""

from __future__ import annotations

import os
import threading
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synapse_skills.metadata import BadSchema, Constants, MetaCheck, check_meta, doubts, wants

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


def test_no_request_and_no_file_is_opened(tmp_path: Path) -> None:
    asked: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    # The pipe has no writer: whoever opens it to read waits for ever, and is killed.
    pipe = tmp_path / "schema.json"
    os.mkfifo(pipe)
    host = f"http://127.0.0.1:{server.server_port}"
    try:
        for reference in (f"{host}/a.json", f"{host}/b.json#/x", pipe.as_uri(), str(pipe), "other.json", "//h/x"):
            for schema in (
                {"$ref": reference},
                {"properties": {"x": {"$ref": reference}}},
                {"$id": f"{host}/base", "allOf": [{"$ref": reference}]},
                {"$schema": f"{host}/dialect", "$ref": reference},
            ):
                with pytest.raises(BadSchema):
                    MetaCheck(schema)
                assert wants(schema) is not None and doubts(schema) is not None
        # A dialect that nobody knows is not looked for either.
        assert MetaCheck({"$schema": f"{host}/dialect", "required": ["a"]}).errors({}) == ["a is missing"]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert asked == []


def nested(levels: int, inside: Any) -> dict[str, Any]:
    for _ in range(levels):
        inside = {"properties": {"a": inside}}
    return dict(inside)


@pytest.mark.parametrize(
    "schema",
    [
        [],
        3,
        {"required": ["a", "a"]},
        {"multipleOf": 0},
        {"maximum": float("nan")},
        {"const": "\ud800"},
        {"properties": {1: {}}},
        {"$ref": "#/nowhere"},
        {"$ref": "#nowhere"},
        {"$schema": 7},
        {"properties": {"x": {"pattern": "(?P<"}}},
        {"not": {"pattern": "^a\\Z"}},
        nested(300, {}),
        nested(5_000, {}),
    ],
    ids=lambda schema: str(schema)[:40] if not isinstance(schema, dict) or "properties" not in schema else "nested",
)
def test_broken_schemas_say_why_in_one_line(schema: Any) -> None:
    with pytest.raises(BadSchema) as caught:
        MetaCheck(schema)
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("schema", "meta", "wrong"),
    [
        (True, {"a": 1}, []),
        (False, {"a": 1}, ["the metadata: {a: 1} is not allowed here"]),
        ({}, {"a": 1}, []),
        ({"type": "array"}, {}, ["the metadata: {} is no list"]),
        ({"minProperties": 1}, {}, ["the metadata: {} has fewer than 1 fields"]),
        ({"properties": {"x": {"type": "integer"}}}, {"x": 2**70}, []),
        ({"properties": {"x": {"maximum": 2**65}}}, {"x": 2**66}, [f"x: {2**66} is more than {2**65}"]),
        ({"properties": {"x": {"const": 2**70}}}, {"x": 2**70}, []),
        ({"properties": {"x": {"const": 2**70}}}, {"x": 2**70 + 1}, [f"x: {2**70 + 1} is not {2**70}"]),
        (nested(100, {"type": "integer"}), {"a": 1}, []),
        ({"$ref": "#"}, {"a": 1}, []),
    ],
)
def test_odd_schemas_that_hold(schema: Any, meta: dict[str, Any], wrong: list[str]) -> None:
    assert check_meta(schema, meta) == wrong


def test_numbers_of_thousands_of_digits_and_deep_nesting_can_not_be_sent() -> None:
    for value in (10**5_000, -(10**5_000), [10**5_000], float("nan"), [float("-inf")]):
        assert [fault.rule for fault in MetaCheck(None).faults({"x": value})] == ["not-json"]
    value: Any = 1
    for _ in range(150):
        value = [value]
    assert MetaCheck({"required": ["x"]}).faults({"x": value}) == []


def test_what_is_returned_shares_nothing_with_what_was_given() -> None:
    given_meta = {"site": "a", "tags": [{"deep": [1]}]}
    meta, _ = MetaCheck(SCHEMA).complete(given_meta, "p1")
    assert meta is not None
    given_meta["tags"][0]["deep"].append(2)  # type: ignore[index]
    assert meta["tags"] == [{"deep": [1]}]


def test_fields_that_the_job_adds_are_not_said_to_be_missing() -> None:
    schema = {**SCHEMA, "required": ["site", "name"]}
    assert [str(fault) for fault in MetaCheck(schema).complete({}, "p1")[1]] == ["site is missing"]


def test_values_are_coerced_before_they_are_validated() -> None:
    meta, faults = MetaCheck(SCHEMA).complete({"site": 7, "age": "45"}, "p1")
    assert (meta, faults) == ({"name": "p1", "dataset_key": "p1", "site": "7", "age": 45}, [])


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
