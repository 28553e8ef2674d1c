"""Numbers as people read them: the same everywhere."""

from __future__ import annotations


def human_bytes(size: float) -> str:
    """`1.4 MB`, in steps of 1024 as file managers show them."""
    number = float(size)
    for unit in ("bytes", "KB", "MB", "GB"):
        if number < 1024:
            return f"{number:,.0f} {unit}" if unit == "bytes" else f"{number:,.1f} {unit}"
        number /= 1024
    return f"{number:,.1f} TB"
