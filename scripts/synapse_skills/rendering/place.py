"""Which file belongs to which data unit and spec: the same objects for the planner's count and for the script.

Patterns are asked first, then extensions. A spec with both a pattern and extensions takes either: files that the
pattern finds, and those with an extension that it shares with nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from synapse_skills.plan import GroupingPlan, SpecPlan
from synapse_skills.rendering.literal import INDENT, WIDTH, literal
from synapse_skills.units import Mapping, Place, by_extension, by_folder, by_pattern


@dataclass(frozen=True)
class Parts:
    """A place as a script writes it."""

    depth: int
    patterns: dict[str, str]
    extensions: dict[str, str]

    @property
    def names(self) -> list[str]:
        """What the script must import for it."""
        used = ["by_folder"] + ["by_pattern"] * bool(self.patterns)
        return sorted(used + ["by_extension"] * bool(self.extensions or not self.patterns))

    @property
    def rule(self) -> str:
        """The rule in words; no name of the user's is in it, as it stands in a comment."""
        where = "Each folder" if self.depth == 1 else f"Each folder {self.depth} levels below a source"
        if not self.patterns:
            return f"{where} is one data unit; the extension tells the spec."
        if not self.extensions:
            return f"{where} is one data unit; the first pattern that fits tells the spec."
        return f"{where} is one data unit; the first pattern that fits tells the spec, else the extension."

    def source(self) -> str:
        """Python source that makes the place."""
        tables = [("by_pattern", self.patterns)] * bool(self.patterns)
        tables += [("by_extension", self.extensions)] * bool(self.extensions or not self.patterns)
        group = f"by_folder({literal(self.depth)})"
        flat = f"Place({group}, {' | '.join(f'{name}({literal(table)})' for name, table in tables)})"
        if len(flat) + len("place = ") <= WIDTH and "\n" not in flat:
            return flat
        lines = [f"{name}({literal(table, depth=1)})" for name, table in tables]
        return f"Place(\n{INDENT}{group},\n{INDENT}" + f"\n{INDENT}| ".join(lines) + ",\n)"


def place_parts(grouping: GroupingPlan, specs: Sequence[SpecPlan]) -> Parts:
    """The tables of a place. The more particular spec's pattern comes first: the primary one takes what is left."""
    patterned = sorted((spec for spec in specs if spec.pattern), key=lambda spec: (spec.is_primary, spec.is_required))
    return Parts(
        grouping.depth,
        {spec.name: spec.pattern for spec in patterned if spec.pattern},
        {extension: spec.name for spec in specs for extension in spec.takes},
    )


def place_of(grouping: GroupingPlan, specs: Sequence[SpecPlan]) -> Place:
    """The place itself, as the planner counts with it."""
    parts = place_parts(grouping, specs)
    mappings: list[Mapping] = []
    if parts.patterns:
        mappings.append(by_pattern(parts.patterns))
    if parts.extensions or not parts.patterns:
        mappings.append(by_extension(parts.extensions))
    mapping = mappings[0] if len(mappings) == 1 else by_pattern(parts.patterns) | by_extension(parts.extensions)
    return Place(by_folder(parts.depth), mapping)
