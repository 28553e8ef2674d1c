"""Whether bytes are what their name says: a storage that answers with a page of HTML has sent no picture."""

from __future__ import annotations

HEAD_BYTES = 512
_TEXTS = (".txt", ".json", ".jsonl", ".csv", ".tsv", ".xml", ".html", ".htm", ".svg", ".md", ".yaml", ".yml", ".srt")
_MAGIC: dict[tuple[str, ...], tuple[bytes, ...]] = {
    (".jpg", ".jpeg"): (b"\xff\xd8\xff",),
    (".png",): (b"\x89PNG\r\n\x1a\n",),
    (".gif",): (b"GIF87a", b"GIF89a"),
    (".bmp",): (b"BM",),
    (".tif", ".tiff"): (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    (".webp",): (b"RIFF",),
    (".wav",): (b"RIFF", b"RF64"),
    (".pdf",): (b"%PDF",),
    (".zip",): (b"PK",),
    (".flac",): (b"fLaC",),
    (".ogg",): (b"OggS",),
    (".mkv", ".webm"): (b"\x1aE\xdf\xa3",),
}
_BY_SUFFIX = {suffix: magic for suffixes, magic in _MAGIC.items() for suffix in suffixes}


def objection(name: str, head: bytes, size: int) -> str:
    """Why these bytes can't be this file; '' if nothing speaks against it.

    Args:
        name: of the original; its suffix says what it is.
        head: the first `HEAD_BYTES`.
        size: of the whole.
    """
    if not size:
        return "it is empty"
    suffix = "." + name.rpartition(".")[2].lower() if "." in name else ""
    if suffix in _TEXTS:
        return ""
    start = head.lstrip()[:64].lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a page of text came in its place"
    if not head.strip(b"\0"):
        return "it holds nothing but zeros"
    magic = _BY_SUFFIX.get(suffix)
    if magic is not None and not head.startswith(magic):
        known = [each for each, starts in _BY_SUFFIX.items() if head.startswith(starts)]
        # A picture under another picture's name is what the project has; it is no damage of the way here.
        return "" if known else f"it does not begin as a {suffix} does"
    return ""
