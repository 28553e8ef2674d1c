"""Snapshots of rendered scripts are Python files of their own, readable in a review; pages are seen in a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from syrupy.assertion import SnapshotAssertion

from browser import Browser, find_chromium
from snapshots import PythonFile, TextFile


@pytest.fixture
def script_snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(PythonFile)


@pytest.fixture
def text_snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(TextFile)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser, which has to end well."""
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium here: apt-get install chromium fonts-noto-cjk")
    browser = Browser(program, tmp_path_factory.mktemp("browser"))
    try:
        yield browser
        assert browser.close() == 0
    finally:
        browser.kill()
