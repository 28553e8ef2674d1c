"""A metadata table and the data units that there are: key columns, frozen rows, and what the job makes of them."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synapse_skills.errors import FindingError
from synapse_skills.metadata import Constants, from_table
from synapse_skills.plan import Limits, MetadataRule, SpecPlan
from synapse_skills.report import Problem
from synapse_skills.sources import Inventory, Source
from synapse_skills.units import (
    Described,
    FrozenRows,
    Place,
    Survey,
    Unit,
    by_extension,
    by_file,
    by_folder,
    by_stem,
    check_frozen,
    describe_for,
    freeze_rows,
    key_columns,
    survey,
)

SPECS = (
    SpecPlan(name="image_1", extensions=(".png",), takes=(".png",), is_required=True),
    SpecPlan(name="label_1", extensions=(".json",), takes=(".json",)),
)
KINDS = by_extension({".png": "image_1", ".json": "label_1"})
FOLDERS = Place(by_folder(1), KINDS)
DEEP = Place(by_folder(2), KINDS)
STEMS = Place(by_stem(), KINDS)


@dataclass(frozen=True)
class Row:
    number: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    name: str


class Table:
    """As much of a metadata table as is asked here; a header in row 1."""

    def __init__(self, columns: Sequence[str], *rows: Sequence[Any]) -> None:
        self.columns = [Column(name) for name in columns]
        self._rows = rows

    def rows(self) -> Iterator[Row]:
        for number, row in enumerate(self._rows, 2):
            yield Row(number, {c.name: v for c, v in zip(self.columns, row, strict=False) if v not in (None, "")})


@contextmanager
def placed(folder: Path, paths: Sequence[str], place: Any = FOLDERS) -> Iterator[tuple[Inventory, Survey]]:
    """An inventory of such files, placed."""
    (folder / "data").mkdir(exist_ok=True)
    for path in paths:
        target = folder / "data" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"x")
    with Inventory(folder / "inventory.sqlite") as inventory:
        sources = [Source(str(folder / "data"))]
        inventory.walk(sources)
        looked = survey(inventory, sources, place, SPECS, Limits(), guard=False)
        list(looked.units())
        yield inventory, looked


def frozen(folder: Path, paths: Sequence[str], table: Any, key: str = "key", **more: Any) -> tuple[FrozenRows, Any]:
    """The result and the rows."""
    place = more.pop("place", FOLDERS)
    with placed(folder, paths, place) as (inventory, _):
        result = freeze_rows(table, inventory, key, folder / "metadata.jsonl", **more)
        assert not [name for (name,) in inventory.rows("SELECT name FROM sqlite_temp_master")]
    lines = (folder / "metadata.jsonl").read_bytes().splitlines()
    return result, {row["unit"]: row["meta"] for row in map(json.loads, lines)}


def problem(result: FrozenRows, code: str) -> Problem:
    found = [each for each in result.problems.as_list() if each.code == code]
    assert found, result.problems.as_list()
    return found[0]


def codes(result: FrozenRows) -> list[str]:
    return sorted({each.code for each in result.problems.as_list()})


# ---- what is wrong with a table


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    table = Table(["Patient"], ["a"])
    for key, fields in (("patiennt", {}), ("Patient", {"Agee": "age"})):
        with placed(tmp_path, ["a/x.png"]) as (inventory, _), pytest.raises(FindingError) as caught:
            freeze_rows(table, inventory, key, tmp_path / "metadata.jsonl", fields=fields)  # type: ignore[arg-type]
        assert caught.value.code == "no-such-column"
    assert not (tmp_path / "metadata.jsonl").exists()


def test_two_columns_for_one_field(tmp_path: Path) -> None:
    table = Table(["key", "Age", "age"], ["a", 1, 2])
    with placed(tmp_path, ["a/x.png"]) as (inventory, _), pytest.raises(FindingError) as caught:
        freeze_rows(table, inventory, "key", tmp_path / "metadata.jsonl", fields={"Age": "age"})  # type: ignore[arg-type]
    assert caught.value.code == "metadata-field-twice"


def test_everything_that_can_be_wrong_with_rows_has_its_row_numbers(tmp_path: Path) -> None:
    table = Table(
        ["key", "age"],
        ["a", 1], ["b", 2], ["b", 3], ["c", 4], ["c", 4], ["zzz", 5], [None, 6], ["  ", 7], ["D", 8], ["b", 9],
    )  # fmt: skip
    result, rows = frozen(tmp_path, [f"{name}/x.png" for name in "abcde"], table)
    assert rows == {"a": {"age": 1}, "b": {"age": 2}, "c": {"age": 4}, "d": {"age": 8}}
    assert (result.rows, result.matched, result.units, result.without_row) == (10, 7, 5, 1)
    assert problem(result, "metadata-duplicate-key").severity == "error"
    assert problem(result, "metadata-duplicate-key").examples == ["b: row 3: age 2; row 4: age 3; row 11: age 9"]
    assert result.several[0].numbers == "rows 3, 4, 11" and result.used <= result.units - result.without_row
    assert problem(result, "metadata-repeated-row").severity == "warning"
    assert problem(result, "metadata-repeated-row").examples == ["c: rows 5, 6"]
    assert problem(result, "row-without-unit").examples == ["row 7: zzz"]
    assert problem(result, "metadata-empty-key").examples == ["row 8", "row 9"]
    assert problem(result, "unit-without-row").examples == ["e"]
    assert problem(result, "key-case").examples == ["row 10: D is d"]
    assert (result.columns, result.how) == (("age",), "folder name")


def test_rows_that_differ_can_give_nothing(tmp_path: Path) -> None:
    table = Table(["key", "age"], ["a", 1], ["a", 2], ["b", 1], ["b", 1])
    result, rows = frozen(tmp_path, ["a/x.png", "b/x.png"], table, duplicates="none")
    assert rows == {"b": {"age": 1}}
    assert "metadata-duplicate-key" in codes(result)


def test_a_name_of_several_data_units_is_never_chosen_between(tmp_path: Path) -> None:
    paths = ["seoul/001/x.png", "busan/001/x.png", "busan/002/x.png"]
    table = Table(["key", "age"], ["001", 1], ["002", 2], ["seoul/001", 3], ["BUSAN/001", 4])
    result, rows = frozen(tmp_path, paths, table, place=DEEP)
    assert rows == {"busan/001": {"age": 4}, "busan/002": {"age": 2}, "seoul/001": {"age": 3}}
    assert problem(result, "metadata-ambiguous-key").examples == ["row 2: 001 is busan/001 and seoul/001"]


def test_case_that_would_choose_between_two_is_no_match(tmp_path: Path) -> None:
    table = Table(["key", "age"], ["ABC", 1], ["abc", 2], ["Xyz", 3])
    result, rows = frozen(tmp_path, ["abc/x.png", "Abc/x.png", "XYZ/x.png"], table)
    assert rows == {"abc": {"age": 2}, "XYZ": {"age": 3}}
    assert problem(result, "metadata-ambiguous-key").examples == ["row 2: ABC is Abc and abc"]


def test_lost_zeros_match_only_one_and_are_said(tmp_path: Path) -> None:
    table = Table(["key", "age"], [1, 1], [2.0, 2], ["10", 10], ["007", 7], [0, 0], [5, 5])
    units = ["001", "002", "010", "7", "000", "05", "005"]
    result, rows = frozen(tmp_path, [f"{name}/x.png" for name in units], table)
    assert {key: meta["age"] for key, meta in rows.items()} == {"001": 1, "002": 2, "010": 10, "7": 7, "000": 0}
    assert problem(result, "key-zeros").count == 5
    assert problem(result, "key-zeros").examples[:2] == ["row 2: 1 is 001", "row 3: 2 is 002"]
    assert problem(result, "metadata-ambiguous-key").examples == ["row 7: 5 is 005 and 05"]


def test_an_exact_name_comes_before_one_with_zeros(tmp_path: Path) -> None:
    table = Table(["key", "age"], [1, "one"], ["001", "many"])
    result, rows = frozen(tmp_path, ["1/x.png", "001/x.png"], table)
    assert rows == {"1": {"age": "one"}, "001": {"age": "many"}}
    assert codes(result) == []


# ---- what a key may be


@pytest.mark.parametrize(
    ("place", "paths", "cells", "how"),
    [
        (FOLDERS, ["p 1/x.png", "p 2/x.png"], [" p 1 ", "p 2\t"], "folder name"),
        (DEEP, ["s/1/x.png", "s/2/x.png"], ["1", "2"], "folder name"),
        (DEEP, ["s/1/x.png", "t/1/x.png"], ["s/1", "t\\1"], "data unit"),
        (FOLDERS, ["a/scan_1.png", "b/scan_2.png"], ["scan_1", "scan_2"], "file stem"),
        (FOLDERS, ["a/scan_1.png", "b/scan_2.png"], ["scan_1.png", "SCAN_2.PNG"], "file name"),
        (FOLDERS, ["a/x.png", "b/x.png"], ["a/x.png", "./b\\x.png"], "path"),
        (STEMS, ["1.png", "2.png", "2.json"], ["1", "2"], "file stem"),
        (STEMS, ["1.png", "2.png", "2.json"], ["1.png", "2.json"], "file name"),
        (STEMS, ["a/1.png", "b/2.png"], ["1", "2"], "file stem"),
        (Place(by_file(), KINDS), ["a/1.png", "b/2.png"], ["1.png", "2.png"], "file name"),
        (Place(by_file(), KINDS), ["a/1.png", "b/2.png"], ["1", "2"], "file stem"),
        (FOLDERS, [unicodedata.normalize("NFD", "환자/x.png"), "각/x.png"], ["환자", "각"], "folder name"),
        (FOLDERS, ["환자/x.png"], [unicodedata.normalize("NFD", "환자")], "folder name"),
        (FOLDERS, ["'; DROP TABLE file; --/x.png", "%/x.png"], ["'; DROP TABLE file; --", "%"], "folder name"),
    ],
)
def test_what_a_key_may_be(tmp_path: Path, place: Any, paths: list[str], cells: list[str], how: str) -> None:
    table = Table(["n", "key"], *[[number, cell] for number, cell in enumerate(cells)])
    with placed(tmp_path, paths, place) as (inventory, looked):
        best = key_columns(table, inventory)[0]  # type: ignore[arg-type]
        assert (best.column, best.rows, best.matched, best.units, best.how) == (
            "key", len(cells), len(cells), len(cells), how,
        )  # fmt: skip
        result = freeze_rows(table, inventory, "key", tmp_path / "metadata.jsonl")  # type: ignore[arg-type]
        assert (result.matched, result.how, result.without_row) == (len(cells), how, 0)
        part = from_table("metadata.jsonl", folder=tmp_path)
        assert [part(unit) for unit in looked.units()].count({}) == 0


def test_absolute_paths_are_paths(tmp_path: Path) -> None:
    table = Table(["key", "age"], [f"{tmp_path.resolve()}/data/a/x.png", 1])
    result, rows = frozen(tmp_path, ["a/x.png", "b/x.png"], table)
    assert rows == {"a": {"age": 1}}
    assert result.how == "path"


def test_one_kind_of_name_holds_for_all_rows(tmp_path: Path) -> None:
    """A missing folder's row must not land on another unit that happens to hold a file with that name."""
    table = Table(["key", "age"], ["a", 1], ["b", 2], ["gone", 3])
    result, rows = frozen(tmp_path, ["a/gone.png", "b/x.png"], table)
    assert rows == {"a": {"age": 1}, "b": {"age": 2}}
    assert problem(result, "row-without-unit").examples == ["row 4: gone"]


