"""What is made from the cases for others."""

from __future__ import annotations

from pathlib import Path


def stale() -> list[Path]:
    """What is not as the cases would make it now."""
    return []


def write() -> list[Path]:
    """Make it."""
    return []
