"""Filters of an export: what was said, what is suggested, and how many records are left with and without each."""

from __future__ import annotations

import difflib
import functools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from synapse_skills.backend.filters import FILTERS, names_for, read_filter, read_value
from synapse_skills.errors import UsageError, printable
from synapse_skills.planning.answers import shown
from synapse_skills.planning.export_facts import ExportFacts
from synapse_skills.planning.export_sample import Sample
from synapse_skills.planning.export_scope import VERSION_KEY, scope_of
from synapse_skills.planning.interview import Ask, BadAnswer, Decision, Family, Inferred, Option, Refuse, Settled

ANY = "any"
IN_SCOPE = "expected.in_scope"
RECORDS = "expected.records"
# What a review says when the work is good, in the words that are met; only the order of the options depends on it.
_GOOD = ("confirmed", "approved", "accepted", "passed", "done", "completed")
_STATE_WORDS = {"review": "reviewed", "status": "labelled"}


def filter_of(settled: Settled) -> dict[str, Any]:
    """The filter as the plan keeps it: what was said at once, and what was said one by one, which wins."""
    said = dict(settled.get("filter") or {})
    for key, value in settled.items():
        if key.startswith("filter."):
            said[key.removeprefix("filter.")] = value
    kept = {name: value for name, value in said.items() if value != ANY}
    return read_filter(settled["target"], kept)


def sample_of(facts: ExportFacts, settled: Settled) -> Sample:
    """Some of the records that the filter leaves."""
    return facts.sample(settled["target"], scope_of(settled), filter_of(settled))


def count_of(facts: ExportFacts, settled: Settled, filter: Mapping[str, Any]) -> int:
    """How many records another filter would leave."""
    return facts.count(settled["target"], scope_of(settled), filter)


def _decide_in_scope(facts: ExportFacts, settled: Settled) -> Inferred | Refuse:
    count = count_of(facts, settled, {})
    title = facts.title(settled["target"], scope_of(settled))
    if not count:
        return Refuse(
            "empty-scope",
            f"{title} has no {settled['target'].replace('_', ' ')} at all.",
            "Name another project, version or target: list_resources projects, list_resources ground-truths.",
        )
    return Inferred(count, f"records of {title}, without any filter")


def _counted(answer: Any, facts: ExportFacts, settled: Settled) -> int:
    raise BadAnswer("This is counted, not said: take the answer back with null.")


SCOPE_COUNT = Decision(
    IN_SCOPE,
    "Records",
    "Records of the scope without any filter: counted, not said.",
    _decide_in_scope,
    _counted,
    needs=("target", "project", VERSION_KEY),
)


def _check_filter(answer: Any) -> tuple[dict[str, Any], list[str]]:
    """An object of filters: those that say something, and the names of those that do not matter."""
    if not isinstance(answer, dict):
        raise BadAnswer(f'{shown(answer)} is no object such as {{"status": "done"}}.')
    for name in answer:
        if name not in FILTERS:
            near = difflib.get_close_matches(str(name), FILTERS, n=1, cutoff=0.0)
            raise BadAnswer(f"There is no filter {shown(name)}. Did you mean {near[0]}?")
    open_ones = [name for name, value in answer.items() if _is_any(value)]
    return {name: value for name, value in answer.items() if name not in open_ones}, open_ones


def _is_any(answer: Any) -> bool:
    """Whether an answer says that a filter does not matter.

    Raises:
        BadAnswer: it says so, and names values as well.
    """
    parts = answer if isinstance(answer, list) else answer.split(",") if isinstance(answer, str) else [answer]
    words = [isinstance(part, str) and part.strip().casefold() in (ANY, "all of them") for part in parts]
    if any(words) and len(words) > 1:
        raise BadAnswer(f"{shown(answer)}: it is either {ANY}, or some of the values.")
    return any(words)


def _parse_filter(answer: Any, facts: ExportFacts, settled: Settled) -> dict[str, Any]:
    said, open_ones = _check_filter(_state_named(answer, facts, settled))
    try:
        return {**read_filter(settled["target"], said), **dict.fromkeys(open_ones, ANY)}
    except UsageError as error:
        raise BadAnswer(f"{error} {error.hint}") from None


def _state_named(answer: Any, facts: ExportFacts, settled: Settled) -> Any:
    """`Only rejected`, or the state alone, as the filter that an option of the question would be."""
    if not isinstance(answer, str):
        return answer
    word = re.sub(r"(?i)^only\s+", "", answer.strip()).casefold()
    for name in _STATE_WORDS:
        found = [value for value in _states(name, facts, settled) if value and value.casefold() == word]
        if found:
            return {name: found[0], "discarded": False}
    return answer


def _check_early(answer: Any) -> object:
    """What can be said of an answer before anything is known: words may be states."""
    return answer if isinstance(answer, str) else _check_filter(answer)


