"""Tables that people have: what is read, with which types, and what is said about everything odd."""

from __future__ import annotations

import os
from datetime import datetime, time, timedelta
from pathlib import Path

import openpyxl
import pytest
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from metadata.workbooks import awful, cell, raw_workbook, text_cell, workbook
from synapse_skills.errors import UsageError
from synapse_skills.metadata import Table, read_table

DATA = os.environ.get("SYNAPSE_SKILLS_TEST_DATA", "")


def examples(table: Table) -> dict[str, list[str]]:
    """Code → examples."""
    return {problem.code: problem.examples for problem in table.problems.as_list()}


def values(table: Table) -> list[dict[str, object]]:
    return [dict(row.values) for row in table.rows()]


def test_leading_zeros_and_long_numbers_as_text_survive(tmp_path: Path) -> None:
    table = read_table(workbook(tmp_path / "t.xlsx", [["name", "site"], ["001", "12345678901234567890"]]))
    assert values(table) == [{"name": "001", "site": "12345678901234567890"}]


def test_everything_that_is_odd_about_an_awful_workbook_has_its_rows(tmp_path: Path) -> None:
    table = read_table(awful(tmp_path / "awful.xlsx"))
    assert (table.sheet, table.header_row, table.row_count) == ("환자 목록", 5, 11)
    said = examples(table)
    assert said["table-header-not-first"] == ["row 5 has the names of the columns; above it: rows 1, 2 and 4"]
    assert said["table-merged-header"] == ["A4:B4 (식별)", "C4:F4 (검사)", "G4:H4 (결과)"]
    assert said["table-duplicate-column"] == ["column F (나이_2): another column is called 나이 too"]
    assert said["table-unnamed-column"] == ["column H (column_H)"]
    assert said["table-formula"] == ["column G (점수): rows 6 and 7"]
    assert said["table-error-cell"] == ["column D (나이): row 13", "column G (점수): row 16"]
    assert said["table-long-number"] == ["column G (점수): row 12"]
    assert said["table-trimmed"] == ["column A (ID): row 15", "column I (비고): row 6"]
    assert said["table-decomposed"] == ["column E (병원): row 6"]
    assert said["table-mixed-kinds"] == [
        "column C (검사일), mostly date: text in rows 7 and 8",
        "column D (나이), mostly integer: text in row 14",
    ]
    assert said["table-sheets"] == [
        "환자 목록 was taken; there are also 목록 2: 1 rows; 메모: 1 rows; 숨김 (hidden): 0 rows"
    ]
    rows = {row.number: row.values for row in table.rows()}
    assert list(rows) == [6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17]
    assert rows[6] == {
        "ID": "001", "환자번호": 1, "검사일": "2024-01-19", "나이": 45, "병원": "서울 병원", "나이_2": 45.5,
        "column_H": "x", "비고": "앞뒤 공백",
    }  # fmt: skip
    assert "ID" not in rows[10] and "ID" not in rows[14] and "나이" not in rows[13]
    assert rows[12]["ID"] == "12345678901234567890" and rows[17]["비고"] == "줄\n바꿈"


def test_exact_digits_of_a_long_number_are_kept_where_the_sheet_has_them(tmp_path: Path) -> None:
    rows = f'<row r="1">{text_cell("A1", "id")}</row><row r="2">{cell("A2", 12345678901234567891)}</row>'
    rows += f'<row r="3">{cell("A3", "1.2345678901234E+19")}</row>'
    table = read_table(raw_workbook(tmp_path / "t.xlsx", f"<sheetData>{rows}</sheetData>"))
    assert values(table) == [{"id": 12345678901234567891}, {"id": 12345678901234000000}]
    assert examples(table)["table-long-number"] == ["column A (id): row 3"]


