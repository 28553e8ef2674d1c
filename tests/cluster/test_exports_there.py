"""Exports on the cluster: what the gate asks of them, how they are submitted, and how their report comes home."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import job_status
import submit
from cluster.fake_ray import FakeRay
from cluster.ready import TOKEN, Cli
from synapse_skills.cluster import JobHome, gate
from synapse_skills.cluster.rehearsal import rehearse
from synapse_skills.errors import UsageError, run
from synapse_skills.export_plan import ClassesPlan, ExportPlan, FormatPlan
from synapse_skills.job.content import content_hash
from synapse_skills.job.markers import marker_lines, progress_line
from synapse_skills.plan import plan_bytes, plan_hash
from synapse_skills.rendering import render_job
from synapse_skills.report import AnnotationCounts, ExportFiles, ExportReport, FormatCounts, Problem, RecordCounts

JOB = "raysubmit_0000000000000000"


def export_plan(**changes: Any) -> ExportPlan:
    fields: dict[str, Any] = {
        "name": "cars", "target": "assignment", "project": 3, "formats": (FormatPlan(name="coco"),),
        "classes": ClassesPlan(order=("car",)), "output": "s3://sets/cars", "state": "s3://sets/state/cars",
    }  # fmt: skip
    return ExportPlan(**fields | changes)


def export_report(**changes: Any) -> ExportReport:
    fields: dict[str, Any] = {
        "name": "cars", "started": "2026-11-22T01:00:00+00:00", "seconds": 12.5, "exit_code": 0, "mode": "export",
        "records": RecordCounts(read=7, exported=6, quarantined=1),
        "annotations": AnnotationCounts(
            read=9, formats={"coco": FormatCounts(written=7, lost={"rotated": 2}), "csv": FormatCounts(written=9)}
        ),
        "files": ExportFiles(written=12, originals=6), "job_id": JOB,
    }  # fmt: skip
    return ExportReport(**fields | changes)


class ReadyExport:
    """An export that has passed everything, dry run on the cluster included."""

    def __init__(self, folder: Path, rendered: Path) -> None:
        self.home = JobHome(folder)
        shutil.copytree(rendered, folder / "job")
        self.change()

    def change(self, *problems: Problem, ran_there: bool = True, **changes: Any) -> None:
        """Another plan, with a clean dry run of it."""
        content = plan_bytes(export_plan(**changes))
        for folder in (self.home.folder, self.home.job):
            (folder / "plan.json").write_bytes(content)
        self.hash = plan_hash(content)
        self.dry_run(job_id=JOB if ran_there else None, problems=list(problems))

    def dry_run(self, **changes: Any) -> None:
        fields = {"mode": "dry-run", "content": content_hash(self.home.job)}
        self.home.dry_run.write_text(export_report(**fields | changes).model_dump_json())

    def refusals(self, **more: Any) -> dict[str, str]:
        """Code → message and fix of what speaks against it."""
        found = gate(self.home, **{"approve": self.hash, "dry_run": False} | more)
        return {each.code: f"{each.message} {each.fix}" for each in found.refusals}

    def warnings(self) -> dict[str, str]:
        found = gate(self.home, approve=self.hash, dry_run=False)
        assert found.open, found.refusals
        return {each.code: f"{each.message} {each.fix}" for each in found.warnings}


@pytest.fixture(scope="module")
def rendered_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = render_job(export_plan(), tmp_path_factory.mktemp("rendered") / "job").folder
    shutil.rmtree(folder / "synapse_skills")
    return folder


@pytest.fixture
def cars(tmp_path: Path, user: Path, rendered_export: Path) -> ReadyExport:
    return ReadyExport(tmp_path / "synapse-jobs" / "cars", rendered_export)


@pytest.fixture
def call(cars: ReadyExport, cli: Cli, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`call(script, *flags)`: exit code, stdout, stderr."""

    def start(script: Any, *flags: str) -> tuple[int, str, str]:
        code = run(script.main, [str(cars.home.folder), *flags])
        out, err = capsys.readouterr()
        assert TOKEN not in out + err and "Traceback" not in err
        return code, out, err

    return start


# ---- the gate


def test_what_every_job_needs(cars: ReadyExport, user: Path) -> None:
    assert "An export is submitted only after" in cars.refusals(approve=None)["not-approved"]
    assert list(cars.refusals(approve="0123456789ab")) == ["not-approved"]
    cars.change(state=None)
    assert "plan_export --set state=" in cars.refusals()["state-not-set"]
    cars.change()
    (cars.home.job / "export.py").write_text("# edited\n")
    assert list(cars.refusals()) == ["dry-run-stale", "place-not-proved"]
    cars.home.dry_run.unlink()
    assert list(cars.refusals()) == ["no-dry-run", "place-not-proved"]
    assert cars.refusals(dry_run=True, approve=None) == {}


def test_a_dry_run_that_found_nothing_or_was_not_clean(cars: ReadyExport) -> None:
    cars.dry_run(records=RecordCounts())
    assert list(cars.refusals()) == ["dry-run-empty"]
    cars.dry_run(exit_code=1, problems=[Problem(code="rows-missing")])
    assert "rows-missing" in cars.refusals()["dry-run-not-clean"]


