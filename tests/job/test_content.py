"""The hash over what ships: the same wherever the folder lies, another for anything that ships and changes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pathspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synapse_skills.errors import FindingError, OutOfReach
from synapse_skills.job.content import content_hash, shipped_files

TEMPLATE = Path(__file__).resolve().parents[2] / "templates" / "job" / "rayignore.j2"
# What Ray 2.60 leaves out by itself: RAY_RUNTIME_ENV_DEFAULT_EXCLUDES.
BY_RAY = (".git", ".venv", "venv", "__pycache__")
NAMES = st.sampled_from(
    [
        "upload.py",
        "__pycache__",
        "a.pyc",
        "state",
        "report.json",
        ".synapse-job",
        ".git",
        "venv",
        ".venv",
        ".env",
        "x",
        "한글",
    ]
)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    folder = tmp_path / "job"
    (folder / "synapse_skills" / "state").mkdir(parents=True)
    (folder / "upload.py").write_text("print()\n")
    (folder / "synapse_skills" / "state" / "a.py").write_text("")
    (folder / "plan.json").write_text("{}")
    return folder


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in shipped_files(folder)]


def test_a_run_in_the_folder_does_not_change_it(job: Path) -> None:
    before = content_hash(job)
    for name in (
        "__pycache__/upload.cpython-312.pyc",
        "synapse_skills/__pycache__/a.pyc",
        "state/journal/1",
        ".git/HEAD",
    ):
        (job / name).parent.mkdir(parents=True, exist_ok=True)
        (job / name).write_text("left behind")
    for name in ("report.json", ".synapse-job", "stray.pyc"):
        (job / name).write_text("left behind")
    assert content_hash(job) == before
    assert names(job) == ["plan.json", "synapse_skills/state/a.py", "upload.py"]


def test_the_same_elsewhere_and_in_another_order_of_making(job: Path, tmp_path: Path) -> None:
    copy = tmp_path / "somewhere" / "_ray_pkg_0123"
    copy.mkdir(parents=True)
    for path in reversed(shipped_files(job)):
        (copy / path.relative_to(job)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy / path.relative_to(job))
    assert content_hash(copy) == content_hash(job)


@pytest.mark.parametrize("change", ["bytes", "name", "more", "less", "moved"])
def test_another_content_is_another_hash(job: Path, change: str) -> None:
    before = content_hash(job)
    if change == "bytes":
        (job / "upload.py").write_text("print(1)\n")
    elif change == "name":
        (job / "upload.py").rename(job / "upload2.py")
    elif change == "more":
        (job / "synapse_skills" / "report.json").write_text("")
    elif change == "less":
        (job / "plan.json").unlink()
    else:  # a byte moved from one file's end to the next one's beginning
        (job / "plan.json").write_text("{")
        (job / "synapse_skills" / "state" / "a.py").write_text("}")
    assert content_hash(job) != before


def test_links_and_special_files_are_refused(job: Path) -> None:
    (job / "data").symlink_to("/")
    with pytest.raises(FindingError, match="is a link") as caught:
        content_hash(job)
    assert caught.value.code == "link-in-job"
    (job / "data").unlink()
    os.mkfifo(job / "pipe")
    with pytest.raises(FindingError) as caught:
        content_hash(job)
    assert caught.value.code == "special-in-job"


def test_no_folder_is_out_of_reach(tmp_path: Path) -> None:
    with pytest.raises(OutOfReach) as caught:
        content_hash(tmp_path / "none")
    assert caught.value.code == "job-not-readable"


@settings(max_examples=60)
@given(paths=st.lists(st.lists(NAMES, min_size=1, max_size=3), max_size=8))
def test_what_stays_is_what_rayignore_and_ray_leave_out(
    tmp_path_factory: pytest.TempPathFactory, paths: list[list[str]]
) -> None:
    folder = tmp_path_factory.mktemp("job")
    for parts in paths:
        path = folder.joinpath(*parts)
        if not path.exists() and not any(parent.is_file() for parent in path.parents):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")
    # As Ray reads them: every path against every pattern, nothing below what is left out.
    lines = [*TEMPLATE.read_text().splitlines(), *BY_RAY]
    ignored = pathspec.PathSpec.from_lines("gitignore", lines)
    every = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    assert sorted(names(folder)) == sorted(name for name in every if not ignored.match_file(name))
