"""The second half: what was uploaded is labelled from its real labels, exported, and held against them."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demonstration.parts import EXAMPLES, PHOTOS, Stage, differs, same


@dataclass(frozen=True)
class Exported:
    """What came of it. `output` is the dataset, `page` shows it."""

    home: Path
    output: Path
    page: Path
    report: dict[str, Any]


def export(stage: Stage) -> Exported:
    """Label, plan, export, read back, and make the page."""
    say = stage.say
    count = _label(stage)
    say(f"7. Labelled on the local backend from the labels beside the photos: {count} assignments.")
    output = stage.folder / "dataset"
    plan = stage.script(
        "plan_export.py", "--output", str(output), "--answers", str(EXAMPLES / "export_answers.json"), "--json"
    )
    home = (stage.folder / plan["plan"]).parent
    say("8. Planned, with the answers of examples/export_answers.json:\n")
    say("\n".join(f"     {line}" for line in plan["summary"].splitlines()) + "\n")
    report = stage.job(home)
    lines = []
    for name, counts in report["annotations"]["formats"].items():
        lost = ", ".join(f"{number} {reason}" for reason, number in counts["lost"].items()) or "none"
        lines.append(f"{name}: {counts['written']} written, lost: {lost}")
    say(
        f"9. Exported: {report['records']['exported']} records, {report['annotations']['read']} annotations, "
        f"{report['files']['originals']} originals. {'; '.join(lines)}."
    )
    stage.script("verify_export.py", str(output))
    boxes, polygons = compare(output)
    say(
        f"10. Read back by other code and compared with the labels: {boxes} boxes and {polygons} polygons in COCO, "
        f"{boxes} boxes in YOLO, every photo byte by byte."
    )
    page = stage.folder / "dataset.html"
    stage.script("preview.py", str(home), "--out", str(page))
    say("11. A page shows classes, parts and losses, with the labels drawn on the photos.")
    return Exported(home, output, page, report)


# ---- labelling


def _label(stage: Stage) -> int:
    """As a labeler would have: one assignment for each data unit, from the label file beside its photo."""
    units = {unit["meta"]["name"]: unit["id"] for unit in stage.rows("/data_units/?data_collection=1&page_size=100")}
    rows = [
        {"data_unit": units[key], "project": 1, "data": payload(label), "status_label": "done"}
        for key, _, label in labels()
    ]
    return int(stage.post("/_sandbox/label", {"records": rows})["count"])


def labels(folder: Path = PHOTOS) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """Key, photo and label of each data unit, in order."""
    for path in sorted(folder.glob("*/*.json")):
        photo = next(each for each in path.parent.iterdir() if each.suffix in (".jpg", ".png"))
        yield unicodedata.normalize("NFC", path.parent.name), photo, json.loads(path.read_bytes())


def payload(label: dict[str, Any]) -> dict[str, Any]:
    """A label as the platform keeps it: what each annotation is, and beside it where, joined by id."""
    what: list[dict[str, Any]] = []
    where: list[dict[str, Any]] = []

    def add(tool: str, name: str, coordinate: Any) -> None:
        identity = f"{len(what):04d}"
        what.append({"id": identity, "tool": tool, "classification": {"class": name}})
        where.append({"id": identity, "coordinate": coordinate})

    for found in label["objects"]:
        x, y, width, height = found["box"]
        add("bounding_box", found["class"], {"x": x, "y": y, "width": width, "height": height})
        for ring in found.get("polygons", ()):
            points = zip(ring[::2], ring[1::2], strict=True)
            add("polygon", found["class"], [{"x": x, "y": y, "id": f"p{n}"} for n, (x, y) in enumerate(points)])
    size = {key: label["image"][key] for key in ("width", "height")}
    return {
        "extra": {"image_1": size},
        "annotations": {"image_1": what},
        "annotationsData": {"image_1": where},
        "relations": {"image_1": []},
        "annotationGroups": {"image_1": []},
    }


# ---- comparing, with nothing of the library's


def compare(output: Path) -> tuple[int, int]:
    """Hold the files against the labels; returns how many boxes and polygons that is."""
    boxes: Counter[tuple[str, tuple[float, ...]]] = Counter()
    rings: Counter[tuple[str, tuple[float, ...]]] = Counter()
    photos: Counter[str] = Counter()
    sizes: dict[str, tuple[int, int]] = {}
    for _, photo, label in labels():
        photos[_sha1(photo)] += 1
        sizes[_sha1(photo)] = (label["image"]["width"], label["image"]["height"])
        for found in label["objects"]:
            boxes[found["class"], tuple(found["box"])] += 1
            for ring in found.get("polygons", ()):
                rings[found["class"], tuple(ring)] += 1
    _compare_coco(output / "coco", boxes, rings, photos)
    _compare_yolo(output / "yolo", boxes, photos, sizes)
    return boxes.total(), rings.total()


def _compare_coco(folder: Path, boxes: Counter[Any], rings: Counter[Any], photos: Counter[str]) -> None:
    there: Counter[Any] = Counter()
    outlines: Counter[Any] = Counter()
    for path in sorted((folder / "annotations").glob("instances_*.json")):
        document = json.loads(path.read_bytes())
        names = {category["id"]: category["name"] for category in document["categories"]}
        for row in document["annotations"]:
            if row["segmentation"]:
                outlines.update((names[row["category_id"]], tuple(ring)) for ring in row["segmentation"])
            else:
                there[names[row["category_id"]], tuple(row["bbox"])] += 1
    same("the boxes in COCO", sorted(boxes.items()), sorted(there.items()))
    same("the polygons in COCO", sorted(rings.items()), sorted(outlines.items()))
    same("the photos beside COCO", photos, Counter(map(_sha1, _files(folder / "images"))))


def _compare_yolo(folder: Path, boxes: Counter[Any], photos: Counter[str], sizes: dict[str, tuple[int, int]]) -> None:
    """Every row within a thousandth of a pixel of a box of its own."""
    names = (folder / "classes.txt").read_text(encoding="utf-8").splitlines()
    left = Counter(boxes)
    images = _files(folder / "images")
    same("the photos beside YOLO", photos, Counter(map(_sha1, images)))
    for image in images:
        width, height = sizes[_sha1(image)]
        text = folder / "labels" / image.relative_to(folder / "images").with_suffix(".txt")
        for line in text.read_text(encoding="utf-8").splitlines():
            place, *numbers = line.split()
            x, y, w, h = (float(number) * side for number, side in zip(numbers, (width, height) * 2, strict=True))
            wanted = (names[int(place)], (x - w / 2, y - h / 2, w, h))
            near = next((box for box in left if _near(box, wanted)), None)
            if near is None:
                raise differs(f"YOLO has a box that no label has: {wanted} in {text.name}")
            left[near] -= 1
            left += Counter()
    same("the boxes that are not in YOLO", [], sorted(left))


def _near(box: tuple[str, tuple[float, ...]], other: tuple[str, tuple[float, ...]]) -> bool:
    return box[0] == other[0] and all(abs(a - b) < 0.001 for a, b in zip(box[1], other[1], strict=True))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _sha1(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()  # noqa: S324 - not for security, to tell bytes apart
