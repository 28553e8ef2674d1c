"""One round of the upload conversation, from arguments to the document (DESIGN.md, section 3)."""

from __future__ import annotations

import contextlib
from typing import Any

from synapse_skills.errors import (
    EXIT_ENVIRONMENT,
    EXIT_FINDINGS,
    EXIT_OK,
    EXIT_QUESTIONS,
    OutOfReach,
    SkillsError,
    redact,
)
from synapse_skills.plan import Expected, UploadPlan, plan_bytes, plan_hash
from synapse_skills.planning import on_agent
from synapse_skills.planning.agreed import AGREED
from synapse_skills.planning.answers import merge, parse_set, read_answers
from synapse_skills.planning.build import build_plan, left_out_lines, stays_home_lines
from synapse_skills.planning.document import Document, Request, shown_path
from synapse_skills.planning.dryrun import counts_of, dry_run
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.findings import agreed
from synapse_skills.planning.given import Given, without_spare_sources, without_stale_table
from synapse_skills.planning.home import Home, find_home
from synapse_skills.planning.interview import (
    AS_SAID,
    REMEMBERED,
    Ask,
    Option,
    Outcome,
    Settled,
    as_question,
    check_keys,
    fold,
    is_known,
)
from synapse_skills.planning.looking import Look
from synapse_skills.planning.metadata_rules import metadata_problems, schema_item
from synapse_skills.planning.named import asked_about, left_at_home
from synapse_skills.planning.summary import summary
from synapse_skills.planning.taken import tell_taken
from synapse_skills.planning.upload import EXPECTED, UPLOAD
from synapse_skills.rendering import is_edited, render_job
from synapse_skills.report import UploadReport, write_bytes, write_lines

WHOLE_COMES = (
    "only so many files were looked at, so that the first question comes soon; all are counted before the plan"
)


def plan_upload(request: Request) -> Document:
    """Hold one round: take what is known, find out the rest, ask, refuse, or plan and dry-run.

    Raises:
        UsageError: an unknown key, an unreadable answers file, an `--out` that is no job's.
        OutOfReach: the job's folder can't be written.
    """
    sets = parse_set(request.sets)
    file = read_answers(request.answers) if request.answers is not None else {}
    for origin in (sets, file):
        check_keys(UPLOAD, origin)
    given = Given(request.params, request.pattern)
    said = merge(request.flags, sets, file, given.answers)
    home = find_home(said, request.out, fresh=request.answers is not None)
    own = home.own if home is not None else {}
    # What a file of parameters said last time is among the answers by now; a changed file is a change of mind.
    changed = given.changed(home)
    answers = merge(request.flags, sets, file, changed, own, given.answers)
    answers = {key: value for key, value in answers.items() if key in said or is_known(UPLOAD, key)}
    answers = without_spare_sources(answers, frozenset(request.flags) | frozenset(sets))
    answers, gone = without_stale_table(answers, own, merge(request.flags, sets, file, changed))
    given.notes += gone
    record = answers.pop(AGREED, None)
    remembered = frozenset(own) - frozenset(merge(request.flags, sets, file))
    looks: tuple[Look, ...] = ("fresh",) if request.rescan else ("quick", "fresh")
    if on_agent.is_on(answers):
        # The cluster's listing stands until somebody says otherwise; its dry run may leave something to ask.
        looks = (*looks[:1], "quick")
    for number, look in enumerate(looks, 1):
        with Facts(home, {**answers, AGREED: record}, look=look) as facts:
            outcome = fold(UPLOAD, facts, answers, remembered=remembered)
            if look != "fresh" and not _may_stand(outcome, facts):
                continue
            named = request.out is not None or "name" in said
            if home is not None and not home.taken and outcome.given and ("sources" in outcome.settled or named):
                record = agreed(facts, outcome)
                home.remember({**outcome.given, AGREED: record} if record else outcome.given)
                given.remember(home)
            document = _document(outcome, facts, given)
            if listed := on_agent.understood(facts):
                document.understood.append(listed)
            if outcome.done:
                assert home is not None  # sources are settled
                known = on_agent.unfit_count(home)
                _finish(document, home, facts, outcome.settled)
                if on_agent.unfit_count(home) > known and number < len(looks):
                    answers = {**answers, **outcome.given}
                    continue  # what the cluster has found in data units is a question now
                if look != "fresh" and facts.seen == "recent" and document.status == "blocked":
                    continue  # the files may have changed since: look again before saying no
            return tell_taken(document, request.answers, file, merge(request.flags, sets))
    raise AssertionError("the last look is final")


def _may_stand(outcome: Outcome, facts: Facts) -> bool:
    """Whether what came of a sample, or of files as an earlier round found them, can be said to the user.

    A question may: its answer is checked against all files. A refusal, a reproach and a plan may not.
    """
    if facts.seen in ("", "now"):
        return True
    wrong = any(question["error"] for question in outcome.questions)
    blocked = any(refusal.exit_code == EXIT_FINDINGS for refusal in outcome.refusals)
    if facts.seen == "recent":
        return not wrong and not blocked
    return bool(outcome.questions) and not wrong and not blocked


def _document(outcome: Outcome, facts: Facts, given: Given) -> Document:
    document = Document(understood=[*given.notes, *outcome.understood], questions=outcome.questions)
    if facts.is_sample:
        document.understood = [_of_sample(item, facts) for item in document.understood]
        document.understood.append({"key": "sample", "value": facts.sampled, "because": WHOLE_COMES})
    document.problems = [refusal.as_dict() for refusal in outcome.refusals]
    with contextlib.suppress(SkillsError):  # a backend or table that can't be reached is among the refusals
        _add_schema(document, facts, outcome)
    if "sources" in outcome.settled:
        document.problems += _notes(facts, outcome)
        known = {problem["code"] for problem in document.problems}
        document.problems += [each for each in asked_about(facts, outcome) if each["code"] not in known]
    document.block(outcome)
    return document


