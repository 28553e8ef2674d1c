"""JSON by class: the seed's convention, on payloads of both shapes."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.worlds import as_v2, joined, payload, said, v1
from formats.export_make import contents, items_of, record, run
from synapse_skills.annotations import read_document
from synapse_skills.formats import FORMATS

BOX = {"coordinate": {"x": 1.0, "y": 2, "width": 3, "height": 4}}


def video(*classes: str) -> dict[str, Any]:
    said_of = [said(f"a{n}", "classification", label, description_kr="설명") for n, label in enumerate(classes)]
    return v1(*((each, {}) for each in said_of), media="video_1", size=None)


def labels(ran: Any) -> dict[str, Any]:
    """The label files, read."""
    return {name: json.loads(text) for name, text in contents(ran.folder).items() if name.startswith("annotations/")}


def test_the_convention_of_videos(tmp_path: Path) -> None:
    """A file for each kind of description, in the folder of the category exactly as it is."""
    made = record(video("object_description", "scene"), name="B8_0001.mp4", data_unit=None)
    ran = run("class_json", tmp_path / "out", items_of([made], folders=(("1. 자연",),)))
    assert ran.verified.problems == []
    found = labels(ran)
    stem = items_of([made])[0].stem
    assert sorted(found) == [f"annotations/1. 자연/{stem}_{each}.json" for each in ("object_description", "scene")]
    for name, document in found.items():
        [annotation] = document["annotations"]["video_1"]
        assert annotation["classification"]["description_kr"] == "설명"
        assert name.endswith(f"_{annotation['classification']['class']}.json")
        assert document["assignmentId"] == 7


def test_a_file_is_a_whole_payload(tmp_path: Path) -> None:
    """All else stays: numbers as they came, extra, groups and relations of what is in it."""
    groups = [{"id": "g", "annotationIds": ["a"]}, {"id": "h", "annotationIds": ["b"]}, {"id": "empty"}]
    whole = v1((said("a", "bounding_box"), BOX), (said("b", "bounding_box", "dog"), BOX), groups=groups)
    whole["unknown"] = {"big": 2**70, "float": 1.0, "half": "\ud800"}
    made = record(whole)
    made.payload = json.dumps(whole).encode()
    ran = run("class_json", tmp_path / "out", items_of([made]))
    dog = labels(ran)["annotations/cat_dog.json"]
    assert dog["unknown"] == whole["unknown"]
    assert list(dog) == list(whole)
    assert [each["id"] for each in dog["annotations"]["image_1"]] == ["b"]
    assert [each["id"] for each in dog["annotationsData"]["image_1"]] == ["b"]
    assert [each["id"] for each in dog["annotationGroups"]["image_1"]] == ["h", "empty"]
    assert b'"float":1.0' in contents(ran.folder)["annotations/cat_dog.json"]


def test_losses_are_told_and_renamed_classes_keep_their_label(tmp_path: Path) -> None:
    whole = v1(*((said(n, "bounding_box", c), BOX) for n, c in (("a", "car"), ("b", "bus"), ("c", "x"), ("d", None))))
    plan = {"map": {"bus": "car"}, "drop": ("x",)}
    ran = run("class_json", tmp_path / "out", items_of([record(whole)]), order=("car",), plan=plan)
    assert ran.reasons == ["dropped", "unlabelled"]
    [document] = labels(ran).values()
    assert [each["classification"]["class"] for each in document["annotations"]["image_1"]] == ["car", "bus"]


def test_no_class_leads_out_and_no_two_share_a_file(tmp_path: Path) -> None:
    classes = ("../../x", "a/b", "a_b", "Car", "car", "con", "가" * 90, "a\nb")
    whole = v1(*((said(str(n), "bounding_box", label), BOX) for n, label in enumerate(classes)))
    ran = run("class_json", tmp_path / "out", items_of([record(whole)]))
    assert ran.verified.problems == []
    names = [name.casefold() for name in labels(ran)]
    assert len(set(names)) == len(names) == len(classes)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    mapping = json.loads((ran.folder / "mapping.json").read_bytes())["classes"]
    assert set(mapping) == set(classes)
    assert mapping["a_b"] == "a_b"
    assert {mapping["Car"], mapping["car"]} > {"Car"}


def test_a_stem_and_a_postfix_never_meet_another(tmp_path: Path) -> None:
    first = record(v1((said("a", "bounding_box", "b_c"), BOX)), 1, name="a.jpg")
    second = record(v1((said("a", "bounding_box", "c"), BOX)), 2, name="a_b.jpg")
    ran = run("class_json", tmp_path / "out", items_of([first, second]))
    assert sorted(labels(ran)) == ["annotations/a_b_c.json", "annotations/a_b_c__2.json"]
    assert ran.verified.problems == []


@pytest.mark.parametrize("form", ["class_json", "synapse_json"])
@pytest.mark.parametrize("turn", [1, -1])
def test_a_folder_is_never_called_like_a_file_beside_it(tmp_path: Path, form: str, turn: int) -> None:
    """A category may be the name of a file, and a record of none may have that file."""
    rows = [record(v1((said("a", "bounding_box"), BOX)), number, name=f"{number}.jpg") for number in (1, 2, 3)]
    items = items_of(rows, folders=[(), ("1_car.json",), ("1.json",)])[::turn]
    ran = run(form, tmp_path / "out", items)
    assert ran.verified.problems == []
    assert len([name for name in contents(ran.folder) if name.startswith("annotations/")]) == 3


def test_folders_that_had_to_change_are_recorded(tmp_path: Path) -> None:
    made = record(v1((said("a", "bounding_box"), BOX)))
    ran = run("class_json", tmp_path / "out", items_of([made], folders=(("a/b", "1. 자연"),)))
    mapping = json.loads((ran.folder / "mapping.json").read_bytes())
    [(value, folder)] = mapping["folders"].items()
    assert value == "a/b"
    assert list(labels(ran)) == [f"annotations/{folder}/1. 자연/cat_car.json"]


@pytest.mark.parametrize("has_meta", [True, False])
def test_the_newer_shape(tmp_path: Path, has_meta: bool) -> None:
    older = joined(
        v1((said("a", "bounding_box"), BOX), (said("b", "bounding_box", "dog"), BOX)),
        v1((said("a", "bounding_box", "dog"), BOX), media="image_2"),
    )
    ran = run("class_json", tmp_path / "out", items_of([record(as_v2(older, with_meta=has_meta))]))
    assert ran.verified.problems == []
    assert ran.losses == []
    dog = labels(ran)["annotations/cat_dog.json"]
    images = dog["annotation_data" if has_meta else "images"]
    images = images["images"] if has_meta else images
    assert [[each["id"] for each in item["bounding_box"]] for item in images] == [["b"], ["a"]]


@settings(max_examples=20)
@given(st.randoms(use_true_random=False))
def test_the_files_together_hold_every_annotation_once(
    tmp_path_factory: pytest.TempPathFactory, random: Random
) -> None:
    """Read as payloads again: the annotations of all files are those of the record, with their geometry."""
    made = record(payload(random))
    ran = run("class_json", tmp_path_factory.mktemp("class") / "out", items_of([made]))
    lost = {id(loss.annotation) for loss in ran.losses}
    kept = [
        (media.key, each.id, each.label, each.geometry)
        for media in made.document.media
        for each in media.annotations
        if id(each) not in lost
    ]
    again = [
        (media.key, each.id, each.label, each.geometry)
        for text in labels(ran).values()
        for media in read_document(text).media
        for each in media.annotations
    ]
    assert sorted(map(repr, again)) == sorted(map(repr, kept))


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("annotations/cat_car.json", None, "missing-file"),
        ("annotations/cat_car.json", "{", "unreadable-file"),
        ("annotations/cat_car.json", "null", "not-an-object"),
        ("annotations/cat_car.json", '{"annotations":{}}', "wrong-count"),
        ("annotations/cat_dog.json", "{}", "unknown-file"),
        ("mapping.json", '{"classes":{}}', "unknown-class"),
        ("records.jsonl", None, "missing-file"),
    ],
)
def test_damage_is_found(tmp_path: Path, name: str, text: str | None, code: str) -> None:
    ran = run("class_json", tmp_path / "out", items_of([record(v1((said("a", "bounding_box"), BOX)))]))
    path = ran.folder / name
    path.unlink() if text is None else path.write_text(text)
    assert code in [problem.code for problem in FORMATS["class_json"].verify(ran.folder).problems]


def test_a_small_dataset(tmp_path: Path, snapshot: Any) -> None:
    made = record(video("object_description", "scene"), name="B8_0001.mp4")
    ran = run("class_json", tmp_path / "out", items_of([made], folders=(("1. 자연",),)))
    assert {name: text.decode() for name, text in sorted(contents(ran.folder).items())} == snapshot
