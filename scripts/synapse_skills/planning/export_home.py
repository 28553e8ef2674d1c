"""Where an export's job lives: in a folder named after its project or ground truth (DESIGN.md, section 4)."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from synapse_skills.backend.filters import read_filter
from synapse_skills.errors import EXIT_INCOMPLETE, EXIT_OK, SkillsError, UsageError, printable
from synapse_skills.job.export.command import LAST_EXPORT
from synapse_skills.planning.export_facts import ExportFacts
from synapse_skills.planning.export_filters import ANY
from synapse_skills.planning.export_kept import FOLDER as KEPT_ROWS
from synapse_skills.planning.export_scope import GROUND_TRUTH, SCOPE, VERSION_KEY, scope_of
from synapse_skills.planning.export_words import plain_name
from synapse_skills.planning.home import JOBS, Home, find_home, slug
from synapse_skills.planning.interview import Settled, fold
from synapse_skills.texts import parse_json


def find_export_home(said: Mapping[str, Any], out: Path | None, facts: ExportFacts, *, fresh: bool) -> Home | None:
    """The home of the export that the answers speak of; None while nobody can know.

    Args:
        said: answers from flags, `--set` and `--answers`.
        out: `--out`.
        facts: for the title of the project or ground truth.
        fresh: answers came in a file, which replaces those at home.

    Raises:
        UsageError: `--out` names something that is not a folder, or holds something else than a job.
    """
    if out is not None or said.get("name") is not None:
        named = {"name": said["name"]} if said.get("name") is not None else {}
        home = find_home(named, out, fresh=fresh)
        if home is not None and out is None and not fresh:
            home = _going_on(home)
        if home is not None and _is_upload(home.folder):
            raise UsageError(
                f"{printable(str(home.folder))} holds an upload.",
                hint="Give the export another name, or another folder with --out.",
                code="out-not-ours",
            )
        return home
    scope = _scope(said, facts)
    if scope is None:
        return None
    title = slug(facts.title(scope["target"], scope_of(scope)))
    name = title if title != "upload" else f"{scope['target']}-{scope_of(scope)}"
    if _is_upload(Path.cwd() / JOBS / name):
        name += "-export"
    kind = "ground truth" if scope["target"] == GROUND_TRUTH else "project"
    return _free(_home(name, kind), scope, said, fresh=fresh)


def _home(name: str, kind: str = "project") -> Home:
    home = find_home({"name": name}, None, fresh=False)
    assert home is not None
    because = f"the title of the {kind}; everything of this job is in {printable(f'{JOBS}/{home.folder.name}')}"
    return replace(home, because=because)


def _free(first: Home, scope: Settled, said: Mapping[str, Any], *, fresh: bool) -> Home:
    """The first job of this name that is of the same wish, or the place of a new one beside those that are not.

    A finished export is somebody's dataset. Other formats or filters are another wish, so they get a job of their own
    unless the user says otherwise; until then their answers wait in the new job's folder.
    """
    why: tuple[str, ...] = ()
    known: list[Home] = []
    number, home = 1, first
    while number == 1 or home.folder.exists():
        known.append(home)
        number += 1
        home = _home(f"{first.name}-{number}")
    for other in known[1:]:
        if is_waiting(other.folder) and not _other_scope(other.own, scope):
            told = _told(first, scope, said) or _finished_words(first.folder)
            return replace(other, taken=(told,), beside=first.name, own={} if fresh else other.own)
    for other in known:
        told = _told(other, scope, said)
        if not told:
            return replace(other, own={} if fresh else other.own)
        why = why or (told,)
    return replace(home, own={}, taken=why, beside=first.name)


def _told(home: Home, scope: Settled, said: Mapping[str, Any]) -> str:
    """What a job is of, if that is something else than what was said."""
    if theirs := _other_scope(home.own, scope):
        return f"an export of {theirs[0]}"
    return _finished_words(home.folder) if is_finished(home.folder) and _differs(home, scope, said) else ""


def _differs(home: Home, scope: Settled, said: Mapping[str, Any]) -> bool:
    """Whether formats or filters were said that are not those of a job's plan."""
    plan = home.previous_plan() or {}
    if plan.get("target", scope["target"]) != scope["target"]:
        return True
    if "formats" in said:
        given = said["formats"] if isinstance(said["formats"], list) else str(said["formats"]).split(",")
        theirs = [str(each.get("name")) for each in plan.get("formats", []) if isinstance(each, dict)]
        if sorted(plain_name(str(word)) for word in given) != sorted(theirs):
            return True
    whole = said.get("filter")
    wanted = dict(whole) if isinstance(whole, dict) else {}
    wanted |= {key.removeprefix("filter."): value for key, value in said.items() if key.startswith("filter.")}
    theirs_now = plan.get("filter", {})
    for name, value in wanted.items():
        try:
            mine = None if value == ANY else read_filter(scope["target"], {name: value})[name]
        except (SkillsError, KeyError):
            continue  # the table's own row says what is wrong with it
        if mine != theirs_now.get(name):
            return True
    return False


