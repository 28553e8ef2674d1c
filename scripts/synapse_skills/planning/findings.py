"""The rows about what is wrong with some data units: mended, or left out by name, or the plan stops. Never silent."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from synapse_skills.errors import printable
from synapse_skills.plan import Limits
from synapse_skills.planning.agreed import AGREED, ask_again, more_than_agreed
from synapse_skills.planning.answers import number_of, one_of, shown, text_list, whole
from synapse_skills.planning.counted import MISSING, OVERSIZED, UNFIT, Counted, amount
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.fills import filled_sources, specs_of
from synapse_skills.planning.interview import (
    Ask,
    BadAnswer,
    Decision,
    Inferred,
    Later,
    Option,
    Outcome,
    Refuse,
    Settled,
    Stopped,
)
from synapse_skills.planning.layout import grouping_of, kinds_of
from synapse_skills.planning.metadata_facts import aside_of
from synapse_skills.planning.metadata_rules import meta_of, odd_rows
from synapse_skills.planning.sources import paths_of, sources_of

DEFAULT = Limits()
LEAVE_OUT = "leave_out"
AMBIGUOUS = "several-candidates"
STOP = "stop"
FEW = 0.05
# With more files than this the content guard, which opens each, waits until the cheaper questions are answered.
SOON = 20_000

# How a finding reads in a question, and the label of leaving those data units out.
WORDS = {
    MISSING: ("miss a required file", "Leave out incomplete"),
    OVERSIZED: ("hold a file that is too large", "Leave out oversized"),
    AMBIGUOUS: ("have several files for one spec", "Leave out ambiguous"),
    "empty-file": ("hold an empty file", "Leave out empty"),
    "refused-by-guard": ("hold a file that the content guard refuses", "Leave out refused"),
    "unreadable-file": ("hold a file that can't be read", "Leave out unreadable"),
    "wrong-extension": ("hold a file whose extension its spec does not take", "Leave out wrong extension"),
    UNFIT: ("have metadata that does not fit the schema", "Leave out unfit metadata"),
    "key-too-long": ("have a name that is too long", "Leave out long names"),
}
SINGULAR = {"have": "has", "hold": "holds", "miss": "misses"}
UNITS = frozenset(WORDS)
"""Codes of data units; the others are of names and folders."""
WORDS |= {
    "undecodable-name": ("names are not UTF-8, so their files can't be read", "Go on without them"),
    "unreadable-folder": ("folders can't be opened", "Go on without them"),
    "name-collision-nfc": ("names are the same to a Mac", "Go on with both"),
}


def limits_of(settled: Settled) -> Limits:
    """The limits as the plan holds them."""
    size = settled.get("limits.max_file_size_mb", LEAVE_OUT)
    return Limits(
        max_file_size_mb=DEFAULT.max_file_size_mb if size == LEAVE_OUT else size,
        batch_size=settled.get("limits.batch_size", DEFAULT.batch_size),
        workers=settled.get("limits.workers", DEFAULT.workers),
        settle_after_s=settled.get("limits.settle_after_s", DEFAULT.settle_after_s),
    )


def counted(facts: Facts, settled: Settled, limits: Limits, *, guard: bool) -> Counted:
    """The data units with what was decided so far."""
    return facts.counted(
        filled_sources(facts, settled),
        grouping_of(settled),
        specs_of(facts, settled),
        limits,
        guard=guard,
        aside=aside_of(facts, settled),
        meta=meta_of(facts, settled) if guard else None,
    )


# ---- limits


def _oversized(facts: Facts, settled: Settled, size: float) -> tuple[int, Counted]:
    total = counted(facts, settled, Limits(max_file_size_mb=size), guard=False)
    found = total.found().get(OVERSIZED)
    return (found.units if found else 0), total


def _decide_size(facts: Facts, settled: Settled) -> Inferred | Ask:
    return _size_question(facts, settled, DEFAULT.max_file_size_mb)


def _size_question(facts: Facts, settled: Settled, size: float) -> Inferred | Ask:
    units, total = _oversized(facts, settled, size)
    if not units or OVERSIZED in _consents(facts):
        largest = f"; the largest file has {total.largest / 2**20:,.1f} MB" if total.units else ""
        return Inferred(_tidy(size), f"the default{largest}")
    fits = max(1, math.ceil(total.largest / 2**20))
    return Ask(
        f"{units:,} of {total.units:,} data units hold a file larger than {size:g} MB. What should become of them?",
        (
            Option(f"Raise to {fits:,} MB", fits, "All files fit then"),
            Option("Leave them out", LEAVE_OUT, f"{amount(units)} left at home, each named in left_out.jsonl"),
            Option("Stop", STOP, "Make the files smaller first"),
        ),
    )


def _parse_size(answer: Any, facts: Facts, settled: Settled) -> float | str:
    number = number_of(answer)
    if number is None:
        word: str = one_of(LEAVE_OUT, STOP)(answer, facts, settled)
        if word == STOP:
            units, total = _oversized(facts, settled, DEFAULT.max_file_size_mb)
            if units:
                raise Stopped(_refuse(OVERSIZED, total), STOP)
            return _tidy(DEFAULT.max_file_size_mb)
        units, _ = _oversized(facts, settled, DEFAULT.max_file_size_mb)
        if more := more_than_agreed(facts, {OVERSIZED: units}):
            raise ask_again(_size_question(facts, settled, DEFAULT.max_file_size_mb), more)
        return word
    if not 0 < number <= 1_000_000:
        raise BadAnswer(f"{shown(answer)} is not a size in MB.")
    units, total = _oversized(facts, settled, number)
    if units and OVERSIZED not in _consents(facts):
        raise BadAnswer(
            f"{units:,} data units hold a file larger than {number:g} MB ({total.largest / 2**20:,.1f} MB)."
        )
    return _tidy(number)


def _tidy(number: float) -> float:
    return int(number) if number == int(number) else number


SIZE = Decision(
    "limits.max_file_size_mb",
    "File size",
    "The largest file that is uploaded, in MB; 50 unless said otherwise.",
    _decide_size,
    _parse_size,
    needs=("specs.*.pattern",),
    whole=True,
)


def _parse_settle(answer: Any, facts: Facts, settled: Settled) -> float:
    number = number_of(answer)
    if number is None or not 0 <= number <= 86_400:
        raise BadAnswer(f"{shown(answer)} is not a number of seconds between 0 and 86400.")
    return _tidy(number)


BATCH = Decision(
    "limits.batch_size",
    "Batch size",
    "How many data units are created with one request; 100 unless said otherwise.",
    lambda facts, settled: Inferred(DEFAULT.batch_size, "the default"),
    whole(1, 1000),
)
WORKERS = Decision(
    "limits.workers",
    "Workers",
    "The most transfers at a time; 64 unless said otherwise, and the run finds its own pace below.",
    lambda facts, settled: Inferred(DEFAULT.workers, "the default; the run finds its own pace below it"),
    whole(1, 64),
)
SETTLE = Decision(
    "limits.settle_after_s",
    "Settle after",
    "Seconds after an unanswered request until its outcome is looked up; 120 unless said otherwise.",
    lambda facts, settled: Inferred(DEFAULT.settle_after_s, "the default"),
    _parse_settle,
)


# ---- incomplete


def _decide_incomplete(facts: Facts, settled: Settled) -> Inferred | Ask:
    total = counted(facts, settled, limits_of(settled), guard=False)
    found = total.found(_size_consent(settled)).get(MISSING)
    if found is None:
        return Inferred(STOP, f"all {total.units:,} data units have their required files")
    if MISSING in _consents(facts) and not more_than_agreed(facts, {MISSING: found.units}):
        return Inferred(LEAVE_OUT, "as you said in leave_out")
    which = ", ".join(f"{spec} in {count:,}" for spec, count in sorted(found.specs.items()))
    leave = Option("Leave them out", LEAVE_OUT, f"{amount(found.units)} left at home, each named in left_out.jsonl")
    stop = Option("Stop", STOP, f"Add the missing files first, such as: {found.examples[0]}")
    return Ask(
        f"{found.units:,} of {total.units:,} data units miss a required file ({which}). Upload the others?",
        (leave, stop) if found.units <= FEW * total.units else (stop, leave),
    )


def _parse_incomplete(answer: Any, facts: Facts, settled: Settled) -> str:
    word: str = one_of(STOP, LEAVE_OUT)(answer, facts, settled)
    total = counted(facts, settled, limits_of(settled), guard=False)
    if word == STOP and MISSING in total.found(_size_consent(settled)):
        raise Stopped(_refuse(MISSING, total), STOP)
    if word == LEAVE_OUT and total.left_out({MISSING, *_size_consent(settled)}) == total.units:
        raise BadAnswer("No data unit would be left.")
    if word == LEAVE_OUT and (more := more_than_agreed(facts, {MISSING: _incomplete(facts, settled)})):
        raise ask_again(_decide_incomplete(facts, settled), more)
    return word


INCOMPLETE = Decision(
    "incomplete",
    "Incomplete",
    "What becomes of data units that miss a required file: `stop` or `leave_out`.",
    _decide_incomplete,
    _parse_incomplete,
    needs=("specs.*.pattern",),
    whole=True,
)


# ---- leave_out


def _consents(facts: Facts) -> list[str]:
    """The codes that an answer to `leave_out` names, unchecked."""
    answer = facts.answers.get(LEAVE_OUT)
    parts = answer.split(",") if isinstance(answer, str) else answer if isinstance(answer, list) else []
    return [part.strip() for part in parts if isinstance(part, str)]


def open_codes(facts: Facts, settled: Settled) -> dict[str, tuple[int, str]]:
    """Codes that need the user's word, with how many and an example; those decided elsewhere are not among them."""
    total = counted(facts, settled, limits_of(settled), guard=True)
    found = total.found(_decided_before(settled))
    codes = {code: (each.units, each.examples[0]) for code, each in found.items()}
    for problem in facts.walk(sources_of(settled)).problems.as_list():
        if problem.severity == "error":
            codes[problem.code] = (problem.count, problem.examples[0] if problem.examples else "")
    return codes


