"""Where an export's job lives: in a folder named after its project or ground truth (DESIGN.md, section 4)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synapse_skills.errors import SkillsError, UsageError, printable
from synapse_skills.planning.export_facts import ExportFacts
from synapse_skills.planning.export_scope import GROUND_TRUTH, SCOPE, VERSION_KEY, scope_of
from synapse_skills.planning.home import JOBS, Home, find_home, slug
from synapse_skills.planning.interview import Settled, fold


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
    folder = Path.cwd() / JOBS / name
    if _is_upload(folder):
        name += "-export"
        folder = Path.cwd() / JOBS / name
    home = find_home({"name": name}, None, fresh=False)
    assert home is not None
    theirs = _other_scope(home.own, scope)
    kind = "ground truth" if scope["target"] == GROUND_TRUTH else "project"
    because = f"the title of the {kind}; everything of this job is in {printable(f'{JOBS}/{folder.name}')}"
    return Home(folder, name, because, {} if fresh or theirs else home.own, theirs)


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
            document = json.loads((folder / name).read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(document, dict):
            return document.get("kind") == "upload" or bool({"sources", "data_collection"} & set(document))
    return False
