"""Groupings, mappings and patterns: what they answer, what they refuse, and that repr() makes them again."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synapse_skills.errors import FindingError
from synapse_skills.plan import SpecPlan
from synapse_skills.sources import File
from synapse_skills.units import (
    Place,
    Placed,
    Unplaced,
    by_extension,
    by_folder,
    by_pattern,
)
from synapse_skills.units.place import settle, signature

SPECS = frozenset({"image_1", "label_1", "mask_1"})


def file(path: str) -> File:
    return File(0, path, 1, 1)


def spec(name: str, *extensions: str, **kwargs: Any) -> SpecPlan:
    return SpecPlan(name=name, extensions=extensions, **kwargs)


# ---- grouping


@pytest.mark.parametrize("depth", [0, -1, 1.5, "1", None, True])
def test_a_depth_that_is_none(depth: Any) -> None:
    with pytest.raises(FindingError, match="whole number from 1 up"):
        by_folder(depth)


@pytest.mark.parametrize(
    ("depth", "path", "expected"),
    [
        (1, "a/b/c.png", ("a", "b/c.png")),
        (2, "a/b/c.png", ("a/b", "c.png")),
        (3, "a/b/c.png", None),
        (1, "c.png", None),
        (1, "a b/{{c}}.png", ("a b", "{{c}}.png")),
    ],
)
def test_by_folder(depth: int, path: str, expected: tuple[str, str] | None) -> None:
    assert by_folder(depth)(file(path)) == expected


def test_keys_are_composed_however_the_disk_writes_them() -> None:
    path = unicodedata.normalize("NFD", "환자/각.png")
    assert by_folder(1)(file(path)) == ("환자", "각.png")


# ---- by extension


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.png", "image_1"),
        ("A.PNG", "image_1"),
        ("a.b.png", "image_1"),
        ("brain.nii.gz", "volume"),
        ("my.brain.NII.GZ", "volume"),
        ("log.gz", "archive"),
        ("x.nii.gz.txt", None),
        ("a.pngx", None),
        ("apng", "plain"),
        ("README", "plain"),
        ("ends.", None),
        ("x.tiff", "image_1"),
        ("folder.png/x", "plain"),
    ],
)
def test_by_extension(name: str, expected: str | None) -> None:
    table = {"png": "image_1", ".nii.gz": "volume", ".GZ": "archive", "": "plain", " TIFF ": "image_1"}
    assert by_extension(table)(file(f"u/{name}"), name) == expected


def test_an_extension_for_two_specs_is_refused() -> None:
    with pytest.raises(FindingError, match="is given to image_1 and to mask_1"):
        by_extension({".png": "image_1", "PNG": "mask_1"})


@pytest.mark.parametrize("table", [{".png": ""}, {".png": None}, {1: "image_1"}])
def test_a_table_of_other_things_is_refused(table: Any) -> None:
    with pytest.raises(FindingError) as caught:
        by_extension(table)
    assert caught.value.code == "bad-mapping"


# ---- by pattern


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("*_mask.png", "u/a_mask.png", True),
        ("*_mask.png", "u/deep/a_MASK.PNG", True),
        ("*_mask.png", "u/a_mask.png.bak", False),
        ("mask/*.png", "u/mask/a.png", True),
        ("mask/*.png", "u/left/mask/a.png", True),
        ("mask/*.png", "u/mask/deep/a.png", False),
        ("mask/*.png", "u/unmask/a.png", False),
        ("*/mask/*.png", "u/mask/a.png", True),
        ("/*.png", "u/a.png", True),
        ("/*.png", "u/mask/a.png", False),
        ("/mask/*.png", "u/mask/a.png", True),
        ("/mask/*.png", "u/left/mask/a.png", False),
        ("mask/**", "u/mask/a.png", True),
        ("mask/**", "u/mask/deep/a.png", True),
        ("mask/**/*.png", "u/mask/a.png", True),
        ("mask/**/*.png", "u/mask/x/y/a.png", True),
        ("/**/a.png", "u/a.png", True),
        ("?.png", "u/a.png", True),
        ("?.png", "u/ab.png", False),
        ("u?a.png", "u/a.png", False),
        ("*", "u/a/b", True),
        ("scan_[0-9].dcm", "u/scan_7.dcm", True),
        ("scan_[!0-9].dcm", "u/scan_7.dcm", False),
        ("u[!x]a.png", "u/a.png", False),
        ("a[[]1].png", "u/a[1].png", True),
        ("a[.png", "u/a[.png", True),
        ("a].png", "u/a].png", True),
        ("a(1)+{x}^$.png", "u/a(1)+{x}^$.png", True),
        ("a.png", "u/aXpng", False),
        ("a\nb*", "u/a\nbc", True),
        ("*.png", "u/a\nb.png", True),
        (unicodedata.normalize("NFD", "각*.png"), "u/각1.png", True),
    ],
)
def test_patterns(pattern: str, path: str, fits: bool) -> None:
    place = Place(by_folder(1), by_pattern({"it": pattern}))
    assert place(file(path)) == (Placed("u", "it") if fits else Unplaced("no-spec", "u"))


@pytest.mark.parametrize("pattern", ["", "/", "a//b", "../x.png", "./x.png", "a/"])
def test_patterns_that_can_never_fit_are_refused(pattern: str) -> None:
    with pytest.raises(FindingError) as caught:
        by_pattern({"it": pattern})
    assert caught.value.code == "bad-pattern"


@settings(max_examples=300)
@given(st.text("ab*?[]!^-\\.(){}+|$#&~ 각", min_size=1, max_size=12))
def test_any_pattern_is_one_or_is_refused(pattern: str) -> None:
    try:
        mapping = by_pattern({"it": pattern})
    except FindingError:
        assert pattern in (".", "..")
        return
    for path in ("u/a", "u/b.a", "u/a/b"):
        mapping(file(path), path.removeprefix("u/"))


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12))
def test_a_pattern_of_an_escaped_name_fits_the_name(name: str) -> None:
    if name in (".", "..", "**"):
        return
    pattern = "".join(f"[{char}]" if char in "*?[" else char for char in name)
    assert by_pattern({"it": pattern})(file(f"u/{name}"), File(0, name, 1, 1).key) == "it"


def test_the_first_pattern_that_fits_decides() -> None:
    mapping = by_pattern({"mask_1": "*_mask.png", "image_1": "*.png"})
    assert mapping(file("u/a_mask.png"), "a_mask.png") == "mask_1"
    assert mapping(file("u/a.png"), "a.png") == "image_1"


# ---- one after the other


def test_the_second_is_asked_for_what_the_first_does_not_know() -> None:
    place = Place(by_folder(1), by_pattern({"mask_1": "mask/*"}) | by_extension({".png": "image_1"}))
    assert place(file("u/mask/a.png")) == Placed("u", "mask_1")
    assert place(file("u/a.png")) == Placed("u", "image_1")
    assert place(file("u/a.txt")) == Unplaced("no-spec", "u")
    assert place(file("a.png")) == Unplaced("belongs-to-nothing")


def test_functions_can_stand_in_a_chain() -> None:
    def odd(found: File, inside: str) -> str | None:
        return "label_1" if found.size == 1 and inside.startswith("x") else None

    first = odd | by_extension({".png": "image_1"})
    second = by_extension({".png": "image_1"}) | odd
    assert (first(file("u/x.png"), "x.png"), second(file("u/x.png"), "x.png")) == ("label_1", "image_1")
    assert second(file("u/x.json"), "x.json") == "label_1"


_TABLES = st.dictionaries(st.text(max_size=6), st.text(min_size=1, max_size=6), max_size=3)


@settings(max_examples=100)
@given(st.integers(1, 4), _TABLES, _TABLES)
def test_repr_is_the_source_that_makes_it(depth: int, extensions: dict[str, str], patterns: dict[str, str]) -> None:
    try:
        place = Place(by_folder(depth), by_pattern(patterns) | by_extension(extensions))
    except FindingError:
        return
    names = {"Place": Place, "by_folder": by_folder, "by_pattern": by_pattern, "by_extension": by_extension}
    again = eval(repr(place), {"__builtins__": {}}, names)
    assert again == place
    assert repr(again) == repr(place)
    assert repr(place).isprintable()


def test_repr_reads_like_a_person_wrote_it() -> None:
    place = Place(by_folder(1), by_pattern({"mask_1": "*_mask.png"}) | by_extension({"PNG": "image_1"}))
    assert repr(place) == (
        "Place(by_folder(1), by_pattern({'mask_1': '*_mask.png'}) | by_extension({'.png': 'image_1'}))"
    )


def test_only_our_own_objects_have_a_signature() -> None:
    ours = by_extension({".png": "image_1"})
    assert signature(Place(by_folder(1), ours)) == repr(Place(by_folder(1), ours))
    assert signature(Place(lambda found: ("u", found.path), ours)) == ""
    assert signature(Place(by_folder(1), lambda found, inside: "image_1")) == ""
    assert signature(Place(by_folder(1), ours | (lambda found, inside: "image_1"))) == ""
    assert signature(lambda found: None) == ""


# ---- answers of hand-written functions


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (("u", "image_1"), ("u", "image_1")),
        (Placed("u", "image_1"), ("u", "image_1")),
        (None, ("", "belongs-to-nothing")),
        (Unplaced(), ("", "belongs-to-nothing")),
        (Unplaced("belongs-to-nothing", "u"), ("", "belongs-to-nothing")),
        (Unplaced("no-spec"), ("", "no-spec")),
        (Unplaced("no-spec", "u"), ("u", "")),
        ((unicodedata.normalize("NFD", "각"), "image_1"), ("각", "image_1")),
    ],
)
def test_answers(answer: Any, expected: tuple[str, str]) -> None:
    assert settle(lambda found: answer, file("a.png"), SPECS) == expected


@pytest.mark.parametrize(
    "answer",
    [
        "u",
        42,
        ("u",),
        ("u", "image_1", "x"),
        ("u", None),
        ("u", "image_2"),
        ("", "image_1"),
        (None, "image_1"),
        (7, "image_1"),
        ("\udcff", "image_1"),
        Placed("", "image_1"),
        Placed("u", "nope"),
        Unplaced("because"),  # type: ignore[arg-type]
        ["u", "image_1"],
        ("u", ["image_1"]),
    ],
)
def test_answers_that_are_none_name_the_file(answer: Any) -> None:
    with pytest.raises(FindingError, match=r"odd\\nname\.png") as caught:
        settle(lambda found: answer, file("odd\nname.png"), SPECS)
    assert caught.value.code == "place-raised"
    assert caught.value.hint


def test_a_function_that_fails_is_named_with_its_file() -> None:
    def place(found: File) -> tuple[str, str]:
        raise KeyError("patient")

    with pytest.raises(FindingError, match=r"raised KeyError: 'patient', for the file 'a/b\.png'"):
        settle(place, file("a/b.png"), SPECS)
