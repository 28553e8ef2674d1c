"""Files that we wrote ourselves, harmed since: state, journal, spool, reports, what is known of submissions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export_fixture import ExportJob, row
from fuzz.calling import call, many
from fuzz.kept import Kept
from job_fixture import Job
from sandbox_fixture import Sandbox, sandboxes
from synapse_skills.export_plan import ClassesPlan, FormatPlan
from synapse_skills.plan import Limits

pytestmark = pytest.mark.heavy

SEEDS = st.integers(0, 2**32 - 1)
SUBMISSION = (
    '{"version": 1, "job_id": "raysubmit_1234567890abcdef", "dashboard": "http://127.0.0.1:9", "mode": "upload", '
    '"plan": "0123456789ab", "content": "c", "tag": "t", "submitted_at": "2026-11-22T01:00:00Z", '
    '"agent": {"id": 7, "name": "seven"}, "ended": {"status": "FAILED", "exit_code": 5, "message": "m"}, '
    '"earlier": []}'
)


class Finished:
    """A job that has run, and all that lies around it afterwards."""

    def __init__(self, job: Job | ExportJob, script: str) -> None:
        self.job = job
        self.script = job.job / script
        cache = job.folder / "cache"
        self.env = job.box.env(
            job.folder / "user", SYNAPSE_SKILLS_PATIENCE_S="0.5", XDG_CACHE_HOME=str(cache), TMPDIR=str(job.folder)
        )
        self.call(self.script, "--dry-run")
        (job.home / "dry_run.json").write_bytes((job.state / "report.json").read_bytes())
        (job.home / "plan.json").write_bytes((job.job / "plan.json").read_bytes())
        self.call(self.script)
        (job.home / "submission.json").write_text(SUBMISSION)
        (job.home / "answers.json").write_text('{"name": "x"}')
        (job.home / "left_out.jsonl").write_text(
            '{"unit": "patient_009", "code": "empty-file", "why": "it is empty"}\n'
        )
        self.kept = [Kept(folder) for folder in (job.home, *self.more)]

    @property
    def more(self) -> list[Path]:
        output = self.job.folder / "output"
        return [output] if output.is_dir() else []

    def call(self, name: str | Path, *flags: object) -> int:
        secret = self.job.box.token
        return call(name, *flags, env=self.env, cwd=self.job.folder, secrets=(secret,)).code

    def look(self) -> None:
        """All that reads what lies there."""
        self.call("job_status", self.job.home)
        self.call("preview", self.job.home, "--out", self.job.folder / "page.html")
        self.call("submit", self.job.home, "--approve", "0123456789ab")
        self.call("render", self.job.home, "--out", self.job.folder / "again")
        for output in self.more:
            self.call("verify_export", output)
            self.call("preview", output, "--out", self.job.folder / "page.html")
        self.call(self.script, "--dry-run")
        self.call(self.script)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandboxes(tmp_path_factory.mktemp("states")) as start:
        yield start()


@pytest.fixture(scope="module")
def upload(tmp_path_factory: pytest.TempPathFactory, box: Sandbox) -> Finished:
    job = Job(tmp_path_factory.mktemp("finished"), box, limits=Limits(batch_size=2, settle_after_s=0.1))
    job.units(4)
    return Finished(job, "upload.py")


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory, box: Sandbox) -> Finished:
    formats = tuple(FormatPlan(name=name) for name in ("coco", "synapse_json", "csv", "voc", "yolo", "jsonl"))
    job = ExportJob(
        tmp_path_factory.mktemp("finished"), box, 3, formats=formats, originals="optional",
        classes=ClassesPlan(order=("car", "person")),
    )  # fmt: skip
    job.label(*(row(number) for number in range(4)))
    return Finished(job, "export.py")


@pytest.mark.parametrize("kind", ["upload", "export"])
@settings(max_examples=many(8, 300))
@given(seed=SEEDS)
def test_a_file_was_harmed(kind: str, seed: int, request: pytest.FixtureRequest) -> None:
    done: Finished = request.getfixturevalue(kind)
    random = Random(seed)
    for kept in done.kept:
        kept.restore()
    for _ in range(random.choice((1, 1, 2))):
        random.choice(done.kept).harm(random)
    done.look()
