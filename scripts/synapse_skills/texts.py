"""Numbers as people read them, and JSON that nobody has checked yet: the same everywhere."""

from __future__ import annotations

import json
from typing import Any

DEEPEST = 400
"""Python writes no JSON that is nested twice as deep."""


def human_bytes(size: float) -> str:
    """`1.4 MB`, in steps of 1024 as file managers show them."""
    number = float(size)
    for unit in ("bytes", "KB", "MB", "GB"):
        if number < 1024:
            return f"{number:,.0f} {unit}" if unit == "bytes" else f"{number:,.1f} {unit}"
        number /= 1024
    return f"{number:,.1f} TB"


def parse_json(content: str | bytes, deepest: int = DEEPEST) -> Any:
    """JSON from outside, or from a file that somebody may have edited.

    Args:
        content: UTF-8.
        deepest: so many brackets inside each other are taken; 0 for as many as can be read.

    Raises:
        ValueError: it is none, or nested too deeply: `json` itself ends in another error then, here or when the value
            is written again.
    """
    try:
        document = json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if deepest and _is_deep(document, deepest):
        raise ValueError("it is nested too deeply")
    return document


def _is_deep(document: Any, deepest: int) -> bool:
    level = [document]
    for _ in range(deepest + 1):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True
