"""The plan: every decision of an upload, and no secret (DESIGN.md, section 4).

`plan.json` is written from these models, byte for byte the same for the same decisions; its hash is what a user
approves. The JSON Schema is checked in as `docs/plan.schema.json` and tested against this module.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from synapse_skills.errors import FindingError, UsageError

PLAN_VERSION: Literal[1] = 1
_TABLE = re.compile(r"[A-Za-z0-9_-]+\.jsonl")
METADATA_TABLE = "metadata.jsonl"
"""The frozen rows of a metadata table, beside the script: one JSON object a data unit."""
METADATA_ORDER = ("constants", "folders", "name", "table", "sidecars", "said")
"""Where metadata comes from; the later one wins."""
_TAKEN = ("left_out.jsonl", METADATA_TABLE)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourcePlan(_Model):
    """Where files come from: an absolute local folder or a URL, and whether its subfolders count."""

    path: str
    recursive: bool = True
    spec: str | None = Field(default=None, description="The one spec that all files of this source fill (multi-path).")
    storage: int | None = Field(default=None, ge=1, description="The backend's storage that the path is relative to.")
    credentials: Literal["storage", "variables", "node"] | None = Field(
        default=None,
        description="What opens a remote source on the cluster: a session of the backend's storage, SYNAPSE_… "
        "variables that travel with the job, or the role of the machines there. Never the login itself.",
    )

    @property
    def is_remote(self) -> bool:
        """Whether its files lie elsewhere than in a folder."""
        return self.storage is not None or "://" in self.path


class SpecPlan(_Model):
    """One file specification of the collection as fetched, extensions normalised to lower case with a dot."""

    name: str
    file_type: str = ""
    extensions: tuple[str, ...] = ()
    is_required: bool = False
    is_primary: bool = False
    takes: tuple[str, ...] = Field(default=(), description="The extensions whose files fill this spec in this upload.")
    pattern: str | None = Field(default=None, description="Glob on the path in the unit, if extensions can't tell.")


class GroupingPlan(_Model):
    """How files become data units. The fields that don't belong to `by` stay as they are by default."""

    by: Literal["folder", "stem", "file", "pattern", "table"] = "folder"
    depth: int = Field(default=1, ge=1, description="folder: so many folders below the source are the unit's key.")
    ignore: tuple[str, ...] = Field(default=(), description="stem: names of folders that say the kind of file.")
    endings: tuple[str, ...] = Field(default=(), description="stem: ends of names that say the kind of file.")
    regex: str | None = Field(default=None, description="pattern: finds the unit's key in the path in the source.")
    template: str = Field(default="{group_key}", description="pattern: the key, made of what the groups found.")
    table: str | None = Field(default=None, description="table: name of the placement table beside the script.")

    @model_validator(mode="after")
    def _belongs_together(self) -> GroupingPlan:
        own: dict[str, set[str]] = {
            "folder": {"depth"},
            "stem": {"ignore", "endings"},
            "file": set(),
            "pattern": {"regex", "template"},
            "table": {"table"},
        }
        for name, field in type(self).model_fields.items():
            if name != "by" and name not in own[self.by] and getattr(self, name) != field.default:
                raise ValueError(f"`{name}` does not belong to a grouping by {self.by}")
        if self.by == "pattern" and not self.regex:
            raise ValueError("a grouping by pattern needs a `regex`")
        if self.by == "table" and (not self.table or not _TABLE.fullmatch(self.table) or self.table in _TAKEN):
            raise ValueError("a grouping by table needs a `table`: the name of a .jsonl file beside the script")
        return self


class MetadataRule(_Model):
    """One source of metadata; later rules win over earlier ones, and their order is fixed (`METADATA_ORDER`)."""

    kind: Literal["constants", "folders", "name", "table", "sidecars", "said"] = "constants"
    values: dict[str, Any] = Field(
        default_factory=dict,
        description="constants, said: the same for all data units. table: field → cell → what it means; null: nothing.",
    )
    folders: dict[str, int] = Field(
        default_factory=dict, description="folders: field → folder of a data unit's key, 1 is the outermost, 0 the key."
    )
    regex: str | None = Field(default=None, description="name: named groups, found in a data unit's key, are fields.")
    pattern: str | None = Field(default=None, description="sidecars: glob on the path in the unit.")
    table: str | None = Field(default=None, description="table: the frozen rows beside the script.")
    sha256: str | None = Field(default=None, description="table: of the frozen rows.")
    file: str | None = Field(default=None, description="table: the file that they were read from.")
    sheet: str | None = Field(default=None, description="table: the sheet of a workbook.")
    key: str | None = Field(default=None, description="table: the column that names the data unit.")
    fields: dict[str, str] = Field(
        default_factory=dict, description="table, sidecars: their name → the field's name; '' drops it."
    )
    rows: int = Field(default=0, ge=0, description="table: how many data units have a row.")

    @model_validator(mode="after")
    def _belongs_together(self) -> MetadataRule:
        own: dict[str, set[str]] = {
            "constants": {"values"},
            "said": {"values"},
            "folders": {"folders"},
            "name": {"regex"},
            "sidecars": {"pattern", "fields"},
            "table": {"table", "sha256", "file", "sheet", "key", "fields", "rows", "values"},
        }
        for name, field in type(self).model_fields.items():
            default = field.default_factory() if field.default_factory else field.default  # type: ignore[call-arg]
            if name != "kind" and name not in own[self.kind] and getattr(self, name) != default:
                raise ValueError(f"`{name}` does not belong to metadata from {self.kind}")
        needed = {"name": "regex", "sidecars": "pattern", "table": "table"}.get(self.kind)
        if needed and not getattr(self, needed):
            raise ValueError(f"metadata from {self.kind} needs a `{needed}`")
        if self.kind == "table" and self.table != METADATA_TABLE:
            raise ValueError(f"the frozen rows are in {METADATA_TABLE}")
        return self


