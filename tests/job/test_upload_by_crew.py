"""An upload whose files are moved by others: each data unit once, whoever does what twice, or dies, or sees nothing."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any, cast

import pytest
from lots import Elsewhere, by_crew
from test_conversions import MAPPING, TO_PNG, picture

from job_fixture import PNG, Job, killing
from sources.trees import MemoryTree
from synapse_skills.backend import login
from synapse_skills.job.parallel import Processes
from synapse_skills.job.upload.create import MAX_IN_FLIGHT
from synapse_skills.job.upload.crew_sender import Team
from synapse_skills.job.upload.crew_work import Common
from synapse_skills.plan import Limits
from synapse_skills.sources import Inventory, reach

UNITS = 24
POST = "synapse_skills.backend.api:Api.post_once"


def test_lots_that_are_done_twice_and_a_killed_driver_cost_no_unit(job: Job) -> None:
    job.units(UNITS)
    job.plan_with(engine="ray", limits=Limits(batch_size=5, settle_after_s=0.4, workers=7))
    job.run(before=by_crew(Elsewhere(), killing(POST, 3, when="after")), expect=-signal.SIGKILL)
    assert 0 < sum(job.there().values()) < UNITS
    job.run(before=by_crew(Elsewhere()))
    assert job.there() == job.wanted()
    report = job.report()
    assert report["created"] + report["already"] == UNITS
    assert report["files"]["sent"] + report["files"]["reused"] == 2 * UNITS
    assert not list(job.folder.rglob("lots/*"))
    # All together have so many requests under way as the plan says; beside them the one who makes data units, and ours.
    assert job.box.get("/_sandbox/stats")["most_in_flight"] <= 7 + MAX_IN_FLIGHT + 1


def test_what_others_find_unfit_is_named_and_all_else_arrives(job: Job) -> None:
    job.units(20)
    job.unit("patient_900", {"image.png": PNG, "label.json": b"{}", "scan.dcm": b"1"})
    job.plan_with(engine="ray")
    gone = job.source / "patient_900" / "label.json"
    done = job.run(before=by_crew(Elsewhere(first=lambda lot: gone.unlink(missing_ok=True))), expect=5)
    assert "patient_900" in job.problem("vanished")["examples"][0]
    report = job.report()
    assert (report["created"], report["quarantined"]) == (20, 1)
    assert "Error" not in done.stderr


@pytest.mark.parametrize("there", ["", "empty"])
def test_a_machine_that_does_not_see_a_source_is_told_before_anything_begins(
    job: Job, tmp_path: Path, there: str
) -> None:
    job.units(3)
    job.plan_with(engine="ray")
    elsewhere = tmp_path / "mount"
    if there:
        elsewhere.mkdir()
    job.run(before=by_crew(Elsewhere(str(elsewhere))), expect=1)
    assert job.problem("not-shared")
    assert not job.box.units()
    assert job.report()["pending"] == (3 if there else 0)
    # A dry run asks nobody.
    job.run("--dry-run", before=by_crew(Elsewhere(str(elsewhere))))


def test_without_a_cluster_it_is_refused_before_anything_is_read(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    from synapse_skills.job import ray_crew

    def no_ray() -> None:
        def missing(name: str) -> Any:
            raise ImportError(name)

        ray_crew.importlib.import_module = missing  # type: ignore[assignment]

    job.units(1)
    job.plan_with(engine="ray")
    job.run(before=no_ray, expect=3)
    assert job.problem("no-ray")
    assert job.report()["planned"] == 0


def test_an_object_store_is_listed_by_others_as_it_would_be_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNAPSE_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("SYNAPSE_ACCESS_TOKEN", "no-token-at-all")
    tree = MemoryTree()
    for folder in ("a", "b", "b c", "나"):
        for name in ("1.png", "deep/2.png", "deep/.DS_Store"):
            tree.put(f"{folder}/{name}", b"x")
    tree.put("top.png", b"x")
    tree.put("c/" + "n" * 300, b"x")
    asked: list[Any] = []
    crew = Elsewhere(first=asked.append)
    common = Common(cast(Any, None), (tree.source(),), login().where, str(tmp_path), 1.0)
    found = []
    for way_to in (reach, Team(crew, common, 4).way_to):
        with Inventory(tmp_path / f"{len(found)}.sqlite") as inventory:
            walk = inventory.walk([tree.source()], way_to=way_to)
            said = (walk.files, walk.bytes, walk.folders, walk.problems.as_list())
            found.append((said, list(inventory.files())))
    assert found[0] == found[1]
    assert found[0][0][:3] == (9, 9, 8)
    assert [folder.path.rpartition("/")[2] for folder in asked] == ["a", "b c", "b", "c", "나"]


@pytest.mark.heavy
def test_pictures_are_converted_by_others(job: Job) -> None:
    job.script(more=MAPPING)
    for number in range(40):
        job.unit(f"scan_{number:02}", {"image.tiff": picture(number), "label.json": b"{}"})
    job.unit("scan_90", {"image.tiff": b"no picture", "label.json": b"{}"})
    job.plan_with(engine="ray", conversions=TO_PNG)
    job.run(before=by_crew(Processes(2), killing(POST, 2, when="after")), expect=-signal.SIGKILL)
    job.run(before=by_crew(Processes(2)), expect=5)
    report = job.report()
    assert (report["created"] + report["already"], report["quarantined"]) == (40, 1)
    assert "scan_90" in job.problem("conversion-failed")["examples"][0]
    there = job.box.units()
    assert len({unit["files"]["image_1"]["checksum"] for unit in there}) == len(there) == 40
    assert all(unit["files"]["image_1"]["path"].endswith("/image.png") for unit in there)
