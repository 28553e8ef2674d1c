"""Plans to render."""

from __future__ import annotations

import hashlib
from typing import Any

from synapse_skills.plan import Expected, GroupingPlan, MetadataRule, SourcePlan, SpecPlan, UploadPlan

IMAGE = SpecPlan(
    name="image_1", file_type="image", extensions=(".png", ".jpg"), is_required=True, is_primary=True,
    takes=(".png", ".jpg"),
)  # fmt: skip
LABEL = SpecPlan(name="label_1", file_type="data", extensions=(".json",), is_required=True, takes=(".json",))
MASK = SpecPlan(name="mask_1", file_type="image", extensions=(".png",), pattern="mask/*.png")


def plan(**changes: Any) -> UploadPlan:
    """A small plan with some fields replaced."""
    fields: dict[str, Any] = {
        "name": "scans",
        "data_collection": 57,
        "storage": 11,
        "sources": (SourcePlan(path="/data/scans"),),
        "specs": (IMAGE, LABEL),
        "expected": Expected(units=2, files=4, bytes=40, files_by_spec={"image_1": 2, "label_1": 2}),
    }
    return UploadPlan(**(fields | changes))


NO_ROWS = hashlib.sha256(b"").hexdigest()
MANY = tuple(
    SpecPlan(name=f"modality_{number}", extensions=(f".ext{number}",), takes=(f".ext{number}",)) for number in range(8)
)

CASES: dict[str, UploadPlan] = {
    "plain": plan(),
    "pattern": plan(specs=(IMAGE, MASK, LABEL)),
    "patterns_only": plan(
        specs=(
            IMAGE.model_copy(update={"takes": (), "pattern": "img/*.png"}),
            MASK,
        ),
        grouping=GroupingPlan(depth=2),
    ),
    "metadata": plan(
        name="환자 2026",
        metadata=(MetadataRule(values={"site": "서울", "year": 2026, "ok": True, "none": None, "list": [1.5, "x"]}),),
        meta_schema={"type": "object"},
    ),
    "several_sources": plan(
        sources=(SourcePlan(path="/data/a"), SourcePlan(path="/data/b", recursive=False, spec="label_1"))
    ),
    "many_specs": plan(specs=MANY),
    "stem": plan(grouping=GroupingPlan(by="stem")),
    "each_file": plan(grouping=GroupingPlan(by="file"), specs=(IMAGE,)),
    "type_folders": plan(
        grouping=GroupingPlan(by="stem", ignore=("images", "masks", "labels"), endings=("_mask",)),
        specs=(IMAGE, MASK.model_copy(update={"pattern": "*_mask.png"}), LABEL),
    ),
    "compound": plan(
        grouping=GroupingPlan(by="stem"),
        specs=(SpecPlan(name="mask_1", extensions=(".seg.nrrd",), takes=(".seg.nrrd",)), LABEL),
    ),
    "one_spec_a_source": plan(
        grouping=GroupingPlan(by="stem"),
        sources=(
            SourcePlan(path="/mnt/nas/images", spec="image_1"),
            SourcePlan(path="/mnt/labels", spec="label_1"),
            SourcePlan(path="/tmp/converted/masks", recursive=False, spec="mask_1"),
        ),
        specs=(IMAGE, MASK.model_copy(update={"pattern": None}), LABEL),
    ),
    "several_places": plan(
        grouping=GroupingPlan(by="stem"),
        sources=(
            SourcePlan(path="s3://bucket/images", spec="image_1", credentials="variables"),
            SourcePlan(path="/mnt/nas/masks", spec="mask_1"),
            SourcePlan(path="labels/2026", recursive=False, spec="label_1", storage=11, credentials="storage"),
        ),
        specs=(IMAGE, MASK.model_copy(update={"pattern": None}), LABEL),
        state="s3://bucket/state/ct-scans",
    ),
    "batch_pattern": plan(
        grouping=GroupingPlan(by="pattern", regex="(.+?)/(?:img|json)/"),
        specs=(
            IMAGE.model_copy(update={"takes": (), "pattern": "/**/img/*.png"}),
            LABEL.model_copy(update={"takes": (), "pattern": "/**/json/*.json"}),
        ),
    ),
    "batch_template": plan(
        grouping=GroupingPlan(by="pattern", regex=r"(?P<site>[^/]+)/(?P<id>\d+)_", template="{site}-{id}"),
    ),
    "all_metadata": plan(
        metadata=(
            MetadataRule(values={"site": "서울", "year": 2026}),
            MetadataRule(kind="folders", folders={"site": 1, "patient": -1}),
            MetadataRule(kind="name", regex=r"(?P<patient>\d+)_(?P<view>AP|PA)"),
            MetadataRule(
                kind="table",
                table="metadata.jsonl",
                sha256=NO_ROWS,
                file="meta.xlsx",
                sheet="환자",
                key="ID",
                fields={"나이": "age"},
            ),
            MetadataRule(kind="sidecars", pattern="*.meta.json", fields={"Age": "age"}),
            MetadataRule(kind="said", values={"checked": True}),
        ),
        meta_schema={"type": "object"},
    ),
    "metadata_folders": plan(
        grouping=GroupingPlan(depth=2), metadata=(MetadataRule(kind="folders", folders={"site": 1}),)
    ),
    "metadata_name": plan(metadata=(MetadataRule(kind="name", regex=r"(?P<patient>\d+)"),)),
    "metadata_table": plan(
        metadata=(MetadataRule(kind="table", table="metadata.jsonl", sha256=NO_ROWS, file="a.csv", key="id"),)
    ),
    "metadata_sidecars": plan(
        specs=(IMAGE, MASK, LABEL), metadata=(MetadataRule(kind="sidecars", pattern="*_info.yaml"),)
    ),
    "metadata_said": plan(metadata=(MetadataRule(kind="said", values={"checked": True}),)),
    "table": plan(grouping=GroupingPlan(by="table", table="placement.jsonl")),
}
