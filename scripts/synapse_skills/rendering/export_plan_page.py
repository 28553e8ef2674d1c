"""The plan of an export → one HTML page: what is exported, as what, what it may lose, and what its dry run showed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synapse_skills.export_plan import ExportPlan, read_export_plan
from synapse_skills.formats import FORMATS
from synapse_skills.formats.base import Format
from synapse_skills.formats.reasons import words_of
from synapse_skills.plan import plan_hash
from synapse_skills.rendering.export_page import TARGETS, scope_words
from synapse_skills.rendering.export_result import last_export_report
from synapse_skills.rendering.folder import MARKER, is_edited
from synapse_skills.rendering.gallery import Page, render_page
from synapse_skills.report import ExportReport, Problem

MOST_CLASSES = 100
TOLD_ELSEWHERE = frozenset({"classes", "lost-annotations", "changed-shape"})
OUTSIDE = {"clamp": "cut at the edge of its picture", "drop": "lost", "fail": "lost, and the export ends with exit 5"}
UNKNOWN = {"fail": "lost, and the export ends with exit 5", "add": "appended to the list", "drop": "lost"}
UNLABELLED = {"fail": "lost, and the export ends with exit 5", "drop": "lost"}
EMPTY = {"keep": "exported, as pictures without objects", "drop": "left out"}
SEVERAL = {
    "best": "the confirmed one, else the reviewed, else the newest",
    "newest": "the newest",
    "all": "all of them",
}
ORIGINALS = {"none": "not exported", "optional": "exported where they are there", "required": "exported, all of them"}
NAMING = {"original": "called as the original files are", "id": "called by the number of the record"}


@dataclass(frozen=True)
class PlannedExport:
    """Everything that a page about the plan of an export tells.

    Attributes:
        hash: of plan.json's bytes as they are.
        shipped: the hash of the plan in the job folder if that is another one, else ''.
        report: of the last dry run.
        is_stale: it is older than the plan.
    """

    plan: ExportPlan
    hash: str
    shipped: str = ""
    edited: bool = False
    report: ExportReport | None = None
    is_stale: bool = False


def read_planned_export(file: Path) -> PlannedExport:
    """Read a plan.json and what is known about it.

    Raises:
        UsageError: there is none.
        FindingError: it is not the plan of an export, or the dry run's report can't be read.
    """
    plan = read_export_plan(file)
    beside = Path(os.path.abspath(file)).parent  # noqa: PTH100 - a link's own folder is meant
    home = beside.parent if (beside / MARKER).is_file() else beside
    digest, job = plan_hash(file.read_bytes()), home / "job"
    report, is_stale = _dry_run(home, file)
    return PlannedExport(plan, digest, _shipped(job / "plan.json", digest), is_edited(job), report, is_stale)


def _shipped(path: Path, known: str) -> str:
    try:
        found = plan_hash(path.read_bytes())
    except OSError:
        return ""
    return "" if found == known else found


def _dry_run(home: Path, plan: Path) -> tuple[ExportReport | None, bool]:
    """The newest dry run's report, and whether the plan was written after it."""
    found = [path for path in (home / "dry_run.json", home / "state" / "report.json") if path.is_file()]
    for path in sorted(found, key=lambda each: each.stat().st_mtime_ns, reverse=True):
        report = last_export_report(path)
        if report is not None and report.mode == "dry-run":
            return report, path.stat().st_mtime_ns < plan.stat().st_mtime_ns
    return None, False


def export_plan_page(planned: PlannedExport) -> Page:
    """Render the page of a plan."""
    plan = planned.plan
    classes = plan.classes
    by_name = {name: [label for label, to in classes.map.items() if to == name] for name in set(classes.map.values())}
    return render_page(
        "export_plan.html.j2",
        [],
        planned=planned,
        plan=plan,
        report=planned.report,
        verdict=_verdict(planned),
        what=TARGETS[plan.target],
        scope=scope_words(plan),
        formats=[_format(planned, each.name, each.options) for each in plan.formats],
        accepted=[_accepted(each) for each in plan.losses],
        classes=[(name, by_name.get(name, [])) for name in classes.order[:MOST_CLASSES]],
        more_classes=len(classes.order) - MOST_CLASSES,
        rules=_rules(plan),
        problems=[each for each in planned.report.problems if not _is_told(each)] if planned.report else [],
    )


def _is_told(problem: Problem) -> bool:
    return problem.severity == "info" and problem.code in TOLD_ELSEWHERE


def _format(planned: PlannedExport, name: str, options: dict[str, Any]) -> dict[str, Any]:
    known = FORMATS.get(name)
    tools = planned.plan.expected.tools
    counts = planned.report.annotations.formats.get(name) if planned.report is not None else None
    return {
        "name": name,
        "title": known.title if known else name,
        "options": [f"{key} = {value}" for key, value in options.items()],
        "holds": [(tool, _becomes(known, options, tool)) for tool in tools] if known else [],
        "counts": counts,
        "read": planned.report.annotations.read if planned.report is not None else 0,
        "lost": [(words_of(reason), count) for reason, count in counts.lost.items()] if counts else [],
    }


def _becomes(format: Format, options: dict[str, Any], tool: str) -> str:
    """What a format makes of a tool's annotations with these options."""
    said = format.holds.get(tool, "")
    option, _, value = said.partition("=")
    if not value:
        return said or "lost"
    chosen = options.get(option, next((each.choices[0] for each in format.options if each.name == option), None))
    return f"as a {value}" if str(chosen) == value else f"lost; {said} would hold it"


def _accepted(key: str) -> tuple[str, str]:
    name, _, reason = key.partition(":")
    return name, words_of(reason)


def _rules(plan: ExportPlan) -> list[tuple[str, str]]:
    """Every policy of the plan: its name, and what it means."""
    split = "none: all is together"
    if plan.split is not None:
        shares = ", ".join(f"{name} {ratio:.0%}" for name, ratio in plan.split.ratios.items())
        split = f"{shares}, kept together by {plan.split.by.replace('_', ' ')}, seed {plan.split.seed}"
        split += ", each class in every part" if plan.split.stratify == "class" else ""
    return [
        ("split", split),
        ("a new class", UNKNOWN[plan.classes.unknown]),
        ("without a class", UNLABELLED[plan.classes.unlabelled]),
        ("runs out of its picture", OUTSIDE[plan.geometry]),
        ("without annotations", EMPTY[plan.empty]),
        ("several records of one data unit", SEVERAL[plan.duplicates]),
        ("originals", ORIGINALS[plan.originals]),
        ("files", NAMING[plan.naming]),
    ]


def _verdict(planned: PlannedExport) -> tuple[str, str]:
    """Whether it can be run, as a word for the colour and a sentence."""
    report = planned.report
    if planned.shipped:
        return "bad", f"The job folder holds another plan ({planned.shipped}): render this one before it is run."
    if not planned.plan.expected.records:
        return "bad", "There is nothing to export."
    if report is None:
        return "fair", "Planned, but without a dry run: run plan_export again, or the job with --dry-run."
    if planned.is_stale:
        return "fair", "Planned; the dry run is older than this plan: run the job with --dry-run before it runs."
    if report.exit_code != 0:
        return "bad", "The dry run found something that the plan does not allow: see below."
    if planned.edited:
        return "fair", "Planned and dry-run with an edited script: nothing has been exported yet."
    return "good", "Planned and dry-run: nothing has been exported yet."
