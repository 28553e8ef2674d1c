"""A user's table of files and data units → the placement table, with everything that can be wrong in it."""

from __future__ import annotations

import json
import tracemalloc
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from metadata.workbooks import workbook
from synapse_skills.errors import FindingError, UsageError
from synapse_skills.plan import Limits
from synapse_skills.sources import Inventory, Source
from synapse_skills.units import Frozen, by_extension, by_table, freeze_table, survey
from units.trees import SEED_SPECS, write_tree

PATHS = ["x/1.png", "y/eins.json", "2.png", "z/zwei.json", "z/notes.txt"]
Freeze = Callable[..., Frozen]


@pytest.fixture
def freeze(tmp_path: Path, inventory: Inventory) -> Freeze:
    """freeze(text, paths=…, name=…, encoding=…): write files and a table, and freeze it."""

    def freeze(
        text: str, *, paths: list[str] = PATHS, name: str = "t.csv", encoding: str = "utf-8", mapped: bool = False
    ) -> Frozen:
        root = write_tree(tmp_path / "data", paths)
        source = Source(str(root))
        inventory.walk([source])
        table = tmp_path / name
        table.write_bytes(text.encode(encoding))
        mapping = by_extension({".png": "image_1", ".json": "label_1"}) if mapped else None
        return freeze_table(table, inventory, [source], SEED_SPECS, tmp_path / "placement.jsonl", mapping=mapping)

    return freeze


def rows(tmp_path: Path) -> list[tuple[str, str, str]]:
    lines = (tmp_path / "placement.jsonl").read_text(encoding="utf-8").splitlines()
    return [(row["path"], row["unit"], row["spec"]) for row in map(json.loads, lines)]


def codes(frozen: Frozen) -> dict[str, int]:
    return {problem.code: problem.count for problem in frozen.problems.as_list()}


