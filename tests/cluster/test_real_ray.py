"""A real Ray head on the loopback, the SDK's real command line, a backend on this machine: there and back."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from export_fixture import row
from job_fixture import PNG, SPECS
from launcher.environments import environment
from launcher.messages import LaunchError
from rendering.plans import plan
from sandbox_fixture import COLLECTION, PROJECT, Sandbox, sandboxes
from sources.trees import S3Tree, s3_server
from synapse_skills.cluster.local_ray import LocalRay
from synapse_skills.cluster.processes import Running, still_runs
from synapse_skills.cluster.submission import JobHome
from synapse_skills.errors import EXIT_ENVIRONMENT, EXIT_FINDINGS, EXIT_INCOMPLETE, EXIT_OK, OutOfReach
from synapse_skills.export_plan import ClassesPlan, ExportLimits, ExportPlan, FormatPlan
from synapse_skills.plan import Expected, Limits, SourcePlan, plan_bytes, plan_hash
from synapse_skills.rendering import render_job

pytestmark = pytest.mark.heavy

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
MANY = 60
STEP_S = 600.0
LOOPBACK = ("0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000")


@dataclass
class Job:
    """A job in its home, and its plan's hash."""

    home: Path
    hash: str
    state: Path

    @property
    def requirements(self) -> Path:
        return self.home / "job" / "requirements.txt"

    def kept(self, name: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.home / name).read_bytes())
        return document


