"""Formats, how they are written, and what they can't hold: asked about as often as the sample shows it."""

from __future__ import annotations

import difflib
import functools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synapse_skills.export_plan import FormatPlan
from synapse_skills.formats.reasons import TOOL_LEFT_OUT, in_words
from synapse_skills.planning.answers import number_of, shown, text_list
from synapse_skills.planning.export_classes import classes_of
from synapse_skills.planning.export_facts import ExportFacts
from synapse_skills.planning.export_filters import IN_SCOPE, RECORDS, sample_of
from synapse_skills.planning.export_sample import Sample, Trial
from synapse_skills.planning.export_siblings import sibling_of
from synapse_skills.planning.export_tools import ALL_CLASSES, best_options, options_of, places_of, tools_of
from synapse_skills.planning.export_words import counted, format_label, plain_name
from synapse_skills.planning.interview import (
    MAX_OPTIONS,
    Ask,
    BadAnswer,
    Decision,
    Family,
    Inferred,
    Option,
    Refuse,
    Settled,
    Stopped,
)

if TYPE_CHECKING:
    from synapse_skills.formats.base import Format
    from synapse_skills.formats.base import Option as FormatOption

ACCEPT, STOP = "accept", "stop"
RANKED = 30
WORTH = 3
"""A trainer's format is offered if it holds so much of the sample: one annotation in this many."""
PLAIN = ("synapse_json", "csv")
USUAL = ("coco", "yolo", "voc", "yolo_seg", "yolo_pose", "masks", "yolo_obb", "panoptic")
"""Formats of trainers as often as they are wanted: of those that hold about as much, the first ones are offered."""
LITTLE = 0.9
"""What holds so much of what the best one holds is offered before the others."""
OWN_ROWS = frozenset({"unknown-class", "unlabelled", "dropped", TOOL_LEFT_OUT})
"""Reasons that rows of their own ask about: classes and tools."""
_REASON = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


# ---- which ones


def _held(facts: ExportFacts, sample: Sample, form: Format) -> int:
    """Annotations of the sample that a format holds as it is written by default."""
    lost = facts.tried(sample, form.name, {}, ALL_CLASSES).lost
    return max(0, sample.total - sum(count for reason, count in lost.items() if reason != "unlabelled"))


def _ranked(facts: ExportFacts, sample: Sample) -> list[tuple[Format, int]]:
    """Formats and what they hold: first those of trainers that hold most of it, then JSON, then the rest."""
    forms = [(form, _held(facts, sample, form)) for form in facts.formats().values()]

    def place(pair: tuple[Format, int]) -> tuple[int, int]:
        form, held = pair
        fits = not form.media or any(kind in form.media for kind in sample.kinds) or not sample.kinds
        good = fits and (2 * held >= sample.total)
        return (3 if form.by_script else 1 if not form.needs_size else 0 if good else 2), -held

    return sorted(forms, key=place)


def _likely(facts: ExportFacts, sample: Sample, ranked: Sequence[tuple[Format, int]]) -> list[tuple[Format, int]]:
    """What is offered: formats of trainers that hold the most, by use, and those that hold anything."""
    trainers = [
        (form, held)
        for form, held in ranked
        if form.needs_size and not form.by_script and WORTH * held >= sample.total > 0
    ]
    best = max((held for _, held in trainers), default=0)
    trainers.sort(key=lambda pair: (pair[1] < LITTLE * best, _place(pair[0].name, USUAL)))
    # What a trainer's format has no room for is wanted as it is; else a table is of more use beside it.
    plain = PLAIN if best < sample.total or not trainers else PLAIN[::-1]
    rest = [pair for pair in ranked if not pair[0].needs_size and not pair[0].media]
    rest.sort(key=lambda pair: _place(pair[0].name, plain))
    return [*trainers[: MAX_OPTIONS - 1], *rest][:MAX_OPTIONS]


def _place(name: str, order: Sequence[str]) -> int:
    return order.index(name) if name in order else len(order)


def offers_trainers(facts: ExportFacts, settled: Settled) -> bool:
    """Whether formats of trainers are among those that are offered for these records."""
    some = sample_of(facts, settled).some(RANKED)
    return any(form.needs_size for form, _ in _likely(facts, some, _ranked(facts, some)))


