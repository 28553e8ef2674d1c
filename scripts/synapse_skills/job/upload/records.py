"""The records of a journal by their shape: it is the truth of an upload, so nothing in it is guessed at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Check = Callable[[Any], bool]
MOST = 2**63 - 1


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and -MOST <= value <= MOST


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and -MOST <= value <= MOST


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _rows(*columns: Check) -> Check:
    def fits(row: Any) -> bool:
        if not isinstance(row, list) or len(row) != len(columns):
            return False
        return all(check(value) for check, value in zip(columns, row, strict=True))

    return _list_of(fits)


_TEXTS = _list_of(_text)
_MADE = _rows(_text, _whole)
_SENT = _rows(_text, _text, _text_or_none)
_SHAPES: dict[str, dict[str, Check]] = {
    "lookup": {"echo": _TEXTS, "rising": _whole},
    "intent": {"batch": _text, "kind": _text, "floor": _whole, "at": _number},
    "unanswered": {"batch": _text, "at": _number},
    "answer": {"batch": _text, "ids": _MADE},
    "refused": {"batch": _text},
    "settled": {"batches": _TEXTS, "created": _MADE, "unknown": _whole},
    "failed": {"unit": _text, "reason": _text_or_none},
    "listed": {"newest": _whole},
    "matched": {"units": _rows(_text, _whole, _text_or_none)},
    "retry": {"units": _TEXTS},
}
_OPTIONAL: dict[str, dict[str, Check]] = {
    "settled": {"tasks": _MADE, "doubtful": _TEXTS},
    "failed": {"basis": _text_or_none},
}


def check_record(record: Any) -> None:
    """See that a record of a journal is one; kinds that a later version may add are let through.

    Raises:
        ValueError: it is none, and which part of it is not.
    """
    if not isinstance(record, dict) or not isinstance(record.get("t"), str):
        raise ValueError("not a record")
    kind = record["t"]
    checks = dict(_SHAPES.get(kind, {}))
    checks |= {name: check for name, check in _OPTIONAL.get(kind, {}).items() if name in record}
    if kind == "intent":
        checks["units"] = _TEXTS if record.get("kind") == "task" else _SENT
    for name, check in checks.items():
        if not check(record.get(name)):
            raise ValueError(f"{kind}.{name} is not what was written")
