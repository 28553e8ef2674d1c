"""A place as a script writes it: the same objects that the planner counts with (`units.layout`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synapse_skills.plan import GroupingPlan, SourcePlan, SpecPlan
from synapse_skills.rendering.literal import INDENT, WIDTH, literal
from synapse_skills.units import MappingTables, PlaceFunction, compound_extensions, mapping_tables, place_for


@dataclass(frozen=True)
class Parts:
    """The source of a place, what it needs, and what it does."""

    grouping: GroupingPlan
    compound: tuple[str, ...]
    tables: MappingTables
    sidecars: str | None = None
    set_aside: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """What the script must import for it."""
        if self.grouping.by == "table":
            return ["by_table"]
        return sorted(["Place", self._grouping_call()[0], *(name for name, _, _ in self._mapping_calls())])

    @property
    def rule(self) -> str:
        """The rule in words; no name of the user's is in it, as it stands in a comment."""
        if self.grouping.by == "table":
            return "The table beside this script says the data unit and the spec of each file."
        beside = " Files like the sidecars' pattern hold metadata." if self.sidecars is not None else ""
        return f"{self._units_in_words()}; {self.specs_in_words}.{beside}"

    def source(self) -> str:
        """Python source that makes the place."""
        if self.grouping.by == "table":
            return f"by_table({literal(self.grouping.table)})"
        name, positional, named = self._grouping_call()
        mappings = self._mapping_calls()
        group = _call(name, positional, named, depth=None)
        more = [f"sidecars={literal(self.sidecars)}"] * (self.sidecars is not None)
        more += [f"set_aside={literal(self.set_aside)}"] * bool(self.set_aside)
        calls = " | ".join(_call(*mapping, depth=None) for mapping in mappings)
        flat = f"Place({', '.join((group, calls, *more))})"
        if len(flat) + len("place = ") <= WIDTH and "\n" not in flat:
            return flat
        group = _call(name, positional, named, depth=1)
        lines = [_call(*mapping, depth=1) for mapping in mappings]
        last = "".join(f"{INDENT}{each},\n" for each in more)
        return f"Place(\n{INDENT}{group},\n{INDENT}" + f"\n{INDENT}| ".join(lines) + f",\n{last})"

    def _units_in_words(self) -> str:
        grouping = self.grouping
        if grouping.by == "pattern":
            return "What the regular expression finds in a path is the data unit"
        if grouping.by == "file":
            return "Every file is a data unit of its own"
        if grouping.by == "folder":
            depth = grouping.depth
            return f"Each folder{'' if depth == 1 else f' {depth} levels below a source'} is one data unit"
        without = ["folders"] * bool(grouping.ignore) + ["endings"] * bool(grouping.endings)
        kind = f", without the {' and '.join(without)} of their kind," if without else ""
        return f"Files with the same path{kind} but for the extension are one data unit"

    @property
    def specs_in_words(self) -> str:
        """What tells the specification of a file, in words."""
        tables = self.tables
        ways = ["the source of a file"] * bool(tables.sources)
        ways += ["the first pattern that fits"] * bool(tables.patterns)
        ways += ["the extension"] * bool(tables.extensions or not ways)
        return f"{ways[0]} tells the spec{''.join(f', else {way}' for way in ways[1:])}"

    def _grouping_call(self) -> tuple[str, list[object], dict[str, object]]:
        grouping = self.grouping
        if grouping.by == "folder":
            return "by_folder", [grouping.depth], {}
        if grouping.by == "file":
            return "by_file", [], {}
        if grouping.by == "pattern":
            more = {} if grouping.template == GroupingPlan().template else {"template": grouping.template}
            return "by_regex", [grouping.regex], dict(more)
        named = {"ignore": grouping.ignore, "endings": grouping.endings, "extensions": self.compound}
        return "by_stem", [], {name: value for name, value in named.items() if value}

    def _mapping_calls(self) -> list[tuple[str, list[object], dict[str, object]]]:
        tables = self.tables
        calls: list[tuple[str, list[object], dict[str, object]]] = []
        if tables.sources:
            named: dict[str, object] = {"takes": tables.source_takes} if tables.source_takes else {}
            calls.append(("by_source", [tables.sources], named))
        if tables.patterns:
            calls.append(("by_pattern", [tables.patterns], {}))
        if tables.extensions or not calls:
            calls.append(("by_extension", [tables.extensions], {}))
        return calls


def _call(name: str, positional: Sequence[object], named: dict[str, object], *, depth: int | None) -> str:
    """`name(…)` as source; with a depth, long arguments go over several lines."""
    place = {} if depth is None else {"depth": depth}
    values = [literal(value, **place) for value in positional]
    values += [f"{key}={literal(value, **place)}" for key, value in named.items()]
    flat = f"{name}({', '.join(values)})"
    if depth is None or len(values) < 2 or (len(flat) <= WIDTH - 2 * len(INDENT) and "\n" not in flat):
        return flat
    inner = INDENT * (depth + 1)
    deeper = [literal(value, depth=depth + 1) for value in positional]
    deeper += [f"{key}={literal(value, depth=depth + 1)}" for key, value in named.items()]
    return f"{name}(\n" + "".join(f"{inner}{value},\n" for value in deeper) + f"{INDENT * depth})"


def place_parts(
    grouping: GroupingPlan,
    specs: Sequence[SpecPlan],
    sources: Sequence[SourcePlan] = (),
    sidecars: str | None = None,
    set_aside: tuple[str, ...] = (),
) -> Parts:
    """What a script needs to write the place."""
    compound = compound_extensions(specs) if grouping.by == "stem" else ()
    return Parts(grouping, compound, mapping_tables(specs, sources), sidecars, set_aside)


def place_of(
    grouping: GroupingPlan,
    specs: Sequence[SpecPlan],
    sources: Sequence[SourcePlan] = (),
    *,
    folder: Path | None = None,
    sidecars: str | None = None,
    set_aside: tuple[str, ...] = (),
) -> PlaceFunction:
    """The place itself, as the planner counts with it.

    Args:
        grouping: how files become data units.
        specs: with `takes` and `pattern` as decided.
        sources: those with a `spec` fill that one.
        folder: where a placement table lies.
        sidecars: a glob for files that hold metadata.
        set_aside: tables with metadata that lie in a source.
    """
    return place_for(grouping, specs, sources, folder=folder, sidecars=sidecars, set_aside=set_aside)
