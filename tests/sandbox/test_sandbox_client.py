"""The SDK's own client, unmodified, drives the upload half from the login to the tasks."""

import hashlib
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from synapse_sdk.clients.backend import BackendClient
from synapse_sdk.exceptions import AuthenticationError, NotFoundError, ValidationError
from synapse_sdk.utils.storage.provider import BackendSessionProvider
from synapse_sdk.utils.storage.session import StorageContractVersionError

from sandbox_fixture import AGENT, COLLECTION, PROJECT, STORAGE, sandboxes

PNG = b"\x89PNG\r\n\x1a\n"


def test_agents(client):
    (agent,) = client.list_agents()
    assert (agent.id, agent.name) == (AGENT, "Agent seven")


def test_a_wrong_token_is_told_so(box):
    with pytest.raises(AuthenticationError):
        BackendClient(box.host, access_token="0" * 40).list_agents()


def test_a_user_token_needs_its_tenant(box):
    assert BackendClient(box.host, authorization_token=box.token, tenant="acme").list_agents()
    with pytest.raises(AuthenticationError):
        BackendClient(box.host, authorization_token=box.token).list_agents()


def test_collections(client):
    page = client.list_data_collections()
    assert [row["name"] for row in page["results"]] == ["CT scans"]
    assert page["results"][0]["file_specifications"] == [1, 2, 3], "unexpanded relations are ids"
    specs = client.get_data_collection(COLLECTION)["file_specifications"]
    assert [(spec["name"], spec["is_required"]) for spec in specs] == [
        ("image_1", True),
        ("label_1", True),
        ("scan_1", False),
    ]
    with pytest.raises(NotFoundError):
        client.get_data_collection(58)


def test_storages(client, box):
    assert client.get_default_storage()["id"] == STORAGE
    assert client.get_storage(STORAGE).configuration == {"bucket_name": "main"}
    status, session = box.request("POST", f"/storages/{STORAGE}/session/", {"purpose": "read"})
    assert (status, session["provider"], session["contract_version"]) == (200, "amazon_s3", 1)


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A sandbox whose default storage is a folder: it can be read, and it can't presign."""
    folder = tmp_path_factory.mktemp("disk")
    (folder / "here.txt").write_text("yes")
    storage = {"id": 5, "name": "Disk", "provider": "file_system", "configuration": {"location": str(folder)}}
    with sandboxes(folder) as start:
        yield start(seed={"storages": [storage]})


@pytest.mark.parametrize("session", ["payload", "missing", "not_allowed"])
def test_a_storage_is_opened_with_a_session_or_by_its_configuration(disk, session):
    disk.set(storage_session=session)
    with (
        BackendClient(disk.host, access_token=disk.token) as client,
        BackendSessionProvider(client).open(5, purpose="read") as opened,
    ):
        assert opened.path("here.txt").read_text() == "yes"


def test_a_credential_comes_with_a_session_only_and_ends(sandbox_factory):
    storage = {
        "id": 6,
        "name": "Bucket",
        "provider": "s3",
        "configuration": {"bucket_name": "b", "endpoint_url": "http://127.0.0.1:9"},
        "credential": {"access_key": "who", "secret_key": "what"},
    }
    box = sandbox_factory(seed={"storages": [storage], "settings": {"session_seconds": 60}})
    with BackendClient(box.host, access_token=box.token) as client:
        assert client.get_storage(6).configuration == storage["configuration"]
        opened = BackendSessionProvider(client).open(6, purpose="write")
        assert 0 < (opened.expires_at - datetime.now(UTC)).total_seconds() <= 60
        box.set(session_contract=2)
        with pytest.raises(StorageContractVersionError):
            BackendSessionProvider(client).open(6, purpose="write")
    said = box.post("/storages/6/session/", {"purpose": "read"})
    assert said["configuration"] == {**storage["configuration"], **storage["credential"]}
    assert "credential" not in box.get("/storages/")["results"][0]


def test_projects(client, box):
    assert client.get_project(PROJECT)["title"] == "CT labelling"
    assert box.request("GET", "/projects/")[0] == 404, "v1 has no list of projects"


def test_health_needs_no_token(box):
    assert box.request("GET", "/health/", headers={"Synapse-Access-Token": ""}) == (200, {"status": "ok"})


@pytest.fixture
def uploaded(client, tmp_path):
    paths = []
    for number in range(3):
        for name, content in ((f"{number}.png", PNG + bytes([number])), (f"{number}.json", b'{"n": %d}' % number)):
            paths.append(tmp_path / name)
            paths[-1].write_bytes(content)
    response = client.upload_files_bulk(paths, batch_size=4)
    assert response.failed_count == 0
    checksums = {Path(result.file_key).name: result.checksum for result in response.results}
    assert checksums == {path.name: hashlib.sha1(path.read_bytes()).hexdigest() for path in paths}
    return checksums


def unit(uploaded, number, **more):
    return {
        "data_collection": COLLECTION,
        "files": {
            "image_1": {"checksum": uploaded[f"{number}.png"], "path": f"{number}/{number}.png"},
            "label_1": {"checksum": uploaded[f"{number}.json"], "path": f"{number}/{number}.json"},
        },
        **more,
    }


