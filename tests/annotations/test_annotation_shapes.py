"""Every shape that annotations come in."""

from __future__ import annotations

from typing import Any

import pytest

from annotations.worlds import Json, as_v2, encoded, joined, said, v1
from synapse_skills.annotations import count_annotations, read_document
from synapse_skills.annotations.model import (
    Annotation,
    Box,
    Cuboid,
    Document,
    Entity,
    FrameBoxes,
    Geometry,
    Group,
    Keypoint,
    MediaFile,
    PointIndices,
    Polygon,
    Polyline,
    Relation,
    Section,
    Skeleton,
    Text,
    Whole,
)

PATH = ((1.0, 1.0), (20.0, 1.0), (20.0, 20.0))
POINTS = [{"x": x, "y": y, "id": f"q{index}"} for index, (x, y) in enumerate(PATH)]


def only(document: Document) -> Annotation:
    assert document.issues == []
    [media] = document.media
    [annotation] = media.annotations
    return annotation


@pytest.mark.parametrize(
    ("media", "tool", "data", "geometry"),
    [
        ("image_1", "bounding_box", {"coordinate": {"x": 1.5, "y": 2, "width": 10, "height": 12}}, Box(1.5, 2, 10, 12)),
        (
            "image_1",
            "bounding_box",
            {"coordinate": {"x": 1, "y": 2, "width": 3, "height": 4, "rotation": 0.3}},
            Box(1, 2, 3, 4, 0.3),
        ),
        ("image_1", "polygon", {"coordinate": POINTS}, Polygon(PATH)),
        ("image_1", "polygon", {"coordinate": {"points": POINTS}}, Polygon(PATH)),
        ("image_1", "polygon", {"coordinate": [*POINTS, POINTS[0]]}, Polygon(PATH)),
        ("image_1", "polyline", {"coordinate": [*POINTS, POINTS[0]]}, Polyline((*PATH, PATH[0]))),
        ("image_1", "polyline", {"coordinate": [[1, 1], [20, 1], [20, 20]]}, Polyline(PATH)),
        ("image_1", "keypoint", {"coordinate": {"x": 3, "y": 4}}, Keypoint(3, 4)),
        ("image_1", "classification", {}, Whole()),
        ("video_1", "segmentation", {"section": {"startFrame": 3, "endFrame": 9}}, Section(3, 9, "frame")),
        ("audio_1", "segmentation", {"section": {"start": 0.5, "end": 2.25}}, Section(0.5, 2.25, "second")),
        (
            "data_1",
            "time_range",
            {"section": {"start": 1700000000000, "end": 1700000000500}, "excludedTracks": ["t2"]},
            Section(1700000000000, 1700000000500, "", ("t2",)),
        ),
        (
            "pcd_1",
            "3d_bounding_box",
            {
                "psr": {
                    "position": {"x": 1, "y": 2, "z": 3},
                    "scale": {"x": 4, "y": 5, "z": 6},
                    "rotation": {"x": 0.1, "y": 0.2, "z": 0.3},
                }
            },
            Cuboid((1, 2, 3), (4, 5, 6), (0.1, 0.2, 0.3)),
        ),
        (
            "pcd_1",
            "3d_bounding_box",
            {
                "psr": {
                    "position": {"x": 1, "y": 2, "z": 3},
                    "scale": {"x": 4, "y": 5, "z": 6},
                    "rotation": {"x": 0, "y": 0, "z": 0.6, "w": 0.8},
                }
            },
            Cuboid((1, 2, 3), (4, 5, 6), (0.8, 0, 0, 0.6)),
        ),
        ("pcd_1", "3d_segmentation", {"points": [5, 3, 9]}, PointIndices((5, 3, 9))),
        ("image_1", "relation", {"annotationId": "a", "targetAnnotationId": "b"}, Relation("a", "b")),
        ("text_1", "named_entity", {"ranges": [[0, 5]], "content": "Seoul"}, Entity(([0, 5],), "Seoul")),
        (
            "prompt_1",
            "prompt",
            {"input": [{"type": "text", "value": "why?"}], "model": "m"},
            Text(({"type": "text", "value": "why?"},), {"model": "m"}),
        ),
        (
            "prompt_1",
            "answer",
            {"output": [{"type": "text", "value": "so"}], "promptAnnotationId": "p", "displayName": "n"},
            Text(({"type": "text", "value": "so"},), {"promptAnnotationId": "p", "displayName": "n"}),
        ),
        (
            "video_1",
            "bounding_box",
            {
                "coordinates": {
                    "59": {"x": 1, "y": 2, "width": 3, "height": 4},
                    "0": {"x": 0, "y": 0, "width": 5, "height": 6},
                }
            },
            FrameBoxes(((0, Box(0, 0, 5, 6)), (59, Box(1, 2, 3, 4)))),
        ),
        (
            "video_1",
            "bounding_box",
            {"coordinates": {"0": {"x": 0, "y": 0, "width": 5, "height": 6}, "1": None}},
            FrameBoxes(((0, Box(0, 0, 5, 6)),)),
        ),
        (
            "video_1",
            "bounding_box",
            {"coordinate": {"x": 0, "y": 0, "width": 5, "height": 6}, "frameIndex": 12},
            FrameBoxes(((12, Box(0, 0, 5, 6)),)),
        ),
    ],
)
def test_every_tool_of_the_two_lists(media: str, tool: str, data: Json, geometry: Geometry) -> None:
    payload = v1((said("a1", tool, "car", occluded=True), data), media=media)
    for document in (read_document(payload), read_document(encoded(payload))):
        assert only(document) == Annotation("a1", tool, "car", "car", geometry, {"occluded": True})
        assert document.media[0].key == media and document.media[0].kind == media[:-2]


