"""job_status of a job on this machine: only tried, under way, killed, failed, done; and where it ran last."""

from __future__ import annotations

import fcntl
import json
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import job_status as script
from cluster.ready import Ready, report
from synapse_skills.cluster import Submission
from synapse_skills.cluster.submission import AgentNamed
from synapse_skills.errors import run
from synapse_skills.job.state import State
from synapse_skills.job.worker import RAY_JOB
from synapse_skills.report import Problem


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict[str, Any]]]:
    def ask(ready: Ready, *more: str) -> tuple[int, dict[str, Any]]:
        code = run(script.main, [str(ready.home.folder), "--json", *more])
        return code, json.loads(capsys.readouterr().out or "{}")

    return ask


def has_run(ready: Ready, **changes: Any) -> Path:
    """The last run has ended like this."""
    ready.state.mkdir(parents=True, exist_ok=True)
    path = ready.state / "report.json"
    path.write_text(report(**changes).model_dump_json())
    (ready.state / "lock").write_text("")
    return path


def submitted(ready: Ready, job_id: str, at: str) -> Submission:
    """It was submitted then, and Ray calls it so."""
    return Submission(
        submitted_at=at,
        mode="upload",
        plan=ready.hash,
        content="c",
        tag="t",
        job_id=job_id,
        dashboard="http://127.0.0.1:1",
        agent=AgentNamed(id=7, name="a"),
    )


def has_settled(ready: Ready, count: int) -> None:
    with closing(sqlite3.connect(ready.state / "ledger.sqlite")) as ledger:
        ledger.execute("CREATE TABLE unit(key TEXT, state TEXT)")
        ledger.executemany("INSERT INTO unit VALUES (?, 'created')", [(str(each),) for each in range(count)])
        ledger.execute("INSERT INTO unit VALUES ('next', 'found')")
        ledger.commit()


def test_a_run_that_only_tried_was_no_run(ask: Callable[..., Any], ready: Ready) -> None:
    has_run(ready, mode="dry-run", created=0, pending=3)
    code, document = ask(ready)
    assert (code, document["status"], document["report"]) == (0, "PLANNED", None)


def test_a_run_that_was_killed(ask: Callable[..., Any], ready: Ready) -> None:
    ready.state.mkdir(parents=True)
    (ready.state / "lock").write_text("pid 1 on elsewhere since 2026-03-01 10:00:00\n")
    has_settled(ready, 1)
    code, document = ask(ready)
    assert (code, document["status"], document["done"], document["planned"]) == (5, "DIED", 1, 2)
    assert "1 of 2 data units done" in document["message"] and "goes on" in document["next"]


def test_a_killed_run_is_counted_by_its_journal(ask: Callable[..., Any], ready: Ready) -> None:
    from synapse_skills.job.upload.journal import Journal
    from synapse_skills.job.upload.ledger import Ledger

    ready.state.mkdir(parents=True)
    journal = Journal(ready.state / "journal")
    ledger = Ledger(ready.state / "ledger.sqlite", journal)
    ledger.start_run({"t": "job", "version": 1, "host": "h", "tenant": "t", "collection": 1, "name": "n", "at": 0.0})
    ledger.close()
    for key in ("a", "b"):
        units = [[key, "-.-.-.-", "basis"]]
        journal.append({"t": "intent", "batch": key, "kind": "unit", "floor": 0, "at": 0.0, "up": "", "units": units})
    journal.append({"t": "answer", "batch": "a", "ids": [["a", 7]]})
    journal.close()
    (ready.state / "lock").write_text("pid 1 on elsewhere since 2026-03-01 10:00:00\n")
    before = (ready.state / "ledger.sqlite").read_bytes()
    document = ask(ready)[1]
    assert (document["status"], document["done"], document["in_doubt"], document["planned"]) == ("DIED", 1, 1, 2)
    assert "1 of 2 data units done, 1 sent without an answer" in document["message"]
    assert "at least" not in document["message"] and "plan_upload --name" in document["next"]
    assert (ready.state / "ledger.sqlite").read_bytes() == before, "looking changes nothing"