def test_columns_are_ranked_by_all_rows(tmp_path: Path) -> None:
    names = [f"{number:03}" for number in range(1, 41)]
    rows = [[number, f"P{number}", names[number - 1] if number > 4 else "?", "x"] for number in range(1, 41)]
    table = Table(["no", "id", "name", "note"], *rows)
    with placed(tmp_path, [f"{name}/x.png" for name in names]) as (inventory, _):
        found = {column.column: column for column in key_columns(table, inventory)}  # type: ignore[arg-type]
    assert list(found) == ["no", "name", "id", "note"]
    assert (found["no"].units, found["no"].zeros, found["no"].examples[0]) == (40, True, "1 → 001")
    assert (found["name"].units, found["name"].matched, found["name"].rows, found["name"].zeros) == (36, 36, 40, False)
    assert (found["id"].matched, found["id"].how, found["id"].examples) == (0, "", ("P1", "P2", "P3"))


def test_a_column_that_names_exactly_is_better_than_one_that_lost_its_zeros(tmp_path: Path) -> None:
    table = Table(["no", "id"], *[[number, f"{number:03}"] for number in range(1, 11)])
    with placed(tmp_path, [f"{number:03}/x.png" for number in range(1, 11)]) as (inventory, _):
        assert [column.column for column in key_columns(table, inventory)] == ["id", "no"]  # type: ignore[arg-type]


