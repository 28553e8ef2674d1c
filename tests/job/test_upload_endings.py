"""How an upload ends when something is wrong around it: exit codes, texts, and nothing lost."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from job_fixture import Job
from sandbox_fixture import SandboxFactory
from synapse_skills.errors import OutOfReach


def test_no_login(job: Job) -> None:
    job.units(1)
    done = job.run(SYNAPSE_ACCESS_TOKEN="", expect=3)
    assert "synapse login" in done.stderr
    assert job.report()["pending"] == 1


def test_wrong_token(job: Job) -> None:
    job.units(1)
    done = job.run(SYNAPSE_ACCESS_TOKEN="not-the-token-0123", expect=3)
    assert "refused the login" in done.stderr
    assert "not-the-token-0123" not in done.stderr + done.stdout


def test_host_that_is_no_address(job: Job) -> None:
    job.units(1)
    done = job.run(SYNAPSE_HOST="ftp://somewhere", expect=3)
    assert "http" in done.stderr


def test_login_expires_in_the_middle(job: Job) -> None:
    job.units(12)
    job.box.set_faults({"kind": "status", "route": "units.create", "status": 401, "after": 1})
    done = job.run(expect=3)
    report = job.report()
    assert "refused the login" in done.stderr
    assert report["created"] >= 1
    assert report["created"] + report["pending"] == 12
    job.box.set_faults()
    job.run()
    assert job.there() == job.wanted()


def test_backend_is_down(job: Job) -> None:
    job.units(2)
    job.box.stop()
    done = job.run(expect=3)
    assert "can't be reached" in done.stderr
    assert job.report()["pending"] == 2
    job.box.restart()
    job.run()
    assert job.there() == job.wanted()


def test_backend_goes_away_and_comes_back(job: Job) -> None:
    job.units(30)
    process = job.start(SYNAPSE_SKILLS_PATIENCE_S="20")
    while not job.box.units():
        time.sleep(0.02)
    job.box.restart(kill=True)
    out, err = process.communicate()
    assert process.returncode == 0, out + err
    assert job.there() == job.wanted()


@pytest.fixture
def html_host() -> Any:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<html><body>Please log in</body></html>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_page_in_place_of_an_answer(job: Job, html_host: str) -> None:
    job.units(1)
    done = job.run(SYNAPSE_HOST=html_host, expect=3)
    assert "HTML page" in done.stderr
    assert "SYNAPSE_HOST" in done.stderr


def test_collection_that_does_not_exist(job: Job) -> None:
    job.units(1)
    job.plan_with(data_collection=999)
    job.script(collection=999)
    done = job.run(expect=1)
    assert "data_collections/999" in done.stderr


def test_file_in_place_of_the_source(job: Job) -> None:
    job.source.rmdir()
    job.source.write_text("a file")
    done = job.run(expect=3)
    assert "is a file" in done.stderr


def test_source_that_is_gone(job: Job) -> None:
    job.source.rmdir()
    done = job.run(expect=3)
    assert "no folder" in done.stderr


def test_empty_source(job: Job) -> None:
    job.run(expect=1)
    assert job.problem("no-units")


def test_no_plan(job: Job) -> None:
    (job.job / "plan.json").unlink()
    done = job.run(expect=2)
    assert "No plan" in done.stderr


def test_plan_that_is_none(job: Job) -> None:
    (job.job / "plan.json").write_text('{"name": 1}')
    done = job.run(expect=1)
    assert "not a plan" in done.stderr


@pytest.mark.parametrize("flags", [["--limit", "0"], ["--workers", "none"], ["--wrokers", "2"], ["--workers", "65"]])
def test_wrong_usage(job: Job, flags: list[str]) -> None:
    done = job.run(*flags, expect=2)
    assert done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_interrupted_while_sending(job: Job, number: signal.Signals) -> None:
    job.units(30)
    job.box.set_faults({"kind": "slow", "route": "files.put", "seconds": 0.1})
    process = job.start()
    while not job.box.units():
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(number)
    out, err = process.communicate()
    assert process.returncode == 130, out + err
    report = job.report()
    assert report["exit_code"] == 130
    assert report["pending"] > 0
    assert "Run the same command again" in err
    job.box.set_faults()
    job.run()
    assert job.there() == job.wanted()


def test_interrupted_while_checking(job: Job) -> None:
    job.units(5)

    def slow_walk() -> None:
        from synapse_skills.sources import Inventory

        original = Inventory.walk

        def walk(self: Inventory, *args: Any, **kwargs: Any) -> Any:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
            return original(self, *args, **kwargs)

        Inventory.walk = walk  # type: ignore[method-assign]

    job.run(before=slow_walk, expect=130)
    job.run()
    assert job.there() == job.wanted()


def test_two_runs_at_once(job: Job) -> None:
    job.units(20)
    job.box.set_faults({"kind": "slow", "route": "files.put", "seconds": 0.15})
    first = job.start()
    while not (job.state / "lock").exists() or not job.box.requests("files.put"):
        time.sleep(0.01)
    second = job.run(expect=3)
    assert "under way" in second.stderr
    out, err = first.communicate()
    assert first.returncode == 0, out + err
    assert job.there() == job.wanted()


def test_state_of_another_backend(job: Job, sandbox_factory: SandboxFactory) -> None:
    job.units(2)
    job.run()
    job.box = sandbox_factory("other")
    done = job.run(expect=1)
    assert "another backend" in done.stderr
    assert job.box.units() == []


def test_state_folder_that_cannot_be_made(job: Job) -> None:
    job.units(1)
    (job.folder / "file").write_text("x")
    done = job.run("--state", str(job.folder / "file" / "state"), expect=3)
    assert "state" in done.stderr


def full_disk(target: str) -> Callable[[], None]:
    """Writes of the journal, or of SQLite, fail as on a full disk after a while."""

    def patch() -> None:
        if target == "journal":
            original, count = os.fsync, [0]

            def fsync(handle: int) -> None:
                count[0] += 1
                if count[0] > 8:
                    raise OSError(28, "No space left on device")
                original(handle)

            os.fsync = fsync
        else:
            from synapse_skills.job.upload.ledger import Ledger

            write, calls = Ledger.confirm, [0]

            def confirm(self: Ledger, *args: Any) -> None:
                calls[0] += 1
                if calls[0] > 5:
                    raise sqlite3.OperationalError("database or disk is full")
                write(self, *args)

            Ledger.confirm = confirm  # type: ignore[method-assign]

    return patch


@pytest.mark.parametrize("target", ["journal", "ledger"])
def test_disk_full(job: Job, target: str) -> None:
    job.units(20)
    done = job.run(before=full_disk(target), expect=3)
    assert "disk" in done.stderr or "space" in done.stderr
    job.run()
    assert job.there() == job.wanted()


def test_disk_full_from_the_start(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    job.units(1)

    def patch() -> None:
        from synapse_skills.sources import Inventory

        def walk(self: Inventory, *args: Any, **kwargs: Any) -> Any:
            raise OutOfReach("The disk is full", hint="Free some disk space.", code="disk-full")

        Inventory.walk = walk  # type: ignore[method-assign]

    done = job.run(before=patch, expect=3)
    assert "Free some disk space" in done.stderr
    assert job.report()["planned"] == 0


def file_changes(job: Job, how: str) -> Callable[[], None]:
    """A file of patient_002 changes, or goes, between the check and the sending."""
    path = job.source / "patient_002" / "label.json"

    def patch() -> None:
        from synapse_skills.job.upload.flow import Flow

        original = Flow.run

        async def run(self: Flow, *args: Any, **kwargs: Any) -> None:
            if how == "vanishes":
                path.unlink()
            elif how == "grows":
                path.write_bytes(b"{}" * 5000)
            elif how == "becomes a link":
                path.unlink()
                path.symlink_to("/etc/hostname")
            else:
                os.utime(path, ns=(1, 1))
            await original(self, *args, **kwargs)

        Flow.run = run  # type: ignore[method-assign]

    return patch


@pytest.mark.parametrize("how", ["vanishes", "grows", "is touched", "becomes a link"])
def test_source_changes_while_it_is_sent(job: Job, how: str) -> None:
    job.units(5)
    job.run(before=file_changes(job, how), expect=5)
    report = job.report()
    assert (report["created"], report["quarantined"]) == (4, 1)
    assert all("patient_002" not in str(unit["files"]) for unit in job.box.units())
    codes = {problem["code"] for problem in report["problems"]}
    assert codes & {"vanished", "changed-while-reading", "link-outside", "unreadable-file"}


def test_secrets_reach_nothing(job: Job) -> None:
    """The token and signed links are in no file and no output, whatever goes wrong."""
    job.units(8)
    job.box.set_faults(
        {"kind": "status", "route": "files.put", "status": 403, "body": "xml", "probability": 0.3},
        {"kind": "drop", "route": "files.confirm", "probability": 0.3},
        {"kind": "status-after-commit", "route": "units.create", "probability": 0.3},
        seed=4,
    )
    done = job.run(expect=None)
    text = done.stdout + done.stderr
    for path in job.home.rglob("*"):
        if path.is_file():
            text += path.read_bytes().decode("utf-8", "replace")
    assert job.box.token not in text
    assert "signature" not in text.lower()


def test_lines_carry_no_square_brackets(job: Job) -> None:
    job.units(1)
    (job.source / "odd [red] name").mkdir()
    (job.source / "odd [red] name" / "image.png").write_bytes(b"")
    done = job.run(expect=5)
    assert "odd" in done.stdout
    assert "[" not in done.stdout + done.stderr


def test_report_is_written_for_every_ending(job: Job, tmp_path: Path) -> None:
    job.units(1)
    job.run(SYNAPSE_ACCESS_TOKEN="", expect=3)
    document = json.loads((job.state / "report.json").read_text())
    assert document["exit_code"] == 3
    assert document["problems"][0]["code"] == "no-login"


def test_report_that_cannot_be_written(job: Job) -> None:
    job.units(1)
    (job.folder / "file").write_text("x")
    done = job.run("--report", str(job.folder / "file" / "report.json"), expect=3)
    assert "report can't be written" in done.stderr
    assert len(job.box.units()) == 1
