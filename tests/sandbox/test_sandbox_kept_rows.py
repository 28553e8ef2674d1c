"""Records that are asked for twice: the same texts, and never an old one."""

import time

import pytest

from synapse_sandbox import kept_rows

PROJECT = 3
LIST = f"/sdk/assignments/?project={PROJECT}&expand=data&page_size=5"


@pytest.fixture
def first(box):
    body = {"project": PROJECT, "records": 5, "boxes": 1, "classes": ["car"]}
    return box.post("/_sandbox/fill", body)["first"]


def rows(box, query=""):
    return {row["id"]: row for row in box.get(LIST + query)["results"]}


def test_the_same_rows_come_again(box, first):
    assert rows(box) == rows(box)
    assert list(rows(box, "&ordering=id")) == sorted(rows(box))


def test_what_is_edited_or_deleted_shows_at_once(box, first):
    before = rows(box)
    edited = [{"id": first, "data": {"new": 1}}, {"id": first + 1, "delete": True}]
    box.post("/_sandbox/edit", edited)
    after = rows(box)
    assert after[first]["data"] == {"new": 1} and first + 1 not in after
    assert after[first + 2] == before[first + 2]


def test_other_questions_have_other_answers(box, first):
    whole, narrow = rows(box), rows(box, "&fields=id,project")
    assert set(narrow[first]) == {"id", "project"} and "data" in whole[first]
    assert rows(box) == whole


def test_settings_and_faults_hold_for_rows_that_are_kept(box, first):
    linked = rows(box)[first]["file"]["url"]
    box.set_faults({"kind": "null-data", "on": [1]})
    assert rows(box)[first]["data"] is None
    assert rows(box)[first]["data"] is not None
    box.set(media_seconds=None)
    assert rows(box)[first]["file"]["url"] == linked.partition("?")[0]


def test_links_are_issued_again_while_they_live(monkeypatch):
    class Store:
        db = type("Changes", (), {"total_changes": 1})()
        settings = type("Settings", (), {"media_seconds": 100})()

    kept = kept_rows.KeptRows(Store())
    kept.keep(kept.those("asked"), 1, "text")
    assert kept.those("asked") == {1: "text"} and kept.those("else") == {}
    later = time.monotonic() + 6
    monkeypatch.setattr(kept_rows.time, "monotonic", lambda: later)
    assert kept.those("asked") == {}


def test_no_more_is_kept_than_there_is_room(monkeypatch):
    class Store:
        db = type("Changes", (), {"total_changes": 1})()
        settings = type("Settings", (), {"media_seconds": None})()

    monkeypatch.setattr(kept_rows, "MOST_LETTERS", 6)
    kept = kept_rows.KeptRows(Store())
    asked = kept.those("asked")
    kept.keep(asked, 1, "text")
    kept.keep(asked, 2, "text")
    assert kept.those("asked") == {1: "text"}
