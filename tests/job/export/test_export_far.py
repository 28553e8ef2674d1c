"""Exports to real protocols: S3, a storage of the backend, GCS, SFTP; killed on the way; and on another machine."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from export_fixture import ExportJob, row
from forked import Forked
from job_fixture import killing
from sandbox_fixture import Sandbox, sandboxes, seed_with
from sources.trees import Front, S3Tree, gcs_server, s3_server, ssh_server
from synapse_skills.errors import redact
from synapse_skills.job.lease import Lease
from synapse_skills.sources import open_store

pytestmark = pytest.mark.heavy

STORAGE = 12
ROWS = 12
SECRETS = ("a-very-secret-key", "a-long-password")
WRITE = "synapse_skills.sources.store:RemoteStore.write"


class FarJob(ExportJob):
    """An export job whose scripts find the servers of this module."""

    def start(self, *flags: str, before: Any = None, **env: str) -> Forked:
        names = ("SYNAPSE_S3_", "SYNAPSE_SFTP_", "STORAGE_EMULATOR_HOST", "SYNAPSE_GCS_")
        mine = {name: value for name, value in os.environ.items() if name.startswith(names)}
        return super().start(*flags, before=before, **mine | {"SYNAPSE_SOURCE_TIMEOUT_S": "5"} | env)

    def forget(self) -> None:
        """The next run is on another machine, which knows only what lies at the storage."""
        for folder in (self.state, self.folder / "user"):
            shutil.rmtree(folder, ignore_errors=True)

    def whole(self, url: str) -> dict[str, bytes]:
        """Everything that is at a place, read with a store of its own and held against the manifest."""
        with open_store(url) as store:
            found = {each.name: store.read(each.name) or b"" for each in store.list()}
        assert found["COMPLETE"].decode().strip() == hashlib.sha256(found["manifest.json"]).hexdigest()
        said = {each["path"]: each["sha256"] for each in json.loads(found["manifest.json"])["files"]}
        marks = {".synapse-export", "COMPLETE", "manifest.json"}
        assert {name: hashlib.sha256(found[name]).hexdigest() for name in set(found) - marks} == said
        return found


@pytest.fixture(scope="module")
def s3() -> Iterator[Front]:
    with s3_server() as front:
        yield front


@pytest.fixture(scope="module")
def bucket(s3: Front) -> S3Tree:
    return S3Tree()


@pytest.fixture(scope="module")
def far_box(tmp_path_factory: pytest.TempPathFactory, bucket: S3Tree) -> Iterator[Any]:
    storage = {
        "id": STORAGE,
        "name": "Sets",
        "category": "external",
        "provider": "minio",
        "configuration": {"bucket_name": bucket.bucket, "endpoint_url": os.environ["SYNAPSE_S3_ENDPOINT_URL"]},
        "credential": {"access_key": "an-access-key", "secret_key": SECRETS[0]},
    }
    projects = [{"id": number, "title": f"project {number}"} for number in range(1, 60)]
    with sandboxes(tmp_path_factory.mktemp("far")) as start:
        box = start(seed=seed_with(projects=projects, storages=[*seed_with()["storages"], storage]))
        box.next_project = itertools.count(1)
        yield box


@pytest.fixture
def far(tmp_path: Path, far_box: Sandbox, s3: Front) -> FarJob:
    s3.faults.clear()
    job = FarJob(tmp_path / "export", far_box, next(far_box.next_project))  # type: ignore[attr-defined]
    job.label(*(row(number) for number in range(ROWS)))
    return job


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, bucket: S3Tree) -> Iterator[tuple[str, str]]:
    """The URL of a folder of each kind, not there yet; and what the tests read, by another way if there is one."""
    name = f"sets/{tmp_path.name}"
    if request.param == "s3":
        yield (f"s3://{bucket.bucket}/{name}",) * 2
    elif request.param == "storage":
        yield f"storage://{STORAGE}/{name}", f"s3://{bucket.bucket}/{name}"
    elif request.param == "gs":
        from gcp_storage_emulator.handlers.buckets import create_bucket

        with gcs_server() as (_, storage):
            create_bucket("sets", storage)
            yield (f"gs://sets/{name}",) * 2
    else:
        with ssh_server(tmp_path) as server:
            (server.root / "sets").mkdir()
            yield f"sftp://someone@127.0.0.1:{server.port}/{name}", str(server.root / name)


@pytest.mark.parametrize("place", ["s3", "storage", "gs", "sftp"], indirect=True)
def test_an_export_arrives_at_every_kind_of_place(far: FarJob, place: tuple[str, str]) -> None:
    url, there = place
    far.plan_with(output=url, originals="required")
    far.run("--dry-run")
    with open_store(there) as store:
        assert list(store.list()) == []
    done = far.run()
    assert f" put to {redact(url)}, 0 were there already" in done.stdout
    found = far.whole(there)
    coco = json.loads(found["coco/annotations/instances.json"])
    assert len(coco["images"]) == ROWS and len(coco["annotations"]) == far.report()["annotations"]["read"]
    assert sum(name.startswith("coco/") and name.endswith(".png") for name in found) == ROWS
    # No login is in the output, nor in what the job keeps and says.
    kept = b"".join(found.values()) + b"".join(path.read_bytes() for path in far.home.rglob("*") if path.is_file())
    assert not [secret for secret in SECRETS if secret.encode() in kept or secret in done.stdout + done.stderr]
    # Another machine finds all of it, and puts nothing there.
    far.forget()
    assert "0 files (0 bytes) put" in far.run().stdout


def test_pycocotools_reads_what_lies_in_a_bucket(far: FarJob, tmp_path: Path, bucket: S3Tree) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    far.plan_with(output=f"{bucket.url}/{tmp_path.name}")
    far.run()
    # Straight out of the server's memory: none of our own readers is in between.
    key = f"data/{tmp_path.name}/coco/annotations/instances.json"
    (tmp_path / "there.json").write_bytes(bucket._backend.get_object(bucket.bucket, key).value)
    there = coco.COCO(str(tmp_path / "there.json"))
    assert len(there.getImgIds()) == ROWS and len(there.getAnnIds()) == far.report()["annotations"]["read"]


@pytest.mark.parametrize(("nth", "when"), [(1, "after"), (2, "before"), (9, "after"), (13, "before"), (14, "after")])
@pytest.mark.parametrize("same_machine", [True, False])
def test_killed_on_the_way(
    far: FarJob, tmp_path: Path, bucket: S3Tree, nth: int, when: str, same_machine: bool
) -> None:
    url = f"{bucket.url}/{tmp_path.name}"
    far.plan_with(output=url)
    far.run(before=killing(WRITE, nth, when=when), expect=-signal.SIGKILL)
    with open_store(url) as store:
        assert not store.exists("COMPLETE")
    if not same_machine:
        far.forget()
    far.run()
    far.whole(url)


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random_while_what_is_there_changes(
    far: FarJob, tmp_path: Path, bucket: S3Tree, s3: Front, seed: int
) -> None:
    url, rng = f"{bucket.url}/{tmp_path.name}", random.Random(seed)
    # The state lies at the storage as well: each run may be on a machine of its own.
    far.plan_with(output=url, state=f"{bucket.url}/state-{tmp_path.name}")
    far.run(before=impatient)
    for number in range(3):
        far.label(row(100 + number))
        process = far.start(before=impatient)
        end = time.monotonic() + rng.uniform(0.2, 2.5)
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        # Whatever there is that calls itself complete is.
        with open_store(url) as store:
            if store.exists("COMPLETE"):
                far.whole(url)
        if rng.random() < 0.5:
            far.forget()
    far.run(before=impatient)
    found = far.whole(url)
    assert len(json.loads(found["coco/annotations/instances.json"])["images"]) == ROWS + 3


def impatient() -> None:
    """A dead run elsewhere is watched for a second, not for thirty."""
    init = Lease.__init__

    def made(self: Lease, *args: Any, **more: Any) -> None:
        init(self, *args, **more | {"beat_s": 0.1, "stale_s": 0.5})

    Lease.__init__ = made  # type: ignore[method-assign]


def test_a_storage_that_refuses_ends_it_before_anything_is_fetched(far: FarJob, tmp_path: Path) -> None:
    far.plan_with(output="s3://no-such-bucket-here/sets")
    done = far.run(expect=3)
    assert "no such bucket" in done.stderr and not (far.state / "spool").exists()
    far.plan_with(output="storage://77/sets")
    assert "There is no storage 77" in far.run(expect=1).stderr
