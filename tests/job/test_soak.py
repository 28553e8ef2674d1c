"""Random worlds of uploads: every planned data unit exactly once after all, with its metadata and their types.

In each: every fault of the sandbox at once, three kills, a login that ends, a lost database; now and then a lost
journal, sources elsewhere, conversions, another writer; a backend with any settings, that is killed and started again.

Which worlds: see `storm.py`; what a backend may be: `knobs.py`.
"""

from __future__ import annotations

import io
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image

from forked import Forked
from job import knobs
from job.storm import KILLS, PATIENCE, TRIES, hurried, killed_somewhere, login_ends, lose, seeds, storm
from job_fixture import PNG, Job, answering, content_of
from remote_fixture import MixedJob, mixed_seed
from sandbox_fixture import COLLECTION, PROJECT, SandboxFactory, seed_with
from sources.trees import Fault, Front, S3Tree, cut_off, s3_error, silence
from synapse_skills.media import convert
from synapse_skills.plan import Conversion, Limits

# Slow, each with a quicker neighbour that runs every day.
pytestmark = pytest.mark.heavy

# Late commits come well before this; a machine under load delays them too.
SETTLE_S = 1.2
LATE_S = 0.25
RUNS = 14
CALM_FROM = 4
STEPS = (
    "synapse_skills.job.upload.journal:Journal.append",
    "synapse_skills.backend.api:Api.post_once",
    "synapse_skills.backend.transfer:Transfer.presign",
    "synapse_skills.backend.transfer:Transfer.put",
    "synapse_skills.backend.transfer:Transfer.confirm",
    "synapse_skills.job.upload.ledger:Ledger.apply",
    "synapse_skills.job.upload.ledger:Ledger.confirm",
    "synapse_skills.job.upload.ledger:Ledger.commit",
    "synapse_skills.job.upload.settle:Settler._settle_units",
    "synapse_skills.job.upload.settle:Settler._settle_tasks",
)
CONSTANTS = {"site": " 서울 ", "age": 40.0, "ratio": 0.1 + 0.2, "big": 2**60, "none": None, "deep": {"a": [1, {}]}}
DESCRIBE = """
def describe(unit):
    number = int("".join(char for char in unit.key if char.isdecimal()))
    return {"number": number, "text": f"{number:03d}", "share": number / 7, "half": number / 2, "odd": bool(number % 2)}
"""
MAPPING = """
place = Place(by_folder(1), by_extension({
    ".png": "image_1", ".bmp": "image_1", ".json": "label_1", ".dcm": "scan_1",
}))
"""


def described(key: str) -> dict[str, Any]:
    """What `DESCRIBE` says, counted once more."""
    scope: dict[str, Any] = {}
    exec(DESCRIBE, scope)
    unit = type("Unit", (), {"key": key})
    return dict(scope["describe"](unit))


def bitmap(seed: int) -> bytes:
    """A picture that has to be converted, like no other."""
    image = Image.new("RGB", (8, 6), (seed % 256, 90, 200))
    out = io.BytesIO()
    image.save(out, "BMP")
    return out.getvalue()


