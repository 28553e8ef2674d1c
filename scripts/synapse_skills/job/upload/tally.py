"""What this run has planned and what became of it: rows, not sets, so that memory does not grow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from synapse_skills.job.upload.ledger import UNKNOWN_TASK, Ledger

_COUNTS = """
SELECT
  count(*),
  sum(u.state = 'created' AND u.run = :run AND NOT u.matched),
  sum(u.state = 'created' AND (u.run <> :run OR u.matched)),
  sum(u.state IS NOT 'created' AND (u.state IN ('failed', 'unknown') OR p.verdict = 'failed')),
  sum(u.state IS NOT 'created' AND u.state IS NOT 'failed' AND u.state IS NOT 'unknown' AND p.verdict = 'quarantined'),
  sum(u.state = 'created' AND u.task_id IS NOT NULL)
FROM planned p LEFT JOIN unit u ON u.key = p.key
"""

_NOT_SENT = """
SELECT
  p.key,
  CASE WHEN u.state = 'unknown' THEN 'unknown' WHEN u.state = 'failed' THEN 'failed' ELSE p.verdict END,
  coalesce(CASE WHEN u.state IN ('failed', 'unknown') THEN u.reason END, p.reason, '')
FROM planned p LEFT JOIN unit u ON u.key = p.key
WHERE u.state IS NOT 'created' AND (u.state IN ('failed', 'unknown') OR p.verdict <> 'ready')
ORDER BY p.key
"""


@dataclass(frozen=True)
class Counts:
    """Data units of this run; `planned` is the sum of all others but `with_task`."""

    planned: int
    created: int
    already: int
    failed: int
    quarantined: int
    with_task: int

    @property
    def pending(self) -> int:
        """What is still to be done."""
        return self.planned - self.created - self.already - self.failed - self.quarantined


class Tally:
    """The planned data units of one run, in temporary tables beside the ledger's."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        ledger.commit()
        ledger.db.executescript(
            "DROP TABLE IF EXISTS temp.planned; DROP TABLE IF EXISTS temp.left_out;"
            "CREATE TEMP TABLE planned(key TEXT PRIMARY KEY, verdict TEXT NOT NULL, reason TEXT) WITHOUT ROWID;"
            "CREATE TEMP TABLE left_out"
            "(key TEXT PRIMARY KEY, why TEXT NOT NULL, met INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"
        )

    def leave_out(self, units: Iterable[tuple[str, str]]) -> None:
        """Data units that stay at home by consent, with why."""
        self.ledger.write_many("INSERT OR IGNORE INTO left_out(key, why) VALUES (?, ?)", units)

    def is_left_out(self, key: str) -> bool:
        """Whether a data unit stays at home; counts it."""
        found = self.ledger.db.execute("SELECT 1 FROM left_out WHERE key=?", (key,)).fetchone()
        if found:
            self.ledger.write("UPDATE left_out SET met=1 WHERE key=?", (key,))
        return bool(found)

    def left_out(self) -> int:
        """How many data units were found and stay at home."""
        return int(self.ledger.db.execute("SELECT count(*) FROM left_out WHERE met").fetchone()[0])

    def at_home(self, most: int) -> list[str]:
        """The first of those, with why."""
        query = "SELECT key, why FROM left_out WHERE met ORDER BY key LIMIT ?"
        rows = self.ledger.db.execute(query, (most,))
        return [why if why.startswith(key) else f"{key}: {why}" if why else str(key) for key, why in rows]

    def plan(self, key: str, verdict: str, reason: str | None = None) -> None:
        """Count a data unit: `ready`, `quarantined` or `failed`, and why."""
        self.ledger.write("INSERT OR REPLACE INTO planned VALUES (?, ?, ?)", (key, verdict, reason))

    def verdict(self, key: str) -> str | None:
        """What was said of a data unit, None if it is not planned."""
        row = self.ledger.db.execute("SELECT verdict FROM planned WHERE key=?", (key,)).fetchone()
        return str(row[0]) if row else None

    def in_state(self, state: str) -> Iterator[tuple[str, str]]:
        """Planned data units in a ledger state: key and reason."""
        rows = self.ledger.db.execute(
            "SELECT p.key, coalesce(u.reason, '') FROM planned p JOIN unit u ON u.key = p.key WHERE u.state=? "
            "ORDER BY p.key",
            (state,),
        )
        yield from rows

    def not_sent(self) -> Iterator[tuple[str, str, str]]:
        """Planned data units that this run has set aside or given up: key, `failed` or so, and the reason."""
        yield from self.ledger.db.execute(_NOT_SENT)

    def without_task(self) -> Iterator[tuple[str, bool]]:
        """Planned data units that are on the server and have no task: key, and whether one may be there unseen."""
        rows = self.ledger.db.execute(
            "SELECT p.key, u.task_batch IS ? FROM planned p JOIN unit u ON u.key = p.key "
            "WHERE u.state='created' AND u.task_id IS NULL ORDER BY p.key",
            (UNKNOWN_TASK,),
        )
        for key, unknown in rows:
            yield key, bool(unknown)

    def counts(self) -> Counts:
        """Where the planned data units stand now."""
        row = self.ledger.db.execute(_COUNTS, {"run": self.ledger.current_run}).fetchone()
        return Counts(*(int(value or 0) for value in row))
