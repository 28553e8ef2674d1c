"""An export by several processes: the same bytes as by one, whatever the plan says and whoever dies on the way."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from parallel_work import Posted, end, fail, slow

from export_fixture import ExportJob, boxes, row
from synapse_skills.errors import SkillsError
from synapse_skills.export_plan import ClassesPlan, ExportPlan, FormatPlan, SplitPlan
from synapse_skills.formats import FORMATS
from synapse_skills.job.export import engine, parts, write
from synapse_skills.job.parallel import Processes, WorkerLost, crew_for

SPLITTING = tuple(FormatPlan(name=name) for name, form in FORMATS.items() if form.splits)
FEW = tuple(FormatPlan(name=name) for name in ("coco", "yolo", "csv", "synapse_json"))


@pytest.fixture
def crew(monkeypatch: pytest.MonkeyPatch) -> Iterator[Posted]:
    """Every export is written in parts of five records, here."""
    monkeypatch.setattr(parts, "RECORDS", 5)
    monkeypatch.setattr(parts, "LEAST", 5)
    posted = Posted()
    monkeypatch.setattr(
        engine, "crew_for", lambda plan, said, records, *folders: contextlib.nullcontext(posted if said == 2 else None)
    )
    yield posted


def label(job: ExportJob, count: int = 23) -> None:
    """Records of which names and originals repeat, one can't be read, and one has no annotations."""
    rows = [row(number, name=f"picture_{number % 4}.png") for number in range(count)]
    rows[3]["data"], rows[7]["data"] = None, [1, 2]
    rows[11]["data"] = boxes(3, label="bicycle")
    job.label(*rows)


def whole(job: ExportJob) -> tuple[dict[str, str], dict[str, Any], bytes]:
    """What an export came to: its files, its report, and what was set aside."""
    said = {key: job.report()[key] for key in ("records", "annotations", "files", "splits", "problems")}
    return job.bytes(), said, (job.state / "quarantine.jsonl").read_bytes()


def export(job: ExportJob, processes: int, **plan: Any) -> tuple[dict[str, str], dict[str, Any], bytes]:
    """Export anew, with so many processes."""
    job.plan_with(**plan)
    job.do("--fresh", "--processes", str(processes), expect=None)
    found = whole(job)
    (job.output / "COMPLETE").unlink(missing_ok=True)
    return found


PLANS: dict[str, dict[str, Any]] = {
    "every format": {"formats": SPLITTING, "classes": ClassesPlan(unknown="add")},
    "originals": {"formats": FEW, "originals": "required"},
    "dealt": {"formats": FEW, "split": SplitPlan(ratios={"train": 0.6, "val": 0.4}, stratify="class")},
    "nothing to decide": {"formats": (FormatPlan(name="jsonl"), FormatPlan(name="synapse_json"))},
    "by checksum": {
        "formats": (FormatPlan(name="csv"), FormatPlan(name="image_folder")),
        "split": SplitPlan(ratios={"train": 0.5, "val": 0.5}, by="checksum"),
    },
    "ids, empty dropped": {"formats": FEW, "naming": "id", "empty": "drop", "originals": "optional"},
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.heavy) if name != "dealt" else name for name in PLANS]
)
def test_parts_give_the_bytes_of_one_writer(name: str, export_job: ExportJob, crew: Posted) -> None:
    label(export_job)
    alone = export(export_job, 1, **PLANS[name])
    assert not crew.done and alone[0] and alone[1]["records"]["quarantined"] == 1
    assert export(export_job, 2, **PLANS[name]) == alone
    assert crew.done.count("look") == crew.done.count("write") == 5
    assert not list(export_job.output.glob("*.partial")) and not list(export_job.output.glob("parts*"))


@pytest.mark.heavy
def test_a_format_that_can_not_be_split_has_one_writer(export_job: ExportJob, crew: Posted) -> None:
    label(export_job)
    formats = (FormatPlan(name="coco"), FormatPlan(name="class_json"))
    alone = export(export_job, 1, formats=formats)
    assert export(export_job, 2, formats=formats) == alone
    assert {*crew.done} == {"look", "decide"}


@pytest.mark.heavy
def test_a_rule_of_the_script_is_asked_here_in_order(export_job: ExportJob, crew: Posted) -> None:
    label(export_job)
    seen: list[int] = []

    def keep(record: Any) -> bool:
        seen.append(record.key)
        return len(seen) % 2 == 0

    export_job.plan_with(formats=FEW)
    export_job.do("--processes", "2", expect=None, keep=keep)
    assert seen == sorted(seen) and export_job.report()["records"]["left_out"] == 11
    assert "write" in crew.done


@pytest.fixture
def path_of_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    there = filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH")))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(there))


def test_a_process_that_dies_is_replaced_and_errors_come_back(path_of_tests: None, tmp_path: Path) -> None:
    with Processes(1) as crew:
        with pytest.raises(SkillsError) as caught:
            list(crew.each(fail, None, [1]))
        assert (caught.value.code, caught.value.hint, str(caught.value)) == ("some-code", "do this", "it failed")
        assert list(crew.each(end, str(tmp_path / "killed"), range(3))) == [0, 1, 2]


@pytest.mark.heavy
def test_processes_answer_in_order_and_end_with_the_crew(path_of_tests: None) -> None:
    with Processes(2) as crew:
        found = list(crew.each(slow, 0.2, range(9)))
        assert [piece for piece, _ in found] == [*range(9)]
        pids = {pid for _, pid in found}
        assert len(pids) == 2 and os.getpid() not in pids
        with pytest.raises(WorkerLost):
            list(crew.each(end, "", [1]))
    # They end with the crew, also those that are at work.
    with Processes(1) as crew:
        working = crew.each(slow, 60.0, [1, 0, 1, 1])
        pid = next(working)[1]
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.heavy
def test_killed_while_parts_are_joined_it_leaves_nobody_behind_and_goes_on(export_job: ExportJob) -> None:
    label(export_job)
    alone = export(export_job, 1, formats=FEW)
    pids = export_job.folder / "pids"

    def die(self: Any, written: Iterator[Any]) -> None:
        next(written)
        tasks = Path(f"/proc/{os.getpid()}/task").glob("*/children")
        pids.write_text("".join(task.read_text() for task in tasks))
        os.kill(os.getpid(), signal.SIGKILL)

    def before() -> None:
        parts.RECORDS = parts.LEAST = 5
        write.Export.join = die  # type: ignore[assignment,method-assign]

    assert export_job.run("--fresh", "--processes", "2", before=before, expect=None).returncode == -signal.SIGKILL
    children = [Path("/proc", pid) for pid in pids.read_text().split()]
    end = time.monotonic() + 10
    while any("serve()" in _command(each) for each in children) and time.monotonic() < end:
        time.sleep(0.05)
    assert len(children) >= 2 and not any("serve()" in _command(each) for each in children)
    assert list(export_job.output.glob("*.partial"))
    export_job.do("--processes", "2", expect=None)
    assert whole(export_job) == alone
    assert not list(export_job.output.glob("*.partial"))


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_a_small_export_starts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = ExportPlan(name="x", target="task", project=1, formats=FEW, output="x")
    for said, records in ((None, 100), (1, 10**6)):
        with crew_for(plan, said, records) as crew:
            assert crew is None
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    with crew_for(plan, None, 10**6) as crew:
        assert crew is None
    with crew_for(plan, 2, 100) as crew:
        assert crew is not None and crew.size == 2
