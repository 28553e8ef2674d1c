"""The first rows of an export: what kind of record, of which project or ground truth, and what the job is called."""

from __future__ import annotations

import re
from typing import Any

from synapse_skills.errors import EXIT_ENVIRONMENT, FindingError, OutOfReach, printable
from synapse_skills.planning.answers import number_of, one_of, shown, text
from synapse_skills.planning.export_facts import ExportFacts
from synapse_skills.planning.home import JOBS, slug
from synapse_skills.planning.interview import (
    MAX_OPTIONS,
    Ask,
    BadAnswer,
    Decision,
    Inferred,
    Later,
    Option,
    Refuse,
    Settled,
)
from synapse_skills.planning.target import MAX_TABLE_ROWS, by_name, label_of, project_row

GROUND_TRUTH = "ground_truth"
VERSION_KEY = "ground_truth_version"
_TRUTH = re.compile(r"(?i)(?:a )?ground[_ ]truth(?:[: ]*\(?(\d+)\)?)?")


def scope_of(settled: Settled) -> int:
    """The number of the project, or of the ground truth's version."""
    return int(settled[VERSION_KEY if settled["target"] == GROUND_TRUTH else "project"])


def _one_only(answer: Any, what: str) -> None:
    """Refuse several at once.

    Raises:
        FindingError: `several-scopes`: more than one was named.
    """
    words = answer if isinstance(answer, list) else re.split(r"[\s,;]+", answer.strip()) if _is_several(answer) else ()
    if len(words) < 2:
        return
    raise FindingError(
        f"An export is of one {what}, and {len(words):,} were named: {', '.join(shown(word) for word in words[:5])}.",
        hint="Plan one export for each, all with the same --classes FILE, so that a class has the same number in every "
        "one. --answers synapse-jobs/FIRST/answers.json repeats the other answers.",
        code="several-scopes",
    )


def _is_several(answer: Any) -> bool:
    return isinstance(answer, str) and re.fullmatch(r"\d+([\s,;]+\d+)+", answer.strip()) is not None


def _of_project(facts: ExportFacts, project: int) -> Inferred:
    """Assignments, unless there are none."""
    done, tasks = (facts.count(target, project, {}) for target in ("assignment", "task"))
    if not done and tasks:
        return Inferred("task", f"the project has no assignments, but {tasks:,} tasks")
    because = f"the project has {done:,} assignments, which hold the work of its labelers"
    return Inferred("assignment", f"{because}; target=task exports its {tasks:,} tasks instead")


def _decide_target(facts: ExportFacts, settled: Settled) -> Inferred | Ask | Later:
    if VERSION_KEY in facts.answers:
        return Inferred(GROUND_TRUTH, "you named a version of a ground truth")
    if "project" in facts.answers:
        try:
            project = _project_number(facts.answers["project"], facts)
        except BadAnswer:
            return Later()  # the project's own row asks for it again
        return _of_project(facts, project)
    options = [
        Option("Assignments", "assignment", "The work of labelers and reviewers in a project: the usual choice"),
        Option("Ground truth", GROUND_TRUTH, "A version of a ground-truth dataset"),
        Option("Tasks", "task", "The tasks of a project, with the annotations that they hold themselves"),
    ]
    try:
        truths, projects = facts.ground_truths(), facts.projects()
        if truths and not projects:
            return Inferred(GROUND_TRUTH, "there are ground truths, and no projects")
        if len(projects) == 1 and not truths:
            return _of_project(facts, int(projects[0]["id"]))
        if projects:
            return Later()  # which project tells it, and a ground truth is offered beside them
        del options[1]
    except (FindingError, OutOfReach) as error:
        # Nothing has been said yet: the first questions stand even while the backend is out of reach.
        problem = Refuse(error.code, str(error), error.hint, EXIT_ENVIRONMENT)
        return Ask("What is to be exported?", tuple(options), problem=problem)
    return Ask("What is to be exported?", tuple(options))


