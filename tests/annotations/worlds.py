"""Payloads and rows of all kinds for tests and benchmarks.

Written out: `v1`, `said`, `row` build one from its parts. Random: `payload(random)` makes a sound one,
`damaged(random)` one with everything wrong that was ever seen, `rows(number)` the rows of a whole project; equal seeds
give equal worlds.
As hypothesis strategies: `payloads`, `damaged_payloads`, `target_rows`, `any_json`, `nearly_payloads`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]
CLASSES = ("car", "도로", "café", "cafe\u0301", " 사람 ", "a/b", "traffic light", "0")
"""Among them one class in two spellings (NFC, NFD), one with white space about it, and one that is no folder name."""

TOOLS = {
    "image": ("bounding_box", "polygon", "polyline", "keypoint", "segmentation", "classification", "relation"),
    "video": ("bounding_box", "segmentation", "classification"),
    "pcd": ("3d_bounding_box", "3d_segmentation", "classification"),
    "text": ("named_entity", "classification"),
    "audio": ("segmentation", "classification"),
    "prompt": ("prompt", "answer"),
    "data": ("time_range", "classification"),
}
WIDTH, HEIGHT = 64, 48


def said(identity: str, tool: str, label: str | None = "car", **attributes: Any) -> Json:
    """A row of `annotations` as the platform writes it."""
    flags = {"isLocked": False, "isVisible": True, "isValid": True, "isDrawCompleted": True}
    classes = [] if label is None else [label]
    classification = None if label is None and not attributes else {"class": label, **attributes}
    return {"id": identity, "tool": tool, **flags, "label": classes, "classification": classification}


def v1(
    *pairs: tuple[Json, Json | None],
    media: str = "image_1",
    size: tuple[int, int] | None = (WIDTH, HEIGHT),
    groups: Any = None,
    relations: Any = None,
) -> Json:
    """A payload of one medium: pairs of an annotation and what its data row says of the place (None: no row)."""
    return {
        "assignmentId": 7,
        "extra": {media: {"width": size[0], "height": size[1]}} if size else {},
        "relations": {media: [] if relations is None else relations},
        "annotationGroups": {media: [] if groups is None else groups},
        "annotations": {media: [annotation for annotation, _ in pairs]},
        "annotationsData": {media: [{"id": said["id"], **data} for said, data in pairs if data is not None]},
    }


def joined(*payloads: Json) -> Json:
    """Several payloads of different media as one."""
    whole: Json = {"assignmentId": 7}
    for name in ("extra", "relations", "annotationGroups", "annotations", "annotationsData"):
        whole[name] = {key: value for each in payloads for key, value in each.get(name, {}).items()}
    return whole


def row(payload: Any, target: str = "assignment", number: int = 7, **changes: Any) -> Json:
    """A row of the backend around a payload."""
    name = f"이미지_{number:04d}.png"
    file = {
        "url": f"http://127.0.0.1:8000/media/{number}.png?sig=x",
        "file_name_original": name,
        "is_primary": True,
        "file_type": "image",
        "size": 1234,
        "checksum": f"{number:032x}",
    }
    meta = {"category": "1. 자연", "group": "B82026Z", "width": WIDTH, "height": HEIGHT, "filename": name}
    unit = {"id": 50_000 + number, "meta": meta, "files": {"image_1": file}}
    dates = {"created": "2025-11-01T04:21:03.775098Z", "updated": "2025-11-02T04:21:03.775098Z"}
    status = {"status_label": "done", "status_review": "confirmed", "is_discarded": False}
    tags = [{"id": 1, "name": "야간"}]
    rows: dict[str, Json] = {
        "assignment": {
            "id": number,
            "project": 1,
            **status,
            **dates,
            "tags": tags,
            "task": {"id": 1000 + number, "tags": tags},
            "file": file,
            "data_unit": unit,
            "data": payload,
        },
        "task": {"id": number, "project": 1, **status, **dates, "tags": tags, "data_unit": unit, "data": payload},
        "ground_truth": {
            "id": 300 + number // 2,
            "pgh_id": number,
            "category": ("train", "validation", "test")[number % 3],
            "ground_truth_dataset_version": 5,
            "files": {"image_1": file},
            "data_unit": unit,
            "data": payload,
        },
    }
    return {**rows[target], **changes}


def place(random: Random, tool: str, kind: str = "image", known: list[str] | None = None) -> Json:
    """What a data row says of the place of a sound annotation."""

    def within(limit: int) -> float:
        return random.choice((random.randint(0, limit), round(random.uniform(0, limit), 2)))

    def box() -> Json:
        x, y = within(WIDTH - 2), within(HEIGHT - 2)
        sides = {"x": x, "y": y, "width": round(random.uniform(1, WIDTH - x), 3), "height": within(20) + 1}
        return sides | ({"rotation": round(random.uniform(-3, 3), 4)} if random.random() < 0.2 else {})

    def points(least: int) -> list[Json]:
        number = random.randint(least, least + 6)
        return [{"x": within(WIDTH), "y": within(HEIGHT), "id": f"q{index}"} for index in range(number)]

    def section() -> Json:
        start = random.randint(0, 50)
        names = ("startFrame", "endFrame") if kind == "video" else ("start", "end")
        return {"section": dict(zip(names, (start, start + random.randint(0, 9)), strict=True))}

    def mask() -> Json:
        if random.random() < 0.5:
            pixels = sorted(random.sample(range(WIDTH * HEIGHT), random.randint(1, 20)))
            return {"pixel_indices": pixels, "isCompressed": False, "compressionFormat": None}
        starts = sorted(random.sample(range(0, WIDTH * HEIGHT - 10, 10), random.randint(1, 8)))
        runs = [[start, random.randint(1, 8)] for start in starts]
        return {"pixel_indices": runs, "isCompressed": True, "compressionFormat": "rle"}

    def cuboid() -> Json:
        axes = "wxyz" if random.random() < 0.5 else "xyz"
        turned = {axis: round(random.uniform(0.1, 1), 3) for axis in axes}
        three = {axis: round(random.uniform(0.1, 90), 3) for axis in "xyz"}
        return {"psr": {"position": three, "scale": dict(three), "rotation": turned}}

    if tool == "bounding_box":
        if kind == "video":
            return {"coordinates": {str(frame): box() for frame in sorted(random.sample(range(90), 3))}}
        return {"coordinate": box()}
    if tool == "relation":
        ends = known or ["a0"]
        return {"annotationId": random.choice(ends), "targetAnnotationId": random.choice(ends)}
    return {
        "polygon": lambda: {"coordinate": points(3)},
        "polyline": lambda: {"coordinate": points(2)},
        "keypoint": lambda: {"coordinate": {"x": within(WIDTH), "y": within(HEIGHT)}},
        "segmentation": mask if kind == "image" else section,
        "3d_bounding_box": cuboid,
        "3d_segmentation": lambda: {"points": sorted(random.sample(range(900), 5))},
        "classification": dict,
        "named_entity": lambda: {"ranges": [{"start": 0, "end": 5}], "content": "Seoul"},
        "prompt": lambda: {"input": [{"type": "text", "value": "why?", "changeHistory": []}], "model": "m"},
        "answer": lambda: {"output": [{"type": "text", "value": "so", "primaryKey": 1}], "displayName": "n"},
        "time_range": section,
    }[tool]()


def payload(
    random: Random, *, annotations: int | None = None, media: tuple[str, ...] | None = None, tools: tuple[str, ...] = ()
) -> Json:
    """A sound payload of the older shape; by default up to three media of any kinds, of up to six annotations each."""
    keys = media
    if keys is None:
        kinds = random.choices(("image", "image", "image", *TOOLS), k=random.randint(1, 3))
        keys = tuple(f"{kind}_{number}" for number, kind in enumerate(kinds, start=random.choice((1, 9))))
    parts = []
    for key in keys:
        kind = key.rpartition("_")[0]
        prefix, ids, pairs = f"{key[0]}{key[-1]}", [], []
        for index in range(random.randint(0, 6) if annotations is None else annotations):
            tool = random.choice(tools or TOOLS[kind])
            if tool == "relation" and not ids:
                continue
            label = random.choice(CLASSES)
            extra = {"occluded": True} if random.random() < 0.3 else {}
            if tool == "keypoint" and random.random() < 0.7:
                extra["visibility"] = random.choice(("missing", "occluded", "visible", 0, 1, 2))
            annotation = said(f"{prefix}-{index}", tool, label, **extra)
            annotation["isValid"] = random.random() < 0.9
            pairs.append((annotation, place(random, tool, kind, ids)))
            ids.append(annotation["id"])
        joints = [annotation["id"] for annotation, _ in pairs if annotation["tool"] == "keypoint"]
        group = {"id": f"{prefix}-g", "tool": "annotationGroup", "classification": {"class": "person"}}
        groups = [{**group, "annotationIds": joints}] if joints and random.random() < 0.8 else []
        parts.append(v1(*pairs, media=key, groups=groups))
    return joined(*parts)


def _damages() -> list[Callable[[Random, Json, str], None]]:
    """What goes wrong in the field; each changes a payload at one place of a medium, if it has one to change."""

    def take(random: Random, payload: Json, part: str, key: str) -> Any:
        rows = payload[part].get(key) or [{}]
        return random.choice(rows)

    def no_data(random: Random, payload: Json, key: str) -> None:
        payload["annotationsData"][key] = payload["annotationsData"][key][1:]

    def alone(random: Random, payload: Json, key: str) -> None:
        payload["annotations"][key] = payload["annotations"][key][1:]

    def twice(random: Random, payload: Json, key: str) -> None:
        payload["annotations"][key] += copy.deepcopy(payload["annotations"][key][:1])

    def data_twice(random: Random, payload: Json, key: str) -> None:
        payload["annotationsData"][key] += [{**each, "points": [1]} for each in payload["annotationsData"][key][:1]]

    def number(random: Random, payload: Json, key: str) -> None:
        data = take(random, payload, "annotationsData", key)
        bad = random.choice((float("nan"), float("inf"), "12", None, True, 10**30, -5, {}, []))
        holder = data.get("coordinate")
        holder = random.choice(holder) if isinstance(holder, list) and holder else holder
        if isinstance(holder, dict):
            holder[random.choice(("x", "y", "width", "height"))] = bad
        elif data:
            data[random.choice([name for name in data if name != "id"] or ["section"])] = bad

    def tool(random: Random, payload: Json, key: str) -> None:
        take(random, payload, "annotations", key)["tool"] = random.choice(("lasso", "", None, 5, "boundingBox", "mask"))

    def label(random: Random, payload: Json, key: str) -> None:
        values = (None, "car", "", "  ", 5, ["car"], {"class": None}, {"class": ["a"]}, {"class": 3}, {})
        take(random, payload, "annotations", key)["classification"] = random.choice(values)

    def identity(random: Random, payload: Json, key: str) -> None:
        take(random, payload, random.choice(("annotations", "annotationsData")), key)["id"] = random.choice(
            (None, 5, "")
        )

    def groups(random: Random, payload: Json, key: str) -> None:
        values = ([{"annotationIds": 5}], [5], {"g": 1}, "x", [{"id": "g", "annotationIds": ["gone"]}], None)
        payload["annotationGroups"][key] = random.choice(values)

    def size(random: Random, payload: Json, key: str) -> None:
        payload["extra"][key] = random.choice(({}, None, {"width": 0, "height": 0}, {"width": "64", "height": "48"}))

    def rows(random: Random, payload: Json, key: str) -> None:
        payload[random.choice(("annotations", "annotationsData"))][key] = random.choice((None, {}, "x", [None, 5, "x"]))

    def edges(random: Random, payload: Json, key: str) -> None:
        edge = {"id": "r1", "annotationId": "a", "targetAnnotationId": random.choice(("b", None, 5))}
        payload["relations"][key] = random.choice(([edge], [edge, edge], [None], "x", {"r": edge}))

    return [no_data, alone, twice, data_twice, number, tool, label, identity, groups, size, rows, edges]


_DAMAGES = _damages()


def damaged(random: Random, *, wounds: int = 3) -> Json:
    """A payload in which something is wrong at up to `wounds` places."""
    whole = payload(random)
    for _ in range(random.randint(1, wounds)):
        damage, key = random.choice(_DAMAGES), random.choice(list(whole["annotations"]))
        lists = whole["annotations"][key], whole["annotationsData"][key]
        if all(isinstance(rows, list) and all(isinstance(each, dict) for each in rows) for rows in lists):
            damage(random, whole, key)
    return whole


def as_v2(older: Json, *, with_meta: bool = True) -> Json:
    """A sound payload in the newer shape, as the platform's own converter makes it."""
    data: Json = {"classification": {}}
    for key in sorted(older["annotations"], key=lambda name: (name.rpartition("_")[0], int(name.rpartition("_")[2]))):
        rows = {each["id"]: each for each in older["annotationsData"][key]}
        member = {name: group["id"] for group in older["annotationGroups"][key] for name in group["annotationIds"]}
        item: Json = {}
        for annotation in older["annotations"][key]:
            newer = _newer(annotation, rows[annotation["id"]])
            if annotation["id"] in member:
                newer["group_id"] = member[annotation["id"]]
            item.setdefault(annotation["tool"], []).append(newer)
        data.setdefault(f"{key.rpartition('_')[0]}s", []).append(item)
    return {"annotation_data": data, "annotation_meta": older} if with_meta else data


