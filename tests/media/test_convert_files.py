"""convert_files: a folder becomes another one, whatever happens on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import unicodedata
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from synapse_sdk.utils.file.content_guard import inspect_file

import convert_files
from media.made import noise, saved, values
from synapse_skills.errors import OutOfReach, UsageError, run
from synapse_skills.media import DiskFull, estimate, folder, targets
from synapse_skills.media.folder import convert_folder, target_named
from synapse_skills.media.pool import Job, convert_all
from synapse_skills.media.tree import Original, result_names

# Slow, each with a quicker neighbour that runs every day.
pytestmark = pytest.mark.heavy

SCRIPT = Path(convert_files.__file__)
DATA = os.environ.get("SYNAPSE_SKILLS_TEST_DATA", "")


def picture(path: Path, seed: int = 0, kind: str = "TIFF", side: int = 12) -> np.ndarray:
    found = np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(saved(Image.fromarray(found), kind))
    return found


def results(out: Path) -> list[str]:
    return sorted(
        each.relative_to(out).as_posix()
        for each in out.rglob("*")
        if each.is_file() and not each.name.startswith(".synapse-conversions")
    )


def state(path: Path) -> dict[str, tuple[int, bytes]]:
    return {str(each): (each.stat().st_mtime_ns, each.read_bytes()) for each in path.rglob("*") if each.is_file()}


def test_a_tree_is_kept_and_the_originals_are_untouched(tmp_path):
    source, out = tmp_path / "src", tmp_path / "out"
    wanted = {
        f"{place}.png": picture(source / f"{place}.tiff", seed)
        for seed, place in enumerate(["a", "x/b", unicodedata.normalize("NFD", "한글/고양이"), "x/y/c.d"])
    }
    (source / "readme.txt").write_text("x")
    (source / ".hidden.tiff").write_text("x")
    picture(source / "there.png", kind="PNG")
    before = state(source)
    report = convert_folder(source, ".png", out, workers=2)
    assert state(source) == before
    names = sorted(unicodedata.normalize("NFC", name) for name in wanted)
    assert results(out) == names
    for name, found in wanted.items():
        path = out / unicodedata.normalize("NFC", name)
        assert np.array_equal(values(path), found)
        assert inspect_file(path) == []
    assert (report.found, report.converted, report.failed, report.exit_code) == (4, 4, 0, 0)
    assert report.left == {".png already": 1, "hidden or of the system": 1, "of other kinds": 1}


def test_a_second_run_does_only_what_is_new_changed_or_gone(tmp_path):
    source, out = tmp_path / "src", tmp_path / "out"
    for number in range(4):
        picture(source / f"{number}.tiff", number)
    convert_folder(source, ".png", out, workers=1)
    before = state(out)
    changed = picture(source / "0.tiff", 100, side=20)
    (out / "1.png").unlink()
    picture(source / "new.tiff", 7)
    report = convert_folder(source, ".png", out, workers=1)
    assert (report.converted, report.already, report.failed) == (3, 2, 0)
    assert np.array_equal(values(out / "0.png"), changed)
    assert results(out) == ["0.png", "1.png", "2.png", "3.png", "new.png"]
    for name in ("2.png", "3.png"):
        assert state(out)[str(out / name)] == before[str(out / name)]


def test_nothing_is_ever_written_over(tmp_path):
    source, out = tmp_path / "src", tmp_path / "out"
    tiff, bmp = picture(source / "a.tiff", 1), picture(source / "a.bmp", 2, "BMP")
    mine = picture(out / "b.png", 3, "PNG")
    other = picture(source / "b.tiff", 4)
    for _ in range(2):
        report = convert_folder(source, ".png", out, workers=1)
        assert results(out) == ["a.bmp.png", "a.tiff.png", "b.png", "b.tiff.png"]
        assert np.array_equal(values(out / "a.tiff.png"), tiff)
        assert np.array_equal(values(out / "a.bmp.png"), bmp)
        assert np.array_equal(values(out / "b.png"), mine)
        assert np.array_equal(values(out / "b.tiff.png"), other)
        assert report.renamed_count == 3
    (out / "a.tiff.png").write_bytes(b"edited by hand")
    report = convert_folder(source, ".png", out, workers=1)
    assert (out / "a.tiff.png").read_bytes() == b"edited by hand"
    assert "changed by somebody" in report.failures[0]["reason"]


def named(*paths: str, known: dict[str, str] | None = None, there: tuple[str, ...] = ()) -> dict[str, str]:
    return result_names([Original(path, "", 0, 0) for path in paths], ".png", known or {}, lambda name: name in there)


def test_names():
    composed, decomposed = "고.tiff", unicodedata.normalize("NFD", "고.tiff")
    assert named("x/a.tiff", "a.tiff") == {"x/a.tiff": "x/a.png", "a.tiff": "a.png"}
    assert named("A.tiff", "a.tiff") == {"A.tiff": "A.tiff.png", "a.tiff": "a.tiff-2.png"}
    assert sorted(named(composed, decomposed).values()) == ["고.tiff-2.png", "고.tiff.png"]
    assert named("a.tiff", "a.bmp", known={"a.tiff": "a.png"}) == {"a.tiff": "a.png", "a.bmp": "a.bmp.png"}
    # One whose plain name is what another one would be moved to keeps it.
    assert named("a.tiff", "a.bmp", "a.tiff.gif") == {
        "a.tiff.gif": "a.tiff.png", "a.bmp": "a.bmp.png", "a.tiff": "a.tiff-2.png",
    }  # fmt: skip
    assert named("a.tiff", there=("a.png", "a.tiff.png")) == {"a.tiff": "a.tiff-2.png"}
    assert named("a.v1.2.tiff") == {"a.v1.2.tiff": "a.v1.2.png"}


def test_one_bad_file_fails_alone(tmp_path):
    source, out = tmp_path / "src", tmp_path / "out"
    picture(source / "good.tiff")
    (source / "bad.tiff").write_bytes((source / "good.tiff").read_bytes()[:100])
    (source / "empty.tiff").write_bytes(b"")
    (source / "lost.tiff").symlink_to(source / "nowhere.tiff")
    report = convert_folder(source, ".png", out, workers=2)
    assert (report.found, report.converted, report.failed, report.exit_code) == (4, 1, 3, 5)
    assert {each["file"] for each in report.failures} == {"bad.tiff", "empty.tiff", "lost.tiff"}
    assert all(each["reason"] for each in report.failures)
    assert results(out) == ["good.png"]


@pytest.mark.skipif(sys.platform != "linux", reason="names of bytes")
def test_a_name_that_is_not_utf8(tmp_path):
    source = tmp_path / "src"
    picture(source / "a.tiff")
    shutil.copy(source / "a.tiff", os.fsencode(source) + b"/\xff.tiff")
    report = convert_folder(source, ".png", tmp_path / "out", workers=1)
    assert (report.converted, report.failures[0]["code"]) == (1, "undecodable-name")


def test_out_inside_the_source_is_not_walked(tmp_path):
    for number in range(2):
        picture(tmp_path / f"{number}.tiff")
    picture(tmp_path / "done" / "not-mine.tiff")
    for already in (0, 2):
        report = convert_folder(tmp_path, ".png", tmp_path / "done", workers=1)
        assert (report.found, report.already) == (2, already)
    assert results(tmp_path / "done") == ["0.png", "1.png", "not-mine.tiff"]


def test_a_link_to_a_folder_is_not_followed(tmp_path):
    source = tmp_path / "src"
    picture(source / "a.tiff")
    (source / "loop").symlink_to(source)
    report = convert_folder(source, ".png", tmp_path / "out", workers=1)
    assert (report.found, report.left) == (1, {"links to folders (not followed)": 1})


def test_places_that_do_not_go_together(tmp_path):
    source, out = tmp_path / "src", tmp_path / "out"
    picture(source / "a.tiff")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="the folder itself"):
        convert_folder(source, ".png", source)
    with pytest.raises(UsageError, match="is a file"):
        convert_folder(source, ".png", tmp_path / "file")
    with pytest.raises(OutOfReach, match="There is no"):
        convert_folder(tmp_path / "nowhere", ".png", out)
    convert_folder(source, ".png", out, workers=1)
    picture(tmp_path / "other" / "a.tiff")
    with pytest.raises(UsageError, match="holds what was made of") as failed:
        convert_folder(tmp_path / "other", ".png", out)
    assert failed.value.code == "conversions-of-another"


def test_no_room_is_found_out_before_anything_is_written(tmp_path, monkeypatch):
    picture(tmp_path / "src" / "a.tiff")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(folder.shutil, "disk_usage", lambda path: usage(10, 10, 5000))
    with pytest.raises(DiskFull, match=r"1 files .* may need 6.\.\d KB, and 4\.9 KB are free") as failed:
        convert_folder(tmp_path / "src", ".png", tmp_path / "out")
    assert failed.value.exit_code == 3
    assert results(tmp_path / "out") == []


def test_a_manifest_that_a_kill_cut_off_and_what_was_half_written(tmp_path):
    source, out = tmp_path / "src", tmp_path / "out"
    for number in range(3):
        picture(source / f"{number}.tiff", number)
    convert_folder(source, ".png", out, workers=1)
    manifest = out / ".synapse-conversions.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-20])
    (out / ".synapse-0123456789abcdef.part").write_bytes(b"half")
    report = convert_folder(source, ".png", out, workers=1)
    assert (report.already, report.converted) == (2, 1)
    assert results(out) == ["0.png", "1.png", "2.png"]
    assert convert_folder(source, ".png", out, workers=1).already == 3


def test_two_at_once_are_refused(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    picture(tmp_path / "src" / "a.tiff")
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / ".synapse-conversions.lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(OutOfReach, match="Another run"):
            convert_folder(tmp_path / "src", ".png", tmp_path / "out")


def call(capsys, *args: object) -> tuple[int, dict]:
    code = run(convert_files.main, [*map(str, args), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_script(tmp_path, capsys):
    source, out = tmp_path / "src", tmp_path / "out"
    picture(source / "a.tiff")
    assert call(capsys, source, "--to", "PNG", "--out", out)[0] == 0
    code, report = call(capsys, source / "a.tiff", "--to", ".jpeg", "--out", tmp_path / "one")
    assert (code, report["converted"], results(tmp_path / "one")) == (0, 1, ["a.jpg"])
    (tmp_path / "empty").mkdir()
    code, report = call(capsys, tmp_path / "empty", "--to", ".png", "--out", tmp_path / "none")
    assert (code, report["found"], (tmp_path / "none").exists()) == (1, 0, False)
    code, report = call(capsys, source, "--to", ".docx", "--out", out)
    assert (code, report["error"]["code"]) == (2, "usage")
    (source / "b.tiff").write_bytes(b"x")
    assert call(capsys, source, "--to", "png", "--out", out)[0] == 5
    assert run(convert_files.main, [str(source), "--to", "png", "--out", str(out)]) == 5
    shown = capsys.readouterr().out
    assert "b.tiff: it is no picture" in shown and "1 were there already" in shown


def test_no_ffmpeg_is_said_before_anything_is_made(tmp_path, capsys, monkeypatch):
    (tmp_path / "a.avi").write_bytes(b"x")
    monkeypatch.setenv("SYNAPSE_SKILLS_FFMPEG", "/nowhere/ffmpeg")
    code, report = call(capsys, tmp_path, "--to", "mp4", "--out", tmp_path / "out")
    assert (code, report["error"]["code"]) == (3, "no-ffmpeg")
    assert "apt install ffmpeg" in report["error"]["hint"]
    assert not (tmp_path / "out").exists()


def start(*args: object, **env: str) -> subprocess.Popen[str]:
    words = [sys.executable, str(SCRIPT), *map(str, args)]
    surroundings = {**os.environ, "PYTHONPATH": str(SCRIPT.parent), **env}
    return subprocess.Popen(words, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(
    "sign",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGINT, marks=pytest.mark.heavy),
        pytest.param(signal.SIGKILL, marks=pytest.mark.heavy),
    ],
)
def test_killed_and_run_again(tmp_path, sign):
    """ffmpeg is a stand-in that takes its time, so that the kill comes in the middle."""
    source, out, log = tmp_path / "src", tmp_path / "out", tmp_path / "log"
    source.mkdir()
    log.mkdir()
    for number in range(6):
        (source / f"{number}.avi").write_bytes(b"frames %d" % number)
    program = tmp_path / "ffmpeg"
    program.write_text(
        f"#!{sys.executable}\nimport os, sys, time\nif '-i' not in sys.argv: sys.exit()\n"
        "given = sys.argv[sys.argv.index('-i') + 1].removeprefix('file:')\n"
        "content = open(given, 'rb').read()\nout = open(sys.argv[-1].removeprefix('file:'), 'wb')\n"
        f"open({str(log)!r} + '/%d' % os.getpid(), 'w')\n"
        "out.write(b'half')\nout.flush()\n"
        "if content >= b'frames 2' and os.environ.get('SLOW'): time.sleep(8)\nout.write(content)\n"
    )
    program.chmod(0o755)
    known = {"SYNAPSE_SKILLS_FFMPEG": str(program)}
    process = start(source, "--to", ".mp4", "--out", out, "--workers", 2, "--json", **known, SLOW="1")
    ends = time.monotonic() + 60
    while len(list(log.iterdir())) < 4 and time.monotonic() < ends:
        time.sleep(0.02)
    began = time.monotonic()
    process.send_signal(sign)
    told, _ = process.communicate(timeout=30)
    if sign != signal.SIGKILL:
        assert process.returncode == 130
        assert json.loads(told)["error"]["code"] == "interrupted"
        assert time.monotonic() - began < 6
        assert results(out) == ["0.mp4", "1.mp4"]
        for each in log.iterdir():
            status = Path(f"/proc/{each.name}/stat")
            assert not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"
    again = start(source, "--to", ".mp4", "--out", out, "--workers", 2, "--json", **known)
    told, complaints = again.communicate(timeout=60)
    assert again.returncode == 0, complaints
    report = json.loads(told)
    assert report["already"] + report["converted"] == 6 and report["already"] >= 2
    assert results(out) == [f"{number}.mp4" for number in range(6)]
    assert all((out / f"{number}.mp4").read_bytes() == b"halfframes %d" % number for number in range(6))


@pytest.mark.heavy
def test_a_file_that_kills_the_converter_takes_no_other_with_it(tmp_path, monkeypatch):
    """Workers are started afresh, so what breaks them must come with the environment."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nfrom PIL import Image\nreal = Image.open\n"
        "def open_(stream, *args, **kwargs):\n"
        "    if stream.name.endswith('3.tiff'): os.abort()\n"
        "    return real(stream, *args, **kwargs)\n"
        "Image.open = open_\n"
    )
    source, out = tmp_path / "src", tmp_path / "out"
    for number in range(6):
        picture(source / f"{number}.tiff", number)
    process = start(
        *(source, "--to", ".png", "--out", out, "--workers", 2, "--json"),
        PYTHONPATH=f"{tmp_path}{os.pathsep}{SCRIPT.parent}",
    )
    told, _ = process.communicate(timeout=60)
    report = json.loads(told)
    assert (process.returncode, report["converted"], report["failed"]) == (5, 5, 1)
    assert report["failures"][0]["file"] == "3.tiff"
    assert "broke down" in report["failures"][0]["reason"]
    assert len(results(out)) == 5


