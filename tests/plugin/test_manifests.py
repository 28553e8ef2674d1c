"""The plugin can be installed: manifests that agree with the project, and pass Claude Code's own validator."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

import synapse_skills
from plugin.claude_code import claude, command, environment

__all__ = ["claude"]

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".claude-plugin"


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


def validate(claude: Path, target: Path, home: Path) -> subprocess.CompletedProcess[str]:
    return command(claude, "plugin", "validate", "--strict", str(target), env=environment(home))


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
