"""What a file is by its first bytes, whatever its name says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from synapse_skills.plan import SpecPlan
from synapse_skills.sources import File, open_inside
from synapse_skills.units.names import could_take, extension_of

HEAD_BYTES = 512
_STARTS = (
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"GIF87a", ".gif"),
    (b"GIF89a", ".gif"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
    (b"II+\0", ".tif"),
    (b"MM\0+", ".tif"),
    (b"%PDF-", ".pdf"),
    (b"PK\x03\x04", ".zip"),
    (b"PK\x05\x06", ".zip"),
    (b"\x1f\x8b", ".gz"),
    (b"BZh", ".bz2"),
    (b"\xfd7zXZ\0", ".xz"),
    (b"7z\xbc\xaf\x27\x1c", ".7z"),
    (b"\x1aE\xdf\xa3", ".mkv"),
    (b"OggS", ".ogg"),
    (b"fLaC", ".flac"),
    (b"ID3", ".mp3"),
    (b"NRRD000", ".nrrd"),
    (b"\x93NUMPY", ".npy"),
    (b"\x89HDF\r\n\x1a\n", ".h5"),
    (b"PAR1", ".parquet"),
    (b"LASF", ".las"),
    (b"# .PCD", ".pcd"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ".xls"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", ".jp2"),
)
_RIFF = {b"WEBP": ".webp", b"AVI ": ".avi", b"WAVE": ".wav"}
_BRANDS = {b"qt  ": ".mov", b"M4V ": ".m4v", b"M4A ": ".m4a", b"heic": ".heic", b"heix": ".heic", b"mif1": ".heic",
           b"avif": ".avif"}  # fmt: skip
_SAMPLE = 20


def looks_like(path: Path | bytes) -> str | None:
    """The extension that a file's content calls for, None if its first bytes say nothing.

    Text formats have no such bytes; formats that share them get the commonest name: `.jpg`, `.tif`, `.mkv` (also
    WebM), `.zip` (also Office), `.mp4`.

    Args:
        path: the file, or its first bytes; a DICOM file needs 132 of them.

    Raises:
        OSError: the file can't be read.
    """
    if isinstance(path, bytes):
        head = path
    else:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    # First: the 128 bytes before the mark are free, and some scanners write the head of a TIFF there.
    if head[128:132] == b"DICM":
        return ".dcm"
    for start, extension in _STARTS:
        if head.startswith(start):
            return extension
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], ".mp4")
    if head.startswith(b"BM") and head[6:10] == b"\0\0\0\0" and len(head) > 14 and head[14] in (12, 40, 56, 108, 124):
        return ".bmp"
    if len(head) > 4 and head[:2] in (b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"):
        return ".mp3"
    return None


def dicom_without_suffix(files: Iterable[File], roots: Sequence[Path], specs: Sequence[SpecPlan]) -> str | None:
    """The specification for files without a suffix, if they are DICOM: the one that takes `.dcm`.

    A sample of them is opened, and all must be DICOM. Then `takes` of the specification may have '' too.

    Args:
        files: of an inventory; those with an extension are passed over.
        roots: of the sources, resolved.
        specs: the collection's specifications.
    """
    takers = [spec.name for spec in specs if {".dcm", ".dicom"} & set(could_take(spec))]
    if len(takers) != 1:
        return None
    looked = 0
    for file in files:
        if extension_of(file.name):
            continue
        try:
            with open_inside(roots[file.source], file) as stream:
                found = looks_like(stream.read(HEAD_BYTES))
        except OSError:
            # Whether it may be read is the survey's finding, not a hint about the others.
            continue
        if found != ".dcm":
            return None
        looked += 1
        if looked == _SAMPLE:
            break
    return takers[0] if looked else None
