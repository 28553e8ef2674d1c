"""The references of an export are what the code says: keys, filters, formats, the schema of a plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synapse_skills.backend.filters import FILTERS
from synapse_skills.export_plan import ExportPlan
from synapse_skills.formats import FORMATS
from synapse_skills.planning.export import EXPORT
from synapse_skills.planning.export_formats import _parse_option
from synapse_skills.planning.export_keys import PAGES
from synapse_skills.planning.interview import BadAnswer, Family, is_known

ROOT = Path(__file__).resolve().parents[2]
REFERENCES = ROOT / "skills/synapse-export-workflow/references"
AGAIN = (
    "cd scripts && python -c 'import json; from synapse_skills.export_plan import ExportPlan; "
    "print(json.dumps(ExportPlan.model_json_schema(), indent=2, ensure_ascii=False))' > ../docs/export_plan.schema.json"
)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_made_from_the_code(name: str) -> None:
    assert (REFERENCES / f"{name}.md").read_text(encoding="utf-8") == PAGES[name](), "make docs"


def test_the_pages_hold_everything() -> None:
    assert all(f"| `{row.key}` |" in PAGES["keys"]() for row in EXPORT)
    assert all(f"| `{name}` |" in PAGES["filters"]() for name in FILTERS)
    assert all(f"| `{name}` |" in PAGES["formats"]() for name in FORMATS)


def test_the_schema_is_up_to_date() -> None:
    made = json.dumps(ExportPlan.model_json_schema(), indent=2, ensure_ascii=False) + "\n"
    schema = (ROOT / "docs" / "export_plan.schema.json").read_text(encoding="utf-8")
    assert schema == made, f"export_plan.py has changed. Write the schema again: {AGAIN}"


def test_every_decision_of_a_plan_has_a_key() -> None:
    counted = {"version", "kind", "expected"}
    for field in set(ExportPlan.model_fields) - counted:
        own = [row.key for row in EXPORT if row.key == field or row.key.startswith(f"{field}.")]
        assert own, f"nothing decides {field}"
    assert is_known(EXPORT, "losses.coco.rotated") and not is_known(EXPORT, "storages")


def test_headers_and_keys_are_of_the_right_kind() -> None:
    keys = [row.key for row in EXPORT]
    assert len(set(keys)) == len(keys)
    above: set[str] = set()
    for row in EXPORT:
        assert 1 <= len(row.header) <= 12
        assert row.doc.rstrip().endswith(".")
        assert set(row.needs) <= above, f"{row.key} needs what comes later"
        assert isinstance(row, Family) == ("*" in row.key)
        above.add(row.key)


@pytest.mark.parametrize("answer", ["many", -3, 2.5, True, None])
def test_a_count_that_is_none_is_asked_for_again(answer: object) -> None:
    form = FORMATS["coco"]
    [shard] = [option for option in form.options if option.is_count]
    with pytest.raises(BadAnswer, match="is none of 0, any whole number above 0"):
        _parse_option(form, shard, answer, None, {})  # type: ignore[arg-type]
    assert [_parse_option(form, shard, said, None, {}) for said in ("500", 500, "0")] == [500, 500, 0]  # type: ignore[arg-type]