def test_a_video_box_of_several_rows() -> None:
    """One row for each frame, all with the id of the annotation."""
    box = {"x": 1, "y": 2, "width": 3, "height": 4}
    payload = v1((said("a1", "bounding_box"), {"coordinate": box, "frameIndex": 5}), media="video_1")
    payload["annotationsData"]["video_1"].append({"id": "a1", "coordinate": {**box, "x": 9}, "frameIndex": 2})
    assert only(read_document(payload)).geometry == FrameBoxes(((2, Box(9, 2, 3, 4)), (5, Box(1, 2, 3, 4))))


@pytest.mark.parametrize(
    ("tool", "data", "geometry"),
    [
        ("bbox", [1, 2, 3, 4], Box(1, 2, 3, 4)),
        ("boundingBox", [1, 2, 3, 4], Box(1, 2, 3, 4)),
        ("polygon", [[1, 1], [20, 1], [20, 20]], Polygon(PATH)),
        ("line", [[1, 1], [20, 1], [20, 20]], Polyline(PATH)),
        ("point", [3, 4], Keypoint(3, 4)),
        ("classification", None, Whole()),
    ],
)
@pytest.mark.parametrize("beside", [True, False])
def test_the_flat_shape_of_older_instructions(tool: str, data: Any, geometry: Geometry, beside: bool) -> None:
    """Class as a text, geometry in the annotation; the other list repeats id and type, or isn't there."""
    flat = {"id": "abc", "type": tool, "data": data, "classification": "car", "description_en": "a car"}
    payload: Json = {"assignmentId": "job-123", "annotations": {"image_1": [flat]}}
    if beside:
        payload["annotationsData"] = {"image_1": [{"id": "abc", "type": tool}]}
    annotation = only(read_document(payload))
    assert annotation.geometry == geometry
    assert (annotation.label, annotation.attributes) == ("car", {"description_en": "a car"})
    assert annotation.tool == {"bbox": "bounding_box", "boundingBox": "bounding_box", "line": "polyline"}.get(
        tool, "keypoint" if tool == "point" else tool
    )


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("bbox", "bounding_box"),
        ("boundingBox", "bounding_box"),
        ("point", "keypoint"),
        ("line", "polyline"),
        ("mask", "segmentation"),
        ("3dBoundingBox", "3d_bounding_box"),
        ("3d_segmentation", "3d_segmentation"),
        ("namedEntity", "named_entity"),
        ("lasso", "lasso"),
        ("", ""),
    ],
)
def test_names_of_tools(name: str, tool: str) -> None:
    document = read_document(v1((said("a", name), {"id": "a"})))
    assert document.media[0].annotations[0].tool == tool


