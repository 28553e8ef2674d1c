"""The first rows of the table: what to upload, where to, and what the job is called."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from synapse_skills.errors import EXIT_ENVIRONMENT, FindingError, OutOfReach, printable
from synapse_skills.plan import SpecPlan
from synapse_skills.planning.answers import number_of, shown, text
from synapse_skills.planning.evidence import takes
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.home import JOBS, free_name, slug
from synapse_skills.planning.interview import Ask, BadAnswer, Decision, Inferred, Option, Refuse, Settled, Stopped
from synapse_skills.planning.sources import paths_of, sources_of

if TYPE_CHECKING:
    from synapse_skills.backend import Collection

MAX_TABLE_ROWS = 50
RETIRED = frozenset({"closed", "old", "archive", "archived", "deprecated", "obsolete", "retired", "unused", "backup"})
RETIRED_KOREAN = ("보관", "종료", "마감", "폐기", "사용금지", "사용 금지")


# ---- data_collection


def _fit(specs: tuple[SpecPlan, ...], extensions: Mapping[str, int]) -> tuple[bool, int]:
    """Whether every required spec finds a file, and how many files some spec takes."""
    suffixes = set(extensions)

    def has(spec: SpecPlan) -> bool:
        # A compound extension such as .nii.gz shows up here by its last part.
        return any(each in suffixes or f".{each.rpartition('.')[2]}" in suffixes for each in takes(spec))

    taken = {each for spec in specs for each in takes(spec)}
    files = sum(count for extension, count in extensions.items() if extension in taken)
    return all(has(spec) for spec in specs if spec.is_required) and any(map(has, specs)), files


def describe_specs(specs: tuple[SpecPlan, ...]) -> str:
    """`image_1 .png .jpg required, mask_1 .png` for a table."""
    words = []
    for spec in specs:
        kinds = " ".join(spec.extensions) or spec.file_type or "anything"
        words.append(f"{spec.name} {kinds}{' required' if spec.is_required else ''}")
    return ", ".join(words)


def _ask_collection(facts: Facts, settled: Settled) -> Inferred | Ask | Refuse:
    try:
        rows = facts.collections()
    except OutOfReach as error:
        if "sources" in settled:
            raise
        # Nothing has been said yet: the first questions stand even while the backend is out of reach.
        problem = Refuse(error.code, str(error), error.hint, EXIT_ENVIRONMENT)
        return Ask("Which data collection do the files go to? Give its number.", problem=problem)
    if not rows:
        return Refuse(
            "no-collections",
            "There is no data collection with file specifications.",
            "Make a data collection with file specifications in Synapse first.",
        )
    extensions = facts.extensions(sources_of(settled)) if "sources" in settled else None
    fits = {row.id: _fit(row.specs, extensions) if extensions is not None else (False, 0) for row in rows}
    paths = paths_of(settled) if "sources" in settled else []
    folders = {word for path in paths for word in _words(path.rstrip("/").rpartition("/")[2])}

    def unlikely(row: Collection) -> tuple[Any, ...]:
        # A schema must be satisfied too, so a collection without one is the safer guess.
        shared = len(folders & _words(row.name))
        fit, files = fits[row.id]
        return not fit, bool(retired(row.name)), -shared, bool(row.meta_schema), -files, -row.id

    likely = sorted(rows, key=unlikely)
    fitting = [row for row in likely if fits[row.id][0]]
    if len(rows) == 1 and (extensions is None or fitting):
        return Inferred(rows[0].id, f"the only data collection there is: {rows[0].name}")
    table = [
        {"id": row.id, "name": row.name, "specs": describe_specs(row.specs)}
        | ({"fits": fits[row.id][0]} if extensions is not None else {})
        for row in likely[:MAX_TABLE_ROWS]
    ]
    because = f"{len(rows):,} data collections with file specifications"
    if extensions is not None:
        because += f"; {len(fitting):,} of them take what the folder holds"
    if len(rows) > MAX_TABLE_ROWS:
        because += f"; the likeliest {MAX_TABLE_ROWS} are shown"
    options = tuple(
        Option(
            label_of(row.name, row.id),
            row.id,
            describe_specs(row.specs)
            + ("; has a metadata schema" if row.meta_schema else "")
            + ("; fits what the folder holds" if fits[row.id][0] else "")
            + (f'; its name says "{word}"' if (word := retired(row.name)) else ""),
        )
        for row in likely
    )
    question = "Which data collection do the files go to?"
    if len(rows) > 4:
        question += " Another one: give its number from the table."
    return Ask(question, options, table=(table, because))


def _words(name: str) -> set[str]:
    return {word for word in re.split(r"[\W_]+", name.casefold()) if len(word) > 1 and not word.isdecimal()}


def retired(name: str) -> str:
    """The word by which something is no longer in use: `closed` of `CT scans 2024 (closed)`; '' if there is none."""
    found = sorted(_words(name) & RETIRED) or [word for word in RETIRED_KOREAN if word in name]
    return found[0] if found else ""


def label_of(name: str, identity: int) -> str:
    """A short label of something that has a name and a number."""
    words = printable(name).split()[:4]
    return " ".join([*words, f"({identity})"])[:60] if words else f"({identity})"


def _parse_collection(answer: Any, facts: Facts, settled: Settled) -> int:
    number = number_of(answer)
    if number is None and isinstance(answer, str):
        rows = [(row.id, row.name) for row in facts.collections()]
        asked = _ask_collection(facts, settled)
        number = by_name(answer.strip(), rows, "data collection", asked if isinstance(asked, Ask) else None)
    if number is None or number != int(number) or number < 1:
        raise BadAnswer(f"{shown(answer)} is not the number of a data collection.")
    try:
        return facts.collection(int(number)).id
    except FindingError as error:
        raise BadAnswer(str(error)) from None


COLLECTION = Decision(
    "data_collection",
    "Collection",
    "The number or name of the data collection that the files go to.",
    _ask_collection,
    _parse_collection,
)


# ---- name


def _decide_name(facts: Facts, settled: Settled) -> Inferred | Ask:
    assert facts.home is not None  # it follows from the sources
    home = facts.home
    if home.taken:
        shown_path = printable(", ".join(home.taken))
        return Ask(
            f"There is a job {home.name} already, over {shown_path}. What is this one called?",
            (
                Option(free_name(home.name), free_name(home.name), "A job of its own beside the other one"),
                Option(home.name, home.name, "Go on in that job's folder; its plan is replaced"),
            ),
        )
    conflict = _sent_elsewhere(facts, settled)
    if conflict:
        other = f"{home.name}-{settled['data_collection']}"
        return Ask(
            f"{conflict} What is this upload called?",
            (
                Option(other, other, "A job of its own, named after the collection"),
                Option(free_name(home.name), free_name(home.name), "A job of its own, numbered"),
            ),
        )
    return Inferred(home.name, home.because)


def _parse_name(answer: Any, facts: Facts, settled: Settled) -> str:
    name = text(answer, facts, settled)
    if len(name) > 200:
        raise BadAnswer("A name has at most 200 characters.")
    if slug(name) == "upload" and name.casefold() != "upload":
        raise BadAnswer(f"{shown(answer)} has no letter or digit that a folder could be named with.")
    conflict = _sent_elsewhere(facts, settled)
    if conflict:
        raise BadAnswer(conflict)
    return name


def _sent_elsewhere(facts: Facts, settled: Settled) -> str:
    """Says so if this job has begun to upload to another collection: its state belongs to that one."""
    assert facts.home is not None
    before = facts.home.previous_plan()
    if before is None or not facts.home.has_sent() or before.get("data_collection") == settled["data_collection"]:
        return ""
    return f"The job {facts.home.name} has already sent to data collection {before.get('data_collection')}."


NAME = Decision(
    "name",
    "Name",
    f"What the job is called; its folder is {JOBS}/NAME.",
    _decide_name,
    _parse_name,
    needs=("sources", "data_collection"),
)


# ---- storage and project


def _decide_storage(facts: Facts, settled: Settled) -> Inferred | Ask:
    row = facts.default_storage()
    identity, name = int(row["id"]), printable(str(row.get("name") or "unnamed"))
    provider = printable(str(row.get("provider") or "unknown provider"))
    if "storage" in facts.answers:
        return Ask(
            "Uploads always land in the tenant's default storage. Go on with it?",
            (
                Option("Default storage", identity, f"{identity}: {name} ({provider})"),
                Option("Stop", "stop", "Have the default storage changed in Synapse first"),
            ),
        )
    return Inferred(
        identity,
        f"uploads always land in the tenant's default storage, {name} ({provider}); no upload can choose another",
    )


def _parse_storage(answer: Any, facts: Facts, settled: Settled) -> int:
    default = int(facts.default_storage()["id"])
    number = number_of(answer)
    if number is None and str(answer).strip().lower() == "stop":
        raise Stopped(
            Refuse(
                "storage-not-default",
                f"The files would land in the default storage {default}, which was not wanted.",
                "Have the default storage changed in Synapse, then plan again with --set storage=null.",
            ),
            "stop",
        )
    if number != default:
        raise BadAnswer(
            f"Uploads land in the default storage {default}, not in {shown(answer)}: no upload can choose one."
        )
    return default


STORAGE = Decision(
    "storage",
    "Storage",
    "Where the files land: always the tenant's default storage.",
    _decide_storage,
    _parse_storage,
    needs=("data_collection",),
)


NO_TASKS = "no tasks are made; say project=NUMBER to make one for every data unit, or project=list to see the projects"
# Ways to say "I don't know the number": the table comes back, without a reproach.
UNKNOWN = {"?", "list", "unknown", "ask", "i don't know", "i don't know the id", "don't know", "모름", "몰라"}


def _ask_project(facts: Facts, settled: Settled) -> Ask:
    """A table of all projects; those of the data collection are the likeliest."""
    question = "Which project do the tasks go to? Give its number."
    try:
        rows, own = facts.projects(settled["data_collection"])
    except (FindingError, OutOfReach) as error:
        return Ask(f"{question} They can't be listed here: {error}")
    if not rows:
        return Ask("There is no project that can be listed. Give its number, or null for no tasks.")
    likely = sorted(rows, key=lambda row: (int(row["id"]) not in own, -int(row["id"])))
    table = [{**project_row(row), "of this collection": int(row["id"]) in own} for row in likely[:MAX_TABLE_ROWS]]
    because = f"{len(rows):,} projects" + (
        f"; the likeliest {MAX_TABLE_ROWS} are shown" if len(rows) > MAX_TABLE_ROWS else ""
    )
    options = tuple(
        Option(
            label_of(str(row["name"]), int(row["id"])),
            int(row["id"]),
            f"{row.get('category') or 'a project'}, {row.get('task_count') or 0:,} tasks"
            + ("; belongs to this data collection" if int(row["id"]) in own else ""),
        )
        for row in likely
    )
    if len(rows) > 4:
        question = "Which project do the tasks go to? Another one: give its number from the table."
    return Ask(question, options, table=(table, because))


def project_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A project as a table shows it."""
    tasks = row.get("task_count")
    return {"id": int(row["id"]), "name": str(row["name"]), "category": row.get("category"), "tasks": tasks}


