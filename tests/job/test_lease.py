"""One run at a time, across machines: the lease on a state folder, and where SQLite files lie."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from synapse_skills.job import lease as leases
from synapse_skills.job.lease import Lease, Taken
from synapse_skills.job.places import cache_for, on_network
from synapse_skills.job.state import AlreadyRunning, State
from synapse_skills.job.upload.journal import Journal
from synapse_skills.report import write_json
from synapse_skills.sources import LocalStore

BEAT, STALE = 0.05, 0.4


def lease(folder: Path, **given: Any) -> Lease:
    return Lease(LocalStore(folder), beat_s=BEAT, stale_s=STALE, **given)


def elsewhere(folder: Path, beat: int = 1) -> None:
    """What a run on another machine has left."""
    found = {"version": 1, "holder": "other", "beat": beat, "pid": 7, "host": "worker-2", "machine": "another"}
    write_json(folder / leases.NAME, found | {"since": "2026-01-02 03:04:05"})


def test_a_lease_is_left_and_taken_back(tmp_path):
    mine = lease(tmp_path)
    mine.take()
    assert json.loads((tmp_path / leases.NAME).read_bytes())["host"]
    mine.release()
    assert not (tmp_path / leases.NAME).exists()


def test_a_dead_run_on_this_machine_is_not_waited_for(tmp_path):
    dead = lease(tmp_path)
    dead._beat()
    began = time.monotonic()
    mine = lease(tmp_path)
    mine.take()
    assert time.monotonic() - began < STALE
    mine.fence()
    mine.release()


def test_a_dead_run_elsewhere_is_watched_before_it_is_replaced(tmp_path):
    elsewhere(tmp_path)
    said: list[str] = []
    began = time.monotonic()
    mine = lease(tmp_path, say=said.append)
    mine.take()
    assert time.monotonic() - began >= STALE
    assert "worker-2" in said[0]
    assert json.loads((tmp_path / leases.NAME).read_bytes())["holder"] != "other"
    mine.release()


def test_a_living_run_elsewhere_keeps_its_state(tmp_path):
    elsewhere(tmp_path)
    stop = threading.Event()

    def live() -> None:
        beat = 1
        while not stop.wait(BEAT):
            beat += 1
            elsewhere(tmp_path, beat)

    heart = threading.Thread(target=live)
    heart.start()
    try:
        with pytest.raises(Taken, match="worker-2"):
            lease(tmp_path).take()
    finally:
        stop.set()
        heart.join()
    assert json.loads((tmp_path / leases.NAME).read_bytes())["holder"] == "other"


def test_a_run_that_ends_while_it_is_watched_is_not_waited_for_to_the_end(tmp_path):
    elsewhere(tmp_path)
    threading.Timer(2 * BEAT, (tmp_path / leases.NAME).unlink).start()
    began = time.monotonic()
    mine = lease(tmp_path)
    mine.take()
    assert time.monotonic() - began < STALE + 2 * BEAT
    mine.release()


def test_a_run_whose_state_was_taken_writes_no_more_records(tmp_path):
    mine = lease(tmp_path)
    mine.take()
    journal = Journal(tmp_path / "journal", mine.fence)
    journal.open({"t": "job"})
    elsewhere(tmp_path)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            journal.append({"t": "intent"})
        except Taken:
            break
        time.sleep(BEAT)
    else:
        pytest.fail("it went on writing")
    mine.release()
    assert json.loads((tmp_path / leases.NAME).read_bytes())["holder"] == "other"
    journal.close()


def test_a_suspended_run_looks_before_it_writes(tmp_path):
    # Its heart has stood still for too long: nobody beats here, as on a machine that was asleep.
    mine = lease(tmp_path)
    mine._beat()
    mine.fence()
    elsewhere(tmp_path)
    mine._last -= STALE
    with pytest.raises(Taken):
        mine.fence()


def test_a_damaged_lease_is_nobodys(tmp_path):
    (tmp_path / leases.NAME).write_bytes(b"{half")
    began = time.monotonic()
    mine = lease(tmp_path)
    mine.take()
    assert time.monotonic() - began < STALE
    mine.fence()
    assert json.loads((tmp_path / leases.NAME).read_bytes())["holder"] == mine._me
    mine.release()
    assert not (tmp_path / leases.NAME).exists()


def test_a_second_run_here_is_refused_by_the_file_lock(tmp_path):
    with State(tmp_path / "state"), pytest.raises(AlreadyRunning), State(tmp_path / "state"):
        pytest.fail("two runs at once")
    with State(tmp_path / "state") as again:
        assert again.cache == tmp_path / "state"


def test_a_taken_state_gives_its_file_lock_back(tmp_path, monkeypatch):
    folder = tmp_path / "state"
    folder.mkdir()
    elsewhere(folder)
    state = State(folder)
    state.lease = lease(folder)
    monkeypatch.setattr(state.lease, "_watch", lambda other: (_ for _ in ()).throw(Taken("alive")))
    with pytest.raises(Taken), state:
        pytest.fail("taken from a living run")
    (folder / leases.NAME).unlink()
    with State(folder):
        pass


def test_a_planned_state_has_its_sqlite_files_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with State(tmp_path / "shared", named_by_plan=True) as state:
        assert state.cache.is_relative_to(tmp_path / "cache")
        assert state.cache.stat().st_mode & 0o077 == 0
    assert cache_for(tmp_path / "shared", named_by_plan=True) == state.cache
    assert cache_for(tmp_path / "other", named_by_plan=True) != state.cache
    assert cache_for(tmp_path / "shared", named_by_plan=False) == tmp_path / "shared"


@pytest.mark.parametrize(
    ("kind", "shared"),
    [("nfs4", True), ("cifs", True), ("fuse.sshfs", True), ("ext4", False), ("fuseblk", False), ("overlay", False)],
)
def test_network_file_systems_are_known(tmp_path, kind, shared):
    point = tmp_path / "a mount"
    escaped = str(point).replace(" ", "\\040")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 1 0:1 / / rw - ext4 /dev/a rw\n23 22 0:2 / {escaped} rw,x shared:1 - {kind} server:/x rw\n")
    assert on_network(point / "state", mounts) is shared
    assert not on_network(tmp_path / "elsewhere", mounts)
    assert not on_network(point, tmp_path / "no-such-file")