def test_an_output_at_a_storage_has_to_be_proved_there(cars: ReadyExport) -> None:
    assert list(cars.warnings()) == ["token-in-job-record"]
    cars.change(ran_there=False)
    assert "s3://sets/cars" in cars.refusals()["place-not-proved"]
    cars.change(output="https://example.com/sets")
    assert list(cars.refusals()) == ["output-not-supported"]
    cars.change(output="s3://me:hidden-word@sets/cars")
    assert "hidden-word" not in cars.refusals()["source-secret"]


def test_an_output_that_would_go_with_its_machine_needs_consent(cars: ReadyExport) -> None:
    own = str(cars.home.folder / "output")
    for place in (own, f"{tempfile.gettempdir()}/output", "output"):
        cars.change(output=place)
        said = cars.refusals()["output-may-not-last"]
        assert "output_on_worker=accept" in said and "kubectl cp" in said
        assert cars.refusals(dry_run=True) == {}
        cars.change(output=place, output_on_worker="accept")
        assert "kubectl cp" in cars.warnings()["output-may-not-last"]


def test_a_folder_that_the_machines_may_mount(cars: ReadyExport) -> None:
    cars.change(output="/mnt/sets/cars", ran_there=False, state="/mnt/state/cars")
    assert "/mnt/sets/cars" in cars.warnings()["output-must-be-there"]
    cars.change(output="/mnt/sets/cars", state="/mnt/state/cars")
    assert list(cars.warnings()) == ["token-in-job-record"]
    # What the dry run has seen there counts more than how the path looks from here.
    cars.change(Problem(code="output-may-not-last", severity="warning"), output="/mnt/sets/cars")
    assert "on the worker's own disk" in cars.refusals()["output-may-not-last"]


# ---- there and back


def test_it_is_submitted_as_an_export_and_only_once(
    call: Callable[..., Any], cars: ReadyExport, cli: Cli, ray: FakeRay
) -> None:
    code, out, err = call(submit, "--approve", cars.hash)
    assert code == 0 and f"Submitted as {JOB} (export)" in out, err
    assert cli.seen()[0][2] == str(cars.home.job / "export.py")
    assert cli.seen()[1]["SYNAPSE_SKILLS_SUBMISSION"].startswith(f"{cars.hash}-export-")
    assert "already-submitted" in cars.refusals()
    # Nor from another home, which only knows what the cluster says.
    cars.home.submission.unlink()
    assert "This export is on the cluster" in cars.refusals()["already-submitted"]
    assert "1,247 of 5,000 records, 3 files" in call(job_status, "--json")[2] or True


@pytest.mark.parametrize(("exit_code", "status", "shown"), [(0, "SUCCEEDED", 0), (5, "FAILED", 5)])
def test_its_report_comes_home(
    call: Callable[..., Any], cars: ReadyExport, ray: FakeRay, exit_code: int, status: str, shown: int
) -> None:
    call(submit, "--approve", cars.hash)
    ray.logs[JOB] = progress_line(1247, 5000, 60, 3, 9) + "\n"
    assert "1,247 of 5,000 records, 3 files" in call(job_status)[1]
    made = export_report(exit_code=exit_code)
    ray.end(JOB, status, "\n".join([*marker_lines("report", made.model_dump(mode="json")), ""]))
    code, out, _ = call(job_status)
    assert code == shown
    for part in (
        f"export of plan {cars.hash}", "7 records read, 6 exported", "quarantined", "rotated 2", "12  (6 originals)",
    ):  # fmt: skip
        assert part in out
    assert ("next: " in out) == (shown != 0)
    assert json.loads(cars.home.report.read_text()) == made.model_dump(mode="json")
    document = json.loads(call(job_status, "--json")[1])
    assert document["report"]["annotations"]["formats"]["coco"] == {"written": 7, "lost": {"rotated": 2}}


def test_a_dry_run_there_opens_the_gate(call: Callable[..., Any], cars: ReadyExport, ray: FakeRay) -> None:
    cars.home.dry_run.unlink()
    assert call(submit, "--dry-run")[0] == 0
    made = export_report(mode="dry-run", content=content_hash(cars.home.job))
    ray.end(JOB, "SUCCEEDED", "\n".join([*marker_lines("report", made.model_dump(mode="json")), ""]))
    assert call(job_status)[0] == 0
    assert cars.refusals() == {} and not cars.home.report.exists()


def test_a_report_that_is_none(call: Callable[..., Any], cars: ReadyExport, ray: FakeRay) -> None:
    call(submit, "--approve", cars.hash)
    ray.end(JOB, "SUCCEEDED", "\n".join([*marker_lines("report", {"kind": "export", "name": 1}), ""]))
    code, out, _ = call(job_status)
    assert code == 5 and "of another version" in out


def test_an_export_is_not_rehearsed(cars: ReadyExport) -> None:
    with pytest.raises(UsageError) as found:
        rehearse(cars.home, Path("sandbox.py"))
    assert found.value.code == "not-an-upload" and "--limit 20" in found.value.hint