def _newer(annotation: Json, row: Json) -> Json:
    said = dict(annotation["classification"] or {})
    label, tool, coordinate = said.pop("class", ""), annotation["tool"], row.get("coordinate")
    newer: Json = {"id": annotation["id"], "classification": label}
    if "visibility" in said:
        newer["visibility"] = {"missing": 0, "occluded": 1, "visible": 2}.get(said["visibility"], said["visibility"])
        del said["visibility"]
    attrs = [{"name": name, "value": value} for name, value in said.items()]
    if tool == "bounding_box":
        newer["data"] = [coordinate[side] for side in ("x", "y", "width", "height")]
        attrs += [{"name": "rotation", "value": coordinate["rotation"]}] if "rotation" in coordinate else []
    elif tool in ("polygon", "polyline"):
        newer["data"] = [[point["x"], point["y"]] for point in coordinate]
    elif tool == "keypoint":
        newer["data"] = [coordinate["x"], coordinate["y"]]
    elif "pixel_indices" in row:
        runs = row["isCompressed"]
        newer |= {"data": row["pixel_indices"], "encoding": "dm_rle" if runs else "raw_indices", "isCompressed": runs}
    elif tool == "relation":
        newer["data"] = [row["annotationId"], row["targetAnnotationId"]]
    else:
        inner = {name: value for name, value in row.items() if name != "id"}
        newer["data"] = inner.get("section") or inner.get("psr") or inner
    return {**newer, "attrs": attrs}


