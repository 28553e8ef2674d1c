"""Metadata that is the same for every data unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Constants:
    """Gives every data unit the same values.

    Its `repr` is the Python source that makes it: rendered scripts are written with it.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = dict(values)

    def __call__(self, unit: object) -> dict[str, Any]:
        """The metadata of one data unit: a fresh dict each time."""
        return dict(self.values)

    def __repr__(self) -> str:
        return f"Constants({self.values!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constants) and type(other) is type(self) and other.values == self.values

    def __hash__(self) -> int:
        return hash(repr(self))
