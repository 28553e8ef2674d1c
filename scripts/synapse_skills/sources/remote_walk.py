"""The walk over a remote place: its listing, sorted into files, junk and what can't be a path.

No request for each file: sizes and versions come with the listing. What the listing has and a path can't hold is
counted, so no key goes missing silently.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

from synapse_skills.errors import printable
from synapse_skills.sources.faults import Fault, error_of
from synapse_skills.sources.junk import JUNK_NAMES, JUNK_STARTS, junk_kind
from synapse_skills.sources.remote import Entry, Remote
from synapse_skills.sources.walk import BATCH, Batch, Gathering, fold

_FIX_KEY = "Rename it, or copy it to a plain name: no folder on a disk can hold it, so it can't be uploaded as it is."
_FIX_CONTROL = "Rename it: line breaks and control characters in a name break tools that read it later."
_MOST_BYTES = 255
_FIX_LINK = "Name the folder that holds both as the source, or put the files in place of the links."
PROBLEMS = {
    "bad-row": ("error", "Write the row as path,bytes,sha256; the checksum may be missing."),
    "listed-twice": ("error", "Name each path once in the manifest."),
    "link-outside": ("warning", _FIX_LINK),
    "link-broken": ("warning", "Restore its target or remove it."),
    "special-file": ("warning", "Remove it."),
    "unreadable-folder": ("error", "Ask for permission to read it; until then it is missing from the count."),
    "unreadable-file": ("error", "Ask for permission to read it; until then it is missing from the count."),
    "undecodable-name": ("error", "Rename it, with convmv -f cp949 -t utf8 for example."),
}
"""What a place may say about an entry that is no file to upload: severity, and what to do."""


class RemoteWalker(Gathering[Remote]):
    """Walks one remote source, and hands out what it finds as `Walker` does for a local one."""

    _folders: Sequence[str] = ()
    _skipped = ""

    def batches(self) -> Iterator[Batch]:
        """Files, BATCH at a time, in batches that end at the limit; the last one may be empty.

        Raises:
            OutOfReach: the place can't be listed to its end.
        """
        done: set[str] = set()
        of_top = 0
        top = ""
        try:
            for entry in self._where.list(recursive=self._recursive, done=done):
                now = entry.key.partition("/")[0] if "/" in entry.key else ""
                if now != top:
                    top, of_top = now, 0
                if top and top in done:
                    continue
                if not self._take(entry):
                    continue
                of_top += 1
                found = self.files + len(self._batch) // 3
                if self._share is not None and found >= self._share:
                    self._walk.complete = False
                    break
                # In a spread sample no folder takes more than half of what is left.
                if self._share is not None and top and of_top >= max(BATCH, (self._share - found + of_top) // 2):
                    self._walk.complete = False
                    done.add(top)
                if len(self._batch) >= 3 * self._full() or len(self.odd) >= BATCH:
                    yield self._taken()
        except Fault as found_fault:
            raise error_of(found_fault, str(self._where.address)) from None
        yield self._taken()

    def _take(self, entry: Entry) -> bool:
        """Sort one entry; True if it is a file to upload."""
        key = entry.key
        if entry.problem:
            severity, fix = PROBLEMS[entry.problem]
            self._problem(entry.problem, key, "", fix, severity=severity)
            return False
        if key.endswith("/") and not entry.size:
            # A folder of a listing without what is below it, or an object that only stands for a folder.
            key = key.rstrip("/")
            if _impossible(key):
                self._problem("odd-key", entry.key, _impossible(key), _FIX_KEY)
            else:
                self._enter(key.split("/"))
            return False
        if why := _impossible(key):
            self._problem("odd-key", key, why, _FIX_KEY)
            return False
        folder, _, name = key.rpartition("/")
        if not self._enter(folder.split("/") if folder else []):
            return False
        if kind := _junk(name, False):
            self._junk.add(kind, key)
            return False
        self._look(f"{folder}/" if folder else "", name)
        self._batch.extend((key, entry.size, entry.version))
        return True

    def _enter(self, folders: list[str]) -> bool:
        """Count the folders that the last key did not lie in; False below one that is junk."""
        same = 0
        for one, other in zip(folders, self._folders, strict=False):
            if one != other:
                break
            same += 1
        if self._skipped and same >= self._skipped.count("/"):
            return False
        self._skipped = ""
        self._folders = folders
        for depth in range(same, len(folders)):
            prefix = "".join(f"{part}/" for part in folders[:depth])
            name = folders[depth]
            if kind := _junk(name, True):
                self._skipped = f"{prefix}{name}/"
                self._folders = folders[: depth + 1]
                self._junk.add(kind, self._skipped)
                return False
            self._walk.folders += 1
            self._look(prefix, name)
        return True

    def _look(self, prefix: str, name: str) -> None:
        """Note whatever is odd about a name."""
        if not name.isprintable() and any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in name):
            self._problem("control-character", prefix + name, "", _FIX_CONTROL, severity="warning")
        folded = fold(name)
        if folded != name:
            self.odd.append((self._index, prefix + folded, prefix + name))

    def _problem(self, code: str, key: str, why: str, fix: str, *, severity: str = "error") -> None:
        shown = printable(key)
        self._walk.problems.add(code, f"{shown}: {why}" if why else shown, severity=severity, fix=fix)


def _junk(name: str, is_folder: bool) -> str | None:
    return junk_kind(name, is_folder) if name[0] in JUNK_STARTS or name in JUNK_NAMES else None


def _impossible(key: str) -> str:
    """Why no path can hold a key; '' if one can."""
    parts = key.split("/")
    if key.endswith("/"):
        return "ends with a slash, as a folder does, and has content"
    if "" in parts:
        return "has an empty folder name (two slashes, or one at its beginning)"
    if "." in parts or ".." in parts:
        return "has . or .. for a folder"
    if "\0" in key:
        return "has a NUL character"
    try:
        too_long = any(len(part.encode()) > _MOST_BYTES for part in parts)
    except UnicodeEncodeError:
        return "is not UTF-8"
    return f"has a name of more than {_MOST_BYTES} bytes" if too_long else ""
