"""Formats of one's own: what convert may give, and what it may get wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from yolo_make import annotation, codes, dataset, picture, read, settings

from synapse_skills.annotations.model import Box
from synapse_skills.formats.base import Item, Loss, Writer
from synapse_skills.formats.custom import FORMAT, INDEX, CustomRecord, Entry, File, Line, code_of

CAT = Box(10, 20, 30, 10)


def ran(folder: Path, convert: Callable[[CustomRecord], Any] | None, *items: Item) -> tuple[Writer, list[list[Loss]]]:
    folder.mkdir(exist_ok=True)
    given = items or (picture("a.jpg", annotation(CAT), annotation(CAT, "개")),)
    return dataset(FORMAT, folder, given, settings(FORMAT, convert=convert, drop=("fly",)))


def boom(record: CustomRecord) -> Any:
    yield File("half.json", {})
    raise ValueError(f"no {record.stem}")


@pytest.mark.parametrize(
    ("convert", "told"),
    [
        (boom, "test_custom_format.py, line 29: ValueError: no a"),
        (lambda record: 7, "TypeError: 'int' object is not iterable"),
        (lambda record: ["a.json"], "TypeError: convert gives File, Line or Entry, not str"),
        (lambda record: File("", "x"), "ValueError: '' is no path of a file"),
        (lambda record: File("a/" * 9 + "b", "x"), "ValueError: a path has at most 8 parts, not 10"),
        (lambda record: File("a.json", "{"), "JSONDecodeError: "),
        (lambda record: Line("a.jsonl", "nothing"), "JSONDecodeError: "),
        (lambda record: Line("a.txt", "one\ntwo"), "ValueError: the text of a Line holds a line break"),
        (lambda record: File("a.json", {"x": object()}), "TypeError: "),
        (lambda record: [Line("a", "1"), Entry("a", 1)], "ValueError: a is a file of another kind already"),
        (lambda record: Line(INDEX, "1"), f"ValueError: {INDEX} is a file of another kind already"),
        (lambda record: [Line("a/b", "1"), Line("a", "1")], "ValueError: a is a file of another kind already"),
        (lambda record: File("a", "", lost={"cat": "x"}), "ValueError: lost names 'cat', and no annotation"),
    ],
)
def test_what_raises_has_written_nothing(convert: Callable[..., Any], told: str, tmp_path: Path) -> None:
    writer, [losses] = ran(tmp_path, convert)
    assert [loss.reason for loss in losses] == ["convert-failed"] * 2
    assert told in losses[0].detail
    assert writer.notes == {"convert-failed": 1}
    assert list(read(tmp_path)) == [INDEX]
    assert codes(FORMAT.verify(tmp_path)) == []


@pytest.mark.parametrize("convert", [None, lambda record: None, lambda record: []])
def test_nothing_made_is_nothing_written(convert: Any, tmp_path: Path) -> None:
    writer, [losses] = ran(tmp_path, convert)
    assert [loss.reason for loss in losses] == ["not-converted"] * 2
    assert writer.rows == {"": 0}


def test_reasons_are_its_own_and_the_class_list_is_ours(tmp_path: Path) -> None:
    shapes = [annotation(CAT), annotation(CAT, "fly"), annotation(CAT, "cow"), annotation(CAT, None), annotation(CAT)]
    seen = []

    def convert(record: CustomRecord) -> Any:
        seen.extend(each.label for each in record.annotations)
        record.annotations[0].attributes["mine"] = 1
        return File("a.json", {}, lost={record.annotations[0].id: "No such Thing!"})

    writer, [losses] = ran(tmp_path, convert, picture("a.jpg", *shapes))
    assert {loss.reason: loss.annotation for loss in losses} == {
        **{"dropped": shapes[1], "unknown-class": shapes[2], "no-such-thing": shapes[0]}
    }
    assert seen == ["cat", None, "cat"]
    assert shapes[0].attributes == {}
    assert writer.rows == FORMAT.verify(tmp_path).rows == {"": 2}
    assert code_of(" ") == "not-held"


def test_files_lines_and_elements(tmp_path: Path) -> None:
    def convert(record: CustomRecord) -> Any:
        yield File(f"{record.split}/{record.stem}.txt", b"\xff")
        yield File(f"{record.split}/{record.stem}.json", {"size": [record.width, float("nan")]})
        yield Line("all.jsonl", {"name": record.name})
        yield Line("names.txt", record.name)
        yield Entry("tasks.json", record.name)

    items = [picture(f"{name}.jpg", annotation(CAT), split=split) for name, split in (("a", "train"), ("b", "val"))]
    writer, losses = dataset(FORMAT, tmp_path, items, settings(FORMAT, convert=convert, splits=("train", "val")))
    assert losses == [[], []]
    assert (tmp_path / "train" / "a.txt").read_bytes() == b"\xff"
    assert json.loads((tmp_path / "train" / "a.json").read_bytes()) == {"size": [100, "nan"]}
    assert (tmp_path / "all.jsonl").read_text() == '{"name":"a.jpg"}\n{"name":"b.jpg"}\n'
    assert (tmp_path / "names.txt").read_text() == "a.jpg\nb.jpg\n"
    assert json.loads((tmp_path / "tasks.json").read_bytes()) == ["a.jpg", "b.jpg"]
    found = FORMAT.verify(tmp_path)
    assert (found.rows, found.items, found.problems) == (writer.rows, {"train": 1, "val": 1}, [])


@pytest.mark.parametrize(
    ("path", "safe"),
    [
        ("../../etc/passwd", "_~5ec1f7/_~5ec1f7/etc/passwd"),
        ("/srv/x", "srv/x"),
        ("C:\\a\\b.txt", r"C_~[0-9a-f]{6}/a/b\.txt"),
        ("con/nul.json", r"_con~[0-9a-f]{6}/_nul\.json"),
        ("a\nb.json", "a_b.json"),
        ("x" * 300 + ".json", r"x{226}~[0-9a-f]{8}\.json"),
        ("./a//b", "a/b"),
    ],
)
def test_a_path_stays_in_the_folder(path: str, safe: str, tmp_path: Path) -> None:
    writer, [losses] = ran(tmp_path / "out", lambda record: File(path, "{}"))
    [made] = [name for name in read(tmp_path / "out") if name != INDEX]
    assert re.fullmatch(safe, made)
    assert not losses
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
    assert codes(FORMAT.verify(tmp_path / "out")) == []
    assert writer.notes == {"name-changed": 1}


def test_files_of_one_name_get_the_records_key(tmp_path: Path) -> None:
    paths = ["a.txt", "A.txt", "a.txt", "a.txt/deep/b", "d/x", "d", "cafe\u0301", "caf\u00e9"]
    writer, [losses] = ran(tmp_path, lambda record: [File(path, path) for path in paths])
    assert not losses
    assert set(read(tmp_path)) == {
        *("a.txt", "A__1.txt", "a__1_2.txt", "a.txt__1/deep/b", "d/x", "d__1", "caf\u00e9", "caf\u00e9__1", INDEX)
    }
    assert writer.notes == {"name-taken": 5, "name-changed": 1}
    assert codes(FORMAT.verify(tmp_path)) == []


def test_a_file_never_takes_the_name_of_a_line_of_its_own_record(tmp_path: Path) -> None:
    ran(tmp_path, lambda record: [File("a", "file"), Line("a", "line")])
    assert (tmp_path / "a").read_text() == "line\n"
    assert (tmp_path / "a__1").read_text() == "file"


def test_damage_is_found(tmp_path: Path) -> None:
    made = [File("a.json", {}), File("b.txt", "b"), Line("c.jsonl", 1), Line("d.txt", "d"), Entry("e.json", 1)]
    ran(tmp_path, lambda record: made, picture("a.jpg"), picture("b.jpg"))
    assert codes(FORMAT.verify(tmp_path)) == []
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.txt").unlink()
    (tmp_path / "c.jsonl").write_text("1\n[\n")
    (tmp_path / "d.txt").write_text("d\n")
    (tmp_path / "e.json").write_text("[\n1\n]\n")
    (tmp_path / "more").touch()
    (tmp_path / "more2").touch()
    found = {problem.code: problem.count for problem in FORMAT.verify(tmp_path).problems}
    assert found == {"unreadable-file": 3, "count-differs": 2, "unknown-file": 1}
