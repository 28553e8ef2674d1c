"""What a job says to whoever submitted it, through a log that other programs write to, colour and wrap.

A document travels as numbered lines, `synapse-skills:report:3f9a1c:001/004:` and 36 characters: compressed, in
letters that no markup and no emoji code is made of, short enough for 80 columns. Every line carries its own check and
the set one more, so that what comes back is what was said, or it is missing and that is known; nothing is guessed.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synapse_skills.errors import FindingError, OutOfReach
from synapse_skills.texts import parse_json

_NAME = "synapse-skills:"
_KIND = re.compile(r"[a-z]{2,7}")
_PAYLOAD = 32
_CHECK = 4
_MOST_PARTS = 99_999
_MOST_BYTES = 64 << 20
_MOST_PIECES = 4
_LOOK_AHEAD = 3

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_BREAK = re.compile(r"\r\n|\n|\r")
_PART = re.compile(
    r"synapse-skills:(?P<kind>[a-z]{2,7}):(?P<id>[0-9a-f]{6}):(?P<number>\d{3,5})/(?P<of>\d{3,5}):"
    rf"(?P<payload>[A-Za-z0-9_=-]{{{_PAYLOAD}}})(?P<check>[A-Za-z0-9_-]{{{_CHECK}}})"
)
_PROGRESS = re.compile(
    r"synapse-skills:progress:done=(?P<done>\d+),of=(?P<planned>\d+),s=(?P<seconds>\d+),"
    r"files=(?P<files>\d+),bytes=(?P<bytes>\d+);"
)
# What the beginning of a line of ours can look like after it was cut anywhere.
_BEGINS = tuple(_NAME[:length] for length in range(1, len(_NAME) + 1))
_CUT = re.compile(
    r"synapse-skills:(?:[a-z]{1,8}|[a-z]{2,7}:[0-9a-f]{0,6}|[a-z]{2,7}:[0-9a-f]{6}:\d{0,5}|"
    r"[a-z]{2,7}:[0-9a-f]{6}:\d{3,5}/\d{0,5}|[a-z]{2,7}:[0-9a-f]{6}:\d{3,5}/\d{3,5}:[A-Za-z0-9_=-]{0,35}|"
    r"progress:[a-z=,0-9]{0,120})?"
)
_OURS = re.compile(r"synapse-skills:(?:[a-z]{2,7}:[0-9a-f]{6}:\d{3,5}/\d{3,5}:|progress:)")


class MarkersIncomplete(OutOfReach):
    """Parts of a document are not in the log."""

    code = "markers-incomplete"
    hint = "Ask again in a moment; if the log was cut, the report lies in the job's state folder on the cluster."

    def __init__(self, kind: str, missing: int, of: int) -> None:
        what = f"{missing} of {of} lines of it are missing" if missing else "its lines don't belong together"
        super().__init__(f"The job's {kind} can't be read from its log: {what}.")
        self.kind, self.missing, self.of = kind, missing, of


class Markers(dict[str, list[dict[str, Any]]]):
    """Documents by kind, in the order in which they were said.

    Attributes:
        incomplete: those of which parts are missing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.incomplete: list[MarkersIncomplete] = []

    def last(self, kind: str) -> dict[str, Any] | None:
        """The last whole document of a kind; None if the job has said none.

        Raises:
            MarkersIncomplete: it has, but no whole one arrived.
        """
        if self.get(kind):
            return self[kind][-1]
        for error in self.incomplete:
            if error.kind == kind:
                raise error
        return None


@dataclass(frozen=True, slots=True)
class ProgressSaid:
    """How far a job was when it last said so: data units, seconds since it began, files and bytes sent."""

    done: int
    planned: int
    seconds: int
    files: int
    bytes: int


def marker_lines(kind: str, document: Mapping[str, Any]) -> Iterator[str]:
    """A document as lines for the log, none longer than 78 characters.

    Args:
        kind: what it is: 2 to 7 small letters, such as `report`.
        document: anything that JSON holds.

    Raises:
        FindingError: it is too large for a log (2 MB compressed).
    """
    if not _KIND.fullmatch(kind):
        raise ValueError(f"{kind!r} is no kind of document")
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"))
    letters = base64.urlsafe_b64encode(gzip.compress(text.encode(), mtime=0)).decode()
    parts = [letters[at : at + _PAYLOAD].ljust(_PAYLOAD, "=") for at in range(0, len(letters), _PAYLOAD)]
    if len(parts) > _MOST_PARTS:
        raise FindingError(
            f"The {kind} is too large to be sent home through the log.",
            hint="Narrow down what is asked for.",
            code="markers-too-long",
        )
    name = _name_of("".join(parts))
    width = max(3, len(str(len(parts))))
    for number, part in enumerate(parts, 1):
        head = f"{_NAME}{kind}:{name}:{number:0{width}}/{len(parts):0{width}}:"
        yield head + part + _check(head, part)