def _parse_project(answer: Any, facts: Facts, settled: Settled) -> int:
    word = str(answer).strip().casefold()
    if word in UNKNOWN:
        raise BadAnswer("", _ask_project(facts, settled))
    number = number_of(answer)
    if number is None and isinstance(answer, str):
        rows, _ = facts.projects(settled["data_collection"])
        number = by_name(
            answer.strip(),
            [(int(row["id"]), str(row["name"])) for row in rows],
            "project",
            _ask_project(facts, settled),
        )
    if number is None or number != int(number) or number < 1:
        raise BadAnswer(f"{shown(answer)} is not the number of a project.", _ask_project(facts, settled))
    try:
        facts.project(int(number))
    except FindingError as error:
        raise BadAnswer(str(error), _ask_project(facts, settled)) from None
    return int(number)


def by_name(word: str, rows: list[tuple[int, str]], what: str, ask: Ask | None = None) -> int:
    """The number of the one row with this name.

    Raises:
        BadAnswer: there is none (the nearest one is named), or there are several (their numbers are).
    """
    named = [number for number, name in rows if name.casefold() == word.casefold()]
    if len(named) == 1:
        return named[0]
    if named:
        numbers = ", ".join(map(str, named))
        raise BadAnswer(f"{len(named)} {what}s have the name {shown(word)}: give the number, one of {numbers}.", ask)
    near = difflib.get_close_matches(word.casefold(), [name.casefold() for _, name in rows], n=1)
    found = next(((number, name) for number, name in rows if near and name.casefold() == near[0]), None)
    hint = f" Did you mean {printable(found[1])} ({found[0]})?" if found else ""
    if ask is not None and found:
        ask = replace(ask, options=tuple(sorted(ask.options, key=lambda option: option.value != found[0])))
    raise BadAnswer(f"{shown(word)} is not the number or name of a {what}.{hint}", ask)


PROJECT = Decision(
    "project",
    "Project",
    "The number or title of a project: a task is made in it for every data unit. `list` shows them; none without.",
    lambda facts, settled: Inferred(None, NO_TASKS),
    _parse_project,
    needs=("data_collection",),
)