def _decide_filter(facts: ExportFacts, settled: Settled) -> Ask | None:
    """How far the work is and what is discarded are one question, as long as nobody has said anything of filters."""
    names = names_for(settled["target"])
    if any(key.startswith("filter.") for key in facts.answers) or not {"discarded", "review"} <= set(names):
        return None
    gone = count_of(facts, settled, {"discarded": True})
    name = next((each for each in ("review", "status") if len(_states(each, facts, settled)) > 1), None)
    if not gone or name is None:
        return None
    counts, rest = _state_counts(name, facts, settled, {})
    values = [value for value in counts if count_of(facts, settled, {name: value, "discarded": False})]
    if not values:
        return None
    facts.asked.add("filter")
    left = count_of(facts, settled, {"discarded": False})
    everything = Option("All but discarded", {name: ANY, "discarded": False}, f"{left:,} records")
    options = [
        Option(
            f"Only {printable(value)}",
            {name: value, "discarded": False},
            f"{count_of(facts, settled, {name: value, 'discarded': False}):,} records, none of them discarded",
        )
        for value in values[:2]
    ]
    is_good = values[0].casefold() in _GOOD
    options = [options[0], everything, *options[1:]] if is_good else [everything, *options]
    options.append(Option("All, discarded too", {name: ANY, "discarded": ANY}, f"{left + gone:,} records"))
    told = [f"{count:,} {printable(value)}" for value, count in counts.items()]
    told += [f"{rest:,} not {_STATE_WORDS[name]} yet"] if rest > 0 else []
    more = f" Another state can be named, such as {printable(values[2])}." if len(values) > 2 else ""
    return Ask(
        f"Which records are to be exported? Of {left + gone:,}, {', '.join(told)}; somebody has discarded {gone:,}."
        f"{more}",
        tuple(options),
        goes_on=True,
    )


FILTER = Decision(
    "filter",
    "Records",
    'Several filters at once, as an object such as `{"review": "confirmed"}`; `filter.NAME` says one, and wins.',
    _decide_filter,
    _parse_filter,
    needs=("target", IN_SCOPE),
    check=_check_early,
)


# ---- one by one


def _parse_one(name: str, answer: Any, facts: ExportFacts, settled: Settled) -> Any:
    if _is_any(answer):
        return ANY
    if name in _STATE_WORDS and isinstance(answer, str):
        answer = re.sub(r"(?i)^only\s+", "", answer.strip())  # an option's label
    try:
        value = read_value(name, answer)
        read_filter(settled["target"], {**filter_of(settled), name: value})
    except UsageError as error:
        raise BadAnswer(f"{error} {error.hint}") from None
    return value


def _decide_one(name: str, facts: ExportFacts, settled: Settled) -> Ask | None:
    said = filter_of(settled)
    if "filter" in facts.asked or name in said or name in (settled.get("filter") or {}):
        return None
    if name == "discarded":
        return _ask_discarded(facts, settled, said)
    if name == "review" and "confirmed" not in said:
        return _ask_state(name, facts, settled, said)
    # One question about how far the work is: the review tells more than the labelling.
    is_told = bool({"review", "confirmed"} & {*said, *(settled.get("filter") or {})}) or "filter.review" in settled
    if name == "status" and not is_told and len(_states("review", facts, settled)) < 2:
        return _ask_state(name, facts, settled, said)
    return None


def _ask_discarded(facts: ExportFacts, settled: Settled, said: dict[str, Any]) -> Ask | None:
    gone = count_of(facts, settled, {**said, "discarded": True})
    if not gone:
        return None
    rest = count_of(facts, settled, {**said, "discarded": False})
    return Ask(
        f"Of {gone + rest:,} records somebody has discarded {gone:,}. Are those to be exported too?",
        (
            Option("Leave them out", False, f"{_records(rest)} left"),
            Option("Export them too", ANY, f"All {_records(gone + rest)}"),
            Option("Only the discarded ones", True, _records(gone)),
        ),
    )


def _states(name: str, facts: ExportFacts, settled: Settled) -> Counter[str]:
    records = sample_of(facts, settled).records
    return Counter(record.review if name == "review" else record.status for record in records)


def _state_counts(name: str, facts: ExportFacts, settled: Settled, said: dict[str, Any]) -> tuple[dict[str, int], int]:
    """How many records there are in each state, good ones first, and how many in none; 0 if nobody can tell."""
    values = [value for value, _ in _states(name, facts, settled).most_common() if value and "," not in value]
    values.sort(key=lambda value: value.casefold() not in _GOOD)
    counts = {value: count_of(facts, settled, {**said, name: value}) for value in values[:6]}
    return counts, count_of(facts, settled, said) - sum(counts.values()) if len(values) <= len(counts) else 0


