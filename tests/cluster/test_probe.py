"""Paths that only the cluster sees: what it says of them comes home whole, or why it doesn't."""

from __future__ import annotations

import importlib
import io
import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import check_path
from cluster.ready import TOKEN
from cluster.running_ray import RunningCli, RunningRay
from synapse_skills import environment
from synapse_skills.cluster import check_on_agent, files_on_agent, list_on_agent
from synapse_skills.errors import FindingError, Interrupted, OutOfReach, SkillsError, run
from synapse_skills.job import probe as travelling
from synapse_skills.job.markers import read_markers
from synapse_skills.sources.check import check_path as check_here
from synapse_skills.units import extension_of

probe = importlib.import_module("synapse_skills.cluster.probe")
submit = importlib.import_module("synapse_skills.cluster.submit")


@pytest.fixture
def cluster(tmp_path: Path, user: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningRay]:
    ray = RunningRay(tmp_path / "cluster")
    cli = RunningCli(tmp_path / "bin", ray, "http://127.0.0.1:9", TOKEN)
    monkeypatch.setattr(submit, "cli_command", lambda: [str(cli.script)])
    monkeypatch.setattr(environment, "DASHBOARD_PORT", ray.port)
    monkeypatch.setattr(probe, "EVERY_S", 0.02)
    try:
        yield ray
    finally:
        ray.close()


@pytest.fixture
def there(tmp_path: Path, cluster: RunningRay) -> Path:
    """A folder that only the cluster sees: five files, a hidden one, and names of every kind."""
    folder = tmp_path / "mnt" / "scans [x]"
    for name in ("p001/a.png", "p001/b.json", "p002/a.png", "p002/한글 이름.json", "readme.txt", ".DS_Store"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * len(name))
    os.utime(folder / "p001/a.png", ns=(1_700_000_000_000_000_000,) * 2)
    return cluster.only_there(folder)


def test_a_path_that_is_not_on_the_cluster_either_is_said_to_be_so(cluster: RunningRay, tmp_path: Path) -> None:
    with pytest.raises(SkillsError) as caught:
        check_on_agent(str(tmp_path / "nowhere"), recursive=True, limit=None)
    assert caught.value.code == "source-missing" and caught.value.exit_code == 3
    assert str(caught.value).startswith("On the cluster: There is no folder") and "exists)" in str(caught.value)


