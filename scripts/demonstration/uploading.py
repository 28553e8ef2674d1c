"""The first half: a folder of photos becomes data units, compared byte by byte, and nothing is there twice."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demonstration.parts import EXAMPLES, PHOTOS, Contents, Stage, constants, contents_on_disk, differs, same


@dataclass(frozen=True)
class Uploaded:
    """What came of it. `home` is the job's folder, `page` shows every data unit."""

    home: Path
    page: Path
    hash: str
    units: int
    report: dict[str, Any]
    again: dict[str, Any]


def upload(stage: Stage) -> Uploaded:
    """Plan, upload, read back, upload again, and make the page."""
    say = stage.say
    plan = _plan(stage)
    home = (stage.folder / plan["plan"]).parent
    report = stage.job(home, "--approve", plan["hash"])
    say(
        f"3. Uploaded with the approval {plan['hash']}: {report['created']} data units, "
        f"{report['files']['sent']} files, {report['tasks']['created']} tasks, {report['seconds']:.1f} s."
    )
    units = check(stage, home)
    say(f"4. Read back and compared with the folder: {units} data units, every file byte by byte, all metadata.")
    again = stage.job(home, "--approve", plan["hash"], "--report", str(stage.folder / "again.json"))
    check(stage, home)
    say(f"5. The same command again: {again['created']} made, {again['already']} known. Nothing is there twice.")
    page = stage.folder / "page.html"
    stage.script("preview.py", str(home), "--out", str(page))
    say("6. A page shows every data unit with its picture, files and metadata.")
    return Uploaded(home, page, plan["hash"], units, report, again)


def _plan(stage: Stage) -> dict[str, Any]:
    plan = stage.script("plan_upload.py", str(PHOTOS), "--answers", str(EXAMPLES / "answers.json"), "--json")
    counts = plan["dry_run"]
    stage.say("2. Planned, with the answers of examples/answers.json:\n")
    stage.say("\n".join(f"     {line}" for line in plan["summary"].splitlines()))
    stage.say(
        f"\n   Rendered, and dry-run: {counts['planned']} data units, {counts['files']['planned']} files, "
        f"{counts['left_out']} left out, {counts['quarantined']} unfit. Nothing has been sent yet.\n"
    )
    return plan


def check(stage: Stage, home: Path) -> int:
    """Compare what the backend has with what is on disk; returns how many data units that is."""
    wanted = contents_on_disk(json.loads((home / "plan.json").read_bytes()))
    there: Contents = {}
    ids = []
    for unit in stage.rows("/data_units/?data_collection=1&page_size=100"):
        key = str((unit["meta"] or {}).get("name"))
        if key in there:
            raise differs(f"{key} is there twice")
        there[key] = {spec: stage.sha1(file["url"]) for spec, file in unit["files"].items()}
        ids.append(unit["id"])
        same(f"the metadata of {key}", {"name": key, "dataset_key": key, **constants()}, unit["meta"])
    same("the data units", sorted(wanted), sorted(there))
    for key, files in wanted.items():
        same(f"the files of {key}", files, there[key])
    tasks = [task["data_unit"]["id"] for task in stage.rows("/sdk/tasks/?project=1&page_size=100&expand=data_unit")]
    same("the data units that have a task", sorted(ids), sorted(tasks))
    return len(there)
