"""What the machine that a job runs on may do to it. In each case: said as what it is, nothing lost, nothing twice.

| what happens | upload | export |
|---|---|---|
| the clock jumps by a day, forwards or back, between a kill and the next run | here | here |
| the same in the middle of a run | here, `test_exactly_once.py` | here |
| the state can't be written: read-only from the start, or from the middle on | here | here (from the start) |
| the output can't be written | - | here |
| the disk is full, at any write | `test_full_disk.py` | `test_full_disk.py` |
| two runs at once, on this machine | `test_upload_endings.py` | here |
| two runs at once, on two machines | `test_lease.py`, `test_state_at_storage.py` | the same lease |
| SIGTERM, as `synapse script stop` sends it, in every phase | here | here |
| a second signal, and a third, at any moment | here, `test_transfers.py` | here |
| the same while the process ends | `test_stopping.py` | the same |
| a file changes, shrinks, vanishes, becomes a link | `test_upload_endings.py`, `test_transfers.py` | - |
| the same far away, after the listing | `test_remote_sources.py` | - |
| a whole source vanishes in the middle | here | - |
| records change, come or go while they are read | - | `export/test_export_fetching.py` |
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from export_fixture import ExportJob, boxes, row
from forked import Forked
from job_fixture import Job, killing
from sandbox_fixture import PROJECT, Sandbox
from synapse_skills.export_plan import FormatPlan
from synapse_skills.plan import Limits

pytestmark = pytest.mark.heavy

UNITS = 12
DAY_S = 86_400
CREATE = "units.create"


@pytest.fixture
def made(export_job: ExportJob) -> ExportJob:
    """An export with originals, complete once."""
    export_job.plan_with(originals="required", formats=(FormatPlan(name="coco"), FormatPlan(name="yolo")))
    export_job.box.set(wrap_bytes=1)
    export_job.label(*(row(number, boxes(1 + number % 3)) for number in range(14)))
    export_job.do()
    return export_job


# ---- clocks


def jumping(seconds: float, *, after: int = 0) -> Callable[[], None]:
    """In the child: the clock is put right by so much, after so many looks at it."""

    def patch() -> None:
        real, looks = time.time, [0]

        def now() -> float:
            looks[0] += 1
            return real() + (seconds if looks[0] > after else 0)

        time.time = now

    return patch


@pytest.mark.parametrize("seconds", [DAY_S, -DAY_S])
def test_a_clock_that_is_put_right_after_a_kill(job: Job, seconds: float) -> None:
    """The create is on its way when the client dies; by the new clock that was long ago, or is yet to come."""
    job.plan_with(limits=Limits(batch_size=5, settle_after_s=2))
    job.units(UNITS)
    job.box.set_faults({"kind": "slow", "route": CREATE, "on": [2], "seconds": 1.2})
    process = job.start()
    while job.box.requests(CREATE) < 2:
        time.sleep(0.005)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    began = time.monotonic()
    job.run(before=jumping(seconds))
    assert time.monotonic() - began < 20
    assert job.there() == job.wanted()


@pytest.mark.parametrize("seconds", [DAY_S, -DAY_S])
@pytest.mark.parametrize("after", [1, 4, 7])
def test_a_clock_that_jumps_in_the_middle(job: Job, seconds: float, after: int) -> None:
    job.units(UNITS)
    job.box.set_faults(
        {"kind": "commit-late", "route": CREATE, "on": [2, 3], "seconds": 0.2},
        {"kind": "status", "status": 429, "retry_after": 0.2, "route": "files.presign", "on": [1]},
    )
    began = time.monotonic()
    job.run(before=jumping(seconds, after=after))
    assert time.monotonic() - began < 20
    job.box.wait_late()
    assert job.there() == job.wanted()
    assert 0 <= job.report()["seconds"] < 2 * DAY_S


@pytest.mark.parametrize("seconds", [DAY_S, -DAY_S])
def test_a_clock_that_jumps_in_the_middle_of_an_export(made: ExportJob, seconds: float) -> None:
    whole = made.bytes()
    made.run("--fresh", before=jumping(seconds, after=1))
    assert made.bytes() == whole
    assert 0 <= made.report()["seconds"] < 2 * DAY_S
    made.run(before=killing("synapse_skills.job.export.write:Export._item", 3, when="before"), expect=None)
    made.run(before=jumping(-seconds))
    assert made.bytes() == whole


# ---- folders that can't be written


@pytest.fixture
def read_only() -> Iterator[Callable[[Path], None]]:
    """Makes folders that nobody can write to, root neither."""
    mounted: list[Path] = []

    def make(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for command in (["mount", "--bind", str(folder), str(folder)], ["mount", "-o", "remount,ro,bind", str(folder)]):
            if subprocess.run(command, capture_output=True).returncode:
                pytest.skip("only root can make a folder that root can't write to")
            if "--bind" in command:
                mounted.append(folder)

    yield make
    for folder in mounted:
        # A test may have given it back itself.
        subprocess.run(["umount", "-l", str(folder)], capture_output=True)


def test_a_state_that_is_read_only(job: Job, read_only: Callable[[Path], None]) -> None:
    job.units(2)
    read_only(job.state)
    done = job.run(expect=3)
    assert "Read-only file system" in done.stderr and "--state" in done.stderr
    assert job.box.units() == []
    job.run("--state", str(job.folder / "elsewhere"))
    assert job.there() == job.wanted()


def test_a_state_that_becomes_read_only(job: Job, read_only: Callable[[Path], None]) -> None:
    """What is open can be written on; what is new can not: lease, report. All arrives, and the end is told."""
    job.units(UNITS)
    job.box.set_faults({"kind": "slow", "route": "files.put", "seconds": 0.1})
    process = job.start("--workers", "2")
    while not job.box.requests("files.put"):
        time.sleep(0.005)
    read_only(job.state)
    out, err = process.communicate()
    assert process.returncode == 3, out + err
    assert "Read-only file system" in err and "next:" in err
    subprocess.run(["umount", "-l", str(job.state)], check=True)
    job.box.set_faults()
    job.run()
    assert job.there() == job.wanted()


@pytest.mark.parametrize("where", ["state", "output"])
def test_an_export_that_can_not_write(made: ExportJob, read_only: Callable[[Path], None], where: str) -> None:
    whole = made.bytes()
    folder = getattr(made, where)
    read_only(folder)
    flags = ["--output", str(made.folder / "new")] if where == "state" else []
    done = made.run(*flags, expect=None)
    said = done.stdout + done.stderr
    assert done.returncode == 3 or "nothing has changed" in said, said
    made.label(row(99, boxes(2)))
    done = made.run(*flags, expect=3)
    assert "Read-only file system" in done.stderr and where in done.stderr and "next:" in done.stderr
    assert made.bytes() == whole


# ---- two at once, and sources that go


def test_two_exports_at_once(made: ExportJob) -> None:
    whole = made.bytes()
    made.box.set_faults({"kind": "slow", "route": "payload.get", "seconds": 0.1})
    first = made.start("--fresh")
    while not made.box.requests("payload.get"):
        time.sleep(0.005)
    second = made.run(expect=3)
    assert "under way" in second.stderr
    out, err = first.communicate()
    assert first.returncode == 0, out + err
    assert made.bytes() == whole


@pytest.mark.parametrize("nth", [1, 5])
def test_a_source_that_vanishes_in_the_middle(job: Job, nth: int) -> None:
    """A disk is pulled, a mount goes away: what has arrived is there, the rest is named, and comes when it is back."""
    job.units(UNITS)
    away = job.folder / "away"

    def patch() -> None:
        from synapse_skills.backend.transfer import Transfer

        real, calls = Transfer.put, [0]

        async def put(self: Transfer, *args: object, **more: object) -> object:
            calls[0] += 1
            if calls[0] == nth:
                os.rename(job.source, away)  # noqa: PTH104 - what it is, in one call
            return await real(self, *args, **more)  # type: ignore[arg-type]

        Transfer.put = put  # type: ignore[method-assign,assignment]

    done = job.run(before=patch, expect=None)
    assert done.returncode in (3, 5), done.stderr
    report = job.report()
    assert report["created"] + report["quarantined"] + report["pending"] == UNITS
    assert job.run(expect=3).stderr.count("no folder")
    shutil.move(away, job.source)
    job.run()
    assert job.there() == job.wanted()


# ---- SIGTERM

UPLOAD = "synapse_skills.job.upload"
UPLOAD_PHASES = [
    ("synapse_skills.job.lease:Lease.take", 1, "before"),
    ("synapse_skills.sources.inventory:Inventory.walk", 1, "before"),
    (f"{UPLOAD}.checking:Checker.check", 1, "after"),
    ("synapse_skills.job.state:State.belongs_to", 1, "before"),
    (f"{UPLOAD}.create:Creator.start", 1, "before"),
    (f"{UPLOAD}.settle:Settler.settle", 1, "before"),
    (f"{UPLOAD}.settle:Settler._wait", 1, "before"),
    (f"{UPLOAD}.match:Matcher.prepare", 1, "before"),
    ("synapse_skills.backend.transfer:Transfer.presign", 1, "before"),
    ("synapse_skills.backend.transfer:Transfer.put", 3, "before"),
    ("synapse_skills.backend.transfer:Transfer.confirm", 1, "after"),
    (f"{UPLOAD}.journal:Journal.append", 3, "before"),
    (f"{UPLOAD}.journal:Journal.append", 6, "after"),
    ("synapse_skills.backend.api:Api.post_once", 1, "before"),
    ("synapse_skills.backend.api:Api.post_once", 2, "after"),
    (f"{UPLOAD}.create:Creator.make_tasks", 1, "before"),
    (f"{UPLOAD}.engine:Engine._reconcile", 1, "before"),
    (f"{UPLOAD}.engine:Engine._report", 1, "before"),
    ("synapse_skills.report:write_bytes", 1, "before"),
]


@pytest.mark.parametrize(("target", "nth", "when"), UPLOAD_PHASES, ids=lambda value: str(value).rpartition(":")[2])
def test_an_upload_is_stopped(job: Job, target: str, nth: int, when: str) -> None:
    job.plan_with(project=PROJECT)
    job.units(UNITS)
    # Something to settle, for those that are stopped while they do.
    job.run(before=killing("synapse_skills.backend.api:Api.post_once", 2, when="after"), expect=-9)
    done = job.run(before=killing(target, nth, when=when, number=signal.SIGTERM), expect=None)
    assert done.returncode in (0, 130), f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    if done.returncode == 130:
        assert "Run the same command again" in done.stderr
    # One that could not begin leaves what the killed run before it had left.
    assert not (job.state / "lease.json").exists() or target.endswith("Lease.take")
    job.run()
    assert job.there() == job.wanted()
    assert len(job.box.tasks()) == UNITS


EXPORT = "synapse_skills.job.export"
EXPORT_PHASES = [
    ("synapse_skills.job.lease:Lease.take", 1, "before"),
    (f"{EXPORT}.fetch:Fetcher.begin", 1, "before"),
    (f"{EXPORT}.spool:Spool.append_all", 3, "before"),
    (f"{EXPORT}.fetch:Fetcher._look_again", 1, "before"),
    (f"{EXPORT}.decide:Decider.decide", 1, "before"),
    (f"{EXPORT}.originals:Originals._download", 3, "before"),
    (f"{EXPORT}.originals:Originals._receive", 5, "after"),
    (f"{EXPORT}.part_work:check_format", 1, "before"),
    (f"{EXPORT}.output:Output.install", 1, "before"),
    (f"{EXPORT}.output:Output.install", 1, "after"),
    (f"{EXPORT}.output:Output.finish", 1, "before"),
    (f"{EXPORT}.output:Output.finish", 1, "after"),
    ("synapse_skills.report:write_bytes", 1, "before"),
]


@pytest.mark.parametrize(("target", "nth", "when"), EXPORT_PHASES, ids=lambda value: str(value).rpartition(":")[2])
def test_an_export_is_stopped(made: ExportJob, target: str, nth: int, when: str) -> None:
    whole = made.bytes()
    done = made.run("--fresh", before=killing(target, nth, when=when, number=signal.SIGTERM), expect=None)
    assert done.returncode in (0, 130), f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    if done.returncode == 130:
        assert "Run the same command again" in done.stderr
    assert not (made.state / "lease.json").exists()
    made.run()
    assert made.bytes() == whole


# Seconds between one signal and the next: from a terminal that is closed under a job to somebody who loses patience.
@pytest.fixture
def hangups_count() -> Iterator[None]:
    """A closed terminal is told to what is started here, even where these tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


