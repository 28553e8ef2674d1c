"""What a job knows of where it runs."""

from __future__ import annotations

import json

import pytest

from job_fixture import Job
from synapse_skills.job import worker
from synapse_skills.job.content import content_hash
from synapse_skills.job.markers import read_markers


def test_the_job_id_comes_from_what_ray_gives_the_driver():
    given = json.dumps({"runtime_env": {}, "metadata": {"job_submission_id": "raysubmit_abc"}})
    assert worker.job_id({worker.RAY_JOB: given}) == "raysubmit_abc"
    assert worker.is_remote({worker.RAY_JOB: given})


@pytest.mark.parametrize("given", ["", "{", "[]", "null", '{"metadata": 1}', '{"metadata": {}}'])
def test_what_is_no_job_has_no_id(given):
    assert worker.job_id({worker.RAY_JOB: given}) is None


def test_outside_of_ray_a_job_is_remote_only_when_told():
    assert not worker.is_remote({})
    assert not worker.is_remote({worker.MARKERS: "0"})
    assert worker.is_remote({worker.MARKERS: "1"})


def test_the_report_names_python_and_sdk_and_no_host():
    found = worker.worker()
    assert found["python"].startswith("3.")
    assert found["synapse-sdk"]
    assert "host" not in found


def test_a_job_that_is_read_from_a_log_says_its_report_there(tmp_path, sandbox):
    job = Job(tmp_path / "job", sandbox)
    job.units(2)
    done = job.run("--dry-run", SYNAPSE_SKILLS_MARKERS="1")
    log = "\n".join(f"(pid=7) {line}" for line in done.stdout.splitlines())
    report = read_markers(log).last("report")
    assert report is not None
    assert (report["planned"], report["mode"], report["exit_code"]) == (2, "dry-run", 0)
    assert report["content"] == content_hash(job.job)
    assert "[" not in done.stdout + done.stderr
    assert read_markers(job.run("--dry-run").stdout) == {}
