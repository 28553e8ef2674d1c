"""What became of the data units of an upload, read from its ledger without changing it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from synapse_skills.sources.reading import ReadOnly


@dataclass(frozen=True)
class UnitOutcome:
    """Where one data unit stands; `state` is the ledger's word for it."""

    key: str
    state: str
    server_id: int | None = None
    task_id: int | None = None
    reason: str = ""


_COLUMNS = "key, state, server_id, task_id, coalesce(reason, '')"


class Outcome(ReadOnly):
    """The ledger of an upload that has run, or is running."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "ledger")

    def counts(self) -> dict[str, int]:
        """How many data units are in each state."""
        return dict(self.rows("SELECT state, count(*) FROM unit GROUP BY state ORDER BY state"))

    def knows(self, key: str) -> bool:
        """Whether a data unit has got as far as the ledger: those that were not fit to be sent have not."""
        return bool(self.rows("SELECT 1 FROM unit WHERE key = ?", (key,)))

    def arrived(self, most: int) -> list[UnitOutcome]:
        """Data units that are on the backend, at most so many, spread evenly over all of them."""
        total = self.counts().get("created", 0)
        # Row number n is taken where n * most / total reaches another whole number: exactly `most` of them.
        rows = self.rows(
            f"SELECT {_COLUMNS} FROM (SELECT *, row_number() OVER (ORDER BY key) - 1 AS n FROM unit "  # noqa: S608
            "WHERE state = 'created') WHERE n = 0 OR n * :most / :total > (n - 1) * :most / :total ORDER BY key",
            {"most": min(most, total), "total": max(total, 1)},
        )
        return [UnitOutcome(*row) for row in rows]

    def not_arrived(self, most: int) -> list[UnitOutcome]:
        """Data units that were to be sent and are not known to be on the backend, at most so many."""
        rows = self.rows(
            f"SELECT {_COLUMNS} FROM unit WHERE state <> 'created' ORDER BY key LIMIT ?",  # noqa: S608
            (most,),
        )
        return [UnitOutcome(*row) for row in rows]
