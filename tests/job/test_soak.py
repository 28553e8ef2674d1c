"""Random worlds: a backend that misbehaves on every route, kills, lost databases or journals; exactly once after all.

A world is its seed. The everyday suite lives through the first two, `run.py test --all --rounds N` through N of them.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from typing import Any

import pytest

from job_fixture import PNG, Job, answering
from sandbox_fixture import COLLECTION, PROJECT, SandboxFactory, seed_with
from synapse_skills.plan import Limits

# Slow, each with a quicker neighbour that runs every day.
pytestmark = pytest.mark.heavy

EVERYDAY = 2
ROUNDS = max(EVERYDAY, int(os.environ.get("SYNAPSE_SKILLS_ROUNDS", "20")))
# Late commits come well before this; a machine under load delays them too.
SETTLE_S = 1.2
LATE_S = 0.3
RUNS = 12

READS = ["collections.get", "storages.list", "units.list", "tasks.list", "projects.get"]
AROUND_READS = ["status", "drop", "login-page", "slow", "status-after-commit"]
AROUND_FILES = ["status", "drop", "drop-after-commit", "status-after-commit", "login-page", "slow-after-commit"]
AROUND_PUT = ["status", "drop", "drop-after-commit", "status-after-commit", "slow"]
AROUND_CREATE = [
    "status", "drop", "drop-after-commit", "status-after-commit", "commit-late", "login-page", "slow",
    "slow-after-commit",
]  # fmt: skip


class World:
    """One seed's job, backend and bad luck."""

    def __init__(self, seed: int, job: Job, sandbox_factory: SandboxFactory) -> None:
        self.rng = random.Random(seed)
        self.job = job
        self.with_tasks = self.rng.random() < 0.4
        settings = {
            "echo": self.rng.choice(
                [["path", "checksum", "meta", "groups"], ["path"], ["checksum"], ["meta"], ["path", "meta"]]
            ),
            "honours": self.rng.choice(
                [["data_collection", "ordering", "id", "search"], ["data_collection"], ["ordering"]]
            ),
            "create_answer": self.rng.choice(["list", "results"]),
            "tasks_answer": self.rng.choice(["list", "results"]),
            "error_shape": self.rng.choice(["dicts", "strings"]),
            "confirm_twice": self.rng.choice(["same", "refuse"]),
            "max_page_size": self.rng.choice([3, 10, 100]),
            "multipart_threshold": self.rng.choice([200, 1 << 20]),
            "part_size": 90,
        }
        document = seed_with(settings=settings)
        through_backend = self.rng.random() < 0.2
        if through_backend:
            document["storages"][0]["provider"] = "file_system"
        self.box = job.box = sandbox_factory("world", seed=document)
        self.made = 0
        # Where only checksums come back, twins can't be told apart, which has a test of its own.
        self.with_twins = settings["echo"] != ["checksum"]
        shown = {"path", "checksum", "meta"} <= set(settings["echo"])  # type: ignore[call-overload]
        self.form = self.rng.choice(["path", "meta", "groups", "files"]) if shown and self.rng.random() < 0.6 else ""
        self.with_others = self.rng.random() < 0.5 and not through_backend
        self.others = 0

    def shown_otherwise(self) -> None:
        """In the child: rows come back in a form of the backend's own."""

        def change(method: str, path: str, body: Any) -> Any:
            rows = body.get("results") if isinstance(body, dict) and "data_units/" in path else None
            for row in rows or []:
                if self.form == "meta":
                    row["meta"] = {**(row["meta"] or {}), "created_by": "kim"}
                elif self.form == "groups":
                    row["groups"] = [{"name": name} for name in row["groups"] or []]
                for file in row["files"].values():
                    if self.form == "path":
                        file["path"] = f"bucket/{file['path']}"
                    elif self.form == "files":
                        file.update(width=1, height=1)
            return body

        if self.form:
            answering(change)()

    def somebody_else(self) -> None:
        """Another writer adds a data unit to the same collection, with contents that some of ours have too."""
        if not self.with_others:
            return
        files = {}
        for spec, name, content in (("image_1", "image.png", PNG + b"twin"), ("label_1", "label.json", b"{}")):
            files[spec] = {"checksum": self.box.put_file(name, content), "path": f"theirs_{self.others}/{name}"}
        self.box.post(
            "/data_units/", [{"data_collection": COLLECTION, "files": files, "meta": {"name": f"theirs_{self.others}"}}]
        )
        self.others += 1

    def prepare(self) -> None:
        """Data, plan and script."""
        job = self.job
        limits = Limits(batch_size=self.rng.choice([1, 3, 5, 20]), settle_after_s=SETTLE_S)
        job.plan_with(limits=limits, project=PROJECT if self.with_tasks else None)
        groups = ("hospital", "ward") if self.rng.random() < 0.3 else ()
        job.plan_with(limits=limits, project=PROJECT if self.with_tasks else None, groups=groups)
        if self.rng.random() < 0.6:
            values = {
                "site": " 서울 ",
                "age": 40.0,
                "ratio": 0.1 + 0.2,
                "big": 2**60,
                "none": None,
                "deep": {"a": [1, {}]},
            }
            job.script(describe=f"Constants({values!r})")
        self.add(self.rng.randint(8, 35))

    def add(self, count: int) -> None:
        """More data units, some with the same contents as others, some with a third file."""
        for _ in range(count):
            key = self.rng.choice(["p {:03d}", "환자_{:03d}", "a'b&c#%{:03d}"]).format(self.made)
            self.made += 1
            kind = self.rng.random()
            image = PNG + key.encode() + b"." * self.rng.randint(0, 200)
            is_twin = self.with_twins and kind < 0.3
            files = {"image.png": PNG + b"twin" if is_twin else image, "label.json": b"[]"}
            if kind > 0.8:
                files["scan.dcm"] = key.encode() * 20
            self.job.unit(key, files)

    def misbehave(self) -> None:
        """Faults on every route, 5 to 15 in a hundred calls each."""
        rules: list[dict[str, Any]] = []

        def rule(route: str, kinds: list[str]) -> None:
            kind = self.rng.choice(kinds)
            made: dict[str, Any] = {"kind": kind, "route": route, "probability": self.rng.uniform(0.05, 0.15)}
            if kind == "status":
                made["status"] = self.rng.choice([429, 500, 502, 503, 504])
                made["body"] = self.rng.choice(["json", "html", "empty"])
                if made["status"] == 429:
                    made["retry_after"] = 0.1
            if kind in ("commit-late", "slow", "slow-after-commit"):
                made["seconds"] = self.rng.uniform(0.02, LATE_S)
            rules.append(made)

        for route in READS:
            rule(route, AROUND_READS)
        for route in ("files.presign", "files.confirm", "files.create"):
            rule(route, AROUND_FILES)
        rule("files.put", AROUND_PUT)
        for _ in range(2):
            rule("units.create", AROUND_CREATE)
            rule("tasks.create", AROUND_CREATE)
        rules += [
            {"kind": kind, "entries": self.rng.randint(1, 3), "probability": 0.1}
            for kind in ("short-presign", "short-confirm", "bad-confirm", "expired-presign")
        ]
        if self.rng.random() < 0.3:
            rules.append({"kind": "too-large", "units": self.rng.choice([1, 2, 4])})
        self.box.set_faults(*rules, seed=self.rng.randrange(10**6))

    def kill_somewhere(self) -> None:
        """Start the job and kill it at a random moment; perhaps lose some of its state as well."""
        self.box.set_faults()
        self.somebody_else()
        self.misbehave()
        process = self.job.start(before=self.shown_otherwise, SYNAPSE_SKILLS_PATIENCE_S="20")
        end = time.monotonic() + self.rng.choice([0.3, 1.0, 3.0]) * self.rng.random()
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        assert "Traceback" not in errors, errors
        lost = self.rng.random()
        if lost < 0.35:
            for name in self.rng.choice([["ledger"], ["inventory"], ["ledger", "inventory"]]):
                for path in self.job.state.glob(f"{name}.sqlite*"):
                    path.unlink()
        elif lost < 0.5:
            # With its journal a job forgets what it has sent: nothing may be on its way any more (see README).
            time.sleep(LATE_S)
            self.box.wait_late()
            shutil.rmtree(self.job.state / "journal", ignore_errors=True)
        if self.rng.random() < 0.3:
            self.add(self.rng.randint(1, 4))

    def finish(self) -> None:
        """Run the same command until it says that it is done; the last times on a backend that is well again."""
        for number in range(RUNS):
            if number == RUNS - 3:
                self.box.set_faults()
            flags = self.rng.choice([[], [], ["--limit", "5"], ["--retry-failed"], ["--workers", "2"]])
            flags = flags if number < RUNS - 3 else []
            before = self.shown_otherwise
            done = self.job.run(*flags, before=before, expect=None, timeout=90, SYNAPSE_SKILLS_PATIENCE_S="20")
            assert self.box.token not in done.stdout + done.stderr
            assert "signature=" not in (done.stdout + done.stderr).lower()
            assert done.returncode in (0, 3, 5), f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
            report = self.job.report()
            assert report["exit_code"] == done.returncode
            assert not [problem for problem in report["problems"] if problem["code"] == "outcome-unknown"], report
            if done.returncode == 0 and report["pending"] == 0:
                return
        pytest.fail(f"not done after {RUNS} runs: {json.dumps(report, ensure_ascii=False)}")

    def hold_to_account(self) -> None:
        """Exactly once by content, and a report that adds up."""
        self.box.wait_late()
        there, wanted = self.ours(), self.job.wanted()
        assert there == wanted, f"too many: {there - wanted}, too few: {wanted - there}"
        report = self.job.report()
        assert report["planned"] == self.made == report["created"] + report["already"]
        if self.with_tasks:
            mine = [unit["id"] for unit in self.box.units() if "theirs_" not in str(unit["files"])]
            assert sorted(task["data_unit"] for task in self.box.tasks()) == sorted(mine)
            assert report["tasks"] == {"planned": self.made, "created": self.made}
        self.box.set_faults()
        self.job.run(before=self.shown_otherwise)
        assert self.job.report()["already"] == self.made
        assert self.ours() == wanted

    def ours(self) -> Counter[str]:
        """What is there, without what others have added."""
        return Counter({text: n for text, n in self.job.there().items() if not text.startswith("theirs_")})


def live_through(seed: int, job: Job, sandbox_factory: SandboxFactory) -> None:
    world = World(seed, job, sandbox_factory)
    world.prepare()
    for _ in range(world.rng.randint(1, 3)):
        world.kill_somewhere()
    world.finish()
    world.hold_to_account()


@pytest.mark.parametrize("seed", range(EVERYDAY))
def test_world(seed: int, job: Job, sandbox_factory: SandboxFactory) -> None:
    live_through(seed, job, sandbox_factory)


@pytest.mark.heavy
@pytest.mark.parametrize("seed", range(EVERYDAY, ROUNDS))
def test_more_worlds(seed: int, job: Job, sandbox_factory: SandboxFactory) -> None:
    live_through(seed, job, sandbox_factory)
