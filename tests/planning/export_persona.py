"""Somebody who wants files and knows a few facts, but no keys: every question is answered from its own options."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from forked import Forked
from planning.export_readers import names_in
from planning.export_scenes import seed
from planning.export_talk import Exporter
from sandbox_fixture import Sandbox, sandboxes
from synapse_skills.planning import Document

ATTITUDE: dict[str, Any] = {
    # What anybody would say who has thought of nothing in particular: key, or pattern of keys → how an option begins.
    "filter": "Only confirmed",
    "filter.discarded": "Leave them out",
    "split.ratios": "No split",
    "originals": "No",
    "duplicates": "The best",
    "empty": "Keep",
    "losses.*": "Yes",
}
MAX_ROUNDS = 6


@dataclass
class Talk:
    """What was said.

    Attributes:
        first: flags of the first words, by key.
        facts: what the user knows besides: key (or a pattern) → how the option of choice begins, or the answer itself.
            A list is one answer after the other.
        rounds: the documents.
        asked: keys, as often as they were asked.
    """

    first: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)
    rounds: list[Document] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


def hold(user: Exporter, talk: Talk) -> Document:
    """Go on until the plan is ready; nothing is asked twice unless its answer was wrong."""
    said: dict[str, Any] = dict(talk.first)
    left = {key: list(value) if isinstance(value, list) else [value] for key, value in talk.facts.items()}
    while True:
        document = user.say(**said)
        talk.rounds.append(document)
        assert document.status != "blocked", (document.problems, document.understood)
        if document.status == "ready":
            return document
        assert len(talk.rounds) < MAX_ROUNDS, document.questions
        for question in document.questions:
            key = question["key"]
            assert question["error"] or key not in talk.asked, f"asked again: {question}"
            talk.asked.append(key)
            said[key] = _answer(question, left)


def _answer(question: dict[str, Any], left: dict[str, list[Any]]) -> Any:
    key, options = question["key"], question["options"]
    known = next((left[name] for name in left if fnmatch(key, name)), None)
    if known:
        wish = known.pop(0) if len(known) > 1 else known[0]
    else:
        wish = next((words for name, words in ATTITUDE.items() if fnmatch(key, name)), None)
    for option in options:
        if isinstance(wish, str) and option["label"].startswith(wish):
            return option["value"]
    if wish is not None and known:
        return wish
    # Somebody who does not know takes what stands first; without options there is nothing to take.
    assert options, f"nobody knows that: {question}"
    return options[0]["value"]


@dataclass
class Exported:
    """What came of it: the folder of the job, and of the output; the last report."""

    home: Path
    output: Path
    report: dict[str, Any]

    def of(self, form: str) -> Path:
        """The folder of a format."""
        return self.output / form

    def lost(self, form: str) -> dict[str, int]:
        """What the report says to be lost."""
        return dict(self.report["annotations"]["formats"][form]["lost"])

    def written(self, form: str) -> int:
        """What the report says to be written."""
        return int(self.report["annotations"]["formats"][form]["written"])


def export(user: Exporter, document: Document, box: Sandbox) -> Exported:
    """Run the job that was planned, as it was rendered, to the end."""
    assert document.plan is not None
    home = (user.folder / document.plan).parent
    child = Forked(home / "job" / "export.py", [], box.env(user.folder / "me"), user.folder)
    out, error = child.communicate()
    assert child.returncode == 0, out + error
    plan = json.loads((home / "plan.json").read_bytes())
    output = Path(plan["output"])
    assert (output / "COMPLETE").is_file()
    report = json.loads((home / "state" / "report.json").read_bytes())
    assert report["records"]["quarantined"] == 0
    return Exported(home, output, report)


SUMMARY: list[str] = []


@pytest.fixture(scope="module")
def export_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A tenant with all projects, in the place of the one that other conversations share."""
    with sandboxes(tmp_path_factory.mktemp("tenant")) as start:
        yield start(seed=seed())
    print(f"\n{'conversation':34} rounds asked files read by")
    print("\n".join(SUMMARY))


def to_the_end(
    user: Exporter, box: Sandbox, first: dict[str, Any], facts: dict[str, Any] | None = None, *, by: str = ""
) -> tuple[Talk, Exported]:
    """Hold the conversation and run what it planned."""
    talk = Talk(first, facts or {})
    done = export(user, hold(user, talk), box)
    name = f"{done.home.name}, {'+'.join(done.report['annotations']['formats'])}"
    SUMMARY.append(f"{name:34} {len(talk.rounds):6} {len(talk.asked):5} {len(names_in(done.output)):5} {by}")
    return talk, done
