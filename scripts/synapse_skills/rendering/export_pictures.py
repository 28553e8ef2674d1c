"""Pictures of an export for its page: from the output, else from the originals that the job keeps in its state."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path, PurePosixPath

import msgspec

from synapse_skills.annotations import file_of
from synapse_skills.annotations.model import Media, Record
from synapse_skills.job.export.originals import Store
from synapse_skills.job.export.output import MANIFEST, METADATA
from synapse_skills.media import PICTURES, NoPicture, Thumbnail, thumbnail
from synapse_skills.media.frame import VIDEOS, frame_of

MOST_LINE = 100_000


class _Entry(msgspec.Struct):
    path: str


class ExportPictures:
    """Finds the pictures of some media.

    Args:
        output: of the export.
        store: the originals in the state.
        names: what the media are called in the export.
    """

    def __init__(self, output: Path, store: Path, names: Collection[str]) -> None:
        self._output = output
        self._store = Store(store)
        self._paths = _placed(output, names)

    def picture(self, record: Record, media: Media, name: str, frame: int = 0) -> Thumbnail:
        """The small picture of a medium; of a video, one of its frames.

        Raises:
            NoPicture: there is none.
        """
        path = self._found(record, media, name)
        if path is None:
            raise NoPicture("has no original beside the export")
        suffix = PurePosixPath(name).suffix.lower()
        if media.kind == "video" or suffix in VIDEOS:
            return frame_of(path, frame)
        if media.kind != "image" and suffix not in PICTURES:
            raise NoPicture("is no picture")
        try:
            with path.open("rb") as stream:
                return thumbnail(stream)
        except OSError:
            raise NoPicture("can't be read") from None

    def _found(self, record: Record, media: Media, name: str) -> Path | None:
        placed = self._paths.get(name)
        if placed is not None and (path := _inside(self._output, placed)):
            return path
        file = file_of(record, media)
        if file is None:
            return None
        stored = self._store.path(record.key, record.data_unit, file.spec, file.checksum)
        return _inside(self._store.folder, stored.relative_to(self._store.folder).as_posix())


def _inside(root: Path, path: str) -> Path | None:
    """A file below a folder, whatever links there are; None if it is elsewhere, or no file."""
    try:
        real, base = (root / path).resolve(strict=True), root.resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        return None
    return real if real.is_relative_to(base) and real.is_file() else None


def _placed(output: Path, names: Collection[str]) -> dict[str, str]:
    """Where originals lie, by their names, which are unique in an export: out of the manifest, a file a line."""
    wanted, found = set(names) - {""}, dict[str, str]()
    decoder = msgspec.json.Decoder(_Entry)
    try:
        with (output / MANIFEST).open("rb") as stream:
            while len(found) < len(wanted) and (line := stream.readline(MOST_LINE)):
                start, end = line.find(b'{"path"'), line.rfind(b"}")
                if start < 0:
                    continue
                try:
                    path = decoder.decode(line[start : end + 1]).path
                except (msgspec.MsgspecError, UnicodeError):
                    continue  # verify_export says what is wrong with a manifest
                folder, _, name = path.rpartition("/")
                if name in wanted and folder.split("/")[0] != METADATA:
                    found.setdefault(name, path)
    except OSError:
        return {}
    return found
