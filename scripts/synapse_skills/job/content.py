"""What ships of a job folder, and one hash over it: the same here, when the dry run ran, and on the cluster.

A dry run counts for a submission only if it ran exactly what is shipped. The hash is therefore over every file that
travels, and over nothing that a run or a tool leaves behind in the folder.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from synapse_skills.errors import FindingError, OutOfReach, printable

# `.rayignore` says the same to Ray (a test holds them together) …
_ENDINGS_ANYWHERE = (".pyc",)
_FILES_AT_TOP = (".synapse-job", "report.json")
_FOLDERS_AT_TOP = ("state",)
# … and these Ray leaves out by itself, but not in every version.
_BY_RAY = (".git", ".venv", "venv", "__pycache__")
_PIECE = 1 << 20


def content_hash(folder: Path) -> str:
    """SHA-256 over every file that ships: its path in the folder, its size, its bytes.

    Raises:
        FindingError: a link or special file is among them: it would arrive as something else.
        OutOfReach: a file can't be read.
    """
    digest = hashlib.sha256()
    for path in shipped_files(folder):
        try:
            with path.open("rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                digest.update(os.fsencode(path.relative_to(folder).as_posix()) + b"\0%d\0" % size)
                while piece := stream.read(_PIECE):
                    digest.update(piece)
        except OSError as error:
            raise _unreadable(path, error) from None
    return digest.hexdigest()


def shipped_files(folder: Path) -> list[Path]:
    """The files of a job folder that travel, by their path in the folder, byte by byte.

    Raises:
        FindingError: a link (`link-in-job`) or a special file (`special-in-job`) is among them.
        OutOfReach: the folder can't be read.
    """
    found = list(_walk(folder, top=True))
    return sorted(found, key=lambda path: os.fsencode(path.relative_to(folder).as_posix()))


def _walk(folder: Path, *, top: bool) -> Iterator[Path]:
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise _unreadable(folder, error) from None
    for path in entries:
        try:
            mode = path.lstat().st_mode
        except OSError as error:
            raise _unreadable(path, error) from None
        is_folder = stat.S_ISDIR(mode)
        if _stays(path.name, top=top, is_folder=is_folder):
            continue
        if stat.S_ISLNK(mode):
            raise FindingError(
                f"{printable(str(path))} is a link: Ray ships what it leads to, whatever that is.",
                hint="Put the file itself into the job folder, or remove the link.",
                code="link-in-job",
            )
        if is_folder:
            yield from _walk(path, top=False)
        elif stat.S_ISREG(mode):
            yield path
        else:
            raise FindingError(
                f"{printable(str(path))} is a pipe, socket or device: it can't ship.",
                hint="Remove it from the job folder.",
                code="special-in-job",
            )


def _stays(name: str, *, top: bool, is_folder: bool) -> bool:
    if name in _BY_RAY or name.endswith(_ENDINGS_ANYWHERE):
        return True
    return top and (name in _FILES_AT_TOP or (is_folder and name in _FOLDERS_AT_TOP))


def _unreadable(path: Path, error: OSError) -> OutOfReach:
    return OutOfReach(
        f"{printable(str(path))} can't be read: {error.strerror or error}.",
        hint="Check its permissions; rendering the job again (run.py render) makes its files anew.",
        code="job-not-readable",
    )
