"""by_stem, by_regex, by_source and by_table: what they answer, what they refuse, and that repr() makes them again."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synapse_skills.errors import FindingError
from synapse_skills.plan import GroupingPlan, SourcePlan, SpecPlan
from synapse_skills.sources import File, Inventory, Source
from synapse_skills.units import (
    Place,
    Placed,
    Unplaced,
    by_extension,
    by_folder,
    by_pattern,
    by_regex,
    by_source,
    by_stem,
    by_table,
    extension_of,
    glob_escape,
    place_for,
    stem_of,
    write_table,
)
from synapse_skills.units.checks import takes
from synapse_skills.units.place import signature
from synapse_skills.units.placing import place_all

NAMES = {
    "Place": Place,
    "by_stem": by_stem,
    "by_regex": by_regex,
    "by_source": by_source,
    "by_extension": by_extension,
    "by_table": by_table,
}


def file(path: str, source: int = 0) -> File:
    return File(source, path, 1, 1)


# ---- names


@pytest.mark.parametrize(
    ("name", "extension", "stem"),
    [
        ("001.png", ".png", "001"),
        ("001.PNG", ".png", "001"),
        ("brain.nii.gz", ".nii.gz", "brain"),
        ("brain.NII.GZ", ".nii.gz", "brain"),
        ("log.gz", ".gz", "log"),
        ("scan.v2.gz", ".gz", "scan.v2"),
        ("slide.ome.tif", ".ome.tif", "slide"),
        ("001.seg.nrrd", ".seg.nrrd", "001"),
        (".nii.gz", ".gz", ".nii"),
        ("1.2.840.10008.1", "", "1.2.840.10008.1"),
        ("IM0001", "", "IM0001"),
        ("a.001.png", ".png", "a.001"),
        ("ends.", "", "ends."),
        ("photo.tar.v1.2.jpg", ".jpg", "photo.tar.v1.2"),
        ("x.İİ", ".i̇i̇", "x"),
    ],
)
def test_extension_and_stem(name: str, extension: str, stem: str) -> None:
    assert (extension_of(name, (".seg.nrrd",)), stem_of(name, (".seg.nrrd",))) == (extension, stem)


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1))
def test_a_stem_is_the_beginning_of_a_name_and_never_nothing(name: str) -> None:
    stem = stem_of(name)
    assert stem and name.startswith(stem)
    assert (stem == name) == (extension_of(name) == "")


# ---- by stem


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("001.png", "001"),
        ("images/001.png", "001"),
        ("Labels/001.json", "001"),
        ("images/train2017/001.jpg", "train2017/001"),
        ("a/img/x.png", "a/x"),
        ("a/images/b/x.png", "a/b/x"),
        ("images2/x.png", "images2/x"),
        ("masks/001_MASK.png", "001"),
        ("001_gt_mask.png", "001"),
        ("_mask.png", "_mask"),
        ("x_mask_mask.png", "x_mask"),
        ("brain_mask.nii.gz", "brain"),
        ("1.2.3", "1.2.3"),
        (unicodedata.normalize("NFD", "각/환자_마스크.png"), "환자"),
    ],
)
def test_by_stem(path: str, key: str) -> None:
    grouping = by_stem(
        ignore=("images", "LABELS", "img", "masks", unicodedata.normalize("NFD", "각")),
        endings=("_mask", "_gt_mask", unicodedata.normalize("NFD", "_마스크")),
    )
    found = grouping(file(path))
    assert found == (key, unicodedata.normalize("NFC", path))


def test_equal_stems_in_different_folders_are_different_units() -> None:
    plain = by_stem()
    assert plain(file("cam_a/1.png")) != plain(file("cam_b/1.png"))
    assert plain(file("1.png", 0)) == plain(file("1.png", 1))


def test_a_leading_slash_ties_a_pattern_to_the_source() -> None:
    place = Place(by_stem(ignore=("images",)), by_pattern({"image_1": "/images/*.png"}))
    assert place(file("images/1.png")) == Placed("1", "image_1")
    assert place(file("deep/images/1.png")) == Unplaced("no-spec")


@pytest.mark.parametrize("wrong", [{"ignore": ("a/b",)}, {"endings": ("",)}, {"ignore": (1,)}, {"endings": ("/x",)}])
def test_wrong_names_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(FindingError) as caught:
        by_stem(**wrong)
    assert caught.value.code == "bad-grouping"


def test_a_file_that_no_specification_takes_makes_no_unit_of_its_own() -> None:
    place = Place(by_stem(), by_extension({".png": "image_1"}))
    assert place(file("README.md")) == Unplaced("no-spec")


# ---- by regular expression


@pytest.mark.parametrize(
    ("regex", "template", "path", "key"),
    [
        ("(.+?)/(?:img|json)/", "{group_key}", "patient_001/img/scan.png", "patient_001"),
        ("(.+?)/(?:img|json)/", "{group_key}", "a/patient_001/json/scan.json", "a/patient_001"),
        ("(.+?)/(?:img|json)/", "{group_key}", "README.md", None),
        (r"\d+", "{group_key}", "scan_0042_left.png", "0042"),
        (r"(?P<group_key>\d+)_(\w+)", "case {group_key}", "x/0042_left.png", "case 0042"),
        (r"(?P<site>[^/]+)/(?P<id>\d+)", "{site}-{id}", "seoul/7.png", "seoul-7"),
        (r"(?P<site>[^/]+)/(?P<id>\d+)", "{{{id}}}", "seoul/7.png", "{7}"),
        (r"(a)?b", "{group_key}", "b.png", None),
        (r"(.*/)", "{group_key}", "a/b/c.png", "a/b"),
        (r"^(/*)", "{group_key}", "c.png", None),
        (r"(\.\.)", "{group_key}", "c..png", None),
        (unicodedata.normalize("NFD", "(각)"), "{group_key}", unicodedata.normalize("NFD", "각.png"), "각"),
    ],
)
def test_by_regex(regex: str, template: str, path: str, key: str | None) -> None:
    found = by_regex(regex, template)(file(path))
    assert found == (None if key is None else (key, unicodedata.normalize("NFC", path)))


@pytest.mark.parametrize("regex", ["", "(", "(?P<a>x", "a" * 1001, "*", r"(?P<1>x)", None, 7])
def test_what_is_no_regular_expression_is_refused(regex: Any) -> None:
    with pytest.raises(FindingError) as caught:
        by_regex(regex)
    assert caught.value.code == "bad-regex" and caught.value.hint


@pytest.mark.parametrize(
    "template", ["{", "{}", "{nope}", "{group_key.__class__}", "{group_key!r}", "{group_key:>9}", "same", "{0}", ""]
)
def test_a_template_reaches_nothing_but_what_was_found(template: str) -> None:
    with pytest.raises(FindingError) as caught:
        by_regex("(x)", template)
    assert caught.value.code == "bad-template"


# ---- by source


def test_by_source() -> None:
    place = Place(by_stem(), by_source({0: "image_1", 2: "mask_1"}, takes={"image_1": ("PNG", ".nii.gz")}))
    assert place(file("1.png", 0)) == place(file("1.nii.gz", 0)) == Placed("1", "image_1")
    assert place(file("README.txt", 0)) == Unplaced("no-spec")
    assert place(file("1.png", 1)) == Unplaced("no-spec")
    assert place(file("1.anything", 2)) == Placed("1", "mask_1")
    both = Place(by_stem(), by_source({0: "image_1"}) | by_extension({".json": "label_1"}))
    assert (both(file("1.json", 0)), both(file("1.json", 1))) == (Placed("1", "image_1"), Placed("1", "label_1"))


@pytest.mark.parametrize("table", [{"0": "a"}, {-1: "a"}, {True: "a"}, {0: ""}, {0: 1}])
def test_what_is_no_table_of_sources_is_refused(table: Any) -> None:
    with pytest.raises(FindingError) as caught:
        by_source(table)
    assert caught.value.code == "bad-mapping"


def test_digits_are_no_extension() -> None:
    mapping = by_extension({"": "scan_1", ".2": "odd"})
    assert mapping(file("1.2.840.1"), "1.2.840.1") == mapping(file("IM1"), "IM1") == "scan_1"
    assert mapping(file("a.2"), "a.2") == "odd"
    assert by_extension({".png": "x"})(file("1.2"), "1.2") is None


def test_a_spec_for_files_without_extension_takes_names_of_digits() -> None:
    spec = SpecPlan(name="scan_1", extensions=(".dcm", ""))
    assert [name for name in ("IM1", "1.2.840.1", "a.dcm", "a.png") if takes(spec, file(name))] == [
        "IM1",
        "1.2.840.1",
        "a.dcm",
    ]


# ---- all of them


WORD = st.text("ab_./éA1 '\"\\", min_size=1, max_size=5)


@settings(max_examples=100)
@given(st.lists(WORD, max_size=3), st.lists(WORD, max_size=3), st.dictionaries(st.integers(0, 3), WORD, max_size=3))
def test_repr_is_the_source_that_makes_it(ignore: list[str], endings: list[str], table: dict[int, str]) -> None:
    try:
        place = Place(by_stem(ignore, endings), by_source(table, {"x": ("png",)}) | by_extension({".a": "b"}))
    except FindingError:
        return
    again = eval(repr(place), {"__builtins__": {}}, NAMES)
    assert again == place and repr(again) == repr(place) == signature(place)


def test_the_source_of_a_regex_and_a_table() -> None:
    assert repr(by_regex(r"(\d+)/")) == r"by_regex('(\\d+)/')"
    assert repr(by_regex("(?P<a>x)", "{a}")) == "by_regex('(?P<a>x)', template='{a}')"
    assert repr(by_table("placement.jsonl")) == "by_table('placement.jsonl')"
    assert eval(repr(by_regex("(?P<a>x)", "{a}")), NAMES) == by_regex("(?P<a>x)", "{a}")


# ---- the placement table


def rows(path: Path, *entries: tuple[int, str, str, str]) -> Path:
    write_table(path, sorted(entries))
    return path


def test_a_table_answers_in_any_order(tmp_path: Path) -> None:
    entries = [(s, f"{n:05}.png", f"u{n}", "image_1") for s in (0, 1) for n in range(0, 1000, 2)]
    place = by_table(str(rows(tmp_path / "t.jsonl", *entries)))
    known = {(source, path): Placed(unit, spec) for source, path, unit, spec in entries}
    asked = [(s, f"{n:05}.png") for s in (0, 1, 2) for n in range(1002)]
    for order in (asked, asked[::-1], asked[::7] * 2, asked[500:] + asked[:500]):
        for source, path in order:
            expected = known.get((source, path), Unplaced("belongs-to-nothing"))
            assert place(file(path, source)) == expected, (source, path)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text("abé😀", min_size=1, max_size=4), st.sampled_from("xy"), max_size=12), st.data())
def test_a_table_of_any_names(tmp_path_factory: pytest.TempPathFactory, units: dict[str, str], data: Any) -> None:
    path = tmp_path_factory.mktemp("table") / "t.jsonl"
    place = by_table(str(rows(path, *((0, name, unit, "image_1") for name, unit in units.items()))))
    for name in data.draw(st.lists(st.sampled_from([*units, "a", "zz", ""]), max_size=20)):
        expected = Placed(units[name], "image_1") if name in units else Unplaced("belongs-to-nothing")
        assert place(file(name)) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}\n", "row 1 is not"),
        ('{"source": 0, "path": "a", "unit": "u", "spec": "s"}\nnonsense\n', "row 2 is not"),
        ('{"source": "0", "path": "a", "unit": "u", "spec": "s"}\n', "row 1 needs"),
        ('{"source": 0, "path": "a", "unit": "", "spec": "s"}\n', "row 1 needs"),
        (
            "".join(f'{{"source": 0, "path": "{name}", "unit": "u", "spec": "s"}}\n' for name in "ba"),
            "row 2 is not sorted",
        ),
        ("\n", "row 1 is empty"),
    ],
)
def test_a_damaged_table_names_the_row(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "t.jsonl").write_text(text)
    with pytest.raises(FindingError, match=said) as caught:
        by_table(str(tmp_path / "t.jsonl"))(file("z"))
    assert caught.value.code == "bad-placement"


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FindingError) as caught:
        by_table("t.jsonl", folder=tmp_path)(file("z"))
    assert caught.value.code == "no-placement"


def test_writing_refuses_what_is_not_sorted_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not come after"):
        write_table(tmp_path / "t.jsonl", [(0, "b", "u", "s"), (0, "a", "u", "s")])
    assert list(tmp_path.iterdir()) == []


def test_another_table_places_again(tmp_path: Path, inventory: Inventory) -> None:
    (tmp_path / "data").mkdir()
    for name in "abc":
        (tmp_path / "data" / name).touch()
    inventory.walk([Source(str(tmp_path / "data"))])
    place = by_table("t.jsonl", folder=tmp_path)
    for spec in ("image_1", "label_1"):
        rows(tmp_path / "t.jsonl", (0, "a", "u", spec), (0, "c", "u", spec))
        place = by_table("t.jsonl", folder=tmp_path)
        place_all(inventory, place, frozenset({"image_1", "label_1"}))
        found = inventory.rows("SELECT path, unit, spec FROM file ORDER BY path")
        assert found == [("a", "u", spec), ("b", "", "belongs-to-nothing"), ("c", "u", spec)]


# ---- of a plan


SPECS = (
    SpecPlan(name="image_1", extensions=(".png",), takes=(".png",), is_primary=True),
    SpecPlan(name="mask_1", extensions=("png",)),
    SpecPlan(name="label_1", extensions=(".json",), takes=(".json",)),
)


def test_place_for_a_plan() -> None:
    stem = GroupingPlan(by="stem", ignore=("images",))
    assert repr(place_for(stem, SPECS)) == (
        "Place(by_stem(ignore=('images',)), by_extension({'.png': 'image_1', '.json': 'label_1'}))"
    )
    sources = (SourcePlan(path="/a", spec="image_1"), SourcePlan(path="/b", spec="mask_1"))
    assert repr(place_for(stem, SPECS, sources)) == (
        "Place(by_stem(ignore=('images',)), by_source({0: 'image_1', 1: 'mask_1'}, "
        "takes={'image_1': ('.png',), 'mask_1': ('.png',)}))"
    )
    assert "| by_extension" in repr(place_for(stem, SPECS, (*sources[:1], SourcePlan(path="/c"))))
    regex = GroupingPlan(by="pattern", regex="(x)")
    assert repr(place_for(regex, SPECS)).startswith("Place(by_regex('(x)'), ")
    assert repr(place_for(GroupingPlan(by="table", table="t.jsonl"), SPECS)) == "by_table('t.jsonl')"


@pytest.mark.parametrize(
    "fields",
    [
        {"by": "folder", "ignore": ["images"]},
        {"by": "stem", "depth": 2},
        {"by": "stem", "regex": "x"},
        {"by": "pattern"},
        {"by": "pattern", "regex": ""},
        {"by": "folder", "template": "{x}"},
        {"by": "table"},
        {"by": "table", "table": "../t.jsonl"},
        {"by": "table", "table": "left_out.jsonl"},
        {"by": "table", "table": "upload.py"},
        {"by": "stem", "table": "t.jsonl"},
    ],
)
def test_fields_that_do_not_belong_together_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"belong|needs"):
        GroupingPlan.model_validate_json(json.dumps(fields))


# ---- several patterns for one specification


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("mask/*.png | mask/*.jpg", ["u/mask/1.png", "u/mask/1.JPG"]),
        ("/a.png | b.png", ["u/a.png", "u/b.png", "u/deep/b.png"]),
        ("a [|] b.png", ["u/a | b.png"]),
        ("a | ", ["u/a | "]),
    ],
)
def test_either_of_several_patterns(pattern: str, fits: list[str]) -> None:
    place = Place(by_folder(1), by_pattern({"mask_1": pattern}))
    paths = [
        "u/mask/1.png",
        "u/mask/1.JPG",
        "u/a.png",
        "u/b.png",
        "u/deep/a.png",
        "u/deep/b.png",
        "u/a | b.png",
        "u/a | ",
    ]
    assert [path for path in paths if place(file(path)) == Placed("u", "mask_1")] == fits


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12))
def test_an_escaped_name_fits_only_itself(name: str) -> None:
    if name in (".", "..", "**"):
        return
    mapping = by_pattern({"it": glob_escape(f"{name} | {name}")})
    assert mapping(file(f"u/{name} | {name}"), file(f"{name} | {name}").key) == "it"
    assert mapping(file(f"u/{name}"), file(name).key) is None
