"""Readers of exported files that know nothing of how they were written."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from PIL import Image

from planning.export_world import HEIGHT, WIDTH, Shape

Found = dict[str, list[Any]]


def near(value: float) -> Any:
    """A number, to a thousandth of a pixel."""
    return pytest.approx(value, abs=1e-3)


def of_json(path: Path) -> Any:
    """A JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def lines(path: Path) -> list[Any]:
    """A file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def names_in(folder: Path) -> list[str]:
    """Files below a folder, sorted."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def coco(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Annotations by file name as pycocotools loads them; `class` and `pixels` are added."""
    from pycocotools import mask as masks
    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(io.StringIO()):
        loaded = COCO(str(path))
    found: dict[str, list[dict[str, Any]]] = {}
    for image in loaded.loadImgs(loaded.getImgIds()):
        assert (image["width"], image["height"]) == (WIDTH, HEIGHT)
        rows = loaded.loadAnns(loaded.getAnnIds(imgIds=image["id"]))
        for row in rows:
            row["class"] = loaded.loadCats(row["category_id"])[0]["name"]
            if isinstance(row.get("segmentation"), dict):
                pixels = masks.decode(row["segmentation"]).ravel().nonzero()[0]
                row["pixels"] = {int(each) for each in pixels}
        found[image["file_name"]] = rows
    return found


def yolo(folder: Path) -> tuple[dict[str, Found], list[str]]:
    """Rows by part and stem, classes by name and numbers in pixels; and the classes."""
    about = yaml.safe_load((folder / "data.yaml").read_text(encoding="utf-8"))
    names = [about["names"][number] for number in sorted(about["names"])]
    assert (folder / "classes.txt").read_text(encoding="utf-8").splitlines() == names
    parts: dict[str, Found] = {}
    for part in (folder / "labels").iterdir():
        parts[part.name] = {}
        for path in part.glob("*.txt"):
            rows = []
            for line in path.read_text().splitlines():
                number, *values = line.split()
                rows.append((names[int(number)], [float(each) for each in values]))
            parts[part.name][path.stem] = rows
    return parts, names


def in_pixels(values: list[float]) -> list[tuple[float, float]]:
    """Pairs of shares of the picture."""
    return [(x * WIDTH, y * HEIGHT) for x, y in zip(values[::2], values[1::2], strict=True)]


def turned(shape: Shape) -> list[tuple[float, float]]:
    """The corners of a box that is turned around its centre, sorted."""
    x, y, width, height = shape.corners
    turn = shape.geometry["coordinate"].get("rotation", 0)
    across, down = math.cos(turn), math.sin(turn)
    middle = (x + width / 2, y + height / 2)
    halves = [(a * width / 2, b * height / 2) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    return sorted((middle[0] + a * across - b * down, middle[1] + a * down + b * across) for a, b in halves)


def voc(path: Path) -> tuple[str, list[tuple[str, list[int]]]]:
    """The file and its objects, of an XML file of Pascal VOC."""
    root = ElementTree.parse(path).getroot()
    assert [root.findtext(f"size/{each}") for each in ("width", "height", "depth")] == [str(WIDTH), str(HEIGHT), "3"]
    objects = []
    for each in root.findall("object"):
        corners = [int(each.findtext(f"bndbox/{side}") or "-1") for side in ("xmin", "ymin", "xmax", "ymax")]
        objects.append((each.findtext("name") or "", corners))
    return root.findtext("filename") or "", objects


def table(path: Path) -> list[dict[str, str]]:
    """A CSV with a byte order mark."""
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def colours(path: Path) -> dict[Any, set[int]]:
    """The pixels of a picture by their value, counted row by row; 0 and black are left out."""
    with Image.open(path) as image:
        assert image.size == (WIDTH, HEIGHT)
        values = list(image.get_flattened_data())
    found: dict[Any, set[int]] = defaultdict(set)
    for at, value in enumerate(values):
        if value not in (0, (0, 0, 0)):
            found[value].add(at)
    return dict(found)
