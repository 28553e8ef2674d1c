"""The job folder: rendered, refused when it is somebody else's, and never over an edited script by accident.

A marker in the folder says whose job it is and what the script looked like when it was rendered. It is written first,
so that a kill half way leaves a folder that the next rendering knows as its own.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from synapse_skills.errors import EXIT_CODES, EXIT_QUESTIONS, FindingError, OutOfReach, printable
from synapse_skills.export_plan import ExportPlan, read_export_plan
from synapse_skills.job.upload import job_flags
from synapse_skills.plan import METADATA_TABLE, UploadPlan, plan_bytes, plan_hash, read_plan
from synapse_skills.rendering.export_script import render_export, scope_of
from synapse_skills.rendering.folder import (
    LIBRARY,
    MARKER,
    SCRIPTS,
    claimed,
    is_edited,
    make_private,
    mark,
    sha256,
    write_files,
)
from synapse_skills.rendering.script import environment, render_script
from synapse_skills.texts import parse_json
from synapse_skills.units import check_frozen, table_rule

# From `job` down; planning, cluster and rendering stay at home.
ROOMS = ("job", "formats", "media", "units", "metadata", "annotations", "sources", "backend")
MODULES = (
    "__init__.py",
    "plan.py",
    "export_plan.py",
    "report.py",
    "errors.py",
    "arguments.py",
    "texts.py",
    "on_disk.py",
    "py.typed",
)


@dataclass(frozen=True)
class Rendered:
    """A rendered job. `hash` is the plan's; `kept` says that an edited script was left as it is."""

    folder: Path
    script: Path
    hash: str
    kept: bool


