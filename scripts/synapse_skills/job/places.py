"""Where the SQLite files of a run lie: on a disk of this machine, whatever the state folder is on.

SQLite's write-ahead log needs shared memory, which no network file system gives; and a ledger is a cache, made anew
from the journal wherever the job runs next.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from synapse_skills.errors import OutOfReach

_NETWORK = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "gluster", "lustre", "beegfs", "gpfs", "virtiofs", "fuse", "ncp")
_LOCAL_FUSE = ("fuseblk", "fusectl", "fuse.lxcfs", "fuse.ntfs", "fuse-overlayfs", "fuse.fuse-overlayfs")


def cache_for(folder: Path, *, named_by_plan: bool) -> Path:
    """The folder for the SQLite files of a state folder.

    Args:
        folder: the state folder, absolute.
        named_by_plan: it is the plan's: made to outlive this machine.

    Raises:
        OutOfReach: `no-cache`: no folder can be made for them.
    """
    if not named_by_plan and not on_network(folder):
        return folder
    return cache_of(os.path.realpath(folder))


def cache_of(place: str) -> Path:
    """The folder on a disk of this machine that goes with a state anywhere.

    Args:
        place: the state's absolute folder or URL.

    Raises:
        OutOfReach: `no-cache`.
    """
    name = "state-" + hashlib.sha256(os.fsencode(place)).hexdigest()[:16]
    # A home that other machines share is no place for SQLite either, and only the second choice.
    for base in sorted(_bases(), key=on_network):
        folder = base / name
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if folder.stat().st_uid == os.geteuid() and os.access(folder, os.W_OK):
                return folder
        except OSError:
            continue
    raise OutOfReach(
        "There is no folder on this machine for the job's working files.",
        hint="Set XDG_CACHE_HOME to a folder that can be written.",
        code="no-cache",
    )


def on_network(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> bool:
    """Whether a folder lies on a file system that other machines may share; False where that can't be told."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
    real = os.path.realpath(folder)
    best, kind = "", ""
    for line in lines:
        left, _, right = line.partition(" - ")
        fields = left.split()
        if len(fields) < 5 or not right:
            continue
        point = fields[4].encode().decode("unicode_escape")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, right.split()[0]
    return kind.startswith(_NETWORK) and not kind.startswith(_LOCAL_FUSE)


def _bases() -> list[Path]:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")  # noqa: PTH111, PTH118
    own = f"synapse-skills-{os.geteuid()}"
    return [Path(home) / "synapse-skills", Path(tempfile.gettempdir()) / own]
