"""Files on their way when the storage, the source or the disk is not as it should be."""

from __future__ import annotations

import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from job_fixture import PNG, Job, answering
from sandbox_fixture import SandboxFactory, seed_with

# Slow, each with a quicker neighbour that runs every day.
pytestmark = pytest.mark.heavy

BIG = PNG + b"x" * (3 << 20)


def before_sending(act: Callable[[], None]) -> Callable[[], None]:
    """Something to do in the child between the check and the sending."""

    def patch() -> None:
        from synapse_skills.job.upload.flow import Flow

        original = Flow.run

        async def run(self: Flow, *args: Any, **kwargs: Any) -> None:
            act()
            await original(self, *args, **kwargs)

        Flow.run = run  # type: ignore[method-assign]

    return patch


@pytest.mark.parametrize(("how", "code"), [("vanishes", "vanished"), ("shrinks", "changed-while-reading")])
@pytest.mark.parametrize("threshold", [1 << 20, 1 << 30], ids=["in parts", "in one"])
def test_large_file_that_changes_is_named_for_what_it_is(job: Job, how: str, code: str, threshold: int) -> None:
    """What goes wrong inside a request's body looks like a network error, and is none."""
    job.box.set(multipart_threshold=threshold, part_size=1 << 20)
    job.units(2)
    job.unit("big", {"image.png": BIG, "label.json": b"{}"})
    path = job.source / "big" / "image.png"
    job.run(before=before_sending(path.unlink if how == "vanishes" else lambda: path.write_bytes(PNG)), expect=5)
    assert (job.report()["created"], job.report()["quarantined"]) == (2, 1)
    assert "big" in job.problem(code)["examples"][0]


@pytest.fixture
def deaf_storage() -> Any:
    """Takes connections and never reads from them."""
    server = socket.create_server(("127.0.0.1", 0))
    kept: list[socket.socket] = []

    def take() -> None:
        while True:
            try:
                kept.append(server.accept()[0])
            except OSError:
                return

    threading.Thread(target=take, daemon=True).start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}/bucket/x?X-Amz-Signature=geheim0123"
    server.close()
    for connection in kept:
        connection.close()


def links_to(address: str, every: int = 1) -> Callable[[str, str, Any], Any]:
    """Presigned links lead there."""

    def change(method: str, path: str, body: Any) -> Any:
        if "presigned_upload/upload" in path:
            for row in body["files"][::every]:
                row["presigned_url"] = address
        return body

    return change


def short_waits() -> None:
    from synapse_skills.backend import transfer, trying

    trying.ATTEMPTS = 2
    transfer.STALL_S = 0.3


@pytest.mark.parametrize("content", [PNG, PNG + b"x" * (8 << 20)], ids=["small", "large"])
def test_storage_that_stops_reading_does_not_hang_the_job(job: Job, deaf_storage: str, content: bytes) -> None:
    job.unit("a", {"image.png": content, "label.json": b"{}"})

    def patch() -> None:
        short_waits()
        answering(links_to(deaf_storage))()

    done = job.run(before=patch, expect=None, timeout=40)
    assert done.returncode in (3, 5)
    assert "geheim" not in done.stdout + done.stderr + (job.state / "report.json").read_text()


def test_storage_that_is_down_ends_the_run(job: Job) -> None:
    """Six attempts for each of a hundred thousand files would take for ever."""
    job.units(60)
    job.box.set_faults({"kind": "status", "route": "files.put"})

    def patch() -> None:
        from synapse_skills.backend import trying

        trying.ATTEMPTS = 2

    done = job.run(before=patch, expect=3, SYNAPSE_SKILLS_PATIENCE_S="1")
    assert job.problem("storage-unreachable")
    assert "storage" in done.stderr
    assert job.report()["created"] == 0
    job.box.set_faults()
    job.run()
    assert job.there() == job.wanted()


@pytest.mark.parametrize("link", ["not a link", "host/key?X-Amz-Signature=geheim0123", "http://[::1/x?sig=geheim0123"])
def test_link_that_is_none_is_not_shown(job: Job, link: str) -> None:
    job.units(1)

    def patch() -> None:
        short_waits()
        answering(links_to(link))()

    done = job.run(before=patch, expect=None)
    assert done.returncode in (3, 5)
    texts = [path.read_bytes().decode("utf-8", "replace") for path in job.state.rglob("*") if path.is_file()]
    assert "geheim" not in done.stdout + done.stderr + "".join(texts)


def test_two_files_are_given_one_place(job: Job) -> None:
    """One would overwrite the other, and both data units would show the same picture."""
    job.units(4)

    def change(method: str, path: str, body: Any) -> Any:
        if "presigned_upload/upload" in path:
            body["files"][1:2] = body["files"][:1]
        return body

    job.run(before=answering(change))
    assert job.there() == job.wanted()


def test_other_bytes_arrived_than_were_sent(job: Job) -> None:
    job.units(3)
    spoilt = [0]

    def change(method: str, path: str, body: Any) -> Any:
        if "confirm_upload" in path and not spoilt[0]:
            spoilt[0] = 1
            body["results"][0]["checksum"] = "0" * 40
        return body

    job.run(before=answering(change))
    assert job.there() == job.wanted()


def test_backend_with_checksums_of_its_own(job: Job) -> None:
    """What it calls a file by is what a data unit refers to, when it is no SHA-1."""
    job.box.set(enforces=["specs", "required"])
    job.units(2)

    def change(method: str, path: str, body: Any) -> Any:
        if "confirm_upload" in path:
            for row in body["results"]:
                row["checksum"] = "md5" + row["checksum"][:29]
        return body

    job.run(before=answering(change))
    assert all(row["checksum"].startswith("md5") for unit in job.box.units() for row in unit["files"].values())


