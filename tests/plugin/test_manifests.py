"""The plugin can be installed: manifests that agree with the project, and pass Claude Code's own validator."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

import synapse_skills
from launcher.environments import cache_folder

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".claude-plugin"
# One version, so that a new one can't turn the tests red overnight.
CLAUDE_CODE = "2.1.330"


def manifest(name: str) -> dict[str, Any]:
    # Its place matters: a plugin.json in the root is ignored, and a newer Claude Code doesn't say so.
    found: dict[str, Any] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return found


def test_plugin() -> None:
    plugin = manifest("plugin.json")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert plugin["name"] == project["name"] == "synapse-skills"
    assert plugin["version"] == project["version"] == synapse_skills.__version__
    assert plugin["description"] == project["description"]
    assert plugin["author"] == {"name": "synapse-skills contributors"}
    assert plugin["license"] == project["license"] == "MIT"
    assert plugin["keywords"]


def test_marketplace_offers_this_folder() -> None:
    plugin, marketplace = manifest("plugin.json"), manifest("marketplace.json")
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", marketplace["name"])
    assert marketplace["owner"]["name"]
    (entry,) = marketplace["plugins"]
    assert entry["source"] == "./"
    for key in ("name", "version", "description", "license", "keywords"):
        assert entry[key] == plugin[key], key


def test_license_and_changelog() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.startswith("MIT License\n")
    assert "synapse-skills contributors" in text
    assert f"({synapse_skills.__version__})" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def claude() -> Path:
    """The real Claude Code binary, kept in the cache; it needs no login to validate."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm on this machine")
    folder = cache_folder() / f"claude-code-{CLAUDE_CODE}"
    binary = folder / "node_modules" / ".bin" / "claude"
    if not binary.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund"]
        installed = subprocess.run(
            [*command, f"@anthropic-ai/claude-code@{CLAUDE_CODE}"],
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        assert installed.returncode == 0, installed.stderr
    return binary


def validate(claude: Path, target: Path, home: Path) -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "CLAUDE_CONFIG_DIR": str(home / "config"),
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    command = [str(claude), "plugin", "validate", "--strict", str(target)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["plugin.json", "marketplace.json"])
def test_claude_code_accepts_it(claude: Path, tmp_path: Path, name: str) -> None:
    result = validate(claude, FOLDER / name, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.heavy
def test_claude_code_refuses_a_bad_one(claude: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad" / ".claude-plugin" / "plugin.json"
    bad.parent.mkdir(parents=True)
    bad.write_text(json.dumps(manifest("plugin.json") | {"name": "with spaces", "skills": 3}))
    assert validate(claude, bad, tmp_path).returncode == 1
