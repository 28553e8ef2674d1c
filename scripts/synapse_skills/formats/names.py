"""Names of files in an export: safe on every file system, and unique over the whole export.

A name from outside never chooses a path: of it only its last part is taken. Two files whose names differ by their
suffix only would have one label file, so what is unique is the stem; and because some file systems take `A` and `a`
for one name, or the composed and the decomposed form of a letter, it is unique without regard to either.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from itertools import count

from synapse_skills.annotations.model import MediaFile, Record
from synapse_skills.on_disk import Firsts

MAX_NAME_BYTES = 240
"""Below the 255 that file systems take: `.json` and the ending of a temporary neighbour still fit."""

_MAX_SUFFIX_BYTES = 32
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_()+,=@~ -]*(?:\.[A-Za-z0-9_-]{1,31})*")
# What no common file system holds (controls, separators, what Windows forbids), what would break a list of names by
# lines, letters that turn the direction of what follows, halves of characters, and those that XML has no place for.
_BAD = re.compile(
    r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]',
)
_DEVICE = re.compile(r"(?:con|prn|aux|nul|(?:com|lpt)[0-9¹²³]|conin\$|conout\$) *(?:\..*)?", re.IGNORECASE | re.DOTALL)


class Taken:
    """Names that are in use, without regard to case and form. Kept as 64-bit hashes, on the disk if there are many;
    should two ever meet, a name gets a suffix that it did not need.
    """

    def __init__(self) -> None:
        self._hashes = Firsts()

    def claim(self, name: str) -> bool:
        """Take a name; False if it, or one that some file system takes for it, is in use."""
        folded = name.casefold() if name.isascii() else fold(name)
        digest = hashlib.blake2b(folded.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return self._hashes.claim(int.from_bytes(digest, signed=True)) is None


class Names:
    """Gives every medium of an export its file name; the same for the same records in the same order.

    Args:
        naming: `original` (the original file's name, else what the data unit's meta says) or `id` (the record's key).
    """

    def __init__(self, naming: str = "original") -> None:
        self._by_id = naming == "id"
        self._taken = Taken()

    def of(self, record: Record, file: MediaFile | None) -> str:
        """The name of one medium: call it once for each, in the order of the records and of their media.

        A name that is taken gets the record's key: `cat__7001.jpg`, then `cat__7001_3.jpg`. The suffix of a file stays
        as it is; what has no file and no name in the data unit's meta is called by the record's key alone.
        """
        return self.claim(record.key, self.wanted(record, file))

    def claim(self, key: int, name: str) -> str:
        """The name of a medium that would like to have this one; `key` is its record's."""
        stem, suffix = split_suffix(name)
        if self._taken.claim(stem):
            return name
        marks = (f"_{n}" if self._by_id else f"__{key}" + (f"_{n}" if n > 2 else "") for n in count(2))
        while True:
            name = shortened(stem, next(marks) + suffix)
            if self._taken.claim(split_suffix(name)[0]):
                return name

    def wanted(self, record: Record, file: MediaFile | None) -> str:
        """The name that a medium would have if it were the only one."""
        original = original_name(record, file)
        if self._by_id:
            suffix = split_suffix(safe_name(original))[1] if original and file is not None else ""
            return f"{record.key}{suffix}"
        return safe_name(original) if original else str(record.key)


def original_name(record: Record, file: MediaFile | None) -> str:
    """What a medium was called before it came to the platform; '' if nobody knows.

    `meta.filename` before `origin_file_stem`, which holds no more than a fragment now and then.
    """
    if file is not None and leaf(file.name):
        return file.name
    name = record.meta.get("filename")
    if isinstance(name, str) and leaf(name):
        return name
    stem, extension = record.meta.get("origin_file_stem"), record.meta.get("origin_file_extension")
    if isinstance(stem, str) and leaf(stem):
        return stem + extension if isinstance(extension, str) and extension.startswith(".") else stem
    return ""


def leaf(name: str) -> str:
    """The last part of a path, whoever wrote it; '' if there is none (`..`, `a/`)."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "" if not last.strip(". ") else last


def safe_name(name: str) -> str:
    """A file name that every file system takes: NFC, one part, at most `MAX_NAME_BYTES`. Never empty."""
    if len(name) <= MAX_NAME_BYTES and _PLAIN.fullmatch(name) and not _DEVICE.fullmatch(name) and name[-1] != " ":
        return name
    clean = _cleaned(leaf(name))
    stem, suffix = split_suffix(clean)
    if len(suffix.encode()) > _MAX_SUFFIX_BYTES:  # a sentence with a dot in it
        stem, suffix = clean.replace(".", "_"), ""
    return shortened(stem, suffix)


def safe_segment(text: str, *, limit: int = MAX_NAME_BYTES) -> str:
    """A folder or a part of a file name, exactly as it came if every file system takes it so.

    What has to be changed ends in `~` and six hex digits of what it was, so that no two become one.
    """
    if _cleaned(text, is_exact=True) == text and len(text.encode()) <= limit:
        return text
    return with_digest(text, limit=limit)


def with_digest(text: str, *, limit: int = MAX_NAME_BYTES) -> str:
    """A part of a name that is no other text's: with a hash of what it was, within a number of bytes."""
    mark = _digest(text, 6)
    clean = _cleaned(text, is_exact=True).encode()[: limit - len(mark)].decode(errors="ignore")
    return (clean.rstrip(". ") or "_") + mark


def fold(name: str) -> str:
    """A name as the least particular file system compares it: without case, composed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def split_suffix(name: str) -> tuple[str, str]:
    """(stem, suffix with its dot), as `Item.stem` cuts."""
    stem, dot, last = name.rpartition(".")
    return (stem, dot + last) if dot else (name, "")


def _cleaned(text: str, *, is_exact: bool = False) -> str:
    clean = _BAD.sub("_", text if is_exact else unicodedata.normalize("NFC", text))
    clean = clean.rstrip(". ") if is_exact else clean.strip().rstrip(". ")
    if not clean.strip():
        return "_"
    # A dot in front hides a file from most tools; of a folder it can only be `..`, which rstrip has taken.
    return f"_{clean}" if _DEVICE.fullmatch(clean) or (clean[0] == "." and not is_exact) else clean


def shortened(stem: str, ending: str) -> str:
    """Stem and ending within the limit: what is cut off leaves a hash of the whole stem behind."""
    room = MAX_NAME_BYTES - len(ending.encode())
    whole = stem.encode()
    if len(whole) <= room:
        return stem + ending
    mark = _digest(stem, 8)
    return whole[: room - len(mark)].decode(errors="ignore").rstrip(". ") + mark + ending


def _digest(text: str, digits: int) -> str:
    return "~" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]
