"""Annotations: a record's payload, in whatever shape it comes, read into one internal model."""

from synapse_skills.annotations.document import count_annotations, read_document
from synapse_skills.annotations.files import FILE_SUFFIXES, file_of, size_of, stem_source
from synapse_skills.annotations.payload import NeedsPayload, Unreadable, Wrapper, is_wrapper, payload_of
from synapse_skills.annotations.rows import read_row

__all__ = [
    "FILE_SUFFIXES",
    "NeedsPayload",
    "Unreadable",
    "Wrapper",
    "count_annotations",
    "file_of",
    "is_wrapper",
    "payload_of",
    "read_document",
    "read_row",
    "size_of",
    "stem_source",
]
