"""What values of a table mean that the schema does not take: asked where few different ones are the cause."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synapse_skills.errors import printable
from synapse_skills.planning.answers import shown
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.interview import MAX_LABEL_WORDS, Ask, BadAnswer, Decision, Family, Option, Settled
from synapse_skills.planning.metadata_cover import pairs_of, type_words
from synapse_skills.planning.metadata_facts import NONE, fields_of, table_of
from synapse_skills.planning.metadata_fit import faults_of, values_of

if TYPE_CHECKING:
    from synapse_skills.metadata import Field

PREFIX = "metadata.values."
LABEL_CHARS = 30
FEW = 6
"""So many different values that don't fit are a question; more are a matter of their rows."""
# What cells say where a schema wants the other: each set means one thing.
_ALIKE = (
    {"남", "남성", "남자", "male", "m", "man", "boy"},
    {"여", "여성", "여자", "female", "f", "w", "woman", "girl"},
    {"예", "네", "유", "있음", "양성", "yes", "y", "true", "1", "o", "positive", "pos"},
    {"아니오", "아니요", "무", "없음", "음성", "no", "n", "false", "0", "x", "negative", "neg"},
    {"정상", "normal", "ok"},
    {"비정상", "이상", "abnormal"},
    {"미상", "모름", "알수없음", "기타", "unknown", "other", "n/a", "na"},
    {"좌", "왼쪽", "left", "l"},
    {"우", "오른쪽", "right", "r"},
)


@dataclass(frozen=True)
class _Misfits:
    """A field, the column that gives it, and which of its values the schema does not take, with how many rows."""

    field: Field
    column: str
    counts: Mapping[str, int]


def values_said(settled: Settled) -> dict[str, dict[str, Any]]:
    """Field → value as the table has it → value as it is sent; None leaves it empty."""
    return {
        key.removeprefix(PREFIX): value
        for key, value in sorted(settled.items())
        if key.startswith(PREFIX) and isinstance(value, dict) and value
    }


def _misfits(facts: Facts, settled: Settled) -> dict[str, _Misfits]:
    """Fields that a column gives with few values that don't fit."""
    table = table_of(facts, settled)
    if table is None:
        return {}
    fields = {field.name: field for field in fields_of(facts, settled)}
    columns = {name: column for name, (column, _) in pairs_of(facts, settled).items() if name in fields}
    there = values_of(facts, settled)
    wrong: dict[str, tuple[str, set[str]]] = {}
    for name, column in columns.items():
        bad = {str(value) for value in there.get(column, []) if faults_of(facts, settled, name, value)[1]}
        if 0 < len(bad) <= FEW:
            wrong[name] = (column, bad)
    if not wrong:
        return {}

    def count() -> dict[str, Counter[str]]:
        found: dict[str, Counter[str]] = {column: Counter() for column, _ in wrong.values()}
        for row in table.rows():
            for column, counter in found.items():
                if column in row.values:
                    counter[str(row.values[column])] += 1
        return found

    counts = facts.once(("value counts", table.path, table.sheet, tuple(sorted(wrong))), count)
    return {
        name: _Misfits(fields[name], column, {each: counts[column][each] for each in sorted(bad)})
        for name, (column, bad) in wrong.items()
    }


def _guess(value: str, choices: tuple[Any, ...]) -> Any:
    """The one choice that means the same as a value; None if none or several do."""
    word = value.strip().casefold()
    own = next((words for words in _ALIKE if word in words), {word})
    found = [choice for choice in choices if str(choice).casefold() in own or str(choice).casefold() == word]
    return found[0] if len(found) == 1 else None


def _decide(facts: Facts, settled: Settled, misfits: _Misfits) -> Ask | None:
    field, bad = misfits.field, list(misfits.counts)
    told = ", ".join(f"{printable(value)} ({count:,})" for value, count in misfits.counts.items())
    options: list[Option] = []
    if field.enum:
        guessed = {value: _guess(value, field.enum) for value in bad}
        known = {value: meant for value, meant in guessed.items() if meant is not None}
        if len(known) == len(bad):
            options.append(_mapped(known, "All rows"))
        elif known and not field.required:
            rest = dict.fromkeys(value for value in bad if value not in known)
            options.append(_mapped(known, "The others are left empty", rest))
    empty = Option(
        "Leave them empty", dict.fromkeys(bad), f"{sum(misfits.counts.values()):,} rows give no {field.name}"
    )
    if not field.required:
        options.append(empty)
    if not options:
        return None  # only their rows can be mended or left out, which is asked about by itself
    options.append(Option("As they are", NONE, "Those data units are told as findings: mend them, or leave them out"))
    say = f" Or say each: --set '{PREFIX}{field.name}={json.dumps({bad[0]: '…'}, ensure_ascii=False)}'."
    return Ask(
        f"{printable(field.name)} ({type_words(field)}) does not take what the column {printable(misfits.column)} "
        f"says: {told}. What do these values mean?{say if field.enum and len(options) < 3 else ''}",
        tuple(options),
    )


def _mapped(known: Mapping[str, Any], told: str, rest: Mapping[str, None] | None = None) -> Option:
    """An option that says what each value means."""
    words = ", ".join(f"{printable(value)} → {meant}" for value, meant in known.items())
    label = words.replace(" → ", "→")
    short = len(label) <= LABEL_CHARS and len(label.split()) <= MAX_LABEL_WORDS
    return Option(label if short else "As their words say", {**known, **(rest or {})}, f"{words}. {told}")


def _parse(answer: Any, facts: Facts, settled: Settled, name: str) -> Any:
    if isinstance(answer, str) and answer.strip().casefold() == NONE:
        return NONE
    if not isinstance(answer, dict) or not answer:
        raise BadAnswer(f'{shown(answer)} is no object such as {{"남": "M", "미상": null}}.')
    fields = {field.name: field for field in fields_of(facts, settled)}
    made: dict[str, Any] = {}
    for value, meant in answer.items():
        if meant is None:
            if name in fields and fields[name].required:
                raise BadAnswer(f"{printable(name)} is required: {shown(value)} can't be left empty.")
            made[str(value).strip()] = None
            continue
        made[str(value).strip()], faults = faults_of(facts, settled, name, meant)
        if faults:
            raise BadAnswer("; ".join(map(str, faults[:3])))
    return made


def _expand(facts: Facts, settled: Settled, answers: Mapping[str, Any]) -> Iterator[Decision]:
    found = _misfits(facts, settled)
    said = [key.removeprefix(PREFIX) for key in answers if key.startswith(PREFIX) and key != PREFIX]
    for name in dict.fromkeys([*found, *said]):
        yield Decision(
            PREFIX + name,
            "Values",
            f"What values of the table mean for {printable(name)}: an object; null leaves it empty; or `none`.",
            (lambda facts, settled, each=found[name]: _decide(facts, settled, each))  # type: ignore[misc]
            if name in found
            else (lambda facts, settled: None),
            lambda answer, facts, settled, name=name: _parse(answer, facts, settled, name),  # type: ignore[misc]
        )


VALUES_FAMILY = Family(
    PREFIX + "*",
    "Values",
    'What values of the table mean for a field, such as `{"남": "M", "여": "F", "미상": null}`; null leaves the field '
    "empty, `none` takes them as they are.",
    _expand,
    needs=("metadata.field.*",),
)
