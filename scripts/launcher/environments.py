"""One environment for each lock, in the user's cache: built once, then found in a few milliseconds and offline.

`<cache>/synapse-skills/env-<12 hex digits of the lock's SHA-256>-<cpXY>`: another lock or another Python is another
folder, so nothing is ever upgraded in place under a running job. `.complete` is written last; a folder without it is
what an interrupted installation left, and is built again.
"""

import hashlib
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path
from typing import IO, List, Optional

from launcher.interpreters import OVERRIDE, PREFERRED, Interpreter, find_python, find_uv, probe
from launcher.messages import INTERRUPTED, LaunchError, say, without_passwords
from launcher.processes import WINDOWS, install

ROOT = Path(__file__).resolve().parent.parent.parent
LOCKS = {
    "normal": "requirements.lock",
    "ray": "requirements-ray.lock",
    "dev": "requirements-dev.lock",
    "oldest": "requirements-oldest.lock",
}
UV_LOCK = "requirements-uv.lock"
_MARKER = ".complete"
_WAIT_SECONDS = 0.2
# Scripts keep their bytecode in the cache (script_environment), so compiling here would only take time.
_PIP_FLAGS = ("--no-input", "--no-deps", "--require-hashes", "--no-compile")


def cache_folder() -> Path:
    """Where environments and bytecode lie. A relative XDG_CACHE_HOME is ignored, as its specification says."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(named) if os.path.isabs(named) else Path(os.path.expanduser("~")) / ".cache"
    return base / "synapse-skills"


def environment(kind: str) -> str:
    """The Python of an environment, which is installed first if it isn't there yet.

    Raises:
        LaunchError: no lock, no interpreter, no network the first time, or a cache that can't be written.
    """
    lock = ROOT / LOCKS[kind]
    digest = lock_digest(lock)
    ready = find_ready(digest)
    if ready is not None:
        return ready
    interpreter = find_python()
    cache = cache_folder()
    folder = cache / "env-{}-{}".format(digest, interpreter.tag)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _Lock(cache / (folder.name + ".lock")):
            if not _is_ready(folder):
                _build(folder, interpreter, lock)
    except OSError as error:
        raise LaunchError(
            "The cache folder {} can't be used: {}.".format(cache, error.strerror or error),
            "Free some space or make it writable, or set XDG_CACHE_HOME to a folder that is.",
            code="cache-not-writable",
        ) from error
    return _python_of(folder)


def lock_digest(lock: Path) -> str:
    """The first 12 hex digits of the lock's SHA-256."""
    try:
        return hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    except OSError as error:
        raise LaunchError(
            "{} can't be read: {}.".format(lock, error.strerror), "Install the plugin or clone the project again."
        ) from error


def find_ready(digest: str) -> Optional[str]:
    """The Python of a finished environment for this lock, without looking for interpreters: the everyday path."""
    if os.environ.get(OVERRIDE):
        names = ["env-{}-{}".format(digest, find_python().tag)]
    else:
        names = ["env-{}-cp{}{}".format(digest, major, minor) for major, minor in PREFERRED]
        names += sorted(path.name for path in cache_folder().glob("env-{}-cp*".format(digest)) if path.is_dir())
    for name in names:
        if _is_ready(cache_folder() / name):
            return _python_of(cache_folder() / name)
    return None


def _python_of(folder: Path) -> str:
    return str(folder / "Scripts" / "python.exe" if WINDOWS else folder / "bin" / "python")


