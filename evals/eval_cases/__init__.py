"""The cases: what people ask for, the world they ask it in, and what must be so afterwards."""

from __future__ import annotations

from eval_cases import exports, exports_hard, plugins, uploads, uploads_hard
from eval_cases.case import Case

__all__ = ["CASES", "Case"]

CASES: dict[str, Case] = {
    case.name: case
    for case in (*uploads.CASES, *uploads_hard.CASES, *exports.CASES, *exports_hard.CASES, *plugins.CASES)
}