@dataclass
class Cluster:
    """A head, a backend with a slow line, and a user who is logged in at both."""

    ray: LocalRay
    box: Sandbox
    python: Path
    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def job(self, name: str, units: int, *, batch: int = 5, workers: int = 2) -> Job:
        data, home, state = (
            self.folder / f"{name}-data",
            self.folder / "synapse-jobs" / name,
            self.folder / "shared" / name,
        )
        for number in range(units):
            unit = data / f"{name}_{number:03}"
            unit.mkdir(parents=True)
            (unit / "image.png").write_bytes(PNG + f"{name} {number}".encode())
            (unit / "label.json").write_text(json.dumps({"n": number, "of": name}))
        size = sum(path.stat().st_size for path in data.rglob("*.*"))
        made = plan(
            name=name,
            data_collection=COLLECTION,
            sources=(SourcePlan(path=str(data)),),
            specs=tuple(spec.model_copy(update={"takes": spec.extensions}) for spec in SPECS),
            expected=Expected(units=units, files=2 * units, bytes=size),
            limits=Limits(batch_size=batch, workers=workers, settle_after_s=3),
            state=str(state),
        )
        render_job(made, home / "job")
        (home / "plan.json").write_bytes(plan_bytes(made))
        return Job(home, plan_hash(plan_bytes(made)), state)

    def export(self, name: str, **changes: Any) -> Job:
        """An export of the sandbox's project in its home."""
        home = self.folder / "synapse-jobs" / name
        made = ExportPlan(
            name=name, target="assignment", project=PROJECT, classes=ClassesPlan(order=("car", "person")),
            **{"formats": (FormatPlan(name="coco"),)} | changes,
        )  # fmt: skip
        render_job(made, home / "job")
        (home / "plan.json").write_bytes(plan_bytes(made))
        return Job(home, plan_hash(plan_bytes(made)), Path(str(made.state)))

    def run(self, *words: str, code: int, env: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            [str(self.python), *words], capture_output=True, text=True, cwd=self.folder, env=self.env | (env or {}),
            timeout=STEP_S, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
        assert "Traceback" not in done.stderr and self.box.token not in done.stdout + done.stderr
        return done.stdout

    def ask(self, script: str, *words: str, code: int = EXIT_OK) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.run(str(SCRIPTS / script), *words, "--json", code=code))
        return document

    def submit(self, job: Job, *flags: str, code: int = EXIT_OK) -> dict[str, Any]:
        return self.ask("submit.py", str(job.home), *flags, code=code)

    def status(self, job: Job, *flags: str, code: int = EXIT_OK) -> dict[str, Any]:
        return self.ask("job_status.py", str(job.home), *flags, code=code)

    def dry_run_here(self, job: Job) -> None:
        """What opens the gate too, in a tenth of the time."""
        script = str(job.home / "job" / "upload.py")
        self.run(script, "--dry-run", "--report", str(job.home / "dry_run.json"), code=EXIT_OK)

    @contextlib.contextmanager
    def slowly(self) -> Iterator[None]:
        """Files are taken so slowly that nothing is over before it can be stopped."""
        self.box.set_faults({"kind": "slow", "route": "files.put", "seconds": 1.0})
        try:
            yield
        finally:
            self.box.set_faults()

    def there(self, job: Job) -> list[str]:
        """Which data units the backend has of a job, each as often as it is there."""
        names = [str(unit["meta"]["name"]) for unit in self.box.units()]
        return sorted(name for name in names if name.startswith(f"{job.home.name}_"))

    def until(self, job: Job, count: int) -> None:
        deadline = time.monotonic() + STEP_S
        while len(self.there(job)) < count:
            assert time.monotonic() < deadline, "the upload does not get on"
            time.sleep(0.1)

    def whole(self, job: Job, units: int) -> None:
        assert self.there(job) == [f"{job.home.name}_{number:03}" for number in range(units)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    try:
        python = Path(environment("ray"))
    except LaunchError as error:
        pytest.skip(f"no environment with Ray: {error} {error.hint}")
    folder = tmp_path_factory.mktemp("cluster")
    ours: list[Running] = []
    try:
        started = LocalRay(python=python).__enter__()
    except OutOfReach as error:
        if error.code == "ray-no-room":
            pytest.skip(str(error))
        raise
    try:
        with sandboxes(folder) as start:
            box = start()
            user = folder / "user"
            config = json.loads(box.login(user).read_bytes()) | {"agent": started.agent()}
            (user / ".synapse" / "config.json").write_text(json.dumps(config))
            env = {key: value for key, value in box.env(user).items() if not key.startswith(("SYNAPSE_", "PYTHON"))}
            hosts = f"127.0.0.1,localhost,{started.host}"
            env |= {"NO_PROXY": hosts, "no_proxy": hosts, "PYTHONDONTWRITEBYTECODE": "1"}
            yield Cluster(started, box, python, folder, env)
            ours = started.processes()
    finally:
        started.__exit__(None, None, None)
    assert len(ours) > 5
    assert [each for each in ours if still_runs(each)] == [] and not started.folder.exists()


def test_it_listens_on_the_loopback_only(cluster: Cluster) -> None:
    if not Path("/proc/net/tcp").exists():
        pytest.skip("only Linux tells who listens where")
    sockets: set[str] = set()
    for each in cluster.ray.processes():
        for link in Path(f"/proc/{each.pid}/fd").iterdir():
            try:
                sockets |= set(re.findall(r"socket:\[(\d+)\]", str(link.readlink())))
            except OSError:
                continue
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    listening = [row[1].partition(":")[0] for row in rows if row[3] == "0A" and row[9] in sockets]
    assert len(listening) >= 4
    assert [address for address in listening if address not in LOOPBACK] == []


def test_a_dry_run_there_opens_the_gate_and_the_upload_arrives_once(cluster: Cluster) -> None:
    job = cluster.job("scans", 7)
    refused = cluster.submit(job, "--approve", job.hash, code=EXIT_FINDINGS)
    assert [row["code"] for row in refused["refusals"]] == ["no-dry-run"]
    dry = cluster.submit(job, "--dry-run", "--wait")["job"]
    assert (dry["status"], dry["report"]["planned"], dry["report"]["mode"]) == ("SUCCEEDED", 7, "dry-run")
    assert dry["report"]["worker"]["ray"] and dry["report"]["job_id"] == dry["job_id"]
    assert job.kept("dry_run.json") == dry["report"] and cluster.there(job) == []

    first = cluster.submit(job, "--approve", job.hash)["submission"]
    ended = cluster.status(job, "--follow")
    assert (ended["job_id"], ended["status"], ended["report"]["created"]) == (first["job_id"], "SUCCEEDED", 7)
    assert job.kept("report.json") == ended["report"]
    cluster.whole(job, 7)
    again = cluster.submit(job, "--approve", job.hash, "--wait")["job"]["report"]
    assert (again["created"], again["already"], again["files"]["sent"]) == (0, 7, 0)
    cluster.whole(job, 7)

    # The state is the plan's folder, without the files that need a disk of the worker's own.
    kept = {path.name for path in job.state.rglob("*") if path.is_file()}
    assert "report.json" in kept and not [name for name in kept if ".sqlite" in name]
    assert not (job.home / "state").exists() and not list((job.home / "job").rglob("*.pyc"))
    known = cluster.ask("job_status.py")["jobs"]
    assert first["job_id"] in [row["job_id"] for row in known if row["name"] == "scans"]


def test_a_job_that_fails_ends_as_it_did_and_its_log_survives_the_sdks_command(cluster: Cluster) -> None:
    job = cluster.job("odd", 4)
    # Square brackets are markup to `synapse script logs`: a closing tag alone ends it with a traceback.
    source = job.home.parents[1] / "odd-data"
    (source / "odd_001").rename(source / "odd_001 [x][_b]")
    cluster.dry_run_here(job)
    cluster.box.set_faults({"kind": "poison", "route": "units.create", "contains": "odd_001"})
    try:
        ended = cluster.submit(job, "--approve", job.hash, "--wait", code=EXIT_INCOMPLETE)["job"]
    finally:
        cluster.box.set_faults()
    assert (ended["status"], ended["report"]["created"], ended["report"]["failed"]) == ("FAILED", 3, 1)
    assert "odd_001 [x][_b]" in json.dumps(ended["report"]["problems"])
    assert cluster.status(job, code=EXIT_INCOMPLETE)["report"] == ended["report"]
    log = cluster.run(
        str(cluster.python.parent / "synapse"), "script", "logs", ended["job_id"], code=0, env={"COLUMNS": "80"}
    )
    plain = [line for line in re.sub(r"\x1b\[[0-9;]*m", "", log).splitlines() if "synapse-skills:" not in line]
    text = " ".join(line.strip() for line in plain)
    assert "(x)(_b)" in text and "[" not in text
    assert "3" in text and "failed" in text
    markers = [line for line in log.splitlines() if line.startswith("synapse-skills:report:")]
    assert markers and max(map(len, markers)) < 80


def test_packages_that_cannot_be_had_are_named(cluster: Cluster) -> None:
    job = cluster.job("packages", 1)
    job.requirements.write_text(job.requirements.read_text() + "pyyaml==0.0.0.1\n")
    ended = cluster.submit(job, "--dry-run", "--wait", code=EXIT_INCOMPLETE)["job"]
    assert (ended["status"], ended["report"]) == ("FAILED", None)
    assert "pyyaml==0.0.0.1" in ended["message"]
    assert "packages could not be installed" in ended["next"]
    shown = cluster.run(str(SCRIPTS / "job_status.py"), str(job.home), code=EXIT_INCOMPLETE)
    assert "pyyaml==0.0.0.1" in shown


def test_one_run_at_a_time_and_one_that_is_stopped_goes_on(cluster: Cluster) -> None:
    job = cluster.job("stopped", MANY, batch=2)
    cluster.dry_run_here(job)
    with cluster.slowly():
        running = cluster.submit(job, "--approve", job.hash)["submission"]["job_id"]
        cluster.until(job, MANY // 6)
        refused = cluster.submit(job, "--approve", job.hash, code=EXIT_FINDINGS)
        assert [row["code"] for row in refused["refusals"]] == ["already-submitted"]
        # Nor here, while the cluster's runs: the state folder is one.
        script = str(job.home / "job" / "upload.py")
        here = json.loads(cluster.run(script, "--json", code=EXIT_ENVIRONMENT))
        assert here["error"]["code"] == "already-running"
        stopped = cluster.status(job, "--stop")
    assert (stopped["job_id"], stopped["status"]) == (running, "STOPPED")
    report = stopped["report"]
    assert 0 < report["created"] < MANY and report["created"] + report["pending"] == MANY
    assert len(cluster.there(job)) == report["created"]
    last = cluster.submit(job, "--approve", job.hash, "--wait")["job"]["report"]
    assert (last["created"] + last["already"], last["already"]) == (MANY, report["created"])
    cluster.whole(job, MANY)


def test_a_job_that_is_killed_goes_on(cluster: Cluster) -> None:
    job = cluster.job("killed", MANY, batch=2)
    cluster.dry_run_here(job)
    with cluster.slowly():
        cluster.submit(job, "--approve", job.hash)
        cluster.until(job, MANY // 6)
        assert len(cluster.ray.kill_drivers()) == 1
    failed = cluster.status(job, "--follow", code=EXIT_INCOMPLETE)
    assert (failed["status"], failed["report"]) == ("FAILED", None)
    assert "It was killed" in failed["next"]
    before = len(cluster.there(job))
    assert 0 < before < MANY
    last = cluster.submit(job, "--approve", job.hash, "--wait")["job"]["report"]
    assert (last["created"] + last["already"], last["failed"]) == (MANY, 0)
    assert last["already"] >= before
    cluster.whole(job, MANY)
    assert JobHome(job.home).submissions()[0].ended is not None


def test_an_export_goes_to_a_storage_and_its_report_comes_home(cluster: Cluster) -> None:
    rows = [{"project": PROJECT, **row(number)} for number in range(12)]
    cluster.box.post("/_sandbox/label", {"records": rows})
    with s3_server():
        tree = S3Tree()
        env = {name: value for name, value in os.environ.items() if name.startswith("SYNAPSE_S3_")}
        job = cluster.export("sets", output=f"{tree.url}/sets", state=f"{tree.url}/state")

        def submit(*flags: str, code: int = EXIT_OK) -> dict[str, Any]:
            words = (str(SCRIPTS / "submit.py"), str(job.home), *flags, "--json")
            document: dict[str, Any] = json.loads(cluster.run(*words, code=code, env=env))
            return document

        refused = submit("--approve", job.hash, code=EXIT_FINDINGS)
        assert [each["code"] for each in refused["refusals"]] == ["no-dry-run", "place-not-proved", "place-not-proved"]
        dry = submit("--dry-run", "--wait")["job"]
        assert (dry["status"], dry["report"]["mode"], dry["report"]["exit_code"]) == ("SUCCEEDED", "dry-run", 0)
        # Of the output there is nothing yet; the state has its report.
        assert not [name for name in tree.keys if "/sets/" in name]
        submit("--approve", job.hash)
        ended = cluster.status(job, "--follow")
        report = ended["report"]
        assert (ended["status"], report["records"]["exported"]) == ("SUCCEEDED", 12)
        coco = report["annotations"]["formats"]["coco"]
        assert report["annotations"]["read"] == coco["written"] + sum(coco["lost"].values()) == 18
        assert job.kept("report.json") == report and report["job_id"] == ended["job_id"]
        there = json.loads(tree._backend.get_object(tree.bucket, "data/sets/coco/annotations/instances.json").value)
        assert (len(there["images"]), len(there["annotations"])) == (12, 18)
        # Another worker would find nothing to send.
        again = submit("--approve", job.hash, "--wait")["job"]["report"]
        assert [each["examples"][0][:22] for each in again["problems"] if each["code"] == "delivered"] == [
            "0 files (0 bytes) put "
        ]
        assert env["SYNAPSE_S3_SECRET_ACCESS_KEY"] not in json.dumps([dry, ended, again])


def test_an_export_to_the_workers_own_disk_needs_the_plans_word(cluster: Cluster) -> None:
    output = cluster.folder / "shared" / "own"
    cluster.box.post("/_sandbox/label", {"records": [{"project": PROJECT, **row(90)}]})
    job = cluster.export("own", output=str(output), state=str(cluster.folder / "shared" / "own-state"))
    cluster.submit(job, "--dry-run", "--wait")
    assert "output-may-not-last" in [each["code"] for each in job.kept("dry_run.json")["problems"]]
    refused = cluster.submit(job, "--approve", job.hash, code=EXIT_FINDINGS)["refusals"]
    assert [each["code"] for each in refused] == ["output-may-not-last"] and not output.exists()
    consent = cluster.export(
        "own", output=str(output), state=str(cluster.folder / "shared" / "own-state"), output_on_worker="accept"
    )
    cluster.submit(consent, "--dry-run", "--wait")
    ended = cluster.submit(consent, "--approve", consent.hash, "--wait")["job"]
    said = next(each for each in ended["report"]["problems"] if each["code"] == "output-on-worker")
    assert "kubectl cp" in said["fix"] and (output / "COMPLETE").is_file()


def test_an_export_that_all_machines_make_has_the_bytes_of_one(cluster: Cluster) -> None:
    cluster.box.post("/_sandbox/fill", {"project": PROJECT, "records": 60, "boxes": 2, "classes": ["car", "person"]})
    shared = cluster.folder / "shared"
    formats = tuple(FormatPlan(name=name) for name in ("coco", "yolo"))
    how: dict[str, Any] = {"originals": "optional", "limits": ExportLimits(page_size=10, workers=4), "formats": formats}
    there: dict[str, Any] = {"engine": "ray", "output_on_worker": "accept"}
    job = cluster.export("together", output=str(shared / "out"), state=str(shared / "out-state"), **how, **there)
    dry = cluster.submit(job, "--dry-run", "--wait")["job"]["report"]
    assert (dry["mode"], dry["exit_code"]) == ("dry-run", 0) and not (shared / "out").exists()
    ended = cluster.submit(job, "--approve", job.hash, "--wait")["job"]
    assert (ended["status"], ended["report"]["exit_code"]) == ("SUCCEEDED", 0)
    assert job.kept("report.json") == ended["report"]
    # Tasks have fetched, with the login that came with the job.
    assert list(job.state.glob("spool/*-*/*.pages"))
    alone = cluster.export("together", output=str(shared / "alone"), state=str(shared / "alone-state"), **how)
    cluster.run(str(alone.home / "job" / "export.py"), code=EXIT_OK)
    found = [
        {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (shared / "out", shared / "alone")
    ]
    assert found[0] == found[1] and len(found[0]) > 120
