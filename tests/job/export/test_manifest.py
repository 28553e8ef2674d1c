"""The manifest is read line by line, and at once if somebody has edited it."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path

import pytest

from synapse_skills.job.export import manifest
from synapse_skills.job.export.manifest import files_below, read_manifest, walk, write_manifest
from synapse_skills.on_disk import in_order

FILES = [("coco/b.json", 5, "aa"), ("yolo/ü.txt", 7, "bb")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "manifest.json"


def test_what_was_written_is_read(path: Path) -> None:
    count, size, digest = write_manifest(path, {"formats": {"coco": {"rows": {"": 3}}}, "records": 2}, FILES)
    assert (count, size, digest) == (2, 12, hashlib.sha256(path.read_bytes()).hexdigest())
    read = read_manifest(path)
    assert (read.version, read.counts.records, read.counts.formats["coco"].rows) == (1, 2, {"": 3})
    assert read.digest == digest and read.held is None
    assert [(each.path, each.bytes, each.sha256) for each in read.files()] == FILES


def test_another_shape_is_read_at_once(path: Path) -> None:
    write_manifest(path, {"records": 2}, FILES)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=1))
    read = read_manifest(path)
    assert read.held is not None and [each.path for each in read.files()] == [name for name, _, _ in FILES]


@pytest.mark.parametrize("cut", [1, 4, 30, 120])
def test_one_that_was_cut_off_is_none(path: Path, cut: int) -> None:
    write_manifest(path, {"records": 2}, FILES)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(ValueError):
        read_manifest(path)


def test_one_without_files_is_one(path: Path) -> None:
    write_manifest(path, {"records": 0}, [])
    assert list(read_manifest(path).files()) == []


@pytest.mark.parametrize("most", [2, 1000])
def test_files_come_in_one_order_however_many(tmp_path: Path, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "in_order", functools.partial(in_order, most=most))
    for name in ("b/2.txt", "b/1.txt", "b/10.txt", "b-1/x", "a", "ß", "Z"):
        place = tmp_path / "coco" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(name)
    (tmp_path / "coco" / "link").symlink_to(tmp_path)
    names = list(walk(tmp_path / "coco"))
    assert names == ["Z", "a", "b/1.txt", "b/10.txt", "b/2.txt", "b-1/x", "link", "ß"]
    (tmp_path / "coco" / "link").unlink()
    listed = list(files_below(tmp_path, "coco"))
    assert listed[1] == ("coco/a", 1, hashlib.sha256(b"a").hexdigest()) and len(listed) == len(names) - 1
