"""A ledger whose disk is full: what it had applied and lost again is read from the journal by the next run.

SQLite takes back the whole transaction when the disk is full. Whoever went on with the next record, and noted that the
journal is read up to there, had forgotten creates that were sent: the next run made their data units a second time.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from synapse_skills.job.upload.journal import Journal
from synapse_skills.job.upload.ledger import Ledger


def intent(number: int, units: int) -> dict[str, Any]:
    keys = [f"unit {number} {each} {'x' * 200}" for each in range(units)]
    sent = [[key, "a.b.c.d", "basis"] for key in keys]
    return {"t": "intent", "batch": f"b{number}", "kind": "unit", "floor": 0, "at": 1.0, "units": sent}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(tmp_path / "ledger.sqlite", Journal(tmp_path / "journal"))
    made.start_run({"t": "job"})
    pages = made.db.execute("PRAGMA page_count").fetchone()[0]
    made.db.execute(f"PRAGMA max_page_count = {pages + 8}")
    return made


def test_nothing_that_was_sent_is_forgotten(ledger: Ledger, tmp_path: Path) -> None:
    written = 0
    with pytest.raises(sqlite3.OperationalError, match="full"):
        for number in range(1000):
            written += 1
            ledger.record(intent(number, 5))
    # Small ones would still fit: they must not get in before those that are lost.
    for number in range(1000, 1003):
        written += 1
        with pytest.raises(sqlite3.OperationalError, match="full"):
            ledger.record(intent(number, 1))
    with pytest.raises(sqlite3.OperationalError):
        ledger.close()
    ledger.journal.close()
    again = Ledger(tmp_path / "ledger.sqlite", Journal(tmp_path / "journal"))
    again.catch_up()
    assert len(again.unsettled()) == written
    assert again.units_of("b0") and again.units_of("b1002")


def test_half_of_a_record_is_never_kept(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second Ctrl-C in the middle of one."""
    ledger.record(intent(1, 2))

    def interrupted(*args: object) -> None:
        with ledger._whole():
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "write_many", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ledger.record(intent(2, 2))
    with pytest.raises(sqlite3.OperationalError, match="broken off"):
        ledger.record(intent(3, 2))
    with pytest.raises(sqlite3.OperationalError):
        ledger.close()
    again = Ledger(tmp_path / "ledger.sqlite", Journal(tmp_path / "journal"))
    again.catch_up()
    assert [len(again.units_of(f"b{number}")) for number in (1, 2, 3)] == [2, 2, 2]