def _add_schema(document: Document, facts: Facts, outcome: Outcome) -> None:
    """What the collection wants stands right behind the collection."""
    item = schema_item(facts, outcome.settled)
    if item is not None:
        keys = [each["key"] for each in document.understood]
        document.understood.insert(keys.index("data_collection") + 1, item)


def _of_sample(item: dict[str, Any], facts: Facts) -> dict[str, Any]:
    """What was understood from counts, marked as counted in a sample."""
    if item["because"] in (AS_SAID, REMEMBERED) or not item["key"].startswith(
        ("grouping.", "specs.", "sources.", "data_coll")
    ):
        return item
    return {**item, "because": f"{item['because']} (in a sample of {facts.sampled:,} files)"}


def _notes(facts: Facts, outcome: Outcome) -> list[dict[str, Any]]:
    """What is odd and stops nothing: junk, links, files that belong to no data unit."""
    known = {refusal.code for refusal in outcome.refusals}
    # By the key of its row: a source whose own rows are not settled yet was walked with what was said.
    found = list(facts.walked.problems.as_list()) if facts.walked is not None else []
    found += metadata_problems(facts, outcome.settled, done=outcome.done)
    if outcome.done:
        found += facts.last_counted().problems
    notes = [
        {**problem.model_dump(mode="json"), "fix": redact(problem.fix)}
        for problem in found
        if problem.code not in known and (problem.severity != "error" or not outcome.done)
    ]
    # What does not fit is told by fault, also beside its refusal, which only counts; by consent it is a warning.
    unfit = [problem.model_dump(mode="json") for problem in facts.last_counted().unfit]
    return notes + [{**problem, "severity": "warning" if outcome.done else "error"} for problem in unfit]


def _finish(document: Document, home: Home, facts: Facts, settled: Settled) -> None:
    """Write the plan, render it, and dry-run what was rendered."""
    before = home.previous_plan()
    plan = build_plan(facts, settled)
    left_out = b"".join(left_out_lines(facts, settled))
    home.stays_home.unlink(missing_ok=True)
    write_lines(home.stays_home, stays_home_lines(facts))
    edited = is_edited(home.job)
    accept = edited and settled.get("expected") == "dry-run"
    if accept:
        plan = _counted_by_script(document, home, settled, plan, left_out)
    _write(home, plan, left_out)
    report, error = _dry_run(document, home, settled)
    if report is None or error is not None:
        refusal = error or OutOfReach("The dry run gave no report.", code="no-report")
        document.stop(refusal)
        return
    document.dry_run = counts_of(report)
    document.problems += left_at_home(left_out)
    document.problems += [
        problem.model_dump(mode="json")
        for problem in report.problems
        if problem.code not in {known["code"] for known in document.problems}
        and (problem.severity != "error" or report.exit_code != EXIT_OK)
    ]
    if settled.get(on_agent.KEY):
        on_agent.tell_rescan(document.problems)
    differs = any(problem.code == "differs-from-plan" for problem in report.problems)
    if edited and differs and settled.get("expected") != "plan":
        ask = Ask(
            f"The edited script counts {report.planned:,} data units with {report.files.planned:,} files; the plan has "
            f"{plan.expected.units:,} with {plan.expected.files:,}. Which counts hold?",
            (
                Option("The script's", "dry-run", "A new plan with the script's counts, and a new hash"),
                Option("The plan's", "plan", "Mend the script, or render it anew with render.py --force"),
            ),
        )
        document.questions.append(as_question(EXPECTED.key, EXPECTED.header, ask))
        document.status, document.exit_code = "questions", EXIT_QUESTIONS
        return
    if report.exit_code != EXIT_OK:
        document.status = "blocked"
        document.exit_code = EXIT_ENVIRONMENT if report.exit_code == EXIT_ENVIRONMENT else EXIT_FINDINGS
        return
    document.status, document.exit_code = "ready", EXIT_OK
    document.plan = shown_path(home.plan)
    document.hash = plan_hash(plan_bytes(plan))
    document.summary = summary(plan, facts, settled, before, report)


def _write(home: Home, plan: UploadPlan, left_out: bytes) -> None:
    table = home.folder / plan.grouping.table if plan.grouping.table else None
    rows = home.metadata if any(rule.kind == "table" for rule in plan.metadata) else None
    render_job(plan, home.job, left_out=left_out, placement=table, metadata=rows, keep_edited=True)
    write_bytes(home.left_out, left_out)
    write_bytes(home.plan, plan_bytes(plan))


def _dry_run(document: Document, home: Home, settled: Settled) -> tuple[UploadReport | None, SkillsError | None]:
    """Here, or where the files are."""
    if not settled.get(on_agent.KEY):
        return dry_run(home)
    report, error, told = on_agent.dry_run_there(home)
    known = {problem["code"] for problem in document.problems}
    document.problems += [problem for problem in told if problem["code"] not in known]
    return report, error


def _counted_by_script(
    document: Document, home: Home, settled: Settled, plan: UploadPlan, left_out: bytes
) -> UploadPlan:
    """The plan with the edited script's counts in the place of the planner's."""
    _write(home, plan, left_out)
    report, error = _dry_run(document, home, settled)
    if report is None or error is not None:
        return plan  # the dry run that follows says why
    expected = Expected(
        units=report.planned,
        files=report.files.planned,
        bytes=report.files.bytes,
        left_out=report.left_out,
        files_by_spec=report.files.by_spec,
    )
    return plan.model_copy(update={"expected": expected})
