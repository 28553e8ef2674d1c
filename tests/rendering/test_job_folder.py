"""The job folder: what is in it, whose it is, and what is never written over."""

from __future__ import annotations

import ast
import hashlib
import os
import stat
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from rendering.plans import CASES, plan
from synapse_skills.errors import FindingError, OutOfReach, UsageError
from synapse_skills.plan import GroupingPlan, MetadataRule, UploadPlan, plan_bytes
from synapse_skills.rendering import is_edited, render_file, render_job

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_folder_holds_what_travels_and_nothing_else(tmp_path: Path) -> None:
    done = render_job(plan(), tmp_path / "job", left_out=b'{"unit": "a"}\n')
    files = content(done.folder)
    top = {name for name in files if "/" not in name}
    assert top == {
        "upload.py",
        "plan.json",
        "left_out.jsonl",
        "requirements.txt",
        ".rayignore",
        "README.md",
        ".synapse-job",
    }
    assert files["plan.json"] == plan_bytes(plan()) and files["left_out.jsonl"] == b'{"unit": "a"}\n'
    assert stat.S_IMODE(done.folder.stat().st_mode) == 0o700
    rooms = {Path(name).parts[1] for name in files if name.startswith("synapse_skills/")}
    assert {
        "__init__.py",
        "plan.py",
        "report.py",
        "arguments.py",
        "errors.py",
        "job",
        "units",
        "sources",
        "backend",
        "metadata",
    } <= rooms
    assert not rooms & {"planning", "rendering", "cluster", "environment.py", "__pycache__"}
    assert not [name for name in files if name.endswith(".pyc")]


def test_what_travels_imports_nothing_that_stays(tmp_path: Path) -> None:
    done = render_job(plan(), tmp_path / "job")
    modules = {
        name[:-3].replace("/", ".").removesuffix(".__init__") for name in content(done.folder) if name.endswith(".py")
    }
    for path in (done.folder / "synapse_skills").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("synapse_skills"):
                assert node.module in modules, f"{path} imports {node.module}"


def test_requirements_are_pinned_and_no_more_than_needed(tmp_path: Path) -> None:
    def lines(rendered: UploadPlan, name: str) -> list[str]:
        text = (render_job(rendered, tmp_path / name).folder / "requirements.txt").read_text()
        return [line for line in text.splitlines() if line and not line.startswith("#")]

    sdk = f"synapse-sdk=={version('synapse-sdk')}"
    assert lines(plan(), "a") == [sdk]
    assert lines(plan(meta_schema={}), "b") == [sdk, f"jsonschema-rs=={version('jsonschema-rs')}"]


def test_rendering_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    one = content(render_job(plan(), tmp_path / "one").folder)
    assert content(render_job(plan(), tmp_path / "two").folder) == one
    assert content(render_job(plan(), tmp_path / "one").folder) == one


def test_a_new_plan_of_the_same_job_replaces_the_old_one(tmp_path: Path) -> None:
    render_job(plan(), tmp_path / "job")
    stale = tmp_path / "job/synapse_skills/old/gone.py"
    stale.parent.mkdir()
    stale.write_text("x = 1")
    mine = tmp_path / "job/helper.py"
    mine.write_text("y = 2")
    render_job(plan(data_collection=58), tmp_path / "job")
    assert "COLLECTION = 58" in (tmp_path / "job/upload.py").read_text()
    assert not stale.parent.exists() and mine.exists()


def test_another_jobs_folder_is_refused(tmp_path: Path) -> None:
    render_job(plan(), tmp_path / "job")
    before = content(tmp_path / "job")
    with pytest.raises(FindingError) as caught:
        render_job(plan(name="other"), tmp_path / "job", force=True)
    assert caught.value.code == "another-job" and content(tmp_path / "job") == before


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.png").write_bytes(b"x")
    with pytest.raises(UsageError) as caught:
        render_job(plan(), tmp_path / "photos", force=True)
    assert caught.value.code == "folder-not-ours" and [p.name for p in (tmp_path / "photos").iterdir()] == ["a.png"]


