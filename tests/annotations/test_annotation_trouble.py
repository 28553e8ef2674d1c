"""What is wrong in a payload is said and counted; it is never a zero, and never costs the record."""

from __future__ import annotations

from typing import Any

import pytest

from annotations.worlds import Json, encoded, said, v1
from synapse_skills.annotations import Unreadable, count_annotations, read_document
from synapse_skills.annotations.model import Box, Document, Issue, Mask, Polygon

BOX = {"x": 1, "y": 2, "width": 3, "height": 4}


def boxed(**changes: Any) -> Json:
    return v1((said("a1", "bounding_box"), {"coordinate": {**BOX, **changes}}))


def codes(document: Document) -> list[tuple[str, str, bool]]:
    return [(issue.code, issue.annotation, issue.counts) for issue in document.issues]


def test_an_annotation_without_data_has_no_geometry() -> None:
    document = read_document(v1((said("a1", "bounding_box"), None)))
    assert document.media[0].annotations[0].geometry is None
    assert codes(document) == [("no-geometry", "a1", False)]
    assert count_annotations(document) == 1


def test_data_without_a_place_is_no_geometry() -> None:
    document = read_document(v1((said("a1", "polygon"), {"coordinate": None})))
    assert document.media[0].annotations[0].geometry is None
    assert codes(document) == [("no-geometry", "a1", False)]


def test_geometry_without_an_annotation_counts() -> None:
    payload = boxed()
    payload["annotationsData"]["image_1"] += [{"id": "b", "coordinate": BOX}, {"coordinate": BOX}, "x"]
    document = read_document(payload)
    assert [code for code in codes(document) if code[2]] == codes(document)
    assert sorted(codes(document)) == [("geometry-alone", "", True)] * 2 + [("geometry-alone", "b", True)]
    assert count_annotations(document) == 4


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"x": float("nan")}, "x is not a number"),
        ({"y": float("inf")}, "y is infinite"),
        ({"x": "12"}, "x is a text"),
        ({"x": None}, "x is null"),
        ({"x": True}, "x is true"),
        ({"width": 10**40}, "width is a huge number"),
        ({"x": -2e9}, "x is -2e+09"),
        ({"width": -3}, "the box is -3 x 4"),
        ({"height": []}, "height is a list of 0"),
        ({"rotation": "up"}, "rotation is a text"),
    ],
)
def test_a_broken_number_is_no_zero(changes: Json, detail: str) -> None:
    payload = boxed(**changes)
    for document in (read_document(payload), read_document(encoded(payload))):
        assert document.issues == [Issue("bad-geometry", "image_1", "a1", detail)]
        assert document.media[0].annotations[0].geometry is None
        assert count_annotations(document) == 1


def test_a_number_that_python_itself_refuses() -> None:
    """Longer than int() takes: a payload of a record must not depend on that limit."""
    text = encoded(boxed(x=11111)).replace(b"11111", b"1" * 5000)
    assert codes(read_document(text)) == [("bad-geometry", "a1", False)]


def test_a_missing_side_is_no_zero() -> None:
    payload = v1((said("a1", "bounding_box"), {"coordinate": {"x": 1, "y": 2, "width": 3}}))
    assert read_document(payload).issues[0].detail == "height is missing"


@pytest.mark.parametrize(
    ("media", "tool", "data"),
    [
        ("image_1", "bounding_box", {"coordinate": [1, 2, 3]}),
        ("image_1", "bounding_box", {"coordinate": "1,2,3,4"}),
        ("image_1", "bounding_box", {"section": {"startFrame": 1, "endFrame": 2}}),
        ("image_1", "polygon", {"coordinate": []}),
        ("image_1", "polygon", {"coordinate": [[1, 2], [3, None]]}),
        ("image_1", "polygon", {"coordinate": [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]}),
        ("image_1", "polygon", {"coordinate": [1, 2, 3, 4]}),
        ("video_1", "polygon", {"coordinates": {"0": [[1, 2], [3, 4], [5, 6]]}}),
        ("image_1", "keypoint", {"coordinate": {"x": 1}}),
        ("image_1", "keypoint", {"coordinate": []}),
        ("video_1", "segmentation", {"section": {"startFrame": 9, "endFrame": 3}}),
        ("video_1", "segmentation", {"section": {"startFrame": 9}}),
        ("audio_1", "segmentation", {"section": {"start": "a", "end": 2}}),
        ("pcd_1", "3d_bounding_box", {"psr": {"position": {"x": 1, "y": 2, "z": 3}, "rotation": {}}}),
        ("pcd_1", "3d_bounding_box", {"psr": [1, 2, 3]}),
        ("pcd_1", "3d_segmentation", {"points": [1, -2]}),
        ("pcd_1", "3d_segmentation", {"points": [1, 2.5]}),
        ("image_1", "relation", {"annotationId": "a", "targetAnnotationId": None}),
        ("text_1", "named_entity", {"ranges": [], "content": "x"}),
        ("text_1", "named_entity", {"ranges": [1], "content": 5}),
        ("prompt_1", "prompt", {"input": 5}),
        ("data_1", "time_range", {"section": {"start": 1, "end": 2}, "excludedTracks": "all"}),
        ("video_1", "bounding_box", {"coordinates": {"one": BOX}}),
        ("video_1", "bounding_box", {"coordinates": {"1": {**BOX, "x": None}}}),
        ("video_1", "bounding_box", {"coordinates": {"1": BOX, "01": BOX}}),
        ("video_1", "bounding_box", {"coordinates": {"1": None}}),
    ],
)
def test_geometry_that_is_none(media: str, tool: str, data: Json) -> None:
    document = read_document(v1((said("a1", tool), data), (said("b", "classification"), {}), media=media))
    first, second = document.media[0].annotations
    assert first.geometry is None and second.geometry is not None
    assert codes(document) == [("bad-geometry", "a1", False)]
    assert document.issues[0].detail