def _ask_state(name: str, facts: ExportFacts, settled: Settled, said: dict[str, Any]) -> Ask | None:
    counts, rest = _state_counts(name, facts, settled, said)
    if len(_states(name, facts, settled)) < 2 or not counts:
        return None
    every = count_of(facts, settled, said)
    unsaid = f", {rest:,} of them not {_STATE_WORDS[name]} yet" if rest > 0 else ""
    everything = Option("All of them", ANY, f"{_records(every)}{unsaid}")
    values = list(counts)
    options = [Option(f"Only {printable(value)}", value, _records(counts[value])) for value in values[:3]]
    good = values[0].casefold() in _GOOD
    options = [options[0], everything, *options[1:]] if good else [everything, *options]
    # More than the options show; and what no filter can name.
    rows = [{name: value, "records": count} for value, count in counts.items()] if len(values) > 3 else []
    because = f"counted by {name}, as the backend says it"
    # One choice: "all" beside others would mean nothing. Several values are still an answer, as a list.
    return Ask(
        f"Not all records are {_STATE_WORDS[name]} equally far. Which ones are to be exported? Several are a list."
        if len(values) > 2
        else f"Not all records are {_STATE_WORDS[name]} equally far. Which ones are to be exported?",
        tuple(options),
        table=(rows, because) if rows else None,
    )


def _records(count: int) -> str:
    return f"{count:,} record{'s' if count != 1 else ''}"


def _expand(facts: ExportFacts, settled: Settled, answers: Mapping[str, Any]) -> Iterator[Decision]:
    names = names_for(settled["target"])
    said = [name for name in names if f"filter.{name}" in answers]
    # What was said comes first: suggestions are counted within it. The review comes before the status.
    suggested = [name for name in ("discarded", "review", "status") if name in names and name not in said]
    for name in [*said, *suggested, *(name for name in names if name not in (*said, *suggested))]:
        yield Decision(
            f"filter.{name}",
            name[:12].capitalize(),
            FILTERS[name].doc,
            functools.partial(_decide_one, name),
            functools.partial(_parse_one, name),
        )


FILTERS_FAMILY = Family(
    "filter.*",
    "Filter",
    "One filter, see filters.md; `any` says that it does not matter.",
    _expand,
    needs=("filter",),
)


# ---- what is left


def table_of(facts: ExportFacts, settled: Settled) -> list[dict[str, Any]]:
    """Each filter with how many records there are with it alone, and with all others but it."""
    said = filter_of(settled)
    return [
        {
            "filter": name,
            "value": value,
            "records with it alone": count_of(facts, settled, {name: value}),
            "records without it": count_of(facts, settled, {key: said[key] for key in said if key != name}),
        }
        for name, value in said.items()
    ]


def _values_seen(name: str, said: Any, facts: ExportFacts, settled: Settled) -> str:
    """Which values of a filter there are, and the one that was probably meant."""
    if name not in ("status", "review", "category"):
        return ""
    records = facts.sample(settled["target"], scope_of(settled), {}).records
    told = Counter(value for record in records if (value := getattr(record, name)))
    if not told:
        return f"No record looked at has a {name}."
    counted = [(value, count_of(facts, settled, {name: value})) for value, _ in told.most_common(5) if "," not in value]
    words = said if isinstance(said, list) else [said]
    likely = [each for word in words for each in difflib.get_close_matches(str(word).casefold(), told, n=1)]
    meant = f" Did you mean {printable(likely[0])}?" if likely else ""
    return f"There is {name} {', '.join(f'{printable(value)} ({count:,})' for value, count in counted)}.{meant}"


def _decide_records(facts: ExportFacts, settled: Settled) -> Inferred | Refuse:
    said = filter_of(settled)
    whole, left = settled[IN_SCOPE], count_of(facts, settled, said)
    if left > whole:
        return Refuse(
            "outside-scope",
            f"With the filter there are {left:,} records, without it {whole:,}.",
            "The backend does not apply a filter as it should: take filters back one by one with null.",
        )
    if not left:
        rows = table_of(facts, settled)
        alone = ", ".join(f"{row['filter']} leaves {row['records with it alone']:,}" for row in rows)
        empty = [row["filter"] for row in rows if not row["records with it alone"]]
        seen = list(filter(None, (_values_seen(name, said[name], facts, settled) for name in empty)))
        told = f"None of {whole:,} records is left. Each filter by itself: {alone}."
        return Refuse(
            "nothing-matches",
            told,
            " ".join([*seen, "Say another value, or take a filter back with --set filter.NAME=null."]),
            examples=(told, *seen)[:3],
        )
    sample = sample_of(facts, settled)
    if sample.foreign:
        return Refuse(
            "outside-scope",
            sample.foreign[0],
            "The backend lists records that were not asked for: leave that filter out, or ask its maintainers.",
            count=len(sample.foreign),
            examples=tuple(sample.foreign[:3]),
        )
    if not sample.records:
        return Refuse(
            "unreadable-record",
            sample.unread[0] if sample.unread else "The backend listed no record.",
            "Open such a record in Synapse, or choose others with a filter.",
            count=max(1, len(sample.unread)),
            examples=tuple(sample.unread[:3]),
        )
    looked = f"{len(sample.records):,} of them were looked at" if len(sample.records) < left else "all were looked at"
    return Inferred(left, f"{left:,} of {whole:,} records; {looked}" if said else f"no filter; {looked}")


COUNTED = Decision(
    RECORDS,
    "Records",
    "Records that the filters leave: counted, not said.",
    _decide_records,
    _counted,
    # Not of `filter.*`: while a filter is asked about, all that it may leave is looked at, and nothing waits for it.
    needs=("filter",),
)
