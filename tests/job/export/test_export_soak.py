"""Random worlds of exports: the same bytes as without any bad luck.

In each: every fault of the sandbox at once, three kills, a login that ends, a lost database; now and then a torn or
lost spool, lost originals, two runs at once; a backend with any settings, that is killed and started again.

Which worlds: see `storm.py`; what a backend may be: `knobs.py`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from annotations import worlds
from export_fixture import ExportJob
from forked import Forked
from job import knobs
from job.storm import KILLS, PATIENCE, TRIES, hurried, killed_somewhere, login_ends, lose, seeds, storm
from sandbox_fixture import PROJECT, SandboxFactory
from synapse_skills.export_plan import ClassesPlan, ExportLimits, FormatPlan, SplitPlan
from synapse_skills.formats import FORMATS
from synapse_skills.job.export.verify import verify_output

# Slow, with quicker neighbours that run every day.
pytestmark = pytest.mark.heavy

LATE_S = 0.25
STORMY, CALM = 2, 4
STEPS = tuple(
    f"synapse_skills.job.export.{step}"
    for step in (
        "spool:Spool.append_all",
        "fetch:Fetcher._look_again",
        "decide:Decider.decide",
        "originals:Originals._download",
        "originals:Originals._receive",
        "write:Export._item",
        "part_work:check_format",
        "output:Output.install",
        "output:Output.finish",
        "writing:remember",
    )
)
NAMES = (
    *("a.png", "A.png", "../../x.png", "CON.jpg", "x\ny.png", "=cmd().png", "é.png", "e\u0301.png", "..", "[b].png"),
    *(
        "a" * 300 + ".jpg",
        "사진.png",
        "a/b/c.png",
        "<b>.png",
        "\x1b[31m.png",
        "noext",
        ".hidden",
        "a.b.c.jpeg",
        "\0.png",
    ),
)
ODD = (
    {},
    [],
    [1],
    "x",
    5,
    {"mode": "inline"},
    {"mode": "presigned"},
    {"annotations": 5},
    {"annotations": {"image_1": [{}]}},
)


class World:
    """One seed's project, backend and bad luck."""

    def __init__(self, seed: int, folder: Path, sandbox_factory: SandboxFactory) -> None:
        self.random = random = Random(seed)
        self.box, self.project, self.folder = sandbox_factory("world"), PROJECT, folder
        job = ExportJob(folder / "labels", self.box, PROJECT)
        self.count = random.choice((1, 7, 25, 60))
        self.box.set(**knobs.drawn(random, knobs.EXPORT))
        # What came later is drawn apart.
        self.later = Random(f"more of {seed}")
        self.box.set(**knobs.drawn(self.later, knobs.EXPORT_MORE))
        for _ in range(self.count):
            job.label(self._row())
        self.plan = self._plan(job)

    def _row(self) -> dict[str, Any]:
        random = self.random
        number, kind = random.randrange(10**6), random.random()
        data: Any = worlds.payload(random)
        if kind > 0.85:
            data = random.choice(ODD)
        elif kind > 0.6:
            data = worlds.damaged(random)
        name = random.choice((f"p{number}.png", f"p{number}.png", random.choice(NAMES)))
        entry = {"file_name_original": name, "is_primary": True} | ({"missing": True} if random.random() < 0.1 else {})
        meta = random.choice(({"category": random.choice(NAMES), "group": f"g{number % 5}"}, {}, {"filename": name}))
        return {
            "data_unit": {"files": {"image_1": entry}, "meta": meta},
            # Text, because NaN is none of what a request may hold.
            "data_text": json.dumps(data, ensure_ascii=False),
            "status_review": random.choice(("confirmed", None)),
            "is_discarded": random.random() < 0.1,
        }

    def _plan(self, job: ExportJob) -> dict[str, Any]:
        random = self.random
        target = random.choice(knobs.TARGETS)
        scope = {}
        if target == "ground_truth":
            made = self.box.ground_truth(name=f"truth {self.project}", from_project=self.project, project=self.project)
            scope = {"ground_truth_version": made["version"]}
        names = random.sample([name for name in FORMATS if not FORMATS[name].by_script], random.randint(1, 5))
        options = {
            name: {each.name: random.choice(each.choices) for each in FORMATS[name].options if random.random() < 0.6}
            for name in names
        }
        ratios = random.choice(({"train": 0.8, "val": 0.2}, {"train": 0.5, "val": 0.3, "test": 0.2}))
        by = random.choice(("record", "data_unit", "category", "checksum", "meta.group"))
        lists = (ClassesPlan(unknown="add"), ClassesPlan(order=("car",), map={"도로": "car"}, drop=("a/b",)))
        return {
            "target": target,
            "formats": tuple(FormatPlan(name=name, options=options[name]) for name in names),
            "originals": random.choice(("none", "optional", "required")),
            "geometry": random.choice(("clamp", "drop", "fail")),
            "empty": random.choice(("keep", "drop")),
            "duplicates": random.choice(("best", "newest", "all")),
            "naming": random.choice(("original", "id")),
            "split": random.choice((None, SplitPlan(ratios=ratios, by=by, seed=random.randint(0, 9)))),
            "classes": random.choice(lists),
            "limits": ExportLimits(page_size=random.choice((1, 5, 20, 100)), workers=random.choice((1, 4, 16))),
            **scope,
        }

    def job(self, name: str) -> ExportJob:
        return ExportJob(self.folder / name, self.box, self.project, **self.plan)

    # -- bad luck --------------------------------------------------------------------------------------------------

    def misbehave(self, *first: dict[str, Any]) -> None:
        """Everything that can go wrong, goes wrong now and then."""
        self.box.set_faults(*first, *storm(self.random, late_s=LATE_S), seed=self.random.randrange(10**6))

    def is_killed(self, job: ExportJob, whole_s: float) -> None:
        """Killed at some point, perhaps while another run tries the same; one that was quicker is killed anew."""

        def start(before: Callable[[], None] | None) -> Forked:
            return job.start(before=both(hurried, before), **PATIENCE)

        for tried in range(TRIES):
            self.misbehave()
            rival = start(None) if self.random.random() < 0.15 else None
            killed, said = killed_somewhere(self.random, start, STEPS, 1.5 * whole_s, tried)
            self.is_clean(said)
            if rival is not None:
                self.is_clean("\n".join(rival.communicate(timeout=180)))
            if killed:
                return
            lose(job.output, job.state)

    def loses_its_login(self, job: ExportJob) -> None:
        """The token ends in the middle; with a new one it goes on."""
        for _ in range(TRIES):
            ends = login_ends(self.random, 30)
            self.misbehave(ends)
            code, said = self.runs(job)
            if self.box.faults()[0]["fired"]:
                assert code == 3 and "refused the login" in said, (code, said)
                return
            lose(job.output, job.state)

    def loses_a_database(self, job: ExportJob) -> None:
        """All of them."""
        lose(*job.home.rglob("*.sqlite*"))

    def loses_more(self, job: ExportJob) -> None:
        """The end of the spool, all of it, or the originals."""
        spool, lot = job.state / "spool", self.random.random()
        if lot < 0.5 and (segments := sorted(spool.glob("*.pages"))):
            os.truncate(segments[-1], self.random.randint(0, segments[-1].stat().st_size))
        else:
            lose(spool if lot < 0.8 else job.state / "originals")

    # -- the end ---------------------------------------------------------------------------------------------------

    def runs(self, job: ExportJob, *, outage: bool = False) -> tuple[int, str]:
        """Run to the end, perhaps with the backend killed and started again meanwhile; exit code and what it said."""
        process = job.start(before=hurried, **PATIENCE)
        if outage:
            knobs.outage(self.later, self.box, longest_s=1.0)
        said = "\n".join(process.communicate(timeout=120))
        self.is_clean(said)
        assert process.returncode in (0, 3, 5), f"exit {process.returncode}\n{said}"
        return process.returncode, said

    def is_clean(self, said: str) -> None:
        assert "Traceback" not in said and "Unexpected" not in said, said
        assert self.box.token not in said and "signature=" not in said.lower(), said

    def finish(self, job: ExportJob, calm: ExportJob) -> None:
        """Run the same command until it has what it can get; the last times on a backend that is well again."""
        wanted = calm.report()
        for number in range(STORMY + CALM):
            if number < STORMY:
                knobs.release(self.later, self.box, knobs.EXPORT, knobs.EXPORT_RELEASES)
                self.misbehave()
            else:
                self.box.set_faults()
            code, said = self.runs(job, outage=number < STORMY and self.later.random() < 0.3)
            if number < STORMY or code != wanted["exit_code"]:
                continue
            # A link that lives for seconds may end on a busy machine: what it led to is asked for by the next run.
            if job.report()["records"] == wanted["records"]:
                return
        pytest.fail(f"exit {code} instead of {wanted['exit_code']} after {STORMY + CALM} runs: {said}")


