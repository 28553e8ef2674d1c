"""Kills, cut connections and lost answers: afterwards every planned data unit is there exactly once, by content."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import pytest

from job_fixture import Job, killing
from sandbox_fixture import PROJECT, SandboxFactory, seed_with
from synapse_skills.plan import Limits

UNITS = 12
SUFFIX = {"image_1": ".png", "label_1": ".json"}
CREATE = "units.create"
JOURNAL = "synapse_skills.job.upload.journal:Journal.append"
POST = "synapse_skills.backend.api:Api.post_once"
LEDGER = "synapse_skills.job.upload.ledger:Ledger"
TRANSFER = "synapse_skills.backend.transfer:Transfer"

# Every step at which the state on the two sides differs, with the calls at which it is worth dying.
STEPS = [
    ("synapse_skills.sources.inventory:Inventory.walk", 1, "after"),
    (f"{LEDGER}.start_run", 1, "after"),
    (f"{TRANSFER}.presign", 1, "before"),
    (f"{TRANSFER}.presign", 1, "after"),
    (f"{TRANSFER}.put", 3, "before"),
    (f"{TRANSFER}.put", 3, "after"),
    (f"{TRANSFER}.confirm", 1, "before"),
    (f"{TRANSFER}.confirm", 1, "after"),
    (f"{LEDGER}.confirm", 1, "after"),
    (JOURNAL, 1, "before"),  # header
    (JOURNAL, 2, "before"),  # listed
    (JOURNAL, 3, "before"),  # canary's intent
    (JOURNAL, 3, "after"),
    (POST, 1, "before"),  # canary
    (POST, 1, "after"),
    (JOURNAL, 4, "before"),  # canary's answer
    (JOURNAL, 4, "after"),
    (JOURNAL, 5, "after"),  # lookup
    (JOURNAL, 6, "after"),  # first batch's intent
    (POST, 2, "before"),
    (POST, 2, "after"),
    (JOURNAL, 7, "before"),
    (f"{LEDGER}.apply", 6, "before"),
    (f"{LEDGER}.apply", 6, "after"),
    (f"{LEDGER}.apply", 7, "before"),
    (POST, 3, "after"),
    ("synapse_skills.job.upload.engine:Engine._report", 1, "before"),
    ("synapse_skills.sources.store:LocalStore.create", 1, "after"),  # lease
    ("synapse_skills.sources.store:LocalStore.write", 1, "after"),  # whose the state is
]


# Between two steps lies one state, whichever of them it is reached by: these are killed at in `make test-all`.
RARELY = {
    (f"{TRANSFER}.presign", 1, "after"),
    (f"{TRANSFER}.confirm", 1, "before"),
    (JOURNAL, 2, "before"),
    (JOURNAL, 3, "before"),
    (POST, 1, "before"),
    (JOURNAL, 4, "before"),
    (JOURNAL, 6, "after"),
    (JOURNAL, 7, "before"),
    (f"{LEDGER}.apply", 6, "before"),
    (f"{LEDGER}.apply", 7, "before"),
}
KILLED_AT = [pytest.param(*step, marks=[pytest.mark.heavy] * (step in RARELY)) for step in STEPS]
HEAVY_NTH = [pytest.param(nth, marks=pytest.mark.heavy) for nth in (2, 3)]


@pytest.mark.parametrize(("target", "nth", "when"), KILLED_AT, ids=lambda value: str(value).rpartition(":")[2])
def test_killed_at_a_named_step(job: Job, target: str, nth: int, when: str) -> None:
    job.units(UNITS)
    job.run(before=killing(target, nth, when=when), expect=-signal.SIGKILL)
    job.run()
    assert job.there() == job.wanted()
    report = job.report()
    assert report["created"] + report["already"] == UNITS


@pytest.mark.parametrize("nth", [1, *HEAVY_NTH], ids=["canary", "second", "third"])
@pytest.mark.parametrize("target", [POST, JOURNAL], ids=["after-post", "after-record"])
def test_killed_while_settling_as_well(job: Job, target: str, nth: int) -> None:
    job.units(UNITS)
    job.run(before=killing(target, nth, when="after"), expect=None)
    job.run(before=killing("synapse_skills.job.upload.settle:Settler._settle_units", 1, when="before"), expect=None)
    job.run(before=killing("synapse_skills.job.upload.settle:Settler._settle_units", 1, when="after"), expect=None)
    job.run()
    assert job.there() == job.wanted()


def random_kills(job: Job, rng: random.Random, rounds: int) -> None:
    """Kill the job at random moments, then let it finish."""
    for _ in range(rounds):
        process = job.start()
        end = time.monotonic() + rng.uniform(0.05, 1.2)
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    job.run()


@pytest.mark.parametrize("seed", [pytest.param(n, marks=[pytest.mark.heavy] * (n > 2)) for n in range(10)])
def test_killed_at_random_points(job: Job, seed: int) -> None:
    """Three kills in each of ten worlds: thirty random points."""
    job.units(40)
    random_kills(job, random.Random(seed), 3)
    assert job.there() == job.wanted()


FAULTS = {
    "504 after commit": {"kind": "status-after-commit", "route": CREATE, "on": [2]},
    "504 after commit of the canary": {"kind": "status-after-commit", "route": CREATE, "on": [1]},
    "504 after commit, twice": {"kind": "status-after-commit", "route": CREATE, "on": [2, 3]},
    "commit late": {"kind": "commit-late", "route": CREATE, "on": [2], "seconds": 0.2},
    "commit of the canary late": {"kind": "commit-late", "route": CREATE, "on": [1], "seconds": 0.2},
    "reset before commit": {"kind": "drop", "route": CREATE, "on": [1, 2]},
    "reset after commit": {"kind": "drop-after-commit", "route": CREATE, "on": [2]},
    "503 three times": {"kind": "status", "route": CREATE, "on": [1, 2, 3]},
    "500 on a batch": {"kind": "status", "route": CREATE, "status": 500, "on": [2]},
    "429 with Retry-After": {"kind": "status", "route": CREATE, "status": 429, "retry_after": 0.2, "on": [1, 2]},
    "425 too early": {"kind": "status", "route": CREATE, "status": 425, "on": [1, 2]},
    "HTML with 200": {"kind": "login-page", "route": CREATE, "on": [2]},
    "413 above 2 units": {"kind": "too-large", "route": CREATE, "units": 2},
    "presign 503": {"kind": "status", "route": "files.presign", "on": [1]},
    "presign short": {"kind": "short-presign", "route": "files.presign", "entries": 3, "on": [1]},
    "presign HTML": {"kind": "login-page", "route": "files.presign", "on": [1]},
    "links expired": {"kind": "expired-presign", "route": "files.presign", "on": [1]},
    "confirm short": {"kind": "short-confirm", "route": "files.confirm", "entries": 2, "on": [1]},
    "confirm says no": {"kind": "bad-confirm", "route": "files.confirm", "entries": 2, "on": [1]},
    "confirm answer lost": {"kind": "drop-after-commit", "route": "files.confirm", "on": [1]},
    "PUT 503": {"kind": "status", "route": "files.put", "on": [1, 4]},
    "PUT 400 HTML": {"kind": "status", "route": "files.put", "status": 400, "body": "html", "on": [2]},
    "PUT reset": {"kind": "drop", "route": "files.put", "on": [1, 3]},
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault(job: Job, name: str) -> None:
    job.units(UNITS)
    job.box.set_faults(FAULTS[name])
    job.run()
    assert any(rule["fired"] for rule in job.box.faults()), "the fault never happened"
    assert job.there() == job.wanted()
    assert job.report()["created"] == UNITS


def test_late_commit_is_waited_for(job: Job) -> None:
    """Settling at once would take the unit for absent and send it again."""
    job.units(UNITS)
    job.box.set_faults({"kind": "commit-late", "route": CREATE, "on": [2], "seconds": 0.3})
    job.run()
    job.box.wait_late()
    assert job.there() == job.wanted()


@pytest.mark.parametrize("nth", [1, 2, HEAVY_NTH[1]], ids=["canary", "second", "third"])
@pytest.mark.parametrize("kind", ["slow", "slow-after-commit"])
def test_killed_between_post_and_commit(job: Job, kind: str, nth: int) -> None:
    """The request is on the server, the client is dead, and the commit comes when the next run has begun."""
    job.plan_with(limits=Limits(batch_size=5, settle_after_s=1.5))
    job.units(UNITS)
    job.box.set_faults({"kind": kind, "route": CREATE, "on": [nth], "seconds": 0.7})
    process = job.start()
    while job.box.requests(CREATE) < nth:
        time.sleep(0.005)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    job.run()
    assert job.there() == job.wanted()


ECHOES = {
    "path": ["path"],
    "checksum": ["checksum"],
    "meta": ["meta"],
    "everything": ["path", "checksum", "meta", "groups"],
}


@pytest.mark.parametrize("name", ECHOES)
@pytest.mark.parametrize("fault", ["status-after-commit", "drop"], ids=["committed", "not-committed"])
def test_lost_answer_is_looked_up_by_what_comes_back(job: Job, name: str, fault: str) -> None:
    job.box.set(echo=ECHOES[name])
    job.units(UNITS)
    job.box.set_faults({"kind": fault, "route": CREATE, "on": [2, 3]})
    job.run()
    assert job.there() == job.wanted()
    assert job.report()["created"] == UNITS


@pytest.mark.parametrize("fault", ["status-after-commit", "drop"], ids=["committed", "not-committed"])
def test_nothing_comes_back_so_the_outcome_is_unknown(job: Job, fault: str) -> None:
    job.box.set(echo=[])
    job.units(UNITS)
    job.box.set_faults({"kind": fault, "route": CREATE, "on": [2]})
    job.run(expect=5)
    unknown = job.problem("outcome-unknown")["count"]
    assert unknown and job.report()["failed"] == unknown
    there = len(job.box.units())
    job.box.set_faults()
    job.run("--retry-failed", expect=5)
    assert len(job.box.units()) == there, "unknown units were sent again without consent"
    job.run("--retry-unknown")
    assert job.report()["failed"] == 0
    expected = UNITS + (unknown if fault == "status-after-commit" else 0)
    assert len(job.box.units()) == expected


def test_twins_are_told_apart_by_number(job: Job) -> None:
    """Same content in every unit and only checksums come back: each planned unit still gets one."""
    job.box.set(echo=["checksum"])
    for number in range(8):
        job.unit(f"t{number}", {"a.png": b"\x89PNG\r\n\x1a\n" + b"0" * 40, "a.json": b"{}"})
    job.box.set_faults({"kind": "status-after-commit", "route": CREATE, "on": [2]})
    job.run(expect=None)
    assert job.there() == job.wanted()


def test_poisoned_unit_is_found_and_the_others_arrive(job: Job) -> None:
    job.units(UNITS)
    job.box.set_faults({"kind": "poison", "route": CREATE, "contains": "patient_007/"})
    job.run(expect=5)
    report = job.report()
    assert (report["created"], report["failed"]) == (UNITS - 1, 1)
    assert "patient_007" in job.problem("refused-by-backend")["examples"][0]
    job.box.set_faults()
    job.run(expect=5)
    assert job.report()["failed"] == 1, "what was refused is not sent again unasked"
    job.run("--retry-failed")
    assert job.there() == job.wanted()


def test_refused_unit_goes_by_itself_once_it_is_mended(job: Job) -> None:
    job.units(3)
    job.box.set_faults({"kind": "poison", "route": CREATE, "contains": "patient_001/"})
    job.run(expect=5)
    job.box.set_faults()
    (job.source / "patient_001" / "label.json").write_text('{"mended": "and longer than before"}')
    job.run()
    assert job.there() == job.wanted()


@pytest.mark.parametrize("lost", ["ledger", "inventory", "both-databases", "journal", "everything"])
@pytest.mark.parametrize(
    "name", [*(pytest.param(name, marks=pytest.mark.heavy) for name in ("path", "checksum")), "everything"]
)
def test_lost_state(job: Job, lost: str, name: str) -> None:
    job.box.set(echo=ECHOES[name])
    job.units(UNITS)
    job.run(before=killing(POST, 2, when="after"), expect=-signal.SIGKILL)
    names = {
        "ledger": ["ledger"],
        "inventory": ["inventory"],
        "both-databases": ["ledger", "inventory"],
        "journal": [],
        "everything": ["ledger", "inventory"],
    }[lost]
    for database in names:
        for path in job.state.glob(f"{database}.sqlite*"):
            path.unlink()
    if lost in ("journal", "everything"):
        shutil.rmtree(job.state / "journal")
    job.run()
    assert job.there() == job.wanted()


def test_lost_state_is_matched_after_a_kill_in_the_middle_of_matching(job: Job) -> None:
    job.units(UNITS)
    job.run()
    shutil.rmtree(job.state)
    job.run(before=killing(JOURNAL, 5, when="after"), expect=-signal.SIGKILL)
    job.run()
    assert job.there() == job.wanted()
    assert job.report()["already"] == UNITS


def test_torn_ledger_is_made_anew_from_the_journal(job: Job) -> None:
    job.units(4)
    job.run()
    (job.state / "ledger.sqlite").write_bytes(b"not a database at all" * 100)
    job.run()
    assert job.report()["already"] == 4
    assert job.there() == job.wanted()


def test_damaged_journal_stops_the_run(job: Job) -> None:
    job.units(4)
    job.run()
    for path in job.state.glob("ledger.sqlite*"):
        path.unlink()
    segment = next((job.state / "journal").glob("*.jsonl"))
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(lines[0] + b"garbage\n" + b"".join(lines[1:]))
    done = job.run(expect=1)
    assert "damaged" in done.stderr
    assert len(job.box.units()) == 4


def test_fresh_sets_the_state_aside_and_recognises_what_is_there(job: Job) -> None:
    job.units(3)
    job.run()
    job.unit("patient_900")
    job.run("--fresh")
    assert (job.report()["created"], job.report()["already"]) == (1, 3)
    assert job.there() == job.wanted()
    assert list(job.state.glob("journal-set-aside-*"))


def test_what_can_not_be_recognised_is_said(job: Job) -> None:
    job.box.set(echo=[])
    job.units(2)
    job.run()
    job.run("--fresh")
    assert job.problem("cannot-recognise")["severity"] == "warning"
    assert job.report()["created"] == 2


@pytest.mark.parametrize("fault", ["status-after-commit", "drop", "commit-late", "login-page"])
def test_tasks_exactly_once(job: Job, fault: str) -> None:
    job.plan_with(project=PROJECT)
    job.units(UNITS)
    job.box.set_faults({"kind": fault, "route": "tasks.create", "on": [1, 2], "seconds": 0.1})
    job.run()
    units = sorted(unit["id"] for unit in job.box.units())
    assert sorted(task["data_unit"] for task in job.box.tasks()) == units
    assert len(units) == UNITS


@pytest.mark.parametrize(("nth", "when"), [(2, "before"), (2, "after"), (4, "after")])
def test_tasks_exactly_once_after_a_kill(job: Job, nth: int, when: str) -> None:
    job.plan_with(project=PROJECT)
    job.units(UNITS)
    job.run(before=killing(POST, nth, when=when), expect=-signal.SIGKILL)
    job.run()
    units = sorted(unit["id"] for unit in job.box.units())
    assert sorted(task["data_unit"] for task in job.box.tasks()) == units


def test_tasks_of_matched_units_are_not_made_twice(job: Job) -> None:
    job.plan_with(project=PROJECT)
    job.units(5)
    job.run()
    shutil.rmtree(job.state)
    job.run()
    assert job.report()["already"] == 5
    assert len(job.box.tasks()) == 5


def test_somebody_else_adds_meanwhile(job: Job) -> None:
    """Rows of others above the floor are not taken for ours."""
    job.units(UNITS)
    job.run(before=killing(POST, 2, when="after"), expect=-signal.SIGKILL)
    sums = {
        "image_1": job.box.put_file("x.png", b"\x89PNG\r\n\x1a\nother"),
        "label_1": job.box.put_file("x.json", b'{"other": 1}'),
    }
    files = {spec: {"checksum": value, "path": f"theirs/{spec}{SUFFIX[spec]}"} for spec, value in sums.items()}
    job.box.post("/data_units/", [{"data_collection": 57, "files": files, "meta": {"name": "theirs"}}])
    job.run()
    ours = [unit for unit in job.box.units() if unit["meta"]["name"] != "theirs"]
    assert len(ours) == UNITS
    assert sum(job.there().values()) == UNITS + 1


def test_list_that_is_not_sorted(job: Job) -> None:
    job.box.set(honours=["data_collection"])
    job.units(UNITS)
    job.box.set_faults({"kind": "status-after-commit", "route": CREATE, "on": [2]})
    job.run()
    assert job.there() == job.wanted()


def test_answer_in_the_other_shape(job: Job, sandbox_factory: SandboxFactory) -> None:
    job.box = sandbox_factory("results", seed=seed_with(settings={"create_answer": "results"}))
    job.units(6)
    job.run()
    assert job.there() == job.wanted()


def test_journal_is_the_truth_without_a_newline(job: Job) -> None:
    """A record that a kill cut off never happened."""
    job.units(3)
    job.run()
    segment = next((job.state / "journal").glob("*.jsonl"))
    with segment.open("ab") as stream:
        stream.write(json.dumps({"t": "intent", "batch": "x"}).encode()[:20])
    job.run()
    assert job.report()["already"] == 3
    assert job.there() == job.wanted()


def slow_way_there(nth: int, seconds: float) -> Callable[[], None]:
    """The nth create takes so long to reach the backend."""

    def patch() -> None:
        from synapse_skills.backend import Answer, Api

        original, calls = Api.post_once, [0]

        async def post_once(self: Api, path: str, body: Any) -> Answer:
            calls[0] += 1
            if calls[0] == nth:
                await asyncio.sleep(seconds)
            return await original(self, path, body)

        Api.post_once = post_once  # type: ignore[method-assign]

    return patch


def test_the_wait_begins_when_the_answer_is_lost(job: Job) -> None:
    """Counted from the intent it would be over before the request had even arrived."""
    job.units(UNITS)
    job.box.set_faults({"kind": "commit-late", "route": CREATE, "on": [2], "seconds": 0.3})
    job.run(before=slow_way_there(2, 0.8))
    job.box.wait_late()
    assert job.there() == job.wanted()


def test_our_clock_is_set_forward_in_the_middle(job: Job) -> None:
    job.units(UNITS)

    def patch() -> None:
        slow_way_there(2, 0.0)()
        real, began = time.time, time.monotonic()
        time.time = lambda: real() + (3600 if time.monotonic() - began > 0.35 else 0)

    job.box.set_faults({"kind": "commit-late", "route": CREATE, "on": [2, 3], "seconds": 0.3})
    job.run(before=patch)
    job.box.wait_late()
    assert job.there() == job.wanted()


@pytest.mark.heavy
def test_many_requests_within_the_patience_of_a_limit(job: Job) -> None:
    """A backend that says when to come back is there: its waits do not use up the patience."""
    job.units(3)
    job.box.set_faults(
        {"kind": "status", "status": 429, "retry_after": 1, "route": CREATE, "on": [1, 2]},
        {"kind": "status", "status": 429, "retry_after": 1, "route": "files.presign", "on": [1]},
    )
    job.run(SYNAPSE_SKILLS_PATIENCE_S="0.8")
    assert job.there() == job.wanted()


@pytest.mark.heavy
def test_fresh_waits_for_what_is_still_on_its_way(job: Job) -> None:
    """--fresh sets the intents aside; what they will have made has to be there before it looks."""
    job.plan_with(limits=Limits(batch_size=5, settle_after_s=4))
    job.units(UNITS)
    job.box.set_faults({"kind": "slow", "route": CREATE, "on": [2], "seconds": 3})
    process = job.start()
    while job.box.requests(CREATE) < 2:
        time.sleep(0.005)
    done_by = time.monotonic() + 3.3
    process.send_signal(signal.SIGKILL)
    process.communicate()
    job.run("--fresh")
    time.sleep(max(0.0, done_by - time.monotonic()))
    assert job.there() == job.wanted()


@pytest.mark.parametrize("again", [pytest.param(0, marks=pytest.mark.heavy), 1])
@pytest.mark.heavy
def test_journal_is_lost_while_a_create_is_on_its_way(job: Job, again: int) -> None:
    """The ledger still knows that there is something to wait for, also after another kill."""
    job.plan_with(limits=Limits(batch_size=5, settle_after_s=5))
    job.units(UNITS)
    job.box.set_faults({"kind": "slow", "route": CREATE, "on": [2], "seconds": 4})
    process = job.start()
    while job.box.requests(CREATE) < 2:
        time.sleep(0.005)
    done_by = time.monotonic() + 4.3
    time.sleep(0.6)  # the ledger follows the journal twice a second
    process.send_signal(signal.SIGKILL)
    process.communicate()
    shutil.rmtree(job.state / "journal")
    for _ in range(again):
        job.run(before=killing(f"{LEDGER}.catch_up", 1, when="after"), expect=-signal.SIGKILL)
    job.run()
    time.sleep(max(0.0, done_by - time.monotonic()))
    assert job.there() == job.wanted()


def test_segment_that_is_gone_is_not_counted_on(job: Job) -> None:
    """The number of a new segment is higher than every other's, however many are left."""
    job.units(2)
    job.run()
    job.run()
    next(iter(sorted((job.state / "journal").glob("*.jsonl")))).unlink()
    job.run()
    names = sorted(path.name for path in (job.state / "journal").glob("*.jsonl"))
    assert [name[:6] for name in names] == ["000002", "000003"]
    assert job.there() == job.wanted()


def test_files_that_the_backend_has_thrown_away_travel_again(job: Job) -> None:
    """Confirmed by an earlier run, swept away before a data unit referred to them."""
    job.units(4)
    job.box.set_faults({"kind": "status", "status": 401, "route": CREATE})
    job.run(expect=3)
    job.box.set_faults()
    job.box.stop()
    # Closed before the sandbox starts again as a child of this process: SQLite refuses what a parent holds open.
    with contextlib.closing(sqlite3.connect(job.box.state / "sandbox.sqlite")) as database, database:
        database.execute("DELETE FROM data_file")
    job.box.restart()
    job.run(expect=None)
    job.run("--retry-failed")
    assert job.there() == job.wanted()