def encoded(value: Any) -> bytes:
    """JSON as most servers send it; NaN and Infinity as Python's do."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def rows(
    number: int, *, seed: int = 0, target: str = "assignment", annotations: int | None = 10, broken: float = 0.0
) -> Iterator[bytes]:
    """The rows of a project of pictures, first id 1: boxes and polygons, and now and then a damaged payload."""
    random = Random(seed)
    for index in range(1, number + 1):
        if broken and random.random() < broken:
            yield encoded(row(damaged(random), target, index))
        else:
            tools = ("bounding_box", "bounding_box", "bounding_box", "polygon")
            sound = payload(random, annotations=annotations, media=("image_1",), tools=tools)
            yield encoded(row(sound, target, index))


def _randoms() -> st.SearchStrategy[Random]:
    return st.randoms(use_true_random=False)


payloads: st.SearchStrategy[Json] = _randoms().map(payload)
damaged_payloads: st.SearchStrategy[Json] = _randoms().map(damaged)
target_rows: st.SearchStrategy[tuple[str, Json]] = st.tuples(
    st.sampled_from(("assignment", "ground_truth", "task")), st.one_of(payloads, damaged_payloads), st.integers(1, 999)
).map(lambda each: (each[0], row(each[1], each[0], each[2])))

NAMES = (
    *("annotations", "annotationsData", "annotationGroups", "relations", "extra", "image_1", "images", "id", "tool"),
    *(
        "bounding_box",
        "type",
        "data",
        "coordinate",
        "coordinates",
        "x",
        "y",
        "width",
        "height",
        "classification",
        "class",
    ),
    *("annotation_data", "annotation_meta", "attrs", "name", "value", "points", "section", "start", "end", "mode"),
    *("presigned_url", "annotationIds", "annotationList", "annotationId", "children", "files", "file", "meta", "url"),
)
_leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from(NAMES),
    st.text(max_size=5),
)
any_json: st.SearchStrategy[Any] = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(NAMES), st.text(max_size=3)), inner, max_size=4),
    ),
    max_leaves=12,
)


def _spots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a document at which something else could stand."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in list(inner):
        yield value, key
        yield from _spots(each)


@st.composite
def nearly_payloads(draw: st.DrawFn) -> Json:
    """A payload of either shape in which something else, whatever it is, stands at one or two places."""
    whole: Json = copy.deepcopy(draw(payloads))
    if draw(st.booleans()):
        whole = as_v2(whole, with_meta=draw(st.booleans())) if not _has_frames(whole) else whole
        whole = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 2))):
        holder, key = draw(st.sampled_from(list(_spots(whole))))
        holder[key] = draw(any_json)
    return whole


def _has_frames(older: Json) -> bool:
    """Boxes by frame have no place in the newer shape."""
    return any("coordinates" in each for rows in older["annotationsData"].values() for each in rows)
