"""The reference of keys is what the code says."""

from __future__ import annotations

from pathlib import Path

from synapse_skills.planning.given import PARAMETERS
from synapse_skills.planning.keys import keys_page

PAGE = Path(__file__).resolve().parents[2] / "skills/synapse-upload-workflow/references/keys.md"


def test_the_page_is_made_from_the_code() -> None:
    assert PAGE.read_text(encoding="utf-8") == keys_page(), "make docs"


def test_the_page_has_every_parameter_of_the_seed() -> None:
    seed = {"name", "use_single_path", "path", "is_recursive", "assets", "storage", "data_collection", "project"}
    seed |= {"excel_metadata_path", "max_file_size_mb", "creating_data_unit_batch_size", "use_async_upload"}
    assert set(PARAMETERS) == seed | {"extra_params"}
    assert all(f"| `{name}` |" in keys_page() for name in PARAMETERS)
