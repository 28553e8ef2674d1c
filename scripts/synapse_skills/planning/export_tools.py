"""Which tools are exported: asked where a format has no place for some, or two of them say the same twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synapse_skills.annotations.model import Box, Polygon
from synapse_skills.export_plan import ClassesPlan
from synapse_skills.planning.answers import shown, text_list
from synapse_skills.planning.export_facts import ExportFacts
from synapse_skills.planning.export_filters import RECORDS, sample_of
from synapse_skills.planning.export_sample import Sample
from synapse_skills.planning.export_words import counted, tool_named, tool_words
from synapse_skills.planning.interview import Ask, BadAnswer, Decision, Option, Refuse, Settled, Stopped

if TYPE_CHECKING:
    from synapse_skills.annotations.model import Media
    from synapse_skills.formats.base import Format

ALL_CLASSES = ClassesPlan(unknown="add", unlabelled="drop")
"""For comparing formats: no class is in the way."""
ALL, STOP = "all", "stop"
BOX, POLYGON = "bounding_box", "polygon"
CLOSE = 0.8
"""A box and the extent of a polygon that overlap so far are of one object."""
MANY_PAIRS = 0.2


@dataclass(frozen=True)
class Places:
    """What the chosen formats make of each tool of the sample.

    Attributes:
        plain: tools that every format holds as they are.
        shaped: of a format, tools that only an option keeps, in another shape.
        homeless: of a format, tools that it has no place for.
        held: tools that some format holds in some shape.
    """

    plain: tuple[str, ...]
    shaped: Mapping[str, tuple[str, ...]]
    homeless: Mapping[str, tuple[str, ...]]
    held: tuple[str, ...]


def options_of(settled: Settled, name: str) -> dict[str, Any]:
    """The options of a format that were decided."""
    start = f"formats.{name}."
    return {key.removeprefix(start): value for key, value in settled.items() if key.startswith(start)}


def best_options(facts: ExportFacts, sample: Sample, form: Format, said: Mapping[str, Any]) -> dict[str, Any]:
    """How a format loses the least of a sample; an option that spares nothing stays as it is by default."""
    chosen = dict(said)
    for option in form.options:
        if option.name in chosen:
            continue
        lost = {
            choice: facts.tried(sample, form.name, {**chosen, option.name: choice}, ALL_CLASSES).lost.total()
            for choice in option.choices
        }
        best = min(option.choices, key=lambda choice: lost[choice])
        if best != option.choices[0]:
            chosen[option.name] = best
    return chosen


def places_of(facts: ExportFacts, settled: Settled) -> Places:
    """See `Places`; by what was said of options so far."""

    said = {form.name: _said(facts, form) for form in _forms(facts, settled)}

    def find() -> Places:
        sample = sample_of(facts, settled)
        tools = list(sample.tools)
        plain, held = set(tools), set()
        shaped: dict[str, tuple[str, ...]] = {}
        homeless: dict[str, tuple[str, ...]] = {}
        for form in _forms(facts, settled):
            best = facts.tried(sample, form.name, best_options(facts, sample, form, {}), ALL_CLASSES)
            default = facts.tried(sample, form.name, said[form.name], ALL_CLASSES)
            kept, unlabelled = default.kept, {tool for tool, reason in default.tools if reason == "unlabelled"}
            whole = {tool for tool in tools if kept[tool] or tool in unlabelled}
            plain &= whole
            held |= {tool for tool in tools if best.kept[tool]} | whole
            shaped[form.name] = tuple(tool for tool in tools if tool not in whole and best.kept[tool])
            homeless[form.name] = tuple(tool for tool in tools if tool not in whole and not best.kept[tool])
        return Places(tuple(sorted(plain)), shaped, homeless, tuple(sorted(held)))

    return facts.once(("places", id(sample_of(facts, settled)), tuple(settled["formats"])), find)


def _said(facts: ExportFacts, form: Format) -> dict[str, Any]:
    """Options of a format that somebody has given already: what they hold is no question any more."""
    given = {option: facts.answers.get(f"formats.{form.name}.{option.name}") for option in form.options}
    return {option.name: value for option, value in given.items() if value in option.choices}


def _forms(facts: ExportFacts, settled: Settled) -> list[Format]:
    """The formats that may lose something: not those that hold whatever there is."""
    forms = [facts.form(name) for name in settled["formats"]]
    return [form for form in forms if not (form.is_raw or form.by_script)]


def tools_of(facts: ExportFacts, settled: Settled) -> tuple[str, ...]:
    """The tools that are exported, () for all; while they are asked about, those that every format holds."""
    if "tools" in settled:
        return () if settled["tools"] == ALL else tuple(settled["tools"])
    found = _decide_tools(facts, settled)
    return places_of(facts, settled).plain if isinstance(found, Ask) else ()


def paired(facts: ExportFacts, settled: Settled) -> int:
    """Boxes of the sample that have a polygon of the same class around the same object."""

    def find() -> int:
        return sum(_pairs(media) for _, media in sample_of(facts, settled).media())

    return facts.once(("pairs", id(sample_of(facts, settled))), find)


def _pairs(media: Media) -> int:
    boxes = [(each.label, each.geometry) for each in media.annotations if isinstance(each.geometry, Box)]
    outlines = [
        (each.label, _extent(each.geometry)) for each in media.annotations if isinstance(each.geometry, Polygon)
    ]
    found = 0
    for label, box in boxes[:500]:
        mine = (box.x, box.y, box.x + box.width, box.y + box.height)
        for at, (theirs, extent) in enumerate(outlines):
            if theirs == label and _overlap(mine, extent) >= CLOSE:
                del outlines[at]
                found += 1
                break
    return found


def _extent(shape: Polygon) -> tuple[float, float, float, float]:
    across, down = [x for x, _ in shape.points], [y for _, y in shape.points]
    return (min(across), min(down), max(across), max(down)) if across else (0.0, 0.0, 0.0, 0.0)


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """The share of what two extents cover that both of them cover."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    if across <= 0 or down <= 0:
        return 0.0
    areas = sum((each[2] - each[0]) * (each[3] - each[1]) for each in (one, other))
    return across * down / (areas - across * down)


