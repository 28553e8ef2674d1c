"""An export that has run, made by hand: a job, its state, and its output, as the engine leaves them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from PIL import Image

from synapse_skills.export_plan import ClassesPlan, ExportExpected, ExportPlan, FormatPlan, SplitPlan
from synapse_skills.job.export.spool import Kept, Spool
from synapse_skills.plan import plan_bytes
from synapse_skills.report import ExportReport, Problem

Annotated = tuple[str, str | None, dict[str, Any]]
"""Tool, class, and what stands in `annotationsData`."""


def export_plan(**changes: Any) -> ExportPlan:
    """A small plan with some fields replaced."""
    fields: dict[str, Any] = {
        "name": "도로", "target": "assignment", "project": 3,
        "formats": (FormatPlan(name="coco"), FormatPlan(name="yolo")),
        "classes": ClassesPlan(order=("car", "사람")), "output": "/data/out", "losses": ("yolo:not-held",),
        "split": SplitPlan(ratios={"train": 0.5, "val": 0.5}), "originals": "optional",
        "expected": ExportExpected(records=3, in_scope=3, sampled=3, tools={"polygon": 2, "bounding_box": 3}),
    }  # fmt: skip
    return ExportPlan(**fields | changes)


def payload(
    *annotated: Annotated, size: tuple[int, int] | None = (64, 48), media: str = "image_1", groups: Any = ()
) -> dict[str, Any]:
    """Annotations of one medium."""
    return {
        "extra": {media: {"width": size[0], "height": size[1]} if size else {}},
        "annotations": {
            media: [
                {"id": f"a{n}", "tool": tool, "classification": {"class": name} if name is not None else {}}
                for n, (tool, name, _) in enumerate(annotated)
            ]
        },
        "annotationsData": {media: [{"id": f"a{n}", **data} for n, (_, _, data) in enumerate(annotated)]},
        "annotationGroups": {media: list(groups)},
    }


def box(x: float = 4, y: float = 5, width: float = 20, height: float = 10, **more: Any) -> dict[str, Any]:
    """The place of a box."""
    return {"coordinate": {"x": x, "y": y, "width": width, "height": height, **more}}


def line(*points: tuple[float, float]) -> dict[str, Any]:
    """The place of a polygon or polyline."""
    return {"coordinate": [{"x": x, "y": y} for x, y in points]}


def picture(width: int = 64, height: int = 48) -> bytes:
    """A JPEG."""
    written = io.BytesIO()
    Image.new("RGB", (width, height), (90, 140, 90)).save(written, "JPEG")
    return written.getvalue()


class HandMade:
    """An export made by hand: fill it, then `finish`."""

    def __init__(self, folder: Path, **plan: Any) -> None:
        self.home, self.output = folder / "home", folder / "output"
        self.state, self.job = self.home / "state", self.home / "job"
        self.plan = export_plan(output=str(self.output), **plan)
        for each in (self.job, self.state, self.output / "metadata"):
            each.mkdir(parents=True)
        (self.job / "plan.json").write_bytes(plan_bytes(self.plan))
        (self.job / "export.py").write_text("# a script\n")
        self.kept: list[Kept] = []
        self.listed: list[dict[str, Any]] = []
        self.files: list[str] = []

    def record(
        self, key: int, data: Any, *, name: str = "", split: str = "train", media: str = "image_1", **row: Any
    ) -> None:
        """A record that is in the export."""
        name = name or f"사진 {key}.jpg"
        file = {"file_name_original": name, "is_primary": True, "url": "https://files.example/a?X-Amz-Signature=5ec2e7"}
        whole = {"id": key, "data_unit": {"id": key, "files": {media: file}, "meta": {}}, "data": data} | row
        self.kept.append(Kept(key, json.dumps(whole, ensure_ascii=False).encode(), key))
        about = {"record": key, "id": key, "data_unit": key, "media": media, "name": name, "split": split, "group": ""}
        self.listed.append(about)

    def original(self, path: str, content: bytes | None = None) -> None:
        """A file of the output, named in the manifest."""
        target = self.output / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(picture() if content is None else content)
        self.files.append(path)

    def finish(self, report: dict[str, Any] | None = None, **summary: Any) -> None:
        """Write what an export writes at its end."""
        spool = Spool(self.state / "spool")
        spool.append({"t": "range", "low": 1, "high": 1000}, self.kept)
        spool.close()
        lines = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in self.listed)
        (self.output / "metadata/records.jsonl").write_text(lines, encoding="utf-8")
        count = len(self.listed)
        said: dict[str, Any] = {
            "records": {"read": count, "exported": count}, "items": {"train": count}, "classes": ["car", "사람"],
            "annotations": {
                "read": 5, "formats": {"coco": {"written": 5}, "yolo": {"written": 3, "lost": {"not-held": 2}}},
            },
            "contents": {
                "by_class": {"car": {"train": 2, "val": 1}, "사람": {"train": 1}, "gone": {"val": 1}},
                "by_tool": {"polygon": 2, "bounding_box": 3}, "by_size": {"64x48": 2, "": 1},
            },
            "originals": {"placed": 1, "missing": 0},
        }  # fmt: skip
        (self.output / "metadata/export_summary.json").write_text(json.dumps(said | summary), encoding="utf-8")
        entries = ",\n".join(json.dumps({"path": path, "bytes": 1, "sha256": ""}) for path in self.files)
        (self.output / "manifest.json").write_text(f'{{"version": 1, "counts": {{}}, "files": [\n{entries}\n]}}\n')
        (self.output / "COMPLETE").write_text("0\n")
        self.report(**(report or {}))

    def report(self, **changes: Any) -> None:
        """The report of the last run."""
        example = "yolo, not-held: record 7, a1"
        fields: dict[str, Any] = {
            "name": self.plan.name, "started": "2026-01-02T03:04:05+00:00", "seconds": 1.5, "exit_code": 0,
            "problems": [Problem(code="lost-annotations", severity="info", count=2, examples=[example])],
        }  # fmt: skip
        made = ExportReport(**fields | changes)
        name = "report.json" if made.mode == "dry-run" else "last_export.json"
        (self.state / name).write_text(made.model_dump_json(), encoding="utf-8")
