"""How ffmpeg is called, and what becomes of what it does: with a stand-in here, with the real one at the end."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from synapse_sdk.utils.file.content_guard import inspect_file

from media.made import converted
from synapse_skills.media import (
    ConversionFailed,
    ConversionTimeout,
    DiskFull,
    NoFfmpeg,
    convert,
    find_ffmpeg,
    needs_ffmpeg,
    stop_conversions,
)

posix = pytest.mark.skipif(os.name != "posix", reason="the stand-in is a script")
REAL = shutil.which("ffmpeg")
real = pytest.mark.skipif(REAL is None, reason="NO FFMPEG HERE: install it to run these (apt install ffmpeg)")


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Puts a Python script in ffmpeg's place; `out` and `given` are the paths that it was called with."""

    def put(body: str) -> Path:
        program = tmp_path / "bin" / "ffmpeg"
        program.parent.mkdir(exist_ok=True)
        head = "import os, subprocess, sys, time\nout = sys.argv[-1].removeprefix('file:')\n"
        head += "given = sys.argv[sys.argv.index('-i') + 1].removeprefix('file:')\n"
        program.write_text(f"#!{sys.executable}\n{head}{body}\n")
        program.chmod(0o755)
        monkeypatch.setenv("SYNAPSE_SKILLS_FFMPEG", str(program))
        return program

    return put


def attempt(tmp_path: Path, *, timeout: float | None = 20, suffix: str = ".avi", content: bytes = b"frames"):
    folder = tmp_path / f"files{suffix}"
    folder.mkdir(exist_ok=True)
    source = folder / f"clip{suffix}"
    source.write_bytes(content)
    target = folder / ("clip.mp4" if suffix in (".avi", ".mov") else "clip.mp3")
    try:
        with source.open("rb") as stream:
            return convert(stream, suffix, target, timeout=timeout)
    finally:
        assert {each.name for each in folder.iterdir()} <= {source.name, target.name}, "something was left behind"


def is_alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{number}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


@posix
def test_what_it_is_given(tmp_path, stand_in):
    stand_in(
        f"open({str(tmp_path / 'args')!r}, 'w').write('\\n'.join(sys.argv))\n"
        "assert sys.stdin.read() == ''\n"
        "assert 'FFREPORT' not in os.environ\n"
        "open(out, 'wb').write(b'made of ' + open(given, 'rb').read())"
    )
    os.environ["FFREPORT"] = f"file={tmp_path}/report.log"
    try:
        made = attempt(tmp_path)
    finally:
        del os.environ["FFREPORT"]
    assert (tmp_path / "files.avi" / "clip.mp4").read_bytes() == b"made of frames"
    assert (made.bytes, made.notes) == (14, ())
    args = (tmp_path / "args").read_text().split("\n")
    assert args[args.index("-protocol_whitelist") + 1] == "file"
    allowed = set(args[args.index("-format_whitelist") + 1].split(","))
    assert not allowed & {"hls", "concat", "dash", "image2", "sdp", "applehttp", "tee", "lavfi", "webm_dash_manifest"}
    assert args.index("-protocol_whitelist") < args.index("-format_whitelist") < args.index("-i")
    assert "-nostdin" in args
    # The name of the original is nowhere: a file of another name in its place could not be read.
    assert not any("clip.avi" in arg for arg in args)
    assert args[args.index("-i") + 1].startswith("file:/dev/fd/")


@posix
def test_it_is_given_the_open_file_and_not_what_has_its_name_now(tmp_path, stand_in):
    stand_in("open(out, 'wb').write(open(given, 'rb').read())")
    source = tmp_path / "clip.avi"
    source.write_bytes(b"the one that was checked")
    with source.open("rb") as stream:
        stream.read(5)
        source.unlink()
        source.write_bytes(b"another one")
        convert(stream, ".avi", tmp_path / "clip.mp4")
    assert (tmp_path / "clip.mp4").read_bytes() == b"the one that was checked"


@posix
def test_too_long_is_ended_with_all_that_it_has_started(tmp_path, stand_in):
    stand_in(
        "child = subprocess.Popen(['sleep', '300'])\n"
        f"open({str(tmp_path / 'pids')!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "open(out, 'wb').write(b'half')\ntime.sleep(300)"
    )
    began = time.monotonic()
    with pytest.raises(ConversionTimeout, match=r"not done after 1\.5 s") as failed:
        attempt(tmp_path, timeout=1.5)
    assert time.monotonic() - began < 10
    assert failed.value.code == "conversion-timeout"
    assert not (tmp_path / "files.avi" / "clip.mp4").exists()
    pids = [int(each) for each in (tmp_path / "pids").read_text().split()]
    ends = time.monotonic() + 5
    while any(is_alive(each) for each in pids) and time.monotonic() < ends:
        time.sleep(0.02)
    assert [each for each in pids if is_alive(each)] == []


