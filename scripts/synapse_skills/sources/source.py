"""Where files come from (`Source`) and what one of them is (`File`)."""

from __future__ import annotations

import difflib
import os
import stat
import unicodedata
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from synapse_skills.errors import OutOfReach, printable, redact
from synapse_skills.sources.address import STORAGE, Address, is_url, parse_address

_LOOKED = 2_000
"""Entries of a folder among which a misspelt one is looked for."""
BROUGHT = "brought"
"""In a job's home: copies of the few files that were brought from folders which only the cluster sees."""


@dataclass(frozen=True)
class Source:
    """A folder with files: here, at a URL, or in a storage of the backend.

    Attributes:
        path: the folder; `~` and relative paths are understood, a plan holds the absolute path. Or a URL: s3, gs,
            sftp, smb, http and https (a manifest). Or, with `storage`, a path in that storage.
        recursive: whether the folders below it count.
        spec: the one file specification that all its files fill (several sources, one for each specification).
        mirror: of a folder that only the cluster sees, the folder here that holds copies of the few files which were
            brought from it; what is opened is looked for there.
        storage: the id of the storage of the backend that the path is relative to; `storage://ID/path` says the same.
    """

    path: str
    recursive: bool = True
    spec: str | None = None
    mirror: str | None = None
    storage: int | None = None

    @property
    def is_remote(self) -> bool:
        """Whether its files have to be fetched before they can be opened."""
        return self.mirror is None and (self.storage is not None or is_url(self.path))

    @property
    def kind(self) -> str:
        """`local`, `storage`, or the scheme of the URL.

        Raises:
            OutOfReach: the URL is of a kind that is not supported.
        """
        return self.address().kind if self.is_remote else "local"

    def address(self) -> Address:
        """Where a remote source is.

        Raises:
            OutOfReach: not supported, or it leads out of itself. UsageError: it holds a secret.
        """
        if self.storage is None:
            return parse_address(self.path)
        return parse_address(f"{STORAGE}://{self.storage}/{self.path.strip('/')}")

    def name(self) -> str:
        """One text for the place: the resolved folder, or the URL as it is always written.

        Raises:
            OutOfReach, UsageError: as `root` and `address` do.
        """
        return str(self.address()) if self.is_remote else str(self.root())

    def place(self) -> Path:
        """The folder as a path names it where the files are; of a URL it only serves to be compared and shown."""
        if self.mirror is not None:
            return Path(self.path)
        return Path(self.name()) if self.is_remote else self.root()

    def root(self) -> Path:
        """The folder itself: expanded, absolute, links resolved, and really a folder that can be listed.

        Raises:
            OutOfReach: `source-not-local` (a URL or a storage), `source-missing`, `source-not-a-folder`,
                `source-denied`.
        """
        if self.mirror is not None:
            return Path(self.mirror)
        shown = printable(redact(self.path))
        if self.is_remote:
            raise OutOfReach(
                f"{printable(str(self.address()))} is not a local folder, and only those can be opened here",
                hint="Copy or mount the files and name the local folder.",
                code="source-not-local",
            )
        if not self.path.strip() or not _may_be_named(self.path):
            raise OutOfReach(f"'{shown}' is not a path", hint="Name a folder.", code="source-missing")
        try:
            root = Path(os.path.realpath(os.path.expanduser(self.path), strict=True))  # noqa: PTH111
            if not stat.S_ISDIR(root.stat().st_mode):
                raise NotADirectoryError
            with os.scandir(root):
                pass
        except FileNotFoundError:
            raise OutOfReach(
                f"There is no folder {shown}{_nearest(self.path)}", hint="Check the spelling.", code="source-missing"
            ) from None
        except NotADirectoryError:
            raise OutOfReach(
                f"{shown} is a file, not a folder", hint="Name the folder that holds it.", code="source-not-a-folder"
            ) from None
        except PermissionError:
            raise OutOfReach(
                f"No permission to read {shown}",
                hint="Ask for read and search permission on the folder, or run as a user who has it.",
                code="source-denied",
            ) from None
        except OSError as error:
            # A stale network mount, a link that leads to itself, a name that is too long.
            raise OutOfReach(
                f"{shown} can't be read: {error.strerror or error}",
                hint="Check the path, and the mount that it lies on.",
                code="source-missing",
            ) from None
        if not str(root).isascii() and not _is_unicode(str(root)):
            raise OutOfReach(
                f"The path {printable(str(root))} is not UTF-8, so no plan can hold it",
                hint="Rename the folder, or name it through a link with a plain name that is not resolved: a mount.",
                code="source-undecodable",
            )
        return root


def source_at(place: str, *, recursive: bool = True, spec: str | None = None, mirror: str | None = None) -> Source:
    """A source as one text names it: a folder, a URL, or `storage://ID/path`, which comes as path and storage.

    Raises:
        OutOfReach: a URL that is not supported, or of a storage without a number. UsageError: it holds a secret.
    """
    if mirror is not None or not is_url(place):
        return Source(place, recursive=recursive, spec=spec, mirror=mirror)
    address = parse_address(place)
    if address.kind != STORAGE:
        return Source(str(address), recursive=recursive, spec=spec)
    if not address.host.isdecimal():
        raise OutOfReach(
            f"{printable(str(address))} names no storage: they have numbers.",
            hint="Write storage://ID/folder; list_resources storages shows them.",
            code="source-missing",
        )
    return Source(address.path, recursive=recursive, spec=spec, storage=int(address.host))


@dataclass(frozen=True, slots=True)
class File:
    """A file of a source.

    Attributes:
        source: index into the sources.
        path: relative to the source, `/` between folders, exactly as it is on disk (a macOS name may be decomposed).
        size: bytes.
        mtime_ns: time of the last change.
    """

    source: int
    path: str
    size: int
    mtime_ns: int

    @property
    def key(self) -> str:
        """The path in composed form (NFC): what names, keys and patterns are compared with."""
        return self.path if self.path.isascii() else unicodedata.normalize("NFC", self.path)

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders of the key, outermost first; empty for a file directly in the source."""
        return tuple(self.key.split("/")[:-1])

    @property
    def suffix(self) -> str:
        """The last suffix in lower case with its dot, '' without one."""
        return suffix_of(self.name)

    @property
    def stem(self) -> str:
        """The name without its last suffix."""
        name = self.name
        return name[: len(name) - len(suffix_of(name))]


def suffix_of(path: str) -> str:
    """The last suffix of a name or path in lower case with its dot; a leading dot or a last one makes no suffix."""
    stem, dot, suffix = path.rpartition("/")[2].rpartition(".")
    return f".{suffix.lower()}" if dot and suffix and stem.strip(".") else ""


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _may_be_named(path: str) -> bool:
    """Whether a file can have that name: none has a zero byte, or half a surrogate pair."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _nearest(path: str) -> str:
    """The path that is meant, if one is like it; else the deepest folder that does exist."""
    missing = Path(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111
    for parent in missing.parents:
        if os.access(parent, os.F_OK):
            wrong, *rest = missing.relative_to(parent).parts
            for name in difflib.get_close_matches(wrong, _folders_in(parent), n=3):
                meant = parent.joinpath(name, *rest)
                if os.path.isdir(meant):  # noqa: PTH112 - a folder that may not be looked at is none
                    return f": did you mean {printable(str(meant))}?"
            return f" ({printable(str(parent))} exists)" if parent != Path(parent.anchor) else ""
    return ""


def _folders_in(folder: Path) -> list[str]:
    """The first folders in a folder; none if it can't be read."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in islice(entries, _LOOKED) if entry.is_dir()]
    except OSError:
        return []
