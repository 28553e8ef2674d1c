"""Every data unit that a run sets aside or gives up is named with its reason, not only the first three."""

from __future__ import annotations

import json
from typing import Any

import pytest

from job_fixture import Job
from synapse_skills.errors import OutOfReach
from synapse_skills.job.upload.ledger import Ledger
from synapse_skills.job.upload.not_sent import NOT_SENT, write_not_sent
from synapse_skills.job.upload.tally import Tally


def named(job: Job) -> dict[str, tuple[str, str]]:
    path = job.state / NOT_SENT
    rows: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    assert [row["unit"] for row in rows] == sorted(row["unit"] for row in rows)
    return {row["unit"]: (row["outcome"], row["reason"]) for row in rows}


def test_all_of_them_are_named_and_none_once_they_have_arrived(job: Job) -> None:
    job.units(12)
    refused = {f"patient_{number:03d}" for number in (1, 3, 5, 7, 9)}
    for key in refused:
        (job.source / key / "image.png").rename(job.source / key / "odd.png")
    job.unit("patient_011", {"image.png": b"", "label.json": b"{}"})
    (job.source / "patient_010" / "label.json").unlink()
    job.run("--dry-run", expect=1)
    assert not (job.state / NOT_SENT).exists(), "a dry run gives nothing up"
    job.box.set_faults({"kind": "poison", "contains": "odd.png"})
    job.run(expect=5)
    found = named(job)
    assert {key for key, (outcome, _) in found.items() if outcome == "failed"} == refused
    assert all("400" in reason for outcome, reason in found.values() if outcome == "failed")
    assert {key for key, (outcome, _) in found.items() if outcome == "quarantined"} == {"patient_010", "patient_011"}
    assert "label_1" in found["patient_010"][1] and found["patient_011"][1]
    report = job.report()
    assert report["failed"] + report["quarantined"] == len(found)
    job.box.set_faults()
    job.unit("patient_011")
    (job.source / "patient_010" / "label.json").write_bytes(b'{"a": 1}')
    job.run("--retry-failed")
    assert not (job.state / NOT_SENT).exists()


def test_a_list_that_cannot_be_written_is_said(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    from synapse_skills.job.state import State
    from synapse_skills.job.upload.journal import Journal

    with State(job.state) as state:
        ledger = Ledger(state.cache / "ledger.sqlite", Journal(state.store, "me"))
        tally = Tally(ledger)
        tally.plan("a", "quarantined", "it is empty")
        monkeypatch.setattr(type(state.store), "write", _full)
        denied = write_not_sent(tally, state)
        ledger.close()
    assert isinstance(denied, OutOfReach)
    assert denied.code == "report-denied" and "No space left" in str(denied)


def _full(*args: Any) -> None:
    raise OSError(28, "No space left on device")
