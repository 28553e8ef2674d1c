"""Workbooks, CSV, JSON and sidecars as no program writes them: read, or refused with a message, in time."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotations.worlds import damaged, encoded, payload, row
from fuzz.calling import call, ends, many
from fuzz.junk import TEXTS, VALUES, spoiled, text_of, torn
from metadata.workbooks import raw_workbook
from synapse_skills.annotations import NeedsPayload, Unreadable, read_row

SEEDS = st.integers(0, 2**32 - 1)
SHEETS = (
    '<dimension ref="A1:XFD1048576"/>', '<dimension ref="junk"/>',
    '<sheetPr/><sheetViews><sheetView workbookViewId="9"/>',
    '<cols><col min="1" max="16384" width="1e308"/></cols>',
    '<mergeCells><mergeCell ref="A1:XFD1048576"/></mergeCells>',
    "<!DOCTYPE x [<!ENTITY a 'aaaa'>]>", "<!-- -- -->", "<![CDATA[<x>]]>", "<sheetData/>", "<x:y/>", "&#0;", "&nbsp;",
)  # fmt: skip
REFS = (
    "A1",
    "B1",
    "A2",
    "B2",
    "C3",
    "A1048576",
    "XFD1",
    "XFE1",
    "A0",
    "a1",
    "",
    "A-1",
    "1A",
    "$A$1",
    "A99999999999",
    "AAAAAAAA1",
)
KINDS = ("", "s", "str", "inlineStr", "b", "e", "n", "d", "junk")
FORMULAS = (
    "", "<f>1+1</f>", f"<f>{'(' * 3000}1{')' * 3000}</f>", '<f t="shared" ref="A1:XFD1048576" si="0">A1</f>',
    '<f t="array" ref="A1:Z9999">ROW(1:1048576)</f>', "<f>WEBSERVICE(\"http://127.0.0.1:1/\")</f>", "<f>A1</f>",
    "<f>cmd|'/c calc'!A0</f>", '<f t="dataTable" ref="A1" r1="B1"/>',
)  # fmt: skip
WORDS = ("name", "age", "p1", "가", "0", "-1", "1e400", "nan", "99999999999999999999", "2958466", "1", "", "x" * 40_000)
SCHEMA = {
    "type": "object",
    "required": ["age"],
    "properties": {"age": {"type": "integer"}, "site": {"type": ["string", "null"]}, "when": {"format": "date"}},
}


def sheet(random: Random) -> str:
    """What lies in a `<worksheet>`."""
    rows = []
    for number in range(random.randrange(6)):
        cells = []
        for _ in range(random.randrange(5)):
            kind, value = random.choice(KINDS), random.choice(WORDS)
            inside = random.choice((f"<v>{value}</v>", f"<is><t>{value}</t></is>", "", f"<v>{value}", "<v/><v>2</v>"))
            style = random.choice(("", ' s="1"', ' s="99999"', ' s="x"'))
            cells.append(f'<c r="{random.choice(REFS)}" t="{kind}"{style}>{random.choice(FORMULAS)}{inside}</c>')
        at = random.choice((number + 1, number + 1, 1048576, 0, -1, "x", ""))
        rows.append(f'<row r="{at}">{"".join(cells)}</row>')
    pieces = [random.choice(SHEETS) for _ in range(random.randrange(3))]
    return "".join([*pieces, f"<sheetData>{''.join(rows)}</sheetData>"])


def table(random: Random, folder: Path) -> Path:
    """A file that says that it is a table."""
    turn = random.random()
    if turn < 0.5:
        path = raw_workbook(
            folder / random.choice(("t.xlsx", "t.xlsm", "t.xls")), sheet(random),
            strings=["name", "age", "&lt;", "x" * 99],
            without=random.choice(((), (), (), ("xl/sharedStrings.xml",), ("xl/workbook.xml",), ("_rels/.rels",))),
            workbook_xml=random.choice((
                '<sheets><sheet name="S" sheetId="1" r:id="rId1"/></sheets>',
                "<sheets>" + '<sheet name="S" sheetId="1" r:id="rId1"/>' * 300 + "</sheets>",
                '<sheets><sheet name="../x" sheetId="-1" state="veryHidden" r:id="rId9"/></sheets>',
                '<workbookPr date1904="junk"/><sheets/>', "",
            )),
        )  # fmt: skip
        if random.random() < 0.4:
            path.write_bytes(torn(path.read_bytes(), random))
        return path
    path = folder / random.choice(("t.csv", "t.tsv", "t.txt", "t.CSV"))
    separator, quote = (
        random.choice((",", ";", "\t", "|", "\0", ",")),
        random.choice(('"', "'", '""', '"\n"', '"""', "")),
    )
    cells = (*TEXTS, *WORDS, "a,b", 'a"b', "=1+1", "\r", "x" * 200_000, "name", "age")
    lines = [
        separator.join(quote + random.choice(cells) + quote for _ in range(random.randrange(5)))
        for _ in range(random.randrange(6))
    ]
    text = random.choice(("\n", "\r\n", "\r", "\n\n")).join(["name,age", *lines] if random.random() < 0.6 else lines)
    encoding = random.choice(("utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp949", "latin-1", "utf-7", "utf-32"))
    content = text.encode(encoding, "replace" if encoding in ("cp949", "latin-1") else "surrogatepass")
    path.write_bytes(torn(content, random) if random.random() < 0.3 else content)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tables")
    (made / "schema.json").write_text(json.dumps(SCHEMA))
    return made