@pytest.mark.parametrize("tool", ["polygon", "polyline", "bounding_box"])
def test_what_is_odd_but_sound_is_kept(tool: str) -> None:
    """Two points, no area, outside of the picture: what becomes of it is for the formats to say."""
    data = (
        {"coordinate": {**BOX, "x": -50, "width": 0}} if tool == "bounding_box" else {"coordinate": [[1, 2], [900, 4]]}
    )
    document = read_document(v1((said("a1", tool), data)))
    assert document.issues == [] and document.media[0].annotations[0].geometry is not None


# Masks: 64 x 48 = 3072 pixels.
@pytest.mark.parametrize(
    ("data", "runs"),
    [
        ({"pixel_indices": [3, 4, 9], "isCompressed": False, "compressionFormat": None}, ((3, 2), (9, 1))),
        ({"pixel_indices": [9, 4, 3, 4], "isCompressed": False, "compressionFormat": None}, ((3, 2), (9, 1))),
        ({"pixel_indices": [[9, 1], [3, 2]], "isCompressed": True, "compressionFormat": "rle"}, ((3, 2), (9, 1))),
        ({"pixel_indices": [[3, 2], [5, 4], [6, 1]], "isCompressed": True, "compressionFormat": "rle"}, ((3, 6),)),
        ({"pixel_indices": [3, 4, 9]}, ((3, 2), (9, 1))),
        ({"pixel_indices": [[3, 2], [9, 1]]}, ((3, 2), (9, 1))),
        ({"pixel_indices": [[0, 3072]]}, ((0, 3072),)),
    ],
)
def test_masks(data: Json, runs: tuple[tuple[int, int], ...]) -> None:
    document = read_document(v1((said("m", "segmentation"), data)))
    assert document.issues == []
    assert document.media[0].annotations[0].geometry == Mask(runs)


@pytest.mark.parametrize(
    "data",
    [
        {"pixel_indices": []},
        {"pixel_indices": [3, [4, 1]]},
        {"pixel_indices": [3, -4]},
        {"pixel_indices": [[3, 0]]},
        {"pixel_indices": [[3, 1, 2]]},
        {"pixel_indices": [3, 3072]},
        {"pixel_indices": [[3000, 100]]},
        {"pixel_indices": [3, 4], "isCompressed": True, "compressionFormat": "rle"},
        {"pixel_indices": [[3, 4]], "isCompressed": False, "compressionFormat": None},
        {"pixel_indices": [[3, 4]], "isCompressed": False, "compressionFormat": "rle"},
        {"pixel_indices": [[3, 4]], "isCompressed": True, "compressionFormat": "zip"},
        {"pixel_indices": "AAAA"},
        {"pixel_indices": [[0, 10**30]]},
    ],
)
def test_masks_that_are_none(data: Json) -> None:
    document = read_document(v1((said("m", "segmentation"), data)))
    assert codes(document) == [("bad-geometry", "m", False)]
    assert document.media[0].annotations[0].geometry is None


def test_a_mask_needs_the_size_of_its_picture() -> None:
    document = read_document(v1((said("m", "segmentation"), {"pixel_indices": [1]}), size=None))
    assert codes(document) == [("no-size", "m", False)]
    assert document.media[0].annotations[0].geometry == Mask(((1, 1),))


@pytest.mark.parametrize("extra", [{}, None, "x", {"image_1": None}, {"image_1": {}}])
def test_no_size_is_none(extra: Any) -> None:
    document = read_document({**boxed(), "extra": extra})
    assert (document.media[0].width, document.media[0].height) == (None, None)
    assert document.issues == []