@posix
def test_all_can_be_ended_from_elsewhere(tmp_path, stand_in):
    stand_in(f"open({str(tmp_path / 'here')!r}, 'w')\ntime.sleep(300)")
    said: list[BaseException] = []

    def work() -> None:
        try:
            attempt(tmp_path, timeout=100)
        except ConversionFailed as error:
            said.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not (tmp_path / "here").exists():
        time.sleep(0.01)
    stop_conversions()
    thread.join(10)
    assert not thread.is_alive()
    assert "can't convert it" in str(said[0])


@posix
def test_a_failure_says_the_first_complaint(tmp_path, stand_in):
    stand_in(
        "open(out, 'wb').write(b'half')\n"
        "print('[info] harmless', file=sys.stderr)\n"
        "print('[avi @ 0x55ab456a4640] [error] broken \\x1b[31mheader', file=sys.stderr)\n"
        "print(f'[error] {given}: Invalid data', file=sys.stderr)\nsys.exit(183)"
    )
    with pytest.raises(ConversionFailed) as failed:
        attempt(tmp_path)
    assert str(failed.value) == "ffmpeg can't convert it: [avi] broken \\x1b[31mheader"
    assert (failed.value.code, failed.value.exit_code) == ("conversion-failed", 1)
    assert not (tmp_path / "files.avi" / "clip.mp4").exists()


@posix
def test_a_flood_of_words_is_not_kept(tmp_path, stand_in):
    stand_in(
        "for _ in range(3000): sys.stderr.buffer.write(os.urandom(1 << 14))\n"
        "sys.stderr.buffer.write(b'\\n[error] the end\\n')\nsys.exit(1)"
    )
    import tracemalloc

    tracemalloc.start()
    try:
        with pytest.raises(ConversionFailed) as failed:
            attempt(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert "the end" in str(failed.value)
    assert len(str(failed.value)) < 300


@posix
@pytest.mark.parametrize("body", ["pass", "open(out, 'wb')"])
def test_no_result_is_a_failure_whatever_it_says(tmp_path, stand_in, body):
    stand_in(body)
    with pytest.raises(ConversionFailed, match="has written nothing"):
        attempt(tmp_path)


@posix
def test_silence_is_not_the_end(tmp_path, stand_in):
    stand_in("os.close(2)\ntime.sleep(0.5)\nopen(out, 'wb').write(b'late')")
    assert attempt(tmp_path).bytes == 4


@posix
@pytest.mark.parametrize(("read", "is_fine"), [(2.0, False), (8.0, True), (10.0, True)])
def test_a_result_that_lacks_the_end_is_refused(tmp_path, stand_in, read, is_fine):
    stand_in(
        "open(out, 'wb').write(b'short')\n"
        "print('[info]   Duration: 00:00:10.00, start: 0.000000, bitrate: 1 kb/s', file=sys.stderr)\n"
        f"print('out_time_us=100\\nprogress=continue\\nout_time_us={int(read * 1e6)}\\nprogress=end', file=sys.stderr)"
    )
    if is_fine:
        assert attempt(tmp_path).bytes == 5
        return
    with pytest.raises(ConversionFailed, match=r"only 2\.0 of its 10\.0 s"):
        attempt(tmp_path)
    assert not (tmp_path / "files.avi" / "clip.mp4").exists()


@posix
def test_a_full_disk_is_the_disk_and_not_the_file(tmp_path, stand_in):
    stand_in("print('[error] av_interleaved_write_frame(): No space left on device', file=sys.stderr)\nsys.exit(1)")
    with pytest.raises(DiskFull) as failed:
        attempt(tmp_path)
    assert (failed.value.code, failed.value.exit_code) == ("disk-full", 3)


@posix
@pytest.mark.parametrize("named", ["/nowhere/ffmpeg", ""])
def test_none_here(tmp_path, monkeypatch, named):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SYNAPSE_SKILLS_FFMPEG", named)
    assert find_ffmpeg() is None
    with pytest.raises(NoFfmpeg) as failed:
        attempt(tmp_path)
    assert (failed.value.code, failed.value.exit_code) == ("no-ffmpeg", 3)
    for how in ("apt install ffmpeg", "brew install ffmpeg", "winget install ffmpeg", "SYNAPSE_SKILLS_FFMPEG"):
        assert how in failed.value.hint


@posix
def test_one_that_can_not_be_started(tmp_path, stand_in):
    stand_in("").write_bytes(b"\x7fELF nonsense")
    with pytest.raises((NoFfmpeg, ConversionFailed)):
        attempt(tmp_path)


@posix
def test_times_that_are_allowed(tmp_path, stand_in):
    stand_in(f"open({str(tmp_path / 'args')!r}, 'w').write(' '.join(sys.argv))\nopen(out, 'w').write('x')")
    for suffix, seconds in ((".avi", 600), (".wav", 300)):
        attempt(tmp_path, timeout=None, suffix=suffix)
        assert f"-timelimit {seconds * 2 + 60} " in (tmp_path / "args").read_text()
    assert needs_ffmpeg(".AVI", ".mp4") and needs_ffmpeg(".wav", ".mp3")
    assert not needs_ffmpeg(".tiff", ".png") and not needs_ffmpeg(".avi", ".png")


# ---- with the real one --------------------------------------------------------------------------------------------


def run_real(*args: str) -> None:
    assert REAL
    subprocess.run([REAL, "-nostdin", "-v", "error", "-y", *args], check=True, timeout=60)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    run_real(
        *("-f", "lavfi", "-i", "testsrc=size=160x120:rate=10:duration=3", "-f", "lavfi", "-i", "sine=duration=3"),
        *("-c:v", "mpeg4", "-q:v", "2", "-c:a", "mp3", "-ar", "48000", str(folder / "a.avi")),
    )
    run_real("-i", str(folder / "a.avi"), "-c:v", "mpeg4", str(folder / "a.mkv"))
    run_real("-i", str(folder / "a.avi"), "-vn", str(folder / "a.wav"))
    return folder


def frames(path: Path) -> list[np.ndarray]:
    film, found = cv2.VideoCapture(str(path)), []
    while True:
        is_read, frame = film.read()
        if not is_read:
            return found
        found.append(frame)


@real
@pytest.mark.parametrize("suffix", [".avi", ".mkv"])
def test_a_video_has_its_frames_and_is_what_a_browser_plays(tmp_path, recordings, suffix):
    out, made = converted(tmp_path, (recordings / f"a{suffix}").read_bytes(), suffix, ".mp4")
    assert inspect_file(out) == []
    content = out.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), "it can't be played while it is loaded"
    assert b"avc1" in content and b"mp4a" in content
    found, wanted = frames(out), frames(recordings / f"a{suffix}")
    assert len(found) == len(wanted) >= 29
    for each, other in zip(found, wanted, strict=True):
        assert each.shape == (120, 160, 3)
        assert abs(each.astype(int) - other.astype(int)).mean() < 6
    assert made.notes == ()


