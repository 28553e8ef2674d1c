"""In the real Claude Code: the skills load and are filled in, their one command runs unasked, and no other does."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from planning.conversation import PNG
from planning.export_world import Labelled, box, seed_of
from plugin import checks
from plugin.claude_code import ROOT, StandIn, Step, bash, claude, command, environment, stand_in, talk
from sandbox_fixture import Sandbox, sandboxes

__all__ = ["claude"]
pytestmark = pytest.mark.heavy

SKILLS = [folder.name for folder in checks.skills(ROOT)]
RUN = f'python3 "{ROOT}/scripts/run.py" '
PLUGIN = ("--plugin-dir", str(ROOT))
COLLECTION, PROJECT = 57, 12


@pytest.fixture(scope="module")
def model() -> Iterator[StandIn]:
    with stand_in() as started:
        yield started


@pytest.fixture(scope="module")
def box_of_photos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    records = [Labelled(100 + at, f"p{at}.png", (box("car", 1, 2, 10, 12 + at),)) for at in range(5)]
    with sandboxes(tmp_path_factory.mktemp("box")) as start:
        yield start(seed=seed_of({PROJECT: ("Photos", records)}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    for name in ("photos/a.png", "photos/b.png"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(PNG + name.encode())
    return made


def document(result: str) -> dict[str, Any]:
    """The JSON that a script printed; a note about an exit code may stand before it."""
    return dict(json.loads(result[result.index("{") :]))


@pytest.mark.parametrize("skill", SKILLS)
def test_a_skill_is_expanded_with_the_plugins_folder(claude: Path, model: StandIn, tmp_path: Path, skill: str) -> None:
    talk(claude, model, f"/synapse-skills:{skill} photos", [], environment(tmp_path, model), tmp_path, *PLUGIN)
    said = model.said()
    body = checks.split((ROOT / "skills" / skill / "SKILL.md").read_text(encoding="utf-8"))[1]
    assert body.splitlines()[1] in said
    assert "${CLAUDE_PLUGIN_ROOT}" not in said
    assert said.count(RUN.strip()) == body.count(checks.CALL) > 1
    # The model sees both descriptions, so that it can choose a skill by itself.
    listed = json.dumps(model.requests[0], ensure_ascii=False)
    assert all(f"synapse-skills:{name}" in listed for name in SKILLS)


def test_an_upload_runs_without_a_question_of_the_harness(
    claude: Path, model: StandIn, tmp_path: Path, folder: Path, box_of_photos: Sandbox
) -> None:
    box_of_photos.login(tmp_path)

    def approved(results: list[str]) -> dict[str, Any]:
        return bash(f"{RUN}job synapse-jobs/photos --approve {document(results[-1])['hash']} --json")

    steps: list[Step] = [
        bash(f"{RUN}check_environment --for upload --json"),
        bash(f"{RUN}list_resources collections --search Photos"),
        bash(f"{RUN}check_path photos"),
        bash(f"{RUN}plan_upload photos --collection {COLLECTION} --set 'groups=[\"a b\"]' --json"),
        approved,
        bash(f"{RUN}preview synapse-jobs/photos --out synapse-jobs/photos/upload.html"),
        bash(f"{RUN}job synapse-jobs/photos --dry-run --json | head -n 5"),
    ]
    env = environment(tmp_path, model)
    results, denied = talk(claude, model, "/synapse-skills:synapse-upload-workflow", steps, env, folder, *PLUGIN)
    assert denied == []
    assert document(results[4])["created"] == 2
    assert {row["groups"][0] for row in box_of_photos.units(COLLECTION) if row["groups"]} == {"a b"}
    assert (folder / "synapse-jobs" / "photos" / "upload.html").is_file()


def test_an_export_runs_without_a_question_of_the_harness(
    claude: Path, model: StandIn, tmp_path: Path, folder: Path, box_of_photos: Sandbox
) -> None:
    box_of_photos.login(tmp_path)

    def approved(results: list[str]) -> dict[str, Any]:
        return bash(f"{RUN}job synapse-jobs/Photos --approve {document(results[-1])['hash']} --json")

    words = "--format yolo --split none --originals none --output dataset"
    steps: list[Step] = [
        {"name": "Skill", "input": {"skill": "synapse-skills:synapse-export-workflow"}},
        bash(f"{RUN}plan_export --project {PROJECT} {words} --json"),
        approved,
        bash(f"{RUN}verify_export dataset --json"),
    ]
    # A skill that asks for a command of its own is itself asked about once, if the model calls it.
    allowed = ("--allowedTools", "Skill(synapse-skills:*)")
    env = environment(tmp_path, model)
    results, denied = talk(claude, model, "I need our labels.", steps, env, folder, *PLUGIN, *allowed)
    assert denied == []
    assert document(results[2])["records"]["exported"] == 5
    assert (folder / "dataset" / "COMPLETE").is_file() and document(results[3])


REFUSED = {
    "another program": "rm -rf photos",
    "another script": "python3 other.py",
    "a script of the same name": 'python3 "./scripts/run.py" preview',
    "something after it": f"{RUN}check_path photos; touch made",
    "something after it, if it went well": f"{RUN}check_path photos && rm -rf photos",
    "something inside it": f"{RUN}check_path $(touch made)",
    "its output into a file": f"{RUN}check_path photos > made",
    "another spelling of the path": f"python3 {ROOT}/scripts/run.py check_path photos",
    "another Python": f'python "{ROOT}/scripts/run.py" check_path photos',
    "a variable before it": f"PYTHONPATH=. {RUN}check_path photos",
    "two lines": f"{RUN}check_path \\\n  photos",
}


def test_nothing_else_is_approved(claude: Path, model: StandIn, tmp_path: Path, folder: Path) -> None:
    (folder / "other.py").write_text("open('made', 'w')\n")
    steps = [bash(text) for text in REFUSED.values()]
    env = environment(tmp_path, model)
    results, denied = talk(claude, model, "/synapse-skills:synapse-upload-workflow", steps, env, folder, *PLUGIN)
    assert len(results) == len(REFUSED)
    assert dict(zip(REFUSED, denied, strict=True)) == REFUSED
    assert not (folder / "made").exists() and len(list((folder / "photos").iterdir())) == 2


def test_nothing_is_approved_without_the_skill(claude: Path, model: StandIn, tmp_path: Path, folder: Path) -> None:
    words = f"{RUN}check_path photos"
    _, denied = talk(claude, model, "Hello", [bash(words)], environment(tmp_path, model), folder, *PLUGIN)
    assert denied == [words]


def test_the_approval_lasts_until_the_user_types_again(
    claude: Path, model: StandIn, tmp_path: Path, folder: Path
) -> None:
    """Answers given through AskUserQuestion belong to the same turn; what the user types begins another."""
    model.steps, model.requests = [bash(f"{RUN}check_path photos"), bash(f"{RUN}check_path photos --limit 1")], []
    words = [str(claude), "-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"]
    denied = []
    with subprocess.Popen(
        [*words, *PLUGIN], env=environment(tmp_path, model), cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        for text in ("/synapse-skills:synapse-upload-workflow", "Go on, please."):
            steps = model.steps if denied else model.steps[:1]
            model.steps, kept = steps, model.steps
            said = {"type": "user", "message": {"role": "user", "content": text}}
            process.stdin.write(json.dumps(said).encode() + b"\n")
            process.stdin.flush()
            rows = (json.loads(line) for line in process.stdout)
            denied.append(next(row["permission_denials"] for row in rows if row["type"] == "result"))
            model.steps = kept
        process.stdin.close()
    assert [len(each) for each in denied] == [0, 1]


def copied(target: Path) -> Path:
    """What a plugin's folder needs to run."""
    for name in (".claude-plugin", "skills", "scripts", "templates"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in [*ROOT.glob("requirements*.lock"), ROOT / "pyproject.toml"]:
        shutil.copy(path, target)
    return target


def test_it_is_installed_from_its_marketplace(claude: Path, model: StandIn, tmp_path: Path, folder: Path) -> None:
    env = environment(tmp_path, model)
    source = copied(tmp_path / "source 원본")
    for words in (
        ("plugin", "marketplace", "add", str(source)),
        ("plugin", "install", "synapse-skills@synapse-skills"),
    ):
        done = command(claude, *words, env=env)
        assert done.returncode == 0, done.stdout + done.stderr
    # With a model to ask it would ask that one for the number of tokens.
    alone = environment(tmp_path)
    shown = command(claude, "plugin", "details", "synapse-skills@synapse-skills", env=alone).stdout
    cost = dict(re.findall(r"^ +(\S+) +~[\d.]+k? +~([\d.]+k?)$", shown, re.MULTILINE))
    assert set(cost) == set(SKILLS), shown
    for name, told in cost.items():
        print(f"{name}: about {told} tokens when it is used, as Claude Code counts")
        assert float(told.rstrip("k")) * (1000 if told.endswith("k") else 1) < checks.MAX_TOKENS

    def call(results: list[str]) -> dict[str, Any]:
        root = re.search(r'python3 "([^"]+)/scripts/run\.py"', model.said())
        return bash(f'python3 "{root.group(1) if root else ""}/scripts/run.py" check_path photos')

    results, denied = talk(claude, model, "/synapse-skills:synapse-upload-workflow", [call], env, folder)
    assert denied == [] and "2 files" in results[0].replace("files  2", "2 files"), results


def test_the_suite_of_trials_loads(claude: Path, tmp_path: Path) -> None:
    """Without a model it stops at the first question to one; by then every case has been read."""
    words = (
        "--trust-plugin",
        "--ablation",
        "none",
        "--runs",
        "1",
        "--no-publish",
        "--output-dir",
        str(tmp_path / "out"),
    )
    done = command(claude, "plugin", "eval", str(ROOT), *words, env=environment(tmp_path))
    said = done.stdout + done.stderr
    cases = sorted(path.parent.name for path in (ROOT / "evals" / "suite").glob("*/case.yaml"))
    assert len(cases) >= 12
    assert [name for name in cases if f'case "{name}": its scaffold_script is not run' not in said] == []
    assert "invalid case.yaml" not in said and "Not logged in" in said
    for kept in re.findall(r"kept temp \(run failed\): (/\S+/claude-eval-\w+)", said):
        shutil.rmtree(kept, ignore_errors=True)
