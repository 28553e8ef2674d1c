"""plan.json edited by hand: whatever stands in it, every script that reads it answers with a message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export_fixture import ExportJob, row
from fuzz.calling import call, many
from fuzz.junk import spoiled, text_of, torn
from job_fixture import Job
from sandbox_fixture import Sandbox, sandboxes
from synapse_skills.export_plan import SplitPlan
from synapse_skills.plan import GroupingPlan, Limits, MetadataRule

SEEDS = st.integers(0, 2**32 - 1)


class Edited:
    """A job whose plan is edited by hand."""

    def __init__(self, job: Job | ExportJob, script: str) -> None:
        self.job = job
        self.script = job.job / script
        self.plan = json.loads((job.job / "plan.json").read_bytes())
        self.env = job.box.env(
            job.folder / "user", SYNAPSE_SKILLS_PATIENCE_S="0.5", XDG_CACHE_HOME=str(job.folder / "cache")
        )

    def write(self, content: bytes) -> None:
        for folder in (self.job.home, self.job.job):
            (folder / "plan.json").write_bytes(content)

    def look(self, *, run: bool) -> None:
        """All that reads a plan."""
        box = {"env": self.env, "cwd": self.job.folder, "secrets": (self.job.box.token,)}
        call("preview", self.job.home, "--out", self.job.folder / "page.html", **box)
        call("submit", self.job.home, "--dry-run", codes=(1, 2, 3), **box)
        call("render", self.job.home, "--out", self.job.folder / "again", codes=(0, 1, 2, 3), **box)
        call(self.script, "--dry-run", **box)
        if run:
            call(self.script, **box)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandboxes(tmp_path_factory.mktemp("plans")) as start:
        yield start()


@pytest.fixture(scope="module")
def upload(tmp_path_factory: pytest.TempPathFactory, box: Sandbox) -> Edited:
    rules = (MetadataRule(values={"site": "서울"}), MetadataRule(kind="folders", folders={"patient": 1}))
    job = Job(
        tmp_path_factory.mktemp("edited"), box, metadata=rules, grouping=GroupingPlan(), groups=("a", "b"),
        limits=Limits(settle_after_s=0.1), leave_out=("empty-file",), meta_schema={"type": "object"},
    )  # fmt: skip
    job.units(2)
    return Edited(job, "upload.py")


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory, box: Sandbox) -> Edited:
    job = ExportJob(
        tmp_path_factory.mktemp("edited"), box, 3, split=SplitPlan(ratios={"train": 0.5, "val": 0.5}),
        filter={"status": ["done"]}, state=None,
    )  # fmt: skip
    job.label(row(1), row(2))
    return Edited(job, "export.py")


@pytest.mark.parametrize("kind", ["upload", "export"])
@settings(max_examples=many(3, 400))
@given(seed=SEEDS)
def test_one_thing_is_junk(kind: str, seed: int, request: pytest.FixtureRequest) -> None:
    edited: Edited = request.getfixturevalue(kind)
    random = Random(seed)
    made = spoiled(edited.plan, random, random.choice((1, 1, 1, 2, 4)))
    edited.write(text_of(made))
    edited.look(run=random.random() < 0.3)


@pytest.mark.parametrize("kind", ["upload", "export"])
@settings(max_examples=many(4, 100))
@given(seed=SEEDS)
def test_the_file_is_broken(kind: str, seed: int, request: pytest.FixtureRequest) -> None:
    edited: Edited = request.getfixturevalue(kind)
    edited.write(torn(text_of(edited.plan), Random(seed)))
    edited.look(run=False)
