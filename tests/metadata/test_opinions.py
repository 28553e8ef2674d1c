"""jsonschema as the second opinion: the two agree on every schema and metadata, or `doubts` has said so beforehand."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synapse_skills.metadata import MetaCheck, doubts

DRAFTS = {
    "http://json-schema.org/draft-04/schema#": jsonschema.Draft4Validator,
    "http://json-schema.org/draft-06/schema#": jsonschema.Draft6Validator,
    "http://json-schema.org/draft-07/schema#": jsonschema.Draft7Validator,
    "https://json-schema.org/draft/2019-09/schema": jsonschema.Draft201909Validator,
    "https://json-schema.org/draft/2020-12/schema": jsonschema.Draft202012Validator,
}
D4, D6, D7, D19, D20 = DRAFTS
TYPES = ("string", "integer", "number", "boolean", "null", "array", "object")
NAMES = ("a", "b", "name", "x1", "나이")
PATTERNS = ("a", "^a", "^[a-z]+$", "^(ab|c)*$", "\\d", "^\\w+$", "(?=a)b", "[가-힣]")

texts = st.one_of(st.sampled_from(["", "a", "ab", "a\n", "7", "٣", "나이", "abc"]), st.text(max_size=4))
numbers = st.one_of(
    st.integers(-3, 12), st.sampled_from([0.3, 1.0, 2.5, -0.0, 1e300, 2**53 + 1, 2**64, 10**30, -(2**70)])
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts.filter(lambda text: text.isprintable() or text == "a\n"))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=5,
)
metas = st.dictionaries(st.sampled_from(NAMES), values, max_size=4)


@st.composite
def keywords(draw: st.DrawFn, draft: str, depth: int = 0) -> Any:
    """A schema of up to four keywords that the draft knows."""
    if depth and draft != D4 and draw(st.integers(0, 9)) == 0:
        return draw(st.booleans())
    inner = keywords(draft, depth + 1) if depth < 3 else st.just({})
    by_name = st.dictionaries(st.sampled_from(NAMES), inner, min_size=1, max_size=3)
    several = st.lists(inner, min_size=1, max_size=2)
    names = st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True)
    closing = inner if depth > 1 else st.one_of(st.booleans(), inner)
    known: dict[str, st.SearchStrategy[Any]] = {
        "type": st.one_of(
            st.sampled_from(TYPES), st.lists(st.sampled_from(TYPES), min_size=1, max_size=2, unique=True)
        ),
        "enum": st.lists(scalars, min_size=1, max_size=3, unique_by=repr),
        "minimum": st.integers(-2, 9),
        "maximum": numbers,
        "minLength": st.integers(0, 3),
        "maxLength": st.integers(0, 3),
        "pattern": st.sampled_from(PATTERNS),
        "multipleOf": st.sampled_from([1, 2, 3, 0.5, 0.1]),
        "format": st.sampled_from(["date", "email"]),
        "properties": by_name,
        "patternProperties": st.dictionaries(st.sampled_from(["a", "^x", "^[ab]"]), inner, min_size=1, max_size=2),
        "additionalProperties": closing,
        "required": names,
        "minProperties": st.integers(0, 2),
        "uniqueItems": st.booleans(),
        "minItems": st.integers(0, 2),
        "items": inner,
        "anyOf": several,
        "oneOf": several,
        "allOf": several,
        "not": inner,
    }
    if draft != D4:
        known |= {
            "const": scalars,
            "exclusiveMinimum": st.integers(-2, 5),
            "contains": inner,
            "propertyNames": inner,
        }
    if draft in (D7, D19, D20):
        known |= {"if": inner, "then": inner, "else": inner}
    if draft in (D4, D6, D7):
        known |= {"dependencies": st.dictionaries(st.sampled_from(NAMES), names, min_size=1, max_size=2)}
    else:
        known |= {
            "dependentRequired": st.dictionaries(st.sampled_from(NAMES), names, min_size=1, max_size=2),
            "dependentSchemas": by_name,
            "unevaluatedProperties": st.just(False),
        }
    chosen = draw(st.lists(st.sampled_from(sorted(known)), max_size=4, unique=True))
    part = {word: draw(known[word]) for word in chosen}
    if depth and draw(st.integers(0, 7)) == 0:
        place = "definitions" if draft in (D4, D6, D7) else "$defs"
        part["$ref"] = f"#/{place}/shared"
    return part


@st.composite
def schemas(draw: st.DrawFn) -> dict[str, Any]:
    draft = draw(st.sampled_from(list(DRAFTS)))
    top = draw(keywords(draft))
    top.pop("$ref", None)
    place = "definitions" if draft in (D4, D6, D7) else "$defs"
    return {"$schema": draft, place: {"shared": {"type": draw(st.sampled_from(TYPES))}}, **top}


def both(schema: dict[str, Any], meta: Any) -> tuple[bool, bool]:
    """Whether it fits: our view, and jsonschema's."""
    theirs = DRAFTS[schema["$schema"]](schema)
    return not MetaCheck(schema).faults(meta), theirs.is_valid(meta)


