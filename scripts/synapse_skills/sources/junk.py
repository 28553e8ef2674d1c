"""What operating systems, editors and version control leave behind: set aside, and counted.

Hidden files and folders (a leading dot) are set aside too: they are hardly ever data, and uploading a `.env` would be
worse than leaving one picture at home. They are counted with examples, so that nobody has to guess.
"""

from __future__ import annotations

from synapse_skills.errors import printable
from synapse_skills.report import Problems

JUNK_NAMES = frozenset(
    {
        "Thumbs.db",
        "thumbs.db",
        "ehthumbs.db",
        "Desktop.ini",
        "desktop.ini",
        "Icon\r",
        "__MACOSX",
        "__pycache__",
        "@eaDir",
        "@Recycle",
        "#recycle",
        "#snapshot",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
    }
)
JUNK_STARTS = ".~"
_KNOWN_HIDDEN = frozenset({".DS_Store", ".git", ".svn", ".hg", ".ipynb_checkpoints", ".keep", ".gitkeep", ".gitignore"})
_OFFICE = (".xls", ".xlsx", ".xlsm", ".doc", ".docx", ".ppt", ".pptx", ".hwp", ".hwpx")


def junk_kind(name: str, is_folder: bool) -> str | None:
    """What kind of junk a name is, or None if it is data; it is in JUNK_NAMES or begins with one of JUNK_STARTS."""
    if name in JUNK_NAMES or name in _KNOWN_HIDDEN:
        return name.strip()
    if name.startswith("~"):
        is_lock = name.startswith("~$") and not is_folder and name.lower().endswith(_OFFICE)
        return "Office lock file" if is_lock else None
    if name.startswith("._"):
        return "AppleDouble ._*"
    return "hidden folder" if is_folder else "hidden file"


class Junk:
    """Counts what was set aside by kind; a handful of kinds, so memory does not grow."""

    def __init__(self) -> None:
        self._kinds: dict[str, tuple[int, str]] = {}

    def add(self, kind: str, path: str) -> None:
        """Count one; the first path of each kind is kept as its example."""
        count, first = self._kinds.get(kind, (0, ""))
        self._kinds[kind] = (count + 1, first or printable(path))

    def report(self, problems: Problems) -> None:
        """One problem for all kinds; hidden files first among the examples, as they may be data after all."""
        order = sorted(self._kinds.items(), key=lambda item: (not item[0].startswith("hidden"), -item[1][0], item[0]))
        for kind, (count, example) in order:
            is_hidden = kind.startswith("hidden")
            problems.add(
                "junk-set-aside",
                example if count == 1 else f"{count} × {kind}, first {example}",
                severity="info",
                count=count,
                fix="Nothing to do, unless one of them is data: rename it"
                + (" without the leading dot." if is_hidden else "."),
            )
