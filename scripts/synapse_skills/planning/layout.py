"""The rows about layout: how files become data units. What is possible is counted in `units.hypotheses`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from synapse_skills.errors import FindingError, printable
from synapse_skills.plan import GroupingPlan, SpecPlan
from synapse_skills.planning.answers import number_of, one_of
from synapse_skills.planning.conversions import with_converted
from synapse_skills.planning.evidence import Kinds, takes
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.interview import Ask, BadAnswer, Decision, Inferred, Option, Refuse, Settled
from synapse_skills.planning.placement import frozen_name
from synapse_skills.planning.sources import sources_of
from synapse_skills.planning.target import describe_specs

if TYPE_CHECKING:
    from synapse_skills.units import Choice, Hypothesis

CLEAR = 0.4
SAME_UNITS = 1.3
FOLDER, STEM, FILE, PATTERN, TABLE = "folder", "stem", "file", "pattern", "table"
# Which keys belong to which layout: one that is given says the layout too.
BELONGS = {
    "grouping.depth": FOLDER,
    "grouping.ignore": STEM,
    "grouping.endings": STEM,
    "grouping.regex": PATTERN,
    "grouping.template": PATTERN,
    "grouping.table": TABLE,
}
_WORDS = {
    FOLDER: ("Each folder", "A folder is one data unit, with all that lies below it"),
    STEM: ("Matching names", "Files with the same name before the extension are one data unit"),
    FILE: ("Each file", "Every file is a data unit of its own"),
    PATTERN: ("A regular expression", "It finds the data unit's name in the path"),
    TABLE: ("A table", "A CSV or JSON file of yours names data unit and spec for each file"),
}


def collection_specs(facts: Facts, settled: Settled) -> tuple[SpecPlan, ...]:
    """The collection's specs as fetched, each taking also what is to be converted for it."""
    return with_converted(facts.collection(settled["data_collection"]).specs, settled)


def said_specs(facts: Facts, settled: Settled) -> tuple[SpecPlan, ...]:
    """The specs with what the user has said about them, as far as it can be read: the layouts are counted with it."""
    from synapse_skills.units import by_pattern

    result = []
    fetched = collection_specs(facts, settled)
    scans = facts.dicom(sources_of(settled), fetched) if kinds_of(facts, settled).extensions[""] else None
    for spec in fetched:
        # Scanners write DICOM without a suffix.
        update: dict[str, Any] = {"takes": (*takes(spec), "")} if spec.name == scans else {}
        given = facts.answers.get(f"specs.{spec.name}.takes")
        if given is not None:
            extensions = _extensions(given)
            # '' would stand for files without an extension; an empty list leaves the spec without files.
            update["takes"] = tuple(extensions) if extensions else (".nothing-at-all",)
        pattern = facts.answers.get(f"specs.{spec.name}.pattern")
        if isinstance(pattern, str) and facts.finds(sources_of(settled), pattern):
            by_pattern({spec.name: pattern})
            update["pattern"] = pattern.strip().removeprefix("./")
        result.append(spec.model_copy(update=update))
    return tuple(result)


def _extensions(answer: Any) -> list[str]:
    parts = answer.split(",") if isinstance(answer, str) else answer if isinstance(answer, list) else []
    words = [str(part).strip().lower() for part in parts]
    return [word if word.startswith(".") or not word else f".{word}" for word in words if word]


def kinds_of(facts: Facts, settled: Settled) -> Kinds:
    """How many files of each extension there are."""
    return facts.kinds(sources_of(settled), collection_specs(facts, settled))


# ---- which layouts there are


def candidates(facts: Facts, settled: Settled) -> list[Hypothesis]:
    """The layouts that agree with what was said, the likeliest first."""
    found = facts.hypotheses(sources_of(settled), said_specs(facts, settled))
    said = {key: _read(key, facts.answers[key]) for key in BELONGS if key in facts.answers}
    said |= {key: settled[key] for key in ("grouping.by", *BELONGS) if key in settled}
    said.setdefault("grouping.by", next((by for key, by in BELONGS.items() if key in said), None))
    if said["grouping.by"] is None:
        word = str(facts.answers.get("grouping.by", "")).strip().lower()
        said["grouping.by"] = word if word in _WORDS else None
    if said["grouping.by"] == FILE and all(one.grouping.by != FILE for one in found):
        # Not proposed where matching names do as well, but taken when it is said.
        return [facts.hypothesis(sources_of(settled), said_specs(facts, settled), GroupingPlan(by=FILE))]
    for wanted in (said, {key: value for key, value in said.items() if key in settled or key == "grouping.by"}):
        agreeing = [one for one in found if all(_agrees(one.grouping, key, value) for key, value in wanted.items())]
        if agreeing:
            return agreeing
    return []


def _read(key: str, answer: Any) -> Any:
    if key == "grouping.depth":
        number = number_of(answer)
        return int(number) if number is not None else None
    if key in ("grouping.ignore", "grouping.endings"):
        parts = answer.split(",") if isinstance(answer, str) else answer if isinstance(answer, list) else []
        return [str(part).strip() for part in parts if str(part).strip()]
    return answer


def _agrees(grouping: GroupingPlan, key: str, value: Any) -> bool:
    if value is None:
        return True
    mine = getattr(grouping, key.removeprefix("grouping."))
    if isinstance(mine, tuple):
        return sorted(map(str.casefold, mine)) == sorted(map(str.casefold, value))
    return bool(mine == value)