def test_a_file_that_changed_since_it_was_seen(tmp_path):
    picture(tmp_path / "a.tiff")
    job = Job(0, str(tmp_path / "a.tiff"), ".tiff", str(tmp_path / "a.png"), 1, 1)
    (outcome,) = convert_all([job], 1)
    assert (outcome.made, outcome.code) == (None, "changed-while-reading")
    assert not (tmp_path / "a.png").exists()


def test_what_becomes_what():
    assert targets(".TIFF") == targets(".tif") == targets(".gif") == (".png", ".jpg")
    assert targets(".webm") == (".mp4",)
    assert targets(".wav")[0] == ".mp3"
    assert targets(".xml") == (".json",)
    assert targets(".dcm") == targets("") == ()
    assert target_named("PNG") == ".png" and target_named(".jpeg") == ".jpg"


@pytest.mark.parametrize(("kind", "suffix"), [("TIFF", ".tiff"), ("BMP", ".bmp"), ("PNG", ".png"), ("GIF", ".gif")])
def test_the_estimate_is_on_the_safe_side(tmp_path, kind, suffix):
    content = saved(Image.fromarray(noise((300, 300, 3))), kind)
    for target in targets(suffix):
        (tmp_path / target).mkdir()
        (tmp_path / target / f"a{suffix}").write_bytes(content)
        report = convert_folder(tmp_path / target, target, tmp_path / f"out{target}", workers=1)
        assert 0 < report.bytes <= estimate(suffix, target, len(content))


@pytest.mark.skipif(not DATA, reason="SYNAPSE_SKILLS_TEST_DATA is not set")
def test_real_photos(tmp_path):
    source = Path(DATA) / "photos"
    for target, least in ((".png", 18), (".jpg", 6)):
        report = convert_folder(source, target, tmp_path / target, workers=2)
        assert report.converted >= least
        assert {each["file"] for each in report.failures} <= {"not_an_image.jpg", "truncated.jpg", "zero_bytes.jpg"}
        for name in results(tmp_path / target):
            assert inspect_file(tmp_path / target / name) == []
    for entry in json.loads((Path(DATA) / "photos_index.json").read_bytes()):
        made = tmp_path / ".png" / Path(entry["path"]).with_suffix(".png")
        if Path(entry["path"]).suffix.lower() in (".tif", ".tiff", ".bmp", ".webp") and made.exists():
            assert np.array_equal(values(made), np.asarray(Image.open(source / entry["path"])))
    with Image.open(tmp_path / ".png" / "exif_rotated_6.png") as turned:
        assert turned.size == (267, 400)
    assert values(tmp_path / ".jpg" / "gray16.jpg").std() > 20
