"""`not_sent.jsonl` beside the report: each data unit that was set aside or given up, with the reason, however many."""

from __future__ import annotations

import json

from synapse_skills.errors import OutOfReach, printable, redact
from synapse_skills.job.running import report_denied
from synapse_skills.job.state import State
from synapse_skills.job.upload.tally import Tally

NOT_SENT = "not_sent.jsonl"


def write_not_sent(tally: Tally, state: State) -> OutOfReach | None:
    """Name all of them; no file where there are none. Why that failed, if it did."""
    beside = state.cache / f"{NOT_SENT}.new"
    try:
        empty = True
        with beside.open("w", encoding="utf-8") as lines:
            for key, outcome, reason in tally.not_sent():
                row = {"unit": key, "outcome": outcome, "reason": redact(printable(reason))}
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")
                empty = False
        if empty:
            state.store.delete(NOT_SENT)
        else:
            state.store.write(NOT_SENT, beside)
        beside.unlink(missing_ok=True)
    except (OSError, OutOfReach) as caught:
        return report_denied(NOT_SENT, state.name, caught, "Free some disk space, then run it again.")
    return None
