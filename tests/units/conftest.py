from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from synapse_skills.plan import Limits
from synapse_skills.sources import Inventory, Source
from synapse_skills.units import Survey, survey
from units.samples import PLACE, PNG, SPECS


@pytest.fixture
def inventory(tmp_path: Path) -> Iterator[Inventory]:
    with Inventory(tmp_path / "inventory.sqlite") as inventory:
        yield inventory


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., None]:
    """write(path, content): into the source; without content, what the extension promises."""

    def write(path: str, content: bytes | None = None) -> None:
        target = tmp_path / "data" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((PNG if path.lower().endswith(".png") else b"{}") if content is None else content)

    return write


@pytest.fixture
def look(tmp_path: Path, inventory: Inventory) -> Callable[..., Survey]:
    """look(…): walk the source and make a survey of it."""

    def look(place: Any = PLACE, specs: Any = SPECS, limits: Limits | None = None, **kwargs: Any) -> Survey:
        sources = [Source(str(tmp_path / "data"))]
        inventory.walk(sources)
        return survey(inventory, sources, place, specs, limits or Limits(), **kwargs)

    return look