def test_an_inventory_without_data_units_matches_nothing(tmp_path: Path) -> None:
    table = Table(["key"], ["a"])
    with placed(tmp_path, ["README"]) as (inventory, _):
        assert key_columns(table, inventory)[0].matched == 0  # type: ignore[arg-type]
        result = freeze_rows(table, inventory, "key", tmp_path / "metadata.jsonl")  # type: ignore[arg-type]
    assert (result.units, result.matched, result.sha256[:8]) == (0, 0, "e3b0c442")


def test_units_without_a_file_that_a_spec_takes_are_not_missed(tmp_path: Path) -> None:
    place = Place(by_folder(1), KINDS, sidecars="*.meta.json")
    paths = ["a/x.png", "notes/x.txt", "alone/x.meta.json"]
    result, rows = frozen(tmp_path, paths, Table(["key", "age"], ["a", 1], ["notes", 2]), place=place)
    assert (result.units, result.without_row, codes(result)) == (1, 0, [])
    assert rows["a"] == {"age": 1}


# ---- fields


def test_fields_are_renamed_and_dropped_and_the_key_is_one_only_if_named(tmp_path: Path) -> None:
    table = Table(["key", "Age", "secret", "sex"], ["a", 2**70, "x", "F"])
    result, rows = frozen(tmp_path, ["a/x.png"], table, fields={"Age": "age", "secret": None})
    assert (rows, result.columns) == ({"a": {"age": 2**70, "sex": "F"}}, ("age", "sex"))
    result, rows = frozen(tmp_path, ["a/x.png"], table, fields={"key": "patient", "Age": None, "secret": None})
    assert (rows, result.columns) == ({"a": {"patient": "a", "sex": "F"}}, ("patient", "sex"))


