"""Workbooks that are broken, or made to break who reads them: each is refused by name, or survived."""

from __future__ import annotations

import io
import os
import random
import resource
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from metadata.workbooks import (
    awful,
    cell,
    compound,
    label_record,
    number_record,
    raw_workbook,
    raw_xls,
    record,
    replaced,
    shared_record,
    sheet_data,
    text_cell,
    workbook,
)
from synapse_skills.errors import FindingError, UsageError
from synapse_skills.metadata import extents, limits, read_table

SMALL = sheet_data(["name", "age"], ["P1", "45"])
NAMES = f'<row r="1">{text_cell("A1", "name")}{text_cell("B1", "age")}</row>'


def refused(path: Path, said: str) -> None:
    with pytest.raises(FindingError, match=said) as caught:
        list(read_table(path).rows())
    assert caught.value.code == "bad-table" and caught.value.hint
    assert path.name in str(caught.value) and len(str(caught.value)) < 500


def rows(path: Path) -> list[dict[str, object]]:
    return [dict(row.values) for row in read_table(path).rows()]


def test_the_small_one_is_read(tmp_path: Path) -> None:
    assert rows(raw_workbook(tmp_path / "t.xlsx", SMALL)) == [{"name": "P1", "age": 45}]


FAR = [
    cell("XFD1048576"),
    cell("XFD1048576").replace('r="', "r='").replace('6">', "6'>"),
    cell("XFD1048576").replace("<c ", '<c s="0" '),
    cell("XFD1048576").replace("<c ", "<c\t"),
    cell("xfd1048576"),
    "<!-- x -->" + cell("XFD1048576"),
    f'<x:c xmlns:x="http://schemas.openxmlformats.org/spreadsheetml/2006/main"{cell("XFD1048576")[2:-4]}</x:c>',
    text_cell("XFD1048576", ""),
    '<c r="XFD1048576" t="str"><f>A1</f><v></v></c>',
    cell("A99999999999"),
    cell("ZZZZZZZZZ3"),
    cell("A1048577"),
    cell("XFE1"),
]


@pytest.mark.parametrize("without_numpy", [False, True])
@pytest.mark.parametrize("far", FAR)
def test_one_cell_far_away_does_not_take_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, far: str, without_numpy: bool
) -> None:
    if without_numpy:
        monkeypatch.setattr(extents, "numpy", None)
    refused(
        raw_workbook(tmp_path / "t.xlsx", f'<sheetData>{NAMES}<row r="2">{far}</row></sheetData>'),
        "value|spans|damaged",
    )


def test_a_row_number_moves_cells_that_do_not_say_where_they_are(tmp_path: Path) -> None:
    far = '<row r="1048576"><c r="XFC1048576"/><c><v>1</v></c></row>'
    refused(raw_workbook(tmp_path / "t.xlsx", f"<sheetData>{NAMES}{far}</sheetData>"), "spans")


@pytest.mark.parametrize(
    "harmless",
    [
        '<dimension ref="A1:XFD1048576"/>{}',
        '{}<c r="XFD1048576" s="1"/>',
        '{}<c r="XFD1048576" s="1"></c>',
        '{}<c r="XFD1048576"><f>1+1</f></c>',
    ],
)
def test_what_only_looks_far_is_survived(tmp_path: Path, harmless: str) -> None:
    before, after = harmless.split("{}")
    body = f'{before}<sheetData>{NAMES}<row r="2">{text_cell("A2", "P1")}{cell("B2", 45)}{after}</row></sheetData>'
    assert rows(raw_workbook(tmp_path / "t.xlsx", body)) == [{"name": "P1", "age": 45}]


def test_formulas_and_errors_are_found_in_every_spelling(tmp_path: Path) -> None:
    spellings = [
        '<c r="B2"><f>A1</f></c>',
        '<c r="B3" s="1"><f>A1</f><v/></c>',
        '<c r="B4"><f t="shared" si="0"/><v></v></c>',
        '<c r="B5" t="str"><f>A1</f></c>',
        '<c r="B6" t="str"><f>""</f><v></v></c>',
        '<c r="B7"><f>1+1</f><v>2</v></c>',
        '<c r="B8" t="e"><v>#N/A</v></c>',
        '<c r="B9" s="1" t="e"><f>NA()</f><v>#N/A</v></c>',
    ]
    lines = [
        f'<row r="{number}">{text_cell(f"A{number}", "x")}{spelled}</row>'
        for number, spelled in enumerate(spellings, 2)
    ]
    for strange in ("", "<!-- read by the parser -->"):
        table = read_table(
            raw_workbook(tmp_path / "t.xlsx", f"<sheetData>{strange}{NAMES}{''.join(lines)}</sheetData>")
        )
        said = {problem.code: problem.examples for problem in table.problems.as_list()}
        assert said == {
            "table-formula": ["column B (age): rows 2, 3, 4 and 5"],
            "table-error-cell": ["column B (age): rows 8 and 9"],
        }
        assert [row.values.get("age") for row in table.rows()] == [None] * 5 + [2] + [None] * 2


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    raw_workbook(path, f"<sheetData>{NAMES}{' ' * (64 << 20)}</sheetData>")
    assert path.stat().st_size < 100_000
    refused(path, "zip bomb")


