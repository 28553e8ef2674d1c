"""What went wrong in a job with conversions when somebody tried: each fault has its test."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from test_conversions import TO_PNG, keys, pictures, staged, unit

from job_fixture import Job, killing
from synapse_skills.job import places
from synapse_skills.units import Described, Unit

__all__ = ["pictures"]  # a fixture


def slowly() -> None:
    """Conversions take a second, unless the run is being stopped."""
    import synapse_skills.job.upload.staging as staging

    real = staging.Stager._make

    def make(self: Any, *args: Any) -> Any:
        (self._folder / "begun").touch()
        self._stopped.wait(1)
        return real(self, *args)

    staging.Stager._make = make  # type: ignore[method-assign]


def one_at_a_time() -> None:
    """Nothing is converted while another result lies there."""
    import synapse_skills.job.upload.staging as staging

    staging.KEEP = 1


def with_lost_state(job: Job) -> None:
    """Three data units are there and are to be recognised; three new ones before them keep the converters busy."""
    for number in range(3, 6):
        unit(job, number)
    job.run()
    shutil.rmtree(job.state)
    for number in range(3):
        unit(job, number)


def test_a_signal_while_data_units_are_recognised_leaves_a_report(pictures: Job) -> None:
    with_lost_state(pictures)
    process = pictures.start(before=slowly)
    deadline = time.monotonic() + 20
    while not (pictures.state / "staging" / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    assert (process.returncode, "Traceback" in err) == (130, False), err
    assert pictures.report()["exit_code"] == 130 and not staged(pictures)
    pictures.run()
    assert keys(pictures) == [f"patient_{number:03d}" for number in range(6)]


def test_nobody_waits_for_room_that_a_backend_that_is_away_would_make(pictures: Job) -> None:
    with_lost_state(pictures)
    pictures.box.set_faults({"kind": "status", "route": "files.presign", "status": 503})
    pictures.run(before=one_at_a_time, expect=3, timeout=25, SYNAPSE_SKILLS_PATIENCE_S="0.5")
    assert pictures.problem("backend-error") and pictures.report()["quarantined"] == 0
    pictures.box.set_faults()
    pictures.run(before=one_at_a_time)
    assert keys(pictures) == [f"patient_{number:03d}" for number in range(6)]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_no_data_unit_is_blamed_for_a_staging_folder_that_somebody_empties(pictures: Job, moment: str) -> None:
    for number in range(4):
        unit(pictures, number)

    def emptied() -> None:
        import synapse_skills.job.upload.staging as staging

        real = staging.Stager._make

        def make(self: Any, *args: Any) -> Any:
            if moment == "before":
                shutil.rmtree(self._folder, ignore_errors=True)
            made = real(self, *args)
            # Another thread may have been quicker: that it is gone is what is tried here, not that it can't be removed.
            shutil.rmtree(self._folder, ignore_errors=True)
            return made

        staging.Stager._make = make  # type: ignore[method-assign]

    pictures.run(before=emptied, expect=3)
    report = pictures.report()
    assert (report["quarantined"], report["failed"], report["pending"]) == (0, 0, 4)
    assert "staging" in pictures.problem("os-error")["examples"][0]
    pictures.run()
    assert len(keys(pictures)) == 4


@pytest.mark.parametrize("said", ["soon", "nan", "-1"])
def test_seconds_that_are_none_are_named(pictures: Job, said: str) -> None:
    unit(pictures, 0)
    pictures.run(expect=2, SYNAPSE_SKILLS_CONVERSION_S=said)
    assert "SYNAPSE_SKILLS_CONVERSION_S" in pictures.problem("bad-seconds")["examples"][0]


def test_killed_again_and_again_with_the_cache_lost_each_time(pictures: Job, tmp_path: Path) -> None:
    pictures.state = tmp_path / "shared"
    pictures.plan_with(conversions=TO_PNG, state=str(pictures.state))
    for number in range(8):
        unit(pictures, number)

    for _ in range(2):
        before = killing("synapse_skills.backend.api:Api.post_once", 2, when="after")
        pictures.run(before=before, expect=None)
        shutil.rmtree(pictures.folder / "user" / ".cache" / "synapse-skills")
    pictures.run()
    assert keys(pictures) == [f"patient_{number:03d}" for number in range(8)]


def test_a_home_on_a_network_is_the_second_choice_for_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "here"))
    assert home in places.cache_for(tmp_path / "state", named_by_plan=True).parents
    monkeypatch.setattr(places, "on_network", lambda folder: home in [folder, *folder.parents])
    assert tmp_path / "here" in places.cache_for(tmp_path / "state", named_by_plan=True).parents


class Lazy(Mapping[str, Any]):
    """Says that it has a field, and fails when it is asked for it."""

    def __getitem__(self, name: str) -> Any:
        raise RuntimeError("the source has gone away")

    def __iter__(self) -> Iterator[str]:
        return iter(["age"])

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (Lazy(), "the source has gone away"),
        ({1: "a", "1": "b"}, "two keys are the same"),
        ({"tags": {1: "a", "1": "b"}}, "two keys are the same"),
    ],
)
def test_a_description_that_can_not_be_sent_whole_sets_its_data_unit_aside(said: Mapping[Any, Any], why: str) -> None:
    meta, faults = Described(lambda unit: said, None).meta_of(Unit("patient_000"))
    assert meta is None and why in str(faults[0])