def test_files_units_and_tasks(client, box, uploaded):
    before = len(box.units())
    answer = client.create_data_units([
        unit(uploaded, 0, meta={"name": "영상 0"}, groups=["a", "b1"]), unit(uploaded, 1), unit(uploaded, 2)
    ])  # fmt: skip
    ids = [row["id"] for row in answer]
    assert ids == sorted(set(ids)) and len(ids) == 3
    single = client.create_data_units(unit(uploaded, 0))
    assert single["id"] > ids[-1], "an object comes back for an object"
    assert len(box.units()) == before + 4

    row = client.get_data_unit(ids[0])
    assert (row["meta"], row["groups"]) == ({"name": "영상 0"}, ["a", "b1"])
    assert row["files"]["image_1"]["path"] == "0/0.png"
    status, content = box.request("GET", row["files"]["label_1"]["url"], headers={"Synapse-Access-Token": ""})
    assert (status, content) == (200, {"n": 0})

    rows, count = client.list_data_units({"data_collection": COLLECTION}, list_all=True, url_conversion={}, page_size=2)
    listed = [row["id"] for row in rows]
    assert listed[-4:] == [*ids, single["id"]] and count == len(listed) == before + 4

    tasks = client.create_tasks({"project": PROJECT, "data": [{"data_unit": number} for number in ids]})
    assert [task["data_unit"] for task in tasks] == ids
    rows, count = client.list_tasks({"project": PROJECT, "expand": "data_unit"}, list_all=True, url_conversion={})
    found = list(rows)
    assert count == 3 and [row["data_unit"]["id"] for row in found] == ids[::-1], "the newest first"
    assert found[0]["data_unit"]["files"]["image_1"]["is_primary"] is True


def test_a_file_ends_in_its_extension(client, uploaded):
    """The SDK names what it downloads by the end of the address, less its parameters."""
    made = client.create_data_units([unit(uploaded, 1)])
    rows, _ = client.list_data_units({"id": made[0]["id"]}, list_all=True, url_conversion={})
    (row,) = rows
    assert row["files"]["image_1"]["url"].partition("?")[0].endswith("/1.png")
    assert row["files"]["image_1"]["file_name_original"] == "1.png"


def test_the_same_data_unit_sent_twice_becomes_two(client, box, uploaded):
    before = len(box.units())
    first = client.create_data_units([unit(uploaded, 0)])
    second = client.create_data_units([unit(uploaded, 0)])
    assert first[0]["id"] != second[0]["id"]
    assert len(box.units()) == before + 2


def test_a_create_committed_behind_a_504_is_doubled_by_the_sdk(client, box, uploaded):
    """What contract/EXPERIMENTS.md e1 saw: the reason for which creates never go through this client."""
    before = len(box.units())
    box.set_faults({"kind": "5xx-after-commit", "route": "units.create", "times": 1})
    client.create_data_units([unit(uploaded, 0), unit(uploaded, 1)])
    assert len(box.units()) == before + 4


def test_multipart(client, box, tmp_path):
    box.set(multipart_threshold=100, part_size=30)
    path = tmp_path / "big.dcm"
    path.write_bytes(os.urandom(100))
    (result,) = client.upload_files_bulk([path], strategy="presigned").results
    assert result.success and result.checksum == hashlib.sha1(path.read_bytes()).hexdigest()
    assert box.requests("files.put") == 4
    assert box.files()[-1]["size"] == 100


def test_a_storage_that_can_not_presign(disk, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    with BackendClient(disk.host, access_token=disk.token) as client:
        with pytest.raises(ValueError, match="file_system"):
            client.upload_files_bulk([path])
        with pytest.raises(ValidationError):
            client.upload_files_bulk([path], strategy="presigned")
        assert client.create_data_file(path)["checksum"] == hashlib.sha1(PNG).hexdigest()


def test_files_straight_through_the_backend(client, box, tmp_path):
    path = tmp_path / "label.json"
    path.write_bytes(b'{"a": 1}')
    assert client.create_data_file(path)["checksum"] == hashlib.sha1(b'{"a": 1}').hexdigest()
    assert box.files()[-1]["filename"] == "label.json"

    chunked = client.create_chunked_upload(path, chunk_size=3)
    assert box.requests("chunked.put") == 3
    assert client.get_chunked_upload(chunked["id"])["completed_at"]
    made = client._post("data_files/", data={"chunked_upload": chunked["id"]})
    assert made["checksum"] == hashlib.sha1(b'{"a": 1}').hexdigest()
    assert box.request("GET", made["file"])[1] == {"a": 1}

    path.write_bytes(b"")
    assert client.create_chunked_upload(path)["id"], "an empty file is a finalize without a chunk"


def test_verify_checksums_compares_the_digest_it_is_told_to(client, box):
    sha1 = box.put_file("known.json", b"known")
    md5 = hashlib.md5(b"known").hexdigest()
    known = client.verify_data_files_checksums([sha1, md5, "0" * 32])
    assert known["existing_checksums"] == [md5]
    box.set(verify_checksums="sha1")
    assert client.verify_data_files_checksums([sha1, md5])["existing_checksums"] == [sha1]


def test_url_host_is_ignored(box):
    with BackendClient(box.host, access_token=box.token, url_host="internal") as client:
        assert client.get_default_storage()["id"] == STORAGE
        assert client.list_data_units({"data_collection": COLLECTION})["results"] is not None


@pytest.mark.parametrize(("token", "code"), [(None, 0), ("wrong" * 8, 1)])
def test_doctor(box, tmp_path, token, code):
    box.login(tmp_path, token=token)
    environment = box.env(tmp_path)
    for name in ("SYNAPSE_HOST", "SYNAPSE_ACCESS_TOKEN"):
        del environment[name]
    doctor = [str(Path(sys.executable).with_name("synapse")), "doctor"]
    done = subprocess.run(doctor, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    assert box.requests("agents.list") == 1, "the token was tried on the backend"