GAPS = [(0,), (0.01,), (0.1,), (0.3,), (0, 0), (0.01, 0.01), (0.05, 0), (0.1, 0.1), (0.3, 0.05)]


def told_again(process: Forked, box: Sandbox, route: str, gaps: tuple[float, ...]) -> None:
    """Stop what asks for `route` once more after each gap, and hold its end to the law."""
    while not box.requests(route):
        time.sleep(0.005)
        assert process.poll() is None
    numbers = itertools.cycle((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
    for number, gap in zip(numbers, (*gaps, 0), strict=False):
        process.send_signal(number)
        time.sleep(gap)
    began = time.monotonic()
    out, err = process.communicate()
    assert process.returncode == 130, (process.returncode, out, err)
    assert "Traceback" not in err, err
    assert time.monotonic() - began < 4


@pytest.mark.usefixtures("hangups_count")
@pytest.mark.parametrize("gaps", GAPS, ids=str)
def test_an_export_is_stopped_again(made: ExportJob, gaps: tuple[float, ...]) -> None:
    whole = made.bytes()
    made.box.reset_stats()
    made.box.set_faults({"kind": "slow", "route": "payload.get", "seconds": 5})
    told_again(made.start("--fresh"), made.box, "payload.get", gaps)
    made.box.set_faults()
    made.run()
    assert made.bytes() == whole


@pytest.mark.usefixtures("hangups_count")
@pytest.mark.parametrize("gaps", GAPS, ids=str)
@pytest.mark.parametrize("route", ["files.put", "units.create"])
def test_an_upload_is_stopped_again(job: Job, route: str, gaps: tuple[float, ...]) -> None:
    job.units(UNITS)
    job.box.set_faults({"kind": "slow", "route": route, "seconds": 5})
    told_again(job.start(), job.box, route, gaps)
    job.box.wait_late()
    job.box.set_faults()
    job.run()
    assert job.there() == job.wanted()
