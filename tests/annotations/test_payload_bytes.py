"""The payload of a row: its bytes as they were received, and links told from annotations."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from annotations.worlds import any_json, encoded, row
from synapse_skills.annotations import NeedsPayload, Unreadable, is_wrapper, payload_of, read_row

FAITHFUL = (
    b'{"b": 1.0, "a":1,"big":123456789012345678901234567890,"e":1E5,"n":-0.0,"u":"\\u00e9\xc3\xa9","b":2}',
    b'{"x": NaN, "y": [Infinity, -Infinity, 1.0], "z": {"w" : 1.50}}',
    b'{"s": "\\ud800", "t": 1e999}',
    b'{"s": "]},{\\"data\\": null", "\\\\": "\\""}',
    b"{" + b'"n": ' + b"1" * 5000 + b"}",
)


@pytest.mark.parametrize("payload", FAITHFUL)
@pytest.mark.parametrize(
    "around",
    [
        b'{"id": 7, "data": %s, "tags": []}',
        b'  {\n "data":%s}\n',
        b'{"x":{"data":1},"data" : %s , "z":NaN}',
        b'{"data": 5, "data": %s}',
    ],
)
def test_a_payload_stays_as_it_was(payload: bytes, around: bytes) -> None:
    """Order, 1.0, long integers, NaN, escapes and double keys, wherever it stands in the row."""
    assert payload_of(around.replace(b"%s", payload)) == payload


@pytest.mark.parametrize("payload", FAITHFUL)
def test_a_record_keeps_the_bytes(payload: bytes) -> None:
    assert read_row(b'{"id": 7, "data": %s}' % payload, "assignment").payload == payload


@pytest.mark.parametrize("payload", FAITHFUL[:2])
def test_a_payload_in_a_string_is_what_the_string_holds(payload: bytes) -> None:
    quoted = json.dumps(payload.decode()).encode()
    assert payload_of(b'{"data": %s}' % quoted) == payload
    assert payload_of(b'{"data": %s, "z": NaN}' % json.dumps(quoted.decode()).encode()) == payload


@pytest.mark.parametrize(
    "around", [b'{"id": 7}', b'{"data": null}', b'{"data":""}', b'{"data": "null", "z": NaN}', b"{}"]
)
def test_no_payload_is_none(around: bytes) -> None:
    assert payload_of(around) is None


@pytest.mark.parametrize(
    "around",
    [
        *(b"", b"[]", b"5", b"[NaN]", b"{", b'{"data": NaN', b'{"data" 5}', b'{"data": 5 6, "z": NaN}', b"{5: NaN}"),
        *(b'{"data": {"a": NaN, }}', b"\xff", b'{"z": NaN, "data": \xff}', b'{"data":' + b"[" * 200_000),
    ],
)
def test_a_row_that_is_no_object_is_unreadable(around: bytes) -> None:
    with pytest.raises(Unreadable):
        payload_of(around)


def test_an_object_row_keeps_order_and_kinds_of_numbers() -> None:
    data = {"b": 1.0, "a": 1, "n": float("nan"), "big": 10**40, "한": "é"}
    record = read_row({"id": 7, "data": data}, "assignment")
    assert record.payload == '{"b":1.0,"a":1,"n":NaN,"big":1%s,"한":"é"}'.encode() % (b"0" * 40)


@given(any_json)
def test_any_payload_survives(value: Any) -> None:
    raw = payload_of(b'{"id": 7, "data": %s}' % json.dumps(value).encode())
    if isinstance(value, str):
        return  # What a string holds is its own matter, above.
    assert (None if value is None else json.dumps(value).encode()) == raw


@pytest.mark.parametrize(
    "data",
    [
        {"mode": "presigned", "presigned_url": "http://h/p.json?sig=s", "size": 1234, "data_digest": "d"},
        {
            "mode": "inline",
            "truncated": True,
            "presigned_url": "http://h/p.json?sig=s",
            "size": 1234,
            "data_digest": "d",
        },
        {"mode": "inline", "truncated": True, "data": {"a": 1}, "presigned_url": "http://h/p.json?sig=s", "size": 1234}
        | {"digest": "d"},
        {"mode": "presigned", "presigned_url": "http://h/p.json?sig=s", "size": 1234, "digest": "d", "newer": "x"},
    ],
)
def test_a_link_needs_its_payload(data: Any) -> None:
    for given_row in (row(data), encoded(row(data))):
        with pytest.raises(NeedsPayload) as caught:
            read_row(given_row, "assignment")
        assert (caught.value.url, caught.value.size, caught.value.digest) == ("http://h/p.json?sig=s", 1234, "d")
        assert "http" not in str(caught.value)
        fetched = b'{"annotations": {"image_1": []}}'
        record = read_row(given_row, "assignment", payload=fetched)
        assert record.payload == fetched and [media.key for media in record.document.media] == ["image_1"]


def test_a_link_that_is_missing() -> None:
    with pytest.raises(NeedsPayload) as caught:
        read_row(row({"mode": "presigned"}), "task")
    assert caught.value.url is None


def test_what_is_wrapped_in_place_is_the_payload() -> None:
    inner = b'{"annotations": {"image_1": []}, "x": 1.0}'
    record = read_row(b'{"id": 7, "data": {"mode": "inline", "data": %s}}' % inner, "assignment")
    assert record.payload == inner


@pytest.mark.parametrize(
    "data",
    [
        {"mode": "inline", "annotations": {}, "annotationsData": {}},
        {"mode": "presigned", "images": []},
        {"mode": "edit"},
        {"mode": ["inline"]},
        {"mode": {}},
        {"presigned_url": "http://h/x"},
        [],
        "inline",
        None,
    ],
)
def test_annotations_may_have_a_mode_of_their_own(data: Any) -> None:
    assert is_wrapper(data) is None
    if isinstance(data, dict):
        assert read_row(row(data), "assignment").payload == encoded(data)