def chosen(facts: Facts, settled: Settled) -> Hypothesis:
    """The layout that was settled, with what it makes of the files."""
    grouping = grouping_of(settled)
    specs = said_specs(facts, settled)
    found = facts.hypotheses(sources_of(settled), specs)
    same = next((one for one in found if one.grouping == grouping), None)
    return same or facts.hypothesis(sources_of(settled), specs, grouping)


def pick(found: list[Hypothesis]) -> Choice:
    """The best layout, or those that come near it.

    Where most folders hold one name each, names and folders say the same but for the folders with something wrong in
    them: then a folder is the data unit, and what is wrong is told instead of being grouped away.
    """
    from synapse_skills.units import Choice, best

    choice = best(found)
    by_folder = next((one for one in choice.rivals if one.grouping.by == FOLDER and one.explained >= CLEAR), None)
    if choice.winner is not None or by_folder is None:
        return choice
    rest = tuple(
        one
        for one in choice.rivals
        if one.grouping != GroupingPlan(by=STEM)
        or (one.units > SAME_UNITS * by_folder.units and one.complete > by_folder.complete)
    )
    return Choice(rest[0]) if len(rest) == 1 else Choice(None, rest)


def grouping_of(settled: Settled) -> GroupingPlan:
    """The grouping as the plan holds it."""
    by = settled["grouping.by"]
    values: dict[str, Any] = {"by": by}
    for key, layout in BELONGS.items():
        if layout == by and settled.get(key) is not None:
            value = settled[key]
            values[key.removeprefix("grouping.")] = tuple(value) if isinstance(value, list) else value
    if by == TABLE:
        values["table"] = frozen_name(Path(settled["grouping.table"]))
    return GroupingPlan(**values)


# ---- grouping.by


def _decide_by(facts: Facts, settled: Settled) -> Inferred | Ask | Refuse:
    said = next((key for key in BELONGS if key in facts.answers), None)
    if said is not None:
        return Inferred(BELONGS[said], f"{said} is given")
    specs, kinds = collection_specs(facts, settled), kinds_of(facts, settled)
    missing = _nothing_for(kinds, specs)
    if missing:
        have = ", ".join(f"{count:,} {each or 'without extension'}" for each, count in kinds.extensions.most_common(5))
        return Refuse(
            "collection-does-not-fit",
            f"There is no file for {describe_specs(missing)}; the source holds {have}.",
            "Choose another data collection with --collection, or another folder.",
            count=len(missing),
        )
    found = candidates(facts, settled)
    choice = pick(found)
    if choice.winner is not None:
        return Inferred(choice.winner.grouping.by, _because(choice.winner))
    rivals = choice.rivals
    if not any(one.explained for one in rivals):
        return _ask_otherwise(rivals)
    kinds_of_layout = list(dict.fromkeys(one.grouping.by for one in rivals))
    if len(kinds_of_layout) == 1:
        return Inferred(kinds_of_layout[0], _because(rivals[0]))
    options = [
        Option(_WORDS[by][0], by, _because(next(one for one in rivals if one.grouping.by == by)))
        for by in kinds_of_layout[:3]
    ]
    options.append(Option(_WORDS[TABLE][0], TABLE, _WORDS[TABLE][1]))
    return Ask("Several layouts fit these files. What is one data unit?", tuple(options))


def _ask_otherwise(rivals: tuple[Hypothesis, ...]) -> Ask:
    """No layout makes one complete data unit: the user may know one."""
    why = f" ({rivals[0].because})" if rivals else ""
    return Ask(
        f"No layout gives complete data units{why}. How do the files belong together?",
        (
            Option(_WORDS[TABLE][0], TABLE, _WORDS[TABLE][1]),
            Option(_WORDS[PATTERN][0], PATTERN, _WORDS[PATTERN][1]),
            Option(_WORDS[FOLDER][0], FOLDER, _WORDS[FOLDER][1]),
            Option(_WORDS[STEM][0], STEM, _WORDS[STEM][1]),
        ),
    )


def _because(one: Hypothesis) -> str:
    filled = [f"{source.path} → {source.spec}" for source in one.sources if source.spec]
    told = f"; {', '.join(map(printable, filled[:3]))}" if filled and len(one.sources) > 1 else ""
    return one.because + told


def _nothing_for(kinds: Kinds, specs: tuple[SpecPlan, ...]) -> tuple[SpecPlan, ...]:
    """Required specs that no file could fill; all specs if no file fits any."""
    if not kinds.known:
        return specs
    # A spec that lists neither extensions nor a known type takes what a pattern says: not decided here.
    return tuple(
        spec for spec in specs if spec.is_required and takes(spec) and not set(takes(spec)) & set(kinds.extensions)
    )


def _parse_by(answer: Any, facts: Facts, settled: Settled) -> str:
    word: str = one_of(FOLDER, STEM, FILE, PATTERN, TABLE)(answer, facts, settled)
    found = _decide_by(facts, {**settled, "grouping.by": word}) if word in (FOLDER, STEM) else None
    if isinstance(found, Refuse):
        raise FindingError(found.example, hint=found.fix, code=found.code)
    said = any(key in facts.answers for key, by in BELONGS.items() if by == word)
    if word in (FOLDER, STEM) and not said and not candidates(facts, {**settled, "grouping.by": word}):
        raise BadAnswer(f"No layout by {word} makes any data unit of these files.")
    return word


BY = Decision(
    "grouping.by",
    "Layout",
    "How files become data units: `folder`, `stem` (matching names), `file` (each), `pattern` (a regex) or `table`.",
    _decide_by,
    _parse_by,
    needs=("sources.*.spec", "metadata.sidecars", "conversions.*"),
)
