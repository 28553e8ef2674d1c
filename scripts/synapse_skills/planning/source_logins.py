"""The row about what opens a source that is elsewhere, where the job runs: never a login, only which kind of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

from synapse_skills.errors import printable
from synapse_skills.planning.answers import shown
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.interview import BadAnswer, Decision, Family, Inferred, Settled
from synapse_skills.planning.sources import sources_of

if TYPE_CHECKING:
    from synapse_skills.sources import Source

Login = Literal["storage", "variables", "node"]
_WORDS = ("storage", "variables", "node")


def opened_with(settled: Settled, number: int) -> Login | None:
    """What opens a source, counted from 1; None for a folder."""
    return cast("Login | None", settled.get(f"sources.{number}.credentials"))


def _decide(facts: Facts, source: Source) -> Inferred:
    from synapse_skills.sources import credentials_of

    name = printable(source.name())
    if source.storage is not None:
        return Inferred("storage", f"{name} is opened by a session that the backend gives, here and on the cluster")
    here = facts.once(("login", source.name()), lambda: credentials_of(source))
    if here == "node":
        return Inferred("node", f"{name} is read here by this machine's own role; the cluster's machines need one too")
    return Inferred(
        "variables",
        f"{name} is read here by: {here}; on the cluster only SYNAPSE_ variables arrive, and `node` says that the "
        "machines there have a role of their own",
    )


def _parse(answer: Any, source: Source) -> str:
    word = str(answer).strip().lower()
    if word not in _WORDS or (word == "storage") != (source.storage is not None):
        fits = "storage" if source.storage is not None else "variables or node"
        raise BadAnswer(f"{shown(answer)} opens no {printable(source.name())}: {fits} does.")
    return word


def _expand(facts: Facts, settled: Settled, answers: Mapping[str, Any]) -> Iterator[Decision]:
    for number, source in enumerate(sources_of(settled), 1):
        if not source.is_remote:
            continue
        yield Decision(
            f"sources.{number}.credentials",
            "Login",
            f"What opens {printable(source.name())} where the job runs: storage, variables or node.",
            lambda facts, settled, source=source: _decide(facts, source),  # type: ignore[misc]
            lambda answer, facts, settled, source=source: _parse(answer, source),  # type: ignore[misc]
        )


CREDENTIALS = Family(
    "sources.*.credentials",
    "Login",
    "What opens a URL where the job runs, counted from 1: `storage` (a session of the backend), `variables` "
    "(SYNAPSE_…), or `node` (the role of the machines there). Never the login itself.",
    _expand,
    needs=("sources", "sources.*.recursive"),
)