class World:
    """One seed's job, backend and bad luck."""

    def __init__(self, seed: int, folder: Path, sandbox_factory: SandboxFactory, s3: Callable[[], Front]) -> None:
        self.random = random = Random(seed)
        self.kind = random.choices(("plain", "converted", "elsewhere"), (0.7, 0.15, 0.15))[0]
        self.with_tasks = random.random() < 0.4
        settings = knobs.drawn(random, knobs.UPLOAD)
        # What came later is drawn apart.
        self.later = Random(f"more of {seed}")
        settings |= knobs.drawn(self.later, knobs.UPLOAD_MORE)
        self.front = s3() if self.kind == "elsewhere" else None
        tree = S3Tree() if self.front else None
        document = (mixed_seed(tree) if tree else seed_with()) | {"settings": settings}
        through_backend = random.random() < 0.2
        if through_backend:
            document["storages"][0]["provider"] = "file_system"
        self.box = sandbox_factory("world", seed=document)
        self.job = MixedJob(folder / "upload", self.box, tree) if tree else Job(folder / "upload", self.box)
        self.made = 0
        # Where only checksums come back, twins can't be told apart, which has a test of its own.
        self.with_twins = settings["echo"] != ["checksum"]
        shown = {"path", "checksum", "meta"} <= set(settings["echo"])
        self.form = random.choice(["path", "meta", "groups", "files"]) if shown and random.random() < 0.6 else ""
        self.with_others = random.random() < 0.5 and not through_backend and self.kind != "elsewhere"
        self.others = 0
        self.meta: Callable[[str], dict[str, Any]] = lambda key: {}

    def prepare(self) -> None:
        """Data, plan and script."""
        random = self.random
        plan: dict[str, Any] = {
            "limits": Limits(batch_size=random.choice([1, 3, 5, 20]), settle_after_s=SETTLE_S),
            "project": PROJECT if self.with_tasks else None,
            "groups": ("hospital", "ward") if random.random() < 0.3 else (),
        }
        if isinstance(self.job, MixedJob) and self.later.random() < 0.5:
            plan["sources"] = self.job.sources(through_backend=True)
        if self.kind == "converted":
            plan["conversions"] = (Conversion(spec="image_1", source=".bmp", target=".png"),)
        self.job.plan_with(**plan)
        said, more = random.choice((("None", ""), (f"Constants({CONSTANTS!r})", ""), ("describe", DESCRIBE)))
        if self.kind != "elsewhere":
            self.job.script(describe=said, more=MAPPING + more)
            self.meta = described if more else lambda key: CONSTANTS if said != "None" else {}
        self.add(random.randint(8, 30))

    def add(self, count: int) -> None:
        """More data units, some with the same contents as others, some with a third file."""
        random = self.random
        for _ in range(count):
            key = random.choice(["p {:03d}", "환자_{:03d}", "a'b&c#%{:03d}"]).format(self.made)
            kind, image = random.random(), PNG + key.encode() + b"." * random.randint(0, 200)
            files = {"image.png": PNG + b"twin" if self.with_twins and kind < 0.3 else image, "label.json": b"[]"}
            if self.kind == "converted" and random.random() < 0.5:
                files["image.bmp"] = bitmap(self.made)
                del files["image.png"]
            if kind > 0.8:
                files["scan.dcm"] = key.encode() * 20
            self.job.unit(key if self.kind != "elsewhere" else f"p_{self.made:03d}", files)
            self.made += 1

    # -- bad luck --------------------------------------------------------------------------------------------------

    def misbehave(self, *first: dict[str, Any]) -> None:
        """Everything that can go wrong, goes wrong now and then."""
        self.box.set_faults(*first, *storm(self.random, late_s=LATE_S), seed=self.random.randrange(10**6))
        if self.front is not None:
            luck = Random(self.random.random())

            def refuse(asked: str) -> Fault | None:
                if luck.random() > 0.15:
                    return None
                return luck.choice(
                    (s3_error(503, "SlowDown"), s3_error(500, "InternalError"), cut_off({}), silence(0.1))
                )

            self.front.refuse = refuse

    def calm(self) -> None:
        """All is well again."""
        self.box.set_faults()
        if self.front is not None:
            self.front.refuse = lambda asked: None

    def somebody_else(self) -> None:
        """Another writer adds a data unit to the same collection, with contents that some of ours have too."""
        if not self.with_others:
            return
        self.calm()
        files = {}
        for spec, name, content in (("image_1", "image.png", PNG + b"twin"), ("label_1", "label.json", b"{}")):
            files[spec] = {"checksum": self.box.put_file(name, content), "path": f"theirs_{self.others}/{name}"}
        self.box.post(
            "/data_units/", [{"data_collection": COLLECTION, "files": files, "meta": {"name": f"theirs_{self.others}"}}]
        )
        self.others += 1

    def before(self) -> None:
        """In the child: no long waits, and rows come back in a form of the backend's own."""

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

        hurried()
        if self.form:
            answering(change)()

    def start(self, also: Callable[[], None] | None) -> Forked:
        def before() -> None:
            self.before()
            if also is not None:
                also()

        return self.job.start(before=before, **PATIENCE)

    def is_killed(self) -> None:
        """Killed at some point; what has ended before that gets more to do and is killed again."""
        for tried in range(TRIES):
            self.somebody_else()
            self.misbehave()
            longest = self.random.choice((0.5, 1.5, 4.0))
            killed, said = killed_somewhere(self.random, self.start, STEPS, longest, tried)
            self.is_clean(said)
            if killed:
                return
            self.add(self.random.randint(1, 4))
        pytest.fail(f"not killed once in {TRIES} runs")

    def loses_its_login(self) -> None:
        """The token ends in the middle; with a new one it goes on."""
        for _ in range(TRIES):
            ends = login_ends(self.random, 30)
            self.misbehave(ends)
            code, said = self.runs()
            if self.box.faults()[0]["fired"]:
                # Nobody hears of it where everything had been done but a last look.
                assert (code == 3 and "refused the login" in said) or not self.job.report()["pending"], (code, said)
                return
            self.add(self.random.randint(1, 4))

    def loses_a_database(self) -> None:
        """The ledger, the inventory, or both."""
        for name in self.random.choice([["ledger"], ["ledger"], ["inventory"], ["ledger", "inventory"]]):
            lose(*self.job.state.glob(f"{name}.sqlite*"))

    def loses_its_journal(self) -> None:
        """With its journal a job forgets what it has sent: nothing may be on its way any more (see README)."""
        time.sleep(LATE_S)
        self.box.wait_late()
        lose(self.job.state / "journal")

    # -- the end ---------------------------------------------------------------------------------------------------

    def runs(self, *flags: str, outage: bool = False) -> tuple[int, str]:
        """Run to the end, perhaps with the backend killed and started again meanwhile; exit code and what it said."""
        process = self.job.start(*flags, before=self.before, **PATIENCE)
        if outage:
            knobs.outage(self.later, self.box, longest_s=1.5)
        said = "".join(process.communicate(timeout=90))
        self.is_clean(said)
        assert process.returncode in (0, 3, 5), f"exit {process.returncode}\n{said}"
        report = self.job.report()
        assert report["exit_code"] == process.returncode
        assert not {"outcome-unknown", "bug"} & {problem["code"] for problem in report["problems"]}, report
        return process.returncode, said

    def is_clean(self, said: str) -> None:
        assert "Traceback" not in said and "Unexpected" not in said, said
        assert self.box.token not in said and "signature=" not in said.lower(), said

    def finish(self) -> None:
        """Run the same command until it says that it is done; the last times on a backend that is well again."""
        for number in range(RUNS):
            if number < CALM_FROM:
                knobs.release(self.later, self.box, knobs.UPLOAD, knobs.UPLOAD_RELEASES)
                self.misbehave()
            else:
                self.calm()
            flags = self.random.choice([[], [], ["--limit", "5"], ["--workers", "2"]]) if number < CALM_FROM else []
            # What was refused once is not sent again unasked.
            again = ["--retry-failed"] if number and self.job.report()["failed"] else []
            code, _ = self.runs(*flags, *again, outage=number < CALM_FROM and self.later.random() < 0.3)
            report = self.job.report()
            if code == 0 and report["pending"] == 0:
                return
        pytest.fail(f"not done after {RUNS} runs: {json.dumps(report, ensure_ascii=False)}")

    def hold_to_account(self) -> None:
        """Exactly once by content, the metadata equal with its types, and a report that adds up."""
        self.box.wait_late()
        there, wanted = self.ours(), self.wanted()
        assert there == wanted, f"too many: {there - wanted}, too few: {wanted - there}"
        report = self.job.report()
        assert report["planned"] == self.made == report["created"] + report["already"]
        if self.with_tasks:
            mine = [unit["id"] for unit in self.mine()]
            assert sorted(task["data_unit"] for task in self.box.tasks()) == sorted(mine)
            assert report["tasks"] == {"planned": self.made, "created": self.made}
        for unit in self.mine():
            key = key_of(unit)
            assert as_text(unit["meta"]) == as_text({"name": key, "dataset_key": key} | self.meta(key))
        self.calm()
        self.runs()
        assert self.job.report()["already"] == self.made
        assert self.ours() == wanted

    def mine(self) -> list[dict[str, Any]]:
        """The data units that are there, without what others have added."""
        return [unit for unit in self.box.units() if not key_of(unit).startswith("theirs_")]

    def ours(self) -> Counter[str]:
        """The same by content."""
        return Counter({text: n for text, n in self.job.there().items() if not text.startswith("theirs_")})

    def wanted(self) -> Counter[str]:
        """The data units on disk, as they have to arrive."""
        found: Counter[str] = self.job.wanted() if self.kind != "converted" else Counter()
        if found:
            return found
        for folder in self.job.source.iterdir():
            files = {}
            for path in folder.iterdir():
                target = self.job.folder / "wanted.png"
                if path.suffix == ".bmp":
                    with path.open("rb") as stream:
                        convert(stream, ".bmp", target)
                files[path.with_suffix(".png").name if path.suffix == ".bmp" else path.name] = (
                    target if path.suffix == ".bmp" else path
                ).read_bytes()
            found[content_of(files, folder.name)] += 1
        return found