def _is_ready(folder: Path) -> bool:
    try:
        marker = json.loads((folder / _MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    python = _python_of(folder)
    if not os.path.exists(python):  # may be a link whose Python was uninstalled
        return False
    if marker == _stamp(python):
        return True
    # The Python underneath was replaced: fine within the same minor version, otherwise the packages aren't found.
    found = probe(python)
    return found is not None and folder.name.endswith("-" + found.tag)


def _stamp(python: str) -> List[object]:
    real = os.path.realpath(python)
    info = os.stat(real)
    return [real, info.st_size, info.st_mtime_ns]


def _build(folder: Path, interpreter: Interpreter, lock: Path) -> None:
    if folder.exists():
        say("an earlier installation was interrupted: starting it again")
        shutil.rmtree(str(folder))
    count = len(re.findall(r"^[A-Za-z0-9][\w.\-]*==", lock.read_text(encoding="utf-8"), re.MULTILINE))
    say("installing up to {} packages into {} (once; afterwards it starts at once, and offline)".format(count, folder))
    uv = find_uv([interpreter.path, sys.executable]) or _own_uv(interpreter, folder.parent)
    if uv is None:
        say("without uv this takes about a minute")
    started = time.time()
    failure = _with_uv(uv, folder, interpreter, lock) if uv else ""
    if failure:
        # pip reads pip.conf, which names the package index of many a company; uv doesn't.
        say("uv couldn't: {}; trying pip".format(failure))
        shutil.rmtree(str(folder), ignore_errors=True)
    if uv is None or failure:
        _with_pip(folder, interpreter, lock)
    python = _python_of(folder)
    temporary = folder / (_MARKER + ".new")
    temporary.write_text(json.dumps(_stamp(python)), encoding="utf-8")
    temporary.replace(folder / _MARKER)
    say("installed in {:.1f} s".format(time.time() - started))


def _with_uv(uv: str, folder: Path, interpreter: Interpreter, lock: Path) -> str:
    """Install with uv; returns why it couldn't, empty if it could."""
    for command in (
        [uv, "venv", "--no-project", "--python", interpreter.path, str(folder)],
        [uv, "pip", "install", "--python", _python_of(folder), "--no-deps", "--require-hashes", "-r", str(lock)],
    ):
        # In the cache folder: a uv.toml or pyproject.toml where the user happens to be isn't ours.
        answer = install(command, cwd=str(folder.parent))
        if answer.code not in (0, INTERRUPTED) and "peer certificate" in answer.text:
            # uv trusts its own list of authorities; a company's proxy is only in the system's.
            answer = install(command, cwd=str(folder.parent), extra={"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"})
        if answer.code != 0:
            _stop_if_interrupted(answer.code)
            return _why(answer.text) or "exit code {}".format(answer.code)
    return ""


def _own_uv(interpreter: Interpreter, cache: Path) -> Optional[str]:
    """A uv of our own in the cache: pip needs ten seconds to bring it, and a minute for what it then brings in five.

    Returns:
        Its path; None where it can't be had, which pip then has to make up for.
    """
    lock = ROOT / UV_LOCK
    if not lock.is_file():
        return None
    folder = cache / "uv-{}".format(lock_digest(lock))
    uv = folder / "Scripts" / "uv.exe" if WINDOWS else folder / "bin" / "uv"
    with _Lock(cache / (folder.name + ".lock")):
        if not (folder / _MARKER).is_file():
            shutil.rmtree(str(folder), ignore_errors=True)
            for command in (
                [interpreter.path, "-I", "-m", "venv", str(folder)],
                [_python_of(folder), "-I", "-m", "pip", "install", *_PIP_FLAGS, "-r", str(lock)],
            ):
                answer = install(command, cwd=str(cache))
                _stop_if_interrupted(answer.code)
                if answer.code != 0:
                    return None
            (folder / _MARKER).write_text("", encoding="utf-8")
    return str(uv) if uv.is_file() else None


def _with_pip(folder: Path, interpreter: Interpreter, lock: Path) -> None:
    answer = install([interpreter.path, "-I", "-m", "venv", str(folder)], cwd=str(folder.parent))
    _stop_if_interrupted(answer.code)
    if answer.code != 0:
        version = "{}.{}".format(*interpreter.version[:2])
        raise LaunchError(
            "Python {} at {} can't make an environment: {}".format(
                version, interpreter.path, _why(answer.text) or "the venv module failed"
            ),
            "Install its venv module (`apt install python{}-venv` on Debian and Ubuntu), or uv.".format(version),
            code="no-venv",
        )
    python = _python_of(folder)
    answer = install(
        [python, "-I", "-m", "pip", "install", *_PIP_FLAGS, "-r", str(lock)],
        cwd=str(folder.parent),
    )
    _stop_if_interrupted(answer.code)
    if answer.code != 0:
        raise LaunchError(
            "The packages of {} can't be installed: {}".format(lock.name, _why(answer.text)),
            "The first time needs a package index. Behind a proxy set HTTPS_PROXY; with an index of your own set "
            "PIP_INDEX_URL (pip) or UV_DEFAULT_INDEX (uv). Then run it again.",
            code="install-failed",
        )


def _why(text: str) -> str:
    """The lines that tell why an installer failed: from its first error on, else its last words."""
    lines = [line.strip()[:300] for line in without_passwords(text).splitlines() if line.strip()]
    lines = [line for line in lines if not line.lower().startswith(("[notice]", "warning:", "hint:"))]
    errors = [index for index, line in enumerate(lines) if line.lower().startswith(("error", "\u00d7"))]
    return " / ".join(lines[errors[0] : errors[0] + 3] if errors else lines[-3:])


def _stop_if_interrupted(code: int) -> None:
    if code == INTERRUPTED:
        raise KeyboardInterrupt


class _Lock:
    """One installation at a time; released by the system when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: Optional[IO[str]] = None

    def __enter__(self) -> "_Lock":
        self._file = self._path.open("a+", encoding="utf-8")
        if not self._try():
            say("another start is installing the same environment; waiting for it")
            while not self._try():
                time.sleep(_WAIT_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def _try(self) -> bool:
        assert self._file is not None
        try:
            if WINDOWS:
                import msvcrt

                self._file.seek(0)
                msvcrt.locking(self._file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
            else:
                import fcntl

                fcntl.flock(self._file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        return True