def test_a_skeleton_of_seventeen_points() -> None:
    points = [[index, 2 * index] for index in range(17)]
    flat = {"id": "k", "type": "keypoint", "data": points, "visibility": [2] * 16 + [0], "classification": "person"}
    annotation = only(read_document({"annotations": {"image_1": [{**flat, "skeleton": [[1, 2]]}]}}))
    assert isinstance(annotation.geometry, Skeleton)
    assert annotation.geometry.points[1] == Keypoint(1, 2, 2) and annotation.geometry.points[16].visibility == 0
    assert len(annotation.geometry.points) == 17
    assert annotation.attributes == {"skeleton": [[1, 2]]}


def test_a_skeleton_with_triples_and_names() -> None:
    flat = {"id": "k", "type": "keypoint", "data": [[1, 2, 2], [3, 4, 1]], "names": ["nose", "eye"]}
    annotation = only(read_document({"annotations": {"image_1": [flat]}}))
    assert annotation.geometry == Skeleton((Keypoint(1, 2, 2), Keypoint(3, 4, 1)), ("nose", "eye"))
    assert annotation.attributes == {}


@pytest.mark.parametrize(
    ("given", "seen"), [("missing", 0), ("occluded", 1), ("visible", 2), (0, 0), (1, 1), (2, 2), ("2", 2)]
)
def test_visibility_of_a_keypoint(given: Any, seen: int) -> None:
    annotation = only(read_document(v1((said("k", "keypoint", "nose", visibility=given), {"coordinate": POINTS[0]}))))
    assert annotation.geometry == Keypoint(1, 1, seen)
    assert annotation.attributes == {}


@pytest.mark.parametrize(
    "members",
    [
        {"annotationIds": ["k1", "k2"]},
        {"annotationList": [{"annotationId": "k1"}, {"annotationId": "k2", "children": []}]},
        {"annotationList": [{"annotationId": "k1", "children": [{"annotationId": "k2"}]}]},
        {"annotationList": ["k1", "k2", "k1"]},
    ],
)
def test_groups_of_keypoints(members: Json) -> None:
    pairs = [
        (said(name, "keypoint", joint), {"coordinate": POINTS[0]}) for name, joint in (("k1", "nose"), ("k2", "eye"))
    ]
    group = {"id": "g1", "tool": "annotationGroup", "classification": {"class": "person"}, **members}
    document = read_document(v1(*pairs, groups=[group]))
    assert document.issues == []
    assert [annotation.group for annotation in document.media[0].annotations] == ["g1", "g1"]
    assert document.media[0].groups == [Group("g1", "person", ("k1", "k2"))]


def test_groups_of_the_newer_shape_without_its_envelope() -> None:
    item = {"keypoint": [{"id": "k1", "data": [1, 2], "group_id": "g"}, {"id": "k2", "data": [3, 4], "group_id": "g"}]}
    [media] = read_document({"images": [item]}).media
    assert media.groups == [Group("g", None, ("k1", "k2"))]


def test_relations_beside_the_annotations_count() -> None:
    relation = {"id": "r1", "tool": "relation", "annotationId": "a", "targetAnnotationId": "b"}
    payload = v1((said("a", "classification"), {}), (said("b", "classification"), {}), relations=[relation])
    for shape in (payload, as_v2(payload)):
        document = read_document(shape)
        assert count_annotations(document) == 3 and document.issues == []
        assert document.media[0].annotations[2] == Annotation("r1", "relation", geometry=Relation("a", "b"))


def test_a_relation_that_stands_in_both_places_is_one() -> None:
    relation = {"id": "r1", "annotationId": "a", "targetAnnotationId": "b"}
    document = read_document(v1((said("r1", "relation", "follows"), None), relations=[relation]))
    assert only(document).geometry == Relation("a", "b")