def key_of(unit: dict[str, Any]) -> str:
    return str(next(iter(unit["files"].values()))["path"].split("/")[0])


def as_text(meta: Any) -> str:
    """As JSON: 40 and 40.0 are two texts."""
    return json.dumps(meta, sort_keys=True, ensure_ascii=False)


@pytest.fixture
def s3_when_asked(request: pytest.FixtureRequest) -> Callable[[], Front]:
    """An S3 for the worlds that want one."""

    def get() -> Front:
        front: Front = request.getfixturevalue("s3")
        front.faults.clear()
        front.refuse = lambda asked: None
        return front

    return get


@pytest.mark.parametrize("seed", seeds())
def test_world(seed: int, tmp_path: Path, sandbox_factory: SandboxFactory, s3_when_asked: Callable[[], Front]) -> None:
    world = World(seed, tmp_path, sandbox_factory, s3_when_asked)
    world.prepare()
    luck = [world.is_killed] * KILLS + [world.loses_its_login]
    world.random.shuffle(luck)
    lost = [(world.random.randrange(len(luck)), world.loses_a_database)]
    if world.random.random() < 0.15:
        lost.append((world.random.randrange(len(luck)), world.loses_its_journal))
    for number, happens in enumerate(luck):
        happens()
        for at, loses in lost:
            if at == number:
                loses()
        if world.random.random() < 0.3:
            world.add(world.random.randint(1, 4))
    world.finish()
    world.hold_to_account()
