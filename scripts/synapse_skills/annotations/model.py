"""The internal model: one record of the backend, understood (DESIGN.md, section 7).

Every shape that annotations come in (two lists joined by id, the newer lists of media, the flat one of older
instructions) is read into these structs, and every format is written from them. Nothing is guessed: what is missing is
None and has an `Issue`. Coordinates are pixels of the picture as it was annotated, the origin at the top left corner.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from synapse_skills.annotations.numbers import MAX_COORDINATE

Point = tuple[float, float]
Coordinate = Annotated[float, msgspec.Meta(ge=-MAX_COORDINATE, le=MAX_COORDINATE)]
Side = Annotated[float, msgspec.Meta(ge=0, le=MAX_COORDINATE)]

Tool = Literal[
    "bounding_box",
    "polygon",
    "polyline",
    "keypoint",
    "segmentation",
    "3d_bounding_box",
    "3d_segmentation",
    "classification",
    "relation",
    "named_entity",
    "prompt",
    "answer",
    "time_range",
]
"""The tools of the platform by their standard names; an annotation of any other keeps its own name in `tool`."""


class Box(msgspec.Struct, frozen=True, gc=False, tag="box"):
    """A rectangle: its corner, its size, and `rotation` in radians about its centre (0 is upright).

    The bounds hold for one that is read from JSON (`fast`), not for one that is computed.
    """

    x: Coordinate
    y: Coordinate
    width: Side
    height: Side
    rotation: Coordinate = 0.0


class Polygon(msgspec.Struct, frozen=True, tag="polygon"):
    """Closed rings, the first point not repeated: the outline, then holes if there are any."""

    points: tuple[Point, ...]
    holes: tuple[tuple[Point, ...], ...] = ()


class Polyline(msgspec.Struct, frozen=True, tag="polyline"):
    """An open line."""

    points: tuple[Point, ...]


class Keypoint(msgspec.Struct, frozen=True, gc=False, tag="keypoint"):
    """One point. `visibility`: 0 not there, 1 hidden, 2 visible, None unknown."""

    x: float
    y: float
    visibility: int | None = None


class Skeleton(msgspec.Struct, frozen=True, tag="skeleton"):
    """All points of one object in one annotation, with their names where they are known."""

    points: tuple[Keypoint, ...]
    names: tuple[str, ...] = ()


class Mask(msgspec.Struct, frozen=True, tag="mask"):
    """Pixels, as runs (start, length) row by row over the whole picture; sorted, joined, not overlapping."""

    runs: tuple[tuple[int, int], ...]


class Section(msgspec.Struct, frozen=True, tag="section"):
    """A span of time: in frames of a video, in seconds otherwise. `excluded`: tracks that it leaves out."""

    start: float
    end: float
    unit: Literal["frame", "second", ""] = ""
    excluded: tuple[Any, ...] = ()


class FrameBoxes(msgspec.Struct, frozen=True, tag="frames"):
    """The boxes of one object over the frames of a video, by frame, in order."""

    boxes: tuple[tuple[int, Box], ...]


class Cuboid(msgspec.Struct, frozen=True, tag="cuboid"):
    """A box in space. `rotation`: Euler angles in radians (x, y, z), or a quaternion (w, x, y, z)."""

    position: tuple[float, float, float]
    scale: tuple[float, float, float]
    rotation: tuple[float, ...]


class PointIndices(msgspec.Struct, frozen=True, tag="points3d"):
    """Points of a point cloud by their index."""

    points: tuple[int, ...]


class Relation(msgspec.Struct, frozen=True, tag="relation"):
    """From one annotation to another, by their ids. Those of the top-level `relations` are annotations like these."""

    source: str
    target: str


class Entity(msgspec.Struct, frozen=True, tag="entity"):
    """Spans of a text as the platform gives them, and what they hold."""

    ranges: tuple[Any, ...]
    content: str = ""


class Text(msgspec.Struct, frozen=True, tag="text"):
    """A prompt or an answer: its parts as they came, and everything else that came with it (model, displayName …)."""

    parts: tuple[Any, ...]
    about: dict[str, Any] = {}


class Whole(msgspec.Struct, frozen=True, tag="whole"):
    """No geometry: the label is of the whole medium."""


Geometry = (
    Box
    | Polygon
    | Polyline
    | Keypoint
    | Skeleton
    | Mask
    | Section
    | FrameBoxes
    | Cuboid
    | PointIndices
    | Relation
    | Entity
    | Text
    | Whole
)


class Annotation(msgspec.Struct, gc=True):
    """One annotation.

    Attributes:
        id: as the platform gives it; unique within a medium.
        tool: canonical name (`Tool`), or an unknown one as it came.
        label: the class, composed (NFC) and stripped; None if there is none.
        raw_label: the class exactly as it came, for folder names and payloads that must keep it.
        geometry: None if it is missing or can't be understood; an `Issue` says which, and why.
        attributes: what else was said of it (`classification` less the class), values as they came.
        group: id of the group it belongs to.
    """

    id: str
    tool: str
    label: str | None = None
    raw_label: str | None = None
    geometry: Geometry | None = None
    attributes: dict[str, Any] = {}
    group: str | None = None
    is_valid: bool = True
    is_visible: bool = True


class Group(msgspec.Struct, frozen=True):
    """Annotations that belong together, such as the keypoints of one person."""

    id: str
    label: str | None = None
    members: tuple[str, ...] = ()


class Media(msgspec.Struct):
    """One medium of a record: `key` is its file specification (`image_1`), `kind` image, video, pcd, text, audio,
    prompt or data. Sizes are in pixels, None if the annotations don't tell.
    """

    key: str
    kind: str
    annotations: list[Annotation] = []
    groups: list[Group] = []
    width: int | None = None
    height: int | None = None


class Issue(msgspec.Struct, frozen=True, gc=False):
    """Something in the annotations that can't be understood: counted, never fatal for the record.

    Attributes:
        code: of an annotation `no-geometry`, `bad-geometry`, `geometry-alone`, `duplicate-id`, `no-id`, `unknown-tool`,
            `bad-class`, `bad-visibility`, `bad-attributes`, `bad-annotation`, `no-size` (a mask); of a medium or the
            whole `unknown-media`, `bad-size`, `bad-group`, `group-member`, `bad-relation`, `bad-shape`,
            `unknown-shape`, `two-shapes`.
        media: key of the medium.
        annotation: id of the annotation, '' if it is about the medium.
        detail: one short sentence, without anything secret.
        counts: whether it stands for an annotation that is not in `Media.annotations` (and is therefore lost).
    """

    code: str
    media: str
    annotation: str = ""
    detail: str = ""
    counts: bool = False


class Document(msgspec.Struct):
    """The annotations of one record. `is_labelled` is False if the record holds no payload at all (null)."""

    media: list[Media] = []
    issues: list[Issue] = []
    is_labelled: bool = True


class MediaFile(msgspec.Struct, frozen=True, gc=False):
    """A file of the record's data unit as the row names it; `url` is where it can be fetched for now, if known.

    `name` is the original file name; sizes are None where the row doesn't tell.
    """

    spec: str
    name: str
    url: str | None = None
    is_primary: bool = False
    file_type: str = ""
    bytes: int | None = None
    checksum: str | None = None
    width: int | None = None
    height: int | None = None


class Record(msgspec.Struct):
    """One assignment, ground-truth event or task.

    Attributes:
        key: the unique number that orders the records: the row's id, of a ground-truth event its pgh_id.
        payload: the annotations as they were received, JSON bytes; None if the record has none.
        document: those, understood.
        meta: of the data unit; empty if the row doesn't bring it.
        created, updated: ISO times as the row gives them.
    """

    key: int
    id: int
    target: str
    document: Document
    payload: bytes | None = None
    project: int | None = None
    task: int | None = None
    data_unit: int | None = None
    status: str = ""
    review: str = ""
    is_discarded: bool = False
    is_confirmed: bool | None = None
    category: str | None = None
    tags: tuple[str, ...] = ()
    created: str = ""
    updated: str = ""
    meta: dict[str, Any] = {}
    files: tuple[MediaFile, ...] = ()
