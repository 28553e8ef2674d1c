"""The rows about conversions: files whose extension no spec takes, and what they can become. Asked, never silent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synapse_skills.errors import FindingError
from synapse_skills.plan import Conversion, SpecPlan
from synapse_skills.planning.answers import shown
from synapse_skills.planning.evidence import takes
from synapse_skills.planning.interview import Ask, BadAnswer, Decision, Family, Inferred, Option, Settled
from synapse_skills.planning.sources import sources_of

if TYPE_CHECKING:
    from synapse_skills.planning.counted import Counted
    from synapse_skills.planning.facts import Facts
    from synapse_skills.sources import Source

PREFIX = "conversions."
NONE, EACH = "none", "each"
XML = ".xml"
_TRIED = 3  # files of Pascal VOC that are looked at before conversion is offered
_TARGET = re.compile(r"\.?([a-z0-9]+)")


def conversions_of(specs: Sequence[SpecPlan], answers: Mapping[str, Any]) -> tuple[Conversion, ...]:
    """What the answers to `conversions.*` come to.

    Args:
        specs: as fetched, or with what was decided about them.
        answers: settled, or as they were given.
    """
    found = []
    for spec in specs:
        for key in sorted(answers):
            source, target = f".{key.removeprefix(PREFIX)}", _said(answers[key])
            if not key.startswith(PREFIX) or key.endswith("*") or target is None or target == source:
                continue
            if target in _listed(spec):
                found.append(Conversion(spec=spec.name, source=source, target=target))
    return tuple(found)


def with_converted(specs: Sequence[SpecPlan], answers: Mapping[str, Any]) -> tuple[SpecPlan, ...]:
    """The specs, each taking also what becomes one of its own extensions."""
    more: dict[str, list[str]] = {}
    for each in conversions_of(specs, answers):
        more.setdefault(each.spec, []).append(each.source)
    taken = {extension for spec in specs for extension in takes(spec)}
    return tuple(
        spec.model_copy(update={"takes": (*takes(spec), *new)})
        # What some spec takes by itself stays with that one.
        if (new := [source for source in more.get(spec.name, ()) if source not in taken])
        else spec
        for spec in specs
    )


def conversions_for(specs: Sequence[SpecPlan], answers: Mapping[str, Any]) -> tuple[Conversion, ...]:
    """What the plan holds: conversions for the specs that get such files."""
    by_name = {spec.name: spec for spec in specs}
    return tuple(
        each
        for each in conversions_of(specs, answers)
        # A pattern or a table may give a spec anything; without one it gets what it takes.
        if by_name[each.spec].pattern or not by_name[each.spec].takes or each.source in takes(by_name[each.spec])
    )


def summary_line(conversions: Sequence[Conversion], total: Counted) -> list[str]:
    """`converted   203 .tiff → .png (image_1)`, of the data units that are sent, and how much disk that takes."""
    from synapse_skills.media import estimate, find_ffmpeg, needs_ffmpeg

    targets = {each.source: each.target for each in conversions}
    names: dict[str, list[str]] = {}
    for each in conversions:
        names.setdefault(each.source, []).append(each.spec)
    sums = {
        source: (found.files, *(estimate(source, targets[source], size) for size in (found.bytes, found.largest)))
        for source, found in total.clean_by_suffix.items()
        if source in targets
    }
    told = [
        f"{sums[each][0]:,} {each} → {targets[each]} ({', '.join(names[each])})" for each in targets if each in sums
    ]
    together, largest = sum(each[1] for each in sums.values()), max((each[2] for each in sums.values()), default=0)
    lines = [
        f"  converted   {'; '.join(told) or 'no file'}",
        f"              up to {together / 2**20:,.1f} MB in all, a few files at a time; the largest up to "
        f"{largest / 2**20:,.1f} MB of disk; originals stay as they are",
    ]
    if find_ffmpeg() is None and any(needs_ffmpeg(source, target) for source, target in targets.items()):
        lines.append("              by ffmpeg, which is NOT on this machine: the job has to run where it is")
    return lines


def _listed(spec: SpecPlan) -> tuple[str, ...]:
    """A spec's own extensions, whatever it takes besides."""
    return takes(spec.model_copy(update={"takes": ()}))


