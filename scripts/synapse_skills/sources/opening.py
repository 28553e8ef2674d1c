"""Opening a file of a source without ever being led out of it.

The walk refuses links that leave the root, but a folder can be swapped for a link between the walk and the upload. So
every read goes through here: each part of the path is opened from its parent with O_NOFOLLOW, and where a part is a
link, the path that it resolves to is checked and opened in the same way. No window is left between check and open.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from synapse_skills.sources.source import File

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
# Without O_NONBLOCK, opening a fifo that took the file's place would wait for a writer for ever.
_READ = os.O_RDONLY | _NOFOLLOW | _CLOEXEC | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_FOLDER = os.O_RDONLY | _NOFOLLOW | _CLOEXEC | getattr(os, "O_DIRECTORY", 0)


class LinkOutside(OSError):
    """The path leads out of the source through a link: refused, not read."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.ELOOP, "is a link that leaves the source, which is refused", path)


def open_inside(root: Path | str, file: File | str) -> BinaryIO:
    """Open a file of a source for reading.

    Args:
        root: the source's root, as `Source.root()` gives it (resolved).
        file: the file, or its path relative to the root.

    Raises:
        LinkOutside: a part of the path is a link that leads out of the root.
        OSError: missing, unreadable, or no regular file.
    """
    base = os.fspath(root)
    path = file if isinstance(file, str) else file.path
    parts = _parts(path)
    handle = _open_parts(base, parts)
    if handle is None:
        real = os.path.realpath(os.path.join(base, path), strict=True)  # noqa: PTH118
        inside = real[len(_prefix(base)) :] if real.startswith(_prefix(base)) else ""
        if not inside:
            raise LinkOutside(path)
        handle = _open_parts(base, _parts(inside))
        if handle is None:
            raise LinkOutside(path)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def _parts(path: str) -> list[str]:
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or "" in parts:
        raise LinkOutside(path)
    return parts


def _prefix(root: str) -> str:
    return root if root.endswith(os.sep) else root + os.sep


def _open_parts(root: str, parts: list[str]) -> int | None:
    """Open root/part/part… one by one without following a link; None when one of them is a link."""
    if os.open not in os.supports_dir_fd:
        return _open_checked(root, parts)
    folder = os.open(root, os.O_RDONLY | _CLOEXEC | getattr(os, "O_DIRECTORY", 0))
    try:
        for part in parts[:-1]:
            deeper = _open_part(part, _FOLDER, folder)
            if deeper is None:
                return None
            os.close(folder)
            folder = deeper
        return _open_part(parts[-1], _READ, folder)
    finally:
        os.close(folder)


def _open_part(name: str, flags: int, folder: int) -> int | None:
    try:
        return os.open(name, flags, dir_fd=folder)
    except OSError as error:
        # Linux answers ELOOP for a link in place of a file, ENOTDIR for one in place of a folder.
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK) and _is_link(name, folder):
            return None
        raise


def _is_link(name: str, folder: int) -> bool:
    return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)


def _open_checked(root: str, parts: list[str]) -> int | None:
    """For systems that can't open relative to a folder: resolve, open, and see that it is still the same file."""
    path = os.path.join(root, *parts)  # noqa: PTH118
    if os.path.realpath(path, strict=True) != path:
        return None
    handle = os.open(path, _READ)
    if not os.path.samestat(os.fstat(handle), os.stat(path, follow_symlinks=False)):  # noqa: PTH116
        os.close(handle)
        return None
    return handle