@pytest.mark.skipif(not DATA, reason="SYNAPSE_SKILLS_TEST_DATA is not set")
def test_the_same_rows_from_xlsx_and_xls() -> None:
    new, old = (read_table(Path(DATA) / "medical" / name) for name in ("meta.xlsx", "meta.xls"))
    assert repr(list(new.rows())) == repr(list(old.rows()))  # repr: 45 is not 45.0
    assert new.columns == old.columns and new.row_count == 8 and not new.problems and not old.problems
    kinds = {column.name: next(iter(column.kinds)) for column in new.columns}
    assert kinds["나이"] == "integer" and kinds["검사일"] == "date" and kinds["용량(KB)"] == "number"
    assert kinds["남성여부"] == "boolean" and kinds["patient_id"] == "text"
    assert list(new.rows())[6].values["비고"] == "=1+1 로 시작하는 값"


def test_dates_have_a_time_only_where_their_column_has_one(tmp_path: Path) -> None:
    day, moment = datetime(2024, 1, 19), datetime(2024, 1, 20, 13, 0)
    sheet = [["day", "seen", "at", "took"], [day, day, time(13, 30), timedelta(hours=26, minutes=30)]]
    path = workbook(tmp_path / "t.xlsx", [*sheet, [day, moment, time(9), timedelta(minutes=5)]])
    assert values(read_table(path)) == [
        {"day": "2024-01-19", "seen": "2024-01-19T00:00:00", "at": "13:30:00", "took": "PT26H30M"},
        {"day": "2024-01-19", "seen": "2024-01-20T13:00:00", "at": "09:00:00", "took": "PT5M"},
    ]


def test_dates_of_a_workbook_that_counts_from_1904(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.epoch = CALENDAR_MAC_1904
    for row in (["name", "day"], ["P1", datetime(2024, 1, 19)]):
        book.worksheets[0].append(row)
    book.save(tmp_path / "t.xlsx")
    assert values(read_table(tmp_path / "t.xlsx")) == [{"name": "P1", "day": "2024-01-19"}]


def test_whole_numbers_are_integers_where_all_of_their_column_are(tmp_path: Path) -> None:
    path = workbook(tmp_path / "t.xlsx", [["age", "weight", "share"], [45, 70, 0.5], [46, 70.5, 1]])
    assert repr(values(read_table(path))) == repr(
        [{"age": 45, "weight": 70.0, "share": 0.5}, {"age": 46, "weight": 70.5, "share": 1.0}]
    )


def test_the_first_visible_sheet_with_a_header_is_taken(tmp_path: Path) -> None:
    more = {"numbers": [[1, 2], [3, 4]], "data": [["name"], ["P1"]], "other": [["name"], ["P2"]]}
    path = workbook(tmp_path / "t.xlsx", [], more=more)
    table = read_table(path)
    assert table.sheet == "data" and values(table) == [{"name": "P1"}]
    assert [(sheet.name, sheet.rows, sheet.has_header) for sheet in table.sheets] == [
        ("Sheet", 0, False), ("numbers", 2, False), ("data", 2, True), ("other", 2, True),
    ]  # fmt: skip
    assert values(read_table(path, sheet="other")) == [{"name": "P2"}]
    with pytest.raises(UsageError) as caught:
        read_table(path, sheet="nobody")
    assert caught.value.code == "no-such-sheet" and "data" in caught.value.hint


def test_a_header_of_two_rows_is_read_through_its_merged_cells(tmp_path: Path) -> None:
    sheet = [["ID", "exam", None, "site"], [None, "date", "place", None], ["P1", "x", "y", "z"], ["P2", "x", "y", "z"]]
    table = read_table(workbook(tmp_path / "t.xlsx", sheet, merged=["A1:A2", "B1:C1", "D1:D2"]))
    assert values(table)[0] == {"ID": "P1", "date": "x", "place": "y", "site": "z"} and table.header_row == 2
    assert examples(table)["table-merged-header"] == ["A1:A2 (ID)", "B1:C1 (exam)", "D1:D2 (site)"]


def test_a_table_that_begins_far_from_the_corner_has_the_rows_of_the_sheet(tmp_path: Path) -> None:
    sheet: list[list[object]] = [[], [], [None, None, "name", "age"], [None, None, "P1", 45]]
    table = read_table(workbook(tmp_path / "t.xlsx", sheet))
    assert [(row.number, row.values) for row in table.rows()] == [(4, {"name": "P1", "age": 45})]
    assert [column.letter for column in table.columns] == ["C", "D"]
