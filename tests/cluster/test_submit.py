"""Submitting: the command line is never believed, no running job is lost, and the job's own result is the end's."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import submit as script
from cluster.fake_ray import FakeRay
from cluster.ready import TOKEN, Cli, Ready, report
from synapse_skills.cluster import submit_job, wait
from synapse_skills.cluster.ray_jobs import RayJobs
from synapse_skills.errors import Interrupted, OutOfReach, SkillsError, run
from synapse_skills.job.markers import marker_lines, progress_line
from synapse_skills.report import UploadReport


@pytest.fixture
def call(ready: Ready, cli: Cli, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """`call(*flags)`: the script's exit code, stdout and stderr; `call(..., "--json")`: the document instead."""

    def start(*flags: str) -> Any:
        code = run(script.main, [str(ready.home.folder), *flags])
        out, err = capsys.readouterr()
        assert TOKEN not in out + err and "Traceback" not in err
        return (code, json.loads(out), err) if "--json" in flags else (code, out, err)

    return start


def says(made: UploadReport, *before: str) -> str:
    return "\n".join([*before, *marker_lines("report", made.model_dump(mode="json")), ""])


def ends(ray: FakeRay, monkeypatch: pytest.MonkeyPatch, status: str, log: str = "", **more: Any) -> None:
    """Jobs that are submitted from now on end like this."""
    original = ray.job

    def job(job_id: str = "", first: str = "", **given: Any) -> str:
        original(job_id, first, **given)
        ray.end(job_id, status, log, **more)
        return job_id

    monkeypatch.setattr(ray, "job", job)


# --- the command line ------------------------------------------------------------------------------------------------


def test_a_job_is_submitted_and_written_down(call: Callable[..., Any], ready: Ready, cli: Cli, ray: FakeRay) -> None:
    code, out, err = call("--approve", ready.hash, "--cpus", "2", "--gpus", "1")
    assert code == 0, err
    arguments, env = cli.seen()
    assert arguments == [
        "script", "submit", str(ready.home.job / "upload.py"),
        "--requirements", str(ready.home.job / "requirements.txt"), "--cpus", "2", "--gpus", "1",
    ]  # fmt: skip
    assert (env["COLUMNS"], env["NO_COLOR"], env["RAY_RUNTIME_ENV_IGNORE_GITIGNORE"]) == ("400", "1", "1")
    assert "SYNAPSE_SKILLS_DRY_RUN" not in env
    assert "Submitted as raysubmit_0000000000000000 (upload)" in out and "--follow" in out
    document = json.loads(ready.home.submission.read_text())
    assert document["job_id"] == "raysubmit_0000000000000000" and document["earlier"] == []
    assert {key: document[key] for key in ("version", "mode", "plan", "dashboard", "agent")} == {
        "version": 1, "mode": "upload", "plan": ready.hash, "dashboard": ray.url,
        "agent": {"id": 7, "name": "local-ray"},
    }  # fmt: skip
    assert len(document["content"]) == 64 and TOKEN not in ready.home.submission.read_text()
    # And it can't be submitted a second time while it runs.
    code, document, _ = call("--approve", ready.hash, "--json")
    assert code == 1 and [each["code"] for each in document["refusals"]] == ["already-submitted"]


