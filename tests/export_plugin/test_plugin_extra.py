"""Files of a page's own: what its hooks write is in the export; a page that forgets to write is told so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from export_fixture import boxes, row
from export_plugin.running import Logger, Plugins, files
from synapse_skills.export_plan import FormatPlan
from synapse_skills.job.export.verify import verify_output

# The hooks as a page of one's own would have them.
OWN_FILES = """class Exporter(RecordsExporter):
    def setup_output_directories(self, unique_export_path: Path, save_original_file_flag: bool) -> dict[str, Path]:
        (unique_export_path / "notes").mkdir()
        return {"notes": unique_export_path / "notes"}

    def save_as_json(self, result: dict[str, Any], base_path: Path, error_file_list: list[Any]) -> Any:
        if result["id"] % 3 == 0:
            raise OSError("no room for this one")
        if result["id"] % 3 == 1:
            error_file_list.append(["two.txt", "not wanted"])
        (base_path / "notes" / f"{result['key']}.txt").write_text(result["category"])
        return super().save_as_json(result, base_path, error_file_list)

    def additional_file_saving(self, unique_export_path: Path) -> None:
        (unique_export_path / "metadata.json").write_text(f'{{"name": "{self.params["name"]}"}}')
        super().additional_file_saving(unique_export_path)
"""


def with_own_files(plugins: Plugins, plugin: Path, exporter: str = OWN_FILES) -> Path:
    """The plugin, its exporter written anew."""
    page = plugin / "plugin" / "export.py"
    before, _, rest = page.read_text().partition("class Exporter(RecordsExporter):\n")
    page.write_text(f"{before}{exporter}\n\nclass ExportAction{rest.partition('class ExportAction')[2]}")
    return plugin


def test_what_hooks_write_is_in_the_export(plugins: Plugins) -> None:
    job = plugins.job(formats=(FormatPlan(name="csv"),), originals="optional")
    rows = job.label(*(row(number, boxes(1)) for number in range(6)))
    job.do()
    plugin = with_own_files(plugins, plugins.render(job.plan, "template"))
    result, logger = plugins.dispatch(plugin, path="own")
    there = plugins.there("own/cars")
    good = [each["id"] for each in rows if each["id"] % 3]
    assert {name for name in there if name.startswith("extra/")} == {
        "extra/metadata.json",
        "extra/error_file_list.json",
        *(f"extra/notes/{number}.txt" for number in good),
    }
    assert there["extra/metadata.json"] == b'{"name": "cars"}'
    assert len(json.loads(there["extra/error_file_list.json"])["json_file_name"]) == 2
    assert (result["exported_count"], result["failed_count"]) == (4, 2)
    assert logger.text().count("convert-failed: OSError: no room for this one") == 2
    found = verify_output(plugins.store / "own" / "cars")
    assert found.is_fine and not found.problems and set(found.formats) == {"csv"}
    # Without them the export is that of the script again, whatever was there before.
    plugins.dispatch(plugins.render(job.plan, "simple"), path="own")
    assert plugins.there("own/cars") == files(job.output)


def test_each_record_and_original_is_listed_in_the_log(plugins: Plugins) -> None:
    job = plugins.job(formats=(FormatPlan(name="csv"),), originals="optional")
    rows = job.label(row(0, boxes(1)), row(1, boxes(1)), row(2, None, data_text='["not", "a", "payload"]'))
    _, logger = plugins.dispatch(plugins.render(job.plan, "simple"), path="listed")
    said = listed(logger, "export_data_file")
    assert said[rows[0]["id"]] == said[rows[1]["id"]] == "success" and said[rows[2]["id"]] == "failed"
    assert set(listed(logger, "export_original_file")) == {rows[0]["id"], rows[1]["id"]}


def listed(logger: Logger, event: str) -> dict[int, str]:
    """Record → what has become of it, as the console shows it."""
    lines = [data for each, data in logger.lines if each == event]
    assert len({each["target_id"] for each in lines}) == len(lines), "each is listed once"
    return {each["target_id"]: each["status"] for each in lines}


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("style", "edit"),
    [
        ("template", {"        super().additional_file_saving(unique_export_path)\n": "        return\n"}),
        ("step", {"ConvertStep(change), WriteStep()):": "ConvertStep(change)):"}),
    ],
)
def test_a_page_that_writes_nothing_is_told(plugins: Plugins, style: str, edit: dict[str, str]) -> None:
    job = plugins.job(formats=(FormatPlan(name="csv"),))
    job.label(row(0, boxes(1)))
    with pytest.raises(RuntimeError, match="not-written"):
        plugins.dispatch(plugins.render(job.plan, style, edit), path=f"nothing-{style}")


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("style", "edit"),
    [
        (
            "simple",
            {"                run.convert(": "                if record['id'] % 2:\n                    run.convert("},
        ),
        (
            "handler",
            {
                "        yield from super().get_export_item(results)": "        yield from (each for each in "
                "super().get_export_item(results) if each['id'] % 2)"
            },
        ),
    ],
)
def test_a_record_that_the_page_passes_over_is_left_out(plugins: Plugins, style: str, edit: dict[str, str]) -> None:
    job = plugins.job(formats=(FormatPlan(name="synapse_json"),))
    rows = job.label(*(row(number, boxes(1)) for number in range(5)))
    odd = [each["id"] for each in rows if each["id"] % 2]
    result, _ = plugins.dispatch(plugins.render(job.plan, style, edit), path=f"odd-{style}")
    listed = plugins.there(f"odd-{style}/cars")["metadata/records.jsonl"].splitlines()
    assert sorted(json.loads(line)["record"] for line in listed) == sorted(odd)
    assert (result["exported_count"], result["left_out_count"], result["failed_count"]) == (len(odd), 5 - len(odd), 0)