def test_several_media_in_natural_order() -> None:
    box = {"coordinate": {"x": 1, "y": 2, "width": 3, "height": 4}}
    parts = [v1((said("a", "bounding_box"), box), media=f"image_{number}", size=(number, 7)) for number in (10, 2, 1)]
    for document in (read_document(joined(*parts)), read_document(encoded(joined(*parts)))):
        assert [media.key for media in document.media] == ["image_1", "image_2", "image_10"]
        assert [media.width for media in document.media] == [1, 2, 10]
        assert count_annotations(document) == 3


def test_the_newer_shape_takes_the_names_of_its_media_from_the_envelope() -> None:
    box = {"coordinate": {"x": 1, "y": 2, "width": 3, "height": 4}}
    older = joined(*(v1((said("a", "bounding_box"), box), media=f"image_{number}") for number in (3, 11)))
    assert [media.key for media in read_document(as_v2(older)).media] == ["image_3", "image_11"]
    bare = as_v2(older, with_meta=False)
    assert [media.key for media in read_document(bare).media] == ["image_1", "image_2"]
    files = tuple(MediaFile(spec, f"{spec}.png") for spec in ("image_4", "image_5", "data_meta_1"))
    assert [media.key for media in read_document(bare, files=files).media] == ["image_4", "image_5"]


def test_the_newer_shape_of_a_turned_box() -> None:
    item = {"bounding_box": [{"id": "a", "classification": "car", "data": [1, 2, 3, 4]}]}
    item["bounding_box"][0]["attrs"] = [{"name": "rotation", "value": 0.5}, {"name": "color", "value": "red"}]
    annotation = only(read_document({"annotation_data": {"images": [item]}}))
    assert annotation.geometry == Box(1, 2, 3, 4, 0.5)
    assert annotation.attributes == {"color": "red"}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda payload: encoded(payload),
        lambda payload: encoded(payload).decode(),
        lambda payload: encoded(encoded(payload).decode()),
        lambda payload: {"mode": "inline", "data": payload},
        lambda payload: {"mode": "inline", "truncated": False, "data": encoded(payload).decode()},
    ],
)
def test_json_in_a_string_or_in_a_wrapper(wrap: Any) -> None:
    payload = v1((said("a1", "polygon", "도로"), {"coordinate": POINTS}))
    assert only(read_document(wrap(payload))).label == "도로"


@pytest.mark.parametrize("nothing", [None, b"null", b" ", "", "null", '""'])
def test_no_payload_is_unlabelled(nothing: Any) -> None:
    assert read_document(nothing) == Document(is_labelled=False)
    file = MediaFile("image_1", "a.png", width=5, height=6)
    document = read_document(nothing, files=(MediaFile("data_meta_1", "a.json", is_primary=True), file))
    assert [(media.key, media.kind, media.width) for media in document.media] == [("image_1", "image", 5)]
    assert not document.is_labelled and count_annotations(document) == 0


def test_an_empty_payload_is_labelled_with_nothing() -> None:
    for empty in ({}, {"annotations": {}, "annotationsData": {}}):
        document = read_document(empty, files=(MediaFile("", "a.mp4", file_type="video"),))
        assert document.is_labelled and [media.key for media in document.media] == ["video_1"]


def test_classes_are_composed_and_stripped_and_the_raw_one_is_kept() -> None:
    annotation = only(read_document(v1((said("a", "classification", " cafe\u0301 "), {}))))
    assert (annotation.label, annotation.raw_label) == ("caf\u00e9", " cafe\u0301 ")


@pytest.mark.parametrize("given", [None, "", "  ", {}, {"class": None}, {"class": ""}])
def test_an_annotation_without_a_class_has_none(given: Any) -> None:
    for shape in ("tool", "type"):
        annotation = {"id": "a", shape: "classification", "classification": given}
        assert only(read_document({"annotations": {"image_1": [annotation]}})).label is None


def test_what_else_is_said_of_an_annotation_is_kept() -> None:
    one = {**said("a", "classification", "car", occluded=None), "isValid": False, "isVisible": False, "label": ["x"]}
    annotation = only(read_document(v1((one, {}))))
    assert annotation.attributes == {"occluded": None, "label": ["x"]}
    assert (annotation.is_valid, annotation.is_visible) == (False, False)
