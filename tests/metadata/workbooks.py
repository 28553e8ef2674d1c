"""Workbooks and other tables for tests: as Excel would write them, and as nobody should."""

from __future__ import annotations

import io
import struct
import unicodedata
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import openpyxl

NS = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def workbook(
    path: Path, rows: Iterable[Sequence[Any]], *, merged: Sequence[str] = (), more: Mapping[str, Any] | None = None
) -> Path:
    """A workbook with one sheet, and empty or filled others."""
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row in rows:
        sheet.append(list(row))
    for cells in merged:
        sheet.merge_cells(cells)
    for name, other in (more or {}).items():
        new = book.create_sheet(name)
        for row in other:
            new.append(list(row))
    book.save(path)
    return path


def raw_workbook(
    path: Path,
    sheet: str,
    *,
    strings: Sequence[str] = (),
    parts: Mapping[str, bytes | str] | None = None,
    without: Sequence[str] = (),
    workbook_xml: str = '<sheets><sheet name="S" sheetId="1" r:id="rId1"/></sheets>',
) -> Path:
    """A workbook whose only sheet is this XML (what lies in `<worksheet>`, or all of it)."""
    whole = sheet if sheet.startswith("<?xml") else f"<worksheet {NS}>{sheet}</worksheet>"
    files: dict[str, bytes | str] = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="xml" ContentType="application/xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
        f'Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {NS} xmlns:r="{_RELATIONS}">{workbook_xml}</workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId2" Type="{_RELATIONS}/sharedStrings" Target="sharedStrings.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": whole,
        "xl/sharedStrings.xml": f"<sst {NS}>{''.join(f'<si><t>{text}</t></si>' for text in strings)}</sst>",
        **(parts or {}),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            if name not in without:
                packed.writestr(name, content)
    return path


def cell(ref: str, value: object = 1, *, kind: str = "") -> str:
    """One cell as XML."""
    return f'<c r="{ref}"' + (f' t="{kind}"' if kind else "") + f"><v>{value}</v></c>"


def text_cell(ref: str, text: str) -> str:
    """One cell with its text in it."""
    return f'<c r="{ref}" t="inlineStr"><is><t>{text}</t></is></c>'


def sheet_data(*rows: Sequence[str]) -> str:
    """Rows of cells as XML: `sheet_data(["name", "age"], …)`, numbers as numbers, all else as text."""
    lines = []
    for number, row in enumerate(rows, 1):
        cells = [
            cell(f"{chr(65 + at)}{number}", value)
            if value.lstrip("-").isdecimal()
            else text_cell(f"{chr(65 + at)}{number}", value)
            for at, value in enumerate(row)
        ]
        lines.append(f'<row r="{number}">{"".join(cells)}</row>')
    return f"<sheetData>{''.join(lines)}</sheetData>"


def awful(path: Path) -> Path:
    """A workbook with everything that people do to their metadata.

    Rows: 1 title, 2 author, 3 blank, 4 groups of columns (merged), 5 names, 6 to 17 values with a blank row 11.
    """
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = "환자 목록"
    korean = unicodedata.normalize("NFD", "서울 병원")
    rows: list[list[Any]] = [
        ["2024 연구 환자 목록"],
        ["작성자", "연구팀"],
        [],
        ["식별", None, "검사", None, None, None, "결과", None],
        ["ID ", "환자번호", "검사일", "나이", "병원", "나이", "점수", None, "비고"],
        ["001", 1, datetime(2024, 1, 19), 45, korean, 45.5, "=D6*2", "x", " 앞뒤 공백 "],
        ["002", 2, "2024.02.29", 62, "부산 병원", 1, "=D7*2", None, None],
        ["003", 3, "19/01/2024", None, "대구 병원", 2, 3, None, "ok"],
        ["002", 4, date(2024, 3, 1), 50, "서울 병원", 3, 4, None, None],
        [None, 5, date(2024, 3, 2), 51, "서울 병원", 4, 5, None, "no key"],
        [],
        ["12345678901234567890", 6, date(2024, 3, 3), 52, "서울 병원", 5, 12345678901234567890, None, None],
        ["007", 7, date(2024, 3, 4), "#N/A", "서울 병원", 6, 7, None, None],
        ["   ", 8, date(2024, 3, 5), "모름", "서울 병원", 7, 8, None, None],
        ["001 ", 9, date(2024, 3, 6), 53, "서울 병원", 8, 9, "y", None],
        ["010", 10, date(2024, 3, 7), 54, "서울 병원", 9, "#DIV/0!", None, None],
        ["011", 11, date(2024, 3, 8), 55, "서울 병원", 10, 11, None, "줄\n바꿈"],
    ]
    for row in rows:
        sheet.append(row)
    sheet.merge_cells("A1:I1")
    for cells in ("A4:B4", "C4:F4", "G4:H4"):
        sheet.merge_cells(cells)
    book.create_sheet("목록 2").append(["name", "site"])
    book.create_sheet("메모").append(["아무 말"])
    book.create_sheet("숨김").sheet_state = "hidden"
    book.save(path)
    return path


