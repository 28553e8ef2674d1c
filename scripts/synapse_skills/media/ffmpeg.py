"""Video as MP4 (H.264, AAC) and audio as MP3 or AAC, by the ffmpeg that is found.

ffmpeg reads the one file that it is given, through a handle of ours: only containers that hold their own content are
allowed, whatever the file's name says. A playlist or a concat script, which names other files or addresses, is refused
before anything in it is looked up. What goes in or comes out has no other way: no standard input, no shell.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from synapse_skills.errors import printable
from synapse_skills.media.budget import decoded
from synapse_skills.media.failures import ConversionFailed, ConversionTimeout, DiskFull, NoFfmpeg

VIDEO = frozenset({".mov", ".avi", ".mkv", ".webm", ".flv", ".wmv"})
AUDIO = frozenset({".wav", ".flac", ".ogg", ".m4a", ".wma"})
VIDEO_SECONDS = 600.0
AUDIO_SECONDS = 300.0
PROGRAM_VARIABLE = "SYNAPSE_SKILLS_FFMPEG"

MAX_PIXELS = 8192 * 8192
# Containers that hold what they show. Not among them: hls, dash, concat, image2, sdp and all else that names a file.
_CONTAINERS = "mov,matroska,webm,avi,flv,live_flv,asf,wav,w64,flac,ogg,mp3,aac,mpeg,mpegts"
_THREADS = "2"  # fixed, because the number of threads changes what x264 writes
_HEAD_BYTES = 64 << 10
_TAIL_BYTES = 16 << 10
_REASON_CHARS = 200
_TICK_S = 0.05
_DURATION = re.compile(r"^  Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)", re.MULTILINE)
_DONE_US = re.compile(r"^out_time_us=(-?\d+)", re.MULTILINE)
_SIZE = re.compile(r"^ +Stream #0:\d+.*?: Video: .*?, (\d+)x(\d+)", re.MULTILINE)
_VERSION = re.compile(r"ffmpeg version n?(\d+)\.(\d+)")
_ADDRESS = re.compile(r" @ 0x[0-9a-f]+")
# What may be missing at the end of a recording before it counts as cut off.
_MISSING_SHARE = 0.1
_MISSING_S = 1.0
# Writers are careless about padding; a stream's writer does not know the size and says about 4 GiB.
_RIFF_SLACK = 4096
_RIFF_UNKNOWN = 0xFFFF_0000

_VIDEO_OUT = [
    *("-map", "0:V:0", "-map", "0:a:0?", "-c:v", "libx264", "-preset", "veryfast", "-crf", "20"),
    *("-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "160k"),
    # In finer steps than any camera's: without it frames of a phone, whose distances vary, would fall together.
    *("-enc_time_base", "1:90000", "-movflags", "+faststart", "-f", "mp4"),
]
# Padded, not scaled: coordinates of annotations stay what they are. In full colour resolution, because pad takes the
# last column of an odd picture away otherwise.
_EVEN = ["-vf", "format=yuv444p,pad=ceil(iw/2)*2:ceil(ih/2)*2"]
_IS_ODD = "not divisible by 2"
_AUDIO_OUT = {
    ".mp3": ["-map", "0:a:0", "-c:a", "libmp3lame", "-q:a", "2", "-f", "mp3"],
    ".m4a": ["-map", "0:a:0", "-c:a", "aac", "-b:a", "192k", "-movflags", "+faststart", "-f", "ipod"],
    ".aac": ["-map", "0:a:0", "-c:a", "aac", "-b:a", "192k", "-f", "adts"],
}

_running: set[subprocess.Popen[bytes]] = set()
_lock = threading.Lock()


def find_ffmpeg() -> str | None:
    """The program: what SYNAPSE_SKILLS_FFMPEG names, else the one on PATH, else None."""
    return shutil.which(os.environ.get(PROGRAM_VARIABLE) or "ffmpeg")


def stop_conversions() -> None:
    """End every ffmpeg of this process, and what waits for room: for whoever is to stop while other threads convert."""
    with _lock:
        running = list(_running)
    for process in running:
        _kill(process)
    decoded.stop()


def transcode(stream: BinaryIO, suffix: str, wanted: str, out: Path, timeout: float | None) -> tuple[str, ...]:
    """Write `out` (which must not exist); what is not as in the original.

    Raises:
        NoFfmpeg, ConversionTimeout, DiskFull: as they say.
        ConversionFailed: ffmpeg can't read it, or could read only a part of it.
    """
    program = find_ffmpeg()
    if program is None:
        named = os.environ.get(PROGRAM_VARIABLE)
        where = f"{PROGRAM_VARIABLE} names no program: {printable(named)}" if named else "there is no ffmpeg here"
        raise NoFfmpeg(f"{suffix} to {wanted} needs ffmpeg, and {where}")
    _refuse_cut_off(stream)
    is_video = suffix in VIDEO
    seconds = timeout if timeout is not None else VIDEO_SECONDS if is_video else AUDIO_SECONDS
    with _readable(stream, out.parent) as (name, handles):
        words = command(program, name, wanted, out, seconds)
        code, said = _run(words, handles, seconds, out.parent)
        if code != 0 and _IS_ODD in said:
            out.unlink(missing_ok=True)
            code, said = _run([*words[:-1], *_EVEN, words[-1]], handles, seconds, out.parent)
    if code != 0:
        if "No space left on device" in said:
            raise DiskFull("the disk is full")
        raise ConversionFailed(f"ffmpeg can't convert it: {_reason(said) or f'exit {code}'}")
    if not out.is_file() or out.stat().st_size == 0:
        raise ConversionFailed("ffmpeg has written nothing")
    return tuple(_notes(said))


def _refuse_cut_off(stream: BinaryIO) -> None:
    """An AVI or WAV that says how long it is, and isn't: ffmpeg would take what is there for all of it."""
    head = stream.read(12)
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    if head[:4] == b"RIFF" and head[8:] in (b"AVI ", b"WAVE"):
        said = int.from_bytes(head[4:8], "little") + 8
        if size + _RIFF_SLACK < said < _RIFF_UNKNOWN:
            raise ConversionFailed(f"only {size:,} of its {said:,} bytes are there: cut off")


