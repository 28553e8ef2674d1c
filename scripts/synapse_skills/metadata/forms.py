"""One value in another form: text to numbers, words to true and false, dates to ISO.

Each function gives back the very value it was given if that can't be done, or can be meant in more than one way.
"""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import date, time
from decimal import Decimal
from typing import Any

from synapse_skills.metadata.plain import as_json

MAX_DIGITS = 4_000
# So many decimal digits come back from a float as they went in.
_SURELY_KEPT = 15
# Above it a float no longer holds every integer.
_EXACT = 2**53

_TRUE = {"true", "t", "yes", "y", "1", "on", "예", "네", "참", "o", "○"}
_FALSE = {"false", "f", "no", "n", "0", "off", "아니오", "아니요", "거짓", "x", "×"}
_WORDS = dict.fromkeys(_TRUE, True) | dict.fromkeys(_FALSE, False)
_INTEGER = re.compile(r"([+-]?[0-9]+)(?:\.0*)?")
_FRACTION = re.compile(r"-?[0-9]+\.[0-9]*[1-9]")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_DATE = re.compile(
    r"([0-9]{4})(?P<mark>\s*[-./]\s*|\s*년\s*)([0-9]{1,2})(?:\s*[-./]\s*|\s*월\s*)([0-9]{1,2})(?:\s*일|\.)?"
)
ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_COMPACT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(\.[0-9]{1,9})?)?(Z|z|[+-][0-9]{2}:?[0-9]{2})?")
_MIDNIGHT = re.compile(r"0{1,2}:00(?::00(?:\.0+)?)?")


def kind(value: Any) -> str:
    """The JSON type of a plain value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "array" if isinstance(value, list) else "object"


def integer(value: Any) -> Any:
    """As an integer: "45", "45.0" and 45.0, of any length; not "4.5", "1,000" or "1e3"."""
    if value.__class__ is str and value.isdigit() and value.isascii() and len(value) <= MAX_DIGITS:
        # Nearly every whole number in a table.
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    if isinstance(value, str) and (found := _INTEGER.fullmatch(value.strip())) and len(found[1]) <= MAX_DIGITS:
        return int(found[1])
    return value


def number(value: Any) -> Any:
    """As a number: "3.5" and "1e3", if a float keeps every digit."""
    if value.__class__ is str and len(value) <= _SURELY_KEPT and _FRACTION.fullmatch(value):
        # Nearly every measure in a table; zero in all its forms goes the long way.
        return float(value)
    whole = integer(value)
    if whole is not value or not isinstance(value, str):
        return whole
    text = value.strip()
    if not _NUMBER.fullmatch(text) or len(text) > MAX_DIGITS:
        return value
    number = float(text)
    if len(text) <= _SURELY_KEPT and number != 0 and "e" not in text and "E" not in text:
        return number
    # A text with more digits than a float keeps stays a text: the check will name it.
    return number if abs(number) != float("inf") and Decimal(repr(number)) == Decimal(text) else value


def boolean(value: Any) -> Any:
    """As true or false: words of English and Korean forms, O and X, 1 and 0."""
    if isinstance(value, str):
        if value in _WORDS:
            return _WORDS[value]
        word = unicodedata.normalize("NFC", value.strip()).casefold()
        return _WORDS.get(word, value)
    if isinstance(value, int | float) and not isinstance(value, bool) and value in (0, 1):
        return bool(value)
    return value


def string(value: Any, form: str) -> Any:
    """As text: 7 and 7.0 are "7"; true and false are not text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(value, float):
        whole = integer(value)
        if whole is value and value.is_integer():
            return value
        value, text = whole, repr(whole)
    else:
        text = str(value)
    return moment(text, form) if form == "date" else text


def moment(text: str, form: str) -> str:
    """A date or a date with a time as ISO writes it; the same text if it isn't plainly one."""
    if ISO_DATE.fullmatch(text):
        return text
    stripped = text.strip()
    found = _COMPACT.fullmatch(stripped)
    if found:
        day, rest = _day(*found.groups()), ""
    else:
        found = _DATE.match(stripped)
        if not found:
            return text
        day, rest = _day(found[1], found[3], found[4]), stripped[found.end() :]
    if day is None:
        return text
    clock = rest[1:].strip() if rest[:1] in ("T", "t", " ") else ""
    if rest and not clock:
        return text
    if form == "date":
        # Sheets give dates as midnight; any other time would be lost.
        return day if not clock or _MIDNIGHT.fullmatch(clock) else text
    return _with_time(day, clock) or text


def _day(year: str, month: str, day: str) -> str | None:
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return None


def _with_time(day: str, clock: str) -> str | None:
    found = _CLOCK.fullmatch(clock)
    if not found:
        return None
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    try:
        time(hour, minute, second)
    except ValueError:
        return None
    zone = (found[5] or "").upper()
    zone = f"{zone[:3]}:{zone[3:]}" if len(zone) == 5 else zone
    return f"{day}T{hour:02}:{minute:02}:{second:02}{found[4] or ''}{zone}"


def parsed(value: Any, kind: type) -> Any:
    """JSON in a cell, if it is of the wanted kind and has no key twice."""
    if not isinstance(value, str) or value.lstrip()[:1] != ("[" if kind is list else "{"):
        return value
    try:
        read = json.loads(value, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return value
    if not isinstance(read, kind):
        return value
    plain, unfit = as_json({"": read})
    return value if unfit else plain[""]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError("a key twice")
    return read


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 is 1.0, true is not 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def written(value: Any) -> str:
    """A simple value as a table's cell would show it."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        value = integer(value)
    return json.dumps(value)


def folded(text: str) -> str:
    """A text without its spaces and its upper case."""
    return "".join(unicodedata.normalize("NFC", text).casefold().split())
