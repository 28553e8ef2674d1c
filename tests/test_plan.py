"""plan.json: the same decisions, the same bytes; a broken one is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_skills.errors import FindingError, UsageError
from synapse_skills.plan import SourcePlan, SpecPlan, UploadPlan, plan_bytes, plan_hash, read_plan


def plan(name: str = "x", path: str = "/data") -> UploadPlan:
    return UploadPlan(name=name, data_collection=1, sources=(SourcePlan(path=path),), specs=(SpecPlan(name="image_1"),))


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.text(st.characters(exclude_categories=["Cs"])))
def test_written_and_read_back_it_is_the_same(name: str, path: str) -> None:
    content = plan_bytes(plan(name, path))
    again = UploadPlan.model_validate_json(content)
    assert plan_bytes(again) == content
    assert len(plan_hash(content)) == 12


def test_missing_plan(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        read_plan(tmp_path / "plan.json")
    with pytest.raises(UsageError):
        read_plan(tmp_path)


@pytest.mark.parametrize(
    ("text", "field"),
    [("{", "plan"), ("[]", "plan"), ('{"version": 1}', "name"), ('{"kind": "export"}', "kind")],
)
def test_broken_plan_names_the_field(tmp_path: Path, text: str, field: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(FindingError, match=field):
        read_plan(path)


def test_unknown_field_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(plan_bytes(plan()).replace(b'"name"', b'"nmae"', 1))
    with pytest.raises(FindingError, match="nmae"):
        read_plan(path)
