"""What is wrong, in words for people, and one line however many data units have it."""

from __future__ import annotations

from typing import Any

import pytest

from synapse_skills.errors import keep_secret
from synapse_skills.metadata import Fault, Faults, MetaCheck

D4 = "http://json-schema.org/draft-04/schema#"


def one(part: Any, value: Any) -> Fault:
    faults = MetaCheck({"properties": {"x": part}}).faults({"x": value})
    assert len(faults) == 1
    return faults[0]


@pytest.mark.parametrize(
    ("part", "value", "message", "summary"),
    [
        ({"type": "integer"}, "45 years", "x: '45 years' is no integer", "x: not an integer"),
        ({"type": ["integer", "null"]}, "a", "x: 'a' is no integer or null", "x: not an integer or null"),
        ({"type": "string"}, 7, "x: 7 is no text", "x: not text"),
        ({"enum": ["M", "F"]}, "male", "x: 'male' is none of M, F", "x: none of M, F"),
        ({"const": 1}, 2, "x: 2 is not 1", "x: not 1"),
        ({"minimum": 0}, -1, "x: -1 is less than 0", "x: less than 0"),
        ({"exclusiveMaximum": 3}, 3, "x: 3 is not less than 3", "x: not less than 3"),
        ({"minLength": 3}, "a", "x: 'a' is shorter than 3 characters", "x: shorter than 3 characters"),
        ({"minItems": 2}, [1], "x: [1] has fewer than 2 items", "x: fewer than 2 items"),
        ({"uniqueItems": True}, [1, 1], "x: [1, 1] holds an item twice", "x: an item twice"),
        ({"multipleOf": 2}, 3, "x: 3 is no multiple of 2", "x: no multiple of 2"),
        ({"pattern": "^a"}, "b", "x: 'b' does not match ^a", "x: does not match ^a"),
        (False, 1, "x: 1 is not allowed here", "x: not allowed"),
        ({"not": {"type": "string"}}, "a", "x: 'a' is what the schema forbids", "x: what the schema forbids"),
        (
            {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "a",
            "x: 'a' is no integer or null",
            "x: not an integer or null",
        ),
        ({"anyOf": [{"const": "a"}, {"enum": ["b"]}]}, "c", "x: 'c' is none of a, b", "x: none of a, b"),
        ({"required": ["y"]}, {}, "x.y is missing", "x.y: missing"),
    ],
)
def test_messages(part: Any, value: Any, message: str, summary: str) -> None:
    fault = one(part, value)
    assert (str(fault), fault.summary) == (message, summary)


def test_each_missing_and_each_unknown_field_is_a_fault_of_its_own() -> None:
    schema = {"required": ["a", "b"], "properties": {"a": {}, "b": {}}, "additionalProperties": False}
    faults = MetaCheck(schema).faults({"color": 1, "size": 2})
    assert {(fault.field, fault.rule) for fault in faults} == {
        ("a", "required"),
        ("b", "required"),
        ("color", "additionalProperties"),
        ("size", "additionalProperties"),
    }
    assert "color: the schema knows no such field" in map(str, faults)
    assert [str(fault) for fault in MetaCheck({"additionalProperties": False}).faults({"q": 1})] == [
        "q: the schema knows no such field"
    ]


def test_items_are_one_kind_whatever_their_place() -> None:
    schema = {"properties": {"tags": {"items": {"type": "integer"}}}}
    faults = MetaCheck(schema).faults({"tags": ["a", 1, "b"]})
    assert [fault.field for fault in faults] == ["tags.*", "tags.*"]
    assert [str(fault) for fault in faults] == ["tags.0: 'a' is no integer", "tags.2: 'b' is no integer"]
    collected = Faults()
    collected.add("p1", faults)
    assert [problem.count for problem in collected.problems()] == [1], "one unit, one kind"


def test_large_values_and_long_lists_do_not_flood() -> None:
    assert len(str(one({"enum": [f"value {number}" for number in range(200)]}, "x" * 10_000))) < 250
    assert len(str(one({"type": "integer"}, {"k" * 500: ["v" * 500] * 500}))) < 100
    assert "(200 allowed)" in one({"enum": list(range(200))}, "a").message
    assert len(str(one({"pattern": "a" * 5_000}, "b"))) < 250
    assert len(str(one({"type": "string"}, 10**4_000))) < 100


def test_secrets_and_control_characters_stay_out() -> None:
    keep_secret("s3cr3t-token-value")
    text = str(one({"type": "integer"}, "https://u:pw@h/x?sig=abc s3cr3t-token-value \x1b[31m"))
    assert "abc" not in text and "pw" not in text and "s3cr3t" not in text and "\x1b" not in text


def test_ten_thousand_with_one_fault_are_one_problem_with_three_examples() -> None:
    check, faults = MetaCheck({"properties": {"age": {"type": "integer"}}}), Faults()
    for number in range(10_000):
        faults.add(f"patient_{number:03} (row {number + 2})", check.faults({"age": f"{number} years"}))
    faults.add("fine", [])
    (problem,) = faults.problems()
    assert (problem.code, problem.severity, problem.count, faults.units) == ("meta-invalid", "error", 10_000, 10_000)
    assert problem.examples[1] == "patient_001 (row 3): age: '1 years' is no integer"
    assert len(problem.examples) == 3
    assert problem.fix.startswith("age: not an integer. ")
    assert faults.lines()[0].startswith("age: not an integer × 10,000 — patient_000 (row 2): age: '0 years'")


def test_kinds_are_bounded_and_what_is_beyond_is_counted() -> None:
    faults = Faults()
    for number in range(1_000):
        faults.add(f"u{number}", [Fault(f"f{number}", "type", f"f{number}: bad", f"f{number}: not text")])
    problems = faults.problems("other-code")
    assert len(problems) == 31 and {problem.code for problem in problems} == {"other-code"}
    assert (problems[-1].count, sum(problem.count for problem in problems)) == (970, 1_000)
    assert problems[-1].fix.startswith("other faults. ")


def test_nothing_is_no_problem() -> None:
    assert not Faults()
    assert Faults().problems() == Faults().lines() == []
