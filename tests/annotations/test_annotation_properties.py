"""What holds for any payload at all."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from annotations.worlds import (
    any_json,
    as_v2,
    damaged,
    damaged_payloads,
    encoded,
    nearly_payloads,
    payload,
    payloads,
    row,
    target_rows,
)
from synapse_skills.annotations import (
    NeedsPayload,
    Unreadable,
    count_annotations,
    file_of,
    payload_of,
    read_document,
    read_row,
    size_of,
    stem_source,
)
from synapse_skills.annotations.fast import read_fast
from synapse_skills.annotations.model import Box, Document
from synapse_skills.annotations.v1 import read_v1


def in_order(document: Document) -> list[Any]:
    """Media and annotations by id, since the newer shape sorts them by tool."""
    return [
        (media.key, media.kind, sorted(media.annotations, key=lambda each: each.id), media.groups)
        for media in document.media
    ]


@given(any_json)
def test_any_json_is_read_or_unreadable(value: Any) -> None:
    try:
        document = read_document(encoded(value))
    except Unreadable as error:
        assert "JSON object" in str(error) or "elsewhere" in str(error) or "JSON" in str(error)
    else:
        assert count_annotations(document) >= 0


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_unreadable(value: bytes) -> None:
    try:
        read_document(value)
    except Unreadable as error:
        assert error.hint


@given(nearly_payloads())
def test_something_else_at_any_place_of_a_payload_costs_no_record(value: Any) -> None:
    """Whatever stands there, the payload stays an object: it is read, as bytes as it is as an object."""
    assume("mode" not in value)
    assert read_document(encoded(value)) == read_document(json.loads(encoded(value)))


@given(damaged_payloads)
def test_nothing_is_lost_in_silence(value: Any) -> None:
    """Every entry of the annotations is in the document or counted by an issue, and so is every geometry left over."""
    document = read_document(value)
    listed = sum(len(rows) for rows in value["annotations"].values() if isinstance(rows, list))
    assert count_annotations(document) >= listed
    for media in document.media:
        ids = [annotation.id for annotation in media.annotations]
        assert len(set(ids)) == len(ids)
        told = {issue.annotation for issue in document.issues if issue.media == media.key}
        assert all(annotation.geometry is not None or annotation.id in told for annotation in media.annotations)


@given(payloads)
def test_a_sound_payload_has_no_issue_and_every_annotation(value: Any) -> None:
    document = read_document(encoded(value))
    assert document.issues == []
    assert count_annotations(document) == sum(len(rows) for rows in value["annotations"].values())
    assert all(annotation.geometry is not None for media in document.media for annotation in media.annotations)


@given(payloads)
def test_the_newer_shape_reads_the_same(value: Any) -> None:
    assume(not any("coordinates" in each for rows in value["annotationsData"].values() for each in rows))
    older, newer = read_document(value), read_document(as_v2(value))
    assert in_order(older) == in_order(newer) and newer.issues == []
    assert older.media == newer.media
    bare = read_document(as_v2(value, with_meta=False))
    assert count_annotations(bare) == count_annotations(older)


@given(st.integers(0, 10**9))
def test_the_fast_way_and_the_patient_way_agree(seed: int) -> None:
    """On whatever the fast way takes: sound and damaged pictures of its four tools."""
    random = Random(seed)
    tools = ("bounding_box", "polygon", "polyline", "classification")
    sound = payload(random, media=("image_1", "image_2")[: random.randint(1, 2)], tools=tools)
    assert read_fast(encoded(sound)) == read_v1(sound, "")
    odd = encoded(damaged(random))
    if (document := read_fast(odd)) is not None:
        assert document == read_v1(json.loads(odd), "")


@given(nearly_payloads())
def test_the_fast_way_takes_nothing_that_it_reads_differently(value: Any) -> None:
    odd = encoded(value)
    if (document := read_fast(odd)) is not None:
        assert document == read_v1(json.loads(odd), "")


@given(target_rows)
def test_a_row_reads_the_same_as_bytes_and_as_an_object(world: tuple[str, Any]) -> None:
    target, value = world
    record = read_row(encoded(value), target)
    assert record.document == read_row(json.loads(encoded(value)), target).document
    assert record.payload == payload_of(encoded(value)) == encoded(value["data"])
    for media in record.document.media:
        size_of(record, media)
        assert isinstance(stem_source(record, media), str)


@given(st.data())
def test_any_row_is_read_or_unreadable(data: st.DataObject) -> None:
    value = row({"annotations": {}, "annotationsData": {}})
    for key in data.draw(st.sets(st.sampled_from(sorted(value)), min_size=1, max_size=4)):
        value[key] = data.draw(any_json)
    for given_row in (value, encoded(value)):
        try:
            record = read_row(given_row, data.draw(st.sampled_from(("assignment", "ground_truth", "task"))))
        except (Unreadable, NeedsPayload) as error:
            assert str(error)
        else:
            for media in record.document.media:
                assert file_of(record, media) in (None, *record.files)
                assert size_of(record, media) is None or min(size_of(record, media) or ()) > 0


@given(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=2), st.lists(st.floats(0, 1e9), min_size=2, max_size=2))
def test_a_box_is_what_its_payload_says(corner: list[float], sides: list[float]) -> None:
    coordinate = dict(zip(("x", "y", "width", "height"), corner + sides, strict=True))
    value = {"annotations": {"image_1": [{"id": "a", "tool": "bounding_box"}]}}
    value["annotationsData"] = {"image_1": [{"id": "a", "coordinate": coordinate}]}
    document = read_document(encoded(value))
    assert document.media[0].annotations[0].geometry == Box(*corner, *sides)