def agree(schema: dict[str, Any], meta: dict[str, Any]) -> None:
    ours, theirs = both(schema, meta)
    assert ours == theirs or doubts(schema), (ours, theirs, schema, meta)


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(schemas(), st.lists(metas, min_size=3, max_size=3))
def test_they_agree_or_a_doubt_was_said(schema: dict[str, Any], some: list[dict[str, Any]]) -> None:
    for meta in some:
        agree(schema, meta)


@pytest.mark.heavy
@settings(deadline=None, max_examples=2_000, suppress_health_check=list(HealthCheck))
@given(schemas(), st.lists(metas, min_size=6, max_size=6))
def test_they_agree_on_many_more(schema: dict[str, Any], some: list[dict[str, Any]]) -> None:
    for meta in some:
        agree(schema, meta)


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(schemas(), metas)
def test_every_fault_is_short_and_printable_and_every_form_is_json(
    schema: dict[str, Any], meta: dict[str, Any]
) -> None:
    check = MetaCheck(schema)
    done, faults = check.complete(meta, "p1")
    for fault in [*check.faults(meta), *faults]:
        assert fault.message.isprintable() and fault.summary.isprintable()
        assert len(fault.message) < 700 and fault.rule and fault.message != fault.summary
    if not faults:
        assert check.faults(done) == []


DIFFER: list[tuple[dict[str, Any], Any]] = [
    ({"$schema": D20, "properties": {"x": {"pattern": "^\\d$"}}}, "٣"),
    ({"$schema": D7, "properties": {"x": {"pattern": "^a$"}}}, "a\n"),
    ({"$schema": D20, "properties": {"x": {"pattern": "^a\\Z"}}}, "b"),
    ({"$schema": D20, "properties": {"x": {"multipleOf": 0.1}}}, 0.3),
]


@pytest.mark.parametrize(("schema", "value"), DIFFER, ids=["digits", "line break", "end of text", "multiple of"])
def test_what_is_doubted_does_differ(schema: dict[str, Any], value: Any) -> None:
    ours, theirs = both(schema, {"x": value})
    assert ours != theirs
    assert next(doubt.field for doubt in doubts(schema)) == "x"
    for fault in MetaCheck(schema).faults({"x": value}):
        assert "the backend's validator may decide otherwise" in fault.message


@pytest.mark.parametrize("value", ["ab", "b"])
def test_a_fault_that_nobody_doubts_says_nothing_of_doubt(value: str) -> None:
    schema = {"$schema": D20, "properties": {"x": {"pattern": "^a$"}}}
    assert both(schema, {"x": value}) == (False, False)
    assert "otherwise" not in str(MetaCheck(schema).faults({"x": value})[0])


def test_draft_seven_formats_are_a_doubt_and_no_fault() -> None:
    schema = {"$schema": D7, "properties": {"x": {"format": "date"}}}
    assert MetaCheck(schema).faults({"x": "yesterday"}) == []
    assert [(doubt.field, doubt.rule) for doubt in doubts(schema)] == [("x", "format")]


def test_an_unknown_dialect_is_read_as_the_newest_and_said() -> None:
    for named in ("http://json-schema.org/draft-03/schema#", "https://example.org/mine"):
        schema = {"$schema": named, "required": ["a"], "dependentRequired": {"a": ["b"]}}
        assert [fault.field for fault in MetaCheck(schema).faults({"a": 1})] == ["b"]
        assert doubts(schema)[0].rule == "$schema" and named in str(doubts(schema)[0])


def test_a_pattern_that_only_python_knows_is_not_checked_and_said() -> None:
    schema = {"properties": {"x": {"pattern": "^a\\Z", "maxLength": 3}}}
    check = MetaCheck(schema)
    assert check.faults({"x": "b"}) == []
    assert [fault.rule for fault in check.faults({"x": "long text"})] == ["maxLength"]
    assert "not checked" in str(doubts(schema)[0])
    assert schema["properties"]["x"]["pattern"] == "^a\\Z", "the schema itself stays as it is"


def test_a_schema_without_such_keywords_has_no_doubts() -> None:
    assert doubts({"properties": {"a": {"type": "integer", "multipleOf": 2}, "b": {"pattern": "^a[bc]"}}}) == []
    assert doubts(None) == doubts(True) == doubts(False) == []


def test_what_one_keyword_leaves_to_another_is_doubtful() -> None:
    schema = {"$schema": D19, "additionalProperties": {}, "unevaluatedProperties": False}
    theirs, ours = DRAFTS[D19](schema).is_valid({"a": 1}), not MetaCheck(schema).errors({"a": 1})
    assert theirs is not ours, "they agree by now: the doubt can go"
    assert [doubt.rule for doubt in doubts(schema)] == ["unevaluatedProperties"]
