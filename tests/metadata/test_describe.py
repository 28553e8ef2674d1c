"""Where metadata comes from: each part by itself, what it refuses, and what wins when several speak."""

from __future__ import annotations

import io
import json
import random
import unicodedata
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import synapse_skills.metadata as metadata
from synapse_skills.errors import FindingError
from synapse_skills.metadata import (
    BadSidecar,
    Constants,
    Merged,
    Said,
    from_folders,
    from_name,
    from_sidecars,
    from_table,
    kinds_of,
)
from synapse_skills.metadata.sidecars import MAX_SIDECAR_BYTES
from synapse_skills.sources import File


class StandIn:
    """A data unit as far as metadata asks about it."""

    def __init__(self, key: str, files: tuple[str, ...] = (), sidecars: dict[str, bytes | None] | None = None) -> None:
        self.key = key
        self.files = {f"spec_{n}": File(0, path, 1, 1) for n, path in enumerate(files)}
        self._contents = sidecars or {}
        self.sidecars = [File(0, path, 1, 1) for path in reversed(self._contents)]

    def open(self, file: File) -> BinaryIO:
        content = self._contents[file.path]
        if content is None:
            raise PermissionError(13, "Permission denied")
        return io.BytesIO(content)


def beside(content: bytes | str, name: str = "001.meta.json") -> StandIn:
    return StandIn("001", sidecars={name: content.encode() if isinstance(content, str) else content})


def read(content: bytes | str, name: str = "001.meta.json") -> dict[str, Any]:
    return from_sidecars()(beside(content, name))


# ---- folders and names


@pytest.mark.parametrize("folders", [{"a": True}, {"a": 1.0}, {"a": "1"}, {1: 1}])
def test_folders_that_are_none(folders: Any) -> None:
    with pytest.raises(FindingError) as caught:
        from_folders(folders)
    assert caught.value.code == "bad-folders"


@pytest.mark.parametrize(
    ("key", "files", "expected"),
    [
        ("seoul/001", ("seoul/001/a.png",), {"first": "seoul", "second": "001", "last": "001"}),
        ("seoul/001", ("seoul/001.png",), {"first": "seoul", "last": "seoul"}),
        ("001", ("001.png",), {}),
        ("001", ("001/a.png",), {"first": "001", "last": "001"}),
        ("a/b/1.png", ("a/b/1.png",), {"first": "a", "second": "b", "last": "b"}),
    ],
)
def test_the_last_part_of_a_key_is_a_folder_only_if_it_is_one(
    key: str, files: tuple[str, ...], expected: dict[str, str]
) -> None:
    assert from_folders({"first": 1, "second": 2, "last": -1})(StandIn(key, files)) == expected
    assert from_folders({"whole": 0})(StandIn(key, files)) == {"whole": key}


@pytest.mark.parametrize("regex", ["(", "", "x" * 1001, "[0-9]+", "(a)", 5, None])
def test_a_regex_that_gives_no_field(regex: Any) -> None:
    with pytest.raises(FindingError) as caught:
        from_name(regex)
    assert caught.value.code == "bad-regex"


def test_named_groups_are_fields_and_those_that_find_nothing_are_none() -> None:
    part = from_name(r"(?P<patient>\d+)(_(?P<view>[A-Z]*))?")
    assert part(StandIn("x/0012_AP")) == {"patient": "0012", "view": "AP"}
    assert part(StandIn("0012_")) == part(StandIn("0012")) == {"patient": "0012"}
    assert part(StandIn("none")) == {}


def test_a_regex_finds_names_however_they_are_composed() -> None:
    part = from_name(unicodedata.normalize("NFD", "(?P<name>각+)_"))
    assert part(StandIn("각_1")) == {"name": "각"}


# ---- frozen rows


