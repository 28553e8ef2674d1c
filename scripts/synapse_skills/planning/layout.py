"""The rows about layout: which folders are data units, and which file fills which spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synapse_skills.errors import FindingError, printable
from synapse_skills.plan import GroupingPlan, SpecPlan
from synapse_skills.planning.answers import one_of, shown, text, text_list, whole
from synapse_skills.planning.evidence import Clue, Decided, Depth, Layout, assignments, decide, sentence, takes
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.interview import Ask, BadAnswer, Decision, Family, Inferred, Option, Refuse, Settled
from synapse_skills.planning.sources import sources_of
from synapse_skills.planning.target import describe_specs

NEXT_LAYOUTS = (
    "This version understands one folder for each data unit. Folders by type, flat folders with matching names and "
    "tables come next; until then put the files of each data unit into a folder of its own."
)
LABEL_CHARS = 40


def collection_specs(facts: Facts, settled: Settled) -> tuple[SpecPlan, ...]:
    """The collection's specs as fetched."""
    return facts.collection(settled["data_collection"]).specs


def layout_of(facts: Facts, settled: Settled) -> Layout:
    """What the folders hold of what the collection takes."""
    return facts.layout(sources_of(settled), collection_specs(facts, settled))


def _depth_of(facts: Facts, settled: Settled) -> Depth:
    """The evidence at the depth that was decided."""
    depths = layout_of(facts, settled).depths
    chosen: int = settled["grouping.depth"]
    return depths[min(chosen, len(depths)) - 1]


def _has_patterns(facts: Facts) -> bool:
    return any(key.startswith("specs.") for key in facts.answers) or "grouping.depth" in facts.answers


# ---- grouping


def _decide_by(facts: Facts, settled: Settled) -> Inferred | Refuse:
    specs = collection_specs(facts, settled)
    layout = layout_of(facts, settled)
    best = layout.best(specs)
    missing = _nothing_for(layout, specs)
    if missing:
        have = ", ".join(f"{count:,} {each or 'without extension'}" for each, count in layout.extensions.most_common(5))
        return Refuse(
            "collection-does-not-fit",
            f"There is no file for {describe_specs(missing)}; the source holds {have}.",
            "Choose another data collection with --collection, or another folder.",
            count=len(missing),
        )
    if not best.fitting(specs) and not _has_patterns(facts):
        return Refuse("layout-not-understood", _why_not(layout, best, specs), NEXT_LAYOUTS)
    return Inferred("folder", _evidence(best, specs))


def _nothing_for(layout: Layout, specs: tuple[SpecPlan, ...]) -> tuple[SpecPlan, ...]:
    """Required specs that no file could fill; all specs if no file fits any."""
    if not layout.known:
        return specs
    # A spec that lists neither extensions nor a known type takes what a pattern says: not decided here.
    return tuple(
        spec for spec in specs if spec.is_required and takes(spec) and not set(takes(spec)) & set(layout.extensions)
    )


def _why_not(layout: Layout, best: Depth, specs: tuple[SpecPlan, ...]) -> str:
    if not best.folders:
        return f"All {layout.files:,} files lie directly in the source: no folder tells which ones belong together."
    signature, count = best.signatures.most_common(1)[0]
    holds = sentence(signature) if signature else "nothing that the collection takes"
    return (
        f"No folder holds exactly one data unit ({describe_specs(specs)}): "
        f"{count:,} of {best.folders:,} {_where(best.depth)} hold {holds}."
    )


def _where(depth: int) -> str:
    return "top-level folders" if depth == 1 else f"folders {depth} levels down"


def _evidence(depth: Depth, specs: tuple[SpecPlan, ...]) -> str:
    fitting = [(count, each) for each, count in depth.signatures.items() if assignments(each, specs)]
    if not fitting:
        return f"{depth.folders:,} {_where(depth.depth)}; the patterns that were given tell their files apart"
    count, signature = max(fitting, key=lambda item: (item[0], item[1]))
    more = f"; {depth.fitting(specs):,} hold a whole data unit" if depth.fitting(specs) != count else ""
    return f"{count:,} of {depth.folders:,} {_where(depth.depth)} hold {sentence(signature)}{more}"


def _parse_by(answer: Any, facts: Facts, settled: Settled) -> str:
    word: str = one_of("folder")(answer, facts, settled)
    found = _decide_by(facts, settled)
    if isinstance(found, Refuse):
        raise FindingError(found.example, hint=found.fix, code=found.code)
    return word


BY = Decision(
    "grouping.by",
    "Layout",
    "How files become data units: `folder`, each folder is one.",
    _decide_by,
    _parse_by,
    needs=("sources.*.spec", "metadata.constants.*"),
)