def command(program: str, name: str, wanted: str, out: Path, seconds: float) -> list[str]:
    """The command line for one file."""
    result = [*_frames_kept(program), *_VIDEO_OUT] if wanted == ".mp4" else _AUDIO_OUT[wanted]
    return [
        *(program, "-nostdin", "-hide_banner", "-loglevel", "level+info", "-nostats", "-progress", "pipe:2"),
        # Should nobody be left to end it, it ends itself: seconds of processor time, on all threads.
        *("-timelimit", str(int(seconds * int(_THREADS)) + 60)),
        *("-protocol_whitelist", "file", "-format_whitelist", _CONTAINERS, "-max_pixels", str(MAX_PIXELS)),
        *("-i", f"file:{name}", "-threads", _THREADS, "-filter_threads", "1"),
        *("-map_metadata", "-1", "-map_chapters", "-1", "-sn", "-dn"),
        *("-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"),
        *result,
        f"file:{out.resolve()}",
    ]


def _frames_kept(program: str) -> tuple[str, str]:
    """No frame is added to even out their distances: frame 100 is frame 100, whoever has marked something on it."""
    version = _VERSION.match(_version(program))
    is_old = version is not None and (int(version.group(1)), int(version.group(2))) < (5, 1)
    return ("-vsync" if is_old else "-fps_mode", "vfr")