def read_markers(log: str) -> Markers:
    """Find every document in a log, whatever stands between, before or around its lines.

    Lines may be doubled, out of order, coloured, prefixed, or wrapped at any column; what is missing is said in
    `incomplete`.
    """
    sets: dict[tuple[str, str, int], dict[int, str]] = {}
    for match in _found(log, _PART):
        key = (match["kind"], match["id"], int(match["of"]))
        if 1 <= int(match["number"]) <= key[2]:
            sets.setdefault(key, {})[int(match["number"])] = match["payload"]
    said = Markers()
    for (kind, name, count), parts in sets.items():
        if len(parts) < count:
            said.incomplete.append(MarkersIncomplete(kind, count - len(parts), count))
            continue
        document = _document("".join(parts[number] for number in range(1, count + 1)), name)
        if document is None:
            said.incomplete.append(MarkersIncomplete(kind, 0, count))
        else:
            said.setdefault(kind, []).append(document)
    return said


def progress_line(done: int, planned: int, seconds: float, files: int, bytes: int) -> str:
    """How far a job is, as a line for the log."""
    return f"{_NAME}progress:done={done},of={planned},s={int(seconds)},files={files},bytes={bytes};"


def read_progress(log: str) -> ProgressSaid | None:
    """The last progress line in a log."""
    last = None
    for match in _found(log, _PROGRESS):
        last = match
    return ProgressSaid(**{key: int(value) for key, value in last.groupdict().items()}) if last else None


def without_markers(log: str) -> str:
    """A log for people: without the lines that are for us, and without colours."""
    return "\n".join(line for line in _BREAK.split(_ANSI.sub("", log)) if not _OURS.search(line))


def _found(log: str, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
    lines = _BREAK.split(_ANSI.sub("", log))
    for index, line in enumerate(lines):
        whole = False
        for match in pattern.finditer(line):
            if _is_right(match):
                whole = True
                yield match
        if not whole and (cut := _cut_at(line)) is not None:
            mended = _mend(lines, index, line[cut:].rstrip(), line[:cut], pattern, _MOST_PIECES)
            if mended:
                yield mended


def _cut_at(line: str) -> int | None:
    """Where a line of ours begins that doesn't end on this one."""
    at = line.rfind(_NAME)
    if at >= 0:
        return at if _CUT.fullmatch(line[at:].rstrip()) else None
    bare = line.rstrip()
    if bare.endswith(_BEGINS):
        return len(bare) - max(len(begin) for begin in _BEGINS if bare.endswith(begin))
    return None


def _mend(
    lines: Sequence[str], index: int, begun: str, prefix: str, pattern: re.Pattern[str], pieces: int
) -> re.Match[str] | None:
    """Put a wrapped line together again: the rest is on one of the next lines, maybe after the same prefix."""
    for ahead in range(index + 1, min(index + 1 + _LOOK_AHEAD, len(lines))):
        line = lines[ahead]
        rests = [line.removeprefix(prefix), line.lstrip()] if prefix.strip() and line.startswith(prefix) else [line]
        for rest in rests:
            joined = begun + rest.strip()
            match = pattern.match(joined)
            if match and _is_right(match):
                return match
            if pieces > 1 and rest.strip() and _CUT.fullmatch(joined):
                match = _mend(lines, ahead, joined, prefix, pattern, pieces - 1)
                if match:
                    return match
    return None


def _is_right(match: re.Match[str]) -> bool:
    if match.re is not _PART:
        return True
    return match["check"] == _check(match.string[match.start() : match.start("payload")], match["payload"])


def _check(head: str, payload: str) -> str:
    return base64.urlsafe_b64encode(zlib.crc32((head + payload).encode()).to_bytes(4, "big")[:3]).decode()


def _name_of(letters: str) -> str:
    return hashlib.sha256(letters.encode()).hexdigest()[:6]


def _document(letters: str, name: str) -> dict[str, Any] | None:
    if _name_of(letters) != name:
        return None
    bare = letters.rstrip("=")
    try:
        packed = base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
        unpacked = zlib.decompressobj(wbits=31).decompress(packed, _MOST_BYTES)
        document = parse_json(unpacked)
    except (ValueError, zlib.error):
        return None
    return document if isinstance(document, dict) else None
