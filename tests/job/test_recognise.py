"""Whose a row is, and records that are not half done."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from pathlib import Path
from typing import Any

import pytest

from synapse_skills.job.upload.create import Creator
from synapse_skills.job.upload.journal import Journal
from synapse_skills.job.upload.ledger import NOTHING, Ledger
from synapse_skills.job.upload.lookup import Lookup, prints_of
from synapse_skills.job.upload.recognise import Recogniser

ALL = Lookup(("checksum", "path", "meta", "groups"), rising=True)


def unit(key: str, content: str = "", meta: dict[str, Any] | None = None) -> dict[str, Any]:
    files = {"image_1": {"checksum": content or f"sum of {key}", "path": f"{key}/a.png"}}
    return {"files": files, "meta": {"name": key} if meta is None else meta}


def recognise(
    wanted: list[str], rows: list[dict[str, Any]], lookup: Lookup | None = ALL, *, constants: bool = False
) -> tuple[list[tuple[str, int]], list[str]]:
    recogniser = Recogniser([(key, prints_of(unit(key))) for key in wanted], lookup, lambda print_: not constants)
    for number, row in enumerate(rows, 1):
        recogniser.row(number, prints_of(row))
    found = recogniser.found()
    return found.created, found.doubtful


@pytest.mark.parametrize("lookup", [ALL, None], ids=["known", "canary"])
def test_the_same_is_ours_and_another_is_not(lookup: Lookup | None) -> None:
    assert recognise(["a", "b"], [unit("x"), unit("b")], lookup) == ([("b", 2)], [])


@pytest.mark.parametrize("lookup", [ALL, None], ids=["known", "canary"])
@pytest.mark.parametrize(
    "row",
    [unit("a", meta={"other": 1}), unit("x", "sum of a", {"name": "a"}), unit("a", "other", {"name": "a"})],
    ids=["content and path", "content and meta", "path and meta"],
)
def test_two_of_three_are_enough(lookup: Lookup | None, row: dict[str, Any]) -> None:
    assert recognise(["a", "b"], [row], lookup) == ([("a", 1)], [])


@pytest.mark.parametrize("lookup", [ALL, None], ids=["known", "canary"])
@pytest.mark.parametrize(
    "row",
    [unit("a", "other", {"x": 1}), unit("x", "sum of a"), unit("x", "other", {"name": "a"})],
    ids=["path", "content", "meta"],
)
def test_one_of_three_leaves_it_unknown(lookup: Lookup | None, row: dict[str, Any]) -> None:
    assert recognise(["a", "b"], [row], lookup) == ([], ["a"])


def test_constants_are_no_evidence() -> None:
    assert recognise(["a"], [unit("x", "other", {"name": "a"})], constants=True) == ([], [])
    assert recognise(["a"], [unit("x", "sum of a", {"name": "a"})], constants=True) == ([], ["a"])


def test_row_that_shows_nothing_leaves_all_unknown() -> None:
    assert recognise(["a", "b"], [unit("b"), {"files": {}, "meta": None}]) == ([("b", 1)], ["a"])


def test_twins_of_which_only_the_content_comes_back() -> None:
    """Two are there of three: to guess which would send one twice and another never."""
    lookup = Lookup(("checksum",), rising=True)
    prints = {key: prints_of(unit(key, "same")) for key in "abc"}
    for count, expected in ((0, ([], [])), (2, ([], ["a", "b", "c"])), (3, ([("a", 1), ("b", 2), ("c", 3)], []))):
        recogniser = Recogniser(list(prints.items()), lookup, lambda print_: True)
        for number in range(1, count + 1):
            recogniser.row(number, prints["a"])
        found = recogniser.found()
        assert (found.created, found.doubtful) == expected


def test_exact_rows_are_handed_out_before_those_that_agree_in_part() -> None:
    rows = [unit("a", meta={"altered": 1}), unit("a")]
    assert recognise(["a"], rows) == ([("a", 2)], [])


@pytest.mark.parametrize("seed", range(20))
def test_every_unit_that_is_there_is_found_whatever_others_add(seed: int) -> None:
    """Rows of ours, some altered in one part, among rows of others: nothing is lost and nothing taken for ours."""
    rng = random.Random(seed)
    wanted = [f"u{number}" for number in range(20)]
    there = rng.sample(wanted, rng.randint(0, 20))
    rows = [(key, unit(key)) for key in there]
    for _, row in rng.sample(rows, len(rows) // 3):
        part = rng.choice(["meta", "path", "checksum"])
        if part == "meta":
            row["meta"]["more"] = 1
        else:
            row["files"]["image_1"][part] = "altered"
    rows += [(f"x{number}", unit(f"x{number}")) for number in range(10)]
    rng.shuffle(rows)
    created, doubtful = recognise(wanted, [row for _, row in rows])
    assert doubtful == []
    assert sorted((key, rows[number - 1][0]) for key, number in created) == sorted((key, key) for key in there)


def test_prints_do_not_mind_what_a_backend_adds() -> None:
    sent = unit("a") | {"groups": ["g", "h"]}
    shown = unit("a") | {"groups": [{"id": 1, "name": "g"}, {"id": 2, "name": "h"}]}
    shown["files"]["scan_1"] = {"checksum": None, "path": None}
    shown["files"]["mask_1"] = None
    assert prints_of(shown) == prints_of(sent)
    assert prints_of({"files": {"image_1": {"path": None}}, "meta": {}})["path"] == NOTHING


def test_record_is_not_half_done_when_whoever_waits_is_cancelled(tmp_path: Path) -> None:
    """In the journal and not in the ledger, or the lock given up while the thread still writes."""
    journal = Journal(tmp_path / "journal")
    ledger = Ledger(tmp_path / "ledger.sqlite", journal)
    ledger.start_run({"t": "job"})
    append = journal.append

    def slowly(record: dict[str, Any]) -> int:
        time.sleep(0.1)
        return append(record)

    journal.append = slowly  # type: ignore[method-assign]

    class Nothing:
        project = None

    async def both() -> None:
        creator = Creator(Nothing(), Nothing(), ledger, batch_size=5, on_created=lambda count: None)  # type: ignore[arg-type]
        first = asyncio.create_task(creator.record({"t": "failed", "unit": "a", "reason": "because"}))
        await asyncio.sleep(0.03)
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        await creator.record({"t": "failed", "unit": "b", "reason": "because"})

    asyncio.run(both())
    assert ledger.keys_in("failed") == ["a", "b"]
    ledger.close()
    (tmp_path / "ledger.sqlite").unlink()
    again = Ledger(tmp_path / "ledger.sqlite", journal)
    assert again.catch_up() == 3
    assert again.keys_in("failed") == ["a", "b"]
    again.close()
    journal.close()