def _decide_leave_out(facts: Facts, settled: Settled) -> Inferred | Ask | Refuse | Later:
    unsettled = "incomplete" not in settled or "limits.max_file_size_mb" not in settled
    if unsettled and kinds_of(facts, settled).known > SOON:
        return Later()
    codes = open_codes(facts, settled)
    total = counted(facts, settled, limits_of(settled), guard=True)
    if not total.clean and not unsettled:
        found = total.found()
        return _refuse(max(found, key=lambda code: found[code].units), total) if found else _nothing(facts, settled)
    if not codes and unsettled:
        return Later()
    if not codes:
        return Inferred([], "no other finding in any data unit")
    order = sorted(codes, key=lambda code: -codes[code][0])
    listed = "; ".join(_told(code, codes[code][0]) for code in order)
    if AMBIGUOUS in codes and (specs := sorted(total.found()[AMBIGUOUS].specs)):
        listed += f" (a pattern for {specs[0]} would keep them: specs.{specs[0]}.pattern)"
    options = [
        Option(
            WORDS[code][1] if code in WORDS else f"Leave out {code}",
            code,
            f"{codes[code][0]:,}, such as {codes[code][1]}",
        )
        for code in order
    ]
    stop = Option("Stop", STOP, "Mend them first")
    if len(options) == 1:
        number = codes[order[0]][0]
        if order[0] in UNITS:
            options = [replace(options[0], label=f"Leave these {number:,} out" if number > 1 else "Leave it out")]
        few = number <= FEW * total.units
        return Ask(f"{listed}. Upload the rest?", (options[0], stop) if few else (stop, options[0]))
    if len(options) > 3:
        everything = Option("Leave out all these", order, "Each is named in left_out.jsonl")
        options = [everything, *options[:2]]
    return Ask(f"{listed}. Which of them are left out?", (*options, stop), multi=True)