def test_a_file_is_no_folder_there(cluster: RunningRay, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("x")
    with pytest.raises(SkillsError, match="is a file, not a folder") as caught:
        check_on_agent(str(tmp_path / "one.txt"), recursive=True, limit=None)
    assert caught.value.code == "source-not-a-folder"


@pytest.mark.parametrize(
    ("path", "code"),
    [("scans", "source-not-absolute"), ("~/scans", "source-not-absolute"), ("az://b/x", "source-not-supported")],
)
def test_paths_that_mean_another_folder_for_each_job_are_refused_at_once(
    cluster: RunningRay, path: str, code: str
) -> None:
    with pytest.raises(OutOfReach) as caught:
        check_on_agent(path, recursive=True, limit=None)
    assert caught.value.code == code and not cluster.ran


def test_packages_that_cant_be_installed_there_are_told_with_rays_message(cluster: RunningRay, there: Path) -> None:
    cluster.before = "pip"
    with pytest.raises(OutOfReach) as caught:
        check_on_agent(str(there), recursive=True, limit=None)
    assert caught.value.code == "probe-failed"
    assert "no matching distribution" in str(caught.value) and "package index" in caught.value.hint


def test_a_job_that_dies_is_told_with_its_last_lines(cluster: RunningRay, there: Path) -> None:
    cluster.extra = {"PYTHONPATH": "", "PYTHONWARNINGS": "", "PATH": "", "PYTHONHOME": "/nowhere/at/all"}
    with pytest.raises(OutOfReach) as caught:
        check_on_agent(str(there), recursive=True, limit=None)
    assert caught.value.code == "probe-failed" and "It last said" in str(caught.value)


def test_a_job_that_never_begins_is_stopped(cluster: RunningRay, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.before = "hang"
    with pytest.raises(OutOfReach) as caught:
        probe.probe([probe.Request({"ask": "check", "path": "/x", "recursive": True, "limit": None})], timeout=0.1)
    assert caught.value.code == "probe-timeout" and "had not begun" in str(caught.value)
    assert ("POST", "/api/jobs/raysubmit_0000000000000000/stop") in cluster.asked


def test_an_interrupted_probe_is_stopped_too(cluster: RunningRay, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.before = "hang"

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(probe, "_wait", interrupt)
    with pytest.raises(Interrupted):
        check_on_agent(str(there), recursive=True, limit=None)
    assert any(path.endswith("/stop") for _, path in cluster.asked)


def test_a_log_that_was_cut_gives_nothing_rather_than_a_part(cluster: RunningRay, there: Path) -> None:
    cluster.cut = 200
    with pytest.raises(OutOfReach) as caught:
        list_on_agent([(str(there), True)])
    assert caught.value.code == "markers-incomplete"


def test_without_an_agent_or_ray_it_says_what_to_do(
    cluster: RunningRay, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(OutOfReach) as caught:
        check_on_agent("/x", recursive=True, limit=None)
    assert caught.value.code == "no-ray" and "--on-agent" in caught.value.hint
    (user / ".synapse" / "config.json").write_text("{}")
    with pytest.raises(OutOfReach) as caught:
        check_on_agent("/x", recursive=True, limit=None)
    assert caught.value.code == "no-agent"


def test_nothing_stays_behind_and_nothing_secret_ships(
    cluster: RunningRay, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe.tempfile, "tempdir", str(tmp_path / "temp"))
    (tmp_path / "temp").mkdir()
    seen: list[int] = []
    real = probe.render_probe

    def render(folder: Path, requests: object) -> None:
        seen.append(stat.S_IMODE(folder.stat().st_mode))
        real(folder, requests)

    monkeypatch.setattr(probe, "render_probe", render)
    check_on_agent(str(there), recursive=True, limit=None)
    assert seen == [0o700] and not list((tmp_path / "temp").iterdir())
    (shipped,) = cluster.ran.values()
    names = {path.name for path in shipped.iterdir()}
    assert names == {"probe.py", "request.json", "requirements.txt", ".rayignore", "synapse_skills"}
    assert "synapse-sdk==" in (shipped / "requirements.txt").read_text()
    assert not any(TOKEN.encode() in path.read_bytes() for path in shipped.rglob("*") if path.is_file())
    assert not (shipped / "synapse_skills" / "cluster").exists()


@pytest.mark.heavy
def test_the_cluster_says_what_a_look_here_would(
    cluster: RunningRay, there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not there.exists(), "nobody here sees it"
    assert run(check_path.main, ["--on-agent", str(there), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    with cluster._visible():
        here = check_here(str(there), extension_of=extension_of).as_dict()
    assert said == {**here, "kind": "on-agent"} and said["files"] == 5
    assert run(check_path.main, ["--on-agent", str(there)]) == 0
    assert "folder as the cluster sees it, reachable" in capsys.readouterr().out
    assert run(check_path.main, ["--on-agent", str(there) + "s", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "source-missing"


def test_a_listing_and_a_small_file_come_home_with_one_job(cluster: RunningRay, there: Path) -> None:
    names = [str(there / "readme.txt"), str(there / "missing.xlsx")]
    listing, (readme, missing) = list_on_agent([(str(there), True)], names)
    assert len(cluster.ran) == 1
    rows = list(listing.rows())
    assert [path for _, path, _, _ in rows] == [
        "p001/a.png", "p001/b.json", "p002/a.png", "p002/한글 이름.json", "readme.txt",
    ]  # fmt: skip
    assert rows[0] == (0, "p001/a.png", 10, 1_700_000_000_000_000_000)
    assert listing.roots == (str(there),) and listing.files == 5
    assert [problem.code for problem in listing.problems] == ["junk-set-aside"]
    assert probe.content(readme) == b"x" * 10
    with pytest.raises(SkillsError, match="There is no file") as caught:
        probe.content(missing)
    assert caught.value.code == "no-file"


def test_a_listing_of_many_parts_is_whole(
    cluster: RunningRay, there: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    many = tmp_path / "mnt" / "many"
    many.mkdir()
    for number in range(300):
        (many / f"{number:05}.png").touch()
    cluster.only_there(many)
    monkeypatch.setattr(travelling, "PART_FILES", 7)
    answer, log = answered({"ask": "listing", "sources": [{"path": str(tmp_path), "recursive": True}], "most": 9_999})
    assert answer["said"]["parts"] > 1 and len(read_markers(log)["listing"]) == answer["said"]["parts"]
    listing, _ = list_on_agent([(str(many), True), (str(there), False)])
    rows = list(listing.rows())
    assert len(rows) == 301 and rows[-1][:2] == (1, "readme.txt") and listing.files == 301


@pytest.mark.heavy
def test_a_binary_file_of_several_parts_arrives_as_it_is(cluster: RunningRay, tmp_path: Path) -> None:
    content = os.urandom(1_600_000)
    path = tmp_path / "table.xlsx"
    path.write_bytes(content)
    (one,) = files_on_agent([str(cluster.only_there(path))])
    assert probe.content(one) == content


def answered(asked: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """What the travelling part answers, in this process."""
    out = io.StringIO()
    with tempfile.NamedTemporaryFile("w") as file, redirect_stdout(out):
        json.dump({"version": 1, "requests": [asked]}, file)
        file.flush()
        assert travelling.main(Path(file.name)) == 0
    said = read_markers(out.getvalue()).last("probe")
    assert said is not None
    return said["answers"][0], out.getvalue()


def test_too_many_files_come_as_a_sample_with_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        (tmp_path / f"{number}.png").touch()
    asked = {"ask": "listing", "sources": [{"path": str(tmp_path), "recursive": True}], "most": 10}
    answer, log = answered(asked)
    assert answer["said"]["parts"] is None and answer["said"]["kinds"] == {".png": 30}
    assert "synapse-skills:listing" not in log
    monkeypatch.setattr(travelling, "MOST_LOG_BYTES", 300)
    answer, log = answered({**asked, "most": 1_000})
    assert answer["said"]["parts"] is None and "synapse-skills:listing" not in log


def test_a_tree_that_is_too_large_must_be_planned_where_it_is(
    cluster: RunningRay, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "MOST_FILES", 2)
    with pytest.raises(FindingError) as caught:
        list_on_agent([(str(there), True)])
    assert caught.value.code == "too-many-to-bring" and "2 .png" in str(caught.value)
    assert "where the files are" in caught.value.hint


def test_files_that_are_none_or_too_large_are_not_brought(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    answer, _ = answered({"ask": "file", "path": str(tmp_path / "pipe"), "most": 100})
    assert answer["error"]["code"] == "no-file"
    answer, _ = answered({"ask": "file", "path": str(tmp_path), "most": 100})
    assert answer["error"]["exit_code"] in (1, 3)
    (tmp_path / "big").write_bytes(b"x" * 101)
    answer, _ = answered({"ask": "file", "path": str(tmp_path / "big"), "most": 100})
    assert answer["error"]["code"] == "file-too-large"


def test_the_probe_runs_with_nothing_but_what_travels(tmp_path: Path) -> None:
    """Neither the rooms that stay at home nor anything of the environment here."""
    folder = tmp_path / "job"
    folder.mkdir()
    one = probe.Request({"ask": "check", "path": str(tmp_path), "recursive": False, "limit": None})
    probe.render_probe(folder, [one])
    done = subprocess.run(
        [sys.executable, "probe.py"],
        cwd=folder,
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert all(len(line) < 79 and "[" not in line for line in done.stdout.splitlines())
