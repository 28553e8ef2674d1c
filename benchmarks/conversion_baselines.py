"""What `conversion.py` compares with: scripts that people write by hand, and the SDK's own converters around them.

Each takes rows of assignments as they came over the wire (bytes) and writes a dataset of boxes into an empty folder.
None of them checks a number, counts what it could not use, or reads back what it wrote.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

KEY = "image_1"


def _boxes(row: dict[str, Any]) -> Iterator[tuple[str, float, float, float, float]]:
    """Class, x, y, width and height of each box of a row."""
    data = row["data"]
    places = {each["id"]: each["coordinate"] for each in data["annotationsData"][KEY]}
    for each in data["annotations"][KEY]:
        if each["tool"] == "bounding_box":
            at = places[each["id"]]
            yield each["classification"]["class"], at["x"], at["y"], at["width"], at["height"]


def plain_coco(rows: Sequence[bytes], classes: Sequence[str], folder: Path) -> None:
    """One dictionary for everything, then `json.dump`."""
    numbers = {name: number for number, name in enumerate(classes, 1)}
    images: list[Any] = []
    annotations: list[Any] = []
    for content in rows:
        row = json.loads(content)
        size = row["data"]["extra"][KEY]
        image = {"id": row["id"], "file_name": row["file"]["file_name_original"], **size}
        images.append(image)
        for name, x, y, width, height in _boxes(row):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": row["id"],
                    "category_id": numbers[name],
                    "bbox": [x, y, width, height],
                    "area": width * height,
                    "segmentation": [],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": number, "name": name, "supercategory": ""} for name, number in numbers.items()]
    with (folder / "instances.json").open("w", encoding="utf-8") as stream:
        json.dump({"categories": categories, "images": images, "annotations": annotations}, stream, ensure_ascii=False)


def plain_voc(rows: Sequence[bytes], classes: Sequence[str], folder: Path) -> None:
    """One XML file a picture out of f-strings, which is four times as quick as ElementTree."""
    for content in rows:
        row = json.loads(content)
        name, size = row["file"]["file_name_original"], row["data"]["extra"][KEY]
        objects = "".join(
            f"<object><name>{escape(label)}</name><pose>Unspecified</pose><truncated>0</truncated>"
            f"<difficult>0</difficult><bndbox><xmin>{round(x) + 1}</xmin><ymin>{round(y) + 1}</ymin>"
            f"<xmax>{round(x + width)}</xmax><ymax>{round(y + height)}</ymax></bndbox></object>\n"
            for label, x, y, width, height in _boxes(row)
        )
        (folder / f"{Path(name).stem}.xml").write_text(
            f"<annotation><folder>JPEGImages</folder><filename>{escape(name)}</filename><size><width>{size['width']}"
            f"</width><height>{size['height']}</height><depth>3</depth></size>\n{objects}</annotation>\n",
            encoding="utf-8",
        )


def plain_yolo(rows: Sequence[bytes], classes: Sequence[str], folder: Path) -> None:
    """One text file a picture."""
    numbers = {name: number for number, name in enumerate(classes)}
    for content in rows:
        row = json.loads(content)
        size = row["data"]["extra"][KEY]
        wide, high = size["width"], size["height"]
        lines = [
            f"{numbers[name]} {(x + width / 2) / wide:.6f} {(y + height / 2) / high:.6f} "
            f"{width / wide:.6f} {height / high:.6f}\n"
            for name, x, y, width, height in _boxes(row)
        ]
        (folder / f"{Path(row['file']['file_name_original']).stem}.txt").write_text("".join(lines), encoding="utf-8")
    (folder / "classes.txt").write_text("\n".join(classes), encoding="utf-8")


def _v2(row: dict[str, Any], convert: Any) -> dict[str, Any]:
    result: dict[str, Any] = convert(row["data"])
    return result


def sdk_coco(rows: Sequence[bytes], classes: Sequence[str], folder: Path) -> None:
    """`FromDMToCOCOConverter` an item, merged by hand because it numbers each item by itself, then `json.dump`."""
    from synapse_sdk.utils.converters import FromDMToCOCOConverter
    from synapse_sdk.utils.converters.dm.from_v1 import DMV1ToV2Converter
    from synapse_sdk.utils.converters.dm.types import build_export_contract

    older, converter = DMV1ToV2Converter(), FromDMToCOCOConverter(build_export_contract("instance"))
    numbers = {name: number for number, name in enumerate(classes, 1)}
    images: list[Any] = []
    annotations: list[Any] = []
    for content in rows:
        row = json.loads(content)
        v2 = _v2(row, older.convert)
        found = converter.convert_item(
            v2["annotation_data"],
            annotation_meta=v2["annotation_meta"],
            item_id=str(row["id"]),
            file_name=f"images/{row['file']['file_name_original']}",
            **row["data"]["extra"][KEY],
        )
        assert not found.failures, found.failures
        dataset = found.datasets["instances"]
        own = {category.id: numbers[category.name] for category in dataset.categories}
        images += [image.model_dump() | {"id": row["id"]} for image in dataset.images]
        for each in dataset.annotations:
            annotation = each.model_dump(exclude_none=True)
            annotations.append(
                annotation
                | {"id": len(annotations) + 1, "image_id": row["id"], "category_id": own[annotation["category_id"]]}
            )
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    with (folder / "instances.json").open("w", encoding="utf-8") as stream:
        json.dump({"categories": categories, "images": images, "annotations": annotations}, stream, ensure_ascii=False)


def sdk_voc(rows: Sequence[bytes], classes: Sequence[str], folder: Path) -> None:
    """`FromDMToPascalConverter` an item."""
    from synapse_sdk.utils.converters import FromDMToPascalConverter
    from synapse_sdk.utils.converters.dm.from_v1 import DMV1ToV2Converter
    from synapse_sdk.utils.converters.dm.types import build_export_contract

    older, converter = DMV1ToV2Converter(), FromDMToPascalConverter(is_single_conversion=True)
    contract = build_export_contract("instance")
    numbers = {name: number for number, name in enumerate(classes, 1)}
    for content in rows:
        row = json.loads(content)
        size = row["data"]["extra"][KEY]
        found = converter.convert_single_file(
            v2_result=_v2(row, older.convert),
            export_contract=contract,
            original_file=None,
            dimensions=(size["width"], size["height"]),
            file_name=row["file"]["file_name_original"],
            class_to_index=numbers,
            item_id=str(row["id"]),
        )
        assert found is not None and not found["failures"]
        (folder / found["xml_filename"]).write_text(found["xml_content"], encoding="utf-8")


def sdk_yolo(rows: Sequence[bytes], classes: Sequence[str], folder: Path) -> None:
    """`FromDMToYOLOConverter` an item."""
    from synapse_sdk.utils.converters import FromDMToYOLOConverter
    from synapse_sdk.utils.converters.dm.from_v1 import DMV1ToV2Converter
    from synapse_sdk.utils.converters.dm.types import build_export_contract

    contract = build_export_contract("instance")
    older, converter = DMV1ToV2Converter(), FromDMToYOLOConverter(is_single_conversion=True, export_contract=contract)
    numbers = {name: number for number, name in enumerate(classes)}
    for content in rows:
        row = json.loads(content)
        size = row["data"]["extra"][KEY]
        image = _v2(row, older.convert)["annotation_data"]["images"][0]
        found = converter.convert_annotations(image, size["width"], size["height"], item_id=str(row["id"]))
        assert not found.failures, found.failures
        lines = converter.serialize_detect(found.detect, numbers)
        path = folder / f"{Path(row['file']['file_name_original']).stem}.txt"
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (folder / "data.yaml").write_text(converter.dataset_yaml("detect", classes), encoding="utf-8")
