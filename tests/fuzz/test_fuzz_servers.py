"""Backends that lie: planners, jobs and lists end with a message, in time, and nothing secret is left behind."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export_fixture import ExportJob, row
from fuzz.calling import call, many
from fuzz.liar import Liar, lying
from job_fixture import Job
from planning.conftest import forked_script
from planning.conversation import PNG
from sandbox_fixture import Sandbox, sandboxes
from synapse_skills.backend import Backend, api
from synapse_skills.export_plan import FormatPlan
from synapse_skills.plan import Limits
from synapse_skills.planning import dryrun

SEEDS = st.integers(0, 2**32 - 1)
KINDS = ("collections", "collection", "storages", "projects", "ground-truths", "agents")


class Prey:
    """Somebody who is logged in to a liar, with a folder anew for each try."""

    def __init__(self, folder: Path, box: Sandbox, liar: Liar) -> None:
        self.root, self.box, self.liar = folder, box, liar
        self.tries = itertools.count(1)
        self.folder = folder

    def begin(self, seed: int) -> Random:
        if self.folder != self.root:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder = self.root / f"try-{next(self.tries)}"
        self.folder.mkdir()
        random = Random(seed)
        self.liar.lie(seed, random.choice((0.05, 0.2, 0.6, 1.0)))
        return random

    def call(self, name: str | Path, *flags: object) -> int:
        env = self.box.env(
            self.folder / "user", SYNAPSE_HOST=self.liar.host, SYNAPSE_SKILLS_PATIENCE_S="0.3",
            XDG_CACHE_HOME=str(self.folder / "cache"), TMPDIR=str(self.folder), no_proxy="127.0.0.1",
        )  # fmt: skip
        about = {"secrets": (self.box.token, "X-Amz-Signature="), "written": (self.folder,)}
        with (
            # A backend that asks for a minute is given it; not here.
            mock.patch.object(api, "MAX_RETRY_AFTER_S", 0.2),
            mock.patch.dict(Backend.__init__.__kwdefaults__, {"patience": 0.3}),
            mock.patch.object(dryrun, "run_script", forked_script),
        ):
            try:
                return call(name, *flags, env=env, cwd=self.folder, **about).code
            except AssertionError as error:
                raise AssertionError(f"{error}\n{name} {flags}: {self.liar.lied}") from None


@pytest.fixture(scope="module")
def prey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prey]:
    folder = tmp_path_factory.mktemp("lies")
    with sandboxes(folder) as start:
        box = start()
        box.label(*({"project": 3, **row(number)} for number in range(3)))
        with lying(box) as liar:
            yield Prey(folder, box, liar)


def lists(prey: Prey, random: Random) -> None:
    kind = random.choice(KINDS)
    prey.call("list_resources", kind, *(["57"] if kind == "collection" else []), *(["--json"] * random.randrange(2)))


def environment(prey: Prey, random: Random) -> None:
    prey.call("check_environment", "--for", random.choice(("upload", "export", "submit")))


def planned_upload(prey: Prey, random: Random) -> None:
    for name in ("a/x.png", "a/x.json", "b/y.png", "b/y.json"):
        path = prey.folder / "scans" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PNG if name.endswith("png") else b"{}")
    prey.call("plan_upload", "scans", "--collection", "57", "--json")


def planned_export(prey: Prey, random: Random) -> None:
    sets = ["--set", "formats=coco", "--set", "split.ratios=none", "--set", "originals=none"]
    target = random.choice((["--project", "3"], [], ["--ground-truth-version", "1"]))
    prey.call("plan_export", *target, *sets, "--json")


def upload(prey: Prey, random: Random) -> None:
    job = Job(prey.folder, prey.box, limits=Limits(batch_size=2, settle_after_s=0.05), project=random.choice((None, 3)))
    job.units(3)
    prey.call(job.job / "upload.py", "--state", job.state)
    prey.liar.lie(random.randrange(2**32), 0.0)
    prey.call(job.job / "upload.py", "--state", job.state)


def export(prey: Prey, random: Random) -> None:
    target = random.choice(("assignment", "task"))
    job = ExportJob(
        prey.folder, prey.box, 3, target=target, originals=random.choice(("none", "optional", "required")),
        formats=(FormatPlan(name="coco"), FormatPlan(name="synapse_json")),
    )  # fmt: skip
    prey.call(job.job / "export.py")
    prey.liar.lie(random.randrange(2**32), 0.0)
    prey.call(job.job / "export.py")


WAYS: tuple[Callable[[Prey, Random], None], ...] = (lists, environment, planned_upload, planned_export, upload, export)


# Lists every day; what plans, sends and fetches takes a second each.
@pytest.mark.parametrize(
    "way", [lists, *(pytest.param(way, marks=pytest.mark.heavy) for way in WAYS[1:])], ids=lambda way: way.__name__
)
@settings(max_examples=many(2, 200))
@given(seed=SEEDS)
def test_a_backend_that_lies(prey: Prey, way: Callable[[Prey, Random], None], seed: int) -> None:
    way(prey, prey.begin(seed))