def frozen(path: Path, rows: dict[str, dict[str, Any]]) -> Path:
    lines = [
        json.dumps({"unit": unit, "row": number, "meta": meta}, ensure_ascii=False)
        for number, (unit, meta) in enumerate(sorted(rows.items()), 2)
    ]
    (path / "metadata.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}\n", "row 1 is not"),
        ("[]\n", "row 1 is not"),
        ("not json\n", "row 1 is not"),
        ("[" * 100_000 + "\n", "row 1 is not"),
        ('{"unit": "a", "row": 1, "meta": {}}\n\n', "row 2 is empty"),
        ('{"unit": "", "row": 1, "meta": {}}\n', "row 1 needs a text"),
        ('{"unit": "a", "row": true, "meta": {}}\n', "row 1 needs a text"),
        ('{"unit": "a", "row": 1, "meta": [1]}\n', "row 1 needs a text"),
        ('{"unit": "a", "row": 1, "meta": {"x": NaN}}\n', "row 1 holds NaN"),
        ('{"unit": "b", "row": 1, "meta": {}}\n{"unit": "a", "row": 1, "meta": {}}\n', "not sorted by data unit"),
        ('{"unit": "a", "row": 1, "meta": {}}\n{"unit": "a", "row": 2, "meta": {}}\n', "not sorted by data unit"),
    ],
)
def test_damaged_rows_are_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "metadata.jsonl").write_text(text)
    with pytest.raises(FindingError, match=said) as caught:
        from_table("metadata.jsonl", folder=tmp_path)(StandIn("z"))
    assert caught.value.code == "bad-metadata-table"


@pytest.mark.parametrize("how", ["edited", "cut off"])
def test_rows_that_are_written_to_while_they_are_read_are_none(tmp_path: Path, how: str) -> None:
    part = from_table("metadata.jsonl", folder=frozen(tmp_path, {key: {"age": 40} for key in "abcdef"}))
    assert part(StandIn("a")) == part(StandIn("f")) == {"age": 40}
    content = (tmp_path / "metadata.jsonl").read_text()
    (tmp_path / "metadata.jsonl").write_text(content.replace("40", "990") if how == "edited" else content[:100])
    with pytest.raises(FindingError, match="written to while it was read"):
        part(StandIn("b"))


def test_rows_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FindingError) as caught:
        from_table("metadata.jsonl", folder=tmp_path)(StandIn("z"))
    assert caught.value.code == "no-metadata-table"


@settings(max_examples=25, deadline=None)
@given(st.sets(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), max_size=300), st.data())
def test_rows_are_found_in_any_order(tmp_path_factory: pytest.TempPathFactory, keys: set[str], data: Any) -> None:
    with_row = {key: {"n": number} for number, key in enumerate(sorted(keys)) if number % 3}
    part = from_table("metadata.jsonl", folder=frozen(tmp_path_factory.mktemp("rows"), with_row))
    asked = [*sorted(keys), *data.draw(st.permutations(sorted(keys)))]
    for key in asked:
        assert part(StandIn(key)) == with_row.get(key, {})


def test_a_long_table_is_read_along_and_searched(tmp_path: Path) -> None:
    rows = {f"{number:05}": {"n": number} for number in range(0, 5_000, 2)}
    part = from_table("metadata.jsonl", folder=frozen(tmp_path, rows))
    order = [f"{number:05}" for number in range(5_000)]
    random.Random(4).shuffle(order)
    for key in (*sorted(order), *order[:500]):
        assert part(StandIn(key)) == rows.get(key, {})


# ---- sidecars


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(8)
)
MERGE_BOMB = "a: &a {x: 1}\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} {{<<: [{','.join(['*' + chr(97 + n)] * 20)}], k{n}: 1}}\n" for n in range(8)
)


