"""docs/reliability.md: the tests that it names exist, and it stays short."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+(?:\.py)?)(?:::(\w+))?`", PAGE)


def missing(named: list[tuple[str, str]]) -> list[str]:
    """Files and functions that are not there."""
    found = []
    for path, function in named:
        place = ROOT / path
        if not place.exists() or (place.is_dir() and not list(place.glob("test_*.py"))):
            found.append(path)
        elif function:
            tree = ast.parse(place.read_text(encoding="utf-8"))
            if function not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}:
                found.append(f"{path}::{function}")
    return found


def test_every_test_that_is_named_exists() -> None:
    assert len(NAMED) >= 20
    assert missing(NAMED) == []


def test_the_check_finds_what_is_missing() -> None:
    assert missing([("tests/no_such.py", ""), ("tests/test_reliability.py", "no_such"), ("scripts", "")]) == [
        "tests/no_such.py", "tests/test_reliability.py::no_such", "scripts",
    ]  # fmt: skip


def test_every_promise_names_a_test() -> None:
    rows = [line for line in PAGE.split("## How it is tried")[0].splitlines() if line.startswith("| ")]
    promises = [line for line in rows if not line.startswith(("| promise", "|---"))]
    assert len(promises) >= 14
    assert [line for line in promises if "`tests/" not in line.split("|")[3]] == []


def test_it_is_short_and_linked() -> None:
    assert len(PAGE.splitlines()) <= 150
    assert [line for line in PAGE.splitlines() if len(line) > 120 and not line.startswith("|")] == []
    assert "(docs/reliability.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_counts_only_words_that_the_code_has() -> None:
    library = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "scripts" / "synapse_skills").rglob("*.py"))
    for word in ("settle_after_s", "foreign-identical", "outcome-unknown", "retry-unknown"):
        assert word in PAGE and word in library