@functools.lru_cache(maxsize=8)
def _version(program: str) -> str:
    try:
        told = subprocess.run(  # noqa: S603
            [program, "-version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stdout[:200].decode("utf-8", "replace")


@contextmanager
def _readable(stream: BinaryIO, folder: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """A name under which ffmpeg finds just this open file, and the handles that it inherits."""
    if os.name == "posix":
        handle = stream.fileno()
        yield f"/dev/fd/{handle}", (handle,)
        return
    # Here a handle has no name, and the file's own name may lead elsewhere by now.
    number, copy = tempfile.mkstemp(dir=folder, prefix=".synapse-", suffix=".part")
    try:
        with os.fdopen(number, "wb") as written:
            shutil.copyfileobj(stream, written)
        yield copy, ()
    finally:
        Path(copy).unlink(missing_ok=True)


def _run(words: list[str], handles: tuple[int, ...], seconds: float, folder: Path) -> tuple[int, str]:
    """Run it to its end or to its time; its exit code, and the beginning and the end of what it said."""
    surroundings = {name: value for name, value in os.environ.items() if name not in ("FFREPORT", "AV_LOG_FORCE_COLOR")}
    try:
        process = subprocess.Popen(  # noqa: S603
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=handles,
            cwd=folder,
            env=surroundings,
            start_new_session=os.name == "posix",
        )
    except OSError as error:
        raise NoFfmpeg(f"ffmpeg can't be started: {error.strerror or error}") from None
    with _lock:
        _running.add(process)
    heard = _Heard(process.stderr)
    try:
        ends = time.monotonic() + seconds
        while process.poll() is None:
            if time.monotonic() > ends:
                raise ConversionTimeout(f"not done after {seconds:g} s")
            heard.wait(min(_TICK_S, seconds))
    finally:
        # Also after its own end: a program in its place may have left children behind.
        _kill(process)
        process.wait()
        with _lock:
            _running.discard(process)
        heard.close()
    return process.returncode, heard.text


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End it and all that it has started."""
    try:
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # it has ended by itself (macOS says so with EPERM)


class _Heard:
    """What a program says, read as it says it, of which only the beginning and the end are kept."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        self._pipe = pipe
        self._head = b""
        self._tail = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        if self._pipe is None:
            return
        while chunk := os.read(self._pipe.fileno(), 1 << 16):
            room = _HEAD_BYTES - len(self._head)
            self._head += chunk[:room]
            self._tail = (self._tail + chunk[room:])[-_TAIL_BYTES:] if room < len(chunk) else self._tail

    def wait(self, seconds: float) -> None:
        """Until the program has closed its end, or a moment."""
        self._thread.join(seconds)
        if not self._thread.is_alive():
            time.sleep(min(seconds, 0.005))  # closed, but perhaps not yet ended

    def close(self) -> None:
        """The program has ended: what is still in the pipe is read, unless somebody else holds it open."""
        self._thread.join(2)
        if self._pipe is not None and not self._thread.is_alive():
            self._pipe.close()

    @property
    def text(self) -> str:
        return (self._head + self._tail).decode("utf-8", "replace")


def _reason(said: str) -> str:
    """The first complaint, without addresses of memory and of files."""
    for line in said.splitlines():
        if "[error]" in line or "[fatal]" in line:
            text = _ADDRESS.sub("", line).replace("[error]", "").replace("[fatal]", "")
            text = re.sub(r"file:\S+: |/dev/fd/\d+:? ?", "", " ".join(text.split()))
            return printable(text)[:_REASON_CHARS]
    return ""


def _notes(said: str) -> Iterator[str]:
    """What has changed; refused if the end is missing."""
    expected, done = _DURATION.search(_plain(said)), _DONE_US.findall(said)
    if expected and done:
        hours, minutes, rest = expected.groups()
        whole, read = int(hours) * 3600 + int(minutes) * 60 + float(rest), int(done[-1]) / 1e6
        if read < whole * (1 - _MISSING_SHARE) - _MISSING_S:
            raise ConversionFailed(f"only {max(read, 0):.1f} of its {whole:.1f} s can be read: damaged or cut off")
    size = _SIZE.search(_plain(said))
    if size and (int(size.group(1)) % 2 or int(size.group(2)) % 2):
        width, height = int(size.group(1)), int(size.group(2))
        yield f"padded from {width} × {height} to even sides"
    faults = said.count("[error]")
    if faults:
        yield "parts of it are damaged"


def _plain(said: str) -> str:
    return said.replace("[info] ", "")