def _decide_formats(facts: ExportFacts, settled: Settled) -> Ask:
    sample = sample_of(facts, settled)
    # All formats are tried, and painting pictures takes its time: for a first choice some of the sample will do.
    some = sample.some(RANKED)
    ranked = _ranked(facts, some)
    total = some.total

    def told(form: Format, held: int) -> str:
        if not total or form.by_script:
            return form.title
        share = "all" if held == total else f"about {held / total:.0%} of the"
        return f"{form.title}: holds {share} annotations as they are"

    likely = _likely(facts, some, ranked)
    options = tuple(Option(format_label(form.name), form.name, told(form, held)) for form, held in likely)
    more = ", ".join(form.name for form, held in ranked if (form, held) not in likely)
    has = counted([name for name, _ in sample.tools.most_common(5)], sample.tools) or "no annotations"
    return Ask(
        f"In which formats? The {len(sample.records):,} records looked at hold {has}. There is also: {more}.",
        options,
        multi=True,
    )


def _check_formats(answer: Any) -> list[str]:
    """The names of formats in an answer, as far as they are known."""
    from synapse_skills.formats import FORMATS

    known = list(FORMATS)
    found: dict[str, None] = {}
    for word in text_list(answer, None, {}):
        name = plain_name(word)
        if name not in known:
            near = difflib.get_close_matches(name, known, n=4, cutoff=0.3)
            near = sorted(near, key=lambda each: not (name.startswith(each) or each.startswith(name)))
            meant = f" Did you mean {near[0]}?" if near else ""
            options = tuple(Option(format_label(each), each, FORMATS[each].title) for each in near)
            raise BadAnswer(
                f"There is no format {shown(word)}.{meant} There are: {', '.join(known)}.",
                Ask("In which formats?", options, multi=True) if len(near) > 1 else None,
            )
        found[name] = None
    if not found:
        raise BadAnswer("At least one format is needed.")
    return list(found)


def _parse_formats(answer: Any, facts: ExportFacts, settled: Settled) -> list[str]:
    return _check_formats(answer)


FORMATS_ROW = Decision(
    "formats",
    "Formats",
    "The formats, one or several, each in a folder of its own; formats.md says what each holds.",
    _decide_formats,
    _parse_formats,
    needs=(IN_SCOPE,),
    check=_check_formats,
)


# ---- how each is written


def formats_of(settled: Settled) -> tuple[FormatPlan, ...]:
    """The formats as the plan has them."""
    return tuple(FormatPlan(name=name, options=options_of(settled, name)) for name in settled["formats"])


def _spared(facts: ExportFacts, settled: Settled, form: Format, option: FormatOption) -> dict[Any, Counter[str]]:
    """What is lost with each choice of an option, by reason."""
    sample, others, tools = sample_of(facts, settled), options_of(settled, form.name), tools_of(facts, settled)
    return {
        choice: facts.tried(sample, form.name, {**others, option.name: choice}, ALL_CLASSES, tools=tools).lost
        for choice in option.choices
    }


def _decide_option(form: Format, option: FormatOption, facts: ExportFacts, settled: Settled) -> Inferred | Ask | None:
    if form.is_raw or form.by_script:
        return None
    sample, tools = sample_of(facts, settled), tools_of(facts, settled)
    if tools:
        best = best_options(facts, sample.only(tools), form, options_of(settled, form.name)).get(option.name)
        shaped = [tool for tool in places_of(facts, settled).shaped.get(form.name, ()) if tool in tools]
        rest = [tool for tool in tools if tool not in shaped]
        # Whoever exports a tool that the format has only in another shape has said that it may have that shape, unless
        # another format of the family holds it as it is: then nobody has heard of that yet.
        is_said = shaped and best is not None and not _spares(facts, settled, form, option, rest)
        if is_said and not sibling_of(facts, settled, form.name, 0):
            return Inferred(best, f"tools holds {', '.join(shaped)}, and {form.name} loses the least so")
    lost = _spared(facts, settled, form, option)
    default = option.choices[0]
    best = min(option.choices, key=lambda choice: lost[choice].total())
    spared = lost[default].total() - lost[best].total()
    if spared <= 0:
        return None
    facts.asked.add(f"formats.{form.name}.{option.name}")
    told = f"{form.name} can't hold {spared:,} of {sample.total:,} sampled annotations as they are. {option.doc}"
    options = [
        Option(
            option.label(choice),
            choice,
            _effect(lost[choice].total() - lost[best].total()) + (" (default)" if choice == default else ""),
        )
        for choice in sorted(option.choices, key=lambda choice: choice != best)
    ]
    if other := sibling_of(facts, settled, form.name, lost[best].total()):
        told += f" {other} keeps them as they are."
        options.insert(0, Option(format_label(other), other, f"Another format, {other} instead of {form.name}"))
    return Ask(told, tuple(options))