@real
def test_odd_sides_are_padded_and_nothing_moves(tmp_path):
    run_real(
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=161x121:rate=5:duration=1",
        "-c:v",
        "mpeg4",
        "-q:v",
        "1",
        str(tmp_path / "o.avi"),
    )
    (tmp_path / "x").mkdir()
    out, made = converted(tmp_path / "x", (tmp_path / "o.avi").read_bytes(), ".avi", ".mp4")
    assert made.notes == ("padded from 161 × 121 to even sides",)
    found, wanted = frames(out)[0], frames(tmp_path / "o.avi")[0]
    assert found.shape == (122, 162, 3)
    off = abs(found[:121, :161].astype(int) - wanted.astype(int)).mean(axis=2)
    assert off.mean() < 8
    # Not one column or row is lost, and none has moved.
    assert off[:, -1].mean() < 40 and off[-1].mean() < 40
    for way in ((0, 1), (0, -1), (1, 0)):
        assert abs(np.roll(found, way, (0, 1))[:121, :161].astype(int) - wanted.astype(int)).mean() > off.mean() + 1


@real
@pytest.mark.parametrize("times", ["N/10/TB", "(N*N)/100/TB", "N*7/1000/TB"], ids=["even", "slower and slower", "fast"])
def test_no_frame_is_added_or_lost_when_their_distances_vary(tmp_path, times):
    """Annotations name frames by number."""
    run_real(
        *("-f", "lavfi", "-i", "testsrc=size=64x48:rate=10:duration=4", "-vf", f"settb=1/1000,setpts={times}"),
        *("-vsync", "vfr", "-enc_time_base", "1:1000", "-c:v", "mpeg4", str(tmp_path / "v.mkv")),
    )
    (tmp_path / "x").mkdir()
    out, _ = converted(tmp_path / "x", (tmp_path / "v.mkv").read_bytes(), ".mkv", ".mp4")
    assert len(frames(out)) == len(frames(tmp_path / "v.mkv")) == 40


