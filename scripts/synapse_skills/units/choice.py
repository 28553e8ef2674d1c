"""A layout with the evidence for it, and which of several explains the files best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from synapse_skills.errors import printable
from synapse_skills.plan import GroupingPlan, SourcePlan, SpecPlan
from synapse_skills.units.layout import mapping_of, mapping_tables
from synapse_skills.units.mapping import Mapping

MARGIN = 0.05
"""Of the explained share: layouts that come so near each other compete by other merits."""
FULLER = 0.2
_MOST_NAMES = 5


@dataclass(frozen=True)
class Hypothesis:
    """One layout and what it makes of the files.

    Attributes:
        grouping: how files become data units.
        specs: the collection's specifications with the `takes` and `pattern` that this layout needs.
        sources: the sources, with the specification that each fills if the layout is one specification a source.
        contested: extension → specifications that nothing tells apart in this layout: the user must say. One
            specification alone: several files of each data unit could fill it. Counted as if the user had said.
        files: all files looked at.
        known: those with an extension that a specification takes.
        units: data units.
        complete: data units with one file for each required specification and none too many.
        ambiguous: data units with several files for one specification.
        unplaced: files in no data unit or for no specification.
        explained: share of the known files that lie in complete data units.
        filled: how many specifications a complete data unit fills on average.
        is_exact: everything was counted; otherwise units, complete, ambiguous and unplaced are estimates.
        examples: up to three data units with their files.
        because: the evidence in one sentence.
    """

    grouping: GroupingPlan
    specs: tuple[SpecPlan, ...]
    sources: tuple[SourcePlan, ...]
    contested: dict[str, tuple[str, ...]] = field(default_factory=dict)
    files: int = 0
    known: int = 0
    units: int = 0
    complete: int = 0
    ambiguous: int = 0
    unplaced: int = 0
    explained: float = 0.0
    filled: float = 0.0
    is_exact: bool = True
    examples: tuple[str, ...] = ()
    because: str = ""

    @property
    def mapping(self) -> Mapping:
        """The mapping as an object; its repr() is the source that makes it."""
        return mapping_of(mapping_tables(self.specs, self.sources))

    @property
    def label(self) -> str:
        """The layout in a few words: `each top-level folder`, `same name without folders images/, labels/`."""
        return layout_label(self.grouping)


def ranked(found: Iterable[Hypothesis]) -> list[Hypothesis]:
    """The best first: most explained, then nothing contested, then fuller data units, then the simpler layout."""

    def simple(one: Hypothesis) -> tuple[int, int, int, int]:
        grouping = one.grouping
        return (grouping.by != "folder", grouping.depth, len(grouping.ignore), len(grouping.endings))

    ordered = sorted(found, key=lambda one: (-round(one.explained, 6), len(one.contested), -one.filled, simple(one)))
    if not ordered:
        return []
    # What comes close to the best competes by other merits than the last percent.
    close = [one for one in ordered if one.explained >= ordered[0].explained - MARGIN]
    close.sort(key=lambda one: (len(one.contested), -round(one.filled, 1), -round(one.explained, 6), simple(one)))
    return close + ordered[len(close) :]


@dataclass(frozen=True)
class Choice:
    """What `best` found.

    Attributes:
        winner: the layout that explains the files clearly better than any other; None if there is none.
        rivals: layouts among which the user must choose, or, without any that explains a file, all of them.
    """

    winner: Hypothesis | None
    rivals: tuple[Hypothesis, ...] = ()


def best(found: Sequence[Hypothesis]) -> Choice:
    """The winner with a margin; without one, those that come near each other.

    Two layouts that make the same number of data units of the same files are the same in other words: the simpler one
    stands for both.
    """
    ordered = ranked(found)
    if not ordered or not ordered[0].explained:
        return Choice(None, tuple(ordered))
    first = ordered[0]
    rivals: list[Hypothesis] = []
    for one in ordered[1:]:
        if not (_outdone(one, first) or any(_same(one, each) for each in rivals)):
            rivals.append(one)
    return Choice(None, (first, *rivals)) if rivals else Choice(first)


def _outdone(one: Hypothesis, first: Hypothesis) -> bool:
    """Whether a layout leaves the first one without doubt."""
    if one.explained < first.explained - MARGIN or _same(one, first):
        return True
    if first.contested or one.explained > first.explained + MARGIN / 2:
        return False
    # Poorer data units are no reason to doubt; fuller ones are, though something is left open in them.
    return first.filled >= one.filled + FULLER or (bool(one.contested) and one.filled <= first.filled)


def _same(one: Hypothesis, other: Hypothesis) -> bool:
    return (one.units, one.complete, one.unplaced) == (other.units, other.complete, other.unplaced)


def unit_words(grouping: GroupingPlan) -> str:
    """What a layout makes data units of: `top-level folders`."""
    if grouping.by == "folder":
        return "top-level folders" if grouping.depth == 1 else f"folders {grouping.depth} levels down"
    if grouping.by == "file":
        return "files"
    return "keys that the pattern finds" if grouping.by == "pattern" else "names" + _less(grouping)


def layout_label(grouping: GroupingPlan) -> str:
    """A layout in a few words: `each top-level folder`."""
    if grouping.by == "folder":
        return "each top-level folder" if grouping.depth == 1 else f"each folder {grouping.depth} levels down"
    if grouping.by == "file":
        return "each file"
    return "what the pattern finds" if grouping.by == "pattern" else "same name" + _less(grouping)


def _less(grouping: GroupingPlan) -> str:
    """` without folders images/, labels/ and endings _mask`."""
    parts = []
    if grouping.ignore:
        parts.append("folders " + _listed([f"{name}/" for name in grouping.ignore]))
    if grouping.endings:
        parts.append("endings " + _listed(grouping.endings))
    return f" without {' and '.join(parts)}" if parts else ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(printable(name) for name in names[:_MOST_NAMES]) + more
