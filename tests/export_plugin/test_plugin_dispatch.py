"""Dispatched as the SDK does it: the files of the script, hooks that are really called, and what goes wrong."""

from __future__ import annotations

from typing import Any

import pytest

from export_fixture import boxes, row
from export_plugin.running import Plugins, files, labelled
from synapse_skills.export_plan import FormatPlan, SplitPlan

FORMATS = (FormatPlan(name="coco"), FormatPlan(name="yolo"), FormatPlan(name="synapse_json"), FormatPlan(name="csv"))
SPLIT = SplitPlan(ratios={"train": 0.6, "val": 0.4}, by="meta.group")
# On the page of each style: where a hook changes records.
HOOKS = {
    "template": ('        """First of all."""\n        return data', "        "),
    "handler": ('change `data`."""\n        return data', "        "),
    "simple": ('set aside with the reason.\n    """\n    return record', "    "),
    "step": ('set aside with the reason.\n    """\n    return record', "    "),
}

REST = ("simple", "step", "handler")


def hooked(style: str, *lines: str) -> dict[str, str]:
    """An edit of a style's page: lines before its hook gives the record back."""
    old, indent = HOOKS[style]
    word = "data" if style in ("template", "handler") else "record"
    head, _, last = old.rpartition("\n")
    return {old: "\n".join([head, *(indent + line.replace("RECORD", word) for line in lines), last])}


def test_the_sdk_s_pipeline_gives_the_files_of_the_script(plugins: Plugins) -> None:
    job = plugins.job(formats=FORMATS, originals="optional", split=SPLIT)
    job.label(*labelled(9))
    job.do(expect=5)
    plugin = plugins.render(job.plan, "template")
    result, logger = plugins.dispatch(plugin, path="same")
    assert plugins.there("same/cars") == files(job.output)
    report = job.report()
    for key in ("records", "annotations", "files", "splits"):
        assert result["report"][key] == report[key]
    assert result["total_count"] == 9 and result["exported_count"] == report["records"]["exported"] == 8
    assert result["failed_count"] == report["records"]["quarantined"] == 1 and result["exit_code"] == 5
    assert result["output_path"].endswith("/same/cars") and result["format"] == "coco,yolo,synapse_json,csv"
    assert ("data_file", {"stand_by": 0, "success": 8, "failed": 1}) in logger.metrics
    originals = {"stand_by": 0, "success": report["files"]["originals"], "failed": report["files"]["missing"]}
    assert logger.metrics[-1] == ("original_file", originals)
    steps = {"initialize", "fetch_results", "prepare_export", "convert_data", "save_files", "finalize"}
    assert {step for step, _ in logger.told} == steps
    said = logger.text()
    assert "unreadable-record" in said and "records are exported to storage://11/same/cars" in said
    assert plugins.box.token not in said


@pytest.mark.parametrize("style", ["template", *(pytest.param(each, marks=pytest.mark.heavy) for each in REST)])
def test_hooks_change_records_and_one_that_fails_is_set_aside(plugins: Plugins, style: str) -> None:
    job = plugins.job(formats=(FormatPlan(name="coco"),))
    job.label(*(row(number, boxes(1), task={"tags": ["night"]}) for number in range(4)))
    edit = hooked(
        style,
        "if RECORD['id'] % 2:",
        "    raise KeyError('token=abc [odd]')",
        "assert RECORD['tags'] == ['night'] and RECORD['data_unit']['meta']['group'] and RECORD['category']",
        "for each in RECORD['data']['annotations']['image_1']:",
        "    each['classification']['class'] = 'person'",
    )
    result, logger = plugins.dispatch(plugins.render(job.plan, style, edit), path=f"hooks-{style}")
    coco = (plugins.store / f"hooks-{style}" / "cars" / "coco" / "annotations" / "instances.json").read_text()
    assert '"category_id":2' in coco.replace(" ", "") and '"category_id":1' not in coco.replace(" ", "")
    assert (result["exported_count"], result["failed_count"], result["exit_code"]) == (2, 2, 5)
    (found,) = [each for each in result["report"]["problems"] if each["code"] == "quarantined"]
    assert found["count"] == 2 and "KeyError" in found["examples"][0]
    assert logger.text().count("convert-failed: KeyError") == 2


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("style", "fault"),
    [("template", {"params": {"storage": 99}}), ("simple", {"empty": True}), ("step", {"closed": True})],
)
def test_what_ends_a_run_is_said_and_removes_nothing(plugins: Plugins, style: str, fault: dict[str, Any]) -> None:
    job = plugins.job(formats=(FormatPlan(name="coco"),))
    if "empty" not in fault:
        job.label(*labelled(4))
    kept = plugins.store / f"kept-{style}" / "cars"
    kept.mkdir(parents=True)
    if "closed" in fault:
        (kept / "theirs.txt").write_text("x")
    with pytest.raises(Exception) as failed:
        plugins.dispatch(plugins.render(job.plan, style), path=f"kept-{style}", **fault.get("params", {}))
    text = str(failed.value)
    code = {"template": "no-storage", "simple": "nothing-to-export", "step": "output-not-ours"}[style]
    assert code in text and "Next: " in text and "Traceback" not in text
    assert kept.is_dir() and ("closed" not in fault or (kept / "theirs.txt").read_text() == "x")


def test_an_open_run_is_asked_for_by_its_context_only(plugins: Plugins) -> None:
    from synapse_skills.job.export.plugin import PluginFailed, RecordsHandler, Run

    with pytest.raises(PluginFailed, match="no-run"):
        Run.of(object())
    with pytest.raises(PluginFailed, match="no-run"):
        RecordsHandler().get_results(None, {"project": 1}, ctx=object())
    with pytest.raises(PluginFailed, match="no-scope"):
        RecordsHandler().validate_filter({"status_label": "done", "expand": "data"}, None)
    kept = {"ground_truth_dataset_version": 3, "page_size": 10}
    assert RecordsHandler().validate_filter(kept, None) == kept