@pytest.mark.parametrize(
    ("content", "name", "kind"),
    [
        (b"", "a.meta.json", "is empty"),
        (b" \n\t", "a.yaml", "is empty"),
        (b"[1]", "a.json", "no object"),
        (b"- 1", "a.yaml", "no object"),
        (b"just text", "a.yml", "no object"),
        (b"5", "a.json", "no object"),
        (b"null", "a.json", "no object"),
        (b"{", "a.json", "is not JSON"),
        (b"a: [", "a.yaml", "is not YAML"),
        (b'{"a": 1, "a": 2}', "a.json", "'a' twice"),
        (b'{"b": {"a": 1, "a": 2}}', "a.json", "'a' twice"),
        (b"a: 1\nb: {c: 1, c: 2}", "a.yaml", "'c' twice"),
        (b'{"a": NaN}', "a.json", "NaN is no number"),
        (b'{"a": -Infinity}', "a.json", "Infinity is no number"),
        (b'{"a": 1e999}', "a.json", "too large a number"),
        (b"a: .nan", "a.yaml", r"\.nan is no number"),
        (b"a: -.inf", "a.yaml", r"-\.inf is no number"),
        (b"a: 1e999", "a.yaml", "too large a number"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "a.json", "is not JSON"),
        (b"a: " + b"9" * 5_000, "a.yaml", "too large a number"),
        (b'{"a": ' + b"[" * 101 + b"]" * 101 + b"}", "a.json", "nested too deeply"),
        (b"[" * 400_000, "a.json", "nested too deeply"),
        (b"{a: " + b"[" * 400_000, "a.yaml", "nested too deeply"),
        (b"a:\n" + b"".join(b" " * n + b"- \n" for n in range(1, 300)), "a.yaml", "nested too deeply"),
        (b"a: 1\n---\nb: 2", "a.yaml", "several documents"),
        (b"a: *nothing", "a.yaml", "is not YAML"),
        (b"a: &x [*x]", "a.yaml", "alias"),
        (b"a: &x {b: *x}", "a.yaml", "alias"),
        (b"? [a, b]\n: 1", "a.yaml", "key must be text"),
        (b"<<: 5", "a.yaml", "takes an object"),
        (b"a: !!python/object/apply:os.system [ls]", "a.yaml", "means nothing here"),
        (b"a: !!binary aGk=", "a.yaml", "means nothing here"),
        (b"a: !!int abc", "a.yaml", "means nothing here"),
        (BOMB.encode(), "a.yaml", "more than 100,000 values"),
        (MERGE_BOMB.encode(), "a.yaml", "more than 100,000 values"),
        (b"\x89PNG\r\n\x1a\n\0\0", "a.json", "no text"),
        (b'{"a": "\0"}', "a.json", "no text"),
        (b"\xff\xfe{", "a.json", "no text"),
        (b"\xef\xbb\xbf\xff", "a.json", "no text"),
        (b'{"a": "' + b"x" * MAX_SIDECAR_BYTES + b'"}', "a.json", "more than 1,024 KB"),
        (None, "a.json", "Permission denied"),
    ],
)
def test_a_sidecar_that_can_not_be_used_is_named(content: bytes | None, name: str, kind: str) -> None:
    with pytest.raises(BadSidecar, match=kind) as caught:
        from_sidecars()(StandIn("001", sidecars={f"in/{name}": content}))
    assert str(caught.value).startswith(f"in/{name} ")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
@pytest.mark.parametrize(("text", "name"), [('{"이름": "홍길동"}', "a.json"), ("이름: 홍길동", "a.yaml")])
def test_sidecars_in_the_encodings_of_tables(encoding: str, text: str, name: str) -> None:
    assert read(text.encode(encoding), name) == {"이름": "홍길동"}


def test_yaml_keeps_what_people_write() -> None:
    text = """
    id: 007
    octal: 0o17
    time: 12:30
    country: NO
    big: 123456789012345678901234567890
    under: 1_000
    neg: -3
    float: 2.50
    exp: 1e3
    quoted: "45"
    yes: true
    off: False
    none: null
    empty:
    born: 2024-1-9
    at: 2024-01-19 9:05:00 +9
    utc: 2024-01-19T10:00:00.25Z
    not_a_date: 2024-13-45-x
    1: one
    2024-01-01: day
    tag: !!str 5
    list: [1, two, {three: 3}]
    text: |
      two
      lines
    """
    assert read(text, "a.yaml") == {
        "id": "007", "octal": "0o17", "time": "12:30", "country": "NO", "big": 123456789012345678901234567890,
        "under": "1_000", "neg": -3, "float": 2.5, "exp": 1000.0, "quoted": "45", "yes": True, "off": False,
        "none": None, "empty": None, "born": "2024-01-09", "at": "2024-01-19T09:05:00+09:00",
        "utc": "2024-01-19T10:00:00.25Z", "not_a_date": "2024-13-45-x", "1": "one", "2024-01-01": "day", "tag": "5",
        "list": [1, "two", {"three": 3}], "text": "two\nlines\n",
    }  # fmt: skip


def test_anchors_and_merges_mean_what_they_mean() -> None:
    text = "base: &b {x: 1, y: 1}\nmine: {<<: *b, y: 2}\nsame: *b\n? &k key\n: 1\nalso: *k\n"
    with pytest.raises(BadSidecar):
        read(text, "a.yaml")
    text = "base: &b {x: 1, y: 1}\nmine: {<<: *b, y: 2}\nsame: *b\nlist: [*b, *b]\n"
    once = {"x": 1, "y": 1}
    assert read(text, "a.yaml") == {"base": once, "mine": {"x": 1, "y": 2}, "same": once, "list": [once, once]}


