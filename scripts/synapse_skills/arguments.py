"""Values of command lines, checked as argparse wants it."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def whole_number(least: int = 1, most: int | None = None) -> Callable[[str], int]:
    """A type for `add_argument`: a whole number in these bounds, whose error says what is wanted."""
    wanted = f"a whole number from {least} up" if most is None else f"a whole number from {least} to {most}"

    def read(text: str) -> int:
        value = int(text) if text.isdecimal() else -1
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"{wanted} is wanted")
        return value

    return read