def test_a_directory_that_lies_about_sizes_is_refused(tmp_path: Path) -> None:
    path = raw_workbook(tmp_path / "t.xlsx", SMALL, parts={"xl/styles.xml": "<styleSheet>" + " " * (40 << 20)})
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as packed:
        size = packed.getinfo("xl/styles.xml").file_size
    for at in range(len(content) - 4):
        if content[at : at + 4] == struct.pack("<I", size):
            content[at : at + 4] = struct.pack("<I", 100)
    path.write_bytes(content)
    refused(path, "larger than it says|zip bomb|damaged")


def test_a_text_that_a_million_cells_show_is_refused(tmp_path: Path) -> None:
    shown = "".join(cell(f"A{number}", 0, kind="s") for number in range(2, 20_000))
    body = f'<sheetData>{NAMES}<row r="2">{shown}</row></sheetData>'
    refused(raw_workbook(tmp_path / "t.xlsx", body, strings=["x" * 32_000]), "MB of text")
    strange = body.replace("<sheetData>", "<sheetData><!-- x -->")
    refused(raw_workbook(tmp_path / "t.xlsx", strange, strings=["x" * 32_000]), "MB of text")
    # The same text once is fine.
    assert len(rows(raw_workbook(tmp_path / "t.xlsx", body, strings=["short", "x" * 32_000]))) == 19_998


@pytest.mark.parametrize(("strange", "more"), [("", 10_000_000), ("<!-- -->", 1)], ids=["searched", "parsed"])
def test_a_huge_cell_is_refused(tmp_path: Path, strange: str, more: int) -> None:
    huge = text_cell("A2", "".join(map(chr, range(65, 91))) * ((limits.MAX_CELL_BYTES + more) // 26 + 1))
    body = f'<sheetData>{strange}{NAMES}<row r="2">{huge}</row></sheetData>'
    refused(raw_workbook(tmp_path / "t.xlsx", body), "a cell of more than a megabyte")


def test_entities_are_refused(tmp_path: Path) -> None:
    laughs = (
        '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><worksheet>' + SMALL + "</worksheet>"
    )
    refused(raw_workbook(tmp_path / "t.xlsx", laughs), "declares XML entities")
    refused(raw_workbook(tmp_path / "t.xlsx", SMALL, parts={"_rels/.rels": laughs}), "declares XML entities")


def test_macros_and_links_to_elsewhere_are_left_alone(tmp_path: Path) -> None:
    external = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" '
        'Type="x/externalLinkPath" Target="http://127.0.0.1:9/x.xlsx" TargetMode="External"/></Relationships>'
    )
    parts = {"xl/vbaProject.bin": b"\xd0\xcf", "xl/externalLinks/_rels/externalLink1.xml.rels": external}
    assert rows(raw_workbook(tmp_path / "t.xlsm", SMALL, parts=parts)) == [{"name": "P1", "age": 45}]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(path.read_bytes()[:-30]), "no whole workbook|damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:700]), "no whole workbook|damaged"),
        (lambda path: path.write_bytes(b"<html><table><tr><td>x"), "web page"),
        (lambda path: path.write_bytes(b"name,age\nP1,45\n"), "is no workbook"),
        (lambda path: compound(path, {"EncryptedPackage": b"x", "EncryptionInfo": b"y"}), "is encrypted"),
        (lambda path: compound(path, {"WordDocument": b"x"}), "no workbook"),
        (lambda path: raw_xls(path, [], globals_=record(0x2F, b"\0" * 54)), "is encrypted"),
        (lambda path: raw_workbook(path, SMALL, without=["_rels/.rels"]), "no workbook"),
        (lambda path: raw_workbook(path, SMALL, without=["xl/worksheets/sheet1.xml"]), "lacks its part"),
        (lambda path: raw_workbook(path, SMALL, workbook_xml="<sheets/>"), "without a sheet"),
        (lambda path: raw_workbook(path, SMALL, parts={"content.xml": "x"}), "xlsb or .ods"),
        (lambda path: raw_workbook(path, SMALL, parts={"XL/Workbook.xml": "x"}), "two parts"),
        (lambda path: raw_workbook(path, sheet_data(["1", "2"], ["3", "4"])), "no row with the names"),
        (lambda path: raw_workbook(path, "<sheetData/>"), "no row with the names"),
        (lambda path: raw_workbook(path, "<sheetData><row><c"), "no row with the names|damaged|can't be read"),
    ],
)
def test_what_is_no_workbook(tmp_path: Path, change: Callable[[Path], object], said: str) -> None:
    path = workbook(tmp_path / "t.xlsx", [["name", "age"], ["P1", 45]])
    change(path)
    refused(path, said)


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").mkdir()
    with pytest.raises(UsageError) as caught:
        read_table(tmp_path / "t.xlsx")
    assert caught.value.code == "no-table"