@settings(max_examples=many(10, 1500))
@given(seed=SEEDS)
def test_tables(folder: Path, seed: int) -> None:
    random = Random(seed)
    path = table(random, folder)
    schema = ["--schema", folder / "schema.json"] if random.random() < 0.5 else []
    call("check_excel", path, *schema, *random.choice((("--key", "name"), ())), *random.choice((("--json",), ())))
    call("check_meta", "--schema", folder / "schema.json", "--excel", path, "--key", "name")
    path.unlink()


OBJECTS = [
    {"name": "p1", "age": 5, "site": None, "when": "2026-01-02", "deep": {"a": [1, {"b": 2}]}},
    {"name": "p2", "age": 6},
]
YAML = "age: 5\nsite: x\nwhen: 2026-01-02\nlist: [1, 2, {a: b}]\nanchor: &a [1]\nagain: *a\n"
YAMLS = (
    "&a [*a, *a]", "a: &a [x,x,x]\nb: &b [*a,*a,*a]\nc: &c [*b,*b,*b]\nd: [*c,*c,*c]", "a: \x00",
    "!!python/object/apply:os.system [id]",
    "{" * 3000, "? [1]\n: 2", "a: 1\na: 2", "a: 0o17\nb: 1_000\nc: 12:30:45\nd: .nan", "---\na: 1\n---\nb: 2", "\t- a",
    "<<: {a: 1}", "- 1", "%TAG ! !", "a: !!binary x", "a: !!timestamp junk",
)  # fmt: skip


@settings(max_examples=many(10, 1500))
@given(seed=SEEDS)
def test_objects_and_sidecars(folder: Path, seed: int) -> None:
    random = Random(seed)
    beside = folder / "side"
    beside.mkdir(exist_ok=True)
    if random.random() < 0.5:
        path = beside / random.choice(("a.json", "a.jsonl", "A.JSON"))
        whole = random.choice((OBJECTS, {each["name"]: each for each in OBJECTS}, OBJECTS[0]))
        content = text_of(spoiled(whole, random, random.choice((0, 1, 2))))
        if path.suffix == ".jsonl":
            content = b"\n".join(text_of(spoiled(each, random)) for each in OBJECTS)
    else:
        path = beside / random.choice(("a.yaml", "a.yml"))
        content = random.choice((YAML, *YAMLS)).encode()
    path.write_bytes(torn(content, random) if random.random() < 0.4 else content)
    schema = folder / random.choice(("schema.json", "schema.json", "odd.json"))
    (folder / "odd.json").write_bytes(text_of(spoiled(SCHEMA, random, 2)))
    call("check_meta", "--schema", schema, "--json", path)
    call("check_meta", "--schema", schema, "--sidecars", beside / "*.*", "--report", "json")
    path.unlink()


@settings(max_examples=many(20, 4000), suppress_health_check=[HealthCheck.too_slow])
@given(seed=SEEDS)
def test_rows_of_records(seed: int) -> None:
    """Annotation documents, and all that stands around them in a row."""
    random = Random(seed)
    data: Any = damaged(random) if random.random() < 0.5 else payload(random)
    target: Any = random.choice(("assignment", "task", "ground_truth"))
    whole = row(spoiled(data, random, random.choice((0, 1, 4))), target)
    whole = spoiled(whole, random, random.choice((0, 1, 3)))
    if random.random() < 0.05:
        whole = random.choice(VALUES)
    content = encoded(whole)
    if random.random() < 0.1:
        content = torn(content, random)
    with ends(20):
        try:
            read_row(content, target)
        except (Unreadable, NeedsPayload) as error:
            assert error.hint and str(error)
