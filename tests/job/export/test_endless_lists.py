"""Lists that never end, and rows that no list can hold."""

from __future__ import annotations

import pytest

from synapse_skills.errors import OutOfReach
from synapse_skills.job.export.rows import Listed, is_json, read_page
from synapse_skills.job.export.walk import MOST_EMPTY, MOST_TWICE, Way

PAGE = read_page(b'{"results": [{"id": 1}, {"id": 2}], "next": "http://x.test/?cursor=new"}', "assignment")


def test_a_list_of_always_the_same_rows_ends() -> None:
    way = Way(lambda: 2)
    with pytest.raises(OutOfReach) as caught:
        for _ in range(MOST_TWICE):
            way.went(PAGE)
    assert caught.value.code == "list-in-circle"


def test_a_list_of_nothing_ends() -> None:
    way = Way(lambda: 2)
    with pytest.raises(OutOfReach):
        for _ in range(MOST_EMPTY + 1):
            way.went(Listed([]))


def test_a_list_that_goes_on_is_followed() -> None:
    pages = iter(range(1, 5 * MOST_TWICE))
    way = Way(lambda: next(pages))
    for _ in range(4 * MOST_TWICE):
        way.went(PAGE)
    assert next(pages) > 4 * MOST_TWICE, "every page was asked about"


@pytest.mark.parametrize("said", [b"-1", b"9223372036854775808", b"1e3", b'"x"', b"null", b"true"])
def test_an_id_that_is_none_makes_no_page(said: bytes) -> None:
    with pytest.raises(ValueError, match="a row without a number as its id"):
        read_page(b'{"results": [{"id": ' + said + b"}]}", "assignment")


@pytest.mark.parametrize("depth", [150, 5_000, 10_000])
def test_a_row_that_nests_deeper_than_any_parser_reads_spoils_no_page(depth: int) -> None:
    deep = b'[{"]":' * depth + b"1" + b"}]" * depth
    page = read_page(b'{"results": [{"id": 1, "data": ' + deep + b', "meta": ' + deep + b'}, {"id": 2}]}', "assignment")
    assert [row.key for row in page.rows] == [1, 2]
    assert page.rows[0].members["data"] == deep
    assert page.rows[0].head["id"] == 1
    assert is_json(deep)
    assert not is_json(deep[:-1]) and not is_json(b"[" * depth)
