"""docs/plan.schema.json is what the plan's model says."""

from __future__ import annotations

import json
from pathlib import Path

from synapse_skills.plan import UploadPlan

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "plan.schema.json"
AGAIN = (
    "cd scripts && python -c 'import json; from synapse_skills.plan import UploadPlan; "
    "print(json.dumps(UploadPlan.model_json_schema(), indent=2, ensure_ascii=False))' > ../docs/plan.schema.json"
)


def test_the_schema_is_up_to_date() -> None:
    made = json.dumps(UploadPlan.model_json_schema(), indent=2, ensure_ascii=False) + "\n"
    assert SCHEMA.read_text(encoding="utf-8") == made, f"plan.py has changed. Write the schema again: {AGAIN}"