# ---- the row


def _decide_tools(facts: ExportFacts, settled: Settled) -> Ask | None:
    sample, forms = sample_of(facts, settled), _forms(facts, settled)
    if not forms or not sample.tools:
        return None
    places = places_of(facts, settled)
    told = [line for form in forms if (line := _told(form.name, places, sample.tools))]
    trainers = [form.name for form in forms if form.needs_size]
    pairs = paired(facts, settled) if trainers and {BOX, POLYGON} <= set(places.held) else 0
    pairs = pairs if pairs >= max(1, MANY_PAIRS * sample.tools[BOX]) else 0
    is_double = bool(pairs) and {BOX, POLYGON} <= set(places.plain)
    if is_double:
        told.append(
            f"{pairs:,} of {sample.tools[BOX]:,} boxes lie around a polygon of the same class: "
            f"{', '.join(trainers)} would hold those objects twice"
        )
    if not told:
        return None
    return Ask(
        f"Which annotations are exported? {'. '.join(told)}.",
        tuple(_options(places, sample.tools, pairs, is_double=is_double)[:4]),
    )


def _told(name: str, places: Places, counts: Counter[str]) -> str:
    parts = []
    if places.shaped[name]:
        parts.append(f"{name} holds {counted(places.shaped[name], counts)} only in another shape")
    if places.homeless[name]:
        parts.append(f"{counted(places.homeless[name], counts)} have no place in {name}")
    return "; ".join(parts)


def _options(places: Places, counts: Counter[str], pairs: int, *, is_double: bool) -> list[Option]:
    wanted: list[tuple[str, tuple[str, ...]]] = []
    if places.plain:
        wanted.append((_fitting(places.plain, counts), places.plain))
    if is_double:
        one_of_two = [
            ("Polygons, not boxes", tuple(tool for tool in places.plain if tool != BOX)),
            ("Boxes, not polygons", tuple(tool for tool in places.plain if tool != POLYGON)),
        ]
        # What is recommended loses no object: boxes go first only where each of them has its polygon.
        wanted = one_of_two + wanted if pairs == counts[BOX] else wanted + one_of_two
    if places.held != places.plain:
        wanted.append(("Also in other shapes", places.held))
    options = [Option(label, list(tools), _effect(tools, counts, pairs)) for label, tools in wanted]
    if len(options) < 4:
        options.append(Option("None: another format", STOP, "Then say another one with formats=…"))
    return options


def _fitting(tools: tuple[str, ...], counts: Counter[str]) -> str:
    """What a format holds as it is, by name if those are few."""
    there = [tool_words(name) for name in tools if counts[name]]
    if len(there) == 1:
        return f"Only {there[0]}"
    return f"{there[0].capitalize()} and {there[1]}" if len(there) == 2 else "What fits as it is"


def _effect(tools: tuple[str, ...], counts: Counter[str], pairs: int) -> str:
    rest = [tool for tool in counts if tool not in tools]
    left = f"; left out: {counted(rest, counts)}" if rest else ""
    twice = f"; {pairs:,} objects stand twice" if pairs and {BOX, POLYGON} <= set(tools) else ""
    return f"{counted(tools, counts)} of the sample{twice}{left}"


def _parse_tools(answer: Any, facts: ExportFacts, settled: Settled) -> Any:
    words = [tool_named(word) for word in text_list(answer, facts, settled)]
    if words == [ALL]:
        return ALL
    if words == [STOP]:
        refusal = Refuse("would-be-lost", "The formats have no place for some tools.", "Choose others with formats=….")
        raise Stopped(refusal, STOP)
    known = _known()
    if wrong := next((word for word in words if word not in known), None):
        raise BadAnswer(f"There is no tool {shown(wrong)}. There are: {', '.join(known)}; or say {ALL}.")
    if not set(words) & set(sample_of(facts, settled).tools):
        there = ", ".join(f"{tool} ({count:,})" for tool, count in sample_of(facts, settled).tools.most_common())
        raise BadAnswer(f"No annotation of the sample has such a tool. There are: {there or 'none'}.")
    return sorted(set(words))


def _known() -> tuple[str, ...]:
    from typing import get_args

    from synapse_skills.annotations.model import Tool

    return get_args(Tool)


TOOLS = Decision(
    "tools",
    "Tools",
    "The tools whose annotations are exported, a list such as `bounding_box,polygon`; `all`. Others are left out; a "
    "format that holds the payload as it came (synapse_json) holds them all the same.",
    _decide_tools,
    _parse_tools,
    needs=("formats", RECORDS),
)
