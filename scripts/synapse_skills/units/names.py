"""What a file's name says: its extension, its stem, and which extensions a specification could take.

A compound suffix (`.nii.gz`) is one extension. A last part of digits only is none: `1.2.840.10008.1` is a whole name,
as scanners write it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

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


def extension_of(name: str, compound: Sequence[str] = ()) -> str:
    """A name's extension in lower case with its dot; '' without one.

    Args:
        name: the last part of a path.
        compound: suffixes of several parts to know beside `COMPOUND`.
    """
    lower = name.lower()
    stem, dot, last = lower.rpartition(".")
    if not dot or not last or not stem.strip(".") or last.isdigit():
        return ""
    for extension in _by_last(tuple(compound)).get(last, ()):
        if lower.endswith(extension) and lower[: -len(extension)].strip("."):
            return extension
    return f".{last}"


def stem_of(name: str, compound: Sequence[str] = ()) -> str:
    """A name without its extension (see `extension_of`)."""
    dots = extension_of(name, compound).count(".")
    # Cut at the dots: a name in lower case may be longer than the name itself (`İ`).
    return name.rsplit(".", dots)[0] if dots else name


@functools.lru_cache(maxsize=64)
def _by_last(compound: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Compound suffixes by their last part, longest first."""
    found: dict[str, list[str]] = {}
    for extension in sorted({*COMPOUND, *map(normal_extension, compound)}, key=lambda each: (-len(each), each)):
        found.setdefault(extension.rpartition(".")[2], []).append(extension)
    return {last: tuple(each) for last, each in found.items()}
