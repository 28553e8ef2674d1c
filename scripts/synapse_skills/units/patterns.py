"""Globs on paths, with one rule for all of them.

A pattern is compared with the end of the file's path, part by part, as `PurePath.match` does:

- `*_mask.png` fits the name, whatever the folders are; `mask/*.png` also wants the folder above to be `mask`.
- A leading `/` ties it to the data unit's own folder: `/*.png` fits only what lies directly in it.
- `*` and `?` stay within one part; `**` as a whole part stands for any number of folders, none included.
- `[ab]`, `[!ab]` are sets. Upper and lower case are the same, composed and decomposed letters too.
- ` | ` between two patterns means either: `img/*.png | img/*.jpg`. In a name it is written `[|]`.
"""

from __future__ import annotations

import fnmatch
import re
import unicodedata

from synapse_skills.errors import FindingError

_OR = " | "


def alternatives(pattern: str) -> list[str]:
    """The patterns in one text; where the parts around ` | ` can be none, it belongs to a name."""
    parts = pattern.split(_OR)
    return [pattern] if any(_never_fits(part) for part in parts) else parts


def glob_escape(text: str) -> str:
    """A name as part of a glob that matches only itself."""
    return "".join(f"[{char}]" if char in "*?[|" else char for char in text)


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """A regular expression to be used with `fullmatch` on the path inside the unit (leading `/`) or on the whole path.

    Raises:
        FindingError: `bad-pattern`, an empty pattern or one that can never fit.
    """
    parts = unicodedata.normalize("NFC", pattern).removeprefix("/").split("/")
    if _never_fits(pattern):
        raise FindingError(
            f"The pattern {pattern!r} can't fit any file",
            hint="Write for example *_mask.png, mask/*.png, or /*.png for files directly in the data unit's folder.",
            code="bad-pattern",
        )
    expression = "" if pattern.startswith("/") else "(?:.*/)?"
    for number, part in enumerate(parts, 1):
        last = number == len(parts)
        if part == "**":
            expression += ".+" if last else "(?:[^/]+/)*"
        else:
            expression += _part(part) + ("" if last else "/")
    return re.compile(expression, re.DOTALL | re.IGNORECASE)


def _never_fits(pattern: str) -> bool:
    return any(part in ("", ".", "..") for part in pattern.removeprefix("/").split("/"))


def _part(part: str) -> str:
    """One part of the glob; fnmatch does the sets, and its dots must not reach over a slash."""
    expression = ""
    for piece in re.split(r"(\*+|\?|\[[!]?\]?[^\]]*\])", part):
        if piece.startswith("*"):
            expression += "[^/]*"
        elif piece == "?":
            expression += "[^/]"
        elif piece.startswith("[") and piece.endswith("]") and len(piece) > 2:
            translated = fnmatch.translate(piece)
            expression += f"(?!/){translated[len('(?s:') : -len(')' + chr(92) + 'Z')]}"
        else:
            expression += re.escape(piece)
    return expression
