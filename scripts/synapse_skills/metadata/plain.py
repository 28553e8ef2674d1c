"""Metadata as the backend will read it: what has been through here is what is validated and what is sent.

Most metadata is made of plain values already (text, numbers, true, false, null in a dict): it is looked at, not
written and read again, which would cost ten times the validation. Everything else goes through JSON, field by field.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from synapse_skills.errors import printable
from synapse_skills.metadata.faults import Fault

# The validator refuses 256 levels; nobody's metadata has fifty.
MAX_DEPTH = 200
# JSON readers in Python refuse integers of more than 4,300 digits.
MAX_BITS = 14_000
HUGE = 1 << MAX_BITS
_NOTHING: Mapping[str, Any] = {}


class NotJson(ValueError):
    """A value that can't be sent."""


def finite(text: str) -> float:
    """A number as JSON and YAML write it; `1e999` is none.

    Raises:
        ValueError: too large for a number.
    """
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text:.60} is too large a number")
    return number


def as_json(meta: Mapping[Any, Any], base: Mapping[str, Any] = _NOTHING) -> tuple[dict[str, Any], list[Fault]]:
    """A copy of the metadata in plain JSON values, and what can't be sent.

    Tuples become lists, keys become text, enums their values. The copy shares nothing that could be changed later.

    Args:
        meta: what was described.
        base: plain values that the copy begins with; those of `meta` win.
    """
    try:
        return plain_dict(meta, base), []
    except Odd:
        return through_json(meta, base)


class Odd(Exception):
    """Not made of plain values: it takes the long way."""


def plain_dict(meta: Mapping[Any, Any], base: Mapping[str, Any] = _NOTHING) -> dict[str, Any]:
    """A copy of metadata that is made of plain values; raises `Odd` if it isn't."""
    # This loop is most of what a data unit's metadata costs: it changes nothing but what is nested.
    copy: dict[str, Any] = {**base, **meta}
    for key, value in meta.items():
        if key.__class__ is not str or not (key.isascii() or is_utf8(key)):
            raise Odd
        kind = value.__class__
        if kind is str:
            if not (value.isascii() or is_utf8(value)):
                raise Odd
        elif kind is int:
            if not -HUGE < value < HUGE:
                raise Odd
        elif kind is float:
            # NaN and the infinities are the only numbers that are not 0 when taken from themselves.
            if value - value != 0:
                raise Odd
        elif kind is not bool and value is not None:
            copy[key] = _copied(value, 1)
    return copy


def _copied(value: Any, depth: int) -> Any:
    kind = type(value)
    if depth > MAX_DEPTH:
        raise Odd
    if kind is list:
        return [_copied(item, depth + 1) for item in value]
    if kind is dict:
        if not all(type(key) is str and is_utf8(key) for key in value):
            raise Odd
        return {key: _copied(item, depth + 1) for key, item in value.items()}
    if value is None or kind is bool:
        return value
    if (
        (kind is str and is_utf8(value))
        or (kind is int and -HUGE < value < HUGE)
        or (kind is float and value - value == 0)
    ):
        return value
    raise Odd


def is_utf8(text: str) -> bool:
    """Whether a text can be sent: half a surrogate pair can't."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def through_json(meta: Mapping[Any, Any], base: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """The same through JSON, field by field, and what can't be sent."""
    copy: dict[str, Any] = dict(base)
    faults: list[Fault] = []
    seen: set[str] = set()
    for key, value in meta.items():
        try:
            read = _read_back(key, value)
            if not seen.isdisjoint(read):
                raise NotJson("two keys are the same name in JSON, and only one value could be sent")
            seen.update(read)
            copy.update(read)
        except NotJson as error:
            name = printable(str(key))[:80]
            faults.append(Fault(name, "not-json", f"{name}: {error}", f"{name}: can't be sent"))
    return copy, faults


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        # 1 and "1" are two keys in Python and one in JSON.
        raise NotJson("two keys are the same name in JSON, and only one value could be sent")
    return found


def _read_back(key: Any, value: Any) -> dict[str, Any]:
    try:
        text = json.dumps({key: value}, allow_nan=False, ensure_ascii=False)
        # Half a surrogate pair (a name that was not UTF-8, say) is text for Python and for nobody else.
        text.encode()
        return plain_dict(json.loads(text, object_pairs_hook=_unique))
    except UnicodeEncodeError as error:
        raise NotJson(f"not UTF-8: {error.object[max(0, error.start - 20) : error.end]!r}") from None
    except NotJson:
        raise
    except (RecursionError, Odd):
        raise NotJson("not JSON: nested too deeply, or a number of thousands of digits") from None
    except (TypeError, ValueError) as error:
        raise NotJson(f"not JSON: {str(error)[:120]}") from None
