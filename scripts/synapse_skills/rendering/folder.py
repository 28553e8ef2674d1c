"""A folder that ships: whose it is, and that an edited script in it is not written over by accident.

A marker in the folder says whose job it is and what the script looked like when it was rendered. It is written first,
so that a kill half way leaves a folder that the next rendering knows as its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
from pathlib import Path

from synapse_skills.errors import FindingError, UsageError, printable
from synapse_skills.report import write_bytes
from synapse_skills.texts import parse_json

MARKER = ".synapse-job"
SCRIPT = "upload.py"
SCRIPTS = {"upload": SCRIPT, "export": "export.py", "export_plugin": "plugin/export.py"}
LIBRARY = "synapse_skills"


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write what changed, each file whole or not at all, and take away library files of another version."""
    for name, content in files.items():
        path = folder / name
        if path.is_symlink() or not path.is_file() or path.read_bytes() != content:
            make_private(path.parent)
            write_bytes(path, content)
    library = folder / LIBRARY
    for path in sorted(library.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):  # not empty: it holds what was just written
                path.rmdir()
        elif path.relative_to(folder).as_posix() not in files:
            path.unlink()


def is_edited(folder: Path) -> bool:
    """Whether the script in a job folder is another than the one that was rendered there."""
    marker = _read_marker(folder)
    try:
        script = (folder / SCRIPTS[marker["kind"][0] if marker else "upload"]).read_bytes()
    except OSError:
        return False
    return sha256(script) not in marker.get("script", [])


def make_private(folder: Path) -> None:
    """Make a folder that nobody else reads."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def claimed(folder: Path, kind: str, name: str) -> dict[str, list[str]]:
    """What the marker of a folder says, {} if there is none yet.

    Raises:
        UsageError: a folder that others share, or that holds something else. FindingError: another job's.
    """
    shown = printable(str(folder))
    if _is_shared(folder):
        raise UsageError(
            f"{shown} is a shared folder: a job needs one of its own, because the whole folder ships.",
            hint="Name a folder below it that does not exist yet.",
            code="shared-folder",
        )
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UsageError(f"{shown} is not a folder.", hint="Name another one with --out.", code="not-a-folder")
    if not folder.is_dir() or not any(folder.iterdir()):
        return {}
    marker = _read_marker(folder)
    if not marker:
        raise UsageError(
            f"{shown} holds something else than a job.",
            hint="Name an empty or new folder: the whole folder ships.",
            code="folder-not-ours",
        )
    if marker["name"] != [name] or marker["kind"] != [kind]:
        raise FindingError(
            f"{shown} is another job's folder: {printable(''.join(marker.get('name', [])))}.",
            hint="Name another folder with --out, or remove this one.",
            code="another-job",
        )
    return marker


def _is_shared(folder: Path) -> bool:
    real = Path(os.path.realpath(folder))
    shared = {tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm", os.path.expanduser("~"), os.getcwd()}  # noqa: S108, PTH109, PTH111
    if real == Path(real.anchor) or real in {Path(os.path.realpath(path)) for path in shared}:
        return True
    with contextlib.suppress(OSError):
        return bool(real.stat().st_mode & (stat.S_IWOTH | stat.S_ISVTX))
    return False


def _read_marker(folder: Path) -> dict[str, list[str]]:
    try:
        document = parse_json((folder / MARKER).read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(document, dict) or document.get("kind") not in SCRIPTS:
        return {}
    scripts = [str(each) for each in document.get("script", [])]
    return {"kind": [str(document["kind"])], "name": [str(document.get("name"))], "script": scripts}


def mark(folder: Path, kind: str, name: str, scripts: set[str]) -> None:
    """Say whose folder it is, and what the script looked like when it was rendered."""
    document = {"kind": kind, "name": name, "script": sorted(scripts)}
    write_bytes(folder / MARKER, (json.dumps(document, ensure_ascii=False) + "\n").encode())


def sha256(content: bytes) -> str:
    """The SHA-256 of a text, as markers keep it."""
    return hashlib.sha256(content).hexdigest()