def is_finished(folder: Path) -> bool:
    """Whether a run of the job in a folder has ended with an export."""
    return last_run(folder).get("exit_code") in (EXIT_OK, EXIT_INCOMPLETE)


def last_run(folder: Path) -> dict[str, Any]:
    """The report of the last export of the job in a folder; empty if there is none."""
    try:
        report = parse_json((folder / "state" / LAST_EXPORT).read_bytes())
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}


def is_waiting(folder: Path) -> bool:
    """Whether a folder holds nothing but the answers of a conversation."""
    return (folder / "answers.json").is_file() and not (folder / "plan.json").exists()


def _finished_words(folder: Path) -> str:
    report = last_run(folder)
    try:
        count, names = report["records"]["exported"], ", ".join(report["annotations"]["formats"])
    except (KeyError, TypeError):
        return "a finished export"
    return f"a finished export of {count:,} records as {names}"


def _going_on(home: Home) -> Home:
    """A finished job that the user has chosen to go on with, instead of the new one that was offered: what was said
    meanwhile waits there, and comes along.
    """
    waiting = _home(f"{home.name}-2")
    number = 2
    while waiting.folder.exists() and not is_waiting(waiting.folder):
        number += 1
        waiting = _home(f"{home.name}-{number}")
    if not is_finished(home.folder) or not waiting.folder.exists() or _other_scope(waiting.own, home.own):
        return home
    own = {**waiting.own}
    waiting.answers.unlink(missing_ok=True)
    shutil.rmtree(waiting.folder / KEPT_ROWS, ignore_errors=True)
    with contextlib.suppress(OSError):
        waiting.folder.rmdir()
    return replace(home, own=own)


def _scope(said: Mapping[str, Any], facts: ExportFacts) -> Settled | None:
    """What the first rows of the table come to; None if something is still open, or out of reach."""
    keys = {row.key for row in SCOPE}
    outcome = fold(SCOPE, facts, {key: value for key, value in said.items() if key in keys})
    if not outcome.done:
        return None
    try:
        facts.title(outcome.settled["target"], scope_of(outcome.settled))
    except SkillsError:
        return None  # the table's own rows say why
    return outcome.settled


def _other_scope(own: Mapping[str, Any], scope: Settled) -> tuple[str, ...]:
    """What the job in a folder is of, if that is something else."""
    for key in ("project", VERSION_KEY):
        if own.get(key) is not None and own[key] != scope.get(key):
            return (f"{key.replace('_', ' ')} {own[key]}",)
    return ()


def _is_upload(folder: Path) -> bool:
    for name in ("plan.json", "answers.json"):
        try:
            document = parse_json((folder / name).read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(document, dict):
            return document.get("kind") == "upload" or bool({"sources", "data_collection"} & set(document))
    return False
