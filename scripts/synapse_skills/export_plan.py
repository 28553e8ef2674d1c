"""The plan of an export: every decision, and no secret (DESIGN.md, section 4).

Written and hashed as an upload's plan is (`plan.py`). The JSON Schema is checked in as `docs/export_plan.schema.json`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from synapse_skills.plan import PLAN_VERSION, read_plan_as

Target = Literal["assignment", "ground_truth", "task"]
PLUGIN_STYLES = {
    "template": "the SDK takes each record through hooks of a BaseExporter, in its standard pipeline",
    "simple": "one method takes the records and gives them back",
    "step": "steps that other exports can share, replace or add to",
    "handler": "a target handler of its own: where records come from, and what is handed on of them",
}
"""The styles of an export plugin's page."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FormatPlan(_Model):
    """A format, and how it is written: options by name, each one of the format's own (`formats/`)."""

    name: str
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)


class ClassesPlan(_Model):
    """The classes, the same in every format and every part.

    Attributes:
        order: names as they are written; their place is their id.
        map: class as it was labelled → name as it is written (rename, merge).
        drop: labelled classes that are left out by consent.
        keep: if not empty, the only written names that are kept: all other classes are left out by consent.
        unknown: what happens to a class that is in none of the three: an error, appended, or lost.
        unlabelled: what happens to an annotation without a class where a format needs one.
    """

    order: tuple[str, ...] = ()
    map: dict[str, str] = Field(default_factory=dict)
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    unknown: Literal["fail", "add", "drop"] = "fail"
    unlabelled: Literal["fail", "drop"] = "fail"

    @model_validator(mode="after")
    def _agree(self) -> ClassesPlan:
        if len(set(self.order)) != len(self.order):
            raise ValueError("classes.order: a name stands twice")
        if missing := sorted(set(self.map.values()) - set(self.order)):
            raise ValueError(f"classes.map: {missing[0]!r} is not in classes.order")
        if both := sorted(set(self.drop) & set(self.map)):
            raise ValueError(f"classes: {both[0]!r} is both mapped and dropped")
        return self


class SplitPlan(_Model):
    """Parts of the dataset: `ratios` of train, val, test; by what they are kept together; the seed of the hash; whether
    each class has its share in every part; whether the category of each record already says its part: then nothing is
    dealt, and `ratios` are what was found.
    """

    ratios: dict[Literal["train", "val", "test"], float]
    by: str = Field(default="record", pattern=r"^(record|data_unit|checksum|category|meta\..+)$")
    seed: int = 0
    stratify: Literal["none", "class"] = "none"
    own: bool = False

    @model_validator(mode="after")
    def _one_whole(self) -> SplitPlan:
        if self.own and (self.by != "category" or self.stratify != "none"):
            raise ValueError("split.own: the category says the part, so nothing else can")
        if not self.ratios or any(ratio <= 0 for ratio in self.ratios.values()):
            raise ValueError("split.ratios: each must be above 0")
        if abs(sum(self.ratios.values()) - 1) > 1e-6:
            raise ValueError("split.ratios: they must add up to 1")
        return self


class ExportLimits(_Model):
    """What bounds the run; `workers` is the ceiling of the adaptive concurrency."""

    page_size: int = Field(default=100, ge=1, le=1000)
    workers: int = Field(default=16, ge=1, le=64)
    processes: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Processes that understand and write records; by itself as many as this machine has cores, up to "
        "8, for a large export, and one on a cluster. What comes out is the same, byte for byte.",
    )


class ExportExpected(_Model):
    """What the sample and the counts showed when the plan was made."""

    records: int = 0
    in_scope: int = Field(default=0, description="Records of the scope without any filter.")
    sampled: int = 0
    tools: dict[str, int] = Field(default_factory=dict, description="Annotations of the sample by tool.")


class ExportPlan(_Model):
    """Everything that decides an export."""

    version: Literal[1] = PLAN_VERSION
    kind: Literal["export"] = "export"
    name: str
    target: Target
    project: int | None = Field(default=None, ge=1, description="The scope of assignments and tasks.")
    ground_truth_version: int | None = Field(default=None, ge=1, description="The scope of a ground truth.")
    filter: dict[str, Any] = Field(default_factory=dict, description="Friendly filters; see the filters reference.")
    formats: tuple[FormatPlan, ...] = Field(min_length=1)
    tools: tuple[str, ...] = Field(
        default=(), description="If not empty, only annotations of these tools are exported; all others are left out."
    )
    classes: ClassesPlan = ClassesPlan()
    geometry: Literal["clamp", "drop", "fail"] = Field(
        default="clamp", description="What becomes of geometry that runs out of its picture."
    )
    empty: Literal["keep", "drop"] = Field(default="keep", description="Records without annotations: as negatives.")
    duplicates: Literal["best", "newest", "all"] = Field(
        default="best", description="Several records of one data unit: confirmed, else reviewed, else newest."
    )
    losses: tuple[str, ...] = Field(default=(), description="FORMAT:REASON accepted: what that format may lose so.")
    replaces: tuple[str, ...] = Field(
        default=(), description="Formats of an earlier export in the output that may be removed."
    )
    split: SplitPlan | None = None
    originals: Literal["none", "optional", "required"] = "none"
    naming: Literal["original", "id"] = Field(
        default="original", description="Files are named after the original file, or by record id."
    )
    output: str = Field(description="A folder, a URL, or with `storage` a path in that storage.")
    storage: int | None = Field(default=None, ge=1)
    output_on_worker: Literal["refuse", "accept"] = Field(
        default="refuse", description="An output on a disk of the cluster's worker itself, which goes with it."
    )
    limits: ExportLimits = ExportLimits()
    engine: Literal["ray"] | None = Field(
        default=None,
        description="Who fetches and writes the records: this machine, or all machines of the Ray cluster that the "
        "job runs on; output and state are then in folders that all of them mount.",
    )
    state: str | None = None
    expected: ExportExpected = ExportExpected()

    @property
    def place(self) -> str:
        """Where the output goes, as one text: a folder or a URL."""
        return self.output if self.storage is None else f"storage://{self.storage}/{self.output.strip('/')}"

    @model_validator(mode="after")
    def _scoped(self) -> ExportPlan:
        if self.target == "ground_truth":
            if self.ground_truth_version is None or self.project is not None:
                raise ValueError("a ground_truth export needs a ground_truth_version, and no project")
        elif self.project is None or self.ground_truth_version is not None:
            raise ValueError(f"a {self.target} export needs a project, and no ground_truth_version")
        names = [each.name for each in self.formats]
        if len(set(names)) != len(names):
            raise ValueError("formats: each once")
        return self


def read_export_plan(path: Path) -> ExportPlan:
    """Read and check the plan.json of an export.

    Raises:
        UsageError: there is no such file.
        FindingError: it is not a plan; names the first fields that are wrong.
    """
    return read_plan_as(path, ExportPlan, "plan_export")