def _spares(facts: ExportFacts, settled: Settled, form: Format, option: FormatOption, tools: Sequence[str]) -> bool:
    """Whether an option keeps anything of these tools that would be lost otherwise."""
    if not tools:
        return False
    sample, others = sample_of(facts, settled), options_of(settled, form.name)
    lost = [
        facts.tried(sample, form.name, {**others, option.name: choice}, ALL_CLASSES, tools=tools).lost.total()
        for choice in option.choices
    ]
    return min(lost) < lost[0]


def _effect(more: int) -> str:
    return f"{more:,} annotations of the sample are lost" if more else "These annotations are kept in this shape"


def _parse_option(form: Format, option: FormatOption, answer: Any, facts: ExportFacts, settled: Settled) -> Any:
    for choice in option.choices:
        words = {str(choice).casefold(), option.label(choice).casefold()}
        if answer == choice or str(answer).strip().casefold() in words:
            return choice
    if option.is_count and (number := number_of(answer)) is not None and option.takes(int(number)) and number % 1 == 0:
        return int(number)
    raise BadAnswer(f"{shown(answer)} is none of {option.words}.")


def _expand_options(facts: ExportFacts, settled: Settled, answers: Mapping[str, Any]) -> Iterator[Decision]:
    for name in settled["formats"]:
        form = facts.form(name)
        for option in form.options:
            yield Decision(
                f"formats.{name}.{option.name}",
                option.name[:12].capitalize(),
                option.doc,
                functools.partial(_decide_option, form, option),
                functools.partial(_parse_option, form, option),
            )


OPTIONS_FAMILY = Family(
    "formats.*",
    "Option",
    "`formats.NAME.OPTION`: how a format is written, see formats.md.",
    _expand_options,
    needs=("formats",),
)


# ---- what is lost all the same


def trial_of(facts: ExportFacts, settled: Settled, name: str) -> Trial:
    """What becomes of the sample in a format by what was decided; what is asked about as is likely."""
    sample, tools, options = sample_of(facts, settled), tools_of(facts, settled), options_of(settled, name)
    form = facts.form(name)
    if any(f"formats.{name}.{option.name}" in facts.asked for option in form.options):
        options = best_options(facts, sample.only(tools) if tools else sample, form, options)
    geometry = settled.get("geometry", "clamp")
    return facts.tried(sample, name, options, classes_of(settled), geometry=geometry, tools=tools)


def losses_in(facts: ExportFacts, settled: Settled, name: str) -> Counter[str]:
    """What a format loses of the sample, classes and tools aside: those have rows of their own."""
    lost = trial_of(facts, settled, name).lost
    return Counter({reason: count for reason, count in lost.items() if reason not in OWN_ROWS})


def _open_losses(name: str, facts: ExportFacts, settled: Settled) -> tuple[dict[str, int], str]:
    """Losses that were not accepted one by one, and why they need no question; '' if they do."""
    lost = losses_in(facts, settled, name)
    still = {reason: count for reason, count in lost.most_common() if f"losses.{name}.{reason}" not in settled}
    because = [_follows(name, reason, count, facts, settled) for reason, count in still.items()]
    return still, "; ".join(dict.fromkeys(because)) if all(because) else ""


