"""A path that is not there: what may have been meant is said, or where the spelling went wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from synapse_skills.errors import OutOfReach
from synapse_skills.sources import Source


def told(path: Path) -> str:
    with pytest.raises(OutOfReach) as caught:
        Source(str(path)).root()
    assert caught.value.code == "source-missing"
    return str(caught.value)


def test_the_folder_that_is_meant_is_named(tmp_path: Path) -> None:
    (tmp_path / "from labelers" / "2026-07").mkdir(parents=True)
    assert f"did you mean {tmp_path}/from labelers/2026-07?" in told(tmp_path / "labelers" / "2026-07")


def test_nothing_is_meant_by_what_is_not_like_it_or_does_not_hold_the_rest(tmp_path: Path) -> None:
    (tmp_path / "from labelers").mkdir()
    (tmp_path / "labelerz").write_text("a file")
    for path in (tmp_path / "labelers" / "2026-07", tmp_path / "photos", tmp_path / ("x" * 300)):
        message = told(path)
        assert "did you mean" not in message and (f"({tmp_path} exists)" in message or "too long" in message)
