"""A real Ray, and a folder that really only the cluster sees: for the user's own processes it is hidden by a mount."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from typing import Any

import pytest

from cluster.test_real_ray import SCRIPTS, STEP_S, Cluster, cluster
from job_fixture import PNG
from sandbox_fixture import COLLECTION

pytestmark = pytest.mark.heavy
__all__ = ["cluster"]  # the fixture

LARGE_MB = 14


class Blind:
    """A user on the same machine who can't see `mnt`."""

    def __init__(self, there: Cluster) -> None:
        self.there = there
        self.mnt = there.folder / "mnt"
        self.mnt.mkdir(exist_ok=True)
        hide = 'mount -t tmpfs none "$0" && exec "$@"'
        unshare = [*(["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]), "sh", "-c", hide, str(self.mnt)]
        tried = (
            subprocess.run([*unshare, "true"], capture_output=True, check=False) if shutil.which("unshare") else None
        )
        if tried is None or tried.returncode:
            pytest.skip("this machine lets nobody hide a folder with a mount namespace")
        self.before = unshare

    def ask(self, *words: str, code: int) -> dict[str, Any]:
        done = subprocess.run(
            [*self.before, str(self.there.python), str(SCRIPTS / words[0]), *words[1:], "--json"],
            capture_output=True, text=True, cwd=self.there.folder, env=self.there.env, timeout=STEP_S, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
        assert self.there.box.token not in done.stdout + done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document


def test_what_only_the_cluster_sees_is_planned_and_uploaded(cluster: Cluster) -> None:
    blind = Blind(cluster)
    scans = blind.mnt / "scans"
    for number in range(4):
        unit = scans / f"blind_{number:03}"
        unit.mkdir(parents=True)
        (unit / "image.png").write_bytes(PNG + bytes([number]))
        (unit / "label.json").write_text(json.dumps({"n": number}))
    error = blind.ask("check_path.py", str(scans), code=3)["error"]
    assert error["code"] == "source-missing"
    error = blind.ask("check_path.py", str(scans) + "-not", "--on-agent", code=3)["error"]
    assert error["code"] == "source-missing" and error["message"].startswith("On the cluster: ")
    seen = blind.ask("check_path.py", str(scans), "--on-agent", code=0)
    assert (seen["kind"], seen["files"], seen["path"]) == ("on-agent", 8, str(scans))

    plan = ["plan_upload.py", str(scans), "--on-agent", "--collection", str(COLLECTION)]
    questions = blind.ask(*plan, code=4)["questions"]
    assert [question["key"] for question in questions] == ["state"]
    state = cluster.folder / "shared" / "blind"
    ready = blind.ask(*plan, "--set", f"state={state}", "--set", "limits.settle_after_s=3", code=0)
    assert ready["status"] == "ready" and ready["dry_run"]["planned"] == 4
    done = blind.ask("submit.py", "synapse-jobs/scans", "--approve", ready["hash"], "--wait", code=0)
    assert done["job"]["report"]["created"] == 4
    names = sorted(str(unit["meta"]["name"]) for unit in cluster.box.units())
    assert [name for name in names if name.startswith("blind_")] == [f"blind_{number:03}" for number in range(4)]


def test_a_log_of_48_mb_comes_home_whole(cluster: Cluster) -> None:
    blind = Blind(cluster)
    content = os.urandom(LARGE_MB << 20)
    (blind.mnt / "table.bin").write_bytes(content)
    code = (
        "import sys, hashlib; sys.path.insert(0, sys.argv[1])\n"
        "from synapse_skills.cluster.probe import content, files_on_agent\n"
        "print(hashlib.sha256(content(files_on_agent([sys.argv[2]])[0])).hexdigest())"
    )
    began = time.monotonic()
    command = [*blind.before, str(cluster.python), "-c", code, str(SCRIPTS), str(blind.mnt / "table.bin")]
    done = subprocess.run(command, capture_output=True, text=True, env=cluster.env, timeout=STEP_S, check=False)
    print(f"{LARGE_MB} MB in {time.monotonic() - began:.1f} s")
    assert done.stdout.strip() == hashlib.sha256(content).hexdigest(), done.stderr[-2000:]
