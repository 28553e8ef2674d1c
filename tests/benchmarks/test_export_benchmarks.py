"""Every benchmark of the export still runs, and its sides do the same work."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """The modules `conversion` and `conversion_baselines`."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return __import__("conversion"), __import__("conversion_baselines")


def folders(root: Path, *names: str) -> list[Path]:
    for name in names:
        (root / name).mkdir()
    return [root / name for name in names]


def test_plain_python_finds_the_boxes_that_we_find(sides: tuple[Any, Any], tmp_path: Path) -> None:
    conversion, baselines = sides
    rows = [conversion.make_row(number, 4) for number in range(1, 8)]
    ours, plain = folders(tmp_path, "ours", "plain")
    conversion.ours("coco", rows, ours)
    baselines.plain_coco(rows, conversion.CLASSES, plain)
    written = [
        json.loads((folder / name).read_bytes())["annotations"]
        for folder, name in ((ours, "annotations/instances.json"), (plain, "instances.json"))
    ]
    boxes = [[(each["image_id"], each["category_id"], each["bbox"]) for each in some] for some in written]
    assert boxes[0] == boxes[1] and len(boxes[0]) == 28

    ours, plain = folders(tmp_path, "ours_yolo", "plain_yolo")
    conversion.ours("yolo", rows, ours)
    baselines.plain_yolo(rows, conversion.CLASSES, plain)
    for path in plain.glob("picture_*.txt"):
        theirs = [line.split() for line in path.read_text().splitlines()]
        found = [line.split() for line in (ours / "labels/train" / path.name).read_text().splitlines()]
        assert [line[0] for line in found] == [line[0] for line in theirs]
        assert all(
            abs(float(one) - float(other)) < 1e-6
            for line, its in zip(found, theirs, strict=True)
            for one, other in zip(line, its, strict=True)
        )


def test_the_pass_of_a_job_is_timed_alone(sides: tuple[Any, Any], tmp_path: Path) -> None:
    conversion, _ = sides
    rows = [conversion.make_row(number, 2) for number in range(1, 4)]
    assert 0 <= conversion.job("voc", rows, tmp_path) < 5
    assert len(list((tmp_path / "voc" / "Annotations").iterdir())) == 3


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("name", "flags", "sides"),
    [
        ("conversion", ("--records", "20", "--rounds", "1"), {"ours", "job", "sdk", "plain", "floor"}),
        ("export", ("--records", "120", "--rounds", "1", "--latency-ms", "1"), {"job", "bare", "plain"}),
        ("memory_export", ("--records", "20", "120"), {"20 records", "120 records"}),
    ],
)
def test_it_runs_to_its_table(name: str, flags: tuple[str, ...], sides: set[str]) -> None:
    script = str(BENCHMARKS / f"{name}.py")
    done = subprocess.run([sys.executable, script, *flags, "--json"], capture_output=True, text=True, check=True)
    first, *_ = json.loads(done.stdout)
    assert set(first["lines"]) == sides and all(min(values) > 0 for values in first["lines"].values())
    assert first["ratios"] and not re.search("Traceback", done.stderr)