def test_the_same_table_gives_the_same_bytes_and_their_hash(tmp_path: Path) -> None:
    table = Table(["key", "age"], ["b", 1], ["a", 2.5], ["각", True])
    first, _ = frozen(tmp_path, ["a/x.png", "b/x.png", "각/x.png"], table)
    written = (tmp_path / "metadata.jsonl").read_bytes()
    second, _ = frozen(tmp_path, [], table)
    assert (tmp_path / "metadata.jsonl").read_bytes() == written
    assert first.sha256 == second.sha256
    rule = MetadataRule(kind="table", table="metadata.jsonl", sha256=first.sha256)
    check_frozen(rule, tmp_path / "metadata.jsonl")
    (tmp_path / "metadata.jsonl").write_bytes(written.replace(b"2.5", b"2.6"))
    with pytest.raises(FindingError) as caught:
        check_frozen(rule, tmp_path / "metadata.jsonl")
    assert caught.value.code == "metadata-changed"


def test_a_failure_half_way_leaves_the_old_rows_and_no_temporary_table(tmp_path: Path) -> None:
    frozen(tmp_path, ["a/x.png"], Table(["key", "age"], ["a", 1]))
    before = (tmp_path / "metadata.jsonl").read_bytes()

    class Breaks(Table):
        def rows(self) -> Iterator[Row]:
            yield Row(2, {"key": "a", "age": 2})
            raise KeyboardInterrupt

    with placed(tmp_path, []) as (inventory, _):
        with pytest.raises(KeyboardInterrupt):
            freeze_rows(Breaks(["key", "age"]), inventory, "key", tmp_path / "metadata.jsonl")  # type: ignore[arg-type]
        assert inventory.rows("SELECT name FROM sqlite_temp_master") == []
    assert (tmp_path / "metadata.jsonl").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} >= {"metadata.jsonl"}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".metadata")]