def both(first: Callable[[], None], second: Callable[[], None] | None) -> Callable[[], None]:
    """One thing after the other."""

    def act() -> None:
        first()
        if second is not None:
            second()

    return act


def hold_to_account(world: World, job: ExportJob) -> None:
    """Everything that is held was read, and the output says of itself what is true."""
    report = job.report()
    assert "writer-failed" not in str(report) and "rows-" not in str(report), report["problems"]
    scope = world.plan.get("ground_truth_version", world.project)
    assert report["records"]["read"] == len(world.box.records(world.plan["target"], scope))
    found = [each for each in verify_output(job.output).problems if each.severity == "error"]
    assert not found or (not report["records"]["exported"] and [each.code for each in found] == ["nothing-inspected"])


def files_with(text: bytes, *folders: Path) -> list[Path]:
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if text in path.read_bytes()]


@pytest.mark.parametrize("seed", seeds())
def test_world(seed: int, tmp_path: Path, sandbox_factory: SandboxFactory) -> None:
    world = World(seed, tmp_path, sandbox_factory)
    random, calm, job = world.random, world.job("calm"), world.job("stormy")
    began = time.monotonic()
    exit_code, said = world.runs(calm)
    whole_s = time.monotonic() - began
    assert exit_code in (0, 5), said
    if exit_code:
        world.runs(calm)
    hold_to_account(world, calm)
    luck: list[Callable[[], None]] = [lambda: world.is_killed(job, whole_s)] * KILLS
    luck.insert(random.randrange(KILLS + 1), lambda: world.loses_its_login(job))
    lost = [(random.randrange(KILLS + 1), world.loses_a_database)]
    if random.random() < 0.25:
        lost.append((random.randrange(KILLS + 1), world.loses_more))
    for number, happens in enumerate(luck):
        happens()
        for at, loses in lost:
            if at == number:
                loses(job)
    world.finish(job, calm)
    assert job.bytes() == calm.bytes()
    told, wanted = job.report(), calm.report()
    assert [told[key] for key in ("records", "annotations", "files")] == [
        wanted[key] for key in ("records", "annotations", "files")
    ]
    assert not files_with(world.box.token.encode(), job.home, job.output)
    assert not files_with(b"X-Amz-Signature=", job.home, job.output)
