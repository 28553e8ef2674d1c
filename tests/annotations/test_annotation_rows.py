"""Rows of the three targets, and the files that they name in their many ways."""

from __future__ import annotations

from typing import Any

import pytest

from annotations.worlds import Json, encoded, row, rows, v1
from synapse_skills.annotations import Unreadable, file_of, read_row, size_of, stem_source
from synapse_skills.annotations.model import MediaFile, Record

EMPTY: Json = v1(size=None)
IMAGE = {"url": "http://h/7.png?sig=x", "file_name_original": "a.png", "is_primary": True, "file_type": "image"}
SIDECAR = {"url": "http://h/7.json", "file_name_original": "a.json"}


def record(target: str = "assignment", data: Any = EMPTY, **changes: Any) -> Record:
    given = row(data, target, **changes)
    found = read_row(encoded(given), target)
    assert found == read_row(given, target)
    return found


def bare(data: Any = EMPTY, **files: Any) -> Record:
    """A row with nothing but these files."""
    found = read_row(encoded({"id": 7, "data": data, **files}), "assignment")
    assert found == read_row({"id": 7, "data": data, **files}, "assignment")
    return found


def test_an_assignment() -> None:
    found = record()
    assert (found.key, found.id, found.target, found.project, found.task, found.data_unit) == (
        *(7, 7, "assignment", 1, 1007, 50_007),
    )
    assert (found.status, found.review, found.is_discarded, found.is_confirmed) == ("done", "confirmed", False, True)
    assert found.tags == ("야간",)
    assert found.created < found.updated
    assert found.meta["category"] == "1. 자연" and found.category is None
    assert found.files == (
        MediaFile(
            *("image_1", "이미지_0007.png", "http://127.0.0.1:8000/media/7.png?sig=x", True, "image", 1234),
            checksum=f"{7:032x}",
        ),
    )


def test_a_task() -> None:
    found = record("task")
    assert (found.key, found.task, found.data_unit, len(found.files)) == (7, 7, 50_007, 1)


def test_a_ground_truth_event_is_known_by_its_own_number() -> None:
    """The id repeats over the events of one ground truth."""
    found = record("ground_truth")
    assert (found.key, found.id, found.category, found.data_unit) == (7, 303, "validation", 50_007)
    assert record("ground_truth", pgh_id=None).key == 303


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"project": {"id": 5, "title": "x"}}, "project", 5),
        ({"project": None, "task": {"id": 9, "project": 4}}, "project", 4),
        ({"task": 9}, "task", 9),
        ({"data_unit": 12, "task": None}, "data_unit", 12),
        ({"data_unit": None, "task": {"id": 9, "data_unit": {"id": 3}}}, "data_unit", 3),
        ({"data_unit": None}, "data_unit", None),
        ({"data_unit": None}, "meta", {}),
        ({"data_unit": {"id": 1, "meta": "x"}}, "meta", {}),
        ({"tags": ["a", {"name": "b"}, {"id": 3}, None, "a"], "task": {"tags": ["c", "a"]}}, "tags", ("a", "b", "c")),
        ({"tags": None, "task": None}, "tags", ()),
        ({"status_label": None, "status": "open"}, "status", "open"),
        ({"status_review": None}, "review", ""),
        ({"status_review": None}, "is_confirmed", None),
        ({"is_confirmed": False}, "is_confirmed", False),
        ({"is_discarded": True}, "is_discarded", True),
        ({"category": {"name": "train"}}, "category", "train"),
        ({"created": 5}, "created", ""),
    ],
)
def test_fields_in_their_other_shapes(changes: Json, field: str, value: Any) -> None:
    assert getattr(record(**changes), field) == value


@pytest.mark.parametrize("given", [{}, {"id": None}, {"id": "7"}, {"id": True}, {"id": 1.0}])
def test_a_row_without_an_id_is_unreadable(given: Json) -> None:
    for each in (given, encoded(given)):
        with pytest.raises(Unreadable, match="no id"):
            read_row(each, "assignment")


@pytest.mark.parametrize("given", [b"[]", b"{", b"null", b'"x"'])
def test_a_row_that_is_none_is_unreadable(given: bytes) -> None:
    with pytest.raises(Unreadable):
        read_row(given, "assignment")


def test_an_unreadable_payload_names_its_record() -> None:
    with pytest.raises(Unreadable) as caught:
        read_row(row([1], number=12), "assignment")
    assert caught.value.record == 12


@pytest.mark.parametrize("data", [None, "", "null"])
def test_a_record_without_payload_is_its_picture_unlabelled(data: Any) -> None:
    found = record(data=data)
    assert found.payload is None and not found.document.is_labelled
    assert [media.key for media in found.document.media] == ["image_1"]


@pytest.mark.parametrize(
    "places",
    [
        {"file": IMAGE},
        {"file": {"image_1": IMAGE}},
        {"files": {"image_1": IMAGE}},
        {"files": [{"specification": "image_1", **IMAGE}]},
        {"files": [{"specification": {"name": "image_1"}, **IMAGE}]},
        {"files_manifest": {"data_meta_1": SIDECAR, "image_1": IMAGE}},
        {"data_unit": {"id": 1, "files": {"label_1": SIDECAR, "image_1": IMAGE}}},
        {"files": {}, "files_manifest": None, "file": {}, "data_unit": {"files": {"image_1": IMAGE}}},
        {"file": IMAGE, "data_unit": {"files": {"image_1": {"file_name_original": "a.png"}}}},
        {"files": {"image_1": {"file_name_original": "a.png"}}, "data_unit": {"files": {"image_1": IMAGE}}},
    ],
)
def test_the_file_of_a_picture_wherever_it_is_named(places: Json) -> None:
    found = bare(**places)
    file = file_of(found, found.document.media[0])
    assert file is not None
    assert (file.name, file.url, file.file_type) == ("a.png", "http://h/7.png?sig=x", "image")
    assert file_of(found, "image_1") == file