def _parse_target(answer: Any, facts: ExportFacts, settled: Settled) -> str:
    target = one_of("assignment", GROUND_TRUTH, "task", "assignments", "tasks", "ground_truths")(answer, facts, settled)
    target = target.removesuffix("s")
    if target != GROUND_TRUTH and VERSION_KEY in facts.answers:
        raise BadAnswer(f"A version of a ground truth was named, so {shown(answer)} can't be the target.")
    if target == GROUND_TRUTH and "project" in facts.answers:
        raise BadAnswer("A ground truth is exported by its version, not by a project: take project back with null.")
    return target


TARGET = Decision(
    "target",
    "Target",
    "Which records: `assignment` (the work of labelers), `ground_truth`, or `task`.",
    _decide_target,
    _parse_target,
)


# ---- project


def _ask_project(facts: ExportFacts, settled: Settled) -> Inferred | Ask | Refuse | None:
    if settled.get("target") == GROUND_TRUTH or ("target" not in settled and VERSION_KEY in facts.answers):
        return None
    question = "Which project is to be exported?"
    try:
        rows = facts.projects()
    except OutOfReach as error:
        if "target" in settled:
            raise
        return Ask(f"{question} Give its number.", problem=Refuse(error.code, str(error), error.hint, EXIT_ENVIRONMENT))
    if not rows:
        return Refuse("no-projects", "There is no project that can be listed.", "Give its number with --project.")
    truths = facts.ground_truths() if "target" not in settled else []
    if len(rows) == 1 and not truths:
        return Inferred(int(rows[0]["id"]), f"the only project there is: {rows[0]['name']}")
    likely = sorted(rows, key=lambda row: (not row.get("task_count"), -int(row["id"])))
    because = f"{len(rows):,} projects" + (f"; {MAX_TABLE_ROWS} are shown" if len(rows) > MAX_TABLE_ROWS else "")
    options = tuple(
        Option(
            label_of(str(row["name"]), int(row["id"])),
            int(row["id"]),
            f"{row.get('category') or 'a project'}, {row.get('task_count') or 0:,} tasks",
        )
        for row in likely
    )
    room = MAX_OPTIONS - bool(truths)
    more = " Another one: give its number from the table." if len(rows) > room else ""
    options = options[:room]
    if truths:
        question = "Which project is to be exported, or a ground truth?"
        options += (_truth_option(truths),)
    table = [project_row(row) for row in likely[:MAX_TABLE_ROWS]]
    # What the options say need not be said twice.
    return Ask(question + more, options, table=(table, because) if more else None)


def _truth_option(truths: list[dict[str, Any]]) -> Option:
    """A ground truth beside the projects: the only version, or which one is asked next."""
    if len(truths) == 1:
        name = _truth_name(truths[0])
        number = truths[0]["id"]
        return Option(f"Ground truth ({number})", f"{GROUND_TRUTH}:{number}", f"{name}, the only version there is")
    return Option("A ground truth", GROUND_TRUTH, f"One of {len(truths):,} versions; which one is asked next")


def with_scope(answers: dict[str, Any]) -> dict[str, Any]:
    """The answers, a ground truth that was chosen where a project was asked for in its own place."""
    word = answers.get("project")
    found = _TRUTH.fullmatch(word.strip()) if isinstance(word, str) else None
    if found is None:
        return answers
    rest = {key: value for key, value in answers.items() if key != "project"}
    return {**rest, VERSION_KEY: int(found[1])} if found[1] else {**rest, "target": GROUND_TRUTH}


def _project_number(answer: Any, facts: ExportFacts) -> int:
    number = number_of(answer)
    if number is None and isinstance(answer, str):
        rows = [(int(row["id"]), str(row["name"])) for row in facts.projects()]
        number = by_name(answer.strip(), rows, "project")
    if number is None or number != int(number) or number < 1:
        raise BadAnswer(f"{shown(answer)} is not the number of a project.")
    try:
        facts.project(int(number))
    except FindingError as error:
        raise BadAnswer(str(error)) from None
    return int(number)