def _said(answer: Any) -> str | None:
    """The extension that an answer names, also as a label: `Convert to .png`."""
    word = str(answer).strip().lower().split()
    found = _TARGET.fullmatch(next((each for each in word if each.startswith(".")), word[0] if word else ""))
    return None if found is None or found[1] in (NONE, "leave") else f".{found[1]}"


@dataclass(frozen=True)
class _Kind:
    """Files of one extension that could be converted: how many, into what, and which specs would take them."""

    extension: str
    count: int
    targets: tuple[str, ...]
    takers: tuple[SpecPlan, ...]

    @property
    def key(self) -> str:
        """The key of its own row."""
        return PREFIX + self.extension.removeprefix(".")


def _kinds(facts: Facts, settled: Settled, answers: Mapping[str, Any]) -> list[_Kind]:
    """What could be converted, the most files first."""
    from synapse_skills.media import targets

    specs = facts.collection(settled["data_collection"]).specs
    sources = sources_of(settled)
    counts = facts.kinds(sources, specs).extensions
    taken = {extension for spec in specs for extension in _listed(spec)}
    rows: list[_Kind] = []
    for extension in sorted(counts, key=lambda each: (-counts[each], each)):
        named = [spec for spec in specs if extension in _listed(spec)]
        takers = [spec for spec in (named or specs) if set(targets(extension)) & set(_listed(spec))]
        found = [target for target in targets(extension) if any(target in _listed(spec) for spec in takers)]
        if not found or (extension in taken and extension != XML):
            continue
        if extension != XML or _is_voc(facts, sources):
            rows.append(_Kind(extension, counts[extension], tuple(found), tuple(takers)))
    filled = {spec.name for row in rows for spec in row.takers}
    # Where a required spec would have no file all the same, the collection does not fit: nothing to convert for it.
    hopeless = any(
        spec.is_required and spec.name not in filled and _listed(spec) and not any(map(counts.get, _listed(spec)))
        for spec in specs
    )
    return [row for row in rows if not hopeless or row.key in answers]


def _expand(facts: Facts, settled: Settled, answers: Mapping[str, Any]) -> Iterator[Decision]:
    """One row for each extension."""
    counts = facts.kinds(sources_of(settled), facts.collection(settled["data_collection"]).specs).extensions
    for kind in _kinds(facts, settled, answers):
        yield _row(kind, counts)


# ---- all of them at once


def _open_kinds(facts: Facts, settled: Settled) -> list[_Kind]:
    """Those that nothing was said of."""
    return [kind for kind in _kinds(facts, settled, facts.answers) if kind.key not in facts.answers]


def _decide_all(facts: Facts, settled: Settled) -> Ask | None:
    """Several extensions that can become the same are one question."""
    kinds = _open_kinds(facts, settled)
    shared = [target for target in kinds[0].targets if all(target in each.targets for each in kinds)] if kinds else []
    if len(kinds) < 2 or not shared:
        return None
    told = ", ".join(f"{kind.count:,} {kind.extension}" for kind in kinds[:6])
    takers = {spec.name: " and ".join(_listed(spec)) for kind in kinds for spec in kind.takers}
    takes_words = "; ".join(f"{name} takes {words}" for name, words in list(takers.items())[:3])
    options = [
        Option(f"Convert all to {target}", target, "On the way, originals stay as they are") for target in shared[:2]
    ]
    files = sum(kind.count for kind in kinds)
    options.append(Option("Leave them at home", NONE, f"{files:,} files, each named in stays_home.jsonl"))
    options.append(Option("Each kind by itself", EACH, "Then each extension is asked about"))
    return Ask(f"No specification takes these files: {told}. {takes_words}. Convert them?", tuple(options))


