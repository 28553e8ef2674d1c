"""What a file's name says: its extension, its stem, and which extensions a specification could take.

A compound suffix (`.nii.gz`) is one extension. A last part of digits only is none: `1.2.840.10008.1` is a whole name,
as scanners write it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from synapse_skills.plan import SpecPlan
from synapse_skills.units.mapping import normal_extension

_PACKED = ("gz", "bz2", "xz", "zst")
_INSIDE = (
    "nii", "tar", "csv", "tsv", "txt", "json", "jsonl", "xml", "npy", "pcd", "ply", "img", "hdr", "nrrd", "mha", "dcm",
)  # fmt: skip
COMPOUND = (*(f".{inside}.{packed}" for inside in _INSIDE for packed in _PACKED), ".ome.tif", ".ome.tiff", ".ome.zarr")
"""Compound suffixes that everybody knows; others come from the collection's specifications."""

FILE_TYPES = {
    "image": (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
    "video": (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v"),
    "audio": (".wav", ".mp3", ".flac", ".ogg", ".m4a", ".aac"),
    "text": (".txt", ".json", ".csv", ".xml", ".md"),
    "document": (".json", ".txt", ".csv", ".xml", ".pdf", ".yaml", ".yml"),
    "data": (".json", ".csv", ".xml", ".txt", ".npy", ".npz", ".parquet"),
    "medical": (".dcm", ".dicom", ".nii", ".nii.gz", ".mha", ".nrrd"),
    "pcd": (".pcd", ".ply", ".las", ".laz", ".bin"),
}
"""What a collection means by a file type when it lists no extensions."""


def could_take(spec: SpecPlan) -> tuple[str, ...]:
    """The extensions that a specification could take: those decided, else its own, else those of its file type."""
    listed = spec.takes or spec.extensions
    if not listed:
        return FILE_TYPES.get(spec.file_type.lower(), ())
    return tuple(dict.fromkeys(map(normal_extension, listed)))


def compound_extensions(specs: Iterable[SpecPlan]) -> tuple[str, ...]:
    """The specifications' extensions of several parts that are not among `COMPOUND`, sorted."""
    named = {extension for spec in specs for extension in (*map(normal_extension, spec.extensions), *could_take(spec))}
    return tuple(sorted(extension for extension in named - set(COMPOUND) if extension.count(".") > 1))


def split_name(name: str, compound: tuple[str, ...] = ()) -> tuple[str, str]:
    """A name as (stem, extension), the extension in lower case with its dot; '' without one.

    Args:
        name: the last part of a path.
        compound: suffixes of several parts to know beside `COMPOUND`.
    """
    stem, dot, last = name.rpartition(".")
    if not dot or not last or last.isdigit() or not stem.strip("."):
        return name, ""
    extension, longer = _endings(last, compound)
    if longer:
        lower = name.lower()
        for each in longer:
            if lower.endswith(each) and lower[: -len(each)].strip("."):
                # Cut at the dots: a name in lower case may be longer than the name itself (`İ`).
                return name.rsplit(".", each.count("."))[0], each
    return stem, extension


def extension_of(name: str, compound: tuple[str, ...] = ()) -> str:
    """A name's extension (see `split_name`)."""
    return split_name(name, compound)[1]


def stem_of(name: str, compound: tuple[str, ...] = ()) -> str:
    """A name without its extension (see `split_name`)."""
    return split_name(name, compound)[0]


@functools.lru_cache(maxsize=4096)
def _endings(last: str, compound: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The extension that a last part makes, and compound ones that end with it, longest first."""
    extension = f".{last.lower()}"
    longer = {each for each in (*COMPOUND, *map(normal_extension, compound)) if each.endswith(extension)}
    return extension, tuple(sorted(longer - {extension}, key=lambda each: (-len(each), each)))
