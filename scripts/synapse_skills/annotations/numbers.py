"""Numbers of a payload, taken as they are or refused with a word on what is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MAX_COORDINATE = 1e9
"""No picture or place is larger: what is beyond is a broken number, and would break the formats."""

MAX_INDEX = 2**40


class Bad(Exception):
    """A geometry that can't be understood; the message is the detail of its issue."""


def number(holder: Mapping[str, Any], key: str, *, limit: float | None = MAX_COORDINATE) -> float:
    """A finite number of reasonable size.

    Raises:
        Bad: it is missing, or anything else.
    """
    value = holder.get(key)
    if type(value) is float or type(value) is int:
        if limit is not None:
            if -limit <= value <= limit:
                return float(value)
        elif -1e300 <= value <= 1e300:
            return float(value)
    raise Bad(f"{key} is missing" if value is None and key not in holder else f"{key} is {shown(value)}")


def whole(value: object) -> int:
    """An index: a whole number from 0.

    Raises:
        Bad: it is anything else.
    """
    if type(value) is int and 0 <= value <= MAX_INDEX:
        return value
    if type(value) is float and value.is_integer() and 0 <= value <= MAX_INDEX:
        return int(value)
    raise Bad(f"an index is {shown(value)}")


def shown(value: object) -> str:
    """A value as a message shows it, short and without its contents where it may be long or private."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        if isinstance(value, int) and abs(value) > 10**18:
            return "a huge number"
        if not math.isfinite(value):
            return "not a number" if math.isnan(value) else "infinite"
        return f"{value:g}"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "an object" if isinstance(value, Mapping) else "not there"
