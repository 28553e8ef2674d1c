"""What README and the examples' pages say is so: scripts, flags, exit codes, files, the picture."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import pytest

from launcher import commands
from plugin import checks
from synapse_skills.errors import EXIT_CODES

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "examples" / "README.md", ROOT / "examples" / "ATTRIBUTION.md"]
SCRIPTS = sorted(path for path in (ROOT / "scripts").glob("*.py") if "__main__" in path.read_text(encoding="utf-8"))

FENCE = re.compile(r"^```\w*\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`(?P<code>[^`\n]+)`(?!`)")


def blocks(text: str) -> list[str]:
    """Code, without its comments."""
    return [re.sub(r"(?m)(^|\s)#.*$", "", match.group("code")) for match in FENCE.finditer(text)]


def inline(text: str) -> list[str]:
    return [match.group("code") for match in INLINE.finditer(FENCE.sub("", text))]


def all_flags() -> set[str]:
    """Every flag of every script and command."""
    shown = "".join(checks.help_of(name) for name in [*commands.scripts(), *commands.COMMANDS])
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", shown))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_names_exists(page):
    text = page.read_text(encoding="utf-8")
    problems = checks.check_links(text, page, ROOT) + checks.check_scripts(text)
    called = [words for block in blocks(text) for words in checks.calls(block)]
    problems += [problem for words in called for problem in checks.check_flags(words)]
    named = {flag for code in inline(text) for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", code)}
    problems += [f"no script has {flag}" for flag in sorted(named - all_flags() - {"--json", "--help"})]
    assert problems == []


def test_the_checks_find_something():
    assert checks.check_flags(["preview", "x", "--no-such-flag"]) == ["preview has no --no-such-flag"]
    assert list(checks.calls("FOO=1 python3 scripts/run.py preview x --out y\n")) == [["preview", "x", "--out", "y"]]
    assert checks.check_scripts("`python3 scripts/run.py no_such`")
    assert "--approve" in all_flags()
    assert "--no-such-flag" not in all_flags()
    assert [len(list(checks.calls(block))) for block in blocks(README)] == [0, 0, 8]


def test_every_script_is_in_the_readme_and_the_other_way_round():
    named = set(re.findall(r"^\| `(?:run\.py )?([\w.]+)` \|", README, re.MULTILINE))
    scripts = {path.stem for path in SCRIPTS}
    assert len(scripts) >= 8
    files = {"answers.json", "plan.json", "metadata.jsonl", "left_out.jsonl", "stays_home.jsonl", "dry_run.json"}
    files |= {"submission.json", "report.json"}
    assert scripts - {"run"} <= named
    assert named - files <= scripts | set(commands.COMMANDS) | {"run.py"}


def test_every_make_target_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", "\n".join([*blocks(README), *inline(README)])))
    assert {"demo", "test"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_exit_codes_are_the_ones_in_the_code():
    rows = re.findall(r"^\| (\d+) \| (.+?) \|$", README, re.MULTILINE)
    assert {int(code): meaning for code, meaning in rows} == EXIT_CODES


def test_installing_names_the_plugin_and_its_marketplace():
    market = json.loads((ROOT / ".claude-plugin" / "marketplace.json").read_bytes())
    plugin = json.loads((ROOT / ".claude-plugin" / "plugin.json").read_bytes())
    assert f"claude plugin install {plugin['name']}@{market['name']}" in README


def test_the_picture_is_there_described_and_small():
    described = re.search(r"!\[(?P<alt>[^\]]{20,})\]\(docs/preview\.png\)", README)
    assert described
    content = (ROOT / "docs" / "preview.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) <= 300_000
    width, _ = struct.unpack(">II", content[16:24])
    assert width >= 800


def test_lines_are_not_endless():
    for page in PAGES[:2]:
        for line in page.read_text(encoding="utf-8").splitlines():
            assert len(line) <= 120 or line.startswith(("|", "!")), line
