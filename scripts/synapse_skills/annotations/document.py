"""A payload of any shape, read into one `Document` (contract: the shapes are told apart, then each has its reader)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synapse_skills.annotations.fast import read_fast
from synapse_skills.annotations.files import main_file
from synapse_skills.annotations.labels import kind_of
from synapse_skills.annotations.model import Annotation, Document, Entity, Media, MediaFile, Section, Text
from synapse_skills.annotations.payload import Unreadable, check_depth, check_values, is_wrapper, parse
from synapse_skills.annotations.v1 import read_v1
from synapse_skills.annotations.v2 import is_v2, read_v2

_FREE = frozenset({Text, Entity, Section})
"""Geometries that hold values as they came."""


def read_document(payload: bytes | str | Mapping[str, Any] | None, *, files: tuple[MediaFile, ...] = ()) -> Document:
    """Read the annotations of one record.

    Whatever is wrong with an annotation, a medium or a group becomes an `Issue` of the document. A record without
    any medium in its payload has its main file as its one, empty medium.

    Args:
        payload: as received: JSON bytes, an object, JSON inside of a string, or None.
        files: of the record; they name the media where the payload doesn't.

    Raises:
        Unreadable: the payload is no JSON object, lies elsewhere, or nests too deep.
    """
    document = read_plain(payload, files) if isinstance(payload, bytes) else None
    if document is not None:
        return document
    document = _read_patiently(payload, files)
    for media in document.media:
        for annotation in media.annotations:
            if annotation.attributes or type(annotation.geometry) in _FREE:
                _check_depth(annotation)
    return _with_media(document, files)


def read_plain(payload: bytes | None, files: tuple[MediaFile, ...]) -> Document | None:
    """The same at the speed of its parser, for a payload with nothing odd about it; None for any other.

    Raises:
        Unreadable: it nests too deep.
    """
    document = None if payload is None else read_fast(payload)
    return None if document is None else _with_media(document, files)


def _with_media(document: Document, files: tuple[MediaFile, ...]) -> Document:
    if not document.media and (file := main_file(files)):
        document.media.append(Media(key_of(file), kind_of(key_of(file)), width=file.width, height=file.height))
    return document


def _check_depth(annotation: Annotation) -> None:
    """Refuse what no writer of JSON would take, where an annotation holds values as they came."""
    check_values(annotation.attributes)
    geometry = annotation.geometry
    if isinstance(geometry, Text):
        check_depth([*geometry.parts, geometry.about])
    elif isinstance(geometry, Entity):
        check_depth(list(geometry.ranges))
    elif isinstance(geometry, Section):
        check_depth(list(geometry.excluded))


def _read_patiently(payload: bytes | str | Mapping[str, Any] | None, files: tuple[MediaFile, ...]) -> Document:
    content = _object(payload)
    if content is None:
        return Document(is_labelled=False)
    if is_v2(content):
        return read_v2(content, tuple(file.spec for file in files))
    return read_v1(content, _only(files))


def count_annotations(document: Document) -> int:
    """Source annotations of a document: those that were read, and those that an issue counts as lost."""
    read = sum(len(media.annotations) for media in document.media)
    return read + sum(issue.counts for issue in document.issues)


def _object(payload: bytes | str | Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    content: Any = payload
    for _ in range(4):
        if isinstance(content, bytes | str):
            content = None if not content.strip() else parse(content)
        elif wrapper := is_wrapper(content):
            if wrapper.needs_fetching or wrapper.data is None:
                raise Unreadable("The payload lies elsewhere and was not fetched.")
            content = wrapper.data
        else:
            break
    if content is None or isinstance(content, Mapping):
        return content
    kind = {list: "a list", str: "a text", bool: "a truth value"}.get(type(content), "a number")
    raise Unreadable(f"The payload is {kind}, not a JSON object.")


def _only(files: tuple[MediaFile, ...]) -> str:
    """The one medium that a list of annotations without a key can be about."""
    media = [file for file in files if kind_of(file.spec)]
    return media[0].spec if len(media) == 1 else ""


def key_of(file: MediaFile) -> str:
    """Key of the medium that a file is: its specification, or one by its type."""
    if file.spec:
        return file.spec
    return f"{file.file_type if kind_of(file.file_type) else 'image'}_1"
