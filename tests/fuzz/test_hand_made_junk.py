"""What fuzzing has found, each by its smallest case."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fuzz.junk import deep, places, replaced
from synapse_skills import environment
from synapse_skills.backend import Backend, Login
from synapse_skills.cluster.submission import AgentNamed, JobHome, Submission
from synapse_skills.errors import FindingError, OutOfReach
from synapse_skills.job.export.heads import read_head
from synapse_skills.job.export.spool import Kept, Spool
from synapse_skills.job.upload.journal import DamagedJournal, Journal
from synapse_skills.job.upload.records import check_record
from synapse_skills.metadata import read_table
from synapse_skills.rendering import render_file
from synapse_skills.texts import parse_json


@pytest.mark.parametrize("content", [b"[" * 100_000, json.dumps(deep(401)), b"{", b"", b"\xff", '{"a": ' * 2000])
def test_json_that_is_none_is_said_to_be_none(content: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(content)


def test_what_looks_at_the_environment_reads_no_thousand_brackets(tmp_path: Path) -> None:
    """It has a reader of its own: it runs before anything is installed."""
    nested = b"[" * 100_000
    assert environment._reply(200, nested) == environment.Reply(200, None, False, "")
    (tmp_path / "config.json").write_bytes(nested)
    config, check = environment.read_config(str(tmp_path / "config.json"))
    assert config == {} and "not valid JSON" in check.detail


def test_json_of_every_sensible_depth_is_read() -> None:
    assert parse_json(json.dumps(deep(390))) == deep(390)
    assert parse_json(json.dumps(deep(900)), 0) == deep(900)


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"kind": "export"', b"\xff"])
def test_a_plan_that_is_no_json_is_a_bad_plan(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "plan.json").write_bytes(content)
    with pytest.raises(Exception, match="not a plan") as caught:
        render_file(tmp_path)
    assert caught.value.code == "bad-plan"  # type: ignore[attr-defined]


@pytest.mark.parametrize("content", [b"\xff\xfe9", b"\xff\xfea\0\x00\xd8", b"\xef\xbb\xbfname\xed\xa0\x80"])
def test_a_table_that_is_not_the_text_that_it_says(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(FindingError, match="first bytes") as caught:
        read_table(tmp_path / "t.csv")
    assert caught.value.code == "bad-table"


HEAD = {"t": "range", "low": 1, "high": 5, "rows": [[7, 2, 123, 7, 0, "v"]]}


def junk_in(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The document with something else at each place, one at a time."""
    for at in places(document):
        if at:
            yield replaced(document, at, {"no": "such"})


@pytest.mark.parametrize("made", list(junk_in(HEAD)), ids=lambda made: json.dumps(made)[:60])
def test_a_page_with_junk_at_any_place_is_no_page(made: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_head(json.dumps(made).encode())


def test_a_length_below_nought_does_not_lead_back(tmp_path: Path) -> None:
    """It led to the same page again, for ever."""
    spool = Spool(tmp_path / "spool")
    spool.append(HEAD | {"t": "range"}, [Kept(7, b"{}", 7)])
    spool.append({"t": "whole"})
    spool.close()
    (path,) = (tmp_path / "spool").glob("*.pages")
    content = path.read_bytes()
    head = content.split(b"\n")[0]
    path.write_bytes(content.replace(b"[7,2,", b"[7,-%d," % (len(head) + 2), 1))
    assert list(Spool(tmp_path / "spool").pages()) == []


RECORDS: tuple[dict[str, Any], ...] = (
    {"t": "lookup", "echo": ["path"], "rising": True},
    {"t": "intent", "batch": "b", "kind": "unit", "floor": 0, "at": 1.5, "units": [["p1", "a.b", None]]},
    {"t": "intent", "batch": "b", "kind": "task", "floor": 0, "at": 1, "units": ["p1"]},
    {"t": "unanswered", "batch": "b", "at": 1.5},
    {"t": "answer", "batch": "b", "ids": [["p1", 5]]},
    {"t": "refused", "batch": "b", "status": 400},
    {
        "t": "settled",
        "batches": ["b"],
        "created": [["p1", 5]],
        "doubtful": ["p2"],
        "unknown": False,
        "tasks": [["p", 1]],
    },
    {"t": "failed", "unit": "p1", "reason": "why", "basis": None},
    {"t": "listed", "newest": 7},
    {"t": "matched", "units": [["p1", 5, None]]},
    {"t": "retry", "units": ["p1"], "tasks": False},
)
FREE = {"status", "tasks"}
"""Nobody reads the one, the other may be true or false in a retry."""


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["t"])
def test_a_record_of_the_journal_is_what_was_written(record: dict[str, Any]) -> None:
    check_record(record)
    for made in junk_in(record):
        if any(made.get(name) != record.get(name) for name in FREE):
            continue
        with pytest.raises(ValueError, match=r"."):
            check_record(made)


def test_a_journal_with_junk_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "000001-1-1.jsonl").write_text('{"t": "job"}\n{"t": ""}\n{"t": "listed", "newest": "x"}\n')
    with pytest.raises(DamagedJournal, match="damaged"):
        list(Journal(tmp_path).read({}))


class Repeats(Backend):
    """Names another page for ever, each with the same rows."""

    def __init__(self, rows: Any) -> None:
        super().__init__(Login("http://127.0.0.1:9", None, "access-token", {}))
        self.rows, self.asked = rows, 0

    def get(self, path: str, params: dict[str, Any] | None = None) -> Any:
        self.asked += 1
        assert self.asked < 50, "it never ends"
        return {"results": self.rows, "next": f"{path}?page={self.asked}"}


def test_a_list_has_an_end_even_if_the_backend_knows_none() -> None:
    backend = Repeats([{"id": 1, "name": "a"}])
    assert {row["id"] for row in backend.agents()} == {1}
    assert list(Repeats([]).pages("agents/")) == []


@pytest.mark.parametrize("row", [{}, {"id": None}, {"id": "x"}, {"id": -1}, {"id": 2**70}, [], None])
def test_a_row_without_a_number_is_no_row(row: Any) -> None:
    with pytest.raises(OutOfReach, match="not a list"):
        Repeats([row]).agents()


@pytest.mark.parametrize("moment", ["'", "", "tomorrow", "0001-01-01"])
def test_a_submission_of_no_moment_was_not_written_by_us(tmp_path: Path, moment: str) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "upload.py").touch()
    home = JobHome.find(tmp_path)
    known = Submission(
        dashboard="http://127.0.0.1", mode="upload", plan="x", content="x", tag="t",
        submitted_at="2026-11-22T01:00:00Z", agent=AgentNamed(id=7, name="a"),
    )  # fmt: skip
    home.remember([known])
    assert home.submissions() == [known]
    written = json.loads(home.submission.read_text())
    home.submission.write_text(json.dumps(written | {"submitted_at": moment}))
    with pytest.raises(FindingError, match="can't be read"):
        home.submissions()