def test_a_dry_run_travels_as_one(
    call: Callable[..., Any], ready: Ready, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready.home.dry_run.unlink()
    for name in ("RAY_ADDRESS", "RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES", "SYNAPSE_SKILLS_DEBUG", "FORCE_COLOR"):
        monkeypatch.setenv(name, "x")
    assert call("--dry-run")[0] == 0
    _, env = cli.seen()
    assert env["SYNAPSE_SKILLS_DRY_RUN"] == "1" and env["SYNAPSE_SKILLS_SUBMISSION"].startswith(
        f"{ready.hash}-dry-run-"
    )
    assert not {"RAY_ADDRESS", "RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES", "SYNAPSE_SKILLS_DEBUG"} & set(env)


def test_rays_own_token_reaches_the_command_line_and_does_not_travel(
    call: Callable[..., Any], ready: Ready, cli: Cli, ray: FakeRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray.token = "ray-token-value-42"
    (tmp_path / "token").write_text(ray.token)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    cli.how("show-token")
    code, _, err = call("--approve", ready.hash)
    assert code == 0, err
    _, env = cli.seen()
    assert env["RAY_AUTH_MODE"] == "token" and not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(env)
    assert not Path(env["HOME"]).exists(), "the copy of the token is gone"


def test_an_upload_is_never_turned_into_a_dry_run_by_what_was_exported(
    call: Callable[..., Any], ready: Ready, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNAPSE_SKILLS_DRY_RUN", "1")
    assert call("--approve", ready.hash)[0] == 0
    assert "SYNAPSE_SKILLS_DRY_RUN" not in cli.seen()[1]


@pytest.mark.parametrize("how", ["markup-error", "silent-but-done"])
def test_a_job_that_was_made_is_found_whatever_the_command_line_says(
    call: Callable[..., Any], ready: Ready, cli: Cli, how: str
) -> None:
    cli.how(how)
    code, document, _ = call("--approve", ready.hash, "--json")
    assert code == 0 and document["submission"]["job_id"] == "raysubmit_0000000000000000"


@pytest.mark.heavy
def test_one_that_hangs_after_it_has_submitted(call: Callable[..., Any], ready: Ready, cli: Cli) -> None:
    cli.how("hang-after-post")
    began = time.monotonic()
    code, document, _ = call("--approve", ready.hash, "--timeout", "3", "--json")
    assert code == 0 and document["submission"]["job_id"] and time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("how", "exit_code", "error", "next_"),
    [
        ("silent", 3, "submit-said-nothing", "Submit again"),
        ("invented", 3, "submit-said-nothing", "Submit again"),
        ("no-ray", 3, "no-ray", "run.py submit"),
        ("too-large", 1, "package-too-large", "data out of the job"),
        ("token", 3, "ray-token", "RAY_AUTH_MODE"),
        ("hang", 3, "submit-hung", "--timeout"),
        ("something odd [/x]", 3, "submit-failed", "check_environment"),
    ],
)
def test_where_no_job_was_made_it_is_said_why_and_nothing_is_left(
    call: Callable[..., Any], ready: Ready, cli: Cli, how: str, exit_code: int, error: str, next_: str
) -> None:
    cli.how(how)
    more = ["--timeout", "1"] if how == "hang" else []
    code, document, _ = call("--approve", ready.hash, "--json", *more)
    assert (code, document["error"]["code"]) == (exit_code, error)
    assert next_ in document["error"]["hint"]
    assert not ready.home.submission.exists()


def test_a_command_line_that_is_not_there(call: Callable[..., Any], ready: Ready, cli: Cli) -> None:
    cli.script.unlink()
    assert call("--approve", ready.hash, "--json")[1]["error"]["code"] == "submit-failed"


def test_nobody_can_tell_and_then_it_stays_written_down(
    ready: Ready, cli: Cli, ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.how("silent")
    versions = RayJobs.version

    def answers_once(self: RayJobs) -> str:
        found = versions(self)
        ray.odd = "500"
        return found

    monkeypatch.setattr(RayJobs, "version", answers_once)
    with pytest.raises(OutOfReach) as caught:
        submit_job(ready.home, mode="upload", plan=ready.hash, content="c")
    assert caught.value.code == "submit-unknown"
    assert [each.job_id for each in ready.home.submissions()] == [None]


def test_only_one_submission_at_a_time(call: Callable[..., Any], ready: Ready, ray: FakeRay) -> None:
    with ready.home.held():
        code, document, _ = call("--approve", ready.hash, "--json")
    assert (code, document["error"]["code"]) == (3, "in-use") and not ray.jobs


def test_a_look_in_the_middle_of_a_submission_loses_nothing(
    ready: Ready, cli: Cli, ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import import_module

    from synapse_skills.cluster import status

    module = import_module("synapse_skills.cluster.submit")
    original = module._run

    def looked_at(*arguments: Any) -> Any:
        with pytest.raises(SkillsError):  # nothing is there yet, and so it is forgotten
            status.find(str(ready.home.folder))
        return original(*arguments)

    monkeypatch.setattr(module, "_run", looked_at)
    submit_job(ready.home, mode="upload", plan=ready.hash, content="c")
    assert [each.job_id for each in ready.home.submissions()] == ["raysubmit_0000000000000000"]


@pytest.mark.parametrize("made", [True, False])
def test_killed_while_submitting_the_job_is_not_lost(
    ready: Ready, cli: Cli, ray: FakeRay, monkeypatch: pytest.MonkeyPatch, made: bool
) -> None:
    from importlib import import_module

    def killed(*_: object) -> None:
        tag = ready.home.submissions()[0].tag  # written down before anything was sent
        if made:
            ray.job("raysubmit_lost", env={"SYNAPSE_SKILLS_SUBMISSION": tag})
        raise KeyboardInterrupt

    monkeypatch.setattr(import_module("synapse_skills.cluster.submit"), "_run", killed)
    with pytest.raises(Interrupted, match="while the job was being submitted"):
        submit_job(ready.home, mode="upload", plan=ready.hash, content="c")
    from synapse_skills.cluster import status

    if made:
        assert status.find(str(ready.home.folder)).job_id == "raysubmit_lost"
        assert ready.home.submissions()[0].job_id == "raysubmit_lost"
    else:
        with pytest.raises(SkillsError, match="it never began"):
            status.find(str(ready.home.folder))
        assert ready.home.submissions() == []


# --- waiting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "driver", "said", "code"),
    [
        ("SUCCEEDED", 0, report(), 0),
        ("FAILED", 5, report(exit_code=5, created=2, failed=1), 5),
        ("FAILED", 3, report(exit_code=3, created=1, pending=2), 3),
        ("STOPPED", None, report(exit_code=130, created=1, pending=2), 130),
        ("FAILED", 1, report(), 5),  # it says that all is well, and failed afterwards
        ("FAILED", 1, None, 5),
        ("SUCCEEDED", 0, None, 5),
        ("STOPPED", None, None, 130),
    ],
)
def test_wait_ends_as_the_job_did(
    call: Callable[..., Any], ready: Ready, ray: FakeRay, monkeypatch: pytest.MonkeyPatch,
    status: str, driver: int | None, said: UploadReport | None, code: int,
) -> None:  # fmt: skip
    ends(ray, monkeypatch, status, says(said, "hello [red]x[/nope]") if said else "hello\n", driver_exit_code=driver)
    found, out, err = call("--approve", ready.hash, "--wait")
    assert found == code, err
    assert "hello" in err and "synapse-skills:" not in out + err
    assert ("3 data units planned" in out) == (said is not None)
    assert ("next: " in out) == (code != 0)
    ended = ready.home.submissions()[0].ended
    assert ended is not None and (ended.status, ended.exit_code) == (status, code)
    assert ready.home.report.exists() == (said is not None)


def test_packages_that_could_not_be_installed(
    call: Callable[..., Any], ready: Ready, ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = "runtime_env setup failed: Failed to set up runtime environment.\nNo module named pip " + TOKEN
    ends(ray, monkeypatch, "FAILED", "", message=message, error_type="RUNTIME_ENV_SETUP_FAILURE")
    code, out, _ = call("--approve", ready.hash, "--wait")
    assert code == 5
    assert "Ray says: runtime_env setup failed" in out and "could not be installed" in out and "pip" in out


def test_a_dry_run_brought_home_opens_the_gate(
    call: Callable[..., Any], ready: Ready, ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synapse_skills.job.content import content_hash

    ready.home.dry_run.unlink()
    assert call("--approve", ready.hash, "--json")[1]["refusals"][0]["code"] == "no-dry-run"
    made = report(mode="dry-run", created=0, pending=3, content=content_hash(ready.home.job), job_id="raysubmit_0")
    ends(ray, monkeypatch, "SUCCEEDED", says(made))
    code, document, err = call("--dry-run", "--wait", "--json")
    assert (code, document["status"], document["job"]["report"]["planned"]) == (0, "ended", 3) and not err
    assert json.loads(ready.home.dry_run.read_text())["mode"] == "dry-run" and not ready.home.report.exists()
    code, document, _ = call("--approve", ready.hash, "--json")
    assert code == 0 and "source-must-be-there" not in [each["code"] for each in document["warnings"]]
    assert [each.mode for each in ready.home.submissions()] == ["upload", "dry-run"]


def test_a_report_of_which_lines_are_missing_is_said(
    call: Callable[..., Any], ready: Ready, ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends(ray, monkeypatch, "SUCCEEDED", "\n".join(says(report()).splitlines()[1:]))
    code, out, _ = call("--approve", ready.hash, "--wait")
    assert code == 5 and "lines of it are missing" in out


@pytest.mark.heavy
def test_the_wait_may_be_over_before_the_job(call: Callable[..., Any], ready: Ready, ray: FakeRay) -> None:
    code, document, _ = call("--approve", ready.hash, "--wait", "--timeout", "2", "--json")
    assert (code, document["error"]["code"]) == (3, "wait-timeout")
    assert "--follow" in document["error"]["hint"] and "--stop" in document["error"]["hint"]
    assert ray.jobs["raysubmit_0000000000000000"]["status"] == "PENDING"


def test_interrupting_the_wait_leaves_the_job_running(
    call: Callable[..., Any], ready: Ready, ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import import_module

    clock = SimpleNamespace(sleep=_interrupt, monotonic=time.monotonic)
    monkeypatch.setattr(import_module("synapse_skills.cluster.ending"), "time", clock)
    code, _, err = call("--approve", ready.hash, "--wait")
    assert code == 130 and "goes on" in err and "--stop" in err
    assert not [path for method, path in ray.asked if path.endswith("/stop")]
    assert ready.home.submissions()[0].job_id == "raysubmit_0000000000000000"


def _interrupt(_: float) -> None:
    raise KeyboardInterrupt


def test_new_lines_come_once_each_and_progress_apart(ray: FakeRay) -> None:
    job_id = ray.job()
    lines: list[str] = []
    progress: list[int] = []
    steps = iter(
        [
            "first\nhalf of a li",
            "first\nhalf of a line\n" + progress_line(1, 3, 2, 2, 10) + "\n",
            "first\nhalf of a line\n" + progress_line(1, 3, 2, 2, 10) + "\n\x1b[31mred\x1b[0m\x07 [/x] "
            + TOKEN[:0] + "end\n" + progress_line(3, 3, 4, 6, 30) + "\n" + says(report()),
        ]
    )  # fmt: skip
    original = RayJobs.logs

    class Stepping(RayJobs):
        def logs(self, asked: str) -> str:
            text = next(steps, None)
            if text is None:
                ray.end(asked, "SUCCEEDED")
            else:
                ray.logs[asked] = text
            return original(self, asked)

    ended = wait(
        Stepping(ray.url, environ={}), job_id, on_line=lines.append, on_progress=lambda said: progress.append(said.done)
    )
    assert lines == ["first", "half of a line", "red\\x07 [/x] end"]
    assert progress == [1, 3] and ended.report is not None and ended.exit_code == 0
    assert ended.log_tail[-1] == "red\\x07 [/x] end"


def test_a_dashboard_that_is_away_for_a_moment_does_not_end_the_wait(
    ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = ray.job(status="SUCCEEDED")
    ray.odd = "500"
    looks = 0
    original = RayJobs.info

    def info(self: RayJobs, asked: str) -> Any:
        nonlocal looks
        looks += 1
        if looks == 3:
            ray.odd = None
        return original(self, asked)

    monkeypatch.setattr(RayJobs, "info", info)
    assert wait(RayJobs(ray.url, environ={}), job_id).info.status == "SUCCEEDED"
    ray.odd, looks = "500", 3
    with pytest.raises(OutOfReach, match="answers 500"):
        wait(RayJobs(ray.url, environ={}), job_id, patience=0.1)


def test_a_job_that_vanishes_while_waiting_is_said_at_once(ray: FakeRay) -> None:
    with pytest.raises(OutOfReach) as caught:
        wait(RayJobs(ray.url, environ={}), "raysubmit_gone")
    assert caught.value.code == "job-unknown"


# --- the script ------------------------------------------------------------------------------------------------------


def test_refusals_are_all_shown_and_nothing_is_submitted(call: Callable[..., Any], ready: Ready, ray: FakeRay) -> None:
    (ready.home.job / ".env").write_text("A=1")
    code, out, err = call("--approve", "0123456789ab")
    assert code == 1 and not out
    for part in ("refused: not-approved", "refused: dry-run-stale", "refused: secret-in-job", "next: "):
        assert part in err
    assert not ray.jobs and not ready.home.submission.exists()


@pytest.mark.parametrize(
    "flags",
    [[], ["--wait"], ["--approve", "x", "--timeout", "0"], ["--dry-run", "--cpus", "-1"], ["--dry-run", "--gpus", "x"]],
)
def test_wrong_usage(ready: Ready, flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code: Any = run(script.main, [str(ready.home.folder), *flags])
    except SystemExit as ended:
        code = ended.code
    assert code == 2


def test_there_is_no_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(script.main, [str(tmp_path), "--dry-run"]) == 2
    assert "no job" in capsys.readouterr().err


def test_the_real_command_line_is_found() -> None:
    import subprocess
    from importlib import import_module

    command = import_module("synapse_skills.cluster.submit").cli_command()
    done = subprocess.run(
        [*command, "script", "submit", "--help"],
        capture_output=True,
        text=True,
        env={"COLUMNS": "200", "PATH": "", "HOME": "/nonexistent"},
        check=False,
    )
    assert done.returncode == 0 and "--requirements" in done.stdout and "--gpus" in done.stdout


def test_of_pips_pages_its_errors_are_shown(
    call: Callable[..., Any], ready: Ready, ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (
        "Failed to set up runtime environment.\nWARNING: somewhere\nERROR: Ignored the following yanked versions: 1\n"
    )
    page += "ERROR: Could not find a version that satisfies the requirement nope==9 (from versions: 1.0, 2.0)\n"
    page += "ERROR: No matching distribution found for nope==9\n"
    ends(ray, monkeypatch, "FAILED", "", driver_exit_code=None, message=page)
    code, out, _ = call("--approve", ready.hash, "--wait")
    assert code == 5
    said = next(line for line in out.splitlines() if "Ray says" in line)
    assert said == (
        "  Ray says: ERROR: Could not find a version that satisfies the requirement nope==9 "
        "ERROR: No matching distribution found for nope==9"
    )
