"""The rows about specs: which file of a data unit fills which spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from synapse_skills.errors import FindingError, printable
from synapse_skills.plan import SpecPlan
from synapse_skills.planning.answers import one_of, shown, text, text_list
from synapse_skills.planning.evidence import Clue, takes
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.given import OTHERS
from synapse_skills.planning.interview import Ask, BadAnswer, Decision, Family, Inferred, Option, Settled
from synapse_skills.planning.layout import TABLE, chosen, collection_specs, grouping_of, kinds_of
from synapse_skills.planning.sources import sources_of

if TYPE_CHECKING:
    from synapse_skills.sources import Source

LABEL_CHARS = 40
MANY = 0.25
FEW = 0.2


@dataclass(frozen=True)
class _Filled:
    """The specs as the chosen layout fills them.

    Attributes:
        specs: by name.
        over: spec → how many files its pattern would leave at home, and their extension: the user must say.
    """

    specs: dict[str, SpecPlan]
    over: dict[str, tuple[int, str]]


def _filled(facts: Facts, settled: Settled) -> _Filled:
    """What the layout found, but never with a file left at home because another one fits better.

    A few files too many are findings of their data units: the main spec takes them, and what is ambiguous is told.
    Many of them are a question.
    """
    made = chosen(facts, settled)
    specs = {spec.name: spec for spec in made.specs}
    over: dict[str, tuple[int, str]] = {}
    fetched = collection_specs(facts, settled)
    counts = kinds_of(facts, settled).extensions
    if _only_patterns(facts):
        said = {name for name in specs if f"specs.{name}.takes" in facts.answers}
        specs = {name: spec if name in said else spec.model_copy(update={"takes": ()}) for name, spec in specs.items()}
        return _Filled(specs, over)
    if not any(spec.pattern for spec in made.specs):
        return _Filled(specs, over)
    said = {name for name in specs if f"specs.{name}.pattern" in facts.answers}
    for extension in sorted({each for spec in fetched for each in takes(spec)} - set(made.contested)):
        names = tuple(spec.name for spec in fetched if extension in takes(spec))
        main = _main(names, fetched)
        if not counts[extension] or main in said or any(extension in spec.takes for spec in specs.values()):
            continue
        patterns = [pattern for name in names if (pattern := specs[name].pattern)]
        found = (facts.matches(sources_of(settled), made.grouping, fetched, pattern) for pattern in patterns)
        left = counts[extension] - sum(found)
        if left <= 0:
            continue
        if specs[main].pattern and left >= MANY * made.units:
            over[main] = (left, extension)
        else:
            own = specs[main]
            specs[main] = own.model_copy(update={"takes": (*own.takes, extension), "pattern": None})
    return _Filled(specs, over)


def _only_patterns(facts: Facts) -> bool:
    return str(facts.answers.get(OTHERS)).strip().lower() == "nothing"


def _spec(facts: Facts, settled: Settled, name: str) -> SpecPlan:
    """A spec as the chosen layout fills it."""
    return _filled(facts, settled).specs[name]


# ---- specs.*.takes


def _expand_takes(facts: Facts, settled: Settled, answers: Mapping[str, Any]) -> Iterator[Decision]:
    for spec in collection_specs(facts, settled):
        yield Decision(
            f"specs.{spec.name}.takes",
            "Extensions",
            f"The extensions whose files fill {spec.name}.",
            lambda facts, settled, spec=spec: _decide_takes(facts, settled, spec),  # type: ignore[misc]
            lambda answer, facts, settled, spec=spec: _parse_takes(answer, facts, settled, spec),  # type: ignore[misc]
        )


def _decide_takes(facts: Facts, settled: Settled, spec: SpecPlan) -> Inferred | None:
    if settled["grouping.by"] == TABLE:
        return None
    extensions = kinds_of(facts, settled).extensions
    made = chosen(facts, settled)
    own = _spec(facts, settled, spec.name).takes
    found = [f"{extensions[each]:,} {each or 'without extension'}" for each in own if extensions[each]]
    because = f"{', '.join(found)} in the source" if found else "no such file in the source"
    shared = [each for each, names in made.contested.items() if spec.name in names]
    if shared:
        because = f"{' and '.join(shared)} are told apart by pattern" + (f"; {because}" if found else "")
    elif not own and _only_patterns(facts):
        because = "only what a pattern names counts"
    elif not own and takes(spec):
        because = "files of these extensions go to another spec, or by pattern"
    return Inferred(list(own), because)


def _parse_takes(answer: Any, facts: Facts, settled: Settled, spec: SpecPlan) -> list[str]:
    given = [] if answer in ([], "") else text_list(answer, facts, settled)
    extensions = [each.lower() if each.startswith(".") else f".{each.lower()}" for each in given]
    for each in extensions:
        if spec.extensions and each not in (*spec.extensions, *spec.takes):
            raise BadAnswer(f"{spec.name} takes {' '.join(spec.extensions)}, not {shown(each)}.")
    return list(dict.fromkeys(extensions))


OTHERS_ROW = Decision(
    OTHERS,
    "Other files",
    "`nothing`: files that no pattern names stay at home, as in a batch pattern; else their extension tells the spec.",
    lambda facts, settled: None,
    one_of("nothing", "extension"),
)

TAKES = Family(
    "specs.*.takes",
    "Extensions",
    "The extensions whose files fill a spec; an empty list leaves it without files.",
    _expand_takes,
    needs=("grouping.table", OTHERS),
)


# ---- specs.*.pattern


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
    if settled["grouping.by"] == TABLE or _only_patterns(facts):
        return None
    extensions = kinds_of(facts, settled).extensions
    shared = [(each, names) for each, names in chosen(facts, settled).contested.items() if spec.name in names]
    return max(shared, key=lambda item: (extensions[item[0]], item[0]), default=None)


def _header(facts: Facts, settled: Settled, spec: SpecPlan) -> str:
    shared = _shared_by(facts, settled, spec)
    return f"{shared[0].lstrip('.').upper()} files" if shared and shared[0] else "Pattern"


def _decide_pattern(facts: Facts, settled: Settled, spec: SpecPlan) -> Inferred | Ask | None:
    if settled["grouping.by"] == TABLE:
        return None
    shared = _shared_by(facts, settled, spec)
    if shared is None:
        pattern = _spec(facts, settled, spec.name).pattern
        left, extension = _filled(facts, settled).over.get(spec.name, (0, ""))
        if pattern is not None and left:
            return _ask_over(facts, settled, spec, pattern, left, extension)
        if pattern is None:
            return None
        count = facts.matches(sources_of(settled), grouping_of(settled), collection_specs(facts, settled), pattern)
        return Inferred(pattern, f"{count:,} files, and the data units are complete with them")
    extension, names = shared
    specs = collection_specs(facts, settled)
    main = _main(names, specs)
    if spec.name == main and len(names) > 1:
        return None  # gets what the others' patterns leave
    if len(names) == 1:
        units = chosen(facts, settled).units
        return _ask_over(facts, settled, spec, "", kinds_of(facts, settled).extensions[extension] - units, extension)
    others = ", ".join(name for name in names if name != spec.name)
    found = facts.clues(sources_of(settled), specs, extension, grouping_of(settled))
    units = chosen(facts, settled).units
    options = tuple(_option(clue, units) for clue in _likeliest(found, spec.name, [n for n in names if n != spec.name]))
    examples = "" if len(options) > 1 else f" Give a pattern, such as mask/*{extension} or *_mask{extension}."
    return Ask(
        f"{spec.name} and {others} both take {extension or 'files without extension'}. Which files are {spec.name}?"
        f" What is left goes to {main}.{examples}",
        options,
    )


def _ask_over(facts: Facts, settled: Settled, spec: SpecPlan, pattern: str, left: int, extension: str) -> Ask:
    """More files than specs, in many data units: which of them count is the user's to say."""
    specs, grouping = collection_specs(facts, settled), grouping_of(settled)
    found = facts.clues(sources_of(settled), specs, extension, grouping)
    units = chosen(facts, settled).units
    options = [_option(clue, units) for clue in _likeliest(found, spec.name, []) if clue.pattern != pattern]
    if pattern:
        count = facts.matches(sources_of(settled), grouping, specs, pattern)
        label = printable(pattern)[:LABEL_CHARS]
        best = Option(label, pattern, f"{count:,} files; {left:,} others stay at home")
        options = [best, *(each for each in options if each.label != label)]
    examples = "" if len(options) > 1 else f" Give a pattern, such as {pattern or f'*_main{extension}'}."
    return Ask(
        f"There are more {extension or 'files without extension'} than specs that take them. Which are {spec.name}?"
        f" The others stay at home.{examples}",
        tuple(options),
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
    picked: list[Clue] = []
    # Names of single files tell nothing where a folder or an ending tells many.
    least = FEW * max((clue.units for clue in found), default=0)
    for clue in ranked:
        if clue.units >= least and all(clue.mark != other.mark for other in picked):
            picked.append(clue)
    return picked[:4]


def _option(clue: Clue, units: int) -> Option:
    each = (
        "one in each data unit" if clue.once and clue.units == units else f"in {clue.units:,} of {units:,} data units"
    )
    if clue.units > units:
        each = "in several places"  # counted by runs of files, of which a data unit may have more than one
    label = printable(clue.label)
    if len(label) > LABEL_CHARS or len(label.split()) > 5:
        label = printable(clue.pattern)[:LABEL_CHARS]
    return Option(label, clue.pattern, f"{clue.files:,} files, {each}")


def _parse_pattern(answer: Any, facts: Facts, settled: Settled, spec: SpecPlan) -> str:
    pattern = text(answer, facts, settled).removeprefix("./")
    if settled["grouping.by"] == TABLE:
        raise BadAnswer("The table says which files are which spec: a pattern has no effect beside it.")
    try:
        matched = facts.matches(sources_of(settled), grouping_of(settled), collection_specs(facts, settled), pattern)
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
    fetched = collection_specs(facts, settled)
    left: dict[str, set[str]] = {}
    if settled["grouping.by"] != TABLE and not _only_patterns(facts):
        for extension, names in chosen(facts, settled).contested.items():
            # What the patterns of the others leave: the layout was counted before they were given.
            main = _main(names, fetched)
            if settled.get(f"specs.{main}.pattern") is None:
                left.setdefault(main, set()).add(extension)
    result = []
    for spec in fetched:
        own = list(settled.get(f"specs.{spec.name}.takes") or ())
        more = left.get(spec.name, set()) - set(own)
        if more:
            own = [each for each in takes(spec) if each in {*own, *more}]
        result.append(
            spec.model_copy(update={"takes": tuple(own), "pattern": settled.get(f"specs.{spec.name}.pattern")})
        )
    return tuple(result)


def filled_sources(facts: Facts, settled: Settled) -> tuple[Source, ...]:
    """The sources, each with the spec that it fills: said, or found out with the layout."""
    sources = sources_of(settled)
    if settled["grouping.by"] == TABLE or any(key.startswith("sources.") and key.endswith(".spec") for key in settled):
        return sources
    found = chosen(facts, settled).sources
    return tuple(replace(source, spec=each.spec) for source, each in zip(sources, found, strict=True))
