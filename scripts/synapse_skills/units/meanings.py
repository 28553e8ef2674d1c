"""What the cells of a table mean, where the user has said that it is something else than they say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def translate(meta: dict[str, Any], values: Mapping[str, Mapping[str, Any]]) -> None:
    """Put what cells mean in the place of what they say.

    Args:
        meta: field → value of one row; changed in place.
        values: field → value as the table has it → value as it is sent; None leaves the field out.
    """
    for field, meanings in values.items():
        said = str(meta.get(field, "")).strip()
        if field not in meta or said not in meanings:
            continue
        if meanings[said] is None:
            del meta[field]
        else:
            meta[field] = meanings[said]
