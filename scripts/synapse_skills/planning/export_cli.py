"""One round of the export conversation, from arguments to the document (DESIGN.md, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synapse_skills.errors import EXIT_ENVIRONMENT, EXIT_FINDINGS, EXIT_OK, OutOfReach, SkillsError, UsageError, redact
from synapse_skills.export_plan import ExportPlan
from synapse_skills.job.export.output import finished_formats
from synapse_skills.plan import plan_bytes, plan_hash
from synapse_skills.planning.answers import merge, parse_set, read_answers
from synapse_skills.planning.document import Document, Request, shown_path
from synapse_skills.planning.dryrun import counts_of, dry_run_export
from synapse_skills.planning.export import EXPORT
from synapse_skills.planning.export_build import build_export_plan
from synapse_skills.planning.export_facts import ExportFacts
from synapse_skills.planning.export_filters import RECORDS, sample_of, table_of
from synapse_skills.planning.export_home import find_export_home
from synapse_skills.planning.export_place import without_default
from synapse_skills.planning.export_plugin import plugin_lines, write_plugin
from synapse_skills.planning.export_scope import with_scope
from synapse_skills.planning.export_siblings import with_siblings
from synapse_skills.planning.export_split import OWN, reached
from synapse_skills.planning.export_summary import export_summary
from synapse_skills.planning.export_words import plain_name
from synapse_skills.planning.home import Home
from synapse_skills.planning.interview import Outcome, Settled, check_keys, fold, is_known
from synapse_skills.planning.summary import diff
from synapse_skills.planning.taken import tell_taken
from synapse_skills.report import write_bytes

ENOUGH = 20
"""So many sampled records tell that a part is empty."""
SAID = ("records-in-scope", "records-without-filter", "classes")
"""What a dry run tells, and the document has said already."""
_SCOPES = {
    "project": "project",
    "ground_truth_version": "ground_truth_version",
    "ground_truth_dataset_version": "ground_truth_version",
    "ground_truth_dataset_versions": "ground_truth_version",
}


def filter_flag(filter: dict[str, Any]) -> dict[str, Any]:
    """`--filter JSON` as answers: the scope in it, as older instructions have it, is the scope.

    Raises:
        UsageError: it names two scopes.
    """
    rest = {key: value for key, value in filter.items() if key not in _SCOPES}
    scopes = {_SCOPES[key]: value for key, value in filter.items() if key in _SCOPES and value is not None}
    if len(scopes) > 1:
        raise UsageError(
            "--filter names a project and a ground truth.", hint="An export is of one of the two.", code="bad-filter"
        )
    return {**scopes, **({"filter": rest} if rest else {})}


def plan_export(request: Request) -> Document:
    """Hold one round: take what is known, find out the rest, ask, refuse, or plan and dry-run.

    Raises:
        UsageError: an unknown key, an unreadable answers file, an `--out` that is no job's.
        OutOfReach: the job's folder can't be written.
    """
    sets = without_default(with_scope(parse_set(request.sets)))
    file = read_answers(request.answers) if request.answers is not None else {}
    flags = without_default(with_scope(dict(request.flags)))
    for origin in (flags, sets, file):
        check_keys(EXPORT, origin)
    new = merge(flags, sets, file)
    with ExportFacts(new) as facts:
        home = find_export_home(new, request.out, facts, fresh=request.answers is not None)
        own = home.own if home is not None else {}
        answers = merge(flags, sets, file, own)
        answers = {key: value for key, value in answers.items() if key in new or is_known(EXPORT, key)}
        said, answers = answers, with_siblings(answers, plain_name, facts.formats())
        changed = {key for key in answers if answers[key] != said[key]}
        facts.answers, facts.home = dict(answers), home
        outcome = fold(EXPORT, facts, answers, remembered=frozenset(own) - frozenset(new) - changed)
        if home is not None and outcome.given:
            home.remember(outcome.given)
        document = _document(outcome, facts)
        if outcome.done:
            assert home is not None  # the scope is settled
            with home.held():
                _finish(document, home, facts, outcome.settled)
        return tell_taken(document, request.answers, file, merge(flags, sets))


def _document(outcome: Outcome, facts: ExportFacts) -> Document:
    document = Document(understood=outcome.understood, questions=outcome.questions)
    document.problems = [refusal.as_dict() for refusal in outcome.refusals]
    if RECORDS in outcome.settled:
        if rows := table_of(facts, outcome.settled):
            because = "records with each filter alone, and with all others but it"
            document.understood.append({"key": "filters", "value": rows, "because": because})
        document.problems += _notes(facts, outcome.settled)
    document.block(outcome)
    return document


def _notes(facts: ExportFacts, settled: Settled) -> list[dict[str, Any]]:
    """What is odd in the sample and stops nothing."""
    sample = sample_of(facts, settled)
    notes = []
    if sample.unread:
        fix = "They are set aside with the reason, and the export ends with exit 5."
        notes.append(("unreadable-record", len(sample.unread), sample.unread[:3], fix))
    for code, count in sorted(sample.issues.items()):
        fix = "Counted in the report; synapse_json holds the payloads as they are."
        notes.append((code, count, [f"{count:,} in a sample of {len(sample.records):,} records"], fix))
    return [
        {"code": code, "severity": "warning", "count": count, "examples": list(examples), "fix": fix}
        for code, count, examples, fix in notes
    ]


def _finish(document: Document, home: Home, facts: ExportFacts, settled: Settled) -> None:
    """Write the plan, render it, and dry-run what was rendered."""
    from synapse_skills.rendering import render_job

    before = home.previous_plan()
    plan = build_export_plan(facts, settled)
    render_job(plan, home.job, keep_edited=True)
    write_bytes(home.plan, plan_bytes(plan))
    report, error = dry_run_export(home)
    if report is None or error is not None:
        document.stop(error or OutOfReach("The dry run gave no report.", code="no-report", hint="Run it again."))
        return
    document.dry_run = counts_of(report)
    known = {problem["code"] for problem in document.problems}
    document.problems += [
        problem.model_dump(mode="json")
        for problem in report.problems
        if problem.code not in {*known, *SAID} and (problem.severity != "error" or report.exit_code != EXIT_OK)
    ]
    if report.exit_code != EXIT_OK:
        document.status = "blocked"
        document.exit_code = EXIT_ENVIRONMENT if report.exit_code == EXIT_ENVIRONMENT else EXIT_FINDINGS
        return
    try:
        document.plugin = write_plugin(home, plan, settled)
    except SkillsError as refused:
        document.stop(refused)
        return
    document.problems += _replaced(home, plan, before) + _empty_parts(facts, settled)
    document.status, document.exit_code = "ready", EXIT_OK
    document.plan = shown_path(home.plan)
    document.hash = plan_hash(plan_bytes(plan))
    document.summary = export_summary(plan, facts, settled, before) + plugin_lines(document.plugin)


def _replaced(home: Home, plan: ExportPlan, before: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """That a finished export will be written over by another plan."""
    there = finished_formats(Path(plan.output)) if "://" not in plan.output and plan.storage is None else []
    if not there or before is None or not diff(before, plan.model_dump(mode="json")):
        return []
    told = f"{plan.output} holds a finished export as {', '.join(there)}, made by another plan: it is replaced"
    return [_warning("replaces-export", told, "To keep it, name another job with --name, or another --output.")]


def _empty_parts(facts: ExportFacts, settled: Settled) -> list[dict[str, Any]]:
    """Parts of the split that come out empty."""
    counts, whole = reached(facts, settled)
    empty = [part for part, count in counts.items() if not count]
    if not empty or not (whole or sum(counts.values()) >= ENOUGH):
        return []
    told = ", ".join(f"{part} {count:,}" for part, count in counts.items())
    by = settled.get("split.by", "record")
    fix = f"What is kept together by {by} is too large: another split.by or split.seed, or split.ratios={OWN}."
    return [_warning("empty-part", f"the split comes to {told}", fix)]


def _warning(code: str, example: str, fix: str) -> dict[str, Any]:
    return {"code": code, "severity": "warning", "count": 1, "examples": [redact(example)], "fix": fix}
