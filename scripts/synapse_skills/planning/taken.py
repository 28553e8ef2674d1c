"""What was taken over from another job's answers is told as that, not as the user's own words of today."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synapse_skills.errors import printable, redact
from synapse_skills.planning.brief import AS_IN
from synapse_skills.planning.document import Document
from synapse_skills.planning.interview import AS_SAID
from synapse_skills.planning.summary import MAX_LINES, wrapped


def tell_taken(document: Document, answers: Path | None, taken: Mapping[str, Any], said: Mapping[str, Any]) -> Document:
    """The document, with where its answers come from.

    Args:
        document: of this round.
        answers: the file, or the job's folder, that `--answers` names; None without it.
        taken: what it holds.
        said: what flags and `--set` say today: it wins.
    """
    if answers is None:
        return document
    because = f"{AS_IN}{printable(_job_of(answers))}"
    for item in document.understood:
        if item["because"] == AS_SAID and item["key"] in taken and item["key"] not in said:
            item["because"] = because
    if document.summary:
        first, *rest = document.summary.split("\n")
        but = f", but for {', '.join(sorted(said))}" if said else ""
        line = wrapped([f"  as in       {redact(printable(_job_of(answers)))}{but}"])
        if 1 + len(line) + len(rest) <= MAX_LINES:
            document.summary = "\n".join([first, *line, *rest])
    return document


def _job_of(answers: Path) -> str:
    """What the job is called whose answers these are; another file goes by its own name."""
    path = answers.absolute()
    return path.name if path.is_dir() or path.name != "answers.json" else path.parent.name
