"""What other tools want of the cases: `evals.json` of each skill, and a suite for `claude plugin eval`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from eval_cases.case import EXPORT, PLUGIN, UPLOAD, Case

HERE = Path(__file__).resolve().parents[1]
SUITE = "suite"
SECONDS = 1800

_STAGE = """\
#!/usr/bin/env bash
# Made by emit.py.
exec bash "$(dirname "${{BASH_SOURCE[0]}}")/../../stage_case.sh" {name} {seconds}
"""

_PROMPT = """\
{prompt}

(My files are in world/user: work there. Nobody can answer questions now, so this is what I know and want:
{knows}
I agree to a plan that says this: go on with it without asking me.)
"""


def documents() -> dict[str, str]:
    """Every file that is made, by its path below evals/."""
    from eval_cases import CASES

    made = {}
    for skill in (UPLOAD, EXPORT, PLUGIN):
        made[f"{skill}.json"] = _evals([case for case in CASES.values() if case.skill == skill], skill)
    for name, case in CASES.items():
        made[f"{SUITE}/{name}/case.yaml"] = _case_yaml(case)
        made[f"{SUITE}/{name}/stage.sh"] = _STAGE.format(name=name, seconds=SECONDS)
    return made


def stale() -> list[Path]:
    """What is not as the cases would make it now, and what no case makes any more."""
    made = documents()
    differs = [name for name, text in made.items() if not _is(HERE / name, text)]
    return [HERE / name for name in differs] + [path for path in _there() if _name(path) not in made]


def write() -> list[Path]:
    """Make it; what no case makes any more goes."""
    changed = stale()
    made = documents()
    for path in changed:
        if _name(path) in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made[_name(path)], encoding="utf-8")
        else:
            path.unlink()
    return changed


def _name(path: Path) -> str:
    return path.relative_to(HERE).as_posix()


def _there() -> list[Path]:
    return [path for pattern in ("case.yaml", "stage.sh") for path in (HERE / SUITE).rglob(pattern)]


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def _evals(cases: list[Case], skill: str) -> str:
    rows: list[dict[str, Any]] = []
    for number, case in enumerate(cases, 1):
        texts = list(case.expectations)
        rows.append(
            {
                "id": number,
                "name": case.name,
                "prompt": case.prompt,
                "expected_output": case.expected,
                "files": sorted(f"user/{name}" for name in case.files(case.size)),
                "world": f"python3 evals/world.py {case.name} DIR && python3 evals/stage.py DIR",
                "user": case.knows.strip(),
                "grader": f"python3 evals/grade.py {case.name} DIR",
                # One description of this form calls them expectations, the other assertions.
                "expectations": texts,
                "assertions": texts,
            }
        )
    return json.dumps({"skill_name": skill, "evals": rows}, ensure_ascii=False, indent=1) + "\n"


def _case_yaml(case: Case) -> str:
    wanted = "\n".join(f"- {text}" for text in case.expectations)
    document = {
        "schema_version": "1.0",
        "name": case.name,
        "description": case.expected,
        "tags": [case.skill.split("-")[1], case.language],
        "context": {"scaffold_script": "stage.sh"},
        "execution": {
            "prompt": _PROMPT.format(prompt=case.prompt, knows=case.knows.strip()),
            "max_turns": 40,
            "timeout_seconds": 1200,
            "allowed_tools": ["Bash", "Read", "Glob", "Grep", "Skill", "Write"],
        },
        "graders": [
            {"type": "tool_used", "name": "uses the skill", "tool": "Skill", "arm": "with-only"},
            {
                "type": "llm",
                "name": "reaches the goal",
                "focus": "trace",
                "criteria": f"The commands and their output show that all of this is so at the end:\n{wanted}",
            },
            {
                "type": "regex",
                "name": "writes no uploader or exporter of its own",
                "target": "trace",
                "pattern": r"BackendClient\(",
                "match": "not_contains",
            },
        ],
        "expected_outcome": case.expected,
    }
    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=110)
    return f"# Made by emit.py from the case.\n{text}"