class Conversion(_Model):
    """Files with one extension become another before they are sent; the originals stay as they are."""

    spec: str
    source: str = Field(pattern=r"^\.[^/\\]+$", description="The extension that the specification does not take.")
    target: str = Field(pattern=r"^\.[^/\\]+$", description="The extension that it takes.")


class Limits(_Model):
    """What bounds the run; `workers` is the ceiling of the adaptive concurrency."""

    max_file_size_mb: float = Field(default=50, gt=0)
    batch_size: int = Field(default=100, ge=1, le=1000)
    workers: int = Field(default=64, ge=1, le=64)
    settle_after_s: float = Field(default=120, ge=0)


class Expected(_Model):
    """What was counted when the plan was made, and what the job must find again."""

    units: int = 0
    files: int = 0
    bytes: int = 0
    left_out: int = 0
    files_by_spec: dict[str, int] = Field(default_factory=dict)


class UploadPlan(_Model):
    """Everything that decides an upload."""

    version: Literal[1] = PLAN_VERSION
    kind: Literal["upload"] = "upload"
    name: str
    data_collection: int = Field(ge=1)
    storage: int | None = Field(default=None, description="The default storage at planning time: where files land.")
    project: int | None = Field(default=None, ge=1, description="A task is made in this project for every data unit.")
    sources: tuple[SourcePlan, ...] = Field(min_length=1)
    grouping: GroupingPlan = GroupingPlan()
    specs: tuple[SpecPlan, ...] = Field(min_length=1)
    meta_schema: dict[str, Any] | None = None
    metadata: tuple[MetadataRule, ...] = ()
    conversions: tuple[Conversion, ...] = ()
    limits: Limits = Limits()
    incomplete: Literal["stop", "leave_out"] = "stop"
    leave_out: tuple[str, ...] = Field(default=(), description="Finding codes whose units stay at home by consent.")
    groups: tuple[str, ...] = Field(default=(), description="Group hierarchy given to every data unit, leaf last.")
    engine: Literal["ray"] | None = Field(
        default=None,
        description="Who fetches, converts and sends the files: this machine, or all machines of the Ray cluster that "
        "the job runs on; all of them then see the sources. Data units are always made by one.",
    )
    state: str | None = None
    expected: Expected = Expected()

    @model_validator(mode="after")
    def _metadata_in_order(self) -> UploadPlan:
        order = [METADATA_ORDER.index(rule.kind) for rule in self.metadata]
        if order != sorted(set(order)):
            raise ValueError(f"metadata: each kind once, in the order {', '.join(METADATA_ORDER)}")
        pairs = [(each.spec, each.source) for each in self.conversions]
        if len(set(pairs)) != len(pairs):
            raise ValueError("conversions: one for each specification and extension")
        return self


def plan_bytes(plan: BaseModel) -> bytes:
    """The plan as it is written: UTF-8 JSON, two spaces, keys in the model's order, a newline at the end."""
    document = plan.model_dump(mode="json")
    return (json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n").encode()


def plan_hash(content: bytes) -> str:
    """What a user approves: the first 12 hex digits of the SHA-256 of plan.json's bytes."""
    return hashlib.sha256(content).hexdigest()[:12]


def read_plan(path: Path) -> UploadPlan:
    """Read and check the plan.json of an upload.

    Raises:
        UsageError: there is no such file.
        FindingError: it is not a plan; names the first fields that are wrong.
    """
    return read_plan_as(path, UploadPlan, "plan_upload")


def read_plan_as[M: BaseModel](path: Path, model: type[M], script: str) -> M:
    """Read and check a plan.json of one kind, which `script` makes; raises as `read_plan`."""
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise UsageError(
            f"No plan at {path}", hint=f"Make one with {script}, or name its folder.", code="no-plan"
        ) from None
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        first = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'plan'}: {item['msg']}" for item in error.errors()[:3]
        )
        raise FindingError(
            f"{path} is not a plan that this version understands: {first}",
            hint=f"Mend the field by hand, or make the plan again with {script}.",
            code="bad-plan",
        ) from None
