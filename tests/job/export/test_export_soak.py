"""Random worlds: a backend that misbehaves on every route, kills, lost or torn files; the same bytes after all.

A world is its seed. `run.py test --all --rounds N` lives through N of them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from annotations import worlds
from export_fixture import ExportJob
from synapse_skills.export_plan import ClassesPlan, ExportLimits, FormatPlan, SplitPlan
from synapse_skills.formats import FORMATS
from synapse_skills.job.export.verify import verify_output

pytestmark = pytest.mark.heavy

ROUNDS = min(90, int(os.environ.get("SYNAPSE_SKILLS_ROUNDS", "8")))
RUNS = 8
PATIENCE = {"SYNAPSE_SKILLS_PATIENCE_S": "20"}
TARGETS = ("assignment", "task", "ground_truth")
ROUTES = ("assignments.list", "tasks.list", "events.list", "GET /data_units/", "GET /(media|payload)", "api")
KINDS = ("status", "drop", "slow", "truncated", "cut-off", "login-page", "drop-after-commit")
STATUSES = (408, 425, 429, 500, 502, 503, 504, 520)
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

    def __init__(self, seed: int, job: ExportJob) -> None:
        self.rng = random = Random(seed)
        self.box, self.project, self.folder = job.box, job.project, job.folder
        self.count = random.choice((1, 7, 40, 90))
        self.box.set(
            wrap_bytes=random.choice((None, 1, 300)),
            inline_data=random.choice(("whole", "wrapped", "truncated_link")),
            files_shape=random.choice(("v1", "manifest")),
            id_lists=random.choice(("comma", "repeated")),
            expands=random.choice((list(TARGETS), [])),
            narrows=random.choice((list(TARGETS), [])),
            max_page_size=random.choice((3, 10, 100)),
            payload_uses=random.choice((None, 1)),
        )
        for _ in range(self.count):
            job.label(self._row())
        self.plan = self._plan(job)

    def _row(self) -> dict[str, Any]:
        random = self.rng
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
        random = self.rng
        target = random.choice(TARGETS)
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

    def misbehave(self) -> None:
        """Faults on every route, 5 to 15 in a hundred calls each."""
        random, rules = self.rng, list[Mapping[str, Any]]()
        for route in ROUTES:
            for kind in random.sample(KINDS, 2):
                rule: dict[str, Any] = {"kind": kind, "route": route, "probability": random.uniform(0.05, 0.15)}
                if kind == "status":
                    rule |= {"status": random.choice(STATUSES), "body": random.choice(("json", "html", "empty"))}
                if kind == "slow":
                    rule["seconds"] = random.uniform(0.02, 0.2)
                rules.append(rule)
        rules.append({"kind": "expired-links", "probability": random.uniform(0.05, 0.15)})
        if random.random() < 0.2:
            rules.append({"kind": "status", "status": 401, "route": "api", "after": random.randint(0, 20), "times": 1})
        self.box.set_faults(*rules, seed=random.randrange(10**6))

    def kill_somewhere(self, job: ExportJob, whole_s: float) -> None:
        """Start the job, perhaps twice, and kill it at a random moment; perhaps lose some of its state as well."""
        self.misbehave()
        runs = [job.start(**PATIENCE) for _ in range(self.rng.choice((1, 1, 1, 2)))]
        end = time.monotonic() + self.rng.random() * 1.5 * whole_s
        while runs[0].poll() is None and time.monotonic() < end:
            time.sleep(0.002)
        runs[0].send_signal(self.rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)))
        for run in runs:
            self._is_clean("\n".join(run.communicate(timeout=180)))
        lost, spool = self.rng.random(), job.state / "spool"
        if lost < 0.2:
            for path in job.home.rglob("*.sqlite*"):
                path.unlink()
        elif lost < 0.4 and (segments := sorted(spool.glob("*.pages"))):
            os.truncate(segments[-1], self.rng.randint(0, segments[-1].stat().st_size))
        elif lost < 0.5:
            shutil.rmtree(self.rng.choice((spool, job.state / "originals")), ignore_errors=True)

    def finish(self, job: ExportJob) -> int:
        """Run the same command until it has what it can get; the last times on a backend that is well again."""
        self.misbehave()
        for number in range(RUNS):
            if number == 2:
                self.box.set_faults()
            done = job.run(expect=None, **PATIENCE)
            self._is_clean(done.stdout + done.stderr)
            assert done.returncode in (0, 3, 5), done
            if number > 3 and done.returncode != 3:
                return done.returncode
        pytest.fail(f"not done after {RUNS} runs: {done}")

    def _is_clean(self, said: str) -> None:
        assert "Traceback" not in said and "Unexpected" not in said, said
        assert self.box.token not in said and "signature=" not in said.lower()


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


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_world(seed: int, export_job: ExportJob) -> None:
    world = World(seed, export_job)
    calm = world.job("calm")
    began = time.monotonic()
    exit_code = calm.run(expect=None).returncode
    whole_s = time.monotonic() - began
    assert exit_code in (0, 5)
    hold_to_account(world, calm)
    job = world.job("stormy")
    for _ in range(world.rng.randint(1, 3)):
        world.kill_somewhere(job, whole_s)
    assert world.finish(job) == exit_code
    assert job.bytes() == calm.bytes()
    said, wanted = job.report(), calm.report()
    assert [said[key] for key in ("records", "annotations", "files")] == [
        wanted[key] for key in ("records", "annotations", "files")
    ]
    assert not files_with(world.box.token.encode(), job.home, job.output)
    assert not files_with(b"X-Amz-Signature=", job.home, job.output)
