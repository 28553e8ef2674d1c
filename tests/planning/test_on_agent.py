"""Planning files that only the cluster sees, end to end: they exist under their names only while a job runs there."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import check_excel
import preview
from cluster.ready import write_config
from cluster.running_ray import RunningCli, RunningRay
from planning.conversation import PNG, SCANS, SITES, User, asked, codes, understood, units
from sandbox_fixture import Sandbox
from synapse_skills import environment
from synapse_skills.errors import run
from synapse_skills.planning import Request

# Slow, each with a quicker neighbour that runs every day.
pytestmark = pytest.mark.heavy

gate = importlib.import_module("synapse_skills.cluster.gate")
places = importlib.import_module("synapse_skills.cluster.places")
probe = importlib.import_module("synapse_skills.cluster.probe")
submit = importlib.import_module("synapse_skills.cluster.submit")
ending = importlib.import_module("synapse_skills.cluster.ending")


@pytest.fixture
def cluster(
    tmp_path: Path, real_user: User, planning_box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunningRay]:
    ray = RunningRay(tmp_path / "cluster")
    cli = RunningCli(tmp_path / "bin", ray, planning_box.host, planning_box.token)
    (tmp_path / "me" / ".synapse").mkdir()
    write_config(tmp_path / "me" / ".synapse" / "config.json", host=planning_box.host, access_token=planning_box.token)
    monkeypatch.setattr(submit, "cli_command", lambda: [str(cli.script)])
    monkeypatch.setattr(environment, "DASHBOARD_PORT", ray.port)
    monkeypatch.setattr(probe, "EVERY_S", 0.02)
    monkeypatch.setattr(ending, "EVERY_S", 0.02)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: object() if name == "ray" else found(name, *more)
    )
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(places, "_TEMPORARY", ())
    monkeypatch.setattr(places.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    try:
        yield ray
    finally:
        ray.close()


@pytest.fixture
def mnt(tmp_path: Path) -> Path:
    return tmp_path / "mnt"


def there(cluster: RunningRay, folder: Path, tree: dict[str, bytes | str]) -> str:
    """A folder that only the cluster sees."""
    for name, content in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(cluster.only_there(folder))


def on_agent(path: str, **more: object) -> dict[str, object]:
    return {"sources": path, "on_agent": True, **more}


def test_without_a_cluster_it_says_what_to_do(real_user: User, mnt: Path) -> None:
    document = real_user.say_request(Request(on_agent(str(mnt / "scans"), data_collection=SCANS)))
    assert document.exit_code == 3 and codes(document) == ["no-agent"]
    assert "synapse" in document.problems[0]["fix"]


def test_a_path_that_the_cluster_does_not_see_is_asked_again(cluster: RunningRay, real_user: User, mnt: Path) -> None:
    document = real_user.say_request(Request(on_agent(str(mnt / "scans"))))
    question = asked(document, "sources")
    assert "On the cluster: There is no folder" in question["error"]
    relative = asked(real_user.say_request(Request(on_agent("scans"))), "sources")
    assert "not an absolute path" in relative["error"]


def test_a_plan_for_files_that_nobody_here_sees(cluster: RunningRay, real_user: User, mnt: Path) -> None:
    path = there(cluster, mnt / "scans", {**units(3, "a.png", "a.json"), ".DS_Store": "x"})
    document = real_user.say_request(Request(on_agent(path, data_collection=SCANS)))
    assert document.status == "questions" and len(cluster.ran) == 1
    assert "outlives" in asked(document, "state")["question"]
    assert understood(document, "grouping.by")["value"] == "folder"
    assert "Only the cluster can open the files" in understood(document, "on_agent.listing")["because"]
    assert "junk-set-aside" in codes(document)
    # The answer is remembered, the listing serves, and the dry run is the cluster's.
    done = real_user.say(f"state={mnt}/state", path=path)
    assert done.status == "ready" and done.dry_run is not None, done.problems
    assert done.dry_run["planned"] == 3 and len(cluster.ran) == 2
    plan = real_user.plan()
    assert plan["sources"][0]["path"] == path and plan["expected"]["units"] == 3 and plan["state"] == f"{mnt}/state"
    report = json.loads((real_user.home() / "dry_run.json").read_text())
    assert report["job_id"].startswith("raysubmit_") and report["mode"] == "dry-run"
    assert (mnt / "state").is_dir(), "the job's own, where it ran"
    assert json.loads((real_user.home() / "answers.json").read_text())["on_agent"] is True
    assert not Path(path).exists()
    # The gate lets exactly this plan through.
    found = gate.gate(gate.JobHome(real_user.home()), approve=done.hash, dry_run=False)
    assert [each.code for each in found.refusals] == []


@pytest.mark.heavy
def test_findings_by_name_and_size_are_asked_about_and_a_new_listing_is_only_made_when_said(
    cluster: RunningRay, real_user: User, mnt: Path
) -> None:
    tree = {**units(30, "a.png", "a.json"), "p001/a.json": ""}
    path = there(cluster, mnt / "scans", tree)
    first = Request(on_agent(path, data_collection=SCANS, state=str(mnt / "state")))
    document = real_user.say_request(first)
    assert "empty file" in asked(document, "leave_out")["question"]
    done = real_user.say('leave_out=["empty-file"]', path=path)
    assert done.status == "ready" and real_user.plan()["expected"]["units"] == 29, done.problems
    assert [row["unit"] for row in real_user.left_out()] == ["p001"]
    # The files change: the dry run there notices, and says how to look again.
    with cluster._visible():
        (Path(path) / "p031").mkdir()
        (Path(path) / "p031/a.png").write_bytes(PNG)
        (Path(path) / "p031/a.json").write_text("{}")
    stale = real_user.say("limits.batch_size=7", path=path)
    assert stale.status == "blocked" and "differs-from-plan" in codes(stale)
    assert any("--rescan" in problem["fix"] for problem in stale.problems)
    again = real_user.say_request(Request({"sources": path}, rescan=True))
    assert again.status == "ready" and real_user.plan()["expected"]["units"] == 30, again.problems


@pytest.mark.heavy
def test_a_table_that_only_the_cluster_has_is_brought(cluster: RunningRay, real_user: User, mnt: Path) -> None:
    path = there(cluster, mnt / "scans", units(3, "a.png", "a.json"))
    table = cluster.only_there(mnt / "sites.csv") if (mnt / "sites.csv").exists() else None
    assert table is None
    (mnt / "sites.csv").write_text("name,site\np001,Seoul\np002,Busan\np003,Jeju\n")
    named = str(cluster.only_there(mnt / "sites.csv"))
    flags = on_agent(path, data_collection=SITES, state=str(mnt / "state"))
    missing = real_user.say_request(Request({**flags, "metadata.table": str(mnt / "nothing.csv")}))
    assert "no-table" in codes(missing) and "nor on the cluster" in str(missing.problems)
    done = real_user.say_request(Request({**flags, "metadata.table": named}))
    assert done.status == "ready", (done.problems, done.questions)
    (rule,) = [rule for rule in real_user.plan()["metadata"] if rule["kind"] == "table"]
    assert rule["file"] == named and rule["rows"] == 3
    assert "Seoul" in (real_user.home() / "job" / "metadata.jsonl").read_text()


@pytest.mark.heavy
def test_a_table_in_the_folder_is_found_and_is_no_data(cluster: RunningRay, real_user: User, mnt: Path) -> None:
    tree = {**units(2, "a.png", "a.json"), "meta.csv": "name,site\np001,Seoul\np002,Busan\n"}
    path = there(cluster, mnt / "scans", tree)
    done = real_user.say_request(Request(on_agent(path, data_collection=SITES, state=str(mnt / "state"))))
    assert done.status == "ready", (done.problems, done.questions)
    assert understood(done, "metadata.table")["value"] == f"{path}/meta.csv" and len(cluster.ran) == 2
    (rule,) = [rule for rule in real_user.plan()["metadata"] if rule["kind"] == "table"]
    assert rule["file"] == f"{path}/meta.csv"


@pytest.mark.heavy
def test_a_table_in_capitals_is_found_too_and_one_that_is_too_large_is_told(
    cluster: RunningRay, real_user: User, mnt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = {**units(2, "a.png", "a.json"), "META.CSV": "name,site\np001,Seoul\np002,Busan\n"}
    path = there(cluster, mnt / "scans", tree)
    document = real_user.say_request(Request(on_agent(path, data_collection=SITES)))
    assert understood(document, "metadata.table")["value"] == f"{path}/META.CSV" and len(cluster.ran) == 2
    monkeypatch.setattr(probe, "MOST_FILE_BYTES", 10)
    other = there(cluster, mnt / "other", {**units(2, "a.png", "a.json"), "meta.csv": "name,site\np001,Seoul\n"})
    told = real_user.say_request(Request(on_agent(other, data_collection=SITES)))
    assert "file-too-large" in codes(told) and "meta.csv" in str(told.problems)


@pytest.mark.heavy
def test_the_page_of_a_plan_and_a_template_are_made_without_the_files(
    cluster: RunningRay, real_user: User, mnt: Path
) -> None:
    path = there(cluster, mnt / "scans", units(2, "a.png", "a.json"))
    flags = on_agent(path, data_collection=SCANS, state=str(mnt / "state"))
    assert real_user.say_request(Request(flags)).status == "ready"
    page = real_user.folder / "plan.html"
    assert run(preview.main, [str(real_user.home()), "--out", str(page)]) == 0
    assert path in page.read_text() and "p001" in page.read_text()
    template = real_user.folder / "fill.xlsx"
    assert run(check_excel.main, ["--make-template", str(template), "--job", str(real_user.home())]) == 0
    assert template.stat().st_size


@pytest.mark.heavy
def test_sidecars_that_only_the_cluster_can_read_are_known_by_a_few(
    cluster: RunningRay, real_user: User, mnt: Path
) -> None:
    tree = {f"p{n:03}/{name}": PNG if name.endswith("png") else "{}" for n in (1, 2, 3) for name in ("a.png", "a.json")}
    tree |= {f"p{n:03}/a.meta.json": '{"site": "Seoul"}' for n in (1, 2, 3)}
    path = there(cluster, mnt / "scans", tree)
    done = real_user.say_request(Request(on_agent(path, data_collection=SITES, state=str(mnt / "state"))))
    assert done.status == "ready", (done.problems, done.questions)
    assert [rule["pattern"] for rule in real_user.plan()["metadata"] if rule["kind"] == "sidecars"] == ["*.meta.json"]


@pytest.mark.heavy
def test_what_only_the_content_tells_is_found_by_the_dry_run_there(
    cluster: RunningRay, real_user: User, mnt: Path
) -> None:
    path = there(cluster, mnt / "scans", {**units(3, "a.png", "a.json"), "p002/a.png": "MZ no picture"})
    document = real_user.say_request(Request(on_agent(path, data_collection=SCANS, state=str(mnt / "state"))))
    question = asked(document, "leave_out")
    assert "1 data unit holds a file that the content guard refuses" in question["question"] and "p002" in str(question)
    assert len(cluster.ran) == 2
    stopped = real_user.say('leave_out="stop"', path=path)
    assert codes(stopped)[0] == "refused-by-guard" and len(cluster.ran) == 2
    done = real_user.say('leave_out=["refused-by-guard"]', path=path)
    assert done.status == "ready" and real_user.plan()["expected"]["units"] == 2, done.problems
    assert [(row["unit"], row["codes"]) for row in real_user.left_out()] == [("p002", ["refused-by-guard"])]
    # Mended there: only a new listing can tell.
    with cluster._visible():
        (Path(path) / "p002/a.png").write_bytes(PNG)
    whole = real_user.say_request(Request({"sources": path}, rescan=True))
    assert whole.status == "ready" and real_user.plan()["expected"]["units"] == 3, whole.problems


def test_a_dry_run_that_cant_begin_there_says_why(cluster: RunningRay, real_user: User, mnt: Path) -> None:
    path = there(cluster, mnt / "scans", units(2, "a.png", "a.json"))
    real_user.say_request(Request(on_agent(path, data_collection=SCANS)))
    cluster.before = "pip"
    document = real_user.say(f"state={mnt}/state", path=path)
    assert document.status == "blocked" and document.exit_code == 3
    assert "no-report" in codes(document) and "no matching distribution" in str(document.problems)


def test_back_to_files_that_are_here(cluster: RunningRay, real_user: User, mnt: Path) -> None:
    path = there(cluster, mnt / "scans", units(2, "a.png", "a.json"))
    real_user.say_request(Request(on_agent(path, data_collection=SCANS)))
    gone = real_user.say("on_agent=false", path=path)
    assert "There is no folder" in asked(gone, "sources")["error"]
    assert "On the cluster" not in asked(gone, "sources")["error"]