def replaced(path: Path, part: str, change: Any) -> Path:
    """The same workbook with one part changed by `change(bytes) -> bytes`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content) if name == part else content)
    path.write_bytes(buffer.getvalue())
    return path


def record(kind: int, content: bytes = b"") -> bytes:
    """One record of an .xls."""
    return struct.pack("<HH", kind, len(content)) + content


def number_record(row: int, column: int, value: float) -> bytes:
    """A cell with a number."""
    return record(0x0203, struct.pack("<HHHd", row, column, 0, value))


def label_record(row: int, column: int, text: str) -> bytes:
    """A cell with its text in it."""
    return record(0x0204, struct.pack("<HHHHB", row, column, 0, len(text), 1) + text.encode("utf-16-le"))


def shared_record(row: int, column: int, index: int) -> bytes:
    """A cell with a shared text."""
    return record(0x00FD, struct.pack("<HHHI", row, column, 0, index))


def error_record(row: int, column: int) -> bytes:
    """A cell with #N/A."""
    return record(0x0205, struct.pack("<HHHBB", row, column, 0, 0x2A, 1))


def raw_xls(path: Path, cells: Iterable[bytes], *, shared: bytes = b"", globals_: bytes = b"") -> Path:
    """An .xls whose only sheet holds these records, in a compound file of one stream."""
    begin = record(0x0809, struct.pack("<HHHHII", 0x0600, 5, 0, 0, 0, 0)) + globals_
    head = len(begin) + 4 + 6 + 2 + 1 + len(shared) + 4
    sheets = record(0x0085, struct.pack("<IBBBB", head, 0, 0, 1, 0) + b"S")
    book = begin + sheets + shared + record(0x000A)
    book += record(0x0809, struct.pack("<HHHHII", 0x0600, 0x10, 0, 0, 0, 0)) + b"".join(cells) + record(0x000A)
    return compound(path, {"Workbook": book})


def compound(path: Path, streams: Mapping[str, bytes]) -> Path:
    """A compound file with these streams, each of them filled up to 4,096 bytes."""
    sectors: list[bytes] = []
    table: list[int] = []
    starts: list[int] = []
    padded = [content.ljust(4096, b"\0") for content in streams.values()]
    for content in padded:
        starts.append(len(sectors))
        pieces = [content[at : at + 512].ljust(512, b"\0") for at in range(0, len(content), 512)]
        table += [len(sectors) + at + 1 for at in range(len(pieces) - 1)] + [0xFFFFFFFE]
        sectors += pieces

    def entry(name: str, kind: int, start: int, size: int, child: int = 0xFFFFFFFF) -> bytes:
        encoded = (name + "\0").encode("utf-16-le")
        head = encoded.ljust(64, b"\0") + struct.pack("<HBB3I", len(encoded), kind, 1, 0xFFFFFFFF, 0xFFFFFFFF, child)
        return head + b"\0" * 36 + struct.pack("<III", start, size, 0)

    entries = entry("Root Entry", 5, 0xFFFFFFFE, 0, 1)
    for (name, _), start, content in zip(streams.items(), starts, padded, strict=True):
        entries += entry(name, 2, start, len(content))
    directory = len(sectors)
    pieces = [entries[at : at + 512].ljust(512, b"\0") for at in range(0, len(entries), 512)]
    table += [directory + at + 1 for at in range(len(pieces) - 1)] + [0xFFFFFFFE]
    sectors += pieces
    first = len(sectors)
    count = 1
    while count * 128 < len(table) + count:
        count += 1
    table += [0xFFFFFFFD] * count
    packed = struct.pack(f"<{len(table)}I", *table).ljust(count * 512, b"\xff")
    numbers = [first + at for at in range(count)] + [0xFFFFFFFF] * (109 - count)
    header = bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 16 + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + b"\0" * 6
    header += struct.pack("<IIIIIIIII", 0, count, directory, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
    header += struct.pack("<109I", *numbers)
    path.write_bytes(header + b"".join(sectors) + packed)
    return path
