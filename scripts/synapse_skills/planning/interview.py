"""The interview: an ordered table of decisions and one pure fold over it (DESIGN.md, section 3).

A decision knows how it follows from the facts (inferred because…, asked, refused, does not apply) and how an answer
is read. The fold settles all that can be settled, collects at most four questions, and all refusals. It keeps nothing
between rounds: the same table, facts and answers give the same outcome, so a conversation is a series of folds with
one more answer each, and a change of mind is another answer.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from synapse_skills.errors import EXIT_ENVIRONMENT, EXIT_FINDINGS, SkillsError, UsageError, redact

MAX_QUESTIONS = 4
MAX_OPTIONS = 4
MAX_HEADER = 12
MAX_LABEL_WORDS = 5
AS_SAID = "as you said"
REMEMBERED = "remembered from an earlier round"

Settled = dict[str, Any]


@dataclass(frozen=True)
class Option:
    """One choice of a question. `value` is what the answer means; the label works as an answer too."""

    label: str
    value: Any
    description: str = ""


@dataclass(frozen=True)
class Inferred:
    """Found out or a stated default: not asked."""

    value: Any
    because: str


@dataclass(frozen=True)
class Ask:
    """Must be asked. Without options it is asked in prose; `table` is what there is to choose among.

    With `goes_on` the rows that need this one are settled as if nothing had been said, so that they ask at once.
    """

    question: str
    options: tuple[Option, ...] = ()
    multi: bool = False
    table: tuple[Any, str] | None = None
    error: str | None = None
    problem: Refuse | None = None
    goes_on: bool = False


@dataclass(frozen=True)
class Refuse:
    """Nothing to decide: the user must mend it first."""

    code: str
    example: str
    fix: str
    exit_code: int = EXIT_FINDINGS
    count: int = 1
    severity: str = "error"
    examples: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The refusal as a problem of the document."""
        return {
            "code": self.code,
            "severity": self.severity,
            "count": self.count,
            "examples": [redact(text) for text in (self.examples or (self.example,))],
            "fix": redact(self.fix),
        }


@dataclass(frozen=True)
class Later:
    """Not now: it would take long to find out, and other questions come first."""


class BadAnswer(Exception):
    """An answer that can't be taken; its message comes back with the same question.

    Args:
        why: the message; empty if the answer was no mistake ("I don't know").
        ask: the question that comes back, if it is not the row's own.
    """

    def __init__(self, why: str, ask: Ask | None = None) -> None:
        super().__init__(why)
        self.ask = ask


class Stopped(Exception):
    """A valid answer that ends the conversation until something is mended (for example `stop`)."""

    def __init__(self, refusal: Refuse, value: Any) -> None:
        super().__init__(refusal.example)
        self.refusal = refusal
        self.value = value


Decide = Callable[[Any, Settled], Inferred | Ask | Refuse | Later | None]
Parse = Callable[[Any, Any, Settled], Any]


@dataclass(frozen=True)
class Decision:
    """One row of the table.

    Attributes:
        key: dotted path of the plan field it decides; the key of the answer and of `--set`.
        header: at most 12 characters, for the question.
        doc: one sentence; the reference of keys is generated from it, and a wrong answer is asked again with it.
        decide: from the facts and what is settled; None means that it does not apply.
        parse: an answer to the value as it is kept in answers.json, or `BadAnswer`.
        needs: keys that must be settled first.
        whole: only all files can tell; while a sample is all there is, it waits.
        check: raises `BadAnswer` for an answer that is wrong whatever else is decided, such as a misspelt word; so it
            is said in the same round as everything else, not once its needs are settled.
    """

    key: str
    header: str
    doc: str
    decide: Decide
    parse: Parse
    needs: tuple[str, ...] = ()
    whole: bool = False
    check: Callable[[Any], object] | None = None


@dataclass(frozen=True)
class Family:
    """Rows that exist once for each of something, such as `specs.*.pattern`: made when its needs are settled."""

    key: str
    header: str
    doc: str
    expand: Callable[[Any, Settled, Mapping[str, Any]], Iterable[Decision]]
    needs: tuple[str, ...] = ()

    def covers(self, key: str) -> bool:
        """Whether a key has this family's shape. The middle part is free: a spec's name may hold dots."""
        before, _, after = self.key.partition("*")
        return len(key) > len(before) + len(after) and key.startswith(before) and key.endswith(after)


