"""Names of files that are no names, and real labelled pictures: both go through the sandbox unchanged."""

from __future__ import annotations

import hashlib
import json
import os
import unicodedata
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox_fixture import SEED, Sandbox, sandboxes

REAL = Path(os.environ.get("SYNAPSE_SKILLS_TEST_DATA", "/nonexistent"))
NAMES = [
    "../../x.png",
    "..",
    "a/b.png",
    "C:\\x\\y.png",
    "/etc/passwd",
    "a\nb.png",
    "a\x00b.png",
    "CON.png",
    "100% & ?x=1#y.png",
    "가" * 100 + ".png",
    unicodedata.normalize("NFC", "각.png"),
    unicodedata.normalize("NFD", "각.png"),
    "😀.png",
    "trailing. ",
]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandboxes(tmp_path_factory.mktemp("names")) as start:
        yield start(seed=SEED)


def test_any_name_comes_back_and_its_link_leads_to_its_bytes(box):
    rows = [
        {"data": {}, "data_unit": {"files": {"image_1": {"file_name_original": name, "content": f"{at}"}}}}
        for at, name in enumerate(NAMES)
    ]
    ids = [made["id"] for made in box.label(*rows)]
    found = {row["id"]: row["file"] for row in box.get("/sdk/assignments/")["results"]}
    assert [found[number]["file_name_original"] for number in ids] == NAMES
    for at, number in enumerate(ids):
        with urllib.request.urlopen(found[number]["url"]) as response:
            assert response.read() == f"{at}".encode()
            assert "\n" not in response.headers["Content-Disposition"]


@pytest.mark.skipif(not REAL.is_dir(), reason="SYNAPSE_SKILLS_TEST_DATA names no folder")
def test_real_labels_and_their_pictures(sandbox_factory):
    folder = REAL / "dm_v1"
    lines = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
    project = json.loads((folder / "project.json").read_text())
    truths = [json.loads(line) for line in (folder / "items_gt_sample.jsonl").read_text().splitlines()]
    box = sandbox_factory(
        seed={
            "files_root": str(REAL),
            "projects": [project],
            "assignments": lines,
            "ground_truths": [{"id": 3, "name": "GT", "project": 1, "versions": [{"id": 5, "records": truths}]}],
            "settings": {"wrap_bytes": None, "max_page_size": 200, "page_size": 200},
        }
    )
    rows = {row["id"]: row for row in box.get("/sdk/assignments/?project=1&expand=data_unit")["results"]}
    assert len(rows) == len(lines)
    for line in lines:
        row = rows[line["id"]]
        assert row["data"] == line["data"] and row["data_unit"]["meta"] == line["data_unit"]["meta"]
        assert row["tags"] == line["tags"] and row["status_label"] == line["status_label"]
    first = lines[0]["file"]
    with urllib.request.urlopen(rows[lines[0]["id"]]["file"]["url"]) as response:
        assert hashlib.md5(response.read()).hexdigest() == first["checksum"]
    events = box.get("/sdk/ground_truth_events/?ground_truth_dataset_versions=5")["results"]
    assert sorted(row["pgh_id"] for row in events) == sorted(row["pgh_id"] for row in truths)
