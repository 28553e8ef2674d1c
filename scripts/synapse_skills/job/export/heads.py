"""The first line of a page in the spool: what it says of itself, checked, because a hand may have been at it."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from synapse_skills.texts import parse_json

_Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Length = Annotated[int, msgspec.Meta(ge=0, le=2**48)]
HeadRow = tuple[int, int, int, int, int, str]
"""Key, length, checksum, id, whether it lacks its payload, version."""
_NEEDS = {
    "asked": {"asked"},
    "begin": {"ranges", "count", "low", "high"},
    "range": {"low", "high"},
    "page": {"next"},
    "sizes": {"sizes"},
    "gone": {"keys"},
}


class _Head(msgspec.Struct):
    rows: list[tuple[_Whole, _Length, int, _Whole, int, str]]
    t: str = ""
    asked: dict[str, Any] = {}
    ranges: bool = False
    count: _Length | None = None
    low: _Whole = 0
    high: _Whole = 0
    next: dict[str, str] | None = None
    sizes: list[tuple[_Whole, str, _Length, _Length]] = []
    keys: list[_Whole] = []


def read_head(line: bytes) -> tuple[dict[str, Any], list[HeadRow]]:
    """What a page says of itself, and where its rows lie.

    Raises:
        ValueError: it is no such line.
    """
    facts = parse_json(line)
    head = msgspec.convert(facts, _Head)
    if not _NEEDS.get(head.t, set()) <= facts.keys():
        raise ValueError(f"a page of the kind {head.t} lacks something")
    del facts["rows"]
    return facts, head.rows
