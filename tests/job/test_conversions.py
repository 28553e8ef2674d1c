"""Files that the collection does not take become ones that it takes on their way; the originals stay as they are."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import signal
import sqlite3
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from job_fixture import PNG, SPECS, Job, killing
from sandbox_fixture import COLLECTION, SandboxFactory, seed_with
from synapse_skills.plan import Conversion, Limits, SpecPlan

# Slow, each with a quicker neighbour that runs every day.
pytestmark = pytest.mark.heavy

STAGER = "synapse_skills.job.upload.staging:Stager"
TRANSFER = "synapse_skills.backend.transfer:Transfer"
JOURNAL = "synapse_skills.job.upload.journal:Journal.append"
POST = "synapse_skills.backend.api:Api.post_once"
LEDGER = "synapse_skills.job.upload.ledger:Ledger"
PICTURES = (".tiff", ".bmp", ".webp", ".gif")
TO_PNG = tuple(Conversion(spec="image_1", source=suffix, target=".png") for suffix in PICTURES)
TO_JPG = tuple(Conversion(spec="image_1", source=suffix, target=".jpg") for suffix in PICTURES)
MORE_SPECS = (
    *SPECS[:2],
    SpecPlan(name="mask_1", file_type="image", extensions=(".png",)),
    SpecPlan(name="clip_1", file_type="video", extensions=(".mp4",)),
)
MAPPING = """
place = Place(by_folder(1), by_extension({
    ".png": "image_1", ".tiff": "image_1", ".bmp": "image_1", ".webp": "image_1", ".gif": "image_1",
    ".json": "label_1", ".mov": "clip_1",
}))
"""
# What ffmpeg does is tried elsewhere; here it is how its ends are taken.
FFMPEG = """#!{python}
import os, pathlib, sys, time
if "-version" in sys.argv:
    print("ffmpeg version 6.1")
    sys.exit()
{body}
"""
COPIES = "pathlib.Path(sys.argv[-1].removeprefix('file:')).write_bytes(b'\\0\\0\\0\\x18ftypmp42' + b'\\0' * 4000)"


def picture(seed: int, suffix: str = ".tiff", *, orientation: int = 1) -> bytes:
    """A picture of 8 × 6 pixels that is like no other."""
    image = Image.new("RGB", (8, 6), (seed % 256, 90, 200))
    image.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    kind = {".tiff": "TIFF", ".bmp": "BMP", ".webp": "WEBP", ".gif": "GIF"}[suffix]
    more: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    if kind in ("TIFF", "WEBP"):
        more["exif"] = exif
    image.save(out, kind, **more)
    return out.getvalue()


@pytest.fixture
def pictures(job: Job) -> Job:
    """A job whose pictures become PNG."""
    job.plan_with(conversions=TO_PNG)
    job.script(more=MAPPING)
    return job


def unit(job: Job, number: int, suffix: str = ".tiff") -> None:
    key = f"patient_{number:03d}"
    job.unit(key, {f"{number:03d}{suffix}": picture(number, suffix), "label.json": json.dumps({"n": key}).encode()})


def keys(job: Job) -> list[str]:
    """Keys of the data units on the backend, sorted: one that is there twice is in it twice."""
    return sorted(next(iter(row["files"].values()))["path"].split("/")[0] for row in job.box.units())


def sent(job: Job, path: str) -> bytes:
    """The bytes that a path of a data unit stands for on the backend."""
    checksum = next(
        row["checksum"] for each in job.box.units() for row in each["files"].values() if row["path"] == path
    )
    for found in job.box.state.rglob("*"):
        if found.is_file() and hashlib.sha1(found.read_bytes()).hexdigest() == checksum:
            return found.read_bytes()
    raise AssertionError(f"no bytes of {path} on the backend")


def staged(job: Job) -> list[Path]:
    return list((job.state / "staging").iterdir()) if (job.state / "staging").exists() else []


def ffmpeg(job: Job, body: str) -> str:
    """A program in the place of ffmpeg."""
    path = job.folder / "ffmpeg-of-the-test"
    path.write_text(FFMPEG.format(python=sys.executable, body=body))
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def clips(tmp_path: Path, sandbox_factory: SandboxFactory) -> Job:
    """A job whose data units have an optional mask and video."""
    collection = {"id": COLLECTION, "name": "Clips", "meta": None}
    specs = [
        {**spec.model_dump(include={"name", "file_type", "is_required", "is_primary"}), "extensions": spec.extensions}
        for spec in MORE_SPECS
    ]
    numbered = [{"id": number, **spec} for number, spec in enumerate(specs, 1)]
    seed = seed_with(collections=[{**collection, "file_specifications": numbered}])
    conversions = (Conversion(spec="clip_1", source=".mov", target=".mp4"),)
    made = Job(tmp_path / "upload", sandbox_factory(seed=seed), specs=MORE_SPECS, conversions=conversions)
    made.script(more=MAPPING)
    return made


def clip(job: Job, number: int, content: bytes = b"moov") -> None:
    key = f"patient_{number:03d}"
    label = json.dumps({"n": key}).encode()
    job.unit(key, {"image.png": PNG + key.encode(), "label.json": label, "scan.mov": content + key.encode()})


# ---- pictures


def test_pictures_arrive_as_png_turned_as_their_exif_says_and_the_originals_stay(pictures: Job) -> None:
    for number, suffix in enumerate(PICTURES):
        unit(pictures, number, suffix)
    pictures.unit("turned", {"t.tiff": picture(9, orientation=6), "label.json": b"{}"})
    pictures.unit("plain", {"image.png": PNG, "label.json": b'{"a": 1}'})
    before = {path: path.read_bytes() for path in pictures.source.rglob("*.*")}
    pictures.run()
    assert {path: path.read_bytes() for path in pictures.source.rglob("*.*")} == before
    names = {row["path"] for each in pictures.box.units() for row in each["files"].values()}
    assert {f"patient_{n:03d}/{n:03d}.png" for n in range(4)} < names and "plain/image.png" in names
    with Image.open(io.BytesIO(sent(pictures, "patient_000/000.png"))) as first:
        assert (first.format, first.size, first.getpixel((0, 0)), first.getpixel((1, 1))) == (
            "PNG",
            (8, 6),
            (255, 0, 0),
            (0, 90, 200),
        )
    with Image.open(io.BytesIO(sent(pictures, "turned/t.png"))) as turned:
        assert turned.size == (6, 8) and turned.getpixel((5, 0)) == (255, 0, 0)
    assert sent(pictures, "plain/image.png") == PNG
    assert not (pictures.state / "staging").exists()
    assert pictures.report()["created"] == 6
    converted = pictures.problem("files-converted")
    assert (converted["count"], converted["severity"]) == (5, "info") and "became" in converted["examples"][0]


def test_a_damaged_picture_sets_only_its_data_unit_aside(pictures: Job) -> None:
    for number in range(3):
        unit(pictures, number)
    broken = pictures.source / "patient_001" / "001.tiff"
    broken.write_bytes(broken.read_bytes()[:90])
    pictures.run(expect=5)
    assert keys(pictures) == ["patient_000", "patient_002"]
    report, problem = pictures.report(), pictures.problem("conversion-failed")
    assert (report["created"], report["quarantined"]) == (2, 1)
    assert "patient_001/001.tiff" in problem["examples"][0]
    assert not staged(pictures)
    broken.write_bytes(picture(1))
    # The file is another one now: what was planned for it still is its data unit.
    pictures.run()
    assert keys(pictures) == ["patient_000", "patient_001", "patient_002"]


def test_what_comes_of_a_conversion_is_held_against_the_limit(pictures: Job) -> None:
    pictures.plan_with(conversions=TO_PNG, limits=Limits(max_file_size_mb=0.03, settle_after_s=0.4))
    unit(pictures, 0)
    noise, out = Image.effect_noise((200, 200), 90), io.BytesIO()
    noise.save(out, "WEBP", quality=10)
    pictures.unit("large", {"large.webp": out.getvalue(), "label.json": b"{}"})
    flat = io.BytesIO()
    Image.new("RGB", (200, 200)).save(flat, "BMP")
    # Too large as it is and small as it arrives; and the other way round.
    pictures.unit("flat", {"flat.bmp": flat.getvalue(), "label.json": b"{}"})
    assert len(flat.getvalue()) > 100_000 and len(out.getvalue()) < 30_000
    pictures.run(expect=5)
    assert keys(pictures) == ["flat", "patient_000"]
    assert "large/large.webp: as .png it has" in pictures.problem("oversized-file")["examples"][0]
    assert not staged(pictures)


def test_equal_names_after_a_conversion_stay_apart(clips: Job) -> None:
    conversions = (*TO_PNG[:1], Conversion(spec="mask_1", source=".gif", target=".png"))
    clips.plan_with(specs=MORE_SPECS, conversions=conversions)
    clips.script(more=MAPPING.replace('".gif": "image_1"', '".gif": "mask_1"'))
    clips.unit("one", {"a.tiff": picture(1), "a.gif": picture(2, ".gif"), "label.json": b"{}"})
    clips.run()
    paths = {spec: row["path"] for each in clips.box.units() for spec, row in each["files"].items()}
    assert paths["image_1"] == "one/image_1/a.png" and paths["mask_1"] == "one/mask_1/a.png"


def test_a_dry_run_counts_without_converting(pictures: Job) -> None:
    unit(pictures, 0)
    broken = pictures.source / "patient_000" / "000.tiff"
    broken.write_bytes(b"II*\0")
    pictures.run("--dry-run")
    assert pictures.report()["pending"] == 1 and not (pictures.state / "staging").exists()


# ---- exactly once

STEPS = [
    (f"{STAGER}._make", 1, "before"),
    (f"{STAGER}._make", 3, "after"),
    (f"{STAGER}.release", 2, "before"),
    ("synapse_skills.media.conversion:_write", 2, "after"),
    (f"{TRANSFER}.presign", 1, "after"),
    (f"{TRANSFER}.put", 3, "before"),
    (f"{TRANSFER}.put", 3, "after"),
    (f"{TRANSFER}.confirm", 1, "after"),
    (f"{LEDGER}.confirm", 5, "after"),
    (JOURNAL, 3, "after"),
    (POST, 1, "after"),
    (POST, 2, "before"),
    (POST, 2, "after"),
]


@pytest.mark.parametrize(("target", "nth", "when"), STEPS, ids=lambda value: str(value).rpartition(":")[2])
def test_killed_while_pictures_are_converted_and_sent(pictures: Job, target: str, nth: int, when: str) -> None:
    for number in range(8):
        unit(pictures, number, PICTURES[number % 4])
    pictures.run(before=killing(target, nth, when=when), expect=-signal.SIGKILL)
    pictures.run()
    assert keys(pictures) == [f"patient_{n:03d}" for n in range(8)]
    report = pictures.report()
    assert report["created"] + report["already"] == 8 and not staged(pictures)


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.heavy) for n in range(1, 8))])
def test_killed_at_random_while_converting(pictures: Job, seed: int) -> None:
    for number in range(24):
        unit(pictures, number, PICTURES[number % 4])
    for delay in (0.15 + seed * 0.05, 0.3 + seed * 0.06):
        process = pictures.start()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    pictures.run()
    assert keys(pictures) == [f"patient_{n:03d}" for n in range(24)]


def send_without_creating(job: Job) -> None:
    """Files arrive, and then the backend lets nobody in: what has arrived is remembered."""
    job.box.set_faults({"kind": "status", "route": "units.create", "status": 401})
    job.run(expect=3)
    job.box.set_faults()


def test_what_has_arrived_is_not_converted_again(pictures: Job) -> None:
    unit(pictures, 0)
    send_without_creating(pictures)
    puts = pictures.box.requests("files.put")
    pictures.run(before=killing(f"{STAGER}._make", 1, when="before"))
    assert keys(pictures) == ["patient_000"] and pictures.box.requests("files.put") == puts


def test_a_file_that_arrived_as_it_was_or_as_something_else_has_not_arrived(pictures: Job) -> None:
    for number in range(3):
        unit(pictures, number)
    send_without_creating(pictures)
    pictures.plan_with(conversions=TO_JPG)
    pictures.run()
    assert keys(pictures) == ["patient_000", "patient_001", "patient_002"]
    with Image.open(io.BytesIO(sent(pictures, "patient_000/000.jpg"))) as first:
        assert first.format == "JPEG"


def test_another_target_for_what_is_there_is_said_and_makes_no_second_unit(pictures: Job) -> None:
    unit(pictures, 0)
    pictures.run()
    pictures.plan_with(conversions=TO_JPG)
    pictures.run()
    assert keys(pictures) == ["patient_000"]
    assert pictures.problem("changed-since-upload")["examples"] == ["patient_000"]


def test_a_ledger_from_before_conversions_is_understood(pictures: Job) -> None:
    unit(pictures, 0)
    send_without_creating(pictures)
    with sqlite3.connect(pictures.state / "ledger.sqlite") as ledger:
        ledger.executescript(
            "DROP TABLE confirmed; CREATE TABLE confirmed(source INTEGER, path TEXT, size INTEGER, mtime_ns INTEGER, "
            "checksum TEXT, PRIMARY KEY(source, path)) WITHOUT ROWID;"
        )
        path = "patient_000/000.tiff"
        about = (pictures.source / path).stat()
        ledger.execute(
            "INSERT INTO confirmed VALUES (0, ?, ?, ?, ?)", (path, about.st_size, about.st_mtime_ns, "0" * 40)
        )
    ledger.close()
    pictures.run()
    assert sent(pictures, "patient_000/000.png")[:4] == b"\x89PNG"


def lose(job: Job) -> None:
    shutil.rmtree(job.state)


def test_after_a_lost_state_converted_units_are_recognised_by_what_comes_of_them(pictures: Job) -> None:
    for number in range(4):
        unit(pictures, number)
    pictures.run()
    lose(pictures)
    pictures.run()
    assert keys(pictures) == [f"patient_{n:03d}" for n in range(4)]
    report = pictures.report()
    assert report["already"] == 4 and not [p for p in report["problems"] if p["code"] == "matched-by-name"]


def test_after_a_lost_state_another_converter_makes_no_second_unit(pictures: Job) -> None:
    unit(pictures, 0)
    unit(pictures, 1)
    pictures.run()
    lose(pictures)

    def other_bytes() -> None:
        import synapse_skills.media.conversion as conversion

        real = conversion.convert_picture
        conversion.convert_picture = lambda *args: (lambda made: (bytes(made[0]) + b"other", made[1]))(real(*args))

    pictures.run(before=other_bytes)
    assert keys(pictures) == ["patient_000", "patient_001"]
    assert pictures.problem("matched-by-name")["count"] == 2


# ---- the disk


def test_no_room_for_the_largest_is_said_before_anything_is_sent(pictures: Job) -> None:
    unit(pictures, 0)

    def full() -> None:
        import synapse_skills.job.upload.outlook as outlook

        outlook.free_bytes = lambda folder: 1 << 20

    pictures.run(before=full, expect=3)
    assert "MB free" in pictures.problem("disk-full")["examples"][0]
    assert pictures.box.requests("files.presign") == 0 and not keys(pictures)


def test_a_disk_that_fills_up_ends_the_run_and_the_next_one_goes_on(pictures: Job) -> None:
    for number in range(3):
        unit(pictures, number)

    def filling() -> None:
        import errno

        import synapse_skills.media.conversion as conversion

        def write(*args: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        conversion._write = write  # type: ignore[assignment]

    pictures.run(before=filling, expect=3)
    assert pictures.problem("disk-full") and not keys(pictures) and not staged(pictures)
    pictures.run()
    assert len(keys(pictures)) == 3


def test_only_so_much_lies_in_the_staging_folder(pictures: Job) -> None:
    for number in range(12):
        unit(pictures, number)

    def little() -> None:
        import synapse_skills.job.upload.staging as staging

        # Room for one at a time: the estimate for a small picture is 64 KB and more.
        staging.KEEP = 100_000
        real = staging.Stager._make

        def looking(self: Any, *args: Any) -> Any:
            assert self._held + self._promised <= staging.KEEP, "more than there is room for"
            return real(self, *args)

        staging.Stager._make = looking  # type: ignore[method-assign]

    pictures.run(before=little)
    assert len(keys(pictures)) == 12


def test_what_a_killed_run_has_left_is_removed_and_links_are_not_followed(pictures: Job, tmp_path: Path) -> None:
    unit(pictures, 0)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious.txt").write_text("mine")
    pictures.state.mkdir(exist_ok=True)
    (pictures.state / "staging").symlink_to(elsewhere)
    pictures.run()
    assert (elsewhere / "precious.txt").read_text() == "mine" and keys(pictures) == ["patient_000"]


def test_the_staging_folder_is_ours_alone(pictures: Job) -> None:
    unit(pictures, 0)
    pictures.run(before=killing(f"{STAGER}._make", 1, when="after"), expect=-signal.SIGKILL)
    folder = pictures.state / "staging"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in folder.iterdir()] == ["1.png"]


# ---- ffmpeg


def test_a_clip_becomes_mp4(clips: Job) -> None:
    clip(clips, 0)
    clip(clips, 1)
    clips.run(SYNAPSE_SKILLS_FFMPEG=ffmpeg(clips, COPIES))
    assert keys(clips) == ["patient_000", "patient_001"]
    assert sent(clips, "patient_000/scan.mp4")[4:12] == b"ftypmp42"


def test_ffmpeg_that_hangs_is_ended_and_its_data_unit_set_aside(clips: Job) -> None:
    clip(clips, 0)
    clips.unit("without", {"image.png": PNG, "label.json": b"{}"})
    # With a child of its own, which has to go as well.
    pids = clips.folder / "pids"
    body = f"os.fork()\nopen({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n')\ntime.sleep(60)"
    begun = time.monotonic()
    clips.run(expect=5, SYNAPSE_SKILLS_FFMPEG=ffmpeg(clips, body), SYNAPSE_SKILLS_CONVERSION_S="0.7")
    assert time.monotonic() - begun < 15
    assert keys(clips) == ["without"]
    assert "patient_000/scan.mov: not done after 0.7 s" in clips.problem("conversion-timeout")["examples"][0]
    assert_gone(pids)


def assert_gone(pids: Path) -> None:
    numbers = [int(line) for line in pids.read_text().split()]
    assert numbers
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(_is_running(number) for number in numbers):
        time.sleep(0.02)
    assert not [number for number in numbers if _is_running(number)]


def _is_running(pid: int) -> bool:
    try:
        # A child that nobody has waited for is dead all the same.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_ffmpeg_that_fails_sets_its_data_unit_aside(clips: Job) -> None:
    clip(clips, 0)
    body = "sys.stderr.write('[error] moov atom not found\\n')\nsys.exit(1)"
    clips.run(expect=5, SYNAPSE_SKILLS_FFMPEG=ffmpeg(clips, body))
    assert "moov atom not found" in clips.problem("conversion-failed")["examples"][0]
    assert clips.report()["quarantined"] == 1


def test_no_ffmpeg_is_a_warning_of_the_dry_run_and_an_error_of_the_run(clips: Job) -> None:
    clip(clips, 0)
    clips.run("--dry-run", SYNAPSE_SKILLS_FFMPEG="/nowhere/ffmpeg")
    assert clips.problem("no-ffmpeg")["severity"] == "warning"
    clips.run(expect=3, SYNAPSE_SKILLS_FFMPEG="/nowhere/ffmpeg")
    assert "1 files have to be converted" in clips.problem("no-ffmpeg")["examples"][0]
    assert clips.box.requests("files.presign") == 0


def test_no_ffmpeg_is_no_matter_once_all_clips_have_arrived(clips: Job) -> None:
    clip(clips, 0)
    clips.run(SYNAPSE_SKILLS_FFMPEG=ffmpeg(clips, COPIES))
    clips.run(SYNAPSE_SKILLS_FFMPEG="/nowhere/ffmpeg")
    assert clips.report()["already"] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_signal_ends_ffmpeg_at_once_and_nothing_is_blamed_for_it(clips: Job, number: signal.Signals) -> None:
    clip(clips, 0)
    pids = clips.folder / "pids"
    body = f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n')\ntime.sleep(60)"
    process = clips.start(SYNAPSE_SKILLS_FFMPEG=ffmpeg(clips, body))
    deadline = time.monotonic() + 20
    while not pids.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    begun = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 130 and time.monotonic() - begun < 5
    report = clips.report()
    assert (report["pending"], report["quarantined"]) == (1, 0)
    assert_gone(pids)
    assert not staged(clips)
    clips.run(SYNAPSE_SKILLS_FFMPEG=ffmpeg(clips, COPIES))
    assert keys(clips) == ["patient_000"]


def test_after_a_lost_state_clips_are_recognised_by_name_without_being_converted(clips: Job) -> None:
    clip(clips, 0)
    clips.run(SYNAPSE_SKILLS_FFMPEG=ffmpeg(clips, COPIES))
    lose(clips)
    # Another ffmpeg would write other bytes: they prove nothing.
    clips.run(SYNAPSE_SKILLS_FFMPEG=ffmpeg(clips, "sys.exit(1)"))
    assert keys(clips) == ["patient_000"] and clips.report()["already"] == 1
    assert clips.problem("matched-by-name")["severity"] == "warning"


@pytest.mark.parametrize("target", [f"{TRANSFER}.put", POST], ids=["put", "create"])
def test_a_clip_is_there_once_after_a_kill(clips: Job, target: str) -> None:
    clip(clips, 0)
    clip(clips, 1)
    program = ffmpeg(clips, COPIES + "\nopen(sys.argv[-1].removeprefix('file:'), 'ab').write(os.urandom(9))")
    clips.run(before=killing(target, 1, when="after"), expect=-signal.SIGKILL, SYNAPSE_SKILLS_FFMPEG=program)
    clips.run(SYNAPSE_SKILLS_FFMPEG=program)
    assert keys(clips) == ["patient_000", "patient_001"]
