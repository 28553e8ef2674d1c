"""A plugin whose plan names a state: what was fetched stays, and a hook's change is made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from export_fixture import boxes, row
from export_plugin.running import Plugins
from synapse_skills.export_plan import FormatPlan

pytestmark = pytest.mark.heavy


def test_a_run_again_goes_on_from_what_was_received(plugins: Plugins, tmp_path: Path) -> None:
    job = plugins.job(formats=(FormatPlan(name="synapse_json"),), state=str(tmp_path / "shared"))
    job.label(*(row(number, boxes(1)) for number in range(4)))
    line = 'data["data"]["times"] = data["data"].get("times", 0) + 1'
    first = '        """First of all."""\n'
    edit = {f"{first}        return data": f"{first}        {line}\n        return data"}
    plugin = plugins.render(job.plan, "template", edit)
    plugins.dispatch(plugin, path="first")
    written = plugins.there("first/cars")
    assert all(b'"times": 1' in content for name, content in written.items() if name.endswith("0.json"))
    assert (tmp_path / "shared" / "cars" / "spool").is_dir()
    plugins.box.reset_stats()
    result, _ = plugins.dispatch(plugin, path="first")
    assert plugins.there("first/cars") == written, "changed once, not twice"
    assert result["exported_count"] == 4
    edited = job.label(row(4, boxes(2)))
    result, _ = plugins.dispatch(plugin, path="first")
    assert len(edited) == 1 and result["exported_count"] == 5
    # Another name is another export, with a memory of its own.
    plugins.dispatch(plugin, path="first", name="other")
    assert sorted(path.name for path in (tmp_path / "shared").iterdir()) == ["cars", "other"]
