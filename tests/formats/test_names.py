"""Names of files: what is unsafe, what is taken, what stays as it came."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_skills.annotations.model import Document, MediaFile, Record
from synapse_skills.formats.names import (
    MAX_NAME_BYTES,
    Names,
    fold,
    original_name,
    safe_name,
    safe_segment,
    split_suffix,
)


def record(key: int = 7, **meta: object) -> Record:
    return Record(key, key, "assignment", Document(), meta=dict(meta))


def file(name: str) -> MediaFile:
    return MediaFile("image_1", name)


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("../../x.png", "x.png"),
        ("C:\\x\\y.png", "y.png"),
        ("a:b?.jpg", "a_b_.jpg"),
        ("CON.jpg", "_CON.jpg"),
        ("com¹.txt", "_com¹.txt"),
        ("console.jpg", "console.jpg"),
        (".hidden.jpg", "_.hidden.jpg"),
        ("line\nbreak\u2028.jpg", "line_break_.jpg"),
        ("no\ufffexml\uffff.jpg", "no_xml_.jpg"),
        ("\u202egpj.exe", "_gpj.exe"),
        ("cafe\u0301.jpg", "café.jpg"),
        ("trailing. . .", "trailing"),
        ("half\ud800.jpg", "half_.jpg"),
        ("한글 사진 (1).JPG", "한글 사진 (1).JPG"),
        ("1.2.840.10008.1", "1.2.840.10008.1"),
    ],
)
def test_a_name_is_made_safe(given: str, safe: str) -> None:
    assert safe_name(given) == safe


def test_a_name_that_is_too_long_keeps_its_suffix_and_stays_another() -> None:
    one, two = safe_name("가" * 300 + "1.jpg"), safe_name("가" * 300 + "2.jpg")
    assert one != two
    assert one.endswith(".jpg")
    assert len(one.encode()) <= MAX_NAME_BYTES
    sentence = safe_name("One. " + "word " * 60)
    assert "." not in sentence


@given(st.text(max_size=300))
def test_whatever_comes_is_one_safe_name(text: str) -> None:
    name = safe_name(text)
    assert name
    assert name not in (".", "..")
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert not re.search(r'[/\\:*?"<>|\x00-\x1f]', name)
    assert len(name.splitlines()) == 1
    assert name[-1] not in ". "
    assert unicodedata.is_normalized("NFC", name)
    segment = safe_segment(text)
    assert segment not in ("", ".", "..")
    assert not re.search(r'[/\\:*?"<>|\x00-\x1f]', segment)
    assert len(segment.encode()) <= MAX_NAME_BYTES
    assert (segment == text) or segment[-7] == "~"


@given(
    st.lists(st.tuples(st.sampled_from(["a.jpg", "A.png", "a__2.jpg", "é", "e\u0301.x", "", "a"]), st.integers(1, 4)))
)
def test_no_two_media_share_a_stem(wanted: list[tuple[str, int]]) -> None:
    def named() -> list[str]:
        names = Names()
        return [names.of(record(key), file(name)) for name, key in wanted]

    stems = [fold(split_suffix(name)[0]) for name in named()]
    assert len(set(stems)) == len(stems)
    assert named() == named()


def test_a_name_that_is_taken_gets_the_records_key() -> None:
    names = Names()
    assert names.of(record(1), file("cat.jpg")) == "cat.jpg"
    assert names.of(record(2), file("CAT.png")) == "CAT__2.png"
    assert names.of(record(2), file("cat.jpg")) == "cat__2_3.jpg"


def test_names_by_id() -> None:
    names = Names("id")
    assert names.of(record(1), file("../cat.JPG")) == "1.JPG"
    assert names.of(record(1), file("dog.jpg")) == "1_2.jpg"
    assert names.of(record(2), None) == "2"


def test_who_says_the_name() -> None:
    meta = {"filename": "B8_0001.mp4", "origin_file_stem": "0001", "origin_file_extension": ".mp4"}
    assert original_name(record(**meta), file("real.mp4")) == "real.mp4"
    assert original_name(record(**meta), file("..")) == "B8_0001.mp4"
    assert original_name(record(**meta), None) == "B8_0001.mp4"
    assert original_name(record(**(meta | {"filename": None})), None) == "0001.mp4"
    assert original_name(record(filename=3), None) == ""
    assert Names().of(record(7), None) == "7"


@pytest.mark.parametrize("exact", ["1. 자연", "2. 도시", ".x", "e\u0301", " a", "x" * MAX_NAME_BYTES])
def test_a_folder_that_a_file_system_takes_stays_exactly_so(exact: str) -> None:
    assert safe_segment(exact) == exact


@pytest.mark.parametrize("bad", ["a/b", "..", "", "nul", "a.", "a ", "a:b", "가" * 100, "\ud800"])
def test_a_folder_that_none_takes_is_changed_and_stays_another(bad: str) -> None:
    assert re.search(r"~[0-9a-f]{6}$", safe_segment(bad))
    assert safe_segment(bad) != safe_segment(bad + "/")
