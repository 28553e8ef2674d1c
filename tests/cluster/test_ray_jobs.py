"""Ray's REST API: what it says is understood, and whatever else answers is recognised, quickly, without the token."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from cluster.fake_ray import FakeRay
from synapse_skills.cluster import RayJobs
from synapse_skills.errors import OutOfReach, redact

JOB = "raysubmit_aaaa1111bbbb2222"


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


def rays(ray: FakeRay, **environ: str) -> RayJobs:
    return RayJobs(ray.url, environ=environ, seconds=0.4 if ray.odd in ("hang", "drip") else 10)


def refused(call: object) -> OutOfReach:
    with pytest.raises(OutOfReach) as caught:
        call()  # type: ignore[operator]
    assert "Traceback" not in str(caught.value) and caught.value.hint
    return caught.value


def test_a_job_is_what_ray_says_of_it_without_its_secrets(ray: FakeRay) -> None:
    ray.job(
        JOB,
        "FAILED",
        message="exit 5, tok-in-the-record-1234",
        driver_exit_code=5,
        env={"SYNAPSE_SKILLS_SUBMISSION": "t"},
    )
    info = rays(ray).info(JOB)
    assert (info.id, info.status, info.exit_code, info.tag, info.has_ended) == (JOB, "FAILED", 5, "t", True)
    assert "tok-in-the-record" not in repr(info) and 64 < (info.elapsed() or 0) < 67
    assert redact("tok-in-the-record-1234") == "***"


def test_jobs_are_listed_the_newest_first_and_drivers_are_none(ray: FakeRay) -> None:
    ray.job("raysubmit_1", start_time=1000)
    ray.job("raysubmit_2", start_time=3000, env={"SYNAPSE_SKILLS_SUBMISSION": "mine"})
    ray.job("raysubmit_3", "PENDING", start_time=None, runtime_env=None)
    assert [info.id for info in rays(ray).jobs()] == ["raysubmit_2", "raysubmit_1", "raysubmit_3"]
    found = rays(ray).by_tag("mine")
    assert found is not None and found.id == "raysubmit_2"
    assert rays(ray).by_tag("nobody's") is None


def test_logs_stop_and_version(ray: FakeRay) -> None:
    ray.job(JOB)
    ray.logs[JOB] = "line [red]\n"
    assert rays(ray).logs(JOB) == "line [red]\n"
    assert rays(ray).version() == "2.60.0"
    assert rays(ray).stop(JOB) is True
    ray.end(JOB, "STOPPED")
    assert rays(ray).stop(JOB) is False


@pytest.mark.parametrize("call", ["info", "logs", "stop"])
def test_a_job_that_ray_forgot(ray: FakeRay, call: str) -> None:
    error = refused(lambda: getattr(rays(ray), call)(JOB))
    assert error.code == "job-unknown" and "submitting again goes on" in error.hint


@pytest.mark.parametrize(
    ("odd", "code"),
    [
        ("html", "not-ray"), ("404", "not-ray"), ("nonsense", "not-ray"), ("redirect", "not-ray"),
        ("500", "dashboard-unreachable"), ("502", "dashboard-unreachable"), ("429", "dashboard-unreachable"),
        ("hang", "dashboard-unreachable"), ("drip", "dashboard-unreachable"), ("cut", "dashboard-unreachable"),
        ("401", "ray-token"), ("403", "ray-token"), ("302", "not-ray"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("call", ["version", "info", "logs", "jobs", "stop"])
def test_odd_answers_are_said_for_what_they_are(
    ray: FakeRay, odd: str, code: str, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    monkeypatch.setattr(importlib.import_module("synapse_skills.cluster.ray_jobs"), "_LOG_SECONDS", 0.4)
    ray.job(JOB)
    ray.odd = odd
    jobs = rays(ray)
    began = time.monotonic()
    error = refused(lambda: getattr(jobs, call)(*([] if call in ("version", "jobs") else [JOB])))
    assert error.code == code
    assert time.monotonic() - began < 8
    assert "<" not in str(error) and "[/red]" not in str(error)


@pytest.mark.parametrize("call", ["version", "info", "logs"])
def test_json_of_another_kind_is_not_rays(ray: FakeRay, call: str) -> None:
    ray.odd = "list"
    assert refused(lambda: getattr(rays(ray), call)(*([] if call == "version" else [JOB]))).code == "not-ray"


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    error = refused(RayJobs(f"http://127.0.0.1:{port}", environ={}).version)
    assert error.code == "dashboard-unreachable" and "refused" in str(error)


def test_no_such_host() -> None:
    assert refused(RayJobs("http://no-such-host.invalid:8265", environ={}).version).code == "dashboard-unreachable"


def test_rays_token_is_shown_only_where_it_is_asked_for(ray: FakeRay, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("ray-token-value-42\n")
    named = {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}
    open_one = rays(ray, **named)
    assert open_one.version() and not open_one.used_token
    ray.token = "ray-token-value-42"
    closed = rays(ray, **named)
    assert closed.version() and closed.used_token
    assert rays(ray, RAY_AUTH_TOKEN="ray-token-value-42", RAY_AUTH_MODE="token").version()
    for environ in ({}, {"RAY_AUTH_TOKEN": "another-token-value"}, named | {"RAY_AUTH_MODE": "disabled"}):
        error = refused(rays(ray, **environ).version)
        assert error.code == "ray-token" and "RAY_AUTH_MODE=token" in error.hint
        assert "another-token" not in str(error)
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("ray-token-value-42")
    assert rays(ray).version()


def test_a_token_with_a_line_break_is_never_quoted(ray: FakeRay) -> None:
    error = refused(rays(ray, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="first-half\nsecond-half").version)
    assert "second-half" not in str(error) and "second-half" not in error.hint
