"""A data unit that the backend fails on, time after time: the others arrive, it is named, nothing is there twice."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from job_fixture import Job
from sandbox_fixture import PROJECT
from synapse_skills.job.upload.create import Ready
from synapse_skills.job.upload.suspects import Suspects
from synapse_skills.plan import Limits

UNITS = 12
BAD = {"kind": "choke", "contains": "_bad/"}


def fill(job: Job, count: int, bad: Collection[int]) -> None:
    """Data units, some of which the backend fails on."""
    for number in range(count):
        job.unit(f"patient_{number:03d}{'_bad' if number in bad else ''}")


def units(*keys: str) -> list[Ready]:
    return [Ready(key, {}, "") for key in keys]


def test_the_company_gets_smaller_until_one_stands_alone() -> None:
    suspects = Suspects(9)
    batch = units(*"abcdefghi")
    assert [len(part) for part in suspects.apart(batch)] == [9]
    suspects.add("abcdef")
    assert [len(part) for part in suspects.apart(batch)] == [3, 3, 3]
    suspects.add("ab")
    assert [[unit.key for unit in part] for part in suspects.apart(batch)] == [[*"ghi"], [*"cde"], ["f"], ["a"], ["b"]]
    assert suspects.alone() == ["a", "b"] and not suspects.given_up()
    suspects.add("b")
    suspects.add("b")
    assert suspects.given_up() == ["b"] and not suspects.given_up()


def test_one_that_is_never_made_is_named_and_the_others_arrive(job: Job) -> None:
    fill(job, UNITS, [7])
    job.box.set_faults(BAD)
    job.run(expect=5)
    report = job.report()
    assert (report["created"], report["failed"]) == (UNITS - 1, 1)
    problem = job.problem("create-fails")
    assert "patient_007" in problem["examples"][0] and "500" in problem["examples"][0] and problem["fix"]
    # Nothing is kept of it: the same command finishes the work when the backend has been mended.
    job.box.set_faults()
    job.run()
    assert job.there() == job.wanted()


@pytest.mark.heavy
@pytest.mark.parametrize("bad", [[0], [0, 1], [3, 11]])
@pytest.mark.parametrize("size", [1, 4, 50])
def test_whichever_it_is(job: Job, bad: list[int], size: int) -> None:
    """The first one would have been the canary."""
    job.plan_with(limits=Limits(batch_size=size, settle_after_s=0.4), project=PROJECT)
    fill(job, UNITS, bad)
    job.box.set_faults(BAD)
    job.run(expect=5)
    report = job.report()
    assert (report["created"], report["failed"], report["pending"]) == (UNITS - len(bad), len(bad), 0)
    assert {int(example[8:11]) for example in job.problem("create-fails")["examples"]} == set(bad)
    assert len(job.box.tasks()) == UNITS - len(bad)
    job.box.set_faults()
    job.run()
    assert job.there() == job.wanted()
    assert len(job.box.tasks()) == UNITS


@pytest.mark.heavy
def test_many_of_them_do_not_look_like_an_outage(job: Job) -> None:
    """Every third batch is held by one: the run goes on as long as something arrives."""
    job.plan_with(limits=Limits(batch_size=4, settle_after_s=0.3))
    bad = range(2, 80, 7)
    fill(job, 80, bad)
    job.box.set_faults(BAD)
    job.run(expect=5, SYNAPSE_SKILLS_PATIENCE_S="10")
    assert job.report()["failed"] == len(bad)
    assert len(job.box.units()) == 80 - len(bad)
    job.box.set_faults()
    job.run()
    assert job.there() == job.wanted()


@pytest.mark.heavy
@pytest.mark.parametrize("done", [0, 5])
def test_an_outage_blames_nobody(job: Job, done: int) -> None:
    job.units(UNITS)
    if done:
        job.run("--limit", str(done))
    job.box.set_faults({"kind": "status", "status": 500, "route": "units.create"})
    said = job.run(expect=3).stderr
    assert "makes no more data units" in said and "500" in said
    assert (job.report()["failed"], job.report()["pending"]) == (0, UNITS - done)
    job.box.set_faults()
    job.run()
    assert job.there() == job.wanted()


@pytest.mark.heavy
def test_a_task_that_is_never_made_does_not_hold_the_others(job: Job) -> None:
    job.plan_with(project=PROJECT)
    job.units(UNITS)
    job.run("--limit", "3")
    job.box.set_faults({"kind": "status", "status": 500, "route": "tasks.create", "times": 4})
    job.run()
    assert len(job.box.tasks()) == UNITS == job.report()["tasks"]["created"]
