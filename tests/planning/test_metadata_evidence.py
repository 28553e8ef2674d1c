"""What names say about metadata: tables, sidecars, parts of names; which column goes with which field."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from synapse_skills.errors import FindingError
from synapse_skills.metadata import Field
from synapse_skills.planning.metadata_cover import label_of, matching
from synapse_skills.planning.metadata_evidence import (
    found_tables,
    named_sidecars,
    other_shapes,
    proposals,
    resolve_table,
    skeleton,
)
from synapse_skills.sources import File, Source


def files(*paths: str) -> list[File]:
    return [File(0, path, 1, 0) for path in paths]


NONE_TAKEN: frozenset[str] = frozenset()
JSON = frozenset({".json"})


@pytest.mark.parametrize(
    ("paths", "taken", "wanted", "patterns"),
    [
        (("p1/meta.json", "p2/META.JSON"), NONE_TAKEN, False, ["meta.json"]),
        (("001.meta.json", "001.png"), NONE_TAKEN, False, ["*.meta.json"]),
        (("001_info.yaml",), NONE_TAKEN, False, ["*_info.yaml"]),
        (("meta/001.json",), NONE_TAKEN, False, ["meta/*.json"]),
        (("metadata.json",), NONE_TAKEN, True, []),  # of the source's own folder: a table
        (("p1/label.json", "p1/scan.txt", "p1/metal.json"), NONE_TAKEN, True, []),
        (("p1/meta.json",), JSON, True, []),  # the only file that its specification could have
        (("p1/meta.json", "p1/a.json"), JSON, True, ["meta.json"]),
        (("p1/meta.json", "p1/a.json"), JSON, False, []),
    ],
)
def test_sidecars_by_name(paths: tuple[str, ...], taken: frozenset[str], wanted: bool, patterns: list[str]) -> None:
    assert [shape.pattern for shape in named_sidecars(files(*paths), taken, wanted=wanted)] == patterns


def test_other_files_are_globs_that_match_only_them() -> None:
    shapes = other_shapes(files("p1/a[1].json", "p2/a[1].json", "p1/x.png"), NONE_TAKEN)
    assert [(pattern, count) for pattern, _, count in shapes] == [("a[[]1].json", 2), ("*.json", 2)]
    assert other_shapes(files("p1/a.json", "p2/a.json"), JSON) == []


def test_parts_of_names() -> None:
    keys = [f"seoul-{n:03}_2024010{n}" for n in range(1, 4)] + ["busan-001_20240109"]
    found = skeleton(keys)
    assert found is not None
    assert [part.number for part in found.parts] == [1, 2, 3]
    site, day = Field("site", ("string",), required=True), Field("day", ("string",), required=True, format="date")
    ways = list(proposals(found, [site, day]))
    match = re.search(found.regex(ways[0]), "busan-001_20240109")
    assert match is not None and match.groupdict() == {"site": "busan", "day": "20240109"}


@pytest.mark.parametrize("keys", [[], ["a"], ["a_1", "b"], ["scan1", "scan2"], ["a_1", "a_1"]])
def test_names_without_a_form_propose_nothing(keys: list[str]) -> None:
    assert skeleton(keys) is None


def test_a_part_that_can_not_be_the_field_is_not_proposed() -> None:
    found = skeleton(["a_x", "b_y"])
    assert found is not None
    assert list(proposals(found, [Field("age", ("integer",), required=True)])) == []
    assert list(proposals(found, [Field("sex", ("string",), enum=("M", "F"))])) == []
    assert list(proposals(found, [Field("not a name", ("string",))])) == []


def test_columns_go_with_fields_by_name_title_and_description() -> None:
    fields = [
        Field("patient_age"),
        Field("sex", title="성별"),
        Field("diagnosis", description="진단 (the doctor's)"),
        Field("site"),
    ]
    found = matching(fields, ["Patient Age", "성별", "진단", "Site", "site"])
    assert {field: name for field, (name, _) in found.items()} == {
        "patient_age": "Patient Age",
        "sex": "성별",
        "diagnosis": "진단",
        "site": "site",
    }
    assert matching([Field("age")], ["AGE", "Age"]) == {}, "two are like it: nobody guesses"
    assert matching([Field("age")], ["age"], taken=["age"]) == {}


def test_where_a_table_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "src"
    (source / "deep").mkdir(parents=True)
    for path in (source / "meta.csv", tmp_path / "meta.csv", tmp_path / "other.csv", source / "deep/metadata.xlsx"):
        path.write_bytes(b"a\n1\n")
    monkeypatch.chdir(tmp_path)
    sources = [Source(str(source))]
    assert resolve_table("meta.csv", sources) == (source / "meta.csv", True)
    assert resolve_table("other.csv", sources) == (tmp_path / "other.csv", False)
    assert resolve_table(str(tmp_path / "other.csv"), sources) == (tmp_path / "other.csv", False)
    for name, code in (("none.csv", "no-table"), ("storage:x.csv", "table-in-storage"), ("/no/such.csv", "no-table")):
        with pytest.raises(FindingError) as caught:
            resolve_table(name, sources)
        assert caught.value.code == code
    (tmp_path / "outside.xlsx").write_bytes(b"x")
    (source / "METADATA.XLSX").symlink_to(tmp_path / "outside.xlsx")
    assert found_tables(sources) == [source / "meta.csv"], "not below the source's folder, not behind a link out of it"


@pytest.mark.parametrize("name", ["Other", "a b c d e f g", "x" * 200, "나이"])
def test_labels_are_short(name: str) -> None:
    label = label_of(name)
    assert label.casefold() != "other" and len(label.split()) <= 5 and len(label) <= 60
