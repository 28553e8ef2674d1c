"""What a round is asked, and the document that it answers (DESIGN.md, section 3): the same for uploads and exports."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synapse_skills.errors import EXIT_FINDINGS, EXIT_QUESTIONS, SkillsError
from synapse_skills.planning.brief import brief
from synapse_skills.planning.interview import Outcome, Refuse


@dataclass(frozen=True)
class Request:
    """What a round is asked for.

    Attributes:
        flags: answers given as flags, by key.
        sets: `--set`, as typed.
        params: a file with the upload parameters of the older workflow; `pattern` one with its batch pattern.
        rescan: look at every file now, whatever an earlier round has found.
    """

    flags: Mapping[str, Any] = field(default_factory=dict)
    sets: Sequence[str] = ()
    answers: Path | None = None
    out: Path | None = None
    params: Path | None = None
    pattern: Path | None = None
    rescan: bool = False


@dataclass
class Document:
    """What a round answers."""

    status: str = "questions"
    understood: list[dict[str, Any]] = field(default_factory=list)
    questions: list[dict[str, Any]] = field(default_factory=list)
    problems: list[dict[str, Any]] = field(default_factory=list)
    plan: str | None = None
    hash: str | None = None
    summary: str = ""
    dry_run: dict[str, Any] | None = None
    exit_code: int = EXIT_QUESTIONS
    plugin: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON document; what was understood is shortened, see `brief`."""
        keys = ("status", "understood", "questions", "problems", "plan", "hash", "summary", "dry_run")
        document = {key: getattr(self, key) for key in keys} | {"understood": brief(self.understood)}
        return document | ({"plugin": self.plugin} if self.plugin is not None else {})

    def block(self, outcome: Outcome) -> None:
        """Become `blocked` if something must be mended first.

        What is out of reach does not stop the first questions; what is to be mended does.
        """
        blocking = [refusal.exit_code for refusal in outcome.refusals]
        if blocking and (EXIT_FINDINGS in blocking or not outcome.questions):
            self.status, self.questions = "blocked", []
            self.exit_code = max(blocking)

    def stop(self, refusal: SkillsError) -> None:
        """Become `blocked` by an error that came after all had been decided."""
        self.status, self.exit_code = "blocked", refusal.exit_code
        self.problems.append(Refuse(refusal.code, str(refusal), refusal.hint).as_dict())


def shown_path(path: Path) -> str:
    """A path as a user would type it here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
