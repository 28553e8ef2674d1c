"""A machine of its own for each test of the launcher."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap import mini as minis


@pytest.fixture(scope="session")
def pythons() -> dict[str, Path]:
    return minis.pythons()


@pytest.fixture
def mini(tmp_path: Path) -> minis.Mini:
    """With uv, which makes an installation quick."""
    if minis.find_uv() is None:
        pytest.skip("no uv on this machine; the development environment brings one")
    return minis.make(tmp_path, uv=True)


@pytest.fixture
def bare(tmp_path: Path) -> minis.Mini:
    """Without uv on PATH."""
    return minis.make(tmp_path, uv=False)
