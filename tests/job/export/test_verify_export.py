"""An export read back after somebody, or a disk, has changed it."""

from __future__ import annotations

import hashlib
import json
import os
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from export_fixture import ExportJob, row
from synapse_skills.errors import UsageError
from synapse_skills.export_plan import FormatPlan, SplitPlan
from synapse_skills.job.export.verify import Inspected, verify_output

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "verify_export.py"


@pytest.fixture(scope="module")
def exported(export_box: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    job = ExportJob(tmp_path_factory.mktemp("verified"), export_box, next(export_box.next_project))
    split = SplitPlan(ratios={"train": 0.6, "val": 0.4})
    job.plan_with(formats=(FormatPlan(name="coco"), FormatPlan(name="yolo")), split=split, originals="required")
    job.label(*(row(number) for number in range(10)))
    job.do()
    return job.output


@pytest.fixture
def output(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "output"))


def codes(found: Inspected) -> set[str]:
    return {problem.code for problem in found.problems if problem.severity == "error"}


def test_what_was_exported_verifies(output: Path) -> None:
    found = verify_output(output)
    # All pictures of the sandbox are one and the same.
    assert found.is_fine and [problem.code for problem in found.problems] == ["shared-originals"]
    assert found.records == 10 and sum(found.items.values()) == 10
    assert set(found.formats) == {"coco", "yolo"}
    (output / "notes.txt").write_text("my own")
    found = verify_output(output)
    assert found.is_fine and "unknown-file" in {problem.code for problem in found.problems}


def drop(name: str) -> Callable[[Path], None]:
    return lambda output: (output / name).unlink()


def a_label(output: Path) -> Path:
    return next(path for path in sorted((output / "yolo" / "labels").rglob("*.txt")) if path.stat().st_size)


def flip(output: Path) -> None:
    content = bytearray(a_label(output).read_bytes())
    content[0] ^= 1
    a_label(output).write_bytes(content)


def other_manifest(output: Path) -> None:
    path = output / "manifest.json"
    path.write_text(path.read_text().replace('"records": 10', '"records": 11'))


def swap_parts(output: Path) -> None:
    path = output / "metadata" / "records.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines.append({**lines[0], "split": "val" if lines[0]["split"] == "train" else "train"})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (drop("COMPLETE"), {"incomplete"}),
        (drop("manifest.json"), {"no-manifest", "nothing-inspected"}),
        (drop("yolo/classes.txt"), {"missing-file"}),
        (flip, {"changed-file"}),
        (other_manifest, {"bad-manifest", "count-differs"}),
        (swap_parts, {"changed-file", "split-leak", "count-differs"}),
        (lambda output: (output / "manifest.json").write_text("{"), {"bad-manifest", "nothing-inspected"}),
        (lambda output: shutil.rmtree(output / "coco"), {"missing-file"}),
    ],
)
def test_damage_is_found(output: Path, damage: Callable[[Path], None], expected: set[str]) -> None:
    damage(output)
    found = verify_output(output)
    assert not found.is_fine
    assert expected <= codes(found)


def test_nothing_is_a_finding(tmp_path: Path) -> None:
    assert "nothing-inspected" in codes(verify_output(tmp_path))
    with pytest.raises(UsageError):
        verify_output(tmp_path / "nowhere")


def test_the_script_says_it(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main = runpy.run_path(str(SCRIPT))["main"]
    assert main([str(output)]) == 0
    assert "fine" in capsys.readouterr().out
    flip(output)
    assert main([str(output), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert not document["ok"] and document["problems"][0]["code"] == "changed-file"


def pipe(output: Path) -> None:
    a_label(output).unlink()
    os.mkfifo(output / "yolo" / "labels" / "pipe.txt")


def said(name: str, text: str) -> Callable[[Path], None]:
    def write(output: Path) -> None:
        (output / name).write_text(text)
        if name == "manifest.json":
            (output / "COMPLETE").write_text(hashlib.sha256(text.encode()).hexdigest())

    return write


SUMMARY = "metadata/export_summary.json"


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        # A pipe would be waited for, and a link may lead anywhere: nobody opens what is no plain file.
        (pipe, "link"),
        (said("manifest.json", '{"version": 1, "counts": {"formats": {"coco": 5}}, "files": []}'), "bad-manifest"),
        (said("manifest.json", '{"version": 1, "counts": {"formats": {"coco": {"rows": 5}}}}'), "bad-manifest"),
        (said(SUMMARY, '{"annotations": {"read": 1, "formats": [1]}}'), "bad-index"),
        (said(SUMMARY, "[" * 100_000), "bad-index"),
        (said("metadata/records.jsonl", "[" * 100_000), "bad-index"),
    ],
)
def test_whatever_stands_there_is_a_finding(output: Path, harm: Callable[[Path], None], code: str) -> None:
    harm(output)
    assert code in codes(verify_output(output))
