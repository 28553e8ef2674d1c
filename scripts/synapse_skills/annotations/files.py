"""Files of a record: read from whichever of its places a row uses, and matched with the media of its annotations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synapse_skills.annotations.labels import kind_of, natural
from synapse_skills.annotations.model import Media, MediaFile, Record
from synapse_skills.annotations.v1 import size_in

_ENTRY_KEYS = frozenset({"url", "file_name_original", "path", "path_original", "name", "checksum", "is_primary"})
_NESTED = (dict, list)
_NAMES = ("file_name_original", "name", "filename", "path_original", "path")
_LINKS = ("url", "presigned_url")
_SIDECARS = (".json", ".xml", ".txt", ".csv", ".yaml", ".yml")
_TEXTS = ("text", "prompt")
_BY_SUFFIX = {
    "image": (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".heic", ".avif", ".dcm"),
    "video": (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v"),
    "audio": (".wav", ".mp3", ".flac", ".ogg", ".m4a"),
    "pcd": (".pcd", ".ply", ".las", ".laz"),
}
FILE_SUFFIXES = (*_SIDECARS, *(each for suffixes in _BY_SUFFIX.values() for each in suffixes))


def read_files(manifest: Any, files: Any, unit: Any, file: Any) -> tuple[MediaFile, ...]:
    """The files that a row names, in natural order of their specifications.

    The same file may stand in several places of a row (`files_manifest`, `files`, `data_unit.files`, `file`): what one
    of them doesn't tell, such as the link, is taken from the next.
    """
    found: dict[str, MediaFile] = {}
    for place in (manifest, files, unit.get("files") if isinstance(unit, dict) else None, file):
        if not place:
            continue
        for spec, entry in _entries(place):
            named = _file(spec, entry)
            known = found.get(spec) if spec else _same(named, found)
            if known is not None:
                found[known.spec] = _completed(known, named)
            elif spec or not found:
                found[spec] = named
    if len(found) < 2:
        return tuple(found.values())
    return tuple(found[spec] for spec in sorted(found, key=natural))


def _entries(place: object) -> list[tuple[str, Mapping[str, Any]]]:
    """(specification, entry) of an object by specification, of a list, or of the one entry that `file` is."""
    if isinstance(place, list):
        return [(_spec(entry), entry) for entry in place if isinstance(entry, dict)]
    if not isinstance(place, dict):
        return []
    if _is_entry(place):
        return [(_spec(place), place)]
    found: list[tuple[str, Mapping[str, Any]]] = []
    for spec, entry in place.items():
        for each in entry if isinstance(entry, list) else [entry]:
            if isinstance(each, str):
                each = {"url": each}
            if isinstance(each, dict):
                found.append((str(spec), each))
    return found


def _is_entry(place: Mapping[str, Any]) -> bool:
    return any(key in _ENTRY_KEYS and not isinstance(value, _NESTED) for key, value in place.items())


def _spec(entry: Mapping[str, Any]) -> str:
    for key in ("specification", "spec", "file_specification", "key"):
        value = entry.get(key)
        if value is None:
            continue
        if isinstance(value, dict):
            value = value.get("name")
        if isinstance(value, str) and value:
            return value
    return ""


def _same(file: MediaFile, found: Mapping[str, MediaFile]) -> MediaFile | None:
    """The known file that an entry without a specification is: by name, or the only one there is."""
    named = [known for known in found.values() if known.name == file.name and file.name]
    if len(named) == 1:
        return named[0]
    return next(iter(found.values())) if len(found) == 1 and not file.name else None


def _file(spec: str, entry: Mapping[str, Any]) -> MediaFile:
    width, height = size_in(entry.get("meta"))
    if width is None:
        width, height = size_in(entry)
    size = entry.get("size")
    return MediaFile(
        spec=spec,
        name=_first(entry, _NAMES),
        url=_first(entry, _LINKS) or None,
        is_primary=entry.get("is_primary") is True,
        file_type=_first(entry, ("file_type",)),
        bytes=size if type(size) is int and size >= 0 else None,
        checksum=_first(entry, ("checksum",)) or None,
        width=width,
        height=height,
    )


def _first(entry: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    """The first text among the values of some keys."""
    for key in keys:
        value = entry.get(key)
        if type(value) is str and value:
            return value
    return ""


def _completed(known: MediaFile, more: MediaFile) -> MediaFile:
    has_size = known.width is not None
    return MediaFile(
        spec=known.spec,
        name=known.name or more.name,
        url=known.url or more.url,
        is_primary=known.is_primary or more.is_primary,
        file_type=known.file_type or more.file_type,
        bytes=more.bytes if known.bytes is None else known.bytes,
        checksum=known.checksum or more.checksum,
        width=known.width if has_size else more.width,
        height=known.height if has_size else more.height,
    )


def main_file(files: tuple[MediaFile, ...]) -> MediaFile | None:
    """What a record is about: its primary file, else the first that is no sidecar (JSON, XML, text …)."""
    fit = [file for file in files if not _is_sidecar(file)]
    return next((file for file in fit if file.is_primary), fit[0] if fit else None)


def _is_sidecar(file: MediaFile, kind: str = "") -> bool:
    """Whether a file is of another one; for a medium of this kind a .txt of no specification is the file itself."""
    if kind in _TEXTS and not file.spec and file.name.lower().endswith(".txt"):
        return False
    if file.spec.startswith(_TEXTS) or (file.spec.startswith("data_") and file.spec[5:].isdecimal()):
        return False
    return file.name.lower().endswith(_SIDECARS) or file.spec.startswith("data_meta")


def file_of(record: Record, media: Media | str) -> MediaFile | None:
    """The file that a medium is: the one of that specification; of a record's only medium the primary one of its kind,
    else the only one.
    """
    key = media if isinstance(media, str) else media.key
    files = record.files
    for file in files:
        if file.spec == key:
            return file
    if {each.key for each in record.document.media} - {key}:
        return None
    kind = kind_of(key)
    free = [file for file in files if not _is_sidecar(file, kind) and _kind_fits(file, kind)]
    primary = [file for file in free if file.is_primary]
    if primary:
        return primary[0]
    return free[0] if len(free) == 1 else None


def _kind_fits(file: MediaFile, kind: str) -> bool:
    """Whether a file can be of a kind: nothing that it says of itself speaks against it."""
    told = kind_of(file.file_type) or kind_of(file.spec)
    if not told:
        name = file.name.lower()
        told = next((each for each, suffixes in _BY_SUFFIX.items() if name.endswith(suffixes)), "")
    return not kind or not told or told == kind


def size_of(record: Record, media: Media) -> tuple[int, int] | None:
    """Width and height of a medium as record and payload tell: `extra`, the file's meta, then the data unit's."""
    if media.width is not None and media.height is not None:
        return media.width, media.height
    file = file_of(record, media)
    if file is not None and file.width is not None and file.height is not None:
        return file.width, file.height
    if len(record.document.media) <= 1:
        width, height = size_in(record.meta)
        if width is not None and height is not None:
            return width, height
    return None


def stem_source(record: Record, media: Media | str) -> str:
    """The name to call a medium by: its original file name, else the data unit's `filename`, else `origin_file_stem`.

    As it came, folders included: it is not safe as a path. '' if nothing names it. The data unit's names are used for
    a record with one medium only, since they can't tell two apart.
    """
    file = file_of(record, media)
    if file is not None and file.name:
        return file.name
    if len(record.document.media) <= 1:
        for key in ("filename", "origin_file_stem"):
            value = record.meta.get(key)
            if isinstance(value, str) and value.strip():
                return value
    return ""
