"""Every skill is one that an agent can follow: valid, short, and all that it names exists."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from plugin import checks

GOOD = """\
---
name: a-skill
description: Brings files somewhere. Use it when the user says so.
license: MIT
---
# A skill

Look at [the details](references/more.md#part) and `references/more.md`, or [elsewhere](https://example.org/x).

```bash
python3 "${CLAUDE_PLUGIN_ROOT}/scripts/run.py" check_environment --for submit --json | head -n 3   # exit 3: mend it
python3 "${CLAUDE_PLUGIN_ROOT}/scripts/run.py" job synapse-jobs/photos --dry-run && echo fine > out.txt
```

Then `run.py job DIR --approve HASH` starts `upload.py`.
"""


def agentskills(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("agentskills")), "validate", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def made(tmp_path: Path, text: str = GOOD) -> Path:
    folder = tmp_path / "skills" / "a-skill"
    (folder / "references").mkdir(parents=True)
    (folder / "SKILL.md").write_text(text)
    (folder / "references" / "more.md").write_text("# More\n\n[Back](../SKILL.md)\n")
    return folder


def test_our_skills() -> None:
    assert checks.check_all(checks.ROOT) == []


def test_our_skills_pass_the_specifications_validator() -> None:
    found = checks.skills(checks.ROOT)
    assert found, "no skill found under skills/"
    for folder in found:
        result = agentskills(folder)
        assert result.returncode == 0, f"{folder.name}: {result.stderr}"


# --- the checks themselves -------------------------------------------------------------------------------------------


def test_a_good_skill_has_nothing_wrong(tmp_path: Path) -> None:
    folder = made(tmp_path)
    assert checks.check_all(tmp_path) == []
    assert agentskills(folder).returncode == 0


def test_no_skill_at_all(tmp_path: Path) -> None:
    assert checks.check_all(tmp_path) == ["no skill found under skills/"]
    (tmp_path / "skills" / "empty").mkdir(parents=True)
    assert checks.check_all(tmp_path) == ["empty: no SKILL.md"]


BAD = {
    "other name": ("name: a-skill", "name: b-skill", "its folder 'a-skill'"),
    "upper case": ("name: a-skill", "name: A-Skill", "lower case"),
    "unknown key": ("license: MIT", "argument-hint: x", "unknown frontmatter key: argument-hint"),
    "no frontmatter": ("---\nname", "name", "no frontmatter"),
    "broken yaml": ("license: MIT", "license: [", "not YAML"),
    "no description": ("Brings files somewhere. Use it when the user says so.", "''", "no description"),
    "no when": ("Use it when the user says so.", "", "doesn't say when"),
    "long description": ("Brings", "B" * 1024, "at most 1024"),
    "markup": ("Brings files", "Brings <files>", "< or >"),
    "list of tools": ("license: MIT", "allowed-tools: [Bash]", "allowed-tools is not a string"),
    "long compatibility": ("license: MIT", "compatibility: " + "x" * 501, "more than 500"),
    "lines": ("# A skill", "# A skill\n" + "x\n" * 300, "lines; fewer than 300"),
    "tokens": ("# A skill", "# A skill\n" + "word " * 3200, "tokens; fewer than 4000"),
    "korean tokens": ("# A skill", "# A skill\n" + "가" * 4000, "tokens; fewer than 4000"),
    "dynamic command": ("# A skill", "# A skill\n!`date`", "let the agent run it"),
    "dangling link": ("references/more.md#part", "references/less.md", "dangling link: references/less.md"),
    "dangling mention": ("`references/more.md`", "`references/less.md`", "dangling link: references/less.md"),
    "link outside": ("references/more.md#part", "../../README.md", "link out of the skill"),
    "no such script": ('run.py" check_environment', 'run.py" check_enviroment', "check_enviroment: there is no such"),
    "no such file": ("`upload.py`", "`uploads.py`", "uploads.py: there is no such script"),
    "no such flag": ("--for submit", "--from submit", "check_environment has no --from"),
    "no such job flag": ("--dry-run &&", "--dry &&", "job has no --dry"),
    "no such last flag": ("--json |", "--jsonl |", "check_environment has no --jsonl"),
    "over two lines": ("--for submit", "--for \\\n submit", "Claude Code asks"),
    "no such flag between words": ("--approve HASH`", "--aprove HASH`", "job has no --aprove"),
    "no such flag at all": ("`upload.py`", "`--no-such-flag`", "no script has --no-such-flag"),
    "does not parse": ("echo fine >", "echo 'fine >", "bash can't parse"),
    "placeholder": ("synapse-jobs/photos --dry-run &&", "<name> &&", "bash can't parse"),
    "unquoted root": ('"${CLAUDE_PLUGIN_ROOT}/scripts/run.py"', "${CLAUDE_PLUGIN_ROOT}/scripts/run.py", "otherwise"),
    "default for the root": ("PLUGIN_ROOT}", "PLUGIN_ROOT:-.}", "otherwise"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_found(tmp_path: Path, name: str) -> None:
    before, after, expected = BAD[name]
    assert before in GOOD
    made(tmp_path, GOOD.replace(before, after, 1))
    assert expected in "\n".join(checks.check_all(tmp_path))


def test_references_are_looked_at_too(tmp_path: Path) -> None:
    folder = made(tmp_path)
    (folder / "references" / "more.md").write_text("[gone](gone.md)\n" + "line\n" * 301)
    problems = checks.check_skill(folder)
    assert "references/more.md: dangling link: gone.md" in problems
    assert "references/more.md: more than 300 lines and no table of contents" in problems