@real
@pytest.mark.parametrize(
    "target", [".mp3", pytest.param(".m4a", marks=pytest.mark.heavy), pytest.param(".aac", marks=pytest.mark.heavy)]
)
def test_audio(tmp_path, recordings, target):
    out, made = converted(tmp_path, (recordings / "a.wav").read_bytes(), ".wav", target)
    assert inspect_file(out) == []
    assert made.notes == ()
    run_real("-i", str(out), str(tmp_path / "again.wav"))
    assert abs((tmp_path / "again.wav").stat().st_size - (recordings / "a.wav").stat().st_size) < 30_000


@real
@pytest.mark.heavy
def test_the_same_file_gives_the_same_bytes(tmp_path, recordings):
    found = set()
    for number in range(2):
        folder = tmp_path / f"n{number}"
        folder.mkdir()
        out, _ = converted(folder, (recordings / "a.avi").read_bytes(), ".avi", ".mp4")
        found.add(hashlib.sha256(out.read_bytes()).hexdigest())
    assert len(found) == 1


@real
@pytest.mark.parametrize("share", [0, 0.001, 0.45])
def test_a_film_that_is_cut_off(tmp_path, recordings, share):
    for suffix in (".avi", ".mkv"):
        content = (recordings / f"a{suffix}").read_bytes()
        with pytest.raises(ConversionFailed) as failed:
            (tmp_path / suffix).mkdir()
            converted(tmp_path / suffix, content[: int(len(content) * share)], suffix, ".mp4")
        assert failed.value.code == "conversion-failed"
        assert not (tmp_path / suffix / "result.mp4").exists()


@real
@pytest.mark.parametrize("content", [b"hello", os.urandom(50_000), b"RIFF\xff\xff\xff\xffAVI LIST" + b"\0" * 1000])
def test_what_is_no_film(tmp_path, content):
    with pytest.raises(ConversionFailed, match="can't convert it"):
        converted(tmp_path, content, ".avi", ".mp4")


@real
def test_sound_without_pictures_is_no_film(tmp_path, recordings):
    with pytest.raises(ConversionFailed):
        converted(tmp_path, (recordings / "a.wav").read_bytes(), ".avi", ".mp4")


def traps(secret: Path, port: int) -> dict[str, bytes]:
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:3,\n"
    return {
        "playlist of a file": f"{head}file://{secret}\n#EXT-X-ENDLIST\n".encode(),
        "playlist of an address": f"{head}http://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n".encode(),
        "concat": f"ffconcat version 1.0\nfile '{secret}'\n".encode(),
        "description": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video %d RTP/AVP 96\n" % port,
        "dash": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>http://127.0.0.1:%d/</BaseURL>'
        b'<Period><AdaptationSet><Representation id="1"/></AdaptationSet></Period></MPD>' % port,
    }


@real
@pytest.mark.parametrize(
    "name",
    [
        "playlist of a file",
        "playlist of an address",
        "concat",
        pytest.param("description", marks=pytest.mark.heavy),
        pytest.param("dash", marks=pytest.mark.heavy),
    ],
)
def test_a_file_that_names_others_makes_nothing_be_read(tmp_path, recordings, name):
    secret = tmp_path / "secret.ts"
    run_real("-i", str(recordings / "a.avi"), "-c:v", "mpeg2video", "-c:a", "mp2", str(secret))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        content = traps(secret, listening.getsockname()[1])[name]
        folder = tmp_path / "x"
        folder.mkdir()
        with pytest.raises(ConversionFailed, match="can't convert it"):
            converted(folder, content, ".avi", ".mp4")
        assert not (folder / "result.mp4").exists()
        with pytest.raises(BlockingIOError):
            listening.accept()


@real
@pytest.mark.heavy
@pytest.mark.parametrize("name", ["playlist of a file", "concat"])
def test_without_our_list_such_a_file_is_followed(tmp_path, recordings, name):
    """What the test above is worth: the same file, given to ffmpeg as anybody would."""
    secret = tmp_path / "secret.ts"
    run_real("-i", str(recordings / "a.avi"), "-c:v", "mpeg2video", "-c:a", "mp2", str(secret))
    bait = tmp_path / ("bait.m3u8" if name.startswith("playlist") else "bait.avi")
    bait.write_bytes(traps(secret, 9)[name])
    run_real(*(["-safe", "0"] if name == "concat" else []), "-i", str(bait), str(tmp_path / "stolen.mp4"))
    assert (tmp_path / "stolen.mp4").stat().st_size > 1000
