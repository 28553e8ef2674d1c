"""What holds for every format, whatever it is handed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.worlds import damaged, payload
from formats.export_make import contents, items_of, record, run
from synapse_skills.annotations.model import Tool
from synapse_skills.formats import FORMATS, matrix
from synapse_skills.formats.base import Item

NAMES = (
    "cat.jpg",
    "cat.png",
    "Cat.JPG",
    "../../x.png",
    "C:\\x\\y.png",
    "con.jpg",
    "가" * 100 + ".jpg",
    "a\n.jpg",
    "..",
)
FOLDERS = ((), ("1. 자연",), ("../..",), ("a/b", "con"), (" ",))


def world(random: Random) -> list[Item]:
    """A handful of records, sound and damaged, whose names and folders are what nobody would wish for."""
    payloads = [(damaged if random.random() < 0.4 else payload)(random) for _ in range(random.randint(1, 4))]
    records = [record(each, number, name=random.choice(NAMES)) for number, each in enumerate(payloads, start=1)]
    splits = random.choice([("",), ("train", "val")])
    return items_of(records, splits=splits, folders=[random.choice(FOLDERS) for _ in records])


def splits_of(items: list[Item]) -> tuple[str, ...]:
    return () if all(item.split == "" for item in items) else ("train", "val", "test")


@pytest.mark.parametrize("name", list(FORMATS))
@settings(max_examples=15)
@given(st.randoms(use_true_random=False))
def test_what_was_read_is_written_or_lost_and_reads_back(name: str, random: Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        items = world(random)
        policy = random.choice(["clamp", "drop", "fail"])
        ran = run(name, Path(folder) / "out", items, splits=splits_of(items), geometry=policy)
        assert ran.verified.problems == []
        assert {part: n for part, n in ran.verified.rows.items() if n} == {part: n for part, n in ran.rows.items() if n}
        # Every loss is of an annotation that was handed over, and none is told twice.
        handed = {id(each) for item in items for each in item.media.annotations}
        lost = [id(loss.annotation) for loss in ran.losses]
        assert len(set(lost)) == len(lost)
        assert set(lost) <= handed
        assert all(loss.reason for loss in ran.losses)
        outside = [path for path in Path(folder).rglob("*") if not path.is_relative_to(Path(folder) / "out")]
        assert outside == []


@pytest.mark.parametrize("name", list(FORMATS))
def test_the_same_items_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    items = world(Random(3))
    runs = [run(name, tmp_path / str(number), items, splits=splits_of(items)) for number in range(2)]
    first, second = (contents(each.folder) for each in runs)
    assert first == second
    assert first


@pytest.mark.parametrize("name", list(FORMATS))
def test_nothing_at_all_is_a_dataset_too(name: str, tmp_path: Path) -> None:
    ran = run(name, tmp_path / "out", [], order=("cat",))
    assert ran.verified.problems == []
    assert sum(ran.verified.rows.values()) == 0


@pytest.mark.parametrize("name", list(FORMATS))
def test_an_option_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="has no option 'colour'"):
        FORMATS[name].complete({"colour": "red"})
    for option in FORMATS[name].options:
        with pytest.raises(ValueError, match=f"{option.name} is one of"):
            FORMATS[name].complete({option.name: "nonsense"})


def test_the_matrix_says_what_becomes_of_every_tool() -> None:
    table = matrix()
    assert tuple(table) == get_args(Tool)
    assert table["bounding_box"]["coco"] == "exact"
    assert table["relation"]["coco"] == "lost"
    assert set(table["polyline"]) == set(FORMATS)
    assert {table[tool]["synapse_json"] for tool in table} == {"exact"}


def test_an_unknown_format_is_no_module() -> None:
    with pytest.raises(KeyError):
        FORMATS["base"]


def test_asking_for_formats_imports_no_numbers() -> None:
    code = (
        "import sys, synapse_skills.formats as f; list(f.FORMATS.values()); print({'numpy', 'cv2'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": "scripts"}, check=True
    )
    assert done.stdout == "set()\n"