def test_json_keeps_big_integers_and_is_known_by_its_first_character() -> None:
    big = 2**80
    assert read(json.dumps({"a": big}), "a.info") == {"a": big}
    assert read("a: 1", "a.info") == {"a": 1}


def test_several_sidecars_merge_in_the_order_of_their_paths() -> None:
    unit = StandIn("1", sidecars={"a/1.json": b'{"x": 1, "y": {"p": 1}}', "b/1.yaml": b"y: {q: 2}\nz: 3"})
    assert from_sidecars()(unit) == {"x": 1, "y": {"q": 2}, "z": 3}
    assert [name for name, _ in from_sidecars().each(unit)] == ["a/1.json", "b/1.yaml"]


def test_fields_of_sidecars_can_have_other_names() -> None:
    assert from_sidecars({"Age": "age"})(beside('{"Age": 5, "sex": "F"}')) == {"age": 5, "sex": "F"}
    with pytest.raises(BadSidecar, match="under two names: age"):
        from_sidecars({"Age": "age"})(beside('{"Age": 5, "age": 6}'))


# ---- all of them


def own(unit: Any) -> dict[str, Any]:
    return {"own": unit.key}


def parts(folder: Path) -> list[Any]:
    return [
        Constants({"c": 1, "site": "here"}),
        from_folders({"site": 1}),
        from_name(r"(?P<patient>\d+)"),
        from_table("metadata.jsonl", folder=folder),
        from_sidecars(),
        Said({"q": [1]}),
    ]


def test_the_order_is_fixed_however_parts_are_given(tmp_path: Path) -> None:
    frozen(tmp_path, {"s/1": {"patient": "t", "q": 0, "age": 1, "nested": {"a": 1}}})
    unit = StandIn("s/1", ("s/1/x",), {"s/1/m.json": b'{"age": 2, "nested": {"b": 2}}'})
    expected = {"c": 1, "site": "s", "patient": "t", "q": [1], "age": 2, "nested": {"b": 2}}
    given = parts(tmp_path)
    for seed in range(20):
        random.Random(seed).shuffle(given)
        merged = Merged(*given)
        assert merged(unit) == expected
        assert kinds_of(merged) == ["constants", "folders", "name", "table", "sidecars", "said"]
    assert Merged(Said({"own": 1}), own, from_sidecars())(unit)["own"] == 1
    assert kinds_of(Merged(own, Constants({}))) == ["constants", "describe"]
    assert (kinds_of(own), kinds_of(None), kinds_of(Constants({}))) == (["describe"], [], ["constants"])


def test_repr_makes_the_same_object_again(tmp_path: Path) -> None:
    merged = Merged(*parts(tmp_path), from_sidecars({"A'\"": "b"}))
    assert eval(repr(merged), vars(metadata)) == merged
    for part in parts(tmp_path):
        assert eval(repr(part), vars(metadata)) == part
    assert Said({"a": 1}) != Constants({"a": 1})


def test_conflicts_name_both_sources(tmp_path: Path) -> None:
    frozen(tmp_path, {"1": {"age": 45, "sex": "F", "site": "b"}})
    sidecars: dict[str, bytes | None] = {"a.json": b'{"age": 46, "sex": " f", "q": 2}', "b.json": b'{"q": 3}'}
    unit = StandIn("1", (), sidecars)
    merged, found = Merged(Constants({"site": "a", "age": 1}), *parts(tmp_path)[3:5]).merge(unit)
    assert merged == {"site": "b", "age": 46, "sex": " f", "q": 3}
    assert [str(each) for each in found] == [
        "age is 45 (row 2) and 46 (a.json); 46 is taken",
        "q is 2 (a.json) and 3 (b.json); 3 is taken",
    ]
    # What the user said is the last word, not another opinion.
    assert Merged(*parts(tmp_path)[3:5], Said({"age": 45, "q": 0})).merge(unit)[1] == []


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=5))
def test_a_part_never_hands_out_what_it_holds(values: dict[str, Any]) -> None:
    part = Constants(values)
    part(StandIn("x"))["new"] = 1
    assert part(StandIn("x")) == values
