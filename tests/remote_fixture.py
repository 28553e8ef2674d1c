"""A job whose files lie in several places at once: images in a folder, labels on S3, masks here; the seed's example."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forked import Forked
from job_fixture import PNG, Job
from sandbox_fixture import COLLECTION, STORAGE, Sandbox, SandboxFactory, seed_with
from sources.trees import Front, S3Tree, s3_server
from synapse_skills.plan import GroupingPlan, Limits, SourcePlan, SpecPlan, UploadPlan, plan_bytes
from synapse_skills.rendering.script import render_script

MIXED_SPECS = (
    SpecPlan(name="image_1", file_type="image", extensions=(".png",), takes=(".png",), is_required=True),
    SpecPlan(name="label_1", file_type="data", extensions=(".json",), takes=(".json",), is_required=True),
    SpecPlan(name="mask_1", file_type="image", extensions=(".png",), takes=(".png",)),
)
SECRET = "a-very-secret-key"


LABEL_STORAGE = 12


def mixed_seed(tree: S3Tree) -> dict[str, Any]:
    """A collection that takes images, labels and masks, and a storage of the backend that is a bucket."""
    specs = [
        {"id": number, **spec.model_dump(include={"name", "file_type", "is_required"}), "extensions": spec.extensions}
        for number, spec in enumerate(MIXED_SPECS, 1)
    ]
    bucket = {
        "id": LABEL_STORAGE,
        "name": "Labels",
        "category": "external",
        "provider": "minio",
        "configuration": {"bucket_name": tree.bucket, "endpoint_url": os.environ["SYNAPSE_S3_ENDPOINT_URL"]},
        "credential": {"access_key": "an-access-key", "secret_key": SECRET},
    }
    return seed_with(
        collections=[{"id": COLLECTION, "name": "Mixed", "meta": None, "file_specifications": specs}],
        storages=[*seed_with()["storages"], bucket],
    )


class MixedJob(Job):
    """The job of this folder's tests: what it has in each place, by data unit."""

    def __init__(self, folder: Path, box: Sandbox, tree: S3Tree) -> None:
        self.tree = tree
        self.images, self.masks = folder / "mount" / "images", folder / "masks"
        for each in (self.images, self.masks):
            each.mkdir(parents=True)
        self.files: dict[str, dict[str, bytes]] = {}
        super().__init__(folder, box)

    def sources(self, *, through_backend: bool = False) -> tuple[SourcePlan, ...]:
        """Where the files are; labels with the backend's own login to their storage, if that is wanted."""
        place = f"{self.tree.url}/labels"
        labels = SourcePlan(path=place, spec="label_1", credentials="variables")
        if through_backend:
            path = place.partition(f"{self.tree.bucket}/")[2]
            labels = SourcePlan(path=path, spec="label_1", storage=LABEL_STORAGE, credentials="storage")
        return (
            labels,
            SourcePlan(path=str(self.images), spec="image_1"),
            SourcePlan(path=str(self.masks), recursive=False, spec="mask_1"),
        )

    def plan_with(self, **changes: Any) -> UploadPlan:
        fields: dict[str, Any] = {
            "name": "mixed",
            "data_collection": COLLECTION,
            "storage": STORAGE,
            "sources": self.sources(),
            "grouping": GroupingPlan(by="stem"),
            "specs": MIXED_SPECS,
            "limits": Limits(batch_size=3, settle_after_s=0.4),
        }
        self.plan = UploadPlan(**fields | changes)
        (self.job / "plan.json").write_bytes(plan_bytes(self.plan))
        (self.job / "upload.py").write_bytes(render_script(self.plan))
        return self.plan

    def script(self, **parts: Any) -> None:
        """The rendered one, as it is."""

    def unit(self, key: str, files: Any = None) -> None:
        self.files[key] = {
            "image_1": PNG + key.encode(),
            "label_1": json.dumps({"unit": key}).encode(),
            "mask_1": PNG + b"mask of " + key.encode(),
        }
        (self.images / f"{key}.png").write_bytes(self.files[key]["image_1"])
        (self.masks / f"{key}.png").write_bytes(self.files[key]["mask_1"])
        self.tree.put(f"labels/{key}.json", self.files[key]["label_1"])

    def start(self, *flags: str, before: Any = None, **env: str) -> Forked:
        mine = {name: value for name, value in os.environ.items() if name.startswith(("SYNAPSE_S3_", "SYNAPSE_SFTP_"))}
        return super().start(*flags, before=before, **mine | {"SYNAPSE_SOURCE_TIMEOUT_S": "5"} | env)

    def wanted(self) -> Counter[str]:
        return Counter(
            _text(key, {s: hashlib.sha1(c).hexdigest() for s, c in f.items()}) for key, f in self.files.items()
        )

    def there(self) -> Counter[str]:
        return Counter(
            _text(
                next(iter(unit["files"].values()))["path"].split("/")[0],
                {spec: row["checksum"] for spec, row in unit["files"].items()},
            )
            for unit in self.box.units()
        )

    @property
    def staged(self) -> list[Path]:
        """What lies in a staging folder of this job, wherever it has one."""
        return [path for path in self.folder.rglob("staging/*") if path.is_file()]


def _text(key: str, sums: dict[str, str]) -> str:
    return f"{key}: {sorted(sums.items())}"


@pytest.fixture(scope="module")
def s3() -> Iterator[Front]:
    """One S3 for a module's tests, each with a bucket of its own."""
    with s3_server() as front:
        yield front


@pytest.fixture
def mixed(tmp_path: Path, sandbox_factory: SandboxFactory, s3: Front) -> MixedJob:
    """A job over three places, without any data yet."""
    s3.faults.clear()
    tree = S3Tree()
    return MixedJob(tmp_path / "upload", sandbox_factory(seed=mixed_seed(tree)), tree)