@pytest.mark.parametrize("size", [(0, 48), ("64", "48"), (64, None), (-1, 5), (64.5, 48), (True, True), (10**9, 5)])
def test_a_bad_size_is_none_and_said(size: Any) -> None:
    document = read_document({**boxed(), "extra": {"image_1": {"width": size[0], "height": size[1]}}})
    assert (document.media[0].width, document.media[0].height) == (None, None)
    assert codes(document) == [("bad-size", "", False)]


def test_an_annotation_that_stands_twice_counts() -> None:
    payload = boxed()
    payload["annotations"]["image_1"] *= 2
    document = read_document(payload)
    assert codes(document) == [("duplicate-id", "a1", True)]
    assert document.media[0].annotations[0].geometry == Box(1, 2, 3, 4)
    assert count_annotations(document) == 2


def test_data_that_stands_twice() -> None:
    payload = boxed()
    payload["annotationsData"]["image_1"] *= 2
    document = read_document(payload)
    assert codes(document) == [("duplicate-id", "a1", False)]
    assert document.media[0].annotations[0].geometry == Box(1, 2, 3, 4)


def test_two_different_places_for_one_annotation_are_none() -> None:
    payload = boxed()
    payload["annotationsData"]["image_1"].append({"id": "a1", "coordinate": {**BOX, "x": 50}})
    document = read_document(payload)
    assert document.media[0].annotations[0].geometry is None
    assert ("duplicate-id", "a1", False) in codes(document)
    assert count_annotations(document) == 1


def test_annotations_without_an_id_are_named_by_their_place() -> None:
    flat = [{"type": "bbox", "data": [1, 2, 3, 4]}, {"id": None, "type": "bbox", "data": [1, 2, 3, 4]}]
    document = read_document({"annotations": {"image_1": flat}})
    assert [annotation.id for annotation in document.media[0].annotations] == ["#0", "#1"]
    assert [code for code, _, _ in codes(document)] == ["no-id", "no-id"]


def test_ids_that_are_numbers_join() -> None:
    payload = boxed()
    payload["annotations"]["image_1"][0]["id"] = payload["annotationsData"]["image_1"][0]["id"] = 5
    document = read_document(payload)
    assert document.media[0].annotations[0].id == "5" and document.issues == []


def test_an_unknown_tool_keeps_its_name() -> None:
    document = read_document(
        v1((said("a", "lasso"), {"coordinate": BOX}), (said("b", "bounding_box"), {"coordinate": BOX}))
    )
    assert [annotation.tool for annotation in document.media[0].annotations] == ["lasso", "bounding_box"]
    assert codes(document) == [("unknown-tool", "a", False)]


def test_an_unknown_medium_is_read() -> None:
    document = read_document(v1((said("a", "bounding_box"), {"coordinate": BOX}), media="scan_1"))
    assert document.media[0].kind == "" and document.media[0].annotations[0].geometry == Box(1, 2, 3, 4)
    assert codes(document) == [("unknown-media", "", False)]


def test_a_class_that_is_none() -> None:
    one = {**said("a", "bounding_box"), "label": [], "classification": {"class": ["car", "bus"]}}
    document = read_document(v1((one, {"coordinate": BOX})))
    assert codes(document) == [("bad-class", "a", False)]
    assert document.media[0].annotations[0].attributes == {"class": ["car", "bus"]}


def test_a_visibility_that_is_none_stays_an_attribute() -> None:
    document = read_document(v1((said("k", "keypoint", "nose", visibility="maybe"), {"coordinate": {"x": 1, "y": 2}})))
    assert codes(document) == [("bad-visibility", "k", False)]
    assert document.media[0].annotations[0].attributes == {"visibility": "maybe"}


@pytest.mark.parametrize(
    "groups",
    [
        {"g": []},
        "x",
        [5],
        [{"id": "g"}],
        [{"id": "g", "annotationIds": "a1"}],
        [{"annotationIds": ["a1"]}],
        [{"id": "g", "annotationIds": ["gone"]}],
        [{"id": "g", "annotationIds": []}, {"id": "g", "annotationIds": []}],
    ],
)
def test_a_malformed_group_costs_nothing_else(groups: Any) -> None:
    document = read_document({**boxed(), "annotationGroups": {"image_1": groups}})
    assert document.media[0].annotations[0].geometry == Box(1, 2, 3, 4)
    assert [code for code, _, _ in codes(document)] in (["bad-group"], ["group-member"])


def test_an_annotation_of_two_groups_stays_in_the_first() -> None:
    groups = [{"id": name, "annotationIds": ["a1"]} for name in ("g1", "g2")]
    document = read_document({**boxed(), "annotationGroups": {"image_1": groups}})
    assert document.media[0].annotations[0].group == "g1"
    assert codes(document) == [("group-member", "a1", False)]
    assert [group.members for group in document.media[0].groups] == [("a1",), ()]


