"""An export job in a folder for tests: records in a sandbox, a plan, a rendered script, and what came out."""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import synapse_sdk.utils.auth as auth

import synapse_skills.job.export.engine  # noqa: F401 - loaded before any child is forked
from forked import Forked
from job_fixture import Done
from sandbox_fixture import Sandbox, sandboxes, seed_with
from synapse_skills.errors import SkillsError
from synapse_skills.export_plan import ClassesPlan, ExportLimits, ExportPlan, FormatPlan
from synapse_skills.formats import FORMATS
from synapse_skills.job.export import Export
from synapse_skills.job.export.command import add_export_flags
from synapse_skills.plan import plan_bytes
from synapse_skills.rendering.export_script import render_export

for each in FORMATS.values():
    assert each.write

CLASSES = ("car", "person")


def boxes(
    count: int, *, label: str = "car", size: tuple[int, int] | None = (64, 48), tool: str = "bounding_box"
) -> Any:
    """A payload with so many boxes."""
    ids = [f"a{number}" for number in range(count)]
    return {
        "extra": {"image_1": {"width": size[0], "height": size[1]} if size else {}},
        "annotations": {"image_1": [{"id": one, "tool": tool, "classification": {"class": label}} for one in ids]},
        "annotationsData": {
            "image_1": [
                {"id": one, "coordinate": {"x": 1.5 + number % 7, "y": 2, "width": 10, "height": 8.25}}
                for number, one in enumerate(ids)
            ]
        },
        "relations": {"image_1": []},
        "annotationGroups": {"image_1": []},
    }


def row(number: int, data: Any = None, **more: Any) -> dict[str, Any]:
    """An assignment of a data unit of its own, for `_sandbox/label`."""
    name = more.pop("name", f"picture_{number:04}.png")
    meta = more.pop("meta", {"category": "1. 자연" if number % 2 else "2. 도시", "group": f"g{number % 5}"})
    unit = {"files": {"image_1": {"file_name_original": name, "is_primary": True}}, "meta": meta}
    return {
        "data_unit": unit,
        "data": boxes(number % 4, label=CLASSES[number % 2]) if data is None else data,
    } | more


