"""Records out of the spool: a row, with what its data unit says where that had to be asked for."""

from __future__ import annotations

from synapse_skills.annotations import read_document, read_row
from synapse_skills.annotations.model import Media, Record
from synapse_skills.job.export.index import Index


def read_record(index: Index, key: int, target: str) -> Record:
    """A record with its annotations.

    Raises:
        Unreadable: it can't be understood. NeedsPayload: its payload could not be had. DamagedSpool: see there.
    """
    return _completed(index, read_row(index.row(key), target))


def read_head(index: Index, key: int, target: str) -> Record:
    """A record as if it had no annotations, which is quick; raises as `read_record`."""
    return _completed(index, read_row(index.row(key), target, payload=b"null"))


def _completed(index: Index, record: Record) -> Record:
    if record.data_unit is None or (record.meta and record.files):
        return record
    unit = index.unit(record.data_unit)
    if unit is None:
        return record
    # A row that is nothing but its data unit is read by the rules of every other row.
    said = read_row(b'{"id":0,"data_unit":' + unit + b"}", "task", payload=b"null")
    record.meta = record.meta or said.meta
    if said.files and not any(file.name for file in record.files):
        was_without = not record.files
        record.files = said.files
        if was_without and not record.document.media:
            record.document = read_document(record.payload, files=said.files)
    return record


def media_of(record: Record) -> list[Media]:
    """The media of a record; one without any is one of no kind."""
    return record.document.media or [Media("", "")]
