"""Starting, stopping, killing, starting again; seeds; and what is said when it can't start."""

import json
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from synapse_sdk.clients.backend import BackendClient

import sandbox
from sandbox_fixture import AGENT, COLLECTION, SCRIPT, SEED, seed_with
from synapse_sandbox import BadInput
from synapse_sandbox.seed import parse_seed, read_seed
from synapse_sandbox.store import Store
from synapse_skills import errors


def main(*arguments):
    return errors.run(sandbox.main, [str(argument) for argument in arguments])


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
    link = box.post("/data_files/presigned_upload/upload/", {"files": [{"filename": "late.bin", "size": 3}]})["files"][
        0
    ]
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
    assert not (box.folder / "ready.json").exists(), "it goes when the server goes"


def test_another_seed_is_applied_over_what_is_there(tmp_path):
    with closing(Store(tmp_path)) as store:
        store.sow(parse_seed(SEED))
        store.change_settings(store.settings.changed({"echo": []}))
        store.sow(parse_seed(SEED))
        assert store.settings.echo == (), "the same seed again changes nothing back"
    with closing(Store(tmp_path)) as store:
        assert store.settings.echo == ()
        store.sow(parse_seed(seed_with(collections=[{"id": COLLECTION, "name": "Renamed"}], agents=[])))
        assert store.find("collection", COLLECTION)["name"] == "Renamed"
        assert [row["id"] for row in store.catalogue("agent")] == [AGENT], "what the seed leaves out stays"
        assert store.settings.echo == ("path", "checksum", "meta", "groups")


def test_without_a_seed_there_is_something_to_try_and_ctrl_c_stops_it(tmp_path):
    command = [sys.executable, str(SCRIPT), "serve", "--state", str(tmp_path / "state"), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        said = json.loads(process.stdout.readline())
        ready = json.loads((tmp_path / "state" / "ready.json").read_text())
        with BackendClient(ready["host"], access_token=ready["token"]) as client:
            assert [row["name"] for row in client.list_data_collections()["results"]] == ["Examples"]
            assert client.get_default_storage()["is_default"]
            assert client.list_agents()[0].url == ready["host"]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
        assert process.stderr.read() == ""
    assert said == {"host": ready["host"], "pid": ready["pid"], "ready_file": str(tmp_path / "state" / "ready.json")}


def test_the_ready_file_is_private(box):
    ready = box.folder / "ready.json"
    assert stat.S_IMODE(ready.stat().st_mode) == 0o600
    assert json.loads(ready.read_text()) == {"host": box.host, "token": box.token, "pid": box.pid}
    assert stat.S_IMODE(box.state.stat().st_mode) == 0o700
    assert stat.S_IMODE((box.state / "sandbox.sqlite").stat().st_mode) == 0o600
    assert box.token not in box.log(), "the token is in the ready file and nowhere else"


def test_it_stops_while_somebody_waits_for_an_answer(sandbox_factory):
    box = sandbox_factory(faults=[{"kind": "slow", "route": "agents.list", "seconds": 60}])
    with pytest.raises(TimeoutError):
        box.request("GET", "/agents/", timeout=0.2)
    started = time.monotonic()
    assert box.stop() == 0
    assert time.monotonic() - started < 6
    assert "Traceback" not in box.log()


def test_it_listens_on_this_machine_only(box):
    port = int(box.host.rpartition(":")[2])
    listening = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, state = line.split()[1], line.split()[3]
        if state == "0A" and int(local.rpartition(":")[2], 16) == port:
            listening.add(local.partition(":")[0])
    assert listening == {"0100007F"}


def test_many_at_once(box):
    """As many clients as an impatient engine has, all at the same moment: every unit once, no id twice."""
    before = len(box.units())
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
    assert len(set(made)) == 96 == len(box.units()) - before


def test_two_on_one_state(box, capsys):
    assert main("serve", "--state", box.state, "--json") == 3
    assert "another sandbox is running" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_a_port_that_is_taken(tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main("serve", "--state", tmp_path / "state", "--port", taken.getsockname()[1]) == 3
    said = capsys.readouterr().err
    assert "can't be had" in said and "next: Leave --port out" in said


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


def test_a_bad_faults_file_and_files_that_are_not_there(tmp_path, capsys):
    (tmp_path / "faults.json").write_text('{"faults": [{"kind": "slow", "route": "unit.create"}]}')
    assert main("serve", "--state", tmp_path / "state", "--faults", tmp_path / "faults.json") == 1
    said = capsys.readouterr().err
    assert "no route 'unit.create'" in said and "units.create" in said
    assert main("serve", "--state", tmp_path / "state", "--seed", tmp_path / "none.json") == 1
    assert "can't be read" in capsys.readouterr().err
    assert not (tmp_path / "state").exists(), "nothing was begun"


def test_a_state_that_is_something_else(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main("serve", "--state", tmp_path / "file") == 3
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "sandbox.sqlite").write_bytes(b"not a database, whatever it is called" * 200)
    assert main("serve", "--state", tmp_path / "state") == 1
    assert "can't be opened" in capsys.readouterr().err


def test_usage(capsys):
    for arguments, code in ((["serve", "--help"], 0), (["serve"], 2), ([], 2)):
        with pytest.raises(SystemExit) as ended:
            sandbox.main(arguments)
        assert ended.value.code == code
    said = capsys.readouterr().out
    for words in ("examples:", "exit codes:", "commit-late", "units.create", "--latency-ms"):
        assert words in said
