"""The house rules that a machine can hold: imports go down, modules stay short, nothing names a machine or a host."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("synapse_skills", "synapse_sandbox", "launcher")
MAX_LINES = 400

# Written in pieces, so that this file doesn't find itself.
MACHINES = re.compile("|".join([r"/ro" r"ot/", r"/wo" r"rk/", r"/op" r"t/dev", r"/fa" r"rm/"]))
HOSTS = re.compile("|".join([r"pypi\.o" r"rg", r"python" r"hosted", r"registry\.npm" r"js", r"deb\.deb" r"ian\.org"]))


def lint_imports(project: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    env = {**os.environ, "PYTHONPATH": str(project / "scripts")}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=project, env=env, capture_output=True, text=True, check=False
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "scripts" / package, tmp_path / "scripts" / package, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_imports_go_down_only() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("synapse_skills/sources", "synapse_skills.units"),
        ("synapse_skills/job", "synapse_skills.rendering"),
        ("synapse_skills/units", "synapse_sandbox"),
        ("synapse_sandbox", "synapse_skills.errors"),
        ("launcher", "synapse_skills.environment"),
    ],
)
def test_an_import_that_goes_up_is_found(copy: Path, module: str, imported: str) -> None:
    (copy / "scripts" / module / "zz_upwards.py").write_text(f"import {imported}\n")
    result = lint_imports(copy)
    assert result.returncode == 1, result.stdout
    assert "zz_upwards" in result.stdout


def test_modules_are_short() -> None:
    modules = [path for path in (ROOT / "scripts").rglob("*.py") if "__pycache__" not in path.parts]
    assert modules
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in modules}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_no_file_names_this_machine_or_a_registry() -> None:
    found = []
    for path in tracked():
        data = path.read_bytes()
        if b"\0" in data[:8192]:
            continue
        text = data.decode("utf-8", "replace")
        for what in (MACHINES, HOSTS):
            match = what.search(text)
            if match:
                line = text.count("\n", 0, match.start()) + 1
                found.append(f"{path.relative_to(ROOT)}:{line}: {match.group()}")
    assert found == []


def test_locks_agree() -> None:
    """The scripts, Ray's client and the tests run on the same versions."""
    pinned = {
        name: dict(re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", (ROOT / name).read_text(), re.MULTILINE))
        for name in ("requirements.lock", "requirements-ray.lock", "requirements-dev.lock")
    }
    normal = pinned["requirements.lock"]
    assert normal["synapse-sdk"]
    for name, versions in pinned.items():
        assert {package: versions.get(package) for package in normal} == normal, name


def test_locks_are_hashed() -> None:
    for path in ROOT.glob("requirements*.lock"):
        text = path.read_text()
        entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
        assert len(entries) > (0 if path.name == "requirements-uv.lock" else 50)
        assert all("--hash=sha256:" in entry for entry in entries), path.name
        assert "://" not in text, f"{path.name} names a host"