def _told(code: str, count: int) -> str:
    """`1 data unit holds an empty file`, `3 data units hold an empty file`, `2 names are not UTF-8`."""
    words = WORDS[code][0] if code in WORDS else code
    if code not in UNITS:
        return f"{count:,} {words}"
    verb, _, rest = words.partition(" ")
    return f"{amount(count)} {SINGULAR[verb] if count == 1 else verb} {rest}"


def _parse_leave_out(answer: Any, facts: Facts, settled: Settled) -> list[str]:
    given: list[str] = []
    for part in answer if isinstance(answer, list) else [answer]:
        given += part if isinstance(part, list) else text_list(part, facts, settled)
    known = set(WORDS) | set(open_codes(facts, settled)) | {STOP}
    for code in given:
        if code not in known:
            raise BadAnswer(f"{shown(code)} is not the code of a finding.")
    codes = open_codes(facts, settled)
    left = [code for code in codes if code not in given]
    total = counted(facts, settled, limits_of(settled), guard=True)
    if STOP in given:
        if codes:
            raise Stopped(_refuse(next(iter(left or codes)), total, codes), [STOP])
        return []
    if left:
        raise BadAnswer("Not decided: " + "; ".join(f"{codes[code][0]:,} {code}" for code in left) + ".")
    if not total.clean:
        raise BadAnswer("No data unit would be left.")
    if more := more_than_agreed(facts, {code: codes[code][0] for code in given if code in codes}):
        raise ask_again(_decide_leave_out(facts, settled), more)
    return sorted(set(given))


