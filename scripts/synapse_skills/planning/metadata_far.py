"""A table of metadata that lies elsewhere: fetched once a process, and known by its URL in all that is said of it."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from synapse_skills.errors import FindingError, OutOfReach, UsageError, printable

if TYPE_CHECKING:
    from synapse_skills.sources import Source

MAX_MB = 50
_MISSING = ("source-missing", "source-not-a-folder", "source-vanished")
_copies: dict[Path, str] = {}


def is_far(text: str) -> bool:
    """Whether a table is named by a URL or by a storage's path."""
    return "://" in text or text.casefold().startswith("storage:")


@functools.cache
def fetch_table(url: str) -> Path:
    """A copy of the table at a URL, as it is now; it goes with the process, for the plan freezes the rows.

    Raises:
        FindingError: `no-table`, `table-too-large`; `table-in-storage`: nothing there can be fetched by its name alone.
        OutOfReach: the place is out of reach, or wants another login.
    """
    from synapse_skills.sources import reach, source_at

    shown = printable(url)
    folder, _, name = url.strip().rpartition("/")
    if not name or "://" not in folder or folder.endswith("/") or url.lower().startswith("http"):
        raise FindingError(
            f"The table {shown} can't be fetched from there.",
            hint="Copy it to this machine and name its path; s3://, gs://, sftp://, smb:// and storage://ID/path work.",
            code="table-in-storage",
        )
    try:
        with reach(source_at(folder)) as way:
            file = way.stat(name)
            if file is None:
                raise _none(shown)
            if file.size > MAX_MB << 20:
                raise FindingError(
                    f"The table {shown} has {file.size / (1 << 20):,.0f} MB; {MAX_MB} MB at most are fetched.",
                    hint="Copy it to this machine and name its path.",
                    code="table-too-large",
                )
            copy = _folder() / f"{len(_copies)}" / name
            copy.parent.mkdir()
            way.fetch(file, copy)
    except UsageError as error:
        # Not asked again with the answer repeated, and nothing of it is kept.
        raise FindingError(str(error), hint=error.hint, code=error.code) from None
    except (OutOfReach, FindingError) as error:
        if error.code not in _MISSING:
            raise
        raise _none(shown) from None
    _copies[copy] = url.strip()
    return copy


def fetch_from(sources: Sequence[Source], name: str) -> Path | None:
    """A table that is named by its path in one of the sources elsewhere; None if none has it."""
    for source in sources:
        if source.is_remote and ".." not in name.split("/"):
            try:
                return fetch_table(f"{source.name()}/{name}")
            except FindingError as error:
                if error.code not in ("no-table", "table-in-storage"):
                    raise
    return None


def far_name(path: Path) -> str | None:
    """The URL of which a file is the copy; None if it is none."""
    return _copies.get(path)


def inside(url: str, sources: Sequence[Source]) -> list[tuple[int, str]]:
    """In which sources the table at a URL lies, each with the path in it."""
    named = [(number, f"{source.name()}/") for number, source in enumerate(sources) if source.is_remote]
    return [(number, url.removeprefix(name)) for number, name in named if url.startswith(name)]


@functools.cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="synapse-table-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _none(shown: str) -> FindingError:
    return FindingError(f"There is no file {shown}.", hint="Check the path.", code="no-table")
