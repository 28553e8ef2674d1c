from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from synapse_skills import errors
from synapse_skills.sources import check
from synapse_skills.texts import human_bytes

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_path.py"


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def run(*args: str) -> Done:
    """The script as it is called, in this process: to start another one takes a second."""
    loaded = importlib.util.spec_from_file_location("check_path_script", SCRIPT)
    assert loaded is not None
    assert loaded.loader is not None
    script = importlib.util.module_from_spec(loaded)
    loaded.loader.exec_module(script)
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            code = errors.run(script.main, args)
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Done(code, out.getvalue(), error.getvalue())


def run_json(*args: str) -> tuple[int, dict[str, Any]]:
    done = run(*args, "--json")
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("{tmp}/nope", "source-missing"),
        ("{tmp}/file.txt", "source-not-a-folder"),
        ("az://container/prefix", "source-not-supported"),
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


def test_it_is_a_script(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(tmp_path / "nope"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, json.loads(done.stdout)["error"]["code"], done.stderr) == (3, "source-missing", "")


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


def test_compound_suffixes_and_names_without_one(tmp_path: Path) -> None:
    names = ("a.nii.gz", "b.NII.GZ", "c.gz", "1.2.840.10008.1", "IM0001", "d.tar.xz", "e.ome.tif", ".nii.gz.part")
    for name in names:
        (tmp_path / name).write_bytes(b"12")
    _, document = run_json(str(tmp_path))
    counted = {extension: numbers["files"] for extension, numbers in document["by_extension"].items()}
    assert counted == {".nii.gz": 2, "": 2, ".gz": 1, ".ome.tif": 1, ".tar.xz": 1}
    assert list(counted)[:2] == ["", ".nii.gz"]
    assert ".nii.gz" in run(str(tmp_path)).stdout


def test_how_deep_the_files_lie_and_in_which_folders(tmp_path: Path) -> None:
    for name in ("r.txt", "img/a.png", "img/b.png", "json/x/a.json", "json/x/y/b.json", "empty/.keep"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    deep = tmp_path.joinpath(*["d"] * 25)
    deep.mkdir(parents=True)
    (deep / "f.txt").write_bytes(b"1")
    _, document = run_json(str(tmp_path))
    assert document["by_depth"] == {"0": 1, "1": 2, "2": 1, "3": 1, "*": 1}
    assert document["entries"] == ["d/", "empty/", "img/", "json/", "r.txt"]
    assert document["entry_files"] == {"d/": 1, "empty/": 0, "img/": 2, "json/": 2}
    text = run(str(tmp_path)).stdout
    assert "files by depth: directly in it 1, 1 down 2, 2 down 1, 3 down 1, 20 or more folders down 1" in text
    assert "in it: d/ (1 file), empty/ (0 files), img/ (2 files), json/ (2 files), r.txt" in text


def test_the_document_keeps_its_shape(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/2.png", "b/1.json", "a.png"):
        (tmp_path / name).write_bytes(b"1")
    done = [run(str(tmp_path), "--json").stdout for _ in range(2)]
    assert done[0] == done[1]
    assert list(json.loads(done[0])) == [
        "path", "kind", "reachable", "recursive", "is_sample", "limit", "folders", "files", "bytes", "by_extension",
        "by_depth", "entries", "entry_files", "entry_count", "problems",
    ]  # fmt: skip


def test_very_many_kinds_and_very_long_names_stay_bounded(tmp_path: Path) -> None:
    for number in range(400):
        (tmp_path / f"f.{number:03}{'x' * 200}").write_bytes(b"1")
        (tmp_path / f"folder {number:03} {'가' * 60}").mkdir()
    _, document = run_json(str(tmp_path))
    assert len(document["by_extension"]) == 21
    assert document["by_extension"]["*"] == {"files": 380, "bytes": 380}
    assert (len(document["entries"]), document["entry_count"]) == (12, 800)
    assert len(document["entry_files"]) <= 12
    assert len(json.dumps(document)) < 20_000
    shown = run(str(tmp_path)).stdout
    assert len(shown) < 6_000
    assert "(others)" in shown


def test_more_extensions_than_are_counted_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_MOST_COUNTED", 3)
    for number in range(6):
        (tmp_path / f"f.{number}a").write_bytes(b"1")
    report = check.check_path(str(tmp_path))
    assert report.by_extension["*"] == {"files": 3, "bytes": 3}
    assert sum(numbers["files"] for numbers in report.by_extension.values()) == 6


def test_a_sample_does_not_stay_in_the_first_folder(tmp_path: Path) -> None:
    for folder, suffix in (("img", "png"), ("json", "json"), ("mask", "bmp")):
        (tmp_path / folder).mkdir()
        for number in range(2_600):
            (tmp_path / folder / f"{number}.{suffix}").touch()
    report = check.check_path(str(tmp_path), limit=6_000)
    assert (report.is_sample, report.limit) == (True, 6_000)
    assert set(report.by_extension) == {".png", ".json", ".bmp"}
    assert report.files <= 6_000
    assert not check.check_path(str(tmp_path), limit=10_000).is_sample


def test_a_sample_says_so(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.png").write_bytes(b"1")
    returncode, document = run_json(str(tmp_path), "--limit", "4")
    assert (returncode, document["files"], document["is_sample"], document["limit"]) == (0, 4, True, 4)
    assert "a sample: the look ended at --limit 4" in run(str(tmp_path), "--limit", "4").stdout
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
