"""The gate: a good job passes, everything that speaks against one is named at once with what mends it."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

from cluster.fake_ray import FakeRay
from cluster.ready import TOKEN, Ready, report, write_config
from synapse_skills.cluster import Gate, Submission, gate
from synapse_skills.cluster.submission import AgentNamed, Ending
from synapse_skills.rendering import render_job


def codes(found: Gate) -> list[str]:
    for each in [*found.refusals, *found.warnings]:
        assert each.message and each.fix.endswith(".")
    return [each.code for each in found.refusals]


def refusals(ready: Ready, **more: object) -> list[str]:
    return codes(gate(ready.home, **{"approve": ready.hash, "dry_run": False} | more))  # type: ignore[arg-type]


def message(ready: Ready, code: str, *, dry_run: bool = False) -> str:
    found = gate(ready.home, approve=ready.hash, dry_run=dry_run)
    return next(each.message + " " + each.fix for each in [*found.refusals, *found.warnings] if each.code == code)


def warnings(ready: Ready) -> list[str]:
    found = gate(ready.home, approve=ready.hash, dry_run=False)
    assert found.open, found.refusals
    return [each.code for each in found.warnings]


def test_a_good_job_passes(ready: Ready) -> None:
    found = gate(ready.home, approve=ready.hash, dry_run=False)
    assert codes(found) == [] and found.open and found.exit_code == 0
    assert found.plan == ready.hash and len(found.content) == 64 and 0 < found.size < 2 << 20
    assert {each.code for each in found.warnings} == {"token-in-job-record", "source-must-be-there"}
    assert found.agent is not None and found.agent.name == "local-ray"


def test_the_whole_library_ships_without_a_word_against_it(ready: Ready) -> None:
    render_job(ready.plan, ready.home.job)
    ready.dry_run()
    found = gate(ready.home, approve=ready.hash, dry_run=False)
    assert codes(found) == [] and 100_000 < found.size < 2 << 20


def test_nothing_is_sent_or_written(ready: Ready, ray: FakeRay) -> None:
    before = sorted(str(path) for path in ready.home.folder.rglob("*"))
    gate(ready.home, approve=ready.hash, dry_run=False)
    assert {method for method, _ in ray.asked} == {"GET"}
    assert sorted(str(path) for path in ready.home.folder.rglob("*")) == before


def test_a_dry_run_needs_neither_approval_nor_dry_run_nor_state(ready: Ready) -> None:
    ready.change(state=None)
    ready.home.dry_run.unlink()
    assert refusals(ready, approve=None, dry_run=True) == []
    assert refusals(ready, approve="000000000000", dry_run=True) == ["not-approved"]


def test_all_refusals_come_at_once(ready: Ready, user: Path, ray: FakeRay, monkeypatch: pytest.MonkeyPatch) -> None:
    ready.change(state=None, sources=[{"path": "s3://bucket/scans"}])
    (ready.home.job / "requirements.txt").write_text("synapse-sdk\n")
    (ready.home.job / ".gitignore").write_text("*.jsonl\n")
    (ready.home.job / ".env").write_text("A=1")
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    write_config(user / ".synapse" / "config.json", access_token=None, agent=None)
    assert sorted(refusals(ready, approve=None)) == sorted(
        [
            "not-approved", "dry-run-stale", "secret-in-job", "ignore-file-in-job", "not-pinned", "state-not-set",
            "no-login", "source-login-stays-home", "no-ray", "no-agent",
        ]
    )  # fmt: skip


# --- the plan and its approval ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("approve", [None, "0123456789ab", ""])
def test_nobody_agreed_to_this_plan(ready: Ready, approve: str | None) -> None:
    assert refusals(ready, approve=approve) == ["not-approved"]
    # What was not agreed to is not handed out as if it were.
    assert ready.hash not in message_for(ready, approve)


def message_for(ready: Ready, approve: str | None) -> str:
    return gate(ready.home, approve=approve, dry_run=False).refusals[0].fix


def test_upper_case_is_the_same_hash(ready: Ready) -> None:
    assert refusals(ready, approve=ready.hash.upper()) == []


@pytest.mark.parametrize("spoil", ["changed", "gone"])
def test_another_plan_at_home(ready: Ready, spoil: str) -> None:
    path = ready.home.folder / "plan.json"
    path.write_text(path.read_text() + "\n") if spoil == "changed" else path.unlink()
    assert refusals(ready) == ["plan-changed"]


@pytest.mark.parametrize(("spoil", "code"), [("gone", "no-plan"), ("broken", "bad-plan")])
def test_no_plan_in_the_job(ready: Ready, spoil: str, code: str) -> None:
    path = ready.home.job / "plan.json"
    path.unlink() if spoil == "gone" else path.write_text("{")
    assert refusals(ready)[0] == code


# --- the dry run -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spoil", ["none", "broken", "upload"])
def test_no_dry_run(ready: Ready, spoil: str) -> None:
    if spoil == "none":
        ready.home.dry_run.unlink()
    elif spoil == "broken":
        ready.home.dry_run.write_text("[1")
    else:
        ready.dry_run(mode="upload", created=3, pending=0)
    assert refusals(ready) == ["no-dry-run"]
    assert "--dry-run" in message(ready, "no-dry-run")


@pytest.mark.parametrize("spoil", ["script", "library", "left_out", "new file", "no hash"])
def test_a_dry_run_of_another_content(ready: Ready, spoil: str) -> None:
    job = ready.home.job
    if spoil == "no hash":
        ready.dry_run(content=None)
    else:
        path = {"script": "upload.py", "library": "synapse_skills/errors.py", "left_out": "left_out.jsonl"}.get(
            spoil, "x"
        )
        with (job / path).open("a") as stream:
            stream.write("\n")
    assert refusals(ready) == ["dry-run-stale"]


def test_what_a_run_leaves_behind_makes_no_dry_run_stale(ready: Ready) -> None:
    (ready.home.job / "synapse_skills" / "__pycache__").mkdir()
    (ready.home.job / "synapse_skills" / "__pycache__" / "x.pyc").write_text("x")
    assert refusals(ready) == []


def test_a_dry_run_with_findings(ready: Ready) -> None:
    ready.dry_run(exit_code=1, problems=[{"code": "empty-file", "count": 2, "severity": "error"}])
    assert refusals(ready) == ["dry-run-not-clean"]
    assert "exit code 1; empty-file × 2" in message(ready, "dry-run-not-clean")


def test_a_dry_run_of_nothing(ready: Ready) -> None:
    ready.dry_run(planned=0, pending=0)
    assert refusals(ready) == ["dry-run-empty"]


def test_a_later_dry_run_in_the_state_folder_counts(ready: Ready) -> None:
    good = ready.home.dry_run.read_text()
    state = ready.home.folder / "state"
    state.mkdir()
    ready.dry_run(exit_code=1)
    (state / "report.json").write_text(good.replace("T01:00", "T02:00"))
    assert refusals(ready) == []
    (state / "report.json").write_text(good.replace("T01:00", "T00:00"))
    assert refusals(ready) == ["dry-run-not-clean"]


def test_one_that_ran_on_the_cluster_settles_where_the_sources_are(ready: Ready) -> None:
    ready.dry_run(job_id="raysubmit_x")
    assert "source-must-be-there" not in warnings(ready)


# --- what ships ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("upload.py", f'TOKEN = "{TOKEN}"\n', "your Synapse access token"),
        ("notes.txt", "env-user-token-98765", "user token (from the environment)"),
        ("notes.txt", "db-pass-word-1", "the value of DB_PASSWORD"),
        ("notes.txt", "agent-token-1234", "the agent's token"),
        ("notes.txt", "-----BEGIN RSA PRIVATE " + "KEY-----\nabc", "a private key"),
        ("notes.txt", "AKIA" + "ABCDEFGHIJKLMNOP", "an AWS access key id"),
        ("notes.txt", "ghp_" + "a" * 36, "a GitHub token"),
        ("notes.txt", "s3 at https://me:hunter22@example.com/x", "a password in an address"),
        (".env", "", "a file that usually holds secrets"),
        ("sub/prod.env", "", "a file that usually holds secrets"),
        (".netrc", "", "a file that usually holds secrets"),
        ("credentials.json", "{}", "a file that usually holds secrets"),
        ("id_rsa", "", "a file that usually holds secrets"),
    ],
)
def test_a_secret_is_named_by_file_and_kind_only(
    ready: Ready, user: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, kind: str
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "db-pass-word-1")
    monkeypatch.setenv("SYNAPSE_PLUGIN_RUN_USER_TOKEN", "env-user-token-98765")
    write_config(
        user / ".synapse" / "config.json",
        agent={"id": 7, "name": "a", "url": "http://127.0.0.1:1", "token": "agent-token-1234"},
    )
    path = ready.home.job / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    ready.dry_run()
    assert refusals(ready) == ["secret-in-job"]
    said = message(ready, "secret-in-job")
    assert f"{name}: " in said and kind in said
    assert not text.strip() or len(text) < 8 or text.strip() not in said
    for secret in (TOKEN, "env-user-token", "db-pass-word", "hunter22", "AKIAABC"):
        assert secret not in said


def test_a_secret_across_the_edge_of_two_reads_is_found(ready: Ready) -> None:
    (ready.home.job / "big.jsonl").write_bytes(b"x" * ((1 << 20) - 9) + TOKEN.encode() + b"y" * 100)
    ready.dry_run()
    assert refusals(ready) == ["secret-in-job"]


def test_harmless_variables_are_no_secrets(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_TOKEN", "synapse")
    monkeypatch.setenv("API_KEY_FILE", "synapse_skills")
    monkeypatch.setenv("TOKEN_PATH", "synapse_skills")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "synapse_skills")
    monkeypatch.setenv("MY_SECRET", "00000000")
    assert refusals(ready) == []


def test_larger_than_rays_dashboard_takes(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("synapse_skills.cluster.package"), "MOST_BYTES", 2 << 20)
    path = ready.home.job / "metadata.jsonl"
    path.write_bytes(b"0" * (1 << 20))
    ready.dry_run()
    assert refusals(ready) == []
    # Ray doesn't compress: zeros take as much as anything else.
    path.write_bytes(b"0" * (3 << 20))
    ready.dry_run()
    assert refusals(ready) == ["package-too-large"]
    assert "metadata.jsonl (3 MiB)" in message(ready, "package-too-large")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("synapse-sdk\n", "line 1 is not name==version"),
        ("synapse-sdk>=2026.2\n", "line 1"),
        ("synapse-sdk==2026.*\n", "line 1"),
        ("synapse-sdk==2026.2.17\n--extra-index-url http://x/\n", "line 2"),
        ("synapse-sdk==2026.2.17\ngit+https://example.com/x.git\n", "line 2"),
        ("aiohttp==3.14.5\n", "synapse-sdk is not in it"),
        ("", "synapse-sdk is not in it"),
        (None, "there is no requirements.txt"),
    ],
)
def test_requirements_must_be_pinned(ready: Ready, text: str | None, wrong: str) -> None:
    path = ready.home.job / "requirements.txt"
    path.unlink() if text is None else path.write_text(text)
    ready.dry_run()
    assert refusals(ready) == ["not-pinned"]
    assert wrong in message(ready, "not-pinned")


def test_pinned_in_other_ways_will_do(ready: Ready) -> None:
    (ready.home.job / "requirements.txt").write_text(
        "# ours\nSynapse_SDK[all] == 2026.2.17  # pinned\n\njsonschema-rs==0.30.0 ; python_version >= '3.12'\n"
    )
    ready.dry_run()
    assert refusals(ready) == []


@pytest.mark.parametrize("name", [".gitignore", "synapse_skills/.gitignore", "synapse_skills/.rayignore", ".rayignore"])
def test_a_file_that_hides_others(ready: Ready, name: str) -> None:
    (ready.home.job / name).write_text("*.jsonl\n")
    ready.dry_run()
    assert refusals(ready) == ["ignore-file-in-job"]
    assert name in message(ready, "ignore-file-in-job")


def test_an_ignore_file_above_does_not_count(ready: Ready) -> None:
    # Ray reads those of the shipped folder and below, none above.
    (ready.home.folder / ".gitignore").write_text("*\n")
    (ready.home.folder.parent / ".gitignore").write_text("*\n")
    assert refusals(ready) == []


def test_a_link(ready: Ready) -> None:
    (ready.home.job / "data").symlink_to("/")
    assert refusals(ready)[0] == "link-in-job"


def test_a_file_that_nobody_may_read(ready: Ready) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (ready.home.job / "left_out.jsonl").chmod(0)
    assert "job-not-readable" in refusals(ready)


# --- the state -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "code"),
    [(None, "state-not-set"), ("https://example.com/state", "state-not-supported"), ("state", "state-not-absolute")],
)
def test_a_state_that_would_not_outlive_the_worker(ready: Ready, state: str | None, code: str) -> None:
    ready.change(state=state)
    assert refusals(ready) == [code]
    assert "plan_upload --set state=" in message(ready, code)


@pytest.mark.parametrize("where", ["home", "job", "tmp", "tmp/../tmp/x"])
def test_a_state_that_the_cluster_may_not_have_is_warned_of(
    ready: Ready, user: Path, tmp_path: Path, where: str
) -> None:
    root = {"home": user, "job": ready.home.job}.get(where, tmp_path / where)
    ready.change(state=str(root / "state"))
    assert "state-may-not-last" in warnings(ready)


# --- the login and the cluster ---------------------------------------------------------------------------------------


def test_a_user_token_in_the_config_does_not_travel(ready: Ready, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = user / ".synapse" / "config.json"
    write_config(config, access_token=None, user_token="user-token-0123456789", tenant="acme")
    assert refusals(ready) == ["login-stays-home"]
    said = message(ready, "login-stays-home")
    assert "SYNAPSE_PLUGIN_RUN_USER_TOKEN and SYNAPSE_PLUGIN_RUN_TENANT" in said and "user-token-0123" not in said
    monkeypatch.setenv("SYNAPSE_PLUGIN_RUN_USER_TOKEN", "user-token-0123456789")
    assert "Set SYNAPSE_PLUGIN_RUN_TENANT for" in message(ready, "login-stays-home")
    monkeypatch.setenv("SYNAPSE_PLUGIN_RUN_TENANT", "acme")
    assert refusals(ready) == []


def test_what_else_travels_and_looks_secret_is_named(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNAPSE_BUCKET_SECRET", "very-secret-value")
    monkeypatch.setenv("OTHER_SECRET", "stays-at-home-value")
    said = message(ready, "token-in-job-record")
    assert "SYNAPSE_BUCKET_SECRET" in said and "OTHER_SECRET" not in said and "very-secret" not in said


def test_a_backend_on_this_machine_for_a_cluster_elsewhere(ready: Ready, user: Path) -> None:
    assert "backend-is-local" not in warnings(ready)
    write_config(user / ".synapse" / "config.json", agent={"id": 1, "name": "far", "url": "http://no-such.invalid"})
    found = gate(ready.home, approve=ready.hash, dry_run=False)
    assert "backend-is-local" in [each.code for each in found.warnings]
    assert codes(found) == ["dashboard-unreachable"] and found.exit_code == 3


KEYS = {"SYNAPSE_S3_ACCESS_KEY_ID": "a-key", "SYNAPSE_S3_SECRET_ACCESS_KEY": "a-canary-secret-9"}


@pytest.mark.parametrize("path", ["s3://bucket/x", "gs://bucket/x", "sftp://me@host/x", "smb://host/share/x"])
def test_sources_whose_login_stays_home(ready: Ready, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # What is found here does not help there.
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "here")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "only-here")
    ready.change(sources=[{"path": path}])
    assert refusals(ready) == ["source-login-stays-home"]
    assert "SYNAPSE_" in message(ready, "source-login-stays-home")


@pytest.mark.parametrize("path", ["az://container/x", "ftp://host/x", "s3://key:secret@bucket/x", "s3://bucket/../x"])
def test_sources_that_no_job_can_read(ready: Ready, path: str) -> None:
    ready.change(sources=[{"path": path}])
    code = next(code for code in refusals(ready) if code != "secret-in-job")
    assert code in ("source-not-supported", "source-secret", "source-outside")
    assert "secret@" not in message(ready, code)


@pytest.mark.parametrize(
    ("source", "environ"),
    [
        ({"path": "s3://bucket/x", "credentials": "variables"}, KEYS),
        ({"path": "s3://bucket/x", "credentials": "node"}, {}),
        ({"path": "scans", "storage": 12, "credentials": "storage"}, {}),
        ({"path": "https://example.com/manifest.csv"}, {}),
    ],
)
def test_a_login_for_a_source_is_proved_by_a_dry_run_there(
    ready: Ready, source: dict[str, object], environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    ready.change(sources=[source])
    assert refusals(ready) == ["place-not-proved"]
    assert refusals(ready, approve=None, dry_run=True) == []
    ready.dry_run(job_id="raysubmit_x")
    assert refusals(ready) == []
    assert "a-canary-secret-9" not in str(
        [each.as_dict() for each in gate(ready.home, approve=None, dry_run=True).warnings]
    )


def test_a_state_at_a_storage_is_proved_by_a_dry_run_there(ready: Ready) -> None:
    ready.change(state="s3://bucket/state")
    assert refusals(ready) == ["place-not-proved"]
    ready.dry_run(job_id="raysubmit_x")
    assert refusals(ready) == []


@pytest.mark.parametrize("agent", [None, {}, {"id": 7}, {"id": 7, "url": ""}, {"id": 7, "url": "10.0.0.1:8000"}, "x"])
def test_no_agent_or_none_with_an_address(ready: Ready, user: Path, agent: object) -> None:
    write_config(user / ".synapse" / "config.json", agent=agent)
    assert refusals(ready) == ["no-agent"]
    assert "synapse agent select" in message(ready, "no-agent")


@pytest.mark.parametrize(("odd", "code"), [("html", "not-ray"), ("500", "dashboard-unreachable"), ("401", "ray-token")])
def test_a_dashboard_that_can_not_be_used(ready: Ready, ray: FakeRay, odd: str, code: str) -> None:
    ray.odd = odd
    assert refusals(ready) == [code]


def test_without_ray_there_is_no_submitting(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    assert refusals(ready) == ["no-ray"]
    assert "run.py submit" in message(ready, "no-ray")


# --- a job that runs already -----------------------------------------------------------------------------------------


def submitted(ready: Ready, ray: FakeRay, **changes: object) -> Submission:
    fields: dict[str, object] = {
        "job_id": "raysubmit_1", "dashboard": ray.url, "mode": "upload", "plan": "0" * 12, "content": "c", "tag": "t-1",
        "submitted_at": "2026-11-22T01:00:00Z", "agent": AgentNamed(id=7, name="a"),
    }  # fmt: skip
    made = Submission(**fields | changes)  # type: ignore[arg-type]
    ready.home.remember([made, *ready.home.submissions()])
    return made


@pytest.mark.parametrize("status", ["PENDING", "RUNNING"])
def test_one_that_was_submitted_and_runs(ready: Ready, ray: FakeRay, status: str) -> None:
    submitted(ready, ray)
    ray.job("raysubmit_1", status)
    assert refusals(ready) == ["already-submitted"]
    assert "job_status raysubmit_1 --follow" in message(ready, "already-submitted")
    assert refusals(ready, approve=None, dry_run=True) == []


def test_one_whose_number_was_lost_is_found_by_its_tag(ready: Ready, ray: FakeRay) -> None:
    submitted(ready, ray, job_id=None)
    ray.job("raysubmit_9", env={"SYNAPSE_SKILLS_SUBMISSION": "t-1"})
    assert "raysubmit_9" in message(ready, "already-submitted")


def test_an_earlier_one_counts_too(ready: Ready, ray: FakeRay) -> None:
    submitted(ready, ray)
    submitted(ready, ray, job_id="raysubmit_2", mode="dry-run", tag="t-2")
    ray.job("raysubmit_1")
    assert refusals(ready) == ["already-submitted"]


def test_the_same_plan_from_another_machine_counts(ready: Ready, ray: FakeRay) -> None:
    ray.job("raysubmit_5", env={"SYNAPSE_SKILLS_SUBMISSION": f"{ready.hash}-dry-run-12345678"})
    assert refusals(ready) == []
    ray.job("raysubmit_6", env={"SYNAPSE_SKILLS_SUBMISSION": f"{ready.hash}-upload-12345678"})
    assert refusals(ready) == ["already-submitted"]


@pytest.mark.parametrize("how", ["ended", "forgotten", "known to have ended", "dry run"])
def test_one_that_has_ended_is_no_hindrance(ready: Ready, ray: FakeRay, how: str) -> None:
    done = Ending(status="FAILED", exit_code=5) if how == "known to have ended" else None
    submitted(ready, ray, ended=done, mode="dry-run" if how == "dry run" else "upload")
    if how != "forgotten":
        ray.job("raysubmit_1", "FAILED" if how == "ended" else "RUNNING")
    assert refusals(ready) == []


def test_a_damaged_submission_file_is_not_overlooked(ready: Ready) -> None:
    ready.home.submission.write_text("{")
    assert refusals(ready) == ["bad-submission"]


def test_a_report_of_another_kind_is_no_dry_run(ready: Ready) -> None:
    ready.home.dry_run.write_text(report().model_dump_json())
    assert refusals(ready) == ["no-dry-run"]