def _follows(name: str, reason: str, count: int, facts: ExportFacts, settled: Settled) -> str:
    """What was said that a loss follows from."""
    if reason == "outside" and settled.get("geometry") == "drop":
        return f"{count:,} {reason} in the sample: follows from geometry=drop"
    form = facts.form(name)
    for option in form.options:
        key = f"formats.{name}.{option.name}"
        if key in facts.answers and any(
            lost.get(reason, 0) < count for lost in _spared(facts, settled, form, option).values()
        ):
            return f"{count:,} {reason} in the sample: follows from {key}={settled.get(key)}"
    return ""


def _decide_losses(name: str, facts: ExportFacts, settled: Settled) -> Inferred | Ask | None:
    still, because = _open_losses(name, facts, settled)
    if not still:
        return None
    if because:
        return Inferred(list(still), because)
    told = "; ".join(f"{count:,} {in_words(reason)}" for reason, count in still.items())
    total = sample_of(facts, settled).total
    return Ask(
        f"{sum(still.values()):,} of {total:,} sampled annotations will be lost in {name}: {told}. Is that all right?",
        (
            Option(
                "Yes, without them",
                list(still),
                "They are counted in the report by reason; synapse_json holds them all",
            ),
            Option("Stop", STOP, "Mend them in Synapse, or take another format with formats=…"),
        ),
    )


def _parse_losses(name: str, answer: Any, facts: ExportFacts, settled: Settled) -> list[str]:
    still, because = _open_losses(name, facts, settled)
    words = text_list(answer, facts, settled)
    if words == [STOP]:
        told = ", ".join(still) or "some"
        refusal = Refuse(
            "would-be-lost",
            f"{name} would lose annotations ({told}).",
            f"Mend them in Synapse, take another format, or say losses.{name}={ACCEPT}.",
        )
        raise Stopped(refusal, STOP)
    agreed = list(still) if words == [ACCEPT] else words
    if wrong := next((word for word in agreed if not _REASON.fullmatch(word)), None):
        raise BadAnswer(f"{shown(wrong)} is no reason of a loss: say {ACCEPT} or {STOP}, or list reasons.")
    more = [reason for reason in still if reason not in agreed]
    if more and not because:
        raise BadAnswer(f"Lost are also: {', '.join(more)}.")
    return [*agreed, *more]


def _parse_loss(name: str, reason: str, answer: Any, facts: ExportFacts, settled: Settled) -> str:
    if str(answer).strip().casefold() == ACCEPT:
        return ACCEPT
    raise BadAnswer(f"{shown(answer)} is not {ACCEPT}. To stop, say losses.{name}={STOP}.")


def _expand_losses(facts: ExportFacts, settled: Settled, answers: Mapping[str, Any]) -> Iterator[Decision]:
    for name in settled["formats"]:
        # What the sample does not show may be in the rest: a run that met it says the reason, and it can be accepted.
        start = f"losses.{name}."
        reasons = [key.removeprefix(start) for key in answers if key.startswith(start)]
        for reason in sorted(reason for reason in reasons if _REASON.fullmatch(reason)):
            yield Decision(
                start + reason,
                "Losses",
                f"Whether {name} may lose annotations ({in_words(reason)}): {ACCEPT}.",
                lambda facts, settled: None,
                functools.partial(_parse_loss, name, reason),
            )
        yield Decision(
            f"losses.{name}",
            f"Lost {name}"[:12],
            f"The reasons for which {name} may lose annotations, as a list; `{ACCEPT}`: those of the sample; `{STOP}`.",
            functools.partial(_decide_losses, name),
            functools.partial(_parse_losses, name),
        )


LOSSES_FAMILY = Family(
    "losses.*",
    "Losses",
    "`losses.FORMAT=accept`: what the sample shows this format to lose; `losses.FORMAT.REASON=accept` says one reason, "
    "see formats.md. `stop` ends it there.",
    _expand_losses,
    needs=("formats", RECORDS),
)


def accepted(settled: Settled) -> tuple[str, ...]:
    """The losses that the plan allows, `FORMAT:REASON`."""
    found: set[str] = set()
    for key, value in settled.items():
        _, _, rest = key.partition("losses.")
        name, _, reason = rest.partition(".")
        if key.startswith("losses."):
            found |= {f"{name}:{each}" for each in ([reason] if reason else value)}
    return tuple(sorted(found))
