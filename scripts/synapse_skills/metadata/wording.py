"""A validator's error in plain words: short, made from the keyword and the value, safe to print."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from synapse_skills.errors import printable, redact
from synapse_skills.metadata.faults import Fault

MAX_VALUE = 40
MAX_OPTIONS = 8
MAX_TEXT = 160
MAX_BRANCHES = 3
MAY_DIFFER = "the backend's validator may decide otherwise"

_TYPES = ("integer", "number", "string", "boolean", "array", "object", "null")
_NO = {"string": "text", "array": "list"}
_NOT_A = {
    "integer": "an integer",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
}
_LIMITS = {
    "minimum": ("is less than {0}", "less than {0}"),
    "maximum": ("is more than {0}", "more than {0}"),
    "exclusiveMinimum": ("is not more than {0}", "not more than {0}"),
    "exclusiveMaximum": ("is not less than {0}", "not less than {0}"),
    "minLength": ("is shorter than {0} characters", "shorter than {0} characters"),
    "maxLength": ("is longer than {0} characters", "longer than {0} characters"),
    "minItems": ("has fewer than {0} items", "fewer than {0} items"),
    "maxItems": ("has more than {0} items", "more than {0} items"),
    "minProperties": ("has fewer than {0} fields", "fewer than {0} fields"),
    "maxProperties": ("has more than {0} fields", "more than {0} fields"),
    "additionalItems": ("has more than {0} items", "more than {0} items"),
}
_PLAIN = {
    "uniqueItems": ("holds an item twice", "an item twice"),
    "contains": ("holds too few or too many of the items that the schema asks for", "items asked for are not there"),
    "unevaluatedItems": ("has more items than the schema knows", "more items than the schema knows"),
    "not": ("is what the schema forbids", "what the schema forbids"),
    "falseSchema": ("is not allowed here", "not allowed"),
}


def shown(value: Any) -> str:
    """A value as a message shows it: one short, printable line without secrets, whatever it is."""
    text = _shown(value, 2)
    return text if len(text) <= MAX_VALUE + 2 else text[:MAX_VALUE] + "…"


def _shown(value: Any, depth: int) -> str:
    if isinstance(value, str):
        # Secrets are taken out of more than is shown: one that is cut in half is no longer recognised.
        text = printable(redact(value[: 50 * MAX_VALUE]))
        return f"'{text[:MAX_VALUE]}…'" if len(text) > MAX_VALUE else f"'{text}'"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int):
        return (
            str(value) if value.bit_length() < 400 else f"an integer of {int(value.bit_length() * 0.30103) + 1} digits"
        )
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Mapping):
        if depth <= 0 or not value:
            return "{…}" if value else "{}"
        parts = [f"{cut(str(key), 20)}: {_shown(item, depth - 1)}" for key, item in islice(value.items(), 3)]
        return "{" + ", ".join(parts) + (", …}" if len(value) > 3 else "}")
    if isinstance(value, Sequence):
        if depth <= 0 or not value:
            return "[…]" if value else "[]"
        return (
            "[" + ", ".join(_shown(item, depth - 1) for item in islice(value, 3)) + (", …]" if len(value) > 3 else "]")
        )
    return type(value).__name__


def cut(text: str, length: int) -> str:
    """A text as one printable line of bounded length, without secrets."""
    text = printable(redact(text[: 50 * length]))
    return text if len(text) <= length else text[: length - 1] + "…"


def options_of(values: Sequence[Any]) -> str:
    """Allowed values, the first few of them: "M, F" or "A, B, … (200 allowed)"."""
    names = [cut(item, MAX_VALUE) if isinstance(item, str) and item else shown(item) for item in values[:MAX_OPTIONS]]
    more = f", … ({len(values):,} allowed)" if len(values) > MAX_OPTIONS else ""
    return (", ".join(names) or "nothing") + more


def _listed(words: Sequence[str]) -> str:
    return " or ".join(part for part in (", ".join(words[:-1]), words[-1]) if part) if words else "allowed type"


def _in_order(types: Sequence[str]) -> list[str]:
    return sorted(types, key=lambda name: _TYPES.index(name) if name in _TYPES else len(_TYPES))


def path_of(path: Sequence[Any]) -> tuple[str, str]:
    """A path for a message, with the indices, and for `Fault.field`, with `*` in their place."""
    real = ".".join(cut(str(part), 80) for part in path)
    return real, ".".join("*" if isinstance(part, int) else cut(part, 80) for part in path)


def at(document: Any, path: Sequence[Any]) -> Any:
    """The value at a path; None if there is nothing."""
    for part in path:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def faults_in(error: Any, meta: Mapping[str, Any]) -> Iterator[Fault]:
    """An error of jsonschema-rs as faults: one for each field that is missing or unknown.

    Args:
        error: a `jsonschema_rs.ValidationError`.
        meta: what was validated.
    """
    path, kind = list(error.instance_path), error.kind
    keyword = next((part for part in reversed(error.schema_path) if isinstance(part, str)), "")
    if kind.name == "required":
        rule = keyword if keyword in ("dependentRequired", "dependencies") else "required"
        why = "" if rule == "required" else ": other fields that are given demand it"
        yield _fault([*path, kind.property], rule, f"is missing{why}", "missing", "")
        return
    unknown: list[str] | None = None
    if kind.name in ("additionalProperties", "unevaluatedProperties"):
        unknown = list(kind.unexpected)
    elif kind.name == "falseSchema" and keyword in ("additionalProperties", "unevaluatedProperties"):
        # Where no property at all is known the validator names neither the fields nor their object.
        there = at(meta, path)
        unknown = list(there) if isinstance(there, Mapping) else None
    if unknown is not None:
        for name in unknown:
            yield _fault([*path, name], keyword, ": the schema knows no such field", "unknown field", "")
        return
    if kind.name == "propertyNames":
        name = kind.error.instance
        says, sums = _predicate(kind.error, name)
        yield _fault([*path, name] if isinstance(name, str) else path, "propertyNames", f": the name {says}", sums, "")
        return
    value = at(meta, path)
    says, sums = _predicate(error, value)
    doubt = _value_doubt(kind, value)
    yield _fault(path, kind.name, says, sums, shown(value), f" ({MAY_DIFFER}: {doubt})" if doubt else "")


def _fault(path: Sequence[Any], rule: str, says: str, sums: str, value: str, note: str = "") -> Fault:
    real, field = path_of(path)
    subject = real or "the metadata"
    joint = "" if says.startswith(":") else f": {value} " if value else " "
    return Fault(field, rule, subject + joint + says + note, f"{field or 'the metadata'}: {sums}")


def _predicate(error: Any, value: Any) -> tuple[str, str]:
    """What is said of the value, and the same for all values."""
    kind = error.kind
    name = kind.name
    if name == "type":
        types = _in_order(kind.types)
        lost = " (it has more digits than a number can keep)" if _too_many_digits(types, value) else ""
        return (
            f"is no {_listed([_NO.get(word, word) for word in types])}{lost}",
            f"not {_listed([_NOT_A.get(word, word) for word in types])}",
        )
    if name == "enum":
        return f"is none of {options_of(kind.options)}", f"none of {options_of(kind.options)}"
    if name == "const":
        return f"is not {shown(kind.expected_value)}", f"not {shown(kind.expected_value)}"
    if name in _LIMITS:
        says, sums = _LIMITS[name]
        return says.format(shown(kind.limit)), sums.format(shown(kind.limit))
    if name == "multipleOf":
        return f"is no multiple of {shown(kind.multiple_of)}", f"no multiple of {shown(kind.multiple_of)}"
    if name == "pattern":
        return _pattern(kind)
    if name == "required":
        return f"lacks {cut(kind.property, MAX_VALUE)}", f"{cut(kind.property, MAX_VALUE)} is missing"
    if name in ("anyOf", "oneOf"):
        return _alternatives(kind, list(error.instance_path))
    return _PLAIN.get(name) or (
        f"does not fit: {cut(error.message, MAX_TEXT)}",
        f"does not fit `{cut(name, MAX_VALUE)}`",
    )


def _pattern(kind: Any) -> tuple[str, str]:
    pattern = getattr(kind, "pattern", None)
    if pattern is None:
        return "is too much for the schema's pattern: it could not be evaluated", "pattern can't be evaluated"
    return f"does not match {cut(pattern, 60)}", f"does not match {cut(pattern, 60)}"


def _alternatives(kind: Any, path: list[Any]) -> tuple[str, str]:
    branches = [list(branch) for branch in kind.context]
    if not all(branches):
        return "fits more than one of the schema's alternatives", "fits more than one alternative"
    own = [branch[0] for branch in branches]
    if all(len(branch) == 1 and list(branch[0].instance_path) == path for branch in branches):
        if all(error.kind.name == "type" for error in own):
            types = _in_order(list(dict.fromkeys(word for error in own for word in error.kind.types)))
            return (
                f"is no {_listed([_NO.get(word, word) for word in types])}",
                f"not {_listed([_NOT_A.get(word, word) for word in types])}",
            )
        if all(error.kind.name in ("enum", "const") for error in own):
            options = [
                option
                for error in own
                for option in (error.kind.options if error.kind.name == "enum" else [error.kind.expected_value])
            ]
            return f"is none of {options_of(options)}", f"none of {options_of(options)}"
    told = []
    for error in own[:MAX_BRANCHES]:
        where = path_of(list(error.instance_path)[len(path) :])[1]
        told.append(f"{where + ': ' if where else ''}{cut(_predicate(error, None)[1], 60)}")
    more = "; …" if len(own) > MAX_BRANCHES else ""
    sums = f"fits none of the schema's {len(branches)} alternatives ({'; '.join(told)}{more})"
    return sums, sums


def _too_many_digits(types: Sequence[str], value: Any) -> bool:
    return (
        "number" in types
        and isinstance(value, str)
        and sum(char.isdigit() for char in value) > 15
        and _is_number(value)
    )


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _value_doubt(kind: Any, value: Any) -> str:
    """Why another validator could see this value in another way; empty if none would."""
    if kind.name == "multipleOf":
        step = kind.multiple_of
        return "fractions are not exact" if isinstance(step, float) and not step.is_integer() else ""
    if kind.name != "pattern" or not isinstance(value, str):
        return ""
    pattern = getattr(kind, "pattern", None)
    if pattern is None:
        return "validators give up at different points"
    if not value.isascii() and any(mark in pattern for mark in PATTERN_CLASSES):
        return "validators differ on letters and digits outside ASCII"
    if value.endswith("\n") and "$" in pattern:
        return "validators differ on a line break at the end"
    return "validators differ on this pattern" if not python_knows(pattern) else ""


PATTERN_CLASSES = ("\\d", "\\D", "\\w", "\\W", "\\s", "\\S", "\\b", "\\B")


def python_knows(pattern: str) -> bool:
    """Whether Python's own regular expressions take a pattern: what a backend in Python validates with."""
    import re

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError, ValueError):
        return False
    return True
