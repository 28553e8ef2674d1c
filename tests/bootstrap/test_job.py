"""`run.py job`: an upload runs only with the hash of the plan that was shown, or as a dry run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from bootstrap.mini import Mini
from launcher import jobs
from launcher.messages import LaunchError

PLAN = b'{"name": "photos"}\n'
HASH = hashlib.sha256(PLAN).hexdigest()[:12]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return rendered(tmp_path / "synapse-jobs" / "photos", "upload.py")


def rendered(home: Path, script: str) -> Path:
    (home / "job").mkdir(parents=True)
    (home / "plan.json").write_bytes(PLAN)
    (home / "job" / "plan.json").write_bytes(PLAN)
    (home / "job" / script).write_text('"""A job."""\nimport sys, json\nprint(json.dumps([__file__, *sys.argv[1:]]))\n')
    return home


def refused(arguments: list[str]) -> LaunchError:
    with pytest.raises(LaunchError) as caught:
        jobs.prepare(arguments)
    return caught.value


@pytest.mark.parametrize("approval", [["--approve", HASH], [f"--approve={HASH}"], ["--approve", HASH.upper()]])
def test_approved_upload_runs_and_never_sees_the_approval(home: Path, approval: list[str]) -> None:
    assert jobs.prepare([str(home), "--limit", "3", *approval, "--json"]) == [
        str(home / "job" / "upload.py"), "--limit", "3", "--json",
    ]  # fmt: skip


def test_the_job_folder_itself_will_do(home: Path) -> None:
    assert jobs.prepare([str(home / "job"), "--dry-run"]) == [str(home / "job" / "upload.py"), "--dry-run"]


def test_nobody_agreed(home: Path) -> None:
    error = refused([str(home)])
    assert (error.exit_code, error.code) == (1, "not-approved")
    # The hash comes from a plan that the user has seen, never from an error.
    assert HASH not in f"{error} {error.hint}"
    assert "Show the user the plan" in error.hint
    assert "--dry-run" in error.hint


def test_agreed_to_another_plan(home: Path) -> None:
    error = refused([str(home), "--approve", "0123456789ab"])
    assert (error.exit_code, error.code) == (1, "not-approved")
    assert "0123456789ab is not for this plan" in str(error) and HASH not in f"{error} {error.hint}"


def test_a_wrong_approval_is_refused_with_dry_run_too(home: Path) -> None:
    assert refused([str(home), "--dry-run", "--approve", "0123456789ab"]).exit_code == 1


@pytest.mark.parametrize("arguments", [["--approve"], ["--approve="], ["--limit", "1", "--approve"]])
def test_approval_without_a_hash(home: Path, arguments: list[str]) -> None:
    assert refused([str(home), *arguments]).exit_code == 2


@pytest.mark.parametrize(
    "arguments", [["--state=--dry-run"], ["--", "--dry-run"], ["--dry"], ["--dry-runs"], ["--", "--approve", HASH]]
)
def test_what_only_looks_like_a_dry_run_is_none(home: Path, arguments: list[str]) -> None:
    assert refused([str(home), *arguments]).code == "not-approved"


@pytest.mark.parametrize("arguments", [["--approve", HASH], ["--dry-run"]])
def test_rendered_from_another_plan(home: Path, arguments: list[str]) -> None:
    (home / "plan.json").write_bytes(PLAN.replace(b"photos", b"scans"))
    error = refused([str(home), *arguments])
    assert (error.exit_code, error.code) == (1, "plan-changed")
    assert "run.py render" in error.hint


def test_a_plan_edited_in_the_job_alone_needs_approval_again(home: Path) -> None:
    (home / "plan.json").unlink()
    (home / "job" / "plan.json").write_bytes(PLAN + b"\n")
    assert refused([str(home), "--approve", HASH]).code == "not-approved"


def test_a_copied_job_folder_has_no_neighbours(home: Path, tmp_path: Path) -> None:
    """Somebody else's plan.json beside it isn't the one that it was rendered from."""
    (home / "job").rename(tmp_path / "copied")
    (tmp_path / "plan.json").write_text("{}")
    assert jobs.prepare([str(tmp_path / "copied"), "--dry-run"])[1:] == ["--dry-run"]


def test_no_plan_beside_the_script(home: Path) -> None:
    (home / "job" / "plan.json").unlink()
    assert (refused([str(home), "--dry-run"]).exit_code, refused([str(home)]).code) == (1, "no-plan")


@pytest.mark.parametrize("arguments", [[], ["--dry-run"], ["/nowhere/at/all"]])
def test_no_job(arguments: list[str]) -> None:
    assert refused(arguments).exit_code == 2


def test_an_export_needs_no_approval_but_checks_one(tmp_path: Path) -> None:
    home = rendered(tmp_path / "export", "export.py")
    assert jobs.prepare([str(home), "--output", "out"]) == [str(home / "job" / "export.py"), "--output", "out"]
    assert refused([str(home), "--approve", "0123456789ab"]).exit_code == 1


def test_for_real(mini: Mini) -> None:
    home = rendered(mini.folder / "synapse-jobs" / "photos", "upload.py")
    before = sorted(home.rglob("*"))
    ran = mini.run("job", "synapse-jobs/photos", "--approve", HASH, "--workers", "2")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [str(home / "job" / "upload.py"), "--workers", "2"]
    assert sorted(home.rglob("*")) == before, "job/ holds only what ships: no bytecode"

    not_agreed = mini.run("job", "synapse-jobs/photos", "--json")
    assert not_agreed.returncode == 1
    assert json.loads(not_agreed.stdout)["error"]["code"] == "not-approved"


def test_help_names_flags_and_exit_codes(bare: Mini) -> None:
    shown = bare.run("job", "--help")
    assert shown.returncode == 0
    for flag in (
        "--approve", "--dry-run", "--limit N", "--workers N", "--state DIR", "--fresh", "--retry-failed",
        "--retry-unknown", "--report FILE", "--json",
    ):  # fmt: skip
        assert flag in shown.stdout
    assert "130  interrupted" in shown.stdout
    assert shown.stderr == ""