def render_job(
    plan: UploadPlan | ExportPlan,
    folder: Path,
    *,
    left_out: bytes = b"",
    placement: Path | None = None,
    metadata: Path | None = None,
    force: bool = False,
    keep_edited: bool = False,
) -> Rendered:
    """Write a plan's job folder.

    Args:
        plan: what to render.
        folder: the job folder itself, of its own: it ships whole.
        left_out: the content of left_out.jsonl.
        placement: the placement table of a plan grouped by table; the one that is in the folder already if None.
        metadata: the frozen rows of a plan with a metadata table, in the same way.
        force: write over an edited script.
        keep_edited: leave an edited script as it is instead of refusing.

    Raises:
        UsageError: the folder can't be a job's: a shared one, or one that holds something else.
        FindingError: another job's folder, an edited script, a table that is not there, or frozen rows that are not
            the plan's.
        OutOfReach: the folder can't be written.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - a link must stay one, to be refused
    marker = claimed(folder, plan.kind, plan.name)
    name = SCRIPTS[plan.kind]
    script = render_script(plan) if plan.kind == "upload" else render_export(plan)
    ours = {sha256(script)}
    edited = is_edited(folder) and sha256((folder / name).read_bytes()) not in ours
    if edited and not force and not keep_edited:
        raise FindingError(
            f"{printable(str(folder / name))} was edited since it was rendered: it is not written over.",
            hint="Keep the edit and accept what it counts with --set expected=dry-run, or render with --force.",
            code="script-edited",
        )
    kept = edited and not force
    if plan.kind == "upload":
        tables = _tables(plan, folder, placement, metadata)
        files = _files(plan, left_out)
    else:
        tables, files = {}, _export_files(plan)
    if not kept:
        files[name] = script
    try:
        make_private(folder)
        mark(folder, plan.kind, plan.name, ours | set(marker.get("script", [])))
        write_files(folder, files)
        _write_tables(folder, tables)
        mark(folder, plan.kind, plan.name, set(marker.get("script", [])) if kept else ours)
    except OSError as error:
        raise OutOfReach(
            f"The job folder {printable(str(folder))} can't be written: {error.strerror or error}.",
            hint="Check its permissions and the free space on the disk.",
            code="job-not-writable",
        ) from None
    return Rendered(folder, folder / name, plan_hash(files["plan.json"]), kept)


def render_file(path: Path, *, out: Path | None = None, force: bool = False) -> Rendered:
    """Render a plan.json, or that of a job's home or job folder, as it stands on disk.

    Args:
        path: plan.json or the folder that holds it.
        out: the job folder; `job` beside plan.json unless said, or the folder itself if it is a job folder.
        force: write over an edited script.

    Raises:
        UsageError: no plan there, or the folder can't be a job's.
        FindingError: not a plan, another job's folder, or an edited script.
    """
    plan_path = path / "plan.json" if path.is_dir() else path
    beside = plan_path.parent
    folder = out or (beside if (beside / MARKER).is_file() else beside / "job")
    if _is_export(plan_path):
        return render_job(read_export_plan(plan_path), folder, force=force)
    plan = read_plan(plan_path)
    left_out = beside / "left_out.jsonl"
    return render_job(
        plan,
        folder,
        left_out=left_out.read_bytes() if left_out.is_file() else b"",
        placement=beside / plan.grouping.table if plan.grouping.table else None,
        metadata=beside / METADATA_TABLE,
        force=force,
    )


def _is_export(plan: Path) -> bool:
    try:
        document = parse_json(plan.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("kind") == "export"


def _files(plan: UploadPlan, left_out: bytes) -> dict[str, bytes]:
    """Everything in the folder but the script, by relative path."""
    requirements = ["synapse-sdk"] + ["jsonschema-rs"] * (plan.meta_schema is not None)
    files = _common(plan, requirements, "job/README.md.j2", flags=job_flags())
    return files | {"left_out.jsonl": left_out} | library_files()


def _export_files(plan: ExportPlan) -> dict[str, bytes]:
    # Imported here: it needs msgspec, which a job that uploads does without.
    from synapse_skills.job.export import export_flags

    word, scope = scope_of(plan)
    requirements = ["synapse-sdk", "msgspec", "orjson"]
    files = _common(plan, requirements, "export/README.md.j2", flags=export_flags(), scope_word=word, scope=scope)
    return files | library_files()


def _common(plan: UploadPlan | ExportPlan, packages: list[str], readme: str, **said: object) -> dict[str, bytes]:
    """The plan, and what says how to run it."""
    content = plan_bytes(plan)
    jinja = environment()
    pins = [(name, version(name)) for name in packages]
    codes = [(code, meaning) for code, meaning in EXIT_CODES.items() if code != EXIT_QUESTIONS]
    about = jinja.get_template(readme).render(plan=plan, hash=plan_hash(content), exit_codes=codes, **said)
    return {
        "plan.json": content,
        "requirements.txt": jinja.get_template("job/requirements.txt.j2").render(requirements=pins).encode(),
        ".rayignore": jinja.get_template("job/rayignore.j2").render().encode(),
        "README.md": about.encode(),
    }


def library_files() -> dict[str, bytes]:
    """What travels of this library, by its path in the folder that ships."""
    files: dict[str, bytes] = {}
    root = Path(__file__).resolve().parents[1]
    for name in MODULES:
        if (root / name).is_file():
            files[f"{LIBRARY}/{name}"] = (root / name).read_bytes()
    for room in ROOMS:
        for path in sorted((root / room).rglob("*")):
            inside = path.relative_to(root)
            if path.is_file() and "__pycache__" not in inside.parts and path.suffix != ".pyc":
                files[f"{LIBRARY}/{inside.as_posix()}"] = path.read_bytes()
    return files


def _tables(plan: UploadPlan, folder: Path, placement: Path | None, metadata: Path | None) -> dict[str, Path]:
    """Name in the job folder → the table to copy there, for every one that the plan needs."""
    tables: dict[str, Path] = {}
    if plan.grouping.table is not None:
        tables[plan.grouping.table] = placement or folder / plan.grouping.table
    rule = table_rule(plan.metadata)
    if rule is not None:
        tables[METADATA_TABLE] = metadata or folder / METADATA_TABLE
    for name, path in tables.items():
        if not path.is_file():
            is_metadata = name == METADATA_TABLE
            raise FindingError(
                f"There is no {'metadata' if is_metadata else 'placement'} table at {printable(str(path))}, "
                "and the plan needs one.",
                hint="Make the plan again with plan_upload: it writes the table beside plan.json.",
                code="no-metadata-table" if is_metadata else "no-placement",
            )
    if rule is not None:
        check_frozen(rule, tables[METADATA_TABLE])
    return tables


def _write_tables(folder: Path, tables: dict[str, Path]) -> None:
    """Copy the tables in pieces, as they may be large, and take away those that an earlier plan had."""
    for path in folder.glob("*.jsonl"):
        if path.name not in tables and path.name != "left_out.jsonl":
            path.unlink()
    for name, table in tables.items():
        _copy(table, folder / name)


def _copy(table: Path, target: Path) -> None:
    if target.is_symlink() or not target.is_file():
        target.unlink(missing_ok=True)
    elif target.samefile(table) or filecmp.cmp(target, table, shallow=False):
        return
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as copy, table.open("rb") as original:
            shutil.copyfileobj(original, copy)
            copy.flush()
            os.fsync(copy.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