def _decide_depth(facts: Facts, settled: Settled) -> Inferred:
    best = layout_of(facts, settled).best(collection_specs(facts, settled))
    where = "each top-level folder" if best.depth == 1 else f"each folder {best.depth} levels below the source"
    return Inferred(best.depth, f"{where} is one data unit")


DEPTH = Decision(
    "grouping.depth",
    "Folder depth",
    "How many folders below the source make a data unit's key; 1 for the top-level folders.",
    _decide_depth,
    whole(1, 20),
    needs=("grouping.by",),
)


# ---- specs.*.takes


def _decided(facts: Facts, settled: Settled) -> Decided:
    return decide(_depth_of(facts, settled), collection_specs(facts, settled))


def _expand_takes(facts: Facts, settled: Settled, answers: Mapping[str, Any]) -> Iterator[Decision]:
    for spec in collection_specs(facts, settled):
        yield Decision(
            f"specs.{spec.name}.takes",
            "Extensions",
            f"The extensions whose files fill {spec.name}.",
            lambda facts, settled, spec=spec: _decide_takes(facts, settled, spec),  # type: ignore[misc]
            lambda answer, facts, settled, spec=spec: _parse_takes(answer, facts, settled, spec),  # type: ignore[misc]
        )


def _decide_takes(facts: Facts, settled: Settled, spec: SpecPlan) -> Inferred:
    layout, decided = layout_of(facts, settled), _decided(facts, settled)
    own = decided.takes[spec.name]
    shared = [each for each, specs in decided.contested.items() if spec.name in specs]
    found = [f"{layout.extensions[each]:,} {each}" for each in own if layout.extensions[each]]
    because = f"{', '.join(found)} in the source" if found else "no such file in the source"
    if shared:
        because = f"{' and '.join(shared)} are told apart by pattern" + (f"; {because}" if found else "")
    elif not own and takes(spec):
        because = "another spec takes these files, which leaves none for this one"
    return Inferred(list(own), because)


def _parse_takes(answer: Any, facts: Facts, settled: Settled, spec: SpecPlan) -> list[str]:
    given = [] if answer in ([], "") else text_list(answer, facts, settled)
    extensions = [each.lower() if each.startswith(".") else f".{each.lower()}" for each in given]
    for each in extensions:
        if spec.extensions and each not in spec.extensions:
            raise BadAnswer(f"{spec.name} takes {' '.join(spec.extensions)}, not {shown(each)}.")
    return list(dict.fromkeys(extensions))


TAKES = Family(
    "specs.*.takes",
    "Extensions",
    "The extensions whose files fill a spec; an empty list leaves it without files.",
    _expand_takes,
    needs=("grouping.depth",),
)


# ---- specs.*.pattern


def contested(facts: Facts, settled: Settled) -> dict[str, tuple[str, ...]]:
    """Extensions that several specs fill: found in the files, or said in `takes`."""
    specs = collection_specs(facts, settled)
    found = {each: set(names) for each, names in _decided(facts, settled).contested.items()}
    said = {spec.name for spec in specs if f"specs.{spec.name}.takes" in facts.answers}
    for each, names in found.items():
        # Who was told to take other extensions no longer competes.
        found[each] = {n for n in names if n not in said or each in settled[f"specs.{n}.takes"]}
    owners: dict[str, set[str]] = {}
    for spec in specs:
        for each in settled[f"specs.{spec.name}.takes"]:
            owners.setdefault(each, set()).add(spec.name)
    for each, names in owners.items():
        found[each] = found.get(each, set()) | names
    order = [spec.name for spec in specs]
    return {each: tuple(sorted(n, key=order.index)) for each, n in sorted(found.items()) if len(n) > 1}


def _main(names: tuple[str, ...], specs: tuple[SpecPlan, ...]) -> str:
    """The spec that gets what no pattern claims: the primary one, else a required one, else the first."""
    rows = [spec for spec in specs if spec.name in names]
    return max(rows, key=lambda spec: (spec.is_primary, spec.is_required, -rows.index(spec))).name


def _expand_pattern(facts: Facts, settled: Settled, answers: Mapping[str, Any]) -> Iterator[Decision]:
    for spec in collection_specs(facts, settled):
        yield Decision(
            f"specs.{spec.name}.pattern",
            _header(facts, settled, spec),
            f"Which files are {spec.name}: a pattern on the end of the path, such as mask/*.png or *_mask.png.",
            lambda facts, settled, spec=spec: _decide_pattern(facts, settled, spec),  # type: ignore[misc]
            lambda answer, facts, settled, spec=spec: _parse_pattern(answer, facts, settled, spec),  # type: ignore[misc]
        )


