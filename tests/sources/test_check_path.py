from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from synapse_skills.sources.check import human_bytes

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_path.py"


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *args], capture_output=True, text=True, timeout=60)


def run_json(*args: str) -> tuple[int, dict[str, Any]]:
    done = run(*args, "--json")
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("{tmp}/nope", "source-missing"),
        ("{tmp}/file.txt", "source-not-a-folder"),
        ("s3://bucket/prefix", "source-not-supported"),
    ],
)
def test_out_of_reach_is_3(tmp_path: Path, path: str, code: str) -> None:
    (tmp_path / "file.txt").write_text("x")
    returncode, document = run_json(path.format(tmp=tmp_path))
    assert (returncode, document["error"]["code"]) == (3, code)
    done = run(path.format(tmp=tmp_path))
    assert done.returncode == 3
    assert done.stderr.startswith("error: ")
    assert "next: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("args", [[], ["x", "--limit", "0"], ["x", "--limit", "many"], ["x", "--nope"], ["x", "y"]])
def test_wrong_usage_is_2(args: list[str]) -> None:
    assert run(*args).returncode == 2


def test_no_file_is_1(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    returncode, document = run_json(str(tmp_path))
    assert (returncode, document["files"], document["reachable"]) == (1, 0, True)
    assert document["problems"][0]["code"] == "empty-source"


def test_what_is_there(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"unit_{number:02d}").mkdir()
        (tmp_path / f"unit_{number:02d}" / "Image.PNG").write_bytes(b"12345")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "a [b] {c}.json").write_bytes(b"{}")
    returncode, document = run_json(str(tmp_path))
    assert returncode == 0
    assert document["kind"] == "local"
    assert (document["files"], document["bytes"], document["folders"]) == (31, 152, 30)
    assert document["by_extension"] == {".png": {"files": 30, "bytes": 150}, ".json": {"files": 1, "bytes": 2}}
    assert (document["entries"][:2], document["entry_count"]) == ([".DS_Store", "a [b] {c}.json"], 32)
    assert len(document["entries"]) == 12
    assert [problem["code"] for problem in document["problems"]] == ["junk-set-aside"]
    done = run(str(tmp_path))
    assert done.returncode == 0
    for text in ("31 files in 30 folders", ".png", "150 bytes", "a [b] {c}.json", "and 20 more", "junk-set-aside (1)"):
        assert text in done.stdout
    assert done.stderr == ""


def test_a_sample_says_so(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.png").write_bytes(b"1")
    returncode, document = run_json(str(tmp_path), "--limit", "4")
    assert (returncode, document["files"], document["is_sample"]) == (0, 4, True)
    assert "a sample" in run(str(tmp_path), "--limit", "4").stdout
    assert not run_json(str(tmp_path), "--limit", "10")[1]["is_sample"]


def test_without_recursion(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.png").write_bytes(b"1")
    returncode, document = run_json(str(tmp_path), "--no-recursive")
    assert (returncode, document["files"], document["folders"]) == (1, 0, 1)


def test_help_has_purpose_examples_and_exit_codes() -> None:
    text = run("--help").stdout
    assert text.count("check_path.py") >= 3
    for code in ("0 files found", "1 no file", "2 wrong usage", "3 the path is out of reach", "130 interrupted"):
        assert code in " ".join(text.split())


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1023, "1,023 bytes"), (1536, "1.5 KB"), (5 << 30, "5.0 GB"), (3 << 50, "3,072.0 TB")],
)
def test_bytes_for_people(size: int, text: str) -> None:
    assert human_bytes(size) == text
