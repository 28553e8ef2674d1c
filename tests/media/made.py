"""Files that the tests convert, and what has become of them."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from synapse_skills.media import Converted, convert


def noise(shape: tuple[int, ...], top: int = 256, kind: type = np.uint8) -> np.ndarray:
    """The same random values every time."""
    return np.random.default_rng(7).integers(0, top, shape).astype(kind)


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def converted(folder: Path, content: bytes, suffix: str, target: str) -> tuple[Path, Converted]:
    source, out = folder / f"original{suffix}", folder / f"result{target}"
    source.write_bytes(content)
    with source.open("rb") as stream:
        made = convert(stream, suffix, out)
    assert source.read_bytes() == content, "the original was touched"
    assert made.bytes == out.stat().st_size
    assert sorted(folder.iterdir()) == sorted([source, out]), "something was left behind"
    return out, made


def values(path: Path) -> np.ndarray:
    """The values as they are in the file, red first."""
    found = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    if found.ndim == 2:
        return found
    return cv2.cvtColor(found, cv2.COLOR_BGRA2RGBA if found.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def tiff(
    array: np.ndarray,
    *,
    photometric: int | None = None,
    orientation: int = 1,
    planar: bool = False,
    order: str = "<",
    profile: bytes = b"",
    sample_format: int = 1,
) -> bytes:
    """An uncompressed TIFF, made by hand: libraries write only some of what is found in the field."""
    height, width = array.shape[:2]
    channels = array.shape[2] if array.ndim == 3 else 1
    bits = array.dtype.itemsize * 8
    ordered = array.astype(array.dtype.newbyteorder(order))
    planes = [ordered[..., n].tobytes() for n in range(channels)] if planar else [ordered.tobytes()]
    if photometric is None:
        photometric = 2 if channels >= 3 else 1
    body = b"".join(planes)
    starts = [8 + sum(len(each) for each in planes[:n]) for n in range(len(planes))]
    entries: list[tuple[int, int, list[int] | bytes]] = [
        (256, 4, [width]),
        (257, 4, [height]),
        (258, 3, [bits] * channels),
        (259, 3, [1]),
        (262, 3, [photometric]),
        (273, 4, starts),
        (274, 3, [orientation]),
        (277, 3, [channels]),
        (278, 4, [height]),
        (279, 4, [len(each) for each in planes]),
        (284, 3, [2 if planar else 1]),
    ]
    if channels == 4 and photometric == 2:
        entries.append((338, 3, [2]))
    entries.append((339, 3, [sample_format] * channels))
    if profile:
        entries.append((34675, 7, profile))
    extra = 8 + len(body) + len(body) % 2
    directory, tail = b"", b""
    after = extra + 2 + 12 * len(entries) + 4
    for tag, kind, content in entries:
        packed = (
            content
            if isinstance(content, bytes)
            else struct.pack(f"{order}{len(content)}{'H' if kind == 3 else 'I'}", *content)
        )
        if len(packed) <= 4:
            field = packed.ljust(4, b"\0")
        else:
            field = struct.pack(f"{order}I", after + len(tail))
            tail += packed + b"\0" * (len(packed) % 2)
        directory += struct.pack(f"{order}HHI", tag, kind, len(content)) + field
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, extra)
    count = struct.pack(f"{order}H", len(entries))
    return head + body + b"\0" * (len(body) % 2) + count + directory + b"\0\0\0\0" + tail


def turned(array: np.ndarray, orientation: int) -> np.ndarray:
    """As EXIF defines it: how stored rows and columns are to be shown."""
    shown = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: a.swapaxes(0, 1)[:, ::-1],
        7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
        8: lambda a: a.swapaxes(0, 1)[::-1],
    }
    return shown[orientation](array)


def inks_profile(paper: int, ink: int) -> bytes:
    """A CMYK profile in which lightness is `paper` without ink and `ink` wherever there is full black, 0 to 255."""
    grid = bytearray()
    for corner in range(16):
        black = corner & 1  # the last channel varies fastest
        grid += bytes((ink if black else paper, 128, 128))
    ramp = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0))
    lut += struct.pack(">9i", *(65536 if n % 4 == 0 else 0 for n in range(9)))
    lut += ramp * 4 + bytes(grid) + ramp * 3
    lut += b"\0" * (-len(lut) % 4)
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"inks\0" + b"\0" * 78
    text += b"\0" * (-len(text) % 4)
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    tags, offset, body = b"", 128 + 4 + 12 * 3, b""
    for name, content in ((b"desc", text), (b"wtpt", white), (b"A2B0", lut)):
        tags += name + struct.pack(">II", offset + len(body), len(content))
        body += content
    size = 128 + 4 + len(tags) + len(body)
    head = struct.pack(">I", size) + b"\0\0\0\0" + struct.pack(">I", 0x02400000) + b"prtrCMYKLab "
    head += b"\0" * 12 + b"acsp" + b"\0" * 28 + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", 3) + tags + body
