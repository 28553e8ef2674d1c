"""The demo for real: everything arrives, nothing of the user's is touched, the backend is stopped whatever happens."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import demo
from demonstration import exporting, parts, uploading
from synapse_skills.cluster.local_backend import LocalBackend
from synapse_skills.errors import FindingError, OutOfReach

DEMO = Path(demo.__file__)
UNITS, FILES = 17, 41


def environment(home: Path) -> dict[str, str]:
    """Of a user who is logged in somewhere else, behind a proxy."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SYNAPSE_", "RAY_"))}
    nowhere = "http://127.0.0.1:9"
    kept |= {
        "SYNAPSE_HOST": nowhere,
        "SYNAPSE_ACCESS_TOKEN": "users-own-token",
        "HTTP_PROXY": nowhere,
        "HOME": str(home),
    }
    return kept | {"http_proxy": nowhere, "SYNAPSE_SKILLS_DRY_RUN": "1"}


def start(folder: Path, home: Path, *flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(DEMO), "--out", str(folder), *flags]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(home), cwd=home
    )


def gone(host: str) -> bool:
    """Whether nobody answers there any more."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{host}/health/", timeout=5):
            return False
    except urllib.error.URLError:
        return True


def ready(folder: Path) -> dict[str, Any]:
    """What the running backend says of itself."""
    deadline = time.monotonic() + 30
    while not (folder / "sandbox" / "ready.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    about: dict[str, Any] = json.loads((folder / "sandbox" / "ready.json").read_bytes())
    return about


@dataclass
class Shown:
    """A demo that has ended."""

    folder: Path
    home: Path
    stopped: tuple[int, str, str, bool]
    kept: bool
    code: int
    out: str
    err: str

    @property
    def job(self) -> Path:
        return self.folder / "synapse-jobs" / "everyday-photos"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """One demo that is stopped in the middle, and the next one in the same folder to its end."""
    folder, home = tmp_path_factory.mktemp("demo") / "out", tmp_path_factory.mktemp("home")
    (home / ".synapse").mkdir()
    (home / ".synapse" / "config.json").write_text('{"host": "http://127.0.0.1:9", "access_token": "users-own-token"}')
    first = start(folder, home)
    host = ready(folder)["host"]
    time.sleep(1)
    first.send_signal(signal.SIGTERM)
    out, err = first.communicate(timeout=40)
    stopped = (first.returncode, out, err, gone(host))
    second = start(folder, home, "--keep")
    assert second.stdout is not None
    lines = []
    for line in second.stdout:
        lines.append(line)
        if "Ctrl-C stops it" in line:
            break
    host = ready(folder)["host"]
    kept = not gone(host)
    second.send_signal(signal.SIGINT)
    out, err = second.communicate(timeout=120)
    kept = kept and gone(host)
    return Shown(folder, home, stopped, kept, second.returncode, "".join(lines) + out, err)


def test_everything_arrives(shown: Shown) -> None:
    assert (shown.code, shown.err) == (0, "")
    report = json.loads((shown.job / "state" / "report.json").read_bytes())
    again = json.loads((shown.folder / "again.json").read_bytes())
    assert (report["planned"], report["created"], report["files"]["sent"], report["tasks"]["created"]) == (
        UNITS, UNITS, FILES, UNITS,
    )  # fmt: skip
    assert (again["planned"], again["created"], again["already"], again["files"]["sent"]) == (UNITS, 0, UNITS, 0)
    assert report["problems"] == []
    assert [each["code"] for each in again["problems"]] == ["backend-count"], "what it compared, and no fault"


def test_it_says_what_it_does_and_where_to_look(shown: Shown) -> None:
    approval = json.loads((shown.job / "answers.json").read_bytes())
    assert approval["limits.settle_after_s"] == 2
    for said in (
        "17 data units, 41 files, 0 left out",
        "Upload everyday-photos",
        "17 data units, every file byte by byte, all metadata",
        "0 made, 17 known",
        str(shown.folder / "page.html"),
        "130 boxes and 93 polygons in COCO",
        str(shown.folder / "dataset.html"),
    ):
        assert said in shown.out
    assert (shown.job / "job" / "upload.py").is_file()


def test_the_page_shows_every_data_unit(shown: Shown) -> None:
    page = (shown.folder / "page.html").read_text(encoding="utf-8")
    assert page.count('<li class="unit">') == page.count("<img ") == UNITS
    for name in ("안개 속 오토바이", "flower vase", "000000000471.json", "CC0 1.0 or CC BY"):
        assert name in page
    assert page.count("<rect") > 100
    assert len(page) < 2_000_000


def test_the_users_own_is_not_touched(shown: Shown) -> None:
    assert sorted(path.relative_to(shown.home).as_posix() for path in shown.home.rglob("*")) == [
        ".synapse", ".synapse/config.json",
    ]  # fmt: skip
    for path in shown.folder.rglob("*"):
        assert path.is_dir() or b"users-own-token" not in path.read_bytes(), path


def test_stopped_in_the_middle_it_leaves_nothing_running(shown: Shown) -> None:
    code, out, err, is_gone = shown.stopped
    assert code == 130
    assert is_gone
    assert "1. A local Synapse backend is up" in out
    assert "Done in" not in out
    assert err.startswith("error: Interrupted.")
    assert "Traceback" not in err


def test_kept_running_until_ctrl_c_which_is_no_failure(shown: Shown) -> None:
    assert shown.kept
    assert shown.code == 0


def test_only_what_ships_is_in_the_job_folder(shown: Shown) -> None:
    assert not [path for path in (shown.job / "job").rglob("*") if path.suffix == ".pyc" or path.name == "__pycache__"]


@pytest.fixture
def again(shown: Shown) -> Iterator[parts.Stage]:
    """The backend of the finished demo, started once more."""
    (shown.folder / "user").mkdir(exist_ok=True)
    seed = json.loads((parts.EXAMPLES / "seed.json").read_bytes())
    with LocalBackend(parts.SCRIPTS / "sandbox.py", shown.folder / "sandbox", seed) as backend:
        yield parts.Stage(shown.folder, print, backend)


def test_a_difference_is_found(shown: Shown, again: parts.Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert uploading.check(again, shown.job) == UNITS
    wanted = parts.contents_on_disk(json.loads((shown.job / "plan.json").read_bytes()))
    assert sum(map(len, wanted.values())) == FILES
    for changed in (
        {key: files for key, files in wanted.items() if key != "desk"},
        {**wanted, "more": {}},
        {**wanted, "desk": {**wanted["desk"], "image_1": "0" * 40}},
        {**wanted, "desk": {spec: sha1 for spec, sha1 in wanted["desk"].items() if spec != "text_1"}},
    ):
        monkeypatch.setattr(uploading, "contents_on_disk", lambda plan, changed=changed: changed)
        with pytest.raises(FindingError, match="not what was planned"):
            uploading.check(again, shown.job)
    monkeypatch.setattr(uploading, "contents_on_disk", lambda plan: wanted)
    constants = parts.constants()
    monkeypatch.setattr(uploading, "constants", lambda: {**constants, "batch": 2})
    with pytest.raises(FindingError, match="the metadata of"):
        uploading.check(again, shown.job)
    monkeypatch.setattr(uploading, "constants", lambda: constants)
    units = list(again.rows("/data_units/?data_collection=1"))
    twice = {
        "data_collection": 1,
        "meta": units[0]["meta"],
        "files": {
            spec: {"checksum": file["checksum"], "path": file["path"]} for spec, file in units[0]["files"].items()
        },
    }
    again.post("/data_units/", twice)
    with pytest.raises(FindingError, match="is there twice"):
        uploading.check(again, shown.job)


@pytest.mark.parametrize("spoilt", ["coco", "yolo", "yolo-names", "photo", "more"])
def test_a_difference_in_the_dataset_is_found(shown: Shown, tmp_path: Path, spoilt: str) -> None:
    output = tmp_path / "dataset"
    shutil.copytree(shown.folder / "dataset", output)
    boxes, polygons = exporting.compare(output)
    assert boxes > 100
    assert polygons > 50
    if spoilt == "coco":
        path = next((output / "coco" / "annotations").glob("instances_*.json"))
        document = json.loads(path.read_bytes())
        document["annotations"][0]["bbox"][0] += 0.01
        document["annotations"][0]["segmentation"] = []
        path.write_text(json.dumps(document))
    elif spoilt == "yolo":
        path = next(each for each in (output / "yolo" / "labels").rglob("*.txt") if each.stat().st_size)
        path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    elif spoilt == "yolo-names":
        names = output / "yolo" / "classes.txt"
        names.write_text("\n".join(reversed(names.read_text(encoding="utf-8").splitlines())), encoding="utf-8")
    elif spoilt == "photo":
        next(each for each in (output / "coco" / "images").rglob("*.jpg")).write_bytes(b"another")
    else:
        (output / "yolo" / "images" / "train" / "more.jpg").write_bytes(b"another")
    with pytest.raises(FindingError, match="not what was planned"):
        exporting.compare(output)


def demo_in(folder: Path, tmp_path: Path, *flags: str) -> tuple[int, str, str]:
    process = start(folder, tmp_path, *flags)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_a_folder_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "synapse-jobs").mkdir(parents=True)
    (folder / "page.html").write_text("mine")
    code, out, err = demo_in(folder, tmp_path)
    assert (code, out) == (2, "")
    assert "something else than a demo" in err
    assert (folder / "page.html").read_text() == "mine"
    assert (folder / "synapse-jobs").is_dir()
    assert demo_in(folder / "page.html", tmp_path)[0] == 2


def test_one_at_a_time(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / parts.MARKER).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, out, err = demo_in(tmp_path / "out", tmp_path)
    assert (code, out) == (3, "")
    assert "Another demo is running" in err


def test_a_backend_that_does_not_start(tmp_path: Path) -> None:
    backend = LocalBackend(parts.SCRIPTS / "sandbox.py", tmp_path, {"nonsense": 1})
    with pytest.raises(OutOfReach, match=r"did not start.*no such key"), backend:
        pass
