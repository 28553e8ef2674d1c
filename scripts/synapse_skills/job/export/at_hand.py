"""What is at hand of the originals while records are written: the files, their sizes, their channels."""

from __future__ import annotations

from pathlib import Path

from synapse_skills.annotations import file_of
from synapse_skills.annotations.model import Media, MediaFile, Record
from synapse_skills.export_plan import ExportPlan
from synapse_skills.job.export import sizes
from synapse_skills.job.export.index import Index
from synapse_skills.job.export.originals import Store
from synapse_skills.job.export.output import place


class AtHand:
    """The originals of one state, as a plan wants them."""

    def __init__(self, plan: ExportPlan, index: Index, store: Store) -> None:
        self._index = index
        self._store = store
        self._has_files = plan.originals != "none"

    def put(self, record: Record, media: Media, file: MediaFile | None, target: Path) -> bool:
        """Put the original of a medium somewhere; False if it isn't there."""
        return file is not None and place(self._stored(record, file), target)

    def size(self, record: Record, media: Media) -> tuple[int, int] | None:
        """The size of a picture: as it was looked up, or as its file says."""
        found = self._index.database.execute(
            "SELECT width, height FROM size WHERE key = ? AND media = ?", (record.key, media.key)
        ).fetchone()
        if found:
            return int(found[0]), int(found[1])
        file = file_of(record, media) if self._has_files else None
        return sizes.size_of_file(self._stored(record, file)) if file is not None else None

    def channels(self, record: Record, media: Media) -> int | None:
        """How many channels the file of a picture has."""
        file = file_of(record, media) if self._has_files else None
        return sizes.channels_of_file(self._stored(record, file)) if file is not None else None

    def _stored(self, record: Record, file: MediaFile) -> Path:
        return self._store.path(record.key, record.data_unit, file.spec, file.checksum)
