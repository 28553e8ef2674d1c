"""Links that somebody has planted in the output: nothing is written through them."""

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
