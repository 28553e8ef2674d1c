"""A plan's grouping, specifications and sources → the place that answers for them, as planner and job count with it.

Sources that fill one specification are asked first, then patterns, then extensions. A specification with both a
pattern and extensions takes either: files that the pattern finds, and those with an extension that it shares with
nobody.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synapse_skills.errors import FindingError
from synapse_skills.plan import GroupingPlan, MetadataRule, SourcePlan, SpecPlan
from synapse_skills.units.grouping import by_file, by_regex, by_stem
from synapse_skills.units.mapping import InTurn, Mapping, by_extension, by_pattern, by_source
from synapse_skills.units.names import compound_extensions, could_take
from synapse_skills.units.place import Grouping, Place, PlaceFunction, by_folder
from synapse_skills.units.table import by_table


@dataclass(frozen=True)
class MappingTables:
    """What the mappings of a place are made of; an empty one is not asked."""

    sources: dict[int, str]
    source_takes: dict[str, tuple[str, ...]]
    patterns: dict[str, str]
    extensions: dict[str, str]


def mapping_tables(specs: Sequence[SpecPlan], sources: Sequence[SourcePlan] = ()) -> MappingTables:
    """The tables. The more particular spec's pattern comes first: the primary one takes what is left."""
    by_index = {index: source.spec for index, source in enumerate(sources) if source.spec is not None}
    known = {spec.name: spec for spec in specs}
    takes = {name: could_take(known[name]) for name in dict.fromkeys(by_index.values()) if name in known}
    # Where every source has its specification, nothing else may place a file.
    only = bool(by_index) and len(by_index) == len(sources)
    patterned = sorted((spec for spec in specs if spec.pattern), key=lambda spec: (spec.is_primary, spec.is_required))
    return MappingTables(
        by_index,
        {name: extensions for name, extensions in takes.items() if extensions},
        {} if only else {spec.name: spec.pattern for spec in patterned if spec.pattern},
        {} if only else {extension: spec.name for spec in specs for extension in spec.takes},
    )


def grouping_for(grouping: GroupingPlan, specs: Sequence[SpecPlan]) -> Grouping:
    """The grouping object; not for a table, which is a place by itself.

    Raises:
        FindingError: `bad-grouping`, `bad-regex`, `bad-template`.
    """
    if grouping.by == "folder":
        return by_folder(grouping.depth)
    if grouping.by == "stem":
        return by_stem(grouping.ignore, grouping.endings, compound_extensions(specs))
    if grouping.by == "file":
        return by_file()
    if grouping.by == "pattern":
        return by_regex(grouping.regex or "", grouping.template)
    raise ValueError(f"a grouping by {grouping.by} is a place by itself")


def mapping_of(tables: MappingTables) -> Mapping:
    """The mapping objects, one after the other."""
    mappings: list[Mapping] = []
    if tables.sources:
        mappings.append(by_source(tables.sources, tables.source_takes))
    if tables.patterns:
        mappings.append(by_pattern(tables.patterns))
    if tables.extensions or not mappings:
        mappings.append(by_extension(tables.extensions))
    return mappings[0] if len(mappings) == 1 else InTurn(mappings)


def place_for(
    grouping: GroupingPlan,
    specs: Sequence[SpecPlan],
    sources: Sequence[SourcePlan] = (),
    *,
    folder: Path | None = None,
    sidecars: str | None = None,
    set_aside: tuple[str, ...] = (),
) -> PlaceFunction:
    """The place of a plan.

    Args:
        grouping: how files become data units.
        specs: with `takes` and `pattern` as decided.
        sources: those with a `spec` fill that one.
        folder: where a placement table lies; beside the script if None.
        sidecars: a glob for files that hold metadata (see `sidecars_of`).
        set_aside: tables with metadata that lie in a source (see `set_aside_of`).

    Raises:
        FindingError: `bad-grouping`, `bad-regex`, `bad-template`, `bad-pattern`, `bad-mapping`.
    """
    if grouping.by == "table":
        if sidecars is not None:
            raise FindingError(
                "A layout by table can't tell which data unit a sidecar belongs to",
                hint="Put the metadata into a table, or choose another layout.",
                code="bad-grouping",
            )
        return by_table(grouping.table or "", folder=folder)
    return Place(grouping_for(grouping, specs), mapping_of(mapping_tables(specs, sources)), sidecars, set_aside)


def sidecars_of(rules: Sequence[MetadataRule]) -> str | None:
    """The glob of a plan's metadata rules that says which files are sidecars, None if there are none."""
    return next((rule.pattern for rule in rules if rule.kind == "sidecars"), None)


def set_aside_of(rules: Sequence[MetadataRule], sources: Sequence[SourcePlan]) -> tuple[str, ...]:
    """The paths in the sources of the tables that a plan has its metadata from."""
    files = [Path(rule.file) for rule in rules if rule.file is not None]
    inside = [file.relative_to(each.path) for file in files for each in sources if file.is_relative_to(each.path)]
    return tuple(unicodedata.normalize("NFC", path.as_posix()) for path in inside)
