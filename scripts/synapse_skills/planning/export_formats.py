"""Formats, how they are written, and what they can't hold: asked about as often as the sample shows it."""

from __future__ import annotations

import difflib
import functools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from synapse_skills.export_plan import ClassesPlan, FormatPlan
from synapse_skills.formats.reasons import in_words
from synapse_skills.planning.answers import number_of, shown, text_list
from synapse_skills.planning.export_classes import classes_of
from synapse_skills.planning.export_facts import ExportFacts
from synapse_skills.planning.export_filters import IN_SCOPE, sample_of
from synapse_skills.planning.export_sample import Sample
from synapse_skills.planning.interview import (
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

ALL_CLASSES = ClassesPlan(unknown="add", unlabelled="drop")
"""For comparing formats: no class is in the way."""
ACCEPT, STOP = "accept", "stop"
CLASS_REASONS = frozenset({"unknown-class", "unlabelled", "dropped"})
_REASON = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_YOLO = re.compile(r"yolo_?(?:v?\d+)?[nsmlx]?(?:_(seg|segment|segmentation|pose|obb|detect))?")


# ---- which ones


def _held(facts: ExportFacts, sample: Sample, form: Format) -> int:
    """Annotations of the sample that a format holds as it is written by default."""
    lost = facts.lost(sample, form.name, {}, ALL_CLASSES)
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


def _decide_formats(facts: ExportFacts, settled: Settled) -> Ask:
    sample = sample_of(facts, settled)
    ranked = _ranked(facts, sample)
    total = sample.total

    def told(form: Format, held: int) -> str:
        if not total or form.by_script:
            return form.title
        return f"{form.title}: {'all' if held == total else f'{held:,} of'} {total:,} sampled annotations as they are"

    options = tuple(Option(form.name, form.name, told(form, held)) for form, held in ranked)
    table = [
        {
            "format": form.name,
            "title": form.title,
            "holds": "what convert keeps" if form.by_script else f"{held:,} of {total:,}",
            "for": ", ".join(form.media) or "any",
        }
        for form, held in ranked
    ]
    tools = ", ".join(f"{count:,} {tool}" for tool, count in sample.tools.most_common(5)) or "no annotations"
    return Ask(
        f"In which formats? The sample holds {tools}.",
        options,
        multi=True,
        table=(table, f"tried on a sample of {len(sample.records):,} records"),
    )


def plain_name(word: str) -> str:
    """A format as people write it: `YOLOv8-seg` and the like have one layout for all of their versions."""
    name = word.strip().casefold().removesuffix(" (recommended)").replace("-", "_").replace(" ", "_")
    if found := _YOLO.fullmatch(name):
        kind = {"segment": "seg", "segmentation": "seg", "detect": ""}.get(found[1] or "", found[1] or "")
        return f"yolo_{kind}" if kind else "yolo"
    return name


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
            options = tuple(Option(each, each, FORMATS[each].title) for each in near)
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


def options_of(settled: Settled, name: str) -> dict[str, Any]:
    """The options of a format that were decided."""
    start = f"formats.{name}."
    return {key.removeprefix(start): value for key, value in settled.items() if key.startswith(start)}


def formats_of(settled: Settled) -> tuple[FormatPlan, ...]:
    """The formats as the plan has them."""
    return tuple(FormatPlan(name=name, options=options_of(settled, name)) for name in settled["formats"])


def _spared(facts: ExportFacts, settled: Settled, form: Format, option: FormatOption) -> dict[Any, Counter[str]]:
    """What is lost with each choice of an option, by reason."""
    sample, others = sample_of(facts, settled), options_of(settled, form.name)
    return {
        choice: facts.lost(sample, form.name, {**others, option.name: choice}, ALL_CLASSES) for choice in option.choices
    }


def _decide_option(form: Format, option: FormatOption, facts: ExportFacts, settled: Settled) -> Ask | None:
    lost = _spared(facts, settled, form, option)
    default = option.choices[0]
    best = min(option.choices, key=lambda choice: sum(lost[choice].values()))
    spared = sum(lost[default].values()) - sum(lost[best].values())
    if spared <= 0:
        return None
    choices = sorted(option.choices, key=lambda choice: choice != best)
    others = [
        other.name
        for other in facts.formats().values()
        if other.name not in settled["formats"]
        and not (other.is_raw or other.by_script)
        and not sum(facts.lost(sample_of(facts, settled), other.name, {}, ALL_CLASSES).values())
    ]
    more = f" Or take another format: {', '.join(others)} would hold all as it is." if others else ""
    return Ask(
        f"{form.name} can't hold {spared:,} of {sample_of(facts, settled).total:,} sampled annotations as they are. "
        f"{option.doc}{more}",
        tuple(
            Option(
                str(choice),
                choice,
                _effect(sum(lost[choice].values()) - sum(lost[best].values()))
                + (" (default)" if choice == default else ""),
            )
            for choice in choices
        ),
    )


def _effect(more: int) -> str:
    return f"{more:,} annotations of the sample are lost" if more else "These annotations are kept in this shape"


def _parse_option(form: Format, option: FormatOption, answer: Any, facts: ExportFacts, settled: Settled) -> Any:
    for choice in option.choices:
        if answer == choice or str(answer).strip().casefold() == str(choice).casefold():
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


def losses_in(facts: ExportFacts, settled: Settled, name: str) -> Counter[str]:
    """What a format loses of the sample by what was decided, classes aside: those have rows of their own."""
    geometry = settled.get("geometry", "clamp")
    lost = facts.lost(
        sample_of(facts, settled), name, options_of(settled, name), classes_of(settled), geometry=geometry
    )
    return Counter({reason: count for reason, count in lost.items() if reason not in CLASS_REASONS})


def _decide_loss(name: str, reason: str, facts: ExportFacts, settled: Settled) -> Inferred | Ask | None:
    count = losses_in(facts, settled, name).get(reason, 0)
    if not count:
        return None
    if reason == "outside" and settled.get("geometry") == "drop":
        return Inferred(ACCEPT, f"{count:,} in the sample; follows from geometry=drop")
    form = facts.form(name)
    for option in form.options:
        chosen = options_of(settled, name).get(option.name)
        if chosen is not None and any(
            lost.get(reason, 0) < count for choice, lost in _spared(facts, settled, form, option).items()
        ):
            return Inferred(ACCEPT, f"{count:,} in the sample; follows from formats.{name}.{option.name}={chosen}")
    total = sample_of(facts, settled).total
    return Ask(
        f"{count:,} of {total:,} sampled annotations will be lost in {name} ({in_words(reason)}). Is that all right?",
        (
            Option(
                "Yes, without them", ACCEPT, "They are counted in the report by reason; synapse_json holds them all"
            ),
            Option("Stop", STOP, "Mend them in Synapse, or take another format with formats=…"),
        ),
    )


def _parse_loss(name: str, reason: str, answer: Any, facts: ExportFacts, settled: Settled) -> str:
    word = str(answer).strip().casefold()
    if word == ACCEPT:
        return ACCEPT
    if word == STOP:
        refusal = Refuse(
            "would-be-lost",
            f"{name} would lose annotations ({in_words(reason)}).",
            f"Mend them in Synapse, take another format, or say losses.{name}.{reason}={ACCEPT}.",
        )
        raise Stopped(refusal, STOP)
    raise BadAnswer(f"{shown(answer)} is neither {ACCEPT} nor {STOP}.")


def _expand_losses(facts: ExportFacts, settled: Settled, answers: Mapping[str, Any]) -> Iterator[Decision]:
    for name in settled["formats"]:
        reasons = dict(losses_in(facts, settled, name))
        # What the sample does not show may be in the rest: a run that met it says the reason, and it can be accepted.
        start = f"losses.{name}."
        for key in answers:
            reason = key.removeprefix(start)
            if key.startswith(start) and _REASON.fullmatch(reason):
                reasons.setdefault(reason, 0)
        for reason in sorted(reasons, key=lambda reason: (-reasons[reason], reason)):
            yield Decision(
                f"losses.{name}.{reason}",
                "Losses",
                f"Whether {name} may lose annotations ({in_words(reason)}): {ACCEPT} or {STOP}.",
                functools.partial(_decide_loss, name, reason),
                functools.partial(_parse_loss, name, reason),
            )


LOSSES_FAMILY = Family(
    "losses.*",
    "Losses",
    "`losses.FORMAT.REASON=accept`: annotations that this format may lose for this reason, see troubleshooting.md.",
    _expand_losses,
    needs=("formats.*", "classes.unlabelled", "geometry"),
)


def accepted(settled: Settled) -> tuple[str, ...]:
    """The losses that the plan allows, `FORMAT:REASON`."""
    keys = [key.split(".", 2) for key, value in settled.items() if key.startswith("losses.") and value == ACCEPT]
    return tuple(sorted(f"{name}:{reason}" for _, name, reason in keys))
