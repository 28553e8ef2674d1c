"""Outputs in odd places: links that somebody has planted in them, the state of the job, no path at all."""

from __future__ import annotations

import pytest

from export_fixture import ExportJob, row


@pytest.mark.parametrize("name", ["manifest.json.partial", "coco.partial", "metadata.partial"])
def test_nothing_is_written_through_a_planted_link(export_job: ExportJob, name: str) -> None:
    export_job.label(row(1))
    export_job.do()
    victim = export_job.folder / "theirs"
    victim.write_text("theirs")
    (export_job.output / name).symlink_to(victim)
    export_job.label(row(2))
    export_job.do()
    assert victim.read_text() == "theirs"
    assert not (export_job.output / name).is_symlink()


@pytest.mark.parametrize(
    ("place", "code", "exit_code"), [("state/spool/out", "output-not-ours", 1), ("a\0b", "not-a-folder", 2)]
)
def test_an_output_has_a_place_of_its_own(export_job: ExportJob, place: str, code: str, exit_code: int) -> None:
    export_job.label(row(1))
    export_job.plan_with(output=str(export_job.home / place))
    error = export_job.do(expect=exit_code)
    assert error is not None and error.code == code