Table = Sequence[Decision | Family]


@dataclass
class Outcome:
    """What one round came to.

    Attributes:
        settled: key to value, of all that is decided.
        understood: what was settled and why, in table order, and tables to choose from.
        questions: at most four, in AskUserQuestion's shape.
        refusals: what blocks.
        given: the answers that were taken, as values: what answers.json keeps.
        done: nothing is left to ask or to mend.
    """

    settled: Settled = field(default_factory=dict)
    understood: list[dict[str, Any]] = field(default_factory=list)
    questions: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[Refuse] = field(default_factory=list)
    given: Settled = field(default_factory=dict)
    reached: set[str] = field(default_factory=set)
    waiting: list[str] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Everything is settled."""
        return not self.questions and not self.refusals and not self.waiting


def fold(table: Table, facts: Any, answers: Mapping[str, Any], *, remembered: frozenset[str] = frozenset()) -> Outcome:
    """Hold one round.

    Args:
        table: the decisions in order; a row's needs stand above it.
        facts: whatever the table's functions look at.
        answers: key to answer, the precedence of their origins already applied.
        remembered: keys that come from an earlier round: one that no longer has a meaning (a spec of another
            collection) is dropped instead of being an error.

    Raises:
        UsageError: an answer's key is not in the table; names the nearest one.
    """
    check_keys(table, answers)
    outcome = Outcome()
    for row in table:
        if not outcome.reached.issuperset(row.needs):
            outcome.waiting.append(row.key)
            # An answer for later is kept, so that nothing is asked twice.
            outcome.given.update({key: value for key, value in answers.items() if _belongs(row, key)})
            _check(row, answers, outcome)
            continue
        if isinstance(row, Decision):
            _settle(row, facts, answers, outcome)
            continue
        try:
            members = list(row.expand(facts, outcome.settled, answers))
        except SkillsError as error:
            outcome.refusals.append(refusal_of(error))
            continue
        known = [member.key for member in members]
        for key in answers:
            if row.covers(key) and key not in known and key not in remembered:
                raise _unknown(key, known or [row.key])
        for member in members:
            _settle(member, facts, answers, outcome)
        if outcome.reached.issuperset(known):
            outcome.reached.add(row.key)
    for said in outcome.understood:
        if said["because"] == AS_SAID and said["key"] in remembered:
            said["because"] = REMEMBERED
    return outcome


def check_keys(table: Table, answers: Mapping[str, Any]) -> None:
    """Refuse an answer whose key no row has, with the nearest key."""
    for key in answers:
        if not any(_belongs(row, key) for row in table):
            raise _unknown(key, [row.key for row in table])


def is_known(table: Table, key: str) -> bool:
    """Whether some row has this key."""
    return any(_belongs(row, key) for row in table)


def as_question(key: str, header: str, ask: Ask, error: str | None = None) -> dict[str, Any]:
    """A question in the shape of the AskUserQuestion tool, whose limits are kept here for every caller."""
    options = ask.options[:MAX_OPTIONS]
    if len(options) < 2:
        options = ()
    return {
        "key": key,
        "header": header[:MAX_HEADER],
        "question": redact(ask.question),
        "options": [
            {
                "label": " ".join(option.label.split()[:MAX_LABEL_WORDS]),
                "value": option.value,
                "description": redact(option.description),
            }
            for option in options
        ],
        "multiSelect": ask.multi and bool(options),
        "error": redact(error) if error else ask.error,
    }


def refusal_of(error: SkillsError) -> Refuse:
    """An error met while looking at the facts, as what blocks."""
    return Refuse(error.code, str(error), error.hint, error.exit_code)


def _belongs(row: Decision | Family, key: str) -> bool:
    return row.covers(key) if isinstance(row, Family) else row.key == key


def _unknown(key: str, known: Sequence[str]) -> UsageError:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    return UsageError(
        f"Unknown key {key!r}.",
        hint=f"Did you mean {near[0]}?" if near else "Look the keys up in the reference.",
        code="unknown-key",
    )


def _settle(row: Decision, facts: Any, answers: Mapping[str, Any], outcome: Outcome) -> None:
    if row.whole and getattr(facts, "is_sample", False):
        outcome.waiting.append(row.key)
        outcome.given.update({key: value for key, value in answers.items() if key == row.key})
        return
    try:
        if row.key in answers:
            _take(row, facts, answers[row.key], outcome)
            return
        found = row.decide(facts, outcome.settled)
    except Stopped as stop:
        outcome.given[row.key] = stop.value
        outcome.refusals.append(stop.refusal)
        return
    except SkillsError as error:
        outcome.refusals.append(refusal_of(error))
        if row.key in answers and error.exit_code == EXIT_ENVIRONMENT:
            # It could not be checked: kept, so that it need not be given again.
            outcome.given[row.key] = answers[row.key]
        return
    if isinstance(found, Ask):
        _ask(row, found, None, outcome)
        if found.goes_on:
            outcome.reached.add(row.key)
    elif isinstance(found, Later):
        outcome.waiting.append(row.key)
    elif isinstance(found, Refuse):
        outcome.refusals.append(found)
    else:
        if found is not None:
            outcome.settled[row.key] = found.value
            outcome.understood.append({"key": row.key, "value": found.value, "because": redact(found.because)})
        outcome.reached.add(row.key)


def _check(row: Decision | Family, answers: Mapping[str, Any], outcome: Outcome) -> None:
    """Say of an answer for later what is wrong with it in any case."""
    if isinstance(row, Family) or row.check is None or row.key not in answers:
        return
    try:
        row.check(answers[row.key])
    except BadAnswer as error:
        outcome.given.pop(row.key)
        _ask(row, error.ask or _another(row, None), str(error), outcome)


def _another(row: Decision, found: Inferred | None) -> Ask:
    """The question about an answer that nobody had been asked for."""
    unless = f" Without an answer it is {_short(found.value)}: {found.because}." if found is not None else ""
    return Ask(f"What shall `{row.key}` be? {row.doc}{unless}")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 100 else f"{text[:99]}…"


def _take(row: Decision, facts: Any, answer: Any, outcome: Outcome) -> None:
    try:
        value = row.parse(answer, facts, outcome.settled)
    except BadAnswer as error:
        found = row.decide(facts, outcome.settled)
        ask = error.ask or (found if isinstance(found, Ask) else None)
        meant = _by_label(ask, answer) if ask else None
        ask = ask or _another(row, found if isinstance(found, Inferred) else None)
        if meant is None:
            _ask(row, ask, str(error), outcome)
            return
        try:
            value = row.parse(meant, facts, outcome.settled)
        except BadAnswer as again:
            _ask(row, ask, str(again), outcome)
            return
    outcome.given[row.key] = value
    outcome.settled[row.key] = value
    outcome.understood.append({"key": row.key, "value": value, "because": AS_SAID})
    outcome.reached.add(row.key)


def _by_label(ask: Ask, answer: Any) -> Any:
    """What an answer given in labels means: one label, a list of them, or several joined by commas."""
    values = {_plain(option.label): option.value for option in ask.options}
    if isinstance(answer, str) and _plain(answer) in values:
        return values[_plain(answer)]
    if not ask.multi:
        return None
    parts = answer.split(",") if isinstance(answer, str) else answer if isinstance(answer, list) else []
    if not parts or not all(isinstance(part, str) for part in parts):
        return None
    return [values.get(_plain(part), part.strip()) for part in parts]


def _plain(label: str) -> str:
    return " ".join(label.split()).casefold().removesuffix(" (recommended)")


def _ask(row: Decision, ask: Ask, error: str | None, outcome: Outcome) -> None:
    if ask.problem:
        outcome.refusals.append(ask.problem)
    if len(outcome.questions) >= MAX_QUESTIONS:
        outcome.waiting.append(row.key)
        return
    if ask.table:
        value, because = ask.table
        outcome.understood.append({"key": row.key, "value": value, "because": redact(because)})
    outcome.questions.append(as_question(row.key, row.header, ask, error))


def reference(table: Table) -> Iterator[tuple[str, str]]:
    """Key and one sentence of every row: the reference of keys is generated from it."""
    for row in table:
        yield row.key, row.doc
