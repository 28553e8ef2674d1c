"""A local Ray that can't start says why and leaves nothing behind; its processes are told from everybody else's."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from synapse_skills.cluster import local_ray, processes
from synapse_skills.cluster.local_ray import LocalRay
from synapse_skills.cluster.processes import Running, descendants, running, still_runs
from synapse_skills.errors import OutOfReach

HANGS = """\
import os, subprocess, sys, time
print("up to nothing", os.environ.get("SYNAPSE_ACCESS_TOKEN"), os.environ["RAY_AUTH_MODE"], os.getcwd(), flush=True)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
time.sleep(300)
"""


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where local Rays are made, and a machine with enough of everything."""
    made = tmp_path / "room"
    made.mkdir()
    monkeypatch.setattr(local_ray, "_short_folder", lambda: str(made))
    monkeypatch.setattr(local_ray, "NEEDS_MB", 1)
    monkeypatch.setattr(local_ray, "_claim_host", lambda: ("127.0.0.1", (tmp_path / "claim").open("a")))
    monkeypatch.setattr(LocalRay, "_answers", lambda self: False)
    return made


def fake(folder: Path, script: str) -> Path:
    """A Python with a `ray` beside it."""
    bin_ = folder / "bin"
    bin_.mkdir()
    (bin_ / "python").symlink_to(sys.executable)
    (bin_ / "ray").write_text(script)
    return bin_ / "python"


def code_of(ray: LocalRay) -> tuple[str, str]:
    with pytest.raises(OutOfReach) as caught, ray:
        pass
    return str(caught.value.code), str(caught.value)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process with a child of its own."""
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(300)'])"
    process = subprocess.Popen([sys.executable, "-c", script])
    try:
        yield process
    finally:
        for each in running():
            if each.pid in descendants(running(), process.pid):
                os.kill(each.pid, 9)
        process.wait()


def test_no_ray(tmp_path: Path, room: Path) -> None:
    assert code_of(LocalRay(python=tmp_path / "python"))[0] == "no-ray"
    assert list(room.iterdir()) == []


def test_no_room(tmp_path: Path, room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_ray, "NEEDS_MB", 10**9)
    monkeypatch.setattr(local_ray, "_free_memory_mb", lambda: None)
    code, said = code_of(LocalRay(python=fake(tmp_path, "")))
    assert code == "ray-no-room" and "MB of disk" in said
    monkeypatch.setattr(local_ray, "NEEDS_MB", 2)
    monkeypatch.setattr(local_ray, "_free_memory_mb", lambda: 1)
    code, said = code_of(LocalRay(python=tmp_path / "bin" / "python"))
    assert code == "ray-no-room" and "2 MB of memory; 1 MB are free" in said
    assert list(room.iterdir()) == []


def test_its_last_words_are_said(tmp_path: Path, room: Path) -> None:
    code, said = code_of(LocalRay(python=fake(tmp_path, "import sys; sys.exit('ports are odd')")))
    assert code == "ray-not-started" and "ports are odd" in said
    assert list(room.iterdir()) == []


def test_one_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_ray, "START_S", 1.0)
    ours: list[Running] = []
    stop = LocalRay._stop

    def look_first(ray: LocalRay) -> None:
        ours.extend(ray.processes())
        stop(ray)

    monkeypatch.setattr(LocalRay, "_stop", look_first)
    environ = dict(os.environ) | {"SYNAPSE_ACCESS_TOKEN": "a-users-token", "RAY_ADDRESS": "elsewhere"}
    code, said = code_of(LocalRay(python=fake(tmp_path, HANGS), environ=environ))
    assert code == "ray-not-started"
    assert "up to nothing None disabled" in said and "/empty" in said
    assert len(ours) == 2 and [each for each in ours if still_runs(each)] == []
    assert list(room.iterdir()) == []


def test_a_taken_port_means_another_address_and_none_left_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_ray.tempfile, "gettempdir", lambda: str(tmp_path))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(local_ray, "DASHBOARD_PORT", taken.getsockname()[1])
        monkeypatch.setattr(local_ray, "MOST_HOSTS", 1)
        with pytest.raises(OutOfReach) as caught:
            local_ray._claim_host()
        assert caught.value.code == "ray-port-taken"
        if sys.platform == "linux":
            monkeypatch.setattr(local_ray, "MOST_HOSTS", 2)
            host, claim = local_ray._claim_host()
            assert host == "127.0.0.2"
            # Another that begins at the same moment takes another one, though nobody listens there yet.
            monkeypatch.setattr(local_ray, "MOST_HOSTS", 3)
            other, more = local_ray._claim_host()
            assert other == "127.0.0.3"
            more.close()
            claim.close()
            host, claim = local_ray._claim_host()
            assert host == "127.0.0.2"
            claim.close()


@pytest.mark.parametrize(
    ("words", "runs"),
    [
        ("python3 upload.py", True),
        ("/x/virtualenv/bin/python3.12 upload.py", True),
        ("/bin/sh -c python3 upload.py", False),
        ("python3 other.py upload.py", False),
        ("python3", False),
    ],
)
def test_the_script_is_told_from_the_shell_around_it(words: str, runs: bool) -> None:
    assert local_ray._runs(words.split(), "upload.py") is runs


def test_the_users_package_index_is_kept(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    assert local_ray._pip_settings(environ) is None
    settings = tmp_path / ".config" / "pip" / "pip.conf"
    settings.parent.mkdir(parents=True)
    settings.write_text("")
    assert local_ray._pip_settings(environ) == settings
    assert local_ray._pip_settings(environ | {"PIP_CONFIG_FILE": "/other"}) is None


@pytest.mark.parametrize("way", ["proc", "ps"])
def test_a_process_and_its_children(
    way: str, child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if way == "ps":
        if not Path("/bin/ps").exists():
            pytest.skip("no ps on this machine")
        monkeypatch.setattr(processes, "_PROC", tmp_path)
    elif not Path("/proc/self/stat").exists():
        pytest.skip("no /proc on this machine")
    deadline = time.monotonic() + 20
    while len(descendants(running(), child.pid)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    everything = {each.pid: each for each in running()}
    first, second = (everything[pid] for pid in sorted(descendants(everything.values(), child.pid)))
    assert (first.pid, second.parent) == (child.pid, child.pid)
    assert "time.sleep(300)" in second.command and os.getpid() not in descendants(everything.values(), child.pid)
    assert still_runs(first)
    assert not still_runs(Running(first.pid, first.parent, "another time", first.words))
    child.kill()
    # Nobody has collected it yet: it is over all the same.
    while still_runs(first):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("ours", [True, False])
def test_the_dashboard_of_another_ray_is_not_taken_for_ours(
    ours: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"session_name": "session_1"}' if "version" in self.path else b"[]")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(local_ray, "DASHBOARD_PORT", server.server_address[1])
    (tmp_path / "r" / ("session_1" if ours else "session_2")).mkdir(parents=True)
    ray = LocalRay()
    ray.host, ray.folder = "127.0.0.1", tmp_path
    assert ray._answers() is ours
    server.shutdown()
    server.server_close()
    assert not ray._answers()