def _shared_by(facts: Facts, settled: Settled, spec: SpecPlan) -> tuple[str, tuple[str, ...]] | None:
    """The extension that a spec shares with others, and with whom; the one with the most files."""
    extensions = layout_of(facts, settled).extensions
    shared = [(each, names) for each, names in contested(facts, settled).items() if spec.name in names]
    return max(shared, key=lambda item: (extensions[item[0]], item[0]), default=None)


def _header(facts: Facts, settled: Settled, spec: SpecPlan) -> str:
    shared = _shared_by(facts, settled, spec)
    return f"{shared[0].lstrip('.').upper()} files" if shared else "Pattern"


def _decide_pattern(facts: Facts, settled: Settled, spec: SpecPlan) -> Inferred | Ask | None:
    shared = _shared_by(facts, settled, spec)
    if shared is None:
        return None
    extension, names = shared
    specs = collection_specs(facts, settled)
    main = _main(names, specs)
    if spec.name == main:
        return None  # gets what the others' patterns leave
    others = ", ".join(name for name in names if name != spec.name)
    found = facts.clues(sources_of(settled), specs, extension, settled["grouping.depth"])
    units = _depth_of(facts, settled).folders
    options = tuple(_option(clue, units) for clue in _likeliest(found, spec.name, [n for n in names if n != spec.name]))
    examples = "" if len(options) > 1 else f" Give a pattern, such as mask/*{extension} or *_mask{extension}."
    return Ask(
        f"{spec.name} and {others} both take {extension}. Which files are {spec.name}?"
        f" What is left goes to {main}.{examples}",
        options,
    )


def _likeliest(found: list[Clue], wanted: str, others: list[str]) -> list[Clue]:
    """Four clues: those that are called like the spec first, one for each set of files."""

    def alike(clue: Clue, name: str) -> bool:
        word = name.rstrip("0123456789").rstrip("_- ").casefold()
        return len(word) > 1 and word in clue.label.casefold()

    ranked = sorted(
        found,
        key=lambda clue: (
            not alike(clue, wanted),
            any(alike(clue, name) for name in others),
            not clue.once,
            -clue.units,
        ),
    )
    chosen: list[Clue] = []
    for clue in ranked:
        if all(clue.mark != other.mark for other in chosen):
            chosen.append(clue)
    return chosen[:4]


def _option(clue: Clue, units: int) -> Option:
    each = (
        "one in each data unit" if clue.once and clue.units == units else f"in {clue.units:,} of {units:,} data units"
    )
    label = printable(clue.label)
    if len(label) > LABEL_CHARS or len(label.split()) > 5:
        label = printable(clue.pattern)[:LABEL_CHARS]
    return Option(label, clue.pattern, f"{clue.files:,} files, {each}")


def _parse_pattern(answer: Any, facts: Facts, settled: Settled, spec: SpecPlan) -> str:
    pattern = text(answer, facts, settled).removeprefix("./")
    try:
        matched = facts.matches(sources_of(settled), settled["grouping.depth"], pattern)
    except FindingError as error:
        raise BadAnswer(f"{error}. {error.hint}") from None
    if not matched:
        raise BadAnswer(f"{shown(answer)} finds no file of a data unit.")
    return pattern


PATTERN = Family(
    "specs.*.pattern",
    "Pattern",
    "Which files fill a spec where extensions can't tell: a glob on the end of the path.",
    _expand_pattern,
    needs=("specs.*.takes",),
)


# ---- what follows


def specs_of(facts: Facts, settled: Settled) -> tuple[SpecPlan, ...]:
    """The specs with what was decided about each."""
    specs = collection_specs(facts, settled)
    shared = contested(facts, settled)
    result = []
    for spec in specs:
        own = [each for each in settled[f"specs.{spec.name}.takes"] if each not in shared]
        pattern = settled.get(f"specs.{spec.name}.pattern")
        if pattern is None:
            # The main spec of a shared extension takes what the patterns of the others leave.
            own += [each for each, names in shared.items() if _main(names, specs) == spec.name]
        elif _shared_by(facts, settled, spec) is None and f"specs.{spec.name}.takes" not in facts.answers:
            own = []  # a pattern for a spec that shares nothing says which of its files count
        result.append(spec.model_copy(update={"takes": tuple(own), "pattern": pattern}))
    return tuple(result)


def grouping_of(settled: Settled) -> GroupingPlan:
    """The grouping as the plan holds it."""
    return GroupingPlan(by=settled["grouping.by"], depth=settled["grouping.depth"])