def test_an_xls_with_one_cell_far_away(tmp_path: Path) -> None:
    cells = [label_record(0, 0, "name"), number_record(65535, 65535, 1)]
    refused(raw_xls(tmp_path / "t.xls", cells), "value in column")
    refused(raw_xls(tmp_path / "t.xls", [label_record(0, 0, "name"), number_record(65535, 255, 1)]), "spans")
    # In a chart within the sheet, where calamine may look too; and only announced.
    begin = record(0x0809, struct.pack("<HHHHII", 0x0600, 0x20, 0, 0, 0, 0))
    refused(raw_xls(tmp_path / "t.xls", [begin, *cells, record(0x000A)]), "value in column")
    announced = record(0x0200, struct.pack("<IIHHH", 0, 0xFFFFFFFF, 0, 0xFFFF, 0))
    refused(raw_xls(tmp_path / "t.xls", [announced, label_record(0, 0, "name")]), "announces")


def test_an_xls_with_a_text_that_many_cells_show(tmp_path: Path) -> None:
    texts = struct.pack("<II", 1, 1) + struct.pack("<HB", 8000, 0) + b"x" * 8000
    cells = [label_record(0, 0, "name"), *(shared_record(row, 0, 0) for row in range(1, 30_000))]
    path = raw_xls(tmp_path / "t.xls", cells, shared=record(0x00FC, texts))
    refused(path, "MB of text")
    assert len(rows(raw_xls(path, cells[:5], shared=record(0x00FC, texts)))) == 4


def test_no_memory_is_taken_on_the_way(tmp_path: Path) -> None:
    """The same in a process that has little memory: an allocation that is too large would end it."""
    path = raw_workbook(tmp_path / "t.xlsx", f'<sheetData>{NAMES}<row r="2">{FAR[0]}</row></sheetData>')
    code = "import sys; from synapse_skills.metadata import read_table; read_table(sys.argv[1])"

    def little() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))

    ended = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        preexec_fn=little,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "scripts")},
        check=False,
    )
    assert ended.returncode == 1 and "FindingError" in ended.stderr and "spans" in ended.stderr


def _survives(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        list(read_table(path).rows())
    except (FindingError, UsageError) as error:
        assert error.code in ("bad-table", "no-table") and error.hint


@pytest.mark.parametrize("rounds", [60, pytest.param(3000, marks=pytest.mark.heavy)])
def test_broken_bytes_never_raise_anything_else(tmp_path: Path, rounds: int) -> None:
    """Cut, flipped and overwritten bytes, in the zip and in its parts, and in an .xls."""
    chance = random.Random(rounds)
    whole = awful(tmp_path / "a.xlsx").read_bytes()
    old = raw_xls(
        tmp_path / "a.xls", [label_record(0, 0, "name"), label_record(1, 0, "P1"), number_record(1, 1, 45)]
    ).read_bytes()
    with zipfile.ZipFile(io.BytesIO(whole)) as packed:
        names = packed.namelist()

    def broken(content: bytes) -> bytes:
        damaged = bytearray(content)
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(len(damaged))
            damaged[at] = chance.choice([0, 255, chance.randrange(256), ord("<"), ord('"')])
        return bytes(damaged) if chance.random() < 0.7 else bytes(damaged[: chance.randrange(len(damaged))])

    for _ in range(rounds):
        _survives(tmp_path / "t.xlsx", broken(whole))
        _survives(tmp_path / "t.xls", broken(old))
        path = tmp_path / "u.xlsx"
        path.write_bytes(whole)
        replaced(path, chance.choice(names), broken)
        _survives(path, path.read_bytes())


@pytest.mark.parametrize("without_numpy", [False, True])
@pytest.mark.parametrize(
    ("piece", "extent"),
    [
        (b"", ()),
        (b'<cols><col min="1"/></cols><row r="7">', ()),
        (b'<c r="B3"/><c r="AA10" s="1"><v>1</v></c>', (2, 1, 9, 26)),
        (b'<c r="A1048576"><c r="XFD1"', (0, 0, 1048575, 16383)),
        (b"<c r='A1'>", None),
        (b'<c r="A1"><c>', None),
        (b'<c r="A1"><c/>', None),
        (b'<c\tr="A1">', None),
        (b'<c s="1" r="A1">', None),
        (b'<c r="a1">', None),
        (b'<c r="1A">', None),
        (b'<c r="A1A">', None),
        (b'<c r="A">', None),
        (b'<c r="A0">', None),
        (b'<c r="ABCD1">', None),
        (b'<c r="A12345678">', None),
        (b'<c r="&#65;1">', None),
    ],
)
def test_where_the_cells_are(
    monkeypatch: pytest.MonkeyPatch, piece: bytes, extent: tuple[int, ...] | None, without_numpy: bool
) -> None:
    if without_numpy:
        monkeypatch.setattr(extents, "numpy", None)
    assert extents.tags_of(piece).extent == extent