def _nothing(facts: Facts, settled: Settled) -> Refuse:
    return Refuse("no-units", f"{', '.join(paths_of(settled))}: no data unit", "Check the folder and the grouping.")


def _refuse(code: str, total: Counted, codes: dict[str, tuple[int, str]] | None = None) -> Refuse:
    found = total.found().get(code)
    count, example = (found.units, found.examples[0]) if found else (codes or {}).get(code, (1, code))
    return Refuse(
        code,
        printable(example),
        _fix(code),
        count=count,
        examples=tuple(found.shown) if found else (example,),
    )


def _fix(code: str) -> str:
    from synapse_skills.units import FIXES

    return FIXES.get(code, "Mend it, or leave it out with --set leave_out=" + code)


LEAVE = Decision(
    LEAVE_OUT,
    "Findings",
    "Codes of findings: exactly the data units that have one are left out, each named in left_out.jsonl.",
    _decide_leave_out,
    _parse_leave_out,
    needs=("specs.*.pattern", "metadata.said.*", "metadata.values.*"),
    whole=True,
)


def _size_consent(settled: Settled) -> tuple[str, ...]:
    # While it is being asked, what is asked beside it must not ask about the same units.
    return (OVERSIZED,) if settled.get("limits.max_file_size_mb", LEAVE_OUT) == LEAVE_OUT else ()


def _decided_before(settled: Settled) -> set[str]:
    """Codes whose data units stay at home by an earlier answer."""
    return {*_size_consent(settled), *((MISSING,) if settled.get("incomplete", LEAVE_OUT) == LEAVE_OUT else ())}


def consented(settled: Settled) -> tuple[str, ...]:
    """All codes whose data units stay at home by consent."""
    return tuple(sorted(_decided_before(settled) | set(settled[LEAVE_OUT])))


# ---- what was agreed to


def agreed(facts: Facts, outcome: Outcome) -> dict[str, int]:
    """By code, how many there are of what the user leaves out, passes over or is asked about: for later rounds."""
    settled, given, counts = outcome.settled, outcome.given, dict[str, int]()
    if given.get(LEAVE_OUT) and LEAVE_OUT in settled:
        found = open_codes(facts, settled)
        counts |= {code: found[code][0] if code in found else 0 for code in given[LEAVE_OUT] if code != STOP}
    if given.get("incomplete") == LEAVE_OUT and "incomplete" in settled:
        counts[MISSING] = _incomplete(facts, settled)
    if given.get("limits.max_file_size_mb") == LEAVE_OUT and "limits.max_file_size_mb" in settled:
        counts[OVERSIZED] = _oversized(facts, settled, DEFAULT.max_file_size_mb)[0]
    if given.get("metadata.rows") not in (None, STOP) and "metadata.rows" in settled:
        counts |= {problem.code: problem.count for problem in odd_rows(facts, settled)}
    before = facts.answers.get(AGREED)
    if isinstance(before, dict):
        # Fewer than once agreed to are fine, and so are as many again.
        counts = {code: max(count, int(before.get(code, 0))) for code, count in counts.items()}
    if any(question["key"] == LEAVE_OUT for question in outcome.questions):
        # Another answer of the same round may make them more: the word is for as many as the question said.
        counts |= {code: count for code, (count, _) in open_codes(facts, settled).items()}
    return dict(sorted(counts.items()))


def _incomplete(facts: Facts, settled: Settled) -> int:
    total = counted(facts, settled, limits_of(settled), guard=False)
    found = total.found(_size_consent(settled)).get(MISSING)
    return found.units if found else 0