def test_what_was_refused_goes_again_by_a_flag(ask: Callable[..., Any], ready: Ready) -> None:
    problem = Problem(code="refused-by-backend", examples=["a: HTTP 400"], fix="Mend a.")
    has_run(ready, exit_code=5, created=2, failed=1, problems=[problem])
    document = ask(ready)[1]
    assert f"job {ready.home.folder} --approve HASH --retry-failed" in document["next"]
    assert document["done"] == 2


def test_the_list_tells_one_job_from_another(ready: Ready, capsys: pytest.CaptureFixture[str]) -> None:
    from synapse_skills.cluster.local import look_here
    from synapse_skills.cluster.show import show_known
    from synapse_skills.cluster.status import Known

    has_run(ready)
    row = look_here(ready.home).as_row()
    assert (row["plan"], row["done"], row["planned"]) == (ready.hash, 3, 2)
    plan = json.loads((ready.home.folder / "plan.json").read_bytes())
    assert (row["collection"], row["source"]) == (plan["data_collection"], plan["sources"][0]["path"])
    show_known(Known([row]))
    assert f"collection {plan['data_collection']}" in capsys.readouterr().out


def test_a_run_under_way_and_how_it_is_stopped(ask: Callable[..., Any], ready: Ready) -> None:
    ready.state.mkdir(parents=True)
    with (ready.state / "lock").open("w+") as lock:
        lock.write(f"pid 99999999 on not-{socket.gethostname()} since now\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, document = ask(ready)
        assert (code, document["status"]) == (0, "RUNNING") and "--stop" in document["next"]
        code, document = ask(ready, "--stop")
        assert (code, document["error"]["code"]) == (1, "not-running"), "it runs on another machine"


def test_a_run_that_failed_says_why(ask: Callable[..., Any], ready: Ready) -> None:
    problem = Problem(code="refused", severity="error", count=1, examples=["a: HTTP 400"], fix="Mend a.")
    has_run(ready, exit_code=5, created=2, failed=1, problems=[problem])
    code, document = ask(ready)
    assert (code, document["status"], document["exit_code"]) == (5, "ENDED", 5)
    assert "refused" in document["message"] and document["report"]["problems"][0]["fix"] == "Mend a."
    assert "same command" in document["next"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"kind": "upload"}'])
def test_a_report_that_can_not_be_read_is_none(ask: Callable[..., Any], ready: Ready, content: str) -> None:
    has_run(ready).write_text(content)
    assert ask(ready)[1]["status"] == "PLANNED"


def test_where_it_ran_last(ask: Callable[..., Any], ready: Ready) -> None:
    has_run(ready)
    submission = submitted(ready, "raysubmit_later", "2099-01-01T00:00:00+00:00")
    ready.home.remember([submission])
    assert ask(ready)[1]["job_id"] == "raysubmit_later"
    ready.home.update(submission.model_copy(update={"submitted_at": "2001-01-01T00:00:00+00:00"}))
    assert ask(ready)[1]["where"] == "here"


@pytest.mark.parametrize("state", ["running", "killed", "ended"])
def test_a_job_of_the_cluster_whose_folder_is_seen_here_is_the_clusters(
    ask: Callable[..., Any], ready: Ready, state: str
) -> None:
    submission = submitted(ready, "raysubmit_there", "2001-01-01T00:00:00+00:00")
    ready.home.remember([submission])
    has_run(ready, job_id="raysubmit_there")
    with (ready.state / "lock").open("w") as lock:
        if state != "ended":
            lock.write("pid 1 on worker since 2026-03-01 10:00:00 as raysubmit_there\n")
            lock.flush()
        if state == "running":
            fcntl.flock(lock, fcntl.LOCK_EX)
        assert ask(ready)[1]["job_id"] == "raysubmit_there"


def test_the_lock_tells_which_job_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RAY_JOB, json.dumps({"metadata": {"job_submission_id": "raysubmit_1"}}))
    with State(tmp_path / "state"):
        assert (tmp_path / "state" / "lock").read_text().endswith(" as raysubmit_1\n")
    monkeypatch.delenv(RAY_JOB)
    with State(tmp_path / "state"):
        assert " as " not in (tmp_path / "state" / "lock").read_text()