@pytest.mark.parametrize("rows", ["x", 5, {"a1": {}}])
def test_rows_that_are_no_list(rows: Any) -> None:
    document = read_document({**boxed(), "annotations": {"image_1": rows}})
    assert ("bad-shape", "", False) in codes(document) and ("geometry-alone", "a1", True) in codes(document)


def test_a_list_without_media_belongs_to_the_one_picture_there_is() -> None:
    from synapse_skills.annotations.model import MediaFile

    flat = [{"id": "a", "type": "polygon", "data": [[1, 2], [3, 4], [5, 6]], "classification": "car"}]
    files = (MediaFile("image_1", "a.png"),)
    document = read_document({"annotations": flat}, files=files)
    assert document.media[0].annotations[0].geometry == Polygon(((1, 2), (3, 4), (5, 6)))
    assert codes(read_document({"annotations": flat})) == [("bad-annotation", "", True)]


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"[]", "a list"),
        (b"5", "a number"),
        (b"true", "a truth value"),
        (b'"\\"a\\""', "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b"<html>", "not valid JSON"),
        (b'{"a":' * 100_000, "too deep"),
        (b'{"mode": "presigned", "presigned_url": "http://x/y"}', "elsewhere"),
    ],
)
def test_a_payload_that_is_no_object_is_unreadable(payload: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why) as caught:
        read_document(payload)
    assert "http" not in str(caught.value)


def test_half_a_surrogate_pair_does_not_reach_the_files() -> None:
    document = read_document(encoded(boxed()).replace(b'"class":"car"', b'"class":"ca\\ud800r","x":["\\udc00"]'))
    annotation = document.media[0].annotations[0]
    assert (annotation.label, annotation.attributes["x"]) == ("ca\ufffdr", ["\ufffd"])
    assert annotation.geometry == Box(1, 2, 3, 4)


def test_the_newer_shape_with_everything_wrong() -> None:
    item = {
        "bounding_box": [{"id": "a", "data": [1, 2, 3, 4], "attrs": "x"}, {"id": "a", "data": [1, 2, 3, 4]}, None],
        "polygon": [{"data": None, "attrs": [5]}],
        "keypoint": 5,
    }
    document = read_document({"images": [item, "x"], "videos": {}})
    assert sorted(code for code, _, _ in codes(document)) == sorted(
        ["bad-attributes", "duplicate-id", "bad-annotation", "no-id", "bad-attributes", "no-geometry"]
        + ["bad-shape"] * 3
    )
    assert count_annotations(document) == 4


def test_points_of_a_skeleton_with_a_visibility_that_is_none() -> None:
    flat = {"id": "k", "type": "keypoint", "data": [[1, 2, 0.93], [3, 4, 2]]}
    document = read_document({"annotations": {"image_1": [flat]}})
    assert codes(document) == [("bad-visibility", "k", False)]
    assert document.media[0].annotations[0].attributes == {"visibility": [0.93, 2]}


def test_what_else_a_data_row_says_is_kept() -> None:
    document = read_document(v1((said("a", "bounding_box"), {"coordinate": BOX, "score": 0.9, "frameIndex": 3})))
    assert document.media[0].annotations[0].attributes == {"score": 0.9, "frameIndex": 3}
    assert document.issues == []


def test_a_payload_of_an_unknown_shape_is_not_silently_empty() -> None:
    assert codes(read_document({"shapes": [BOX]})) == [("unknown-shape", "", False)]
    two = {**boxed(), "images": []}
    assert codes(read_document(two)) == [("two-shapes", "", False)]


@pytest.mark.parametrize("depth", [150, 900])
@pytest.mark.parametrize("where", ["attribute", "text", "entity", "excluded"])
def test_values_that_no_writer_could_write_again_are_unreadable(where: str, depth: int) -> None:
    deep: Any = 1
    for _ in range(depth):
        deep = [deep] if depth % 2 else {"d": deep}
    data = {
        "attribute": {"coordinate": BOX},
        "text": {"input": [deep]},
        "entity": {"ranges": [deep]},
        "excluded": {"section": {"start": 1, "end": 2}, "excludedTracks": [deep]},
    }[where]
    tool = {"attribute": "bounding_box", "text": "prompt", "entity": "named_entity", "excluded": "time_range"}[where]
    payload = v1((said("a", tool, "car", **({"deep": deep} if where == "attribute" else {})), data))
    for shape in (payload, encoded(payload)):
        if depth == 150:
            assert read_document(shape).issues == []
        else:
            with pytest.raises(Unreadable, match="too deep"):
                read_document(shape)
