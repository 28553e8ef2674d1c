"""The spool and the walk by themselves: nothing that was kept is lost, nothing half written is there."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_skills.job.export import spool as spools
from synapse_skills.job.export.index import Index
from synapse_skills.job.export.rows import Listed, Row, read_page, without_queries
from synapse_skills.job.export.spool import DamagedSpool, Kept, Spool, first_of
from synapse_skills.job.export.walk import NotOrdered, Walk, gaps

Folders = pytest.TempPathFactory
NO_PAGES = (
    b"[]",
    b"{}",
    b'{"results": [1]}',
    b'{"results": [{"no": 1}]}',
    b"<html>",
    b'{"results": [{"id": NaN}]}',
)


SECRET = "s3cr3t"
LINK = f"http://h.test/a.png?sig={SECRET}"
MEMBER = st.recursive(
    st.sampled_from([None, 1, "plain", LINK, '"data": 1', '"data":{"a": 1}']),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["data", "url", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def rows_of(keys: list[int]) -> list[Row]:
    """Rows that say nothing but their ids."""
    return read_page(json.dumps({"results": [{"id": key} for key in keys]}).encode(), "assignment").rows


def kept(*keys: int, text: str = "row") -> list[Kept]:
    return [Kept(key, json.dumps({"id": key, "text": text}).encode(), key, version="v1") for key in keys]


def test_pages_that_are_written_together_are_pages_each(tmp_path: Path) -> None:
    one, other = Spool(tmp_path / "one"), Spool(tmp_path / "other")
    pages = [({"t": "range", "low": 5, "high": 9}, kept(8, 5)), ({"t": "whole"}, []), ({"t": "again"}, kept(1))]
    together = one.append_all(pages)
    apart = [other.append(*page) for page in pages]
    assert together == apart == list(one.pages()) == list(other.pages())
    assert [one.read(p.segment, p.offset, p.length, p.crc) for page in together for p in page.places] == [
        row.content for _, rows in pages for row in rows
    ]


@pytest.mark.parametrize(("most", "count"), [(0, 1), (1, 1), (10_000, 3)])
def test_a_lot_of_pages_is_no_more_than_may_be_held(most: int, count: int) -> None:
    pages = [({}, kept(1)), ({}, kept(2)), ({}, kept(3))]
    assert first_of(pages, most) == pages[:count]


def test_what_was_kept_is_found_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.append({"t": "range", "low": 5, "high": 9}, kept(8, 5))
    spool.append({"t": "range", "low": 1, "high": 5}, kept(1, text="[]\n{}"))
    spool.append({"t": "gone", "keys": [8]})
    spool.close()
    index = Index(tmp_path / "index.sqlite", Spool(tmp_path / "spool"))
    assert index.count() == 2 and index.covered() == [(1, 9)]
    assert json.loads(index.row(1)) == {"id": 1, "text": "[]\n{}"}


def test_a_later_page_wins_and_segments_roll_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spools, "SEGMENT_BYTES", 100)
    spool = Spool(tmp_path / "spool")
    for text in ("old", "newer", "newest"):
        spool.append({"t": "again"}, kept(1, 2, text=text))
    assert len(spool.segments()) == 3
    index = Index(tmp_path / "index.sqlite", spool)
    assert json.loads(index.row(2))["text"] == "newest"


@given(cut=st.integers(min_value=1, max_value=400), zeros=st.booleans())
def test_a_page_that_was_cut_off_never_happened(
    tmp_path_factory: pytest.TempPathFactory, cut: int, zeros: bool
) -> None:
    folder = tmp_path_factory.mktemp("torn") / "spool"
    spool = Spool(folder)
    spool.append({"t": "range", "low": 5, "high": 9}, kept(8, 5))
    size = (folder / "000001.pages").stat().st_size
    spool.append({"t": "range", "low": 1, "high": 5}, kept(1, 2, 3))
    spool.close()
    path = folder / "000001.pages"
    content = path.read_bytes()
    cut = min(cut, len(content) - size)
    # A kill cuts the end off; a power cut may leave zeros where it was.
    path.write_bytes(content[:-cut] + b"\0" * (cut if zeros else 0))
    again = Spool(folder)
    pages = list(again.pages())
    whole = zeros and cut == 1
    assert [page.facts["low"] for page in pages] == ([5, 1] if whole else [5])
    again.append({"t": "range", "low": 1, "high": 5}, kept(1, 2, 3))
    assert [page.facts["low"] for page in Spool(folder).pages()][-1] == 1
    again.close()


def test_damage_in_the_middle_is_said(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    page = spool.append({"t": "again"}, kept(1))
    spool.append({"t": "again"}, kept(2))
    path = tmp_path / "spool" / page.places[0].segment
    content = bytearray(path.read_bytes())
    content[page.places[0].offset + 3] ^= 1
    path.write_bytes(content)
    index = Index(tmp_path / "index.sqlite", Spool(tmp_path / "spool"))
    with pytest.raises(DamagedSpool):
        index.row(1)


def test_links_lose_their_query_and_nothing_else_does() -> None:
    page = read_page(
        b'{"results": [{"id": 3, "file": {"url": "http://h/a%20b.png?sig=x\\"y&z=1", "own": "/media/x"}, '
        b'"data": {"note": "http://h/p?q=1"}, "also": {"url": "/media/y?sig=2"}, "plain": "what? yes"}], "next": null}',
        "assignment",
    )
    row = json.loads(page.rows[0].as_kept())
    assert row["file"] == {"url": "http://h/a%20b.png", "own": "/media/x"}
    assert row["also"] == {"url": "/media/y"} and row["plain"] == "what? yes"
    assert row["data"] == {"note": "http://h/p?q=1"}
    assert without_queries(b'"http:\\/\\/h\\/a?sig=1"') == b'"http:\\/\\/h\\/a"'


@given(
    before=st.dictionaries(st.sampled_from(["file", "meta", "url", "b"]), MEMBER, max_size=3),
    payload=MEMBER,
    after=st.dictionaries(st.sampled_from(["c", "task", "was"]), MEMBER, max_size=3),
    fetched=st.none() | MEMBER,
    compact=st.booleans(),
)
def test_a_payload_is_kept_byte_for_byte(
    before: dict[str, Any], payload: Any, after: dict[str, Any], fetched: Any, compact: bool
) -> None:
    separators = (",", ":") if compact else None
    row = {"id": 1, **before, "data": payload, **after}
    content = json.dumps({"results": [row]}, separators=separators).encode()
    given = None if fetched is None else json.dumps(fetched).encode()
    kept = read_page(content, "assignment").rows[0].as_kept(given)
    there = payload if fetched is None else fetched
    assert json.loads(kept)["data"] == there
    assert json.dumps(there, separators=separators if fetched is None else None).encode() in kept
    assert SECRET not in json.dumps({name: value for name, value in json.loads(kept).items() if name != "data"})
    cleaned = json.loads(json.dumps(row).replace(f"?sig={SECRET}", ""))
    assert json.loads(kept) == cleaned | {"data": there}


@pytest.mark.parametrize("text", NO_PAGES)
def test_what_is_no_page_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_page(text, "assignment")


@given(
    keys=st.sets(st.integers(min_value=1, max_value=2000), max_size=150),
    page_size=st.integers(min_value=1, max_value=20),
    workers=st.integers(min_value=1, max_value=8),
)
def test_every_row_is_walked_over(keys: set[int], page_size: int, workers: int) -> None:
    found: set[int] = set()
    covered: list[tuple[int, int]] = []

    async def ask(low: int, high: int) -> Listed:
        await asyncio.sleep(random.random() / 10_000)
        fit = sorted((key for key in keys if low <= key < high), reverse=True)
        following = {"cursor": "x"} if len(fit) > page_size else {}
        return Listed(rows_of(fit[:page_size]), None, following)

    async def take(rows: list[Row], low: int, high: int) -> None:
        found.update(row.key for row in rows)
        covered.append((low, high))

    low, high = min(keys, default=0), max(keys, default=0) + 1
    walk = Walk(ask, take, page_size=page_size, workers=workers, stopped=lambda: False)
    asyncio.run(walk.over([(low, high)], -(-len(keys) // page_size)))
    assert found == keys
    assert gaps(low, high, covered) == []


def test_a_list_in_another_order_is_noticed() -> None:
    async def ask(low: int, high: int) -> Listed:
        return Listed(rows_of([3, 7]), None, {"cursor": "x"})

    async def take(rows: list[Row], low: int, high: int) -> None:
        raise AssertionError

    walk = Walk(ask, take, page_size=2, workers=2, stopped=lambda: False)
    with pytest.raises(NotOrdered):
        asyncio.run(walk.over([(1, 10)], 5))


def test_gaps() -> None:
    assert gaps(0, 10, []) == [(0, 10)]
    assert gaps(0, 10, [(3, 5), (0, 1), (4, 8)]) == [(1, 3), (8, 10)]
    assert gaps(2, 10, [(0, 20)]) == []