def _parse_all(answer: Any, facts: Facts, settled: Settled) -> str:
    word = str(answer).strip().lower()
    target = EACH if word == EACH else NONE if word in (NONE, "null", "no", "false") else _said(answer)
    if target not in (EACH, NONE) and not any(target in kind.targets for kind in _kinds(facts, settled, {})):
        could = ", ".join(dict.fromkeys(each for kind in _kinds(facts, settled, {}) for each in kind.targets))
        raise BadAnswer(f"{shown(answer)} is not what they can become: {could or 'nothing'}, none, or each.")
    assert target is not None  # nothing can become it
    for kind in _open_kinds(facts, settled):
        if target == NONE or target in kind.targets:
            facts.answers[kind.key] = target
    return target


CONVERT = Decision(
    "convert",
    "Convert",
    "What all files become whose extension no spec takes, such as `.png`; `none`: they stay; `each`: asked one by one.",
    _decide_all,
    _parse_all,
    needs=("sources.*.spec", "metadata.sidecars"),
)


# ---- one by one


def _row(kind: _Kind, counts: Mapping[str, int]) -> Decision:
    extension, found = kind.extension, kind.targets

    def parse(answer: Any, facts: Facts, settled: Settled) -> str:
        target = _said(answer)
        if target is None and str(answer).strip().lower() in (NONE, "null", "no", "false"):
            return NONE
        if target is None or target not in found:
            raise BadAnswer(f"{extension} can become {' or '.join(found)} here, or stay at home (none).")
        return target

    def decide(facts: Facts, settled: Settled) -> Inferred | Ask:
        said = settled.get(CONVERT.key)
        if said == NONE or said in found:
            return Inferred(said, f"follows from {CONVERT.key}={said}")
        return _ask(extension, kind.count, found, kind.takers, counts)

    return Decision(
        kind.key,
        f"{extension.removeprefix('.').upper()} files"[:12],
        f"What {extension} files become before they are sent: {', '.join(found)}, or none.",
        decide,
        parse,
    )


def _ask(
    extension: str, count: int, found: Sequence[str], takers: Sequence[SpecPlan], counts: Mapping[str, int]
) -> Ask:
    from synapse_skills.media import find_ffmpeg, needs_ffmpeg

    said = "; ".join(f"{spec.name} takes {' and '.join(_listed(spec))}" for spec in takers[:3])
    files = f"{count:,} {extension} file{'' if count == 1 else 's'}"
    bare = [spec.name for spec in takers if spec.is_required and not any(counts.get(own) for own in _listed(spec))]
    otherwise = f" Otherwise no data unit has its required {bare[0]}." if bare else ""
    refused = " (the content guard refuses XML)" if extension == XML else ""
    options: list[Option] = []
    for target in found:
        away = needs_ffmpeg(extension, target) and find_ffmpeg() is None
        how = "by ffmpeg, which is not on this machine: the job has to run where it is" if away else "originals stay"
        best = " (recommended)" if not options else ""
        options.append(Option(f"Convert to {target}{best}", target, f"On the way, {how}"))
    options = options[:3]
    home = Option("Leave them at home", NONE, f"{files} stay where they are, named in stays_home.jsonl")
    return Ask(f"{files}: {said}{refused}. Convert them?{otherwise}", (*options, home))


def _is_voc(facts: Facts, sources: Sequence[Source]) -> bool:
    """Whether the first .xml files are Pascal VOC: nothing is known of any other XML."""

    def look() -> bool:
        from synapse_skills.media.failures import ConversionFailed
        from synapse_skills.media.voc import voc_as_json
        from synapse_skills.sources import reach

        tried = 0
        for file in facts.data_files():
            if file.suffix != XML:
                continue
            tried += 1
            try:
                with reach(sources[file.source]) as way, way.open(file) as stream:
                    voc_as_json(stream)
                return True
            except (OSError, ConversionFailed, FindingError):
                if tried >= _TRIED:
                    break
        return False

    return facts.once(("voc", tuple(sources)), look)


CONVERSIONS = Family(
    PREFIX + "*",
    "Conversion",
    "What files whose extension no spec takes become before they are sent, such as `.png`; with `none` they stay.",
    _expand,
    needs=("sources.*.spec", "metadata.sidecars", CONVERT.key),
)