def test_shared_folders_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    for folder in (Path(tempfile.gettempdir()), Path("/"), Path.home(), open_to_all, tmp_path / "cwd"):
        with pytest.raises(UsageError) as caught:
            render_job(plan(), folder)
        assert caught.value.code == "shared-folder"


def test_a_link_or_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").write_text("x")
    for name in ("link", "file"):
        with pytest.raises(UsageError):
            render_job(plan(), tmp_path / name)


def test_an_edited_script_is_not_written_over_without_force(tmp_path: Path) -> None:
    done = render_job(plan(), tmp_path / "job")
    assert not is_edited(done.folder)
    done.script.write_text(done.script.read_text() + "# mine\n")
    assert is_edited(done.folder)
    before = content(done.folder)
    with pytest.raises(FindingError) as caught:
        render_job(plan(), done.folder)
    assert caught.value.code == "script-edited" and content(done.folder) == before
    kept = render_job(plan(data_collection=58), done.folder, keep_edited=True)
    assert kept.kept and kept.script.read_text().endswith("# mine\n") and is_edited(done.folder)
    forced = render_job(plan(), done.folder, force=True)
    assert not forced.kept and not is_edited(done.folder)


def test_an_edit_taken_back_is_no_edit(tmp_path: Path) -> None:
    done = render_job(plan(), tmp_path / "job")
    first = done.script.read_bytes()
    done.script.write_bytes(first + b"# mine\n")
    done.script.write_bytes(first)
    assert not render_job(plan(data_collection=58), done.folder).kept


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_can_not_be_written_is_out_of_reach(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutOfReach):
            render_job(plan(), tmp_path / "job")
    finally:
        tmp_path.chmod(0o700)


def test_a_rendering_cut_off_half_way_is_finished_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = content(render_job(plan(), tmp_path / "whole").folder)
    from synapse_skills.rendering import folder as job

    real, calls = job.write_bytes, 0

    def dies(path: Path, data: bytes) -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt
        real(path, data)

    monkeypatch.setattr(job, "write_bytes", dies)
    with pytest.raises(KeyboardInterrupt):
        render_job(plan(), tmp_path / "job")
    monkeypatch.setattr(job, "write_bytes", real)
    render_job(plan(), tmp_path / "job")
    assert content(tmp_path / "job") == whole


def test_readme_names_flags_and_hostile_names_stay_names(tmp_path: Path, text_snapshot: SnapshotAssertion) -> None:
    text = (render_job(plan(name="a`b\n# x"), tmp_path / "job").folder / "README.md").read_text()
    assert "``a`b\\n# x``" in text
    for flag in (
        "--dry-run",
        "--limit",
        "--workers",
        "--state",
        "--fresh",
        "--retry-failed",
        "--retry-unknown",
        "--report",
    ):
        assert flag in text
    assert text == text_snapshot


def test_the_readme_names_the_flags_that_the_job_has(tmp_path: Path) -> None:
    done = render_job(plan(), tmp_path / "job")
    shown = subprocess.run(
        [sys.executable, str(done.script), "--help"], capture_output=True, text=True, check=True
    ).stdout
    text = (done.folder / "README.md").read_text()
    flags = {word.strip(",[]") for word in shown.split() if word.strip(",[]").startswith("--")} - {"--help"}
    assert flags == {line.split("`")[1].split()[0] for line in text.splitlines() if line.startswith("| `--")}


@pytest.mark.parametrize("case", CASES)
def test_render_file_renders_a_plan_again(case: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "plan.json").write_bytes(plan_bytes(CASES[case]))
    (home / "left_out.jsonl").write_bytes(b"{}\n")
    for table in ("placement.jsonl", "metadata.jsonl"):
        (home / table).write_bytes(b"")
    first = render_file(home)
    assert first.folder == home / "job" and (home / "job/left_out.jsonl").read_bytes() == b"{}\n"
    assert render_file(home / "plan.json").hash == first.hash
    assert render_file(home / "job").folder == home / "job"
    assert render_file(home, out=tmp_path / "elsewhere").folder == tmp_path / "elsewhere"
    with pytest.raises(UsageError):
        render_file(tmp_path / "nowhere")


