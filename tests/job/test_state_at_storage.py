"""The state at a storage: what the journal has promised is there after any kill, in order, once, and one run has it."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from job_fixture import killing
from remote_fixture import MixedJob
from sources.trees import Front, MemoryTree
from synapse_skills.errors import OutOfReach
from synapse_skills.job import lease as leases
from synapse_skills.job.lease import Lease, Taken
from synapse_skills.job.state import State
from synapse_skills.job.upload import segments
from synapse_skills.job.upload.journal import DamagedJournal, Journal
from synapse_skills.job.upload.ledger import Ledger
from synapse_skills.job.upload.segments import StoreSegments
from synapse_skills.sources import open_store

# Slow, each with a quicker neighbour that runs every day.
pytestmark = pytest.mark.heavy

UNITS = 6
JOURNAL = "synapse_skills.job.upload.journal:Journal.append"
POST = "synapse_skills.backend.api:Api.post_once"
WRITE = "synapse_skills.sources.store:RemoteStore.write"
CREATE = "synapse_skills.sources.store:RemoteStore.create"


class Kept:
    """A state in memory, written by as many runs as a test likes."""

    def __init__(self) -> None:
        self.tree = MemoryTree()
        self.store = open_store(f"{self.tree.url}/state")

    def journal(self) -> Journal:
        return Journal(StoreSegments(self.store))

    def records(self, marks: dict[str, int] | None = None) -> list[Any]:
        return [record["n"] for _, _, record in self.journal().read(marks or {}) if "n" in record]

    def write(self, *numbers: int) -> Journal:
        journal = self.journal()
        journal.open({"t": "job"})
        for number in numbers:
            journal.append({"t": "x", "n": number})
        return journal

    def names(self) -> list[str]:
        return [stored.name for stored in self.store.list("journal")]


@pytest.fixture
def kept() -> Kept:
    return Kept()


# ---- what goes wrong


def test_a_record_that_is_missing_in_the_middle_is_damage(kept: Kept) -> None:
    kept.write(1, 2, 3)
    kept.store.delete(kept.names()[1])
    with pytest.raises(DamagedJournal, match="lacks record 2"):
        kept.records()


def test_a_torn_last_record_never_happened_and_a_torn_earlier_one_is_damage(kept: Kept) -> None:
    kept.write(1, 2, 3)
    *_, before, last = kept.names()
    kept.store.write(last, b'{"t":"x","n"')
    assert kept.records() == [1, 2]
    kept.store.write(before, b'{"t":"x","n"')
    with pytest.raises(DamagedJournal):
        kept.records()


def test_after_a_failed_write_nothing_more_is_taken(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = kept.write(1)

    def refuse(name: str, content: bytes) -> None:
        raise OutOfReach("away", code="source-timeout")

    monkeypatch.setattr(kept.store, "write", refuse)
    with pytest.raises(OutOfReach):
        journal.append({"t": "x", "n": 2})
    monkeypatch.undo()
    with pytest.raises(OSError, match="no more records"):
        journal.append({"t": "x", "n": 3})
    assert kept.records() == [1]


def test_a_block_that_is_not_whole_is_not_believed(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "BLOCK", 4)
    kept.write(*range(1, 10))
    blocks = [name for name in kept.names() if "-0" in name.rpartition("/")[2]]
    assert len(blocks) == 2
    assert kept.records() == list(range(1, 10))
    kept.store.write(blocks[0], b'{"t":"x","n":77}\n')
    assert kept.records() == list(range(1, 10))
    kept.store.delete(blocks[1])
    assert kept.records() == list(range(1, 10))


def test_a_write_that_was_repeated_counts_once(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    write = kept.store.write

    def twice(name: str, content: Any) -> None:
        write(name, content)
        write(name, content)

    monkeypatch.setattr(kept.store, "write", twice)
    kept.write(1, 2, 3)
    assert kept.records() == [1, 2, 3]


def test_two_runs_never_share_a_segment(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_000.0)
    one, other = kept.journal(), kept.journal()
    monkeypatch.setattr(StoreSegments, "_listed", lambda self: {})  # neither sees the other yet
    one.open({"t": "job"})
    other.open({"t": "job"})
    assert one.position[0] != other.position[0]
    assert one.next_batch() != other.next_batch()


def test_a_record_that_shows_late_is_applied_in_its_place(kept: Kept, tmp_path: Path) -> None:
    first = kept.write()
    late = {"t": "intent", "batch": "b1", "kind": "unit", "floor": 0, "at": 1.0, "units": [["a", "p.m.c.g", "x"]]}
    second = kept.journal()
    ledger = Ledger(tmp_path / "ledger.sqlite", second)
    ledger.catch_up()
    ledger.start_run({"t": "job"})
    ledger.record({**late, "batch": "b2"})
    ledger.record({"t": "answer", "batch": "b2", "ids": [["a", 9]]})
    ledger.commit()
    # A write that the first run had given up arrives now.
    first.append(late)
    ledger.catch_up()
    assert ledger.standing("a").state == "created"
    assert ledger.standing("a").server_id == 9


def test_the_ledger_goes_on_from_its_mark(kept: Kept) -> None:
    journal = kept.write(1, 2)
    marks = {journal.position[0]: journal.position[1]}
    journal.append({"t": "x", "n": 3})
    kept.write(4)
    assert kept.records(marks) == [3, 4]


def test_setting_aside_is_one_write(kept: Kept) -> None:
    kept.write(1)
    journal = kept.journal()
    assert journal.set_aside()
    assert journal.empty
    assert kept.records() == []
    kept.write(2)
    assert kept.records() == [2]
    assert journal.set_aside()
    assert kept.records() == []
    assert len(kept.names()) == 5  # nothing was deleted: two runs of two records, and what says that they are aside


# ---- one run at a time


def test_a_lease_at_a_storage(kept: Kept) -> None:
    mine = Lease(kept.store, machine="here", beat_s=0.05, stale_s=0.4)
    mine.take()
    with pytest.raises(Taken):
        Lease(kept.store, machine="there", beat_s=0.05, stale_s=0.4).take()
    mine.fence()
    mine.release()
    assert kept.store.read(leases.NAME) is None


def test_two_runs_here_share_a_lock_and_two_containers_do_not(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{kept.tree.url}/state"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "one"))
    with State(url) as state:
        first = json.loads(state.store.read(leases.NAME) or b"")["machine"]
        assert state.cache.is_relative_to(tmp_path / "one")
        assert not any(tmp_path.rglob("lease.json"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    with State(url) as state:
        assert json.loads(state.store.read(leases.NAME) or b"")["machine"] != first


# ---- exactly once


def at_storage(mixed: MixedJob) -> MixedJob:
    mixed.plan_with(state=f"{mixed.tree.url}/state")
    return mixed


def report(mixed: MixedJob) -> dict[str, Any]:
    return dict(json.loads(open_store(f"{mixed.tree.url}/state").read("report.json") or b""))


KILLED_AT = [
    (POST, 2, "after"),
    *(
        pytest.param(*step, marks=pytest.mark.heavy)
        for step in [
            (CREATE, 1, "after"),  # lease
            (WRITE, 1, "after"),
            (JOURNAL, 1, "before"),
            (JOURNAL, 1, "after"),
            (JOURNAL, 3, "before"),  # canary's intent
            (JOURNAL, 3, "after"),
            (POST, 1, "after"),
            (JOURNAL, 4, "before"),
            (JOURNAL, 5, "after"),
            (JOURNAL, 6, "after"),
            (JOURNAL, 7, "before"),
            (POST, 3, "after"),
            ("synapse_skills.job.upload.command:write_report", 1, "before"),
        ]
    ),
]


@pytest.mark.parametrize(("target", "nth", "when"), KILLED_AT, ids=lambda value: str(value).rpartition(":")[2])
def test_killed_with_its_state_at_a_storage(mixed: MixedJob, target: str, nth: int, when: str) -> None:
    at_storage(mixed).units(UNITS)
    mixed.run(before=killing(target, nth, when=when), expect=-signal.SIGKILL)
    # The next run is on another machine: no ledger, no files that were confirmed, no lock.
    shutil.rmtree(mixed.folder / "user", ignore_errors=True)
    mixed.run(before=impatient)
    assert mixed.there() == mixed.wanted()
    done = report(mixed)
    assert done["created"] + done["already"] == UNITS


def impatient() -> None:
    """A dead run elsewhere is watched for a second, not for thirty."""
    init = Lease.__init__

    def made(self: Lease, *args: Any, **more: Any) -> None:
        init(self, *args, **more | {"beat_s": 0.1, "stale_s": 0.5})

    Lease.__init__ = made  # type: ignore[method-assign]


@pytest.mark.heavy
@pytest.mark.parametrize("seed", range(6))
def test_killed_at_random_with_its_state_at_a_storage(mixed: MixedJob, seed: int) -> None:
    at_storage(mixed).units(20)
    rng = random.Random(seed)
    for _ in range(3):
        process = mixed.start(before=impatient)
        end = time.monotonic() + rng.uniform(0.3, 3)
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if rng.random() < 0.5:
            shutil.rmtree(mixed.folder / "user", ignore_errors=True)
    mixed.run(before=impatient)
    assert mixed.there() == mixed.wanted()


@pytest.mark.heavy
def test_ledger_and_journal_lost_the_collection_is_matched(mixed: MixedJob) -> None:
    at_storage(mixed).units(UNITS)
    mixed.run()
    shutil.rmtree(mixed.folder / "user")
    for key in list(mixed.tree._backend.get_bucket(mixed.tree.bucket).keys):
        if "/state/" in key:
            mixed.tree._backend.delete_object(mixed.tree.bucket, key)
    mixed.run()
    assert mixed.there() == mixed.wanted()
    assert report(mixed)["already"] == UNITS


@pytest.mark.heavy
def test_a_storage_that_goes_away_ends_the_run_and_the_next_goes_on(mixed: MixedJob, s3: Front) -> None:
    at_storage(mixed).units(UNITS)

    def away_after_the_canary() -> None:
        from synapse_skills.sources.store import RemoteStore

        write, count = RemoteStore.write, iter(range(1_000))

        def written(self: RemoteStore, name: str, content: Any) -> None:
            if "journal/" in name and next(count) >= 5:
                raise OutOfReach("it does not answer in time", code="source-timeout")
            write(self, name, content)

        RemoteStore.write = written  # type: ignore[method-assign]

    done = mixed.run(before=away_after_the_canary, expect=3)
    assert "does not answer" in done.stderr
    mixed.run()
    assert mixed.there() == mixed.wanted()


@pytest.mark.heavy
def test_a_dry_run_and_fresh_with_the_state_at_a_storage(mixed: MixedJob) -> None:
    at_storage(mixed).units(UNITS)
    mixed.run("--dry-run")
    assert report(mixed)["mode"] == "dry-run"
    mixed.run()
    mixed.run("--fresh")
    assert mixed.there() == mixed.wanted()
    assert report(mixed)["already"] == UNITS