NAMES = st.text("aAbB01각 '", min_size=1, max_size=4).filter(lambda name: name.strip() == name and name not in ".")


@settings(max_examples=25, deadline=None)
@given(
    units=st.sets(NAMES, min_size=1, max_size=12),
    rows=st.lists(st.tuples(NAMES, st.integers() | st.text(max_size=3) | st.booleans()), max_size=20),
)
def test_the_join_of_the_job_is_that_of_a_dict(
    tmp_path_factory: pytest.TempPathFactory, units: set[str], rows: list[tuple[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("join")
    table = Table(["key", "value"], *rows)
    # By hand: exact first, then the only one that differs by case, then the only one that differs by leading zeros.
    naive: dict[str, dict[str, Any]] = {}
    for name, value in rows:
        similar = [unit for unit in units if unit.casefold() == name.casefold()]
        if not similar and name.isdecimal():
            digits = [unit for unit in units if unit.isdecimal()]
            similar = [unit for unit in digits if (unit.lstrip("0") or "0") == (name.lstrip("0") or "0")]
        found = [name] if name in units else similar
        if len(found) == 1:
            naive.setdefault(found[0], {} if value == "" else {"value": value})
    result, frozen_rows = frozen(folder, [f"{unit}/!.png" for unit in units], table)
    assert frozen_rows == naive
    assert result.without_row == len(units - naive.keys())
    with placed(folder, []) as (_, looked):
        described = Described(describe_for([MetadataRule(kind="table", table="metadata.jsonl")], folder=folder), None)
        for _ in range(2):
            for unit in looked.units():
                meta, faults = described.meta_of(unit)
                assert faults == []
                assert meta == {"name": unit.key, "dataset_key": unit.key} | naive.get(unit.key, {})


# ---- describing


SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


def described_by(describe: Callable[[Any], Any] | None, unit: Unit) -> tuple[Any, list[tuple[str, str]]]:
    meta, faults = Described(describe, SCHEMA).meta_of(unit)
    return meta, [(fault.rule, str(fault)) for fault in faults]


def test_a_hand_written_description_is_coerced_and_checked(tmp_path: Path) -> None:
    unit = Unit("u")
    assert described_by(lambda unit: {"age": "45"}, unit) == ({"name": "u", "dataset_key": "u", "age": 45}, [])
    assert described_by(lambda unit: {"age": "old"}, unit)[1][0][0] == "type"
    assert described_by(lambda unit: [1], unit) == (None, [("describe", "describe gave list, not a dict")])
    assert described_by(lambda unit: 1 // 0, unit)[1][0][1].startswith("describe failed: ZeroDivisionError")
    assert described_by(None, unit)[1][0][0] == "required"


def test_a_damaged_table_ends_the_run_and_a_damaged_sidecar_its_unit(tmp_path: Path) -> None:
    place = Place(by_folder(1), KINDS, sidecars="*.meta.json")
    rules = [MetadataRule(kind="table", table="metadata.jsonl"), MetadataRule(kind="sidecars", pattern="*.meta.json")]
    with placed(tmp_path, ["a/x.png", "a/x.meta.json"], place) as (_, looked):
        [unit] = looked.units()
        described = Described(describe_for(rules, folder=tmp_path), None)
        with pytest.raises(FindingError) as caught:
            described.meta_of(unit)
        assert caught.value.code == "no-metadata-table"
        (tmp_path / "metadata.jsonl").write_text("")
        meta, faults = described.meta_of(unit)
    assert meta is None
    assert [(fault.rule, fault.summary) for fault in faults] == [("bad-sidecar", "sidecar is not JSON")]
    assert "a/x.meta.json" in str(faults[0])


def test_conflicts_are_counted_by_field_and_not_where_the_schema_sees_the_same(tmp_path: Path) -> None:
    place = Place(by_folder(1), KINDS, sidecars="*.meta.json")
    paths = [f"{number}/{name}" for number in range(5) for name in ("x.png", "x.meta.json")]
    table = Table(["key", "age", "site"], *[[str(number), f"{number}.0", "a"] for number in range(5)])
    frozen(tmp_path, paths, table, place=place)
    for number in range(5):
        (tmp_path / f"data/{number}/x.meta.json").write_text(json.dumps({"age": number, "site": "b"}))
    rules = [MetadataRule(kind="table", table="metadata.jsonl"), MetadataRule(kind="sidecars", pattern="*.meta.json")]
    described = Described(describe_for(rules, folder=tmp_path), SCHEMA)
    with placed(tmp_path, [], place) as (_, looked):
        for unit in looked.units():
            assert described.meta_of(unit)[1] == []
        assert described.where(unit) == "4 (row 6)"
    [conflict] = described.conflicts()
    assert (conflict.code, conflict.severity, conflict.count) == ("metadata-conflict", "warning", 5)
    assert conflict.examples[0] == '0: site is "a" (row 2) and "b" (0/x.meta.json); "b" is taken'
    assert len(conflict.examples) == 3
    described.forget()
    assert described.conflicts() == []


def test_more_sidecars_than_are_read_are_a_finding(tmp_path: Path) -> None:
    place = Place(by_folder(1), KINDS, sidecars="*.meta.json")
    with placed(tmp_path, ["a/x.png", *(f"a/{n}.meta.json" for n in range(11))], place) as (_, looked):
        [unit] = looked.units()
    assert unit.codes == ("too-many-sidecars",)
    with placed(tmp_path / "data", ["b/x.png", *(f"b/{n}.meta.json" for n in range(10))], place) as (_, looked):
        assert [(unit.codes, len(unit.sidecars)) for unit in looked.units()] == [((), 10)]


def test_a_plan_without_metadata_describes_nothing() -> None:
    assert describe_for([]) is None
    assert describe_for([MetadataRule(values={"a": 1})]) == Constants({"a": 1})
    assert describe_for([MetadataRule(kind="constants", values={})]) is None


@pytest.mark.heavy
def test_many_rows_and_data_units_take_no_memory(tmp_path: Path) -> None:
    """200,000 of each, made in the inventory itself: files on disk are not what is looked at."""
    import resource

    count = 200_000

    class Long(Table):
        def rows(self) -> Iterator[Row]:
            for number in range(count):
                key = (number * 7_919) % count
                yield Row(number + 2, {"site": "seoul", "key": f"patient_{key:07}", "age": key % 90})

    with placed(tmp_path, ["x/x.png"]) as (inventory, _):
        files = (
            (f"patient_{number:07}/{name}", f"patient_{number:07}", spec)
            for number in range(count)
            for name, spec in (("a.png", "image_1"), ("a.json", "label_1"))
        )
        with inventory.transaction() as connection:
            connection.execute("DELETE FROM file")
            connection.executemany(
                "INSERT INTO file (source, path, size, mtime_ns, generation, unit, spec) VALUES (0, ?, 1, 1, 1, ?, ?)",
                files,
            )
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        table: Any = Long(["site", "key", "age"])
        assert key_columns(table, inventory)[0].units == count
        result = freeze_rows(table, inventory, "key", tmp_path / "metadata.jsonl")
        assert (result.matched, result.without_row) == (count, 0)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60 * 1024
