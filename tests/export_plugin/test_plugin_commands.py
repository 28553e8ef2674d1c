"""Every style by the SDK's own commands against the sandbox: run with each target, and what publishing would upload."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from export_fixture import boxes, row
from export_plugin.running import Plugins, files, labelled
from synapse_skills.export_plan import PLUGIN_STYLES, ClassesPlan, ExportLimits, FormatPlan, SplitPlan

pytestmark = pytest.mark.heavy

FORMATS = (FormatPlan(name="coco"), FormatPlan(name="yolo"), FormatPlan(name="synapse_json"), FormatPlan(name="csv"))
TARGETS = ("assignment", "task", "ground_truth")


@pytest.fixture
def version(plugins: Plugins) -> Any:
    """Records of a project, and a ground truth of them."""
    job = plugins.job(formats=FORMATS)
    job.label(*labelled(9))
    made = plugins.box.post(
        "/_sandbox/ground_truth",
        {"name": f"truth {job.project}", "project": job.project, "version": "v1", "from_project": job.project},
    )
    return job, made["version"]


@pytest.mark.parametrize("style", PLUGIN_STYLES)
def test_each_style_and_target_gives_the_files_of_the_script(plugins: Plugins, version: Any, style: str) -> None:
    """One plugin, made from a plan of assignments, is told another target at run time."""
    job, number = version
    split = SplitPlan(ratios={"train": 0.5, "val": 0.5}, by="meta.group")
    plugin = plugins.render(job.plan_with(formats=FORMATS, split=split, originals="optional"), style)
    for target in TARGETS:
        is_truth = target == "ground_truth"
        scope = {"ground_truth_version": number} if is_truth else {"project": job.project}
        job.plan_with(formats=FORMATS, split=split, originals="optional", target=target, **scope)
        job.output = job.folder / target
        job.plan_with(formats=FORMATS, split=split, originals="optional", target=target, **scope)
        job.state = job.folder / f"state-{target}"
        job.do("--state", str(job.state), "--output", str(job.output), expect=None)
        filter = {"ground_truth_dataset_version": number} if is_truth else scope
        path = f"{style}/{target}"
        result, said = plugins.run(plugin, path=path, target=target, filter=filter)
        assert plugins.there(f"{path}/cars") == files(job.output), target
        report = job.report()
        for key in ("records", "annotations", "files", "splits", "exit_code"):
            assert result["report"][key] == report[key], (target, key)
        assert result["exported_count"] == report["records"]["exported"] > 5
        assert result["output_path"] == f"storage://11/{path}/cars"
        assert plugins.box.token not in said


@pytest.mark.parametrize("style", PLUGIN_STYLES)
def test_publishing_would_upload_all_that_it_takes(plugins: Plugins, style: str) -> None:
    job = plugins.job()
    plugin = plugins.render(job.plan, style)
    before = (plugin / "config.yaml").read_bytes()
    done = plugins.command(plugin, "publish", "--dry-run", "-y")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Dry run" in done.stdout and "Warning" not in done.stdout and "Synced" not in done.stdout
    assert (plugin / "config.yaml").read_bytes() == before, "the SDK finds nothing to mend in it"
    shipped = int(re.search(r"Total: (\d+) files", done.stdout)[1])  # type: ignore[index]
    assert shipped == sum(path.is_file() and "__pycache__" not in path.parts for path in plugin.rglob("*"))


def test_one_format_and_a_place_of_its_own_at_run_time(plugins: Plugins, version: Any) -> None:
    job, _ = version
    plugin = plugins.render(job.plan, "simple")
    result, _ = plugins.run(plugin, name="only yolo", output_format="yolo", save_original_file=False)
    assert result["format"] == "yolo" and result["original_count"] == 0
    folders = {path.name for path in (plugins.store / "exports" / "only yolo").iterdir() if path.is_dir()}
    assert folders == {"yolo", "metadata"}


def test_a_run_again_sends_nothing_and_another_job_s_place_is_refused(plugins: Plugins, version: Any) -> None:
    job, _ = version
    plugin = plugins.render(job.plan, "step")
    plugins.run(plugin, path="again")
    first = plugins.there("again/cars")
    result, _ = plugins.run(plugin, path="again")
    assert plugins.there("again/cars") == first and result["exit_code"] == 5
    other = plugins.job()
    other.label(row(0, boxes(1)))
    said = json.dumps({"storage": 11, "path": "again", "filter": {"project": other.project}})
    done = plugins.command(plugin, "run", "export", "--mode", "local", "--params", said)
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    assert "output-not-ours" in done.stdout + done.stderr
    assert plugins.there("again/cars") == first


def test_progress_is_told_at_most_once_a_percent(plugins: Plugins) -> None:
    job = plugins.job(formats=(FormatPlan(name="csv"),), classes=ClassesPlan(order=("car",), unknown="add"))
    plugins.box.post("/_sandbox/fill", {"project": job.project, "records": 900, "boxes": 2})
    for style in PLUGIN_STYLES:
        result, logger = plugins.dispatch(plugins.render(job.plan, style), path=f"many/{style}")
        assert result["exported_count"] == 900
        for step in {step for step, _ in logger.told}:
            told = [percent for each, percent in logger.told if each == step]
            # What a step ends with is told by the SDK once more.
            assert len(told) <= 104, (style, step, len(told))


@pytest.mark.parametrize("style", ["template", "simple"])
def test_a_format_of_one_s_own_is_made_by_the_page(plugins: Plugins, style: str) -> None:
    job = plugins.job(formats=(FormatPlan(name="custom"), FormatPlan(name="csv")))
    job.label(*(row(number, boxes(number)) for number in range(4)))
    job.run()
    plugins.dispatch(plugins.render(job.plan, style), path=f"own/{style}")
    assert plugins.there(f"own/{style}/cars") == files(job.output)
    assert any(name.startswith("custom/") for name in plugins.there(f"own/{style}/cars"))


def test_as_many_as_several_processes_write(plugins: Plugins) -> None:
    """The command's own process hands parts to others, which find the page's library as it does."""
    job = plugins.job(formats=(FormatPlan(name="csv"),), classes=ClassesPlan(order=("car",), unknown="add"))
    plugins.box.post("/_sandbox/fill", {"project": job.project, "records": 1500, "boxes": 2})
    job.plan_with(
        formats=(FormatPlan(name="csv"),),
        classes=ClassesPlan(order=("car",), unknown="add"),
        limits=ExportLimits(page_size=100, workers=4, processes=2),
    )
    job.run()
    plugin = plugins.render(job.plan, "template")
    result, _ = plugins.run(plugin, path="processes")
    assert result["exported_count"] == 1500 and plugins.there("processes/cars") == files(job.output)
    page = plugin / "plugin" / "export.py"
    last = '        """Last of all."""\n'
    hook = '        if data["id"] % 7 == 0:\n            raise ValueError("seven")\n'
    hook += '        data["data"]["annotations"] = {}\n'
    page.write_text(page.read_text().replace(last, last + hook))
    result, _ = plugins.run(plugin, path="processes", name="changed")
    assert result["failed_count"] in (214, 215) and result["exported_count"] == 1500 - result["failed_count"]
    assert result["annotation_count"]["csv"] == 0
