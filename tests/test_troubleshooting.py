"""Every code that the library can say is in a skill's troubleshooting page, with cause and remedy, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from synapse_skills.units.findings import FIXES, SEVERITIES

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "scripts" / "synapse_skills"
PAGES = sorted((ROOT / "skills").glob("*/references/troubleshooting.md"))
CODE = re.compile(r"[a-z]+(-[a-z]+)*")
# Calls whose first argument is a code.
SAYING = {
    "add",
    "_add",
    "_problem",
    "_unreadable",
    "Refuse",
    "Refusal",
    "Problem",
    "Finding",
    "_fail",
    "Unfit",
    "_Row",
    "_warning",
}
# Single words count only as the class attribute of an error or as `code=`.
BARE = {"error", "finding", "usage", "interrupted", "refused", "bug", "vanished"}


def codes_in(text: str) -> Iterator[str]:
    """Codes in Python source: `code="…"`, a class's `code`, and the first argument of what collects problems."""
    for node in ast.walk(ast.parse(text)):
        values: list[ast.expr] = []
        if isinstance(node, ast.keyword) and node.arg == "code":
            values = list(alternatives(node.value))
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            named = {target.id for target in targets if isinstance(target, ast.Name)}
            if named & {"code", "CHANGED", "NO_PART", "no_file", "bad_row"} and node.value is not None:
                values = [node.value]
            elif named & {"QUARANTINE", "FIXES", "SEVERITIES", "_FIXES", "PROBLEMS"} and node.value is not None:
                values = [each for each in ast.walk(node.value) if isinstance(each, ast.Constant)]
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in SAYING:
                values = list(node.args[:2] if name == "_fail" else node.args[:1])
        for value in values:
            code = value.value if isinstance(value, ast.Constant) else None
            if isinstance(code, str) and CODE.fullmatch(code) and ("-" in code or code in BARE):
                yield code


def alternatives(value: ast.expr) -> Iterator[ast.expr]:
    """What an expression can come to, without the conditions in it."""
    if isinstance(value, ast.IfExp):
        yield from alternatives(value.body)
        yield from alternatives(value.orelse)
    else:
        yield value


def said() -> set[str]:
    """All codes of the library."""
    found = {code for path in sorted(LIBRARY.rglob("*.py")) for code in codes_in(path.read_text(encoding="utf-8"))}
    return found | set(FIXES) | set(SEVERITIES)


def documented(page: Path) -> list[str]:
    """All codes in the first column of a page's tables."""
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    return [code for row in rows for code in re.findall(r"`([a-z-]+)`", row.split("|")[1])]


def test_every_code_is_documented_and_no_other() -> None:
    pages = {page.parts[-3]: documented(page) for page in PAGES}
    assert {"synapse-export-workflow", "synapse-upload-workflow"} <= set(pages)
    written = {code for codes in pages.values() for code in codes}
    assert [name for name, codes in pages.items() if len(codes) != len(set(codes))] == [], "a code is documented twice"
    assert {"unwritten": sorted(said() - written), "unsaid": sorted(written - said())} == {
        "unwritten": [],
        "unsaid": [],
    }


def test_every_row_has_cause_and_remedy() -> None:
    for page in PAGES:
        lines = page.read_text(encoding="utf-8").splitlines()
        rows = [line.split("|")[2:4] for line in lines if line.startswith("| `")]
        assert len(rows) > (10 if "plugin" in page.parts[-3] else 60)
        assert all(len(part.strip()) > 4 for row in rows for part in row)


def test_codes_are_found_in_source_in_every_way_that_they_are_said() -> None:
    text = """
class Bad(FindingError):
    code = "class-code"

def f(problems, full):
    problems.add("added-code", "x")
    raise OutOfReach("x", hint="y", code="first-code" if full else "second-code")
    return Refuse("refused-code", "x", "y")
"""
    assert set(codes_in(text)) == {"class-code", "added-code", "first-code", "second-code", "refused-code"}
