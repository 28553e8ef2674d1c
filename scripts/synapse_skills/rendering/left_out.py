"""left_out.jsonl, counted for a page: which data units stay at home by consent, and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from synapse_skills.errors import FindingError, printable
from synapse_skills.rendering.sample import mark
from synapse_skills.texts import parse_json

MAX_EXAMPLES = 20


@dataclass
class LeftOut:
    """What stays at home by consent: how many data units, and by code how many and the first reasons."""

    units: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    marks: set[int] = field(default_factory=set)


def read_left_out(path: Path) -> LeftOut:
    """Count left_out.jsonl; no such file is nothing left out.

    Raises:
        FindingError: a line of it can't be read.
    """
    left = LeftOut()
    if not path.is_file():
        return left
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = parse_json(line, 0)
                unit, codes, why = (
                    str(row["unit"]),
                    sorted(set(map(str, row.get("codes", ())))),
                    str(row.get("why", "")),
                )
            except (ValueError, KeyError, TypeError, AttributeError):
                raise FindingError(
                    f"Line {number} of {printable(str(path))} can't be read.",
                    hint="Make the plan again with plan_upload; the file is not meant to be edited.",
                    code="bad-left-out",
                ) from None
            left.units += 1
            left.marks.add(mark(unit))
            for code in codes:
                left.codes[code] += 1
                examples = left.examples.setdefault(code, [])
                if len(examples) < MAX_EXAMPLES:
                    examples.append(why)
    return left