def _parse_project(answer: Any, facts: ExportFacts, settled: Settled) -> int:
    if VERSION_KEY in facts.answers:
        raise BadAnswer("A version of a ground truth was named too: take one of the two back with null.")
    _one_only(answer, "project")
    return _project_number(answer, facts)


PROJECT = Decision(
    "project",
    "Project",
    "The number or title of the project whose assignments or tasks are exported.",
    _ask_project,
    _parse_project,
)


# ---- ground truth


def _truth_name(row: dict[str, Any]) -> str:
    return " ".join(part for part in (row["name"], row["version"]) if part) or f"version {row['id']}"


def _ask_version(facts: ExportFacts, settled: Settled) -> Inferred | Ask | Refuse | None:
    if settled["target"] != GROUND_TRUTH:
        return None
    rows = facts.ground_truths()
    if not rows:
        return Refuse("no-ground-truths", "There is no version of a ground truth.", "Make one in Synapse first.")
    if len(rows) == 1:
        return Inferred(rows[0]["id"], f"the only version of a ground truth there is: {_truth_name(rows[0])}")
    likely = sorted(rows, key=lambda row: -int(row["id"]))
    options = tuple(Option(label_of(_truth_name(row), row["id"]), row["id"], f"Version {row['id']}") for row in likely)
    because = f"{len(rows):,} versions" + (f"; {MAX_TABLE_ROWS} are shown" if len(rows) > MAX_TABLE_ROWS else "")
    more = " Another one: give its number from the table." if len(rows) > 4 else ""
    return Ask("Which version of which ground truth?" + more, options, table=(likely[:MAX_TABLE_ROWS], because))


def _parse_version(answer: Any, facts: ExportFacts, settled: Settled) -> int:
    _one_only(answer, "version of a ground truth")
    number = number_of(answer)
    if number is None and isinstance(answer, str):
        rows = [(int(row["id"]), _truth_name(row)) for row in facts.ground_truths()]
        number = by_name(answer.strip(), rows, "ground truth's version")
    if number is None or number != int(number) or number < 1:
        raise BadAnswer(f"{shown(answer)} is not the number of a ground truth's version.")
    try:
        facts.ground_truth(int(number))
    except FindingError as error:
        raise BadAnswer(str(error)) from None
    return int(number)


VERSION = Decision(
    VERSION_KEY,
    "Version",
    "The number (not the version's own name) of a ground truth's version; list_resources ground-truths shows them.",
    _ask_version,
    _parse_version,
    needs=("target",),
)


# ---- name


def _decide_name(facts: ExportFacts, settled: Settled) -> Inferred | Ask | Later:
    home = facts.home
    if home is None:
        facts.title(settled["target"], scope_of(settled))  # says why nobody knows it
        return Later()
    if home.taken:
        options = (
            Option(home.name, home.name, "A job of its own, beside the other one, which stays as it is"),
            Option(home.beside, home.beside, "Go on in that job's folder: its plan, and what it has exported, go"),
        )
        return Ask(
            f"There is a job {home.beside} already: {printable(', '.join(home.taken))}. What is this one called?",
            options,
        )
    return Inferred(home.name, home.because)


def _parse_name(answer: Any, facts: ExportFacts, settled: Settled) -> str:
    name: str = text(answer, facts, settled)
    if len(name) > 200:
        raise BadAnswer("A name has at most 200 characters.")
    if slug(name) == "upload" and name.casefold() != "upload":
        raise BadAnswer(f"{shown(answer)} has no letter or digit that a folder could be named with.")
    return name


NAME = Decision(
    "name",
    "Name",
    f"What the job is called; its folder is {JOBS}/NAME.",
    _decide_name,
    _parse_name,
    needs=("target", "project", VERSION_KEY),
)

SCOPE = (TARGET, PROJECT, VERSION)
