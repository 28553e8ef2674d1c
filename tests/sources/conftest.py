from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from synapse_skills.sources import Inventory

pytest.register_assert_rewrite("sources.cases")


@pytest.fixture
def inventory(tmp_path: Path) -> Iterator[Inventory]:
    with Inventory(tmp_path / "inventory.sqlite") as inventory:
        yield inventory
