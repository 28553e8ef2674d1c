"""Synapse JSON: the bytes that came are the bytes that are written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from annotations.worlds import said
from formats.export_make import contents, items_of, record, run
from formats.yolo_make import settings
from synapse_skills.annotations import read_document
from synapse_skills.annotations.model import MediaFile, Record
from synapse_skills.formats import FORMATS

ODD = (
    b'{"z":1,"a":1.0,"big":123456789012345678901234567890,"nan":NaN,"e":1e2,"half":"\\ud800","annotations":'
    b'{"image_2":[],"image_1":[]},"annotationsData":{"image_1":[],"image_2":[]},"extra":{}}'
)


def raw(payload: bytes | None, number: int = 1) -> Record:
    return Record(number, number, "assignment", read_document(payload), payload)


def test_every_byte_survives(tmp_path: Path) -> None:
    """The order of keys, 1.0, numbers of any length, NaN, escapes."""
    ran = run("synapse_json", tmp_path / "out", items_of([raw(ODD)]))
    assert ran.verified.problems == []
    assert contents(ran.folder)["annotations/1.json"] == ODD


def test_one_file_a_record_however_many_media(tmp_path: Path) -> None:
    ran = run("synapse_json", tmp_path / "out", items_of([raw(ODD, 1), raw(ODD, 2)]))
    assert sorted(contents(ran.folder)) == ["annotations/1.json", "annotations/2.json", "records.jsonl"]
    assert ran.rows == ran.verified.rows == {"": 2}


def test_folders_are_exact_and_never_lead_out(tmp_path: Path) -> None:
    made = [record({}, number, name=f"{number}.jpg") for number in (1, 2)]
    items = items_of(made, splits=("train", "val"), folders=(("1. 자연",), ("../../x",)))
    ran = run("synapse_json", tmp_path / "out", items, splits=("train", "val"))
    names = sorted(name for name in contents(ran.folder) if name.startswith("annotations/"))
    assert names[0] == "annotations/train/1. 자연/1.json"
    assert names[1].startswith("annotations/val/.._.._x~")
    assert ran.verified.items == {"train": 1, "val": 1}


def test_a_record_without_a_payload_is_null(tmp_path: Path) -> None:
    item = items_of([record({"annotations": {"image_1": []}, "annotationsData": {}})])[0]
    item.record.payload = None
    ran = run("synapse_json", tmp_path / "out", [item])
    assert ran.verified.problems == []
    assert contents(ran.folder)["annotations/cat.json"] == b"null"


def test_the_envelope_says_whose_it_is_and_holds_no_link(tmp_path: Path) -> None:
    made = raw(ODD)
    made.files = (MediaFile("image_1", "고양이.jpg", url="https://host/x?X-Signature=secret", width=3),)
    made.meta, made.data_unit = {"category": "1. 자연", "big": 2**70}, 9
    ran = run("synapse_json", tmp_path / "out", items_of([made]), options={"envelope": "yes"})
    text = contents(ran.folder)["annotations/고양이.json"]
    assert ran.verified.problems == []
    assert ODD in text
    assert b"https://" not in text
    assert b"secret" not in text
    document = json.loads(text)
    assert document["id"] == 1
    assert document["files"]["image_1"]["file_name_original"] == "고양이.jpg"
    assert document["data_unit"] == {"id": 9, "meta": {"category": "1. 자연", "big": 2**70}}


def test_originals_lie_beside(tmp_path: Path) -> None:
    [item] = items_of([record({"annotations": {"image_1": []}})], splits=("val",), folders=(("a/b",),))
    writer = FORMATS["synapse_json"].write(tmp_path, settings(FORMATS["synapse_json"]))
    assert re.fullmatch(r"images/val/a_b~\w{6}/cat.jpg", str(writer.place(item)))
    writer.close()
    assert sorted(contents(tmp_path)) == ["records.jsonl"]  # asking makes no folders


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda folder: (folder / "annotations/1.json").unlink(), "missing-file"),
        (lambda folder: (folder / "annotations/1.json").write_bytes(ODD[:-5]), "unreadable-file"),
        (lambda folder: (folder / "annotations/1.json").write_bytes(b"[" * 100_000), "unreadable-file"),
        (lambda folder: (folder / "annotations/1.json").write_bytes(b"[1]"), "not-an-object"),
        (lambda folder: (folder / "annotations/more.json").write_bytes(b"{}"), "unknown-file"),
        (lambda folder: (folder / "records.jsonl").unlink(), "missing-file"),
        (lambda folder: (folder / "records.jsonl").write_bytes(b"{\n"), "bad-index"),
    ],
)
def test_damage_is_found(tmp_path: Path, damage: Any, code: str) -> None:
    ran = run("synapse_json", tmp_path / "out", items_of([raw(ODD)]))
    damage(ran.folder)
    assert code in [problem.code for problem in FORMATS["synapse_json"].verify(ran.folder).problems]


def test_a_small_dataset(tmp_path: Path, snapshot: Any) -> None:
    annotations = [said("a1", "bounding_box", "도로")]
    payload = {"annotations": {"image_1": annotations}, "annotationsData": {"image_1": [{"id": "a1"}]}}
    ran = run("synapse_json", tmp_path / "out", items_of([record(payload)]))
    assert {name: text.decode() for name, text in sorted(contents(ran.folder).items())} == snapshot
