"""One frame of a video as a small picture."""

from __future__ import annotations

import os
from pathlib import Path

from synapse_skills.media.thumbnail import MAX_PIXELS, NoPicture, Thumbnail

VIDEOS = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm"})
MOST_FRAMES = 2_000
"""A frame further on is not looked for: everything before it would have to be decoded."""
_QUALITY = 78


def frame_of(path: Path, number: int = 0, longest: int = 480) -> Thumbnail:
    """Make a small picture of a frame.

    Args:
        path: of the video. Only what begins as MP4, Matroska or AVI do is opened: a playlist under such a name would
            make the decoder open other files.
        number: of the frame, from 0.
        longest: the longer side of the result, in pixels.

    Raises:
        NoPicture: damaged, of another kind, too large, or the frame is too far on or not there.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(12)
    except OSError:
        raise NoPicture("is no longer where it was") from None
    if not (head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide") or head[:4] in (b"\x1aE\xdf\xa3", b"RIFF")):
        raise NoPicture("can't be shown: no video that can be read")
    if not 0 <= number <= MOST_FRAMES:
        raise NoPicture(f"can't be shown: frame {number:,} is too far on")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what a decoder says of a damaged file is nothing for users
    import cv2

    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        width, height = (int(video.get(each)) for each in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > MAX_PIXELS:
            raise NoPicture(f"too large to show: {width:,} × {height:,} pixels")
        is_there = video.isOpened() and all(video.grab() for _ in range(number))
        good, frame = video.read() if is_there else (False, None)
        if not good or frame is None:
            raise NoPicture(f"can't be shown: it has no frame {number:,} that can be read")
        high, wide = frame.shape[:2]
        scale = min(1.0, longest / max(wide, high))
        if scale < 1:
            size = (max(1, round(wide * scale)), max(1, round(high * scale)))
            frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        made, encoded = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        if not made:
            raise NoPicture("can't be shown")
        return Thumbnail(encoded.tobytes(), wide, high)
    except cv2.error:
        raise NoPicture("can't be shown: its decoder failed") from None
    finally:
        video.release()
