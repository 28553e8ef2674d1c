"""The row about rows of a table that can't be used as they are: several for one data unit, or for nobody knows whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from synapse_skills.errors import printable
from synapse_skills.planning.agreed import ask_again, more_than_agreed
from synapse_skills.planning.answers import one_of
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.interview import Ask, BadAnswer, Decision, Option, Refuse, Settled, Stopped
from synapse_skills.planning.metadata_cover import coverage, table_fields
from synapse_skills.planning.metadata_facts import FIRST, LAST, NONE, fields_of, row_numbers
from synapse_skills.planning.metadata_rules import odd_rows, rows_of

if TYPE_CHECKING:
    from synapse_skills.report import Problem
    from synapse_skills.units.several_rows import SeveralRows

STOP = "stop"
WORDS = {
    "metadata-duplicate-key": (
        "data unit has several rows in the table, which differ",
        "data units have several rows in the table, which differ",
    ),
    "metadata-ambiguous-key": ("row could mean several data units", "rows could mean several data units each"),
}
"""One, and several."""
EXAMPLES = 3


def _decide_rows(facts: Facts, settled: Settled) -> Ask | None:
    odd = odd_rows(facts, settled)
    if not odd:
        return None
    told = ". ".join(f"{_words(each)}: {'; '.join(each.examples[:2])}" for each in odd[:EXAMPLES])
    return Ask(
        f"{told}. What should become of these rows?",
        (Option("Stop", STOP, "Correct the table first"), *_which_rows(facts, settled)),
    )


def _words(odd: Problem) -> str:
    words = WORDS.get(odd.code)
    return f"{odd.count:,} {words[odd.count != 1]}" if words else f"{odd.count:,} {odd.code}"


def _which_rows(facts: Facts, settled: Settled) -> Iterator[Option]:
    rows = rows_of(facts, settled)
    several = rows.several if rows is not None else []
    drop = Option("Use none of these rows", NONE, _without(facts, settled, several))
    if len(several) == 1 and len(several[0].rows) == 2:
        for number, values in several[0].rows:
            yield Option(f"Row {number}", number, f"{printable(several[0].unit)}: {values}")
        yield replace(drop, label="Use neither")
        return
    if several:
        yield Option("The first row counts", FIRST, "Of several rows for a data unit; the others are dropped")
        yield Option("The last row counts", LAST, "Of several rows for a data unit; the others are dropped")
    yield drop


def _without(facts: Facts, settled: Settled, several: list[SeveralRows]) -> str:
    """What the data units come to whose rows give nothing."""
    if not several:
        return "They give no metadata to any data unit"
    whose = printable(several[0].unit) if len(several) == 1 else "These data units"
    given, columns = coverage(facts, settled), set(table_fields(facts, settled).values())
    names = [
        field.name
        for field in fields_of(facts, settled)
        if field.required and field.name in columns and len(given.get(field.name, ())) == 1
    ]
    if not names:
        return f"{whose} then {'gets' if len(several) == 1 else 'get'} nothing from the table"
    more = ", …" if len(names) > EXAMPLES else ""
    only = f"{', '.join(map(printable, names[:EXAMPLES]))}{more}"
    be = "is" if len(names) == 1 else "are"
    return f"{whose} would stay at home: {only} {be} required, and nothing else gives {'it' if be == 'is' else 'them'}"


def _parse_rows(answer: Any, facts: Facts, settled: Settled) -> str | list[int]:
    odd = odd_rows(facts, settled)
    word: str | list[int] = row_numbers(answer) or one_of(STOP, FIRST, LAST, NONE)(answer, facts, settled)
    if word == STOP and odd:
        first = odd[0]
        refusal = Refuse(first.code, first.examples[0], first.fix, count=first.count, examples=tuple(first.examples))
        raise Stopped(refusal, STOP)
    if isinstance(word, list):
        _check_rows(word, facts, settled)
    if word != STOP and (more := more_than_agreed(facts, {each.code: each.count for each in odd})):
        raise ask_again(_decide_rows(facts, settled), more)
    return word


def _check_rows(numbers: list[int], facts: Facts, settled: Settled) -> None:
    """Rows that are named have to say, for each data unit with several, which counts."""
    rows = rows_of(facts, settled)
    several = rows.several if rows is not None else []
    for each in several:
        mine = [number for number, _ in each.rows]
        if len(set(mine) & set(numbers)) != 1 and each.count == len(mine):
            named = " or ".join(map(str, mine))
            raise BadAnswer(f"{printable(each.unit)} has rows {named}: name one of them.")
    known = {number for each in several for number, _ in each.rows}
    if wrong := [number for number in numbers if number not in known]:
        raise BadAnswer(f"Row {wrong[0]} is none of several rows for one data unit.")


ROWS = Decision(
    "metadata.rows",
    "Odd rows",
    "Rows that can't be used as they are: `stop`; `first` or `last` of several for one data unit, or the number of the "
    "one that counts (a list of numbers for several data units); or `none` of them.",
    _decide_rows,
    _parse_rows,
    needs=("metadata.field.*", "metadata.values.*"),
    whole=True,
)
