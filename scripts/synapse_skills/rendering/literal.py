"""Values as Python source. Nothing but literals comes out: no name, path or label can become code."""

from __future__ import annotations

import math
from typing import Any

WIDTH = 110
INDENT = "    "


def literal(value: Any, *, depth: int = 0) -> str:
    """A Python literal, on one line where it fits, else one entry a line.

    `repr` keeps letters of any language readable and escapes whatever is not printable: line separators, directional
    marks, lone surrogates.

    Raises:
        TypeError: something that has no literal, such as NaN.
    """
    flat = _flat(value)
    if len(flat) + depth * len(INDENT) <= WIDTH - 20 or not isinstance(value, list | tuple | dict) or not value:
        return flat
    inner, outer = INDENT * (depth + 1), INDENT * depth
    if isinstance(value, dict):
        lines = [f"{inner}{_flat(key)}: {literal(item, depth=depth + 1)},\n" for key, item in value.items()]
        return "{\n" + "".join(lines) + outer + "}"
    lines = [f"{inner}{literal(item, depth=depth + 1)},\n" for item in value]
    left, right = "()" if isinstance(value, tuple) else "[]"
    return left + "\n" + "".join(lines) + outer + right


def _flat(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_flat, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(_flat, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flat(key)}: {_flat(item)}" for key, item in value.items()) + "}"
    if value is None or type(value) in (str, int, bool) or (type(value) is float and math.isfinite(value)):
        return repr(value)
    raise TypeError(f"{type(value).__name__} {value!r} has no Python literal")