def test_templates_are_found_in_a_wheel_too(tmp_path: Path) -> None:
    """The package moved away from the repository, with the templates inside, as the wheel has them."""
    import shutil

    packed = tmp_path / "site" / "synapse_skills"
    shutil.copytree(SCRIPTS / "synapse_skills", packed, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(SCRIPTS.parent / "templates", packed / "rendering" / "templates")
    (tmp_path / "plan.json").write_bytes(plan_bytes(plan()))
    code = "import sys, pathlib, synapse_skills.rendering as r; r.render_file(pathlib.Path(sys.argv[1]))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "plan.json")], env=environment, cwd=tmp_path, check=True)
    assert content(tmp_path / "job") == content(render_job(plan(), tmp_path / "checkout").folder)


TABLE = plan(grouping=GroupingPlan(by="table", table="placement.jsonl"))


def test_a_placement_table_ships_beside_the_script_and_goes_with_its_plan(tmp_path: Path) -> None:
    table = tmp_path / "placement.jsonl"
    table.write_text('{"source": 0, "path": "a.png", "unit": "u", "spec": "image_1"}\n')
    folder = render_job(TABLE, tmp_path / "job", placement=table).folder
    assert (folder / "placement.jsonl").read_bytes() == table.read_bytes()
    before = (folder / "placement.jsonl").stat().st_ino
    render_job(TABLE, folder, placement=table)
    assert (folder / "placement.jsonl").stat().st_ino == before
    table.write_text("")
    render_job(TABLE, folder, placement=table)
    assert (folder / "placement.jsonl").read_bytes() == b""
    assert render_job(TABLE, folder).hash
    render_job(plan(), folder)
    assert not (folder / "placement.jsonl").exists() and (folder / "left_out.jsonl").exists()


ROWS = b'{"unit": "a", "row": 2, "meta": {"age": 1}}\n'


def with_rows(content: bytes = ROWS) -> UploadPlan:
    digest = hashlib.sha256(content).hexdigest()
    return plan(metadata=(MetadataRule(kind="table", table="metadata.jsonl", sha256=digest, file="m.csv", key="id"),))


def test_frozen_rows_ship_beside_a_placement_table_and_go_with_their_plan(tmp_path: Path) -> None:
    (tmp_path / "metadata.jsonl").write_bytes(ROWS)
    (tmp_path / "placement.jsonl").write_bytes(b"")
    both = TABLE.model_copy(update={"metadata": with_rows().metadata})
    tables = {"placement": tmp_path / "placement.jsonl", "metadata": tmp_path / "metadata.jsonl"}
    folder = render_job(both, tmp_path / "job", **tables).folder
    assert (folder / "metadata.jsonl").read_bytes() == ROWS
    assert (folder / "placement.jsonl").read_bytes() == b""
    assert render_job(both, folder).hash
    assert "`metadata.jsonl`" in (folder / "README.md").read_text()
    render_job(with_rows(), folder)
    assert not (folder / "placement.jsonl").exists() and (folder / "metadata.jsonl").exists()
    render_job(plan(), folder)
    assert not (folder / "metadata.jsonl").exists() and (folder / "left_out.jsonl").exists()


def test_rows_that_are_not_the_plans_never_ship(tmp_path: Path) -> None:
    (tmp_path / "metadata.jsonl").write_bytes(ROWS.replace(b"1", b"2"))
    for path, code in ((tmp_path / "metadata.jsonl", "metadata-changed"), (tmp_path / "no.jsonl", "no-metadata-table")):
        with pytest.raises(FindingError) as caught:
            render_job(with_rows(), tmp_path / "job", metadata=path)
        assert caught.value.code == code and not (tmp_path / "job").exists()


def test_a_plan_by_table_without_its_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FindingError) as caught:
        render_job(TABLE, tmp_path / "job", placement=tmp_path / "placement.jsonl")
    assert caught.value.code == "no-placement" and not (tmp_path / "job").exists()