WANTED = [
    ("2.png", "two", "image_1"),
    ("x/1.png", "one", "image_1"),
    ("y/eins.json", "one", "label_1"),
    ("z/zwei.json", "two", "label_1"),
]
TABLE = """file,unit,spec
x/1.png,one,image_1
y/eins.json,one,label_1
2.png,two,image_1
z/zwei.json,two,label_1
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", TABLE),
        ("t.csv", TABLE.replace(",", ";").replace("file", "File Path").replace("unit", "Data Unit")),
        ("t.tsv", TABLE.replace(",", "\t").replace("file", "PATH").replace("unit", "dataset_key")),
        ("t.txt", "\n" + TABLE.replace(",", "|").replace("\n", "\r\n").replace("one", '"one"')),
        ("t.csv", "unit,image_1,LABEL_1,dicom_1,note\none,x/1.png,y/eins.json,,a\ntwo,2.png,z\\zwei.json,,\n"),
        ("t.csv", TABLE.replace("file", "파일명").replace("unit", "데이터 유닛").replace("x/1.png", "./x//1.png")),
        ("t.csv", TABLE.replace("image_1", "").replace("label_1", "")),
        ("t.csv", "path,key\n" + "".join(line.rpartition(",")[0] + "\n" for line in TABLE.splitlines()[1:])),
        ("t.csv", TABLE.replace("y/eins.json", "eins.json").replace("image_1", "IMAGE_1")),
        ("t.jsonl", "".join(json.dumps({"file": f, "unit": u, "spec": s}) + "\n" for f, u, s in WANTED)),
        ("t.json", json.dumps([{"file": f, "unit": u, "spec": s} for f, u, s in WANTED])),
        ("t.json", "\n".join(json.dumps({"key": u, "path": f, "spec": s, "x": 1}) for f, u, s in WANTED)),
    ],
)
def test_tables_of_many_kinds(freeze: Freeze, tmp_path: Path, name: str, text: str, encoding: str) -> None:
    frozen = freeze(text, name=name, encoding=encoding, mapped=True)
    assert rows(tmp_path) == WANTED
    assert (frozen.placed, frozen.files, codes(frozen)) == (4, 5, {"files-in-no-row": 1})


def test_cp949_and_composed_names(freeze: Freeze, tmp_path: Path) -> None:
    path = unicodedata.normalize("NFD", "환자/각.png")
    freeze("파일,데이터유닛,spec\n환자/각.png,각하,image_1\n", paths=[path], encoding="cp949")
    assert rows(tmp_path) == [(path, "각하", "image_1")]


def test_a_workbook_places_too(freeze: Freeze, tmp_path: Path, inventory: Inventory) -> None:
    freeze(TABLE)
    rows_ = [["Our files"], [], *(line.split(",") for line in TABLE.splitlines()), [None, "one", "image_1"]]
    table = workbook(tmp_path / "t.xlsx", rows_)
    frozen = freeze_table(table, inventory, [Source(str(tmp_path / "data"))], SEED_SPECS, tmp_path / "placement.jsonl")
    assert rows(tmp_path) == WANTED
    said = {problem.code: problem.examples for problem in frozen.problems.as_list()}
    assert said["table-incomplete-row"] == ["line 8: one"]
    workbook(table, [["file", "unit", "file"], ["2.png", "two", "x"]])
    with pytest.raises(FindingError, match="two columns"):
        freeze_table(table, inventory, [Source(str(tmp_path / "data"))], SEED_SPECS, tmp_path / "placement.jsonl")


def test_absolute_paths_say_the_source(tmp_path: Path, inventory: Inventory) -> None:
    sources = [Source(str(write_tree(tmp_path / name, ["1.png"]))) for name in "ab"]
    inventory.walk(sources)
    table = tmp_path / "t.csv"
    table.write_text(f"file,unit,spec\n{tmp_path}/a/1.png,one,image_1\n{tmp_path}/b/1.png,two,image_1\n")
    frozen = freeze_table(table, inventory, sources, SEED_SPECS, tmp_path / "placement.jsonl")
    assert rows(tmp_path) == [("1.png", "one", "image_1"), ("1.png", "two", "image_1")] and not frozen.problems


def test_everything_that_can_be_wrong_has_a_count_and_a_line(freeze: Freeze, tmp_path: Path) -> None:
    text = (
        "file,unit,spec\n"
        "x/1.png,one,image_1\n"
        ",one,label_1\n"
        "y/eins.json,,label_1\n"
        "z/zwei.json,two,lable_1\n"
        "\n"
        '"multi\nline.png",two,image_1\n'
        "gone.png,two,image_1\n"
        "x/1.png,other,image_1\n"
        "same.png,three,image_1\n"
        "z/notes.txt,two,\n"
    )
    frozen = freeze(text, paths=[*PATHS, "p/same.png", "q/same.png"], mapped=True)
    assert rows(tmp_path) == [("x/1.png", "one", "image_1")]
    assert codes(frozen) == {
        "table-incomplete-row": 2,
        "table-unknown-spec": 1,
        "table-names-no-file": 2,
        "table-duplicate": 1,
        "table-ambiguous-name": 1,
        "table-no-spec": 1,
        "files-in-no-row": 5,
    }
    said = {problem.code: problem.examples for problem in frozen.problems.as_list()}
    assert said["table-incomplete-row"] == ["line 3: one", "line 4: y/eins.json"]
    assert said["table-unknown-spec"] == ["line 5: lable_1; did you mean label_1?"]
    assert said["table-names-no-file"] == ["line 7: multi\\nline.png", "line 9: gone.png"]
    assert said["table-duplicate"] == ["lines 2 and 10: x/1.png is of one and of other"]
    assert said["table-ambiguous-name"] == ["line 11: same.png"]
    assert said["table-no-spec"] == ["z/notes.txt"]
    assert all(problem.fix for problem in frozen.problems.as_list())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"a,b\n1,2\n", "has no column for the data unit"),
        (b"unit,b\n1,2\n", "has no column for the file"),
        (b"file,unit,file\n1,2,3\n", "two columns called file"),
        (b"PK\x03\x04", "is no whole workbook"),
        (b"file,unit\n\xff\xff\xff", "is neither UTF-8"),
        (b"file,unit\na\0b,c\n", "holds zero bytes"),
        (b'{"file": "x"\n', "line 1 is not a JSON object"),
        (b'[{"file": "x"', "is not JSON"),
        (b"[7]", "line 1 is not a JSON object"),
        (b'file,unit\n"' + b"x" * (1 << 21), "is no row"),
    ],
)
def test_what_is_no_table(tmp_path: Path, inventory: Inventory, content: bytes, said: str) -> None:
    source = Source(str(write_tree(tmp_path / "data", PATHS)))
    inventory.walk([source])
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(FindingError, match=said) as caught:
        freeze_table(tmp_path / "t.csv", inventory, [source], SEED_SPECS, tmp_path / "placement.jsonl")
    assert caught.value.code == "bad-table" and not (tmp_path / "placement.jsonl").exists()


def test_no_table(tmp_path: Path, inventory: Inventory) -> None:
    source = Source(str(write_tree(tmp_path / "data", PATHS)))
    inventory.walk([source])
    with pytest.raises(UsageError):
        freeze_table(tmp_path / "t.csv", inventory, [source], SEED_SPECS, tmp_path / "placement.jsonl")


def test_the_job_places_as_the_table_says(freeze: Freeze, tmp_path: Path, inventory: Inventory) -> None:
    freeze(TABLE)
    sources = [Source(str(tmp_path / "data"))]
    place = by_table("placement.jsonl", folder=tmp_path)
    units = {
        unit.key: {spec: file.path for spec, file in unit.files.items()}
        for unit in survey(inventory, sources, place, SEED_SPECS, Limits(), guard=False).units()
    }
    assert units == {
        "one": {"image_1": "x/1.png", "label_1": "y/eins.json"},
        "two": {"image_1": "2.png", "label_1": "z/zwei.json"},
    }


@pytest.mark.heavy
def test_a_long_table_takes_no_memory(freeze: Freeze, tmp_path: Path) -> None:
    text = "file,unit,spec\n" + "".join(f"some/folder/{n:06}.png,unit {n},image_1\n" for n in range(30_000))
    tracemalloc.start()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    frozen = freeze(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert codes(frozen)["table-names-no-file"] == 30_000
    assert peak - before < 8 * 2**20
