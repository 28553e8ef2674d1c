"""Where the backend's validator may see a schema in another way than ours: said beforehand, not found out later.

Which validator Synapse runs is not known. Measured between jsonschema-rs and jsonschema (contract/EXPERIMENTS.md,
e5): `\\d` and its like outside ASCII, `$` before a line break at the end, `\\Z`, formats, fractions in
`multipleOf`, and in draft 2019-09 what `additionalProperties: {}` leaves to `unevaluatedProperties`. Everything else
agreed on all schemas and metadata tried (tests/metadata/test_opinions.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from synapse_skills.metadata.wording import PATTERN_CLASSES, cut, python_knows

MAX_DOUBTS = 50
MAX_DEPTH = 60
_PARTS_BY_NAME = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies")
_PARTS = (
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "items",
    "additionalItems",
    "unevaluatedItems",
    "contains",
    "not",
    "if",
    "then",
    "else",
    "allOf",
    "anyOf",
    "oneOf",
    "prefixItems",
)
# Where a part that lets more through can make the whole let less through.
_TURNING = ("not", "if", "oneOf", "contains", "propertyNames")
_KNOWN_DRAFTS = (
    "json-schema.org/draft-04/schema",
    "json-schema.org/draft-06/schema",
    "json-schema.org/draft-07/schema",
    "json-schema.org/draft/2019-09/schema",
    "json-schema.org/draft/2020-12/schema",
    "json-schema.org/schema",
)


@dataclass(frozen=True)
class Doubt:
    """One keyword on which validators differ.

    Attributes:
        field: where it applies, dotted, items as `*`; empty for the whole object.
        rule: the keyword.
        why: what could be seen differently, in words for people.
    """

    field: str
    rule: str
    why: str

    def __str__(self) -> str:
        return f"{self.field or 'the metadata'}: {self.why}"


def doubts(schema: Any) -> list[Doubt]:
    """All that the backend's validator may decide otherwise, at most 50; empty for a schema without such keywords."""
    found: dict[Doubt, None] = {}
    if isinstance(schema, Mapping) and _unknown_draft(schema):
        why = f"$schema {cut(str(schema['$schema']), 100)} is unknown: it is read as draft 2020-12"
        found[Doubt("", "$schema", why)] = None
    for path, part in _parts(schema, "", 0):
        for doubt in _of(path, part):
            found[doubt] = None
            if len(found) >= MAX_DOUBTS:
                return list(found)
    return list(found)


def _of(path: str, part: Mapping[str, Any]) -> Iterator[Doubt]:
    step = part.get("multipleOf")
    if isinstance(step, float) and not step.is_integer():
        yield Doubt(path, "multipleOf", f"validators differ on multiples of {step!r}: fractions are not exact")
    for left, beside in (("unevaluatedProperties", "additionalProperties"), ("unevaluatedItems", "additionalItems")):
        if left in part and beside in part:
            yield Doubt(path, left, f"validators differ on {left} beside {beside}")
    named = part.get("format")
    if isinstance(named, str):
        yield Doubt(
            path, "format", f"format {cut(named, 40)} is not checked here, and the backend's validator may do so"
        )
    patterns = [("pattern", part["pattern"])] if isinstance(part.get("pattern"), str) else []
    inner = part.get("patternProperties")
    if isinstance(inner, Mapping):
        patterns += [("patternProperties", name) for name in inner if isinstance(name, str)]
    for rule, pattern in patterns:
        for why in _pattern(pattern):
            yield Doubt(path, rule, f"pattern {cut(pattern, 60)}: {why}")


def _pattern(pattern: str) -> Iterator[str]:
    if not _engine_knows(pattern):
        yield "it can't be evaluated here, so it is not checked: the backend's validator may refuse what passes"
        return
    if not python_knows(pattern):
        yield "some validators can't evaluate it"
    if any(mark in pattern for mark in PATTERN_CLASSES):
        yield "validators differ on letters, digits and spaces outside ASCII"
    if "$" in pattern.replace("\\$", ""):
        yield "validators differ on a line break at the end of the text"


def _parts(part: Any, path: str, depth: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A schema and all schemas in it, each with the path of the values to which it applies."""
    if not isinstance(part, Mapping) or depth > MAX_DEPTH:
        return
    yield path, part
    for word in _PARTS_BY_NAME:
        inner = part.get(word)
        for name, each in inner.items() if isinstance(inner, Mapping) else ():
            below = _below(path, cut(str(name), 60)) if word in ("properties", "$defs", "definitions") else path
            yield from _parts(each, below, depth + 1)
    for word in _PARTS:
        inner = part.get(word)
        below = _below(path, "*") if "tems" in word or word == "contains" else path
        for each in inner if isinstance(inner, list) else [inner]:
            yield from _parts(each, below, depth + 1)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _unknown_draft(schema: Mapping[str, Any]) -> bool:
    named = schema.get("$schema")
    return isinstance(named, str) and bool(named) and not named.rstrip("#").endswith(_KNOWN_DRAFTS)


def _engine_knows(pattern: str) -> bool:
    try:
        import jsonschema_rs

        jsonschema_rs.validator_for({"pattern": pattern}, validate_formats=False)
    except ValueError:
        return False
    except ImportError:
        return True
    return True


def without_what_is_unknown(schema: Any) -> Any:
    """The schema as our validator can take it.

    An unknown `$schema` is left out, and so is a pattern that Python knows and our engine doesn't (`\\Z`, `(?#…)`):
    refusing every upload to such a collection would help nobody. `doubts` names both. It is left in, and makes the
    schema a broken one, where nobody knows it, or where leaving it out could refuse what it lets through (`not`…).
    """
    if not isinstance(schema, Mapping):
        return schema
    copy = dict(schema)
    if _unknown_draft(schema):
        del copy["$schema"]
    if any(word in part for _, part in _parts(copy, "", 0) for word in _TURNING):
        return copy
    return _swept(copy, 0)


def _swept(part: Any, depth: int) -> Any:
    """A copy of a part without such patterns."""
    if not isinstance(part, Mapping) or depth > MAX_DEPTH:
        return part
    copy = dict(part)
    pattern = part.get("pattern")
    if isinstance(pattern, str) and not _engine_knows(pattern) and python_knows(pattern):
        del copy["pattern"]
    for word in _PARTS_BY_NAME:
        if isinstance(part.get(word), Mapping):
            copy[word] = {name: _swept(each, depth + 1) for name, each in part[word].items()}
    for word in _PARTS:
        inner = part.get(word)
        if isinstance(inner, list):
            copy[word] = [_swept(each, depth + 1) for each in inner]
        elif isinstance(inner, Mapping):
            copy[word] = _swept(inner, depth + 1)
    return copy
