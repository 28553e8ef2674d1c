"""CSV, TSV and JSON: encodings, delimiters, broken rows; text stays text."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from synapse_skills.errors import FindingError
from synapse_skills.metadata import is_table, read_table

ROWS = [{"id": "007", "나이": "45", "note": "a,b"}, {"id": "12345678901234567890", "note": "두\n줄"}]
CSV = '\nid,나이,note\n007,45,"a,b"\n\n12345678901234567890,,"두\n줄"\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_in_many_encodings_and_delimiters_stays_text(tmp_path: Path, encoding: str, delimiter: str) -> None:
    path = tmp_path / "t.csv"
    text = CSV.replace(",", delimiter).replace(f"a{delimiter}b", "a,b")
    path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    table = read_table(path)
    assert [dict(row.values) for row in table.rows()] == [ROWS[0], ROWS[1] | {"note": "두\r\n줄"}]
    assert [row.number for row in table.rows()] == [3, 5]  # as an editor counts
    assert (table.header_row, table.row_count) == (2, 2)
    assert [(column.letter, column.kinds, column.empty) for column in table.columns] == [
        ("A", {"text": 2}, 0), ("B", {"text": 1}, 1), ("C", {"text": 2}, 0),
    ]  # fmt: skip


def test_surplus_cells_are_told_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,note\n1,a\n2,b,c\n3,d,\n4,e,f,g\n")
    table = read_table(path)
    assert [(p.code, p.count, p.examples) for p in table.problems.as_list()] == [("table-wide", 2, ["rows 3 and 5"])]
    assert [row.values for row in table.rows()][1] == {"id": "2", "note": "b"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", b"", "is empty"),
        ("t.csv", b"\n \n", "is empty"),
        ("t.csv", b'id,note\n1,"never ends\n2,b\n', "is no row"),
        ("t.csv", b"id,note\n1," + b"x" * (1 << 21), "is no row"),
        ("t.csv", b"1,2\n3,4\n", "no row with the names"),
        ("t.csv", b"id\n\xff\xff\xff", "neither UTF-8"),
        ("t.csv", b"id,\0\n", "zero bytes"),
        ("t.csv", ",".join(f"c{n}" for n in range(1_000_000)).encode(), "columns, more than"),
        ("t.csv", b"<!DOCTYPE html><table>", "web page"),
        ("t.xlsx", b"id,note\n1,a\n", "is no workbook"),
        ("t.json", b"[1, 2]", "is not a JSON object"),
        ("t.json", b"7", "neither a list"),
        ("t.json", b'{"a": {"x": 1}, "b": 2}', "is not a JSON object"),
        ("t.json", b'{"a": {"x": 1}, "a": {"x": 2}}', "has a twice"),
        ("t.json", b'[{"x": NaN}]', "NaN is no JSON"),
        ("t.json", b'[{"x": 1e999}]', "too large"),
        ("t.json", b"[" * 100_000, "nested too deeply"),
        ("t.json", b'[{"x": ' + b"9" * 5000 + b"}]", "is not JSON"),
        ("t.json", b"[]", "no object"),
        ("t.jsonl", b'{"x": 1}\n{"x":\n', "line 2 is not JSON"),
        ("t.jsonl", b'{"x": 1}\n[1]\n', "row 2 is not a JSON object"),
    ],
)
def test_what_is_no_table(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FindingError, match=said) as caught:
        list(read_table(tmp_path / name).rows())
    assert caught.value.code == "bad-table" and caught.value.hint and len(str(caught.value)) < 400


OBJECTS: list[dict[str, Any]] = [
    {"name": "P1", "age": 45, "weight": 70.0, "ok": True, "tags": ["a", 1], "none": None},
    {"name": "P2", "age": 10**30, "address": {"city": "서울"}},
]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.json", json.dumps(OBJECTS, ensure_ascii=False)),
        ("t.json", json.dumps({row["name"]: {k: v for k, v in row.items() if k != "name"} for row in OBJECTS})),
        ("t.jsonl", "\n".join(map(json.dumps, OBJECTS))),
        ("t.json", "\n".join(map(json.dumps, OBJECTS))),
    ],
)
def test_json_keeps_its_own_types(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    table = read_table(tmp_path / name)
    rows = list(table.rows())
    wanted = [{key: value for key, value in row.items() if value is not None} for row in OBJECTS]
    assert [dict(row.values) for row in rows] == wanted and [row.number for row in rows] == [1, 2]
    assert type(rows[0].values["weight"]) is float
    assert table.columns[0].letter == "" and table.header_row == 0


def test_a_key_twice_in_one_object_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"x": 1}\n{"x": 1, "x": 2}\n')
    told = read_table(tmp_path / "t.jsonl").problems.as_list()
    assert [(p.code, p.severity, p.examples) for p in told] == [
        ("table-duplicate-column", "error", ["row 2 has x twice"])
    ]


@pytest.mark.heavy
def test_a_long_csv_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,site,note\n" + "".join(f"P{n:06}, 서울 ,{n}\n" for n in range(60_000)), encoding="utf-8")
    tracemalloc.start()
    table = read_table(path)
    assert sum(1 for _ in table.rows()) == table.row_count == 60_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * 2**20
    assert table.problems.as_list()[0].count == 60_000


def test_what_looks_like_a_table_by_its_name() -> None:
    names = ["a.XLSX", "a.xls", "a.xlsm", "a.csv", "a.tsv", "a.json", "a.jsonl", "a.ods", "a.xlsb", "a.txt", "xlsx"]
    assert [name for name in names if is_table(name)] == names[:7]
