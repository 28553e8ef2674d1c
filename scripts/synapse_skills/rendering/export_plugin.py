"""plan.json → the folder of an export plugin, as `synapse plugin run` and `synapse plugin publish` take it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from synapse_skills.errors import FindingError, OutOfReach, UsageError, printable
from synapse_skills.export_plan import PLUGIN_STYLES, ExportPlan
from synapse_skills.plan import plan_bytes, plan_hash
from synapse_skills.rendering.export_script import statement_of
from synapse_skills.rendering.folder import claimed, is_edited, make_private, mark, sha256, write_files
from synapse_skills.rendering.job import Rendered, library_files
from synapse_skills.rendering.literal import literal
from synapse_skills.rendering.script import environment

KIND = "export_plugin"
PAGE = "plugin/export.py"
PACKAGES = ("synapse-sdk", "msgspec", "orjson")
EXPORTS = "exports"
_SCOPE_KEYS = {"assignment": "project", "task": "project", "ground_truth": "ground_truth_dataset_version"}
# A tool → the category of projects that has it, where it is not that of pictures.
_CATEGORIES = {
    "3d_bounding_box": "pcd",
    "3d_segmentation": "pcd",
    "named_entity": "text",
    "prompt": "prompt",
    "answer": "prompt",
    "time_range": "time_series",
}
_TOOLS = ("bounding_box", "polygon", "polyline", "keypoint", "segmentation", "relation", "classification")
_KNOWN = (*_TOOLS, "annotationGroup", *_CATEGORIES)
PARAMETERS = {
    "name": "folder of this run in `path`",
    "storage": "number of a storage of Synapse",
    "path": "folder in that storage",
    "target": "assignment, ground_truth or task",
    "filter": "the scope (`project`, or `ground_truth_dataset_version`), and filters of that target's list",
    "save_original_file": "whether the original files come along",
    "output_format": "one format, or `all` that were planned",
    "description": "a note",
    "extra_params": "what an edited page may want to know besides",
}


def render_plugin(plan: ExportPlan, folder: Path, *, style: str = "template", force: bool = False) -> Rendered:
    """Write the folder of a plugin.

    Args:
        plan: what it exports unless a run is told otherwise.
        folder: of its own: it ships whole.
        style: one of `PLUGIN_STYLES`.
        force: write over an edited page.

    Raises:
        UsageError: no such style, or the folder can't be a plugin's.
        FindingError: another plugin's folder, or an edited page.
        OutOfReach: the folder can't be written.
    """
    if style not in PLUGIN_STYLES:
        raise UsageError(
            f"There is no style {printable(style)!r}.", hint=f"One of {', '.join(PLUGIN_STYLES)}.", code="no-style"
        )
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - a link must stay one, to be refused
    marker = claimed(folder, KIND, plan.name)
    files = plugin_files(plan, style)
    ours = {sha256(files[PAGE])}
    if is_edited(folder) and sha256((folder / PAGE).read_bytes()) not in ours and not force:
        raise FindingError(
            f"{printable(str(folder / PAGE))} was edited since it was rendered: it is not written over.",
            hint="Keep it, render into another folder with --out, or render with --force.",
            code="script-edited",
        )
    try:
        make_private(folder)
        mark(folder, KIND, plan.name, ours | set(marker.get("script", [])))
        write_files(folder, files)
        mark(folder, KIND, plan.name, ours)
    except OSError as error:
        raise OutOfReach(
            f"The plugin's folder {printable(str(folder))} can't be written: {error.strerror or error}.",
            hint="Check its permissions and the free space on the disk.",
            code="job-not-writable",
        ) from None
    return Rendered(folder, folder / PAGE, plan_hash(files["plan.json"]), kept=False)


def plugin_files(plan: ExportPlan, style: str) -> dict[str, bytes]:
    """Everything in the folder, by relative path. The same plan gives the same bytes."""
    content, jinja = plan_bytes(plan), environment()
    said = statement_of(plan) | {
        "style": style,
        "hash": plan_hash(content),
        "code": code_of(plan.name),
        "path": path_of(plan),
        "filter": literal(filter_of(plan)),
        "output_formats": ", ".join(literal(name) for name in ("all", *(each.name for each in plan.formats))),
        "requirements": [(name, version(name)) for name in PACKAGES],
        "example": json.dumps({"storage": plan.storage or 1}),
        "parameters": [(name, _shown(plan, name), about) for name, about in PARAMETERS.items()],
    }
    rendered = {
        PAGE: f"export_plugin/{style}.py.j2",
        "README.md": "export_plugin/README.md.j2",
        "requirements.txt": "job/requirements.txt.j2",
        ".rayignore": "job/rayignore.j2",
    }
    files = {name: jinja.get_template(template).render(**said).encode() for name, template in rendered.items()}
    files |= {"plan.json": content, "config.yaml": config_of(plan), "plugin/__init__.py": b""}
    return files | library_files()


def config_of(plan: ExportPlan) -> bytes:
    """config.yaml, written as the SDK writes it: publishing rewrites the file, and finds nothing to change."""
    told = f"Exports {plan.target.replace('_', ' ')}s as {', '.join(each.name for each in plan.formats)}."
    tools = tools_of(plan)
    config = {
        "name": plan.name,
        "code": code_of(plan.name),
        "version": "0.1.0",
        "category": "export",
        "description": told,
        "readme": "README.md",
        "package_manager": "pip",
        **({"supported_annotation_tools": tools} if tools else {}),
        "requires": {"python": ">=3.12", "sdk": f">={version('synapse-sdk')}"},
        "actions": {"export": {"entrypoint": "plugin.export.ExportAction", "method": "job", "description": told}},
    }
    return yaml.dump(config, default_flow_style=False, allow_unicode=True, sort_keys=False).encode()


def code_of(name: str) -> str:
    """The code of a plugin: what Synapse knows it by. Names that are not Latin keep apart by a digest."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    if not plain or not name.isascii():
        plain = f"{plain or 'export'}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    return plain if plain.startswith("export") else f"export-{plain}"


def path_of(plan: ExportPlan) -> str:
    """The folder in the storage that runs of the plugin get theirs in; a run's own is `path/name`."""
    parts = plan.output.strip("/").split("/") if plan.storage is not None else []
    if parts and parts[-1] == plan.name:
        parts.pop()
    return "/".join(parts) or EXPORTS


def filter_of(plan: ExportPlan) -> dict[str, Any]:
    """The plan's scope and filters, as a run of the SDK is told them."""
    from synapse_skills.backend.filters import FILTERS

    number = plan.ground_truth_version if plan.target == "ground_truth" else plan.project
    filters = {FILTERS[name].keys[plan.target]: value for name, value in plan.filter.items()}
    return {_SCOPE_KEYS[plan.target]: number, **filters}


def tools_of(plan: ExportPlan) -> dict[str, list[str]]:
    """Tools that the sample showed and a run exports, by category of project, as config.yaml has them."""
    found: dict[str, list[str]] = {}
    for tool in sorted(plan.tools or plan.expected.tools):
        if tool in _KNOWN:
            found.setdefault(_CATEGORIES.get(tool, "image"), []).append(tool)
    return found


def _shown(plan: ExportPlan, name: str) -> str:
    shown: dict[str, Any] = {
        "name": plan.name,
        "storage": plan.storage if plan.storage is not None else "required",
        "path": path_of(plan),
        "target": plan.target,
        "filter": json.dumps(filter_of(plan), ensure_ascii=False),
        "save_original_file": json.dumps(plan.originals != "none"),
        "output_format": "all",
    }
    return str(shown.get(name, "none"))
