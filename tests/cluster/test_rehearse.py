"""A rehearsal: the real job against the sandbox, on this machine, and nothing left behind."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from job_fixture import COLLECTION, PNG, SPECS
from rendering.plans import plan
from synapse_skills.cluster import JobHome, rehearsal
from synapse_skills.errors import EXIT_FINDINGS, EXIT_INCOMPLETE, EXIT_OK, OutOfReach
from synapse_skills.plan import Expected, SourcePlan, UploadPlan, plan_bytes
from synapse_skills.rendering import render_job

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "rehearse.py"
SCHEMA = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "pattern": "^unit"}}}


def made(folder: Path, units: int, **changes: Any) -> tuple[JobHome, UploadPlan]:
    data = folder / "data"
    for number in range(units):
        unit = data / f"unit_{number:03}"
        unit.mkdir(parents=True)
        (unit / "image.png").write_bytes(PNG + str(number).encode())
        (unit / "label.json").write_bytes(b'{"n": %d}' % number)
    expected = Expected(units=units, files=2 * units, bytes=sum(p.stat().st_size for p in data.rglob("*.*")))
    settled: dict[str, Any] = {
        "name": "scans",
        "data_collection": COLLECTION,
        "sources": (SourcePlan(path=str(data)),),
        "specs": tuple(spec.model_copy(update={"takes": spec.extensions}) for spec in SPECS),
        "expected": expected,
    }
    planned = plan(**settled | changes)
    home = folder / "synapse-jobs" / "scans"
    render_job(planned, home / "job")
    (home / "plan.json").write_bytes(plan_bytes(planned))
    return JobHome(home), planned


def rehearsed(home: JobHome, *flags: str) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(home.folder), *flags, "--json"], capture_output=True, text=True, check=False
    )
    return done.returncode, json.loads(done.stdout), done.stderr


def shipped(home: JobHome) -> str:
    return hashlib.sha256(b"".join(p.read_bytes() for p in sorted(home.job.rglob("*")) if p.is_file())).hexdigest()


@pytest.mark.heavy
def test_everything_is_sent_to_a_stand_in_and_nothing_twice(tmp_path: Path, user: Path) -> None:
    home, _ = made(tmp_path, 5, meta_schema=SCHEMA, project=9)
    before = shipped(home)
    code, document, _ = rehearsed(home)
    assert code == EXIT_OK, document["report"]["problems"]
    assert (document["report"]["created"], document["again"]["created"], document["again"]["already"]) == (5, 0, 5)
    assert (document["there"], document["report"]["tasks"]["created"]) == (5, 5)
    # No login leads anywhere here: that is said, and the plan's own rules are taken.
    assert [problem["code"] for problem in document["problems"]] == ["collection-not-asked"]
    assert shipped(home) == before
    assert not (home.folder / "state").exists()
    assert not (home.folder / "rehearsal" / "sandbox").exists()


@pytest.mark.heavy
def test_a_part_can_be_rehearsed_and_it_begins_anew(tmp_path: Path, user: Path) -> None:
    home, _ = made(tmp_path, 4)
    for _ in range(2):
        code, document, _ = rehearsed(home, "--limit", "2")
        assert code == EXIT_OK
        assert (document["report"]["created"], document["report"]["pending"], document["there"]) == (2, 2, 2)
        assert document["again"] is None


@pytest.mark.heavy
def test_what_the_backend_would_refuse_is_found_here(tmp_path: Path, user: Path) -> None:
    # Required, and no source of metadata gives it.
    home, _ = made(tmp_path, 3, meta_schema={"type": "object", "required": ["age"]})
    code, document, _ = rehearsed(home)
    assert code in (EXIT_FINDINGS, EXIT_INCOMPLETE)
    assert document["report"]["quarantined"] == 3 and document["there"] == 0


@pytest.mark.heavy
def test_a_source_that_has_changed_is_said(tmp_path: Path, user: Path) -> None:
    home, _ = made(tmp_path, 3)
    (tmp_path / "data" / "unit_001" / "image.png").write_bytes(PNG + b"another, longer one")
    code, document, _ = rehearsed(home)
    assert code == EXIT_FINDINGS
    assert "differs-from-plan" in {problem["code"] for problem in document["report"]["problems"]}


def test_a_disk_that_is_too_small_is_said_before_anything_is_copied(
    tmp_path: Path, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, planned = made(tmp_path, 1)
    huge = planned.model_copy(update={"expected": Expected(units=10, files=20, bytes=1 << 60)})
    (home.job / "plan.json").write_bytes(plan_bytes(huge))
    with pytest.raises(OutOfReach, match="GB are free"):
        rehearsal.rehearse(home, SCRIPT)


def test_changed_rules_of_the_collection_are_named(
    tmp_path: Path, user: Path, sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, planned = made(tmp_path, 1)
    for key, value in sandbox.env(tmp_path / "user").items():
        monkeypatch.setenv(key, value)
    assert rehearsal.compare_with_backend(planned) == []
    stricter = planned.model_copy(
        update={"specs": tuple(s.model_copy(update={"extensions": (".tiff",)}) for s in planned.specs)}
    )
    (problem,) = rehearsal.compare_with_backend(stricter)
    assert problem.code == "collection-changed" and problem.count == len(planned.specs)


def test_a_folder_that_is_no_job_is_refused(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "There is no job" in done.stderr and "Traceback" not in done.stderr
