"""Pictures by class, and JSONL."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion
from yolo_make import annotation, codes, dataset, picture, read, settings

from synapse_skills.annotations.model import Annotation, Box, Entity, Group, Keypoint, Text, Whole
from synapse_skills.formats import FORMATS
from synapse_skills.formats.image_folder import class_folders
from synapse_skills.formats.names import fold

FOLDER, LINES = FORMATS["image_folder"], FORMATS["jsonl"]


def whole(label: str | None = "cat", **attributes: object) -> Annotation:
    return annotation(Whole(), label, tool="classification", attributes=attributes)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_picture_lies_in_the_folder_of_its_class(tmp_path: Path) -> None:
    items = [
        picture("a.jpg", whole("개", 색="빨강"), split="train"),
        picture("b.jpg", whole("cat"), whole("개"), split="val"),
        picture("c.jpg", split="val"),
    ]
    told = settings(FOLDER, ["cat", "개"], splits=("train", "val"))
    writer, losses = dataset(FOLDER, tmp_path, items, told)
    assert losses == [[], [], []]
    assert [writer.place(item) for item in items] == ["train/개/a.jpg", "val/cat/b.jpg", None]
    assert lines(tmp_path / "train/metadata.jsonl") == [
        {"file_name": "개/a.jpg", "label": "개", "labels": ["개"], "record_id": 1, "attributes": '{"색": "빨강"}'}
    ]
    assert [line["labels"] for line in lines(tmp_path / "val/metadata.jsonl")] == [["cat", "개"]]
    assert writer.notes == {"several-classes": 1}
    found = FOLDER.verify(tmp_path)
    assert (found.problems, found.rows) == ([], writer.rows)
    assert found.items == {"train": 1, "val": 1}


@pytest.mark.parametrize("splits", [(), ("train", "val")])
def test_the_loader_is_told_the_parts(tmp_path: Path, splits: tuple[str, ...]) -> None:
    dataset(FOLDER, tmp_path, [], settings(FOLDER, splits=splits))
    told = yaml.safe_load((tmp_path / "README.md").read_text().split("---")[1])["configs"][0]["data_files"]
    named = [("train", "train/**"), ("validation", "val/**")] if splits else [("train", "**")]
    assert [(each["split"], each["path"]) for each in told] == named


def test_what_an_image_folder_does_not_hold(tmp_path: Path) -> None:
    items = [
        picture("a.jpg", annotation(Box(1, 1, 2, 2)), whole("cow"), whole(None), whole("fly")),
        picture("b.mp4", whole("cat"), kind="video"),
    ]
    writer, losses = dataset(FOLDER, tmp_path, items, settings(FOLDER, drop=("fly",)))
    reasons = [[loss.reason for loss in each] for each in losses]
    assert reasons == [["not-held", "unknown-class", "unlabelled", "dropped"], ["not-held"]]
    assert [writer.place(item) for item in items] == [None, None]
    assert writer.rows == {"": 0}


@given(st.lists(st.text(st.characters(categories=None), min_size=1), unique=True, max_size=6))
def test_no_class_is_a_path_and_no_two_share_a_folder(names: list[str]) -> None:
    classes = list(dict.fromkeys(["../../x", "a/b", "CON", "A", "a", "metadata.jsonl", "readme.md", *names]))
    folders = class_folders(classes)
    assert len({fold(each) for each in folders}) == len(classes)
    assert not any("/" in each or "\\" in each or each in ("", ".", "..") for each in folders)
    assert not {"metadata.jsonl", "readme.md"} & set(folders)


def test_the_verifier_of_image_folders_finds_what_is_wrong(tmp_path: Path) -> None:
    dataset(FOLDER, tmp_path, [picture("a.jpg", whole())], settings(FOLDER))
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/b.jpg").write_bytes(b"")
    path = tmp_path / "metadata.jsonl"
    line = path.read_text()
    path.write_text(line + line + "{}\n" + line.replace("cat/", "../"))
    found = FOLDER.verify(tmp_path)
    assert {problem.code: problem.count for problem in found.problems} == {"bad-line": 3, "picture-without-line": 1}
    path.unlink()
    assert codes(FOLDER.verify(tmp_path)) == ["missing-file"]


def test_lines_hold_whatever_comes(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    items = [
        picture(
            "a.txt",
            annotation(Entity(([0, 2],), "서울"), "개"),
            annotation(Text(({"value": "질문?"},), {"model": "m"}), None),
            kind="text",
            split="train",
            size=(None, None),
        ),
        picture("b.jpg", annotation(Keypoint(1, 2.5), group="g"), split="val", groups=(Group("g", "cat"),)),
    ]
    for each in items:
        for number, one in enumerate(each.media.annotations):
            one.id = f"{each.stem}{number}"
    texts = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        writer, losses = dataset(LINES, tmp_path / name, items, settings(LINES, splits=("train", "val")))
        texts.append(read(tmp_path / name))
    assert losses == [[], []]
    assert texts[0] == texts[1] == snapshot
    found = LINES.verify(tmp_path / "one")
    assert (found.problems, found.rows, found.items) == ([], {"train": 2, "val": 1}, {"train": 1, "val": 1})
    assert writer.rows == found.rows
    assert [writer.place(item) for item in items] == [None, None]


def test_what_lines_lose_and_that_a_negative_has_one(tmp_path: Path) -> None:
    item = picture("a.jpg", annotation(None, tool="polygon"), whole("cow"), whole("fly"))
    _, [losses, _] = dataset(LINES, tmp_path, [item, picture("b.jpg")], settings(LINES, drop=("fly",)))
    assert [loss.reason for loss in losses] == ["no-geometry", "unknown-class", "dropped"]
    assert [line["annotations"] for line in lines(tmp_path / "annotations.jsonl")] == [[], []]


def test_half_characters_and_huge_numbers_survive_as_text(tmp_path: Path) -> None:
    dataset(LINES, tmp_path, [picture("a", whole(n=2**80, t="\ud83d", x=float("nan")))], settings(LINES))
    [line] = lines(tmp_path / "annotations.jsonl")
    assert line["annotations"][0]["attributes"] == {"n": str(2**80), "t": "\\ud83d", "x": "nan"}


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"annotations": [{}], "split": ""}', '{"annotations": [], "split": "x"}']
)
def test_the_verifier_of_lines_finds_what_is_wrong(tmp_path: Path, text: str) -> None:
    dataset(LINES, tmp_path, [], settings(LINES))
    (tmp_path / "annotations.jsonl").write_text(f"{text}\n")
    assert codes(LINES.verify(tmp_path)) == ["bad-line"]
    (tmp_path / "annotations.jsonl").unlink()
    assert codes(LINES.verify(tmp_path)) == ["missing-file"]
