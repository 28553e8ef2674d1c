"""What README and the examples' pages say is so: scripts, flags, exit codes, files, the picture."""

from __future__ import annotations

import json
import re
import struct
from fnmatch import fnmatch
from pathlib import Path

import pytest

from launcher import commands
from plugin import checks
from synapse_skills.errors import EXIT_CODES

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FOLDERS = [ROOT, ROOT / "docs", ROOT / "examples", ROOT / "benchmarks", ROOT / "evals"]
PAGES = [page for folder in FOLDERS for page in sorted(folder.glob("*.md")) if page.name != "CHANGELOG.md"]
KEYED = sorted([*(ROOT / "skills").glob("*/SKILL.md"), *(ROOT / "skills").glob("*/references/*.md")])
SCRIPTS = sorted(path for path in (ROOT / "scripts").glob("*.py") if "__main__" in path.read_text(encoding="utf-8"))

FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`(?P<code>[^`\n]+)`(?!`)")
# What the trials' own commands take.
EVAL_FLAGS = set(re.findall(r'"(--[a-z-]+)"', (ROOT / "evals" / "eval_cases" / "commands.py").read_text("utf-8")))


def blocks(text: str) -> list[str]:
    """Code, without its comments."""
    return [re.sub(r"(?m)(^|\s)#.*$", "", match.group("code")) for match in FENCE.finditer(text)]


def inline(text: str) -> list[str]:
    return [match.group("code") for match in INLINE.finditer(FENCE.sub("", text))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_names_exists(page):
    text = page.read_text(encoding="utf-8")
    beside = {path.name for name in ("evals", "benchmarks") for path in (ROOT / name).glob("*.py")}
    problems = [each for each in checks.check_scripts(text) if each.partition(":")[0] not in beside]
    problems += checks.check_links(text, page, ROOT)
    called = [words for block in blocks(text) for words in checks.calls(block)]
    problems += [problem for words in called for problem in checks.check_flags(words)]
    ours = EVAL_FLAGS if page.parent.name == "evals" else set()
    problems += [each for each in checks.check_inline(text) if each.rpartition(" ")[2] not in ours]
    bash = [match.group("code") for match in FENCE.finditer(text) if match.group("kind") in ("bash", "sh", "console")]
    # What stands for something of the reader's, as in `add <path>`, is no redirection.
    problems += [wrong for code in bash if (wrong := checks.parses(re.sub(r"<[^<>\n]+>", "WORD", code)))]
    assert problems == []


def test_the_checks_find_something():
    assert checks.check_flags(["preview", "x", "--no-such-flag"]) == ["preview has no --no-such-flag"]
    assert list(checks.calls("FOO=1 python3 scripts/run.py preview x --out y\n")) == [["preview", "x", "--out", "y"]]
    assert checks.check_scripts("`python3 scripts/run.py no_such`")
    assert "--approve" in checks.all_flags()
    assert "--no-such-flag" not in checks.all_flags()
    assert checks.check_inline("`--no-such-flag`, `job DIR --dry-run`, `preview X --limit 3`, `convmv --notest`") == [
        "no script has --no-such-flag",
        "preview has no --limit",
    ]
    assert checks.parses("echo 'x") and not checks.parses("echo x")
    assert [len(list(checks.calls(block))) for block in blocks(README)] == [0, 0, 8]


@pytest.mark.parametrize("name", commands.scripts())
def test_the_examples_of_a_help_text_can_be_called(name):
    shown = checks.help_of(name)
    lines = re.findall(rf"^ +(?:run\.py )?{name}(?:\.py)?((?: .+)?)$", shown.partition("examples:")[2], re.MULTILINE)
    assert len(lines) >= 2, "two examples"
    assert [problem for line in lines for problem in checks.check_flags([name, *line.split()])] == []


@pytest.mark.parametrize("name", ["job", "export"])
def test_the_pages_of_job_folders_name_what_exists(name):
    page = ROOT / "templates" / name / "README.md.j2"
    text = re.sub(r"\{[%{#].*?[%}#]\}", "x", page.read_text("utf-8"))
    assert checks.check_inline(text) + checks.check_scripts(text) == []
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", "".join(blocks(text))))
    assert flags <= checks.all_flags()


def keys_of(skill: str) -> list[str]:
    """Patterns of all keys in a skill's reference, which is made from the code."""
    text = (ROOT / "skills" / skill / "references" / "keys.md").read_text("utf-8")
    text += "".join(path.read_text("utf-8") for path in (ROOT / "skills" / skill / "references").glob("f*.md"))
    return re.findall(r"^\| `([a-z][\w.*]*)` \|", text, re.MULTILINE)


@pytest.mark.parametrize("page", KEYED, ids=lambda page: "-".join(page.parts[-3:]))
def test_every_key_that_is_named_exists(page):
    skill = next(part for part in page.parts if part.startswith("synapse-"))
    # A plugin is planned as an export is.
    known = keys_of(skill.replace("-export-plugin", "-export-workflow"))
    assert len(known) > 20
    text = page.read_text("utf-8")
    said = re.findall(r"--set '?\"?([a-z][\w.…]*)[=…]", text) + re.findall(r"`([a-z]+\.[\w.]+)=[^`]+`", text)
    # FORMAT, SPEC, REASON and … stand for a name.
    plain = {re.sub(r"\b[A-Z]+\b|…|NAME", "x", key).rstrip(".") for key in said}
    unknown = [key for key in plain if not any(matches(key, pattern) for pattern in known)]
    assert unknown == []


def matches(key: str, pattern: str) -> bool:
    return fnmatch(key, pattern) or fnmatch(key, f"{pattern}.*") or pattern.startswith(f"{key}.")


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
    for page in PAGES:
        if page.name == "ATTRIBUTION.md":
            continue
        for line in page.read_text(encoding="utf-8").splitlines():
            assert len(line) <= 120 or line.startswith(("|", "!")), line
