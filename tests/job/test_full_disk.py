"""The disk is full, at any write: said as what it is with exit 3, nothing lost, and the same command goes on.

| what is full | how | upload | export |
|---|---|---|---|
| state: lease, journal, ledger, inventory, spool, index, report | a small tmpfs that grows after each run | x | x |
| output: partial folders, formats, manifest, COMPLETE | the same | | x |
| staging: what is converted or fetched | the same, without the space that is kept free | x | |
| originals | the same, in the state | | x |
| every file that is opened for writing, made or renamed | the nth of them fails, n counted up | x | x |

The journal and the ledger alone fail in `test_upload_endings.py`, the spool in `export/test_export_fetching.py`, which
need no root: these run every day.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from export_fixture import ExportJob, boxes, row
from job_fixture import Done, Job
from synapse_skills.export_plan import FormatPlan
from synapse_skills.plan import Conversion

pytestmark = pytest.mark.heavy

UNITS = 30
RUNS = 60
MAPPING = 'place = Place(by_folder(1), by_extension({".bmp": "image_1", ".json": "label_1"}))'


class Disk:
    """A small disk of its own."""

    def __init__(self, folder: Path, kib: int) -> None:
        self.folder, self.kib = folder, kib
        folder.mkdir(parents=True, exist_ok=True)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kib}k,mode=700", "tmpfs", str(folder)], capture_output=True
        )
        if mounted.returncode:
            pytest.skip("a small disk can only be made by root")

    def grow(self, kib: int) -> None:
        self.kib += kib
        subprocess.run(["mount", "-o", f"remount,size={self.kib}k", str(self.folder)], check=True)

    def away(self) -> None:
        subprocess.run(["umount", "-l", str(self.folder)], check=True)


@pytest.fixture
def disk() -> Iterator[Callable[[Path, int], Disk]]:
    """Makes small disks, which are gone after the test."""
    made: list[Disk] = []

    def make(folder: Path, kib: int) -> Disk:
        made.append(Disk(folder, kib))
        return made[-1]

    yield make
    for each in made:
        each.away()


def until_it_is_done(run: Callable[[], Done], more: Callable[[], None]) -> int:
    """Run, and make some room, until it has finished; how often it said that the disk is full."""
    for full in range(RUNS):
        done = run()
        said = done.stdout + done.stderr
        if done.returncode == 0:
            return full
        assert done.returncode == 3, said
        assert "Unexpected" not in said and "Traceback" not in said
        assert any(word in said for word in ("No space left", "disk is full", "MB free", "there is room for")), said
        more()
    pytest.fail(f"not done after {RUNS} runs: {said}")


@pytest.mark.parametrize("step", [50, 300])
def test_an_upload_whose_state_has_no_room(job: Job, disk: Callable[[Path, int], Disk], step: int) -> None:
    small = disk(job.state, 4)
    job.units(UNITS)
    full = until_it_is_done(lambda: job.run(expect=None), lambda: small.grow(step))
    assert full >= 1
    assert job.there() == job.wanted()
    assert job.report()["created"] + job.report()["already"] == UNITS


def test_conversions_that_have_no_room(job: Job, disk: Callable[[Path, int], Disk]) -> None:
    from job.test_conversions import picture

    small = disk(job.state, 256)
    job.plan_with(conversions=(Conversion(spec="image_1", source=".bmp", target=".png"),))
    job.script(more=MAPPING)
    for number in range(6):
        job.unit(f"p{number}", {"a.bmp": picture(number, ".bmp"), "a.json": b"{}"})

    def before() -> None:
        from synapse_skills.job.upload import outlook, staging

        outlook.SPARE = staging.SPARE = 0

    # What is left is less than any picture takes.
    filler = job.state / "filler"
    filler.write_bytes(b"x" * (256 << 10))
    full = until_it_is_done(lambda: job.run(before=before, expect=None), lambda: small.grow(40))
    assert full >= 1
    assert len(job.box.units()) == 6 and job.report()["planned"] == 6


@pytest.mark.parametrize("step", [50, 300])
@pytest.mark.parametrize("where", ["state", "output"])
def test_an_export_that_has_no_room(
    export_job: ExportJob, disk: Callable[[Path, int], Disk], where: str, step: int
) -> None:
    export_job.plan_with(originals="required", formats=(FormatPlan(name="coco"), FormatPlan(name="yolo")))
    export_job.label(*(row(number, boxes(1 + number % 3)) for number in range(UNITS)))
    export_job.do()
    whole = export_job.bytes()
    small_job = ExportJob(
        export_job.folder / "small",
        export_job.box,
        export_job.project,
        **{name: getattr(export_job.plan, name) for name in ("originals", "formats")},
    )
    small = disk(getattr(small_job, where), 4)
    full = until_it_is_done(lambda: small_job.run(expect=None), lambda: small.grow(step))
    assert full >= 1
    assert small_job.bytes() == whole


def failing(folders: list[Path], nth: int, fired: Path) -> Callable[[], None]:
    """In the child: the nth file that is made, opened for writing or renamed below these folders fails."""
    places = tuple(str(folder) for folder in folders)

    def patch() -> None:
        count = [0]

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "open":
                path, _, flags = arguments
                if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                    return
            elif event in ("os.mkdir", "os.rename", "os.link"):
                path = arguments[0]
            else:
                return
            if not isinstance(path, str | os.PathLike) or not str(path).startswith(places) or str(path) == str(fired):
                return
            count[0] += 1
            if count[0] == nth:
                os.close(os.open(fired, os.O_CREAT | os.O_WRONLY))
                raise OSError(28, "No space left on device", str(path))

        sys.addaudithook(hook)

    return patch


def each_write_fails_once(job: Job | ExportJob, folders: list[Path]) -> int:
    """One run for each write, the same command always; how many writes have failed."""
    fired, nth = job.folder / "fired", 0

    def run() -> Done:
        nonlocal nth
        nth += 1
        fired.unlink(missing_ok=True)
        done = job.run(before=failing(folders, nth, fired), expect=None)
        # A write that may fail (a cache, the second copy of a report) is none to stop for.
        return Done(3, "No space left: went on without it", "") if fired.exists() and not done.returncode else done

    return until_it_is_done(run, lambda: None)


def test_each_write_of_an_upload_fails_once(job: Job) -> None:
    job.units(UNITS)
    assert each_write_fails_once(job, [job.state]) > 5
    assert job.there() == job.wanted()


def test_each_write_of_an_export_fails_once(export_job: ExportJob) -> None:
    export_job.plan_with(originals="required")
    export_job.label(*(row(number, boxes(1 + number % 3)) for number in range(6)))
    export_job.do()
    whole = export_job.bytes()
    again = ExportJob(export_job.folder / "again", export_job.box, export_job.project, originals="required")
    assert each_write_fails_once(again, [again.state, again.output]) > 10
    assert again.bytes() == whole
