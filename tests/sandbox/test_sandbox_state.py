"""Starting, stopping, killing, starting again; seeds; and what is said when it can't start."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading

import pytest
import sandbox
from sandbox_fixture import COLLECTION, SCRIPT, SEED, seed_with
from synapse_sandbox import BadInput
from synapse_sandbox.seed import read_seed


def run(*arguments, **more):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, **more)


def one_unit(box, name="a"):
    files = {
        "image_1": {"checksum": box.put_file(f"{name}.png", name.encode()), "path": f"{name}/a.png"},
        "label_1": {"checksum": box.put_file(f"{name}.json", b"{}"), "path": f"{name}/a.json"},
    }
    return box.post("/data_units/", {"data_collection": COLLECTION, "files": files, "meta": {"name": name}})["id"]


def test_everything_survives_a_restart_and_a_kill(sandbox_factory):
    box = sandbox_factory()
    host, token = box.host, box.token
    first = one_unit(box)
    link = box.post("/data_files/presigned_upload/upload/", {"files": [{"filename": "late.bin", "size": 3}]})["files"][0]
    box.set(echo=["meta"])
    before = box.units()

    box.restart()
    assert (box.host, box.token) == (host, token)
    assert box.units() == before
    assert box.settings()["echo"] == ["meta"], "the same seed again changes nothing back"
    assert box.request("PUT", link["presigned_url"], b"abc", {"Synapse-Access-Token": ""})[0] == 200

    box.restart(kill=True)
    assert box.units() == before
    entry = {"file_key": link["file_key"], "checksum": "a9993e364706816aba3e25717850c26c9cd0d89d", "size": 3}
    assert box.post("/data_files/presigned_upload/confirm_upload/", {"files": [entry]})["created_count"] == 1
    assert one_unit(box, "b") > first, "ids are never given twice"
    url = box.get(f"/data_units/{first}/")["files"]["image_1"]["url"]
    assert box.request("GET", url)[1] == "a"
    assert box.stop() == 0


def test_another_seed_is_applied_over_what_is_there(sandbox_factory):
    box = sandbox_factory()
    one_unit(box)
    changed = seed_with(settings={"echo": ["path"]})
    changed["collections"][0]["name"] = "CT scans, renamed"
    (box.folder / "seed.json").write_text(json.dumps(changed))
    box.restart()
    assert box.get(f"/data_collections/{COLLECTION}/")["name"] == "CT scans, renamed"
    assert box.settings()["echo"] == ["path"]
    assert len(box.units()) == 1


def test_without_a_seed_there_is_something_to_try(sandbox_factory):
    box = sandbox_factory(seed=None)
    assert [row["name"] for row in box.get("/data_collections/")["results"]] == ["Examples"]
    assert box.get("/storages/?category=internal")["results"][0]["is_default"]
    assert box.get("/agents/")["results"][0]["url"] == box.host


def test_the_ready_file_is_private_and_goes_when_the_server_goes(sandbox_factory):
    box = sandbox_factory()
    ready = box.folder / "ready.json"
    assert stat.S_IMODE(ready.stat().st_mode) == 0o600
    assert json.loads(ready.read_text()) == {"host": box.host, "token": box.token, "pid": box.pid}
    assert stat.S_IMODE(box.state.stat().st_mode) == 0o700
    assert box.token not in box.log(), "the token is in the ready file and nowhere else"
    assert box.stop() == 0
    assert not ready.exists()


def test_ctrl_c_is_how_it_is_stopped(sandbox_factory):
    box = sandbox_factory()
    os.kill(box.pid, signal.SIGINT)
    assert box._process.wait(timeout=10) == 0
    assert "Traceback" not in box.log()


def test_it_listens_on_this_machine_only(sandbox_factory):
    box = sandbox_factory()
    port = int(box.host.rpartition(":")[2])
    listening = set()
    with open("/proc/net/tcp") as table:
        for line in list(table)[1:]:
            local, state = line.split()[1], line.split()[3]
            if state == "0A" and int(local.rpartition(":")[2], 16) == port:
                listening.add(local.partition(":")[0])
    assert listening == {"0100007F"}


def test_many_at_once(sandbox_factory):
    """As many clients as an impatient engine has, all at the same moment: every unit once, no id twice."""
    box = sandbox_factory()
    made, failed = [], []

    def work(number):
        try:
            made.extend(one_unit(box, f"{number}-{turn}") for turn in range(3))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(set(made)) == 96 == len(box.units())


def test_two_on_one_state(sandbox_factory):
    box = sandbox_factory()
    done = run("serve", "--state", box.state, "--json")
    assert done.returncode == 3
    assert "another sandbox is running" in json.loads(done.stdout)["error"]["message"]


def test_a_port_that_is_taken(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("serve", "--state", tmp_path / "state", "--port", taken.getsockname()[1])
    assert done.returncode == 3
    assert "can't be had" in done.stderr and "next: Leave --port out" in done.stderr


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "the seed must be an object"),
        ({"colections": []}, "seed.colections: no such key"),
        ({"collections": [{"id": "57", "name": "x"}]}, "seed.collections[0].id must be a whole number"),
        ({"collections": [{"id": 1}]}, "seed.collections[0].name must be a text"),
        ({"agents": [{"id": 1, "name": "x"}, {"id": 1, "name": "y"}]}, "seed.agents[1].id: 1 is there twice"),
        (
            {"collections": [{"id": 1, "name": "x", "file_specifications": [{"name": "a"}, {"name": "a"}]}]},
            "every one needs a name of its own",
        ),
        (
            {"collections": [{"id": 1, "name": "x", "meta": {"data_unit_meta_schema": {"type": "objekt"}}}]},
            "seed.collections[0].meta.data_unit_meta_schema is not a JSON Schema",
        ),
        ({"settings": {"echo": "none"}}, "seed.settings.echo: a list of any of"),
    ],
)
def test_a_bad_seed(tmp_path, document, words):
    (tmp_path / "seed.json").write_text(document if isinstance(document, str) else json.dumps(document))
    with pytest.raises(BadInput) as error:
        read_seed(tmp_path / "seed.json")
    assert words in str(error.value)


def test_a_bad_faults_file_and_files_that_are_not_there(tmp_path):
    (tmp_path / "faults.json").write_text('{"faults": [{"kind": "slow", "route": "unit.create"}]}')
    done = run("serve", "--state", tmp_path / "state", "--faults", tmp_path / "faults.json")
    assert done.returncode == 1
    assert "no route 'unit.create'" in done.stderr and "units.create" in done.stderr
    done = run("serve", "--state", tmp_path / "state", "--seed", tmp_path / "none.json")
    assert (done.returncode, "can't be read" in done.stderr) == (1, True)
    assert not (tmp_path / "state").exists(), "nothing was begun"


def test_a_state_that_is_something_else(tmp_path):
    (tmp_path / "file").write_text("")
    assert run("serve", "--state", tmp_path / "file").returncode == 3
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "sandbox.sqlite").write_bytes(b"not a database, whatever it is called" * 200)
    done = run("serve", "--state", tmp_path / "state")
    assert done.returncode == 1 and "can't be opened" in done.stderr


def test_usage(capsys):
    for arguments, code in ((["serve", "--help"], 0), (["serve"], 2), ([], 2)):
        with pytest.raises(SystemExit) as ended:
            sandbox.main(arguments)
        assert ended.value.code == code
    said = capsys.readouterr().out
    for words in ("examples:", "exit codes:", "commit-late", "units.create", "--latency-ms"):
        assert words in said


def test_json_says_where_without_the_token(tmp_path):
    (tmp_path / "seed.json").write_text(json.dumps(SEED))
    command = [sys.executable, str(SCRIPT), "serve", "--state", str(tmp_path / "state"), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        said = json.loads(process.stdout.readline())
        ready = json.loads((tmp_path / "state" / "ready.json").read_text())
        process.terminate()
        assert process.wait(timeout=10) == 0
    assert set(said) == {"host", "pid", "ready_file"}
    assert (said["host"], said["pid"]) == (ready["host"], ready["pid"]) and ready["token"]