GARBAGE = {
    "confirm without a list": ("confirm_upload", {"results": 5}),
    "confirm is a list": ("confirm_upload", [1, 2]),
    "presign without a list": ("presigned_upload/upload", {"files": "none"}),
    "presign with parts of nothing": (
        "presigned_upload/upload",
        {"files": [{"file_key": "k", "multipart": {"parts": [1]}}] * 9},
    ),
    "presign with numbers": ("presigned_upload/upload", {"files": [1, 2, 3]}),
    "create with text": ("data_units/", "created"),
    "storages with text": ("storages/", {"results": ["none"]}),
    "storages with nothing": ("storages/", None),
    "collection with text": ("data_collections/", "none"),
    "collection of nothing": ("data_collections/", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_for_an_answer_is_no_bug_of_ours(job: Job, name: str) -> None:
    job.units(2)
    part, answer = GARBAGE[name]

    def change(method: str, path: str, body: Any) -> Any:
        return answer if part in path and (part != "data_units/" or method == "POST") else body

    job.run(before=answering(change), expect=None)
    report = job.report()
    assert "bug" not in {problem["code"] for problem in report["problems"]}, report["problems"]
    job.run()
    assert job.there() == job.wanted()


CHUNKS = {
    "no address": {"offset": 2000},
    "no progress": {"url": "/chunked_upload/x/", "offset": 0},
    "too far": {"url": "/chunked_upload/x/", "offset": 10**9},
    "text": "ok",
}


@pytest.mark.parametrize("name", CHUNKS)
def test_chunks_that_lead_nowhere(job: Job, sandbox_factory: SandboxFactory, name: str) -> None:
    seed = seed_with()
    seed["storages"][0]["provider"] = "file_system"
    job.box = sandbox_factory("filesystem", seed=seed)
    job.unit("big", {"image.png": PNG + b"x" * 5000, "label.json": b"{}"})

    def patch() -> None:
        from synapse_skills.backend import through, trying
        from synapse_skills.backend.through import Through

        trying.ATTEMPTS = 2
        through.BACKEND_CHUNK = 2000
        original = Through._send

        async def send(self: Through, method: str, *args: Any, **more: Any) -> Any:
            row = await original(self, method, *args, **more)
            return CHUNKS[name] if method == "PUT" else row

        Through._send = send  # type: ignore[method-assign]

    job.run(before=patch, expect=5, timeout=30)
    assert job.report()["failed"] == 1
    assert job.problem("transfer-failed")


def test_login_that_ends_while_files_go_through_the_backend(job: Job, sandbox_factory: SandboxFactory) -> None:
    seed = seed_with()
    seed["storages"][0]["provider"] = "file_system"
    job.box = sandbox_factory("filesystem", seed=seed)
    job.units(3)
    job.box.set_faults({"kind": "status", "status": 401, "route": "files.create"})
    done = job.run(expect=3)
    assert "refused the login" in done.stderr
    assert job.report()["pending"] == 3


@pytest.mark.heavy
def test_links_do_not_grow_old_in_the_queue(job: Job) -> None:
    """A slow line: all files presigned at once would wait for longer than their links live."""
    job.box.set(presign_seconds=3)
    job.units(60)
    job.box.set_faults({"kind": "slow", "route": "files.put", "seconds": 0.15})

    def patch() -> None:
        from synapse_skills.job.upload import send

        send.AHEAD = send.GROUP = 8

    job.run("--workers", "4", before=patch)
    assert job.there() == job.wanted()
    assert job.box.requests("files.put") == 120, "links expired and files were sent again"


def test_backend_that_presigns_a_few_at_a_time(job: Job) -> None:
    job.units(40)

    def change(method: str, path: str, body: Any) -> Any:
        if "presigned_upload/upload" in path:
            body["files"] = body["files"][:3]
        return body

    job.run(before=answering(change))
    assert job.there() == job.wanted()


def test_ledger_that_can_not_be_written_says_so_once(job: Job) -> None:
    """The commit that runs beside everything fails: no traceback, a report, and the next run goes on."""
    job.units(30)
    job.box.set_faults({"kind": "slow", "route": "files.put", "seconds": 0.1})

    def patch() -> None:
        from synapse_skills.job.upload import engine
        from synapse_skills.job.upload.ledger import Ledger

        engine.TICK_S = 0.05
        commit, calls = Ledger.commit, [0]

        def failing(self: Ledger) -> None:
            calls[0] += 1
            if calls[0] > 12:
                raise sqlite3.OperationalError("database or disk is full")
            commit(self)

        Ledger.commit = failing  # type: ignore[method-assign]

    done = job.run(before=patch, expect=3)
    assert "disk" in done.stderr
    job.box.set_faults()
    job.run()
    assert job.there() == job.wanted()


def spoil(path: Path) -> None:
    """Zeros in the middle of every page but the first."""
    content = bytearray(path.read_bytes())
    for start in range(4096, len(content), 4096):
        content[start : start + 200] = b"\xff" * 200
    path.write_bytes(content)


def test_ledger_with_spoilt_pages_is_made_anew(job: Job) -> None:
    job.units(30)
    job.run()
    spoil(job.state / "ledger.sqlite")
    job.unit("patient_900")
    job.run(expect=None)
    job.run()
    assert job.there() == job.wanted()
    assert job.report()["planned"] == 31


def test_stopped_twice_still_leaves_a_report(job: Job) -> None:
    job.units(30)
    job.box.set_faults({"kind": "slow-after-commit", "route": "units.create", "seconds": 8, "on": [3]})
    process = job.start()
    while job.box.requests("units.create") < 3:
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
    assert process.returncode == 130, out + err
    assert time.monotonic() - began < 5
    assert job.report()["exit_code"] == 130
    job.run()
    assert job.there() == job.wanted()