class ExportJob:
    """An export job against one sandbox, in a project of its own."""

    def __init__(self, folder: Path, box: Sandbox, project: int, **plan: Any) -> None:
        self.folder = folder
        self.project = project
        self.box = box
        self.home = folder / "home"
        self.job = self.home / "job"
        self.state = self.home / "state"
        self.output = folder / "output"
        self.job.mkdir(parents=True, exist_ok=True)
        self.plan_with(**plan)

    def plan_with(self, *, script: str | None = None, **changes: Any) -> ExportPlan:
        """Write plan.json and export.py; fields other than these keep the tests' defaults."""
        fields: dict[str, Any] = {
            "name": "cars",
            "target": "assignment",
            "project": self.project,
            "formats": (FormatPlan(name="coco"), FormatPlan(name="synapse_json")),
            "classes": ClassesPlan(order=CLASSES),
            "output": str(self.output),
            "limits": ExportLimits(page_size=5, workers=4),
        }
        fields |= changes
        if fields["target"] == "ground_truth":
            fields.pop("project")
        self.plan = plan = ExportPlan(**fields)
        (self.job / "plan.json").write_bytes(plan_bytes(plan))
        (self.job / "export.py").write_bytes(script.encode() if script is not None else render_export(plan))
        return plan

    def label(self, *rows: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Put assignments into the sandbox."""
        made = self.box.post("/_sandbox/label", {"records": [{"project": self.project, **each} for each in rows]})
        return list(made["assignments"])

    def do(self, *flags: str, expect: int | None = 0, **script: Any) -> SkillsError | None:
        """Run in this process, as the plan says; `script` is what an edited script says besides."""
        plan = self.plan
        said: dict[str, Any] = {
            "formats": {each.name: each.options for each in plan.formats},
            "classes": plan.classes.order,
            "rename": plan.classes.map,
            "drop": plan.classes.drop,
            "split": plan.split.ratios if plan.split else None,
            "originals": plan.originals,
            "home": self.job,
        }
        scope = plan.ground_truth_version if plan.target == "ground_truth" else plan.project
        parser = argparse.ArgumentParser()
        add_export_flags(parser)
        environment = self.box.env(self.folder / "user", SYNAPSE_SKILLS_PATIENCE_S="2")
        config = self.folder / "user" / ".synapse" / "config.json"
        with mock.patch.dict(os.environ, environment, clear=True), mock.patch.object(auth, "CONFIG_FILE", config):
            export = Export(plan.target, scope, **said | script)
            report, error = export.execute(parser.parse_args([*flags, "--json"]))
        if expect is not None:
            assert report.exit_code == expect, (error, report.problems)
        return error

    def start(self, *flags: str, before: Callable[[], None] | None = None, **env: str) -> Forked:
        """Start the script in a process of its own."""
        environment = self.box.env(self.folder / "user", SYNAPSE_SKILLS_PATIENCE_S="2") | env
        return Forked(self.job / "export.py", list(flags), environment, self.folder, before)

    def run(self, *flags: str, before: Callable[[], None] | None = None, expect: int | None = 0, **env: str) -> Done:
        """Run to the end and check the exit code."""
        process = self.start(*flags, before=before, **env)
        out, err = process.communicate(timeout=60)
        assert process.returncode is not None
        assert "Traceback" not in err, err
        if expect is not None:
            assert process.returncode == expect, f"exit {process.returncode}\n{out}\n{err}"
        return Done(process.returncode, out, err)

    def report(self) -> dict[str, Any]:
        """The last report."""
        report: dict[str, Any] = json.loads((self.state / "report.json").read_text())
        for counts in report["annotations"]["formats"].values():
            assert report["annotations"]["read"] == counts["written"] + sum(counts["lost"].values())
        return report

    def problem(self, code: str) -> dict[str, Any]:
        """One problem of the last report."""
        found = [problem for problem in self.report()["problems"] if problem["code"] == code]
        assert found, self.report()["problems"]
        return dict(found[0])

    def bytes(self, folder: Path | None = None) -> dict[str, str]:
        """Every file of the output with its hash."""
        root = folder or self.output
        return {
            path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }

    def coco(self, name: str = "instances.json") -> dict[str, Any]:
        """An annotation file of COCO."""
        return dict(json.loads((self.output / "coco" / "annotations" / name).read_bytes()))


def full_disk(nth: int) -> Callable[[], None]:
    """Something to do first in the child: the nth write of the spool finds the disk full."""

    def patch() -> None:
        import errno

        import synapse_skills.job.export.spool as spool

        real, calls = os.write, iter(range(1, 1 << 30))

        def write(handle: int, content: Any) -> int:
            if next(calls) == nth:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(handle, content)

        class Os:
            def __getattr__(self, name: str) -> Any:
                return write if name == "write" else getattr(os, name)

        spool.os = Os()  # type: ignore[assignment]

    return patch


@pytest.fixture(scope="module")
def export_box(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One sandbox for all tests of a module, with a project for each of them."""
    projects = [{"id": number, "title": f"project {number}"} for number in range(1, 100)]
    with sandboxes(tmp_path_factory.mktemp("export")) as start:
        box = start(seed=seed_with(projects=projects))
        box.next_project = itertools.count(1)
        yield box


@pytest.fixture
def export_job(tmp_path: Path, export_box: Any) -> Any:
    """An export job in a project of its own, without any records yet; faults and settings end with the test."""
    settings = export_box.settings()
    yield ExportJob(tmp_path / "export", export_box, next(export_box.next_project))
    export_box.set_faults()
    export_box.set(**{key: value for key, value in settings.items() if export_box.settings()[key] != value})
