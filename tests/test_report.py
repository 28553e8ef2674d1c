"""The report adds up, and files are written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from synapse_skills.report import Problem, Problems, UploadReport, write_bytes, write_json

counts = st.integers(0, 10)


def report(**values: int) -> UploadReport:
    return UploadReport(name="x", started="2026-01-01T00:00:00+00:00", seconds=1, exit_code=0, **values)  # type: ignore[arg-type]


@given(counts, counts, counts, counts, counts, counts)
def test_planned_is_the_sum_or_there_is_no_report(
    planned: int, created: int, already: int, failed: int, quarantined: int, pending: int
) -> None:
    values = {
        "planned": planned,
        "created": created,
        "already": already,
        "failed": failed,
        "quarantined": quarantined,
        "pending": pending,
    }
    if planned == created + already + failed + quarantined + pending:
        assert report(**values).planned == planned
    else:
        with pytest.raises(ValidationError):
            report(**values)


def test_problems_keep_three_examples_and_every_count() -> None:
    problems = Problems()
    for number in range(10_000):
        problems.add("empty-file", f"unit {number}", fix="mend")
    problems.add("other", "x", severity="warning")
    first, second = problems.as_list()
    assert (first.count, len(first.examples), second.code) == (10_000, 3, "other")


def test_merging_adds_counts() -> None:
    problems = Problems()
    problems.add("a", "1")
    problems.merge(Problem(code="a", count=5, examples=["1", "2"]))
    problems.merge(Problem(code="b", count=2))
    assert [(p.code, p.count, p.examples) for p in problems.as_list()] == [("a", 6, ["1", "2"]), ("b", 2, [])]


def test_report_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.json"
    write_json(path, json.loads(report(planned=1, created=1).model_dump_json()))
    assert UploadReport.model_validate_json(path.read_bytes()) == report(planned=1, created=1)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    write_bytes(path, b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="space"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["f"]
