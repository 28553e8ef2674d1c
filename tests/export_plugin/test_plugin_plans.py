"""`plan_export --as plugin`: rendered beside the script's job, remembered, and never over an edited page."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import synapse_sdk.utils.auth as auth
import yaml

import plan_export
from export_fixture import boxes, row
from export_plugin.running import STORAGE, Plugins
from synapse_skills.errors import run


@pytest.mark.heavy
def test_a_plan_becomes_a_plugin(
    plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job = plugins.job()
    job.label(*(row(number, boxes(2)) for number in range(6)))
    monkeypatch.chdir(tmp_path)
    words = ["--project", str(job.project), "--format", "coco", "--storage", str(STORAGE), "--as", "plugin"]
    words += ["--set", "plugin.style=simple", "--split", "none", "--originals", "none", "--set", "empty=keep"]

    def ask(*more: str) -> tuple[int, dict[str, Any]]:
        config = plugins.home / ".synapse" / "config.json"
        environment = plugins.box.env(plugins.home, SYNAPSE_SKILLS_PATIENCE_S="2")
        with mock.patch.dict(os.environ, environment, clear=True), mock.patch.object(auth, "CONFIG_FILE", config):
            code = run(plan_export.main, [*more, "--json"])
        return code, json.loads(capsys.readouterr().out)

    code, document = ask(*words)
    assert (code, document["status"]) == (0, "ready"), document
    told = document["plugin"]
    assert told["style"] == "simple" and told["code"] in document["summary"] and "--mode local" in told["try"]
    folder = Path(told["folder"])
    assert yaml.safe_load((folder / "config.yaml").read_text())["code"] == told["code"]
    assert (folder / "plan.json").read_bytes() == Path(document["plan"]).read_bytes()
    # Remembered: the next round needs not say it again; an edited page stops it.
    code, document = ask("--project", str(job.project))
    assert code == 0 and document["plugin"]["style"] == "simple"
    page = Path(told["page"])
    page.write_text(page.read_text() + "# mine\n")
    code, document = ask("--project", str(job.project), "--set", "plugin.style=step")
    assert code == 1 and [each["code"] for each in document["problems"]] == ["script-edited"]
    assert page.read_text().endswith("# mine\n")
    code, document = ask("--project", str(job.project), "--as", "script")
    assert code == 0 and "plugin" not in document