@pytest.mark.parametrize(
    "places",
    [
        *({}, {"file": None}, {"file": {}}, {"files": {}}, {"files_manifest": None}, {"files": []}, {"files": "x"}),
        *({"file": {"image_1": None}}, {"files": {"image_1": 5}}, {"files": [None]}, {"data_unit": {"files": None}}),
        {"files": {"label_1": SIDECAR}},
        {"file": SIDECAR},
    ],
)
def test_no_file_is_none(places: Json) -> None:
    found = bare(**places)
    assert file_of(found, "image_1") is None
    assert size_of(found, found.document.media[0]) is None
    assert stem_source(found, "image_1") == ""


@pytest.mark.parametrize(
    ("medium", "name"), [("prompt_1", "q.txt"), ("text_1", "q.txt"), ("image_1", ""), ("audio_1", "")]
)
def test_a_text_of_no_specification_is_the_file_of_a_text_only(medium: str, name: str) -> None:
    """Lists of assignments name the file without its specification: beside a picture a .txt is about that picture."""
    data = {"annotations": {medium: []}, "annotationsData": {medium: []}}
    found = bare(data, file={"file_name_original": "q.txt", "url": "http://h/q.txt", "is_primary": True})
    assert stem_source(found, medium) == name


def test_a_file_that_is_only_a_path() -> None:
    found = bare(data_unit={"files": {"image_1": {"path_original": "set/a.png"}}})
    assert file_of(found, "image_1") == MediaFile("image_1", "set/a.png")


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"image_9": {**IMAGE, "file_name_original": "nine.png"}, "image_2": SIDECAR}, "nine.png"),
        ({"picture": {"file_name_original": "p.png"}, "sound": {"file_name_original": "p.wav"}}, "p.png"),
        ({"a": {"file_name_original": "a.png"}, "b": {"file_name_original": "b.png"}}, None),
        ({"a": {"file_name_original": "a.png"}, "b": {"file_name_original": "b.png", "is_primary": True}}, "b.png"),
        ({"audio_1": {"file_name_original": "p.wav", "is_primary": True}}, None),
    ],
)
def test_a_medium_without_a_file_of_its_name(files: Json, name: str | None) -> None:
    """The primary one, else the only one that it can be; never one of several, and never another kind."""
    file = file_of(bare(files=files), "image_1")
    assert (file.name if file else None) == name


def test_each_picture_of_a_record_has_its_own_file() -> None:
    data = {"annotations": {"image_1": [], "image_2": []}}
    files = {f"image_{number}": {**IMAGE, "file_name_original": f"{number}.png"} for number in (1, 2)}
    found = bare(data, files=files)
    assert [stem_source(found, media) for media in found.document.media] == ["1.png", "2.png"]
    del files["image_2"]
    found = bare(data, files=files, data_unit={"meta": {"filename": "x.png", "width": 5, "height": 5}})
    assert [stem_source(found, media) for media in found.document.media] == ["1.png", ""]
    assert [size_of(found, media) for media in found.document.media] == [None, None]


@pytest.mark.parametrize(
    ("extra", "file", "unit", "size"),
    [
        ((1, 2), (3, 4), (5, 6), (1, 2)),
        (None, (3, 4), (5, 6), (3, 4)),
        (None, None, (5, 6), (5, 6)),
        ((0, 2), (3, "4"), (5, 6.0), (5, 6)),
        (None, None, (5, None), None),
        (None, None, None, None),
    ],
)
def test_the_size_of_a_picture(extra: Any, file: Any, unit: Any, size: Any) -> None:
    def sides(given: Any) -> Json:
        return {"width": given[0], "height": given[1]} if given else {}

    data = {**EMPTY, "extra": {"image_1": sides(extra)}}
    found = bare(data, files={"image_1": {**IMAGE, "meta": sides(file)}}, data_unit={"meta": sides(unit)})
    assert size_of(found, found.document.media[0]) == size


@pytest.mark.parametrize(
    ("file", "meta", "name"),
    [
        ({"file_name_original": "a.png"}, {"filename": "b.png", "origin_file_stem": "0003"}, "a.png"),
        ({"url": "http://h/x"}, {"filename": "b.png", "origin_file_stem": "0003"}, "b.png"),
        ({}, {"origin_file_stem": "0003"}, "0003"),
        ({}, {"filename": "", "origin_file_stem": 5}, ""),
        ({"file_name_original": "../../x.png"}, {}, "../../x.png"),
        ({"file_name_original": "C:\\x\\y.png"}, {}, "C:\\x\\y.png"),
        ({"file_name_original": "가" * 100 + ".png"}, {}, "가" * 100 + ".png"),
    ],
)
def test_what_a_picture_is_called(file: Json, meta: Json, name: str) -> None:
    """As it came: making it safe is for who writes."""
    assert stem_source(bare(files={"image_1": file}, data_unit={"meta": meta}), "image_1") == name


def test_a_world_of_rows_is_the_same_for_the_same_seed() -> None:
    assert list(rows(5, seed=3)) == list(rows(5, seed=3)) != list(rows(5, seed=4))
    found = [read_row(each, "task") for each in rows(30, target="task", annotations=3, broken=0.5)]
    assert [each.key for each in found] == list(range(1, 31))
    assert any(each.document.issues for each in found)
