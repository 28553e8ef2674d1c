"""job_status: what is known here and on the cluster, whatever the cluster has forgotten or can't say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import job_status as script
from cluster.fake_ray import FakeRay
from cluster.ready import TOKEN, Ready, report, write_config
from synapse_skills.cluster import Submission
from synapse_skills.cluster.submission import AgentNamed, Ending
from synapse_skills.errors import run
from synapse_skills.job.markers import marker_lines, progress_line
from synapse_skills.job.upload.command import report_lines

JOB = "raysubmit_aaaa1111bbbb2222"


@pytest.fixture
def call(ready: Ready, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def start(*arguments: str) -> Any:
        code = run(script.main, list(arguments))
        out, err = capsys.readouterr()
        assert TOKEN not in out + err and "tok-in-the-record" not in out + err and "Traceback" not in err
        return (code, json.loads(out), err) if "--json" in arguments else (code, out, err)

    return start


def submitted(ready: Ready, ray: FakeRay, **changes: Any) -> Submission:
    fields: dict[str, Any] = {
        "job_id": JOB, "dashboard": ray.url, "mode": "upload", "plan": ready.hash, "content": "c", "tag": "t-1",
        "submitted_at": "2026-11-22T01:00:00Z", "agent": AgentNamed(id=7, name="a"),
    }  # fmt: skip
    made = Submission(**fields | changes)
    ready.home.remember([made, *ready.home.submissions()])
    return made


def done(**changes: Any) -> str:
    return "\n".join([*marker_lines("report", report(**changes).model_dump(mode="json")), ""])


def test_a_running_job(call: Callable[..., Any], ready: Ready, ray: FakeRay) -> None:
    submitted(ready, ray)
    ray.job(JOB)
    ray.logs[JOB] = "sent a [/b] \x1b[31mred\x1b[0m\n" + progress_line(1247, 5000, 60, 2494, 9) + "\n"
    code, out, err = call(str(ready.home.folder))
    assert code == 0 and not err
    for part in (
        f"upload of plan {ready.hash}",
        f"{JOB}: RUNNING, 1:0",
        "1,247 of 5,000 data units",
        "sent a [/b] red",
    ):
        assert part in out
    assert "synapse-skills:progress" not in out
    code, document, _ = call(str(ready.home.job), "--json")
    assert (code, document["status"], document["done"], document["planned"]) == (0, "RUNNING", 1247, 5000)
    assert document["report"] is None and document["log_tail"] == ["sent a [/b] red"] and document["elapsed_s"] > 60


@pytest.mark.parametrize(
    ("status", "log", "code"),
    [
        ("SUCCEEDED", done(), 0),
        ("FAILED", done(exit_code=5, created=2, failed=1), 5),
        ("FAILED", done(exit_code=3, created=2, pending=1), 5),
        ("FAILED", "boom\n", 5),
        ("SUCCEEDED", "no report\n", 5),
        ("STOPPED", "", 130),
    ],
)
def test_a_job_that_has_ended_and_stays_known(
    call: Callable[..., Any], ready: Ready, ray: FakeRay, status: str, log: str, code: int
) -> None:
    submitted(ready, ray)
    ray.job(JOB, status)
    ray.logs[JOB] = log
    found, out, _ = call(JOB)
    assert found == code and f"{JOB}: {status}" in out
    assert ("3 data units planned" in out) == ("synapse-skills:report" in log)
    # Ray is started anew and knows nothing: what is written down here is still said.
    ray.jobs.clear()
    found, out, err = call(str(ready.home.folder))
    assert found == code and f"{status} when last seen" in out and "does not know this job" in err
    assert call(str(ready.home.folder), "--json")[1]["status"] == status


def test_a_job_that_ray_forgot_before_anybody_looked(call: Callable[..., Any], ready: Ready, ray: FakeRay) -> None:
    submitted(ready, ray)
    code, out, err = call(str(ready.home.folder))
    assert code == 3 and "state unknown" in out and "next: " in err
    code, document, _ = call(JOB, "--json")
    assert (code, document["status"], document["error"]["code"]) == (3, "UNKNOWN", "job-unknown")


@pytest.mark.parametrize("odd", ["500", "html", "401"])
def test_a_dashboard_out_of_reach_hides_nothing_that_is_known_here(
    call: Callable[..., Any], ready: Ready, ray: FakeRay, odd: str
) -> None:
    submitted(ready, ray)
    ray.odd = odd
    code, out, err = call(str(ready.home.folder))
    assert code == 3 and f"upload of plan {ready.hash}" in out and "error: " in err and "[/red]" not in err
    code, out, err = call()
    assert code == 3 and JOB in out and "UNKNOWN" in out and "error: " in err
    code, document, _ = call("--json")
    assert code == 3 and document["jobs"][0]["job_id"] == JOB and document["error"]["code"]


def test_all_known_jobs_here_and_there(call: Callable[..., Any], ready: Ready, ray: FakeRay, tmp_path: Path) -> None:
    submitted(ready, ray)
    submitted(ready, ray, job_id=None, tag="t-2", mode="dry-run", submitted_at="2026-11-22T02:00:00Z")
    submitted(
        ready,
        ray,
        job_id="raysubmit_old",
        tag="t-0",
        ended=Ending(status="SUCCEEDED", exit_code=0),
        submitted_at="2026-11-21T02:00:00Z",
    )
    submitted(ready, ray, job_id="raysubmit_gone", tag="t-3", submitted_at="2026-11-20T02:00:00Z")
    ray.job(JOB)
    ray.job("raysubmit_tagged", "FAILED", env={"SYNAPSE_SKILLS_SUBMISSION": "t-2"})
    ray.job(
        "raysubmit_else", "PENDING", start_time=1, env={"SYNAPSE_SKILLS_SUBMISSION": "0123456789ab-dry-run-00000000"}
    )
    ray.job("raysubmit_foreign")
    (tmp_path / "synapse-jobs" / "bad").mkdir()
    (tmp_path / "synapse-jobs" / "bad" / "submission.json").write_text("{")
    code, document, _ = call("--json")
    assert code == 0
    assert [(row["name"], row["job_id"], row["mode"], row["status"]) for row in document["jobs"]] == [
        ("scans", "raysubmit_tagged", "dry-run", "FAILED"),
        ("scans", JOB, "upload", "RUNNING"),
        ("scans", "raysubmit_old", "upload", "SUCCEEDED"),
        ("scans", "raysubmit_gone", "upload", "GONE"),
        ("", "raysubmit_else", "dry-run", "PENDING"),
    ]
    assert [each["code"] for each in document["problems"]] == ["bad-submission"]
    code, out, err = call()
    assert code == 0 and "raysubmit_foreign" not in out and "can't be read" in err
    assert len(out.splitlines()) == 6 and out.splitlines()[0].split()[:3] == ["name", "job_id", "mode"]


def test_nothing_was_ever_submitted(call: Callable[..., Any], ready: Ready, user: Path) -> None:
    code, document, _ = call("--json")
    assert (code, [(row["name"], row["status"]) for row in document["jobs"]]) == (0, [("scans", "PLANNED")])
    code, document, _ = call(str(ready.home.folder), "--json")
    assert (code, document["status"], document["done"]) == (0, "PLANNED", None) and "--approve HASH" in document["next"]
    assert ready.hash not in json.dumps(document), "an approval is of a plan that was seen"
    assert call(str(ready.home.folder), "--stop")[0] == 1
    shutil.rmtree(ready.home.folder)
    assert call()[:2] == (0, "No job was submitted from here, and the cluster lists none of ours.\n")
    write_config(user / ".synapse" / "config.json", agent=None)
    code, _, err = call()
    assert code == 3 and "synapse agent select" in err


@pytest.mark.parametrize("arguments", [["no/such/folder"], ["."], ["--follow"], ["--stop"], [""]])
def test_wrong_usage(call: Callable[..., Any], ready: Ready, arguments: list[str]) -> None:
    assert call(*arguments)[0] == 2


def test_any_number_of_ray_may_be_asked_about(call: Callable[..., Any], ready: Ready, ray: FakeRay) -> None:
    ray.job("my-own-name", "SUCCEEDED")
    ray.logs["my-own-name"] = done()
    assert call("my-own-name")[0] == 0
    assert call("raysubmit_none")[0] == 3


def test_follow_prints_what_is_new_and_the_end(call: Callable[..., Any], ready: Ready, ray: FakeRay) -> None:
    submitted(ready, ray, mode="dry-run")
    ray.job(JOB, "SUCCEEDED")
    ray.logs[JOB] = (
        "one [red]\n" + progress_line(2, 3, 60, 4, 9) + "\ntwo\n" + done(mode="dry-run", created=0, pending=3)
    )
    code, out, _ = call(str(ready.home.folder), "--follow")
    assert code == 0
    lines = out.splitlines()
    # How far it is the job says in a line of its own, for people; it is written over on a terminal only.
    assert lines[:2] == ["one [red]", "two"] and "2 of 3 data units" not in out
    assert "synapse-skills:" not in out and "dry run of scans: 3 data units planned" in out
    assert json.loads(ready.home.dry_run.read_text())["mode"] == "dry-run"
    code, document, err = call(JOB, "--follow", "--json")
    assert code == 0 and document["report"]["planned"] == 3 and "one [red]" in err


def test_stop_waits_until_it_has_stopped_and_says_what_was_done(
    call: Callable[..., Any], ready: Ready, ray: FakeRay
) -> None:
    submitted(ready, ray)
    ray.job(JOB)
    ray.slow_stop = 3
    ray.logs[JOB] = done(exit_code=130, created=1, pending=2)
    code, out, _ = call(str(ready.home.folder), "--stop")
    assert code == 0 and f"{JOB}: STOPPED" in out and "pending" in out and "Submit again" in out
    assert ("POST", f"/api/jobs/{JOB}/stop") in ray.asked
    ended = ready.home.submissions()[0].ended
    assert ended is not None and (ended.status, ended.exit_code) == ("STOPPED", 130)


def test_stop_where_there_is_nothing_to_stop(call: Callable[..., Any], ready: Ready, ray: FakeRay) -> None:
    ray.job(JOB, "SUCCEEDED")
    ray.logs[JOB] = done()
    assert call(JOB, "--stop")[0] == 0
    code, document, _ = call("raysubmit_none", "--stop", "--json")
    assert (code, document["error"]["code"]) == (3, "job-unknown")


def test_a_job_that_does_not_stop(
    call: Callable[..., Any], ready: Ready, ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import import_module

    monkeypatch.setattr(import_module("synapse_skills.cluster.status"), "_STOP_SECONDS", 0.1)
    ray.job(JOB)
    ray.slow_stop = 10_000
    code, document, _ = call(JOB, "--stop", "--json")
    assert (code, document["error"]["code"]) == (3, "stop-late")


def test_a_log_that_is_gone_leaves_the_record(
    call: Callable[..., Any], ready: Ready, ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synapse_skills.cluster.ray_jobs import RayJobs
    from synapse_skills.errors import OutOfReach

    def gone(self: RayJobs, _: str) -> str:
        raise OutOfReach("The Ray dashboard answers 500", code="dashboard-unreachable")

    monkeypatch.setattr(RayJobs, "logs", gone)
    ray.job(JOB, "FAILED", message="The machine went away.")
    code, out, _ = call(JOB)
    assert code == 5 and "The machine went away." in out and "log can't be read" in out


def test_what_was_followed_is_not_said_twice(call: Callable[..., Any], ready: Ready, ray: FakeRay) -> None:
    submitted(ready, ray)
    tail = "Job entrypoint command failed with exit code 5, last available logs (truncated to 20,000 chars):\nONCE"
    ray.job(JOB, "FAILED", driver_exit_code=5, message=tail)
    told = "\n".join(report_lines(report(exit_code=5, created=2, failed=1)))
    ray.logs[JOB] = done(exit_code=5, created=2, failed=1) + told + "\n"
    for flags in (["--follow"], []):
        code, out, _ = call(str(ready.home.folder), *flags)
        assert code == 5
        assert out.count("3 data units planned") == 1 and "ONCE" not in out
    _, document, _ = call(str(ready.home.folder), "--json")
    assert document["message"] == "Job entrypoint command failed with exit code 5"
    # Where the log is gone, what Ray has kept of it is all there is.
    ray.logs[JOB] = ""
    _, document, _ = call(str(ready.home.folder), "--json")
    assert "ONCE" in document["message"]
