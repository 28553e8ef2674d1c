"""What can be found out about metadata, at most once a round: tables, sidecars, names, and what of them fits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from synapse_skills.errors import FindingError, UsageError
from synapse_skills.plan import MetadataRule, SpecPlan
from synapse_skills.planning.aside import Aside
from synapse_skills.planning.evidence import takes
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.fills import filled_sources, specs_of
from synapse_skills.planning.interview import Settled
from synapse_skills.planning.layout import grouping_of
from synapse_skills.planning.metadata_evidence import (
    Shape,
    Skeleton,
    found_tables,
    keys_in,
    named_sidecars,
    other_shapes,
    resolve_table,
    skeleton,
)
from synapse_skills.planning.on_agent import bring
from synapse_skills.planning.sources import sources_of

if TYPE_CHECKING:
    from synapse_skills.metadata import Field, Table
    from synapse_skills.units.described import Described
    from synapse_skills.units.rows import FrozenRows, KeyColumn

Duplicates = Literal["first", "last", "none"]
NONE: Literal["none"] = "none"
SIDECARS = "sidecars:"
FIRST: Literal["first"] = "first"
LAST: Literal["last"] = "last"
MAX_KEYS = 2_000
MAX_LOOKED = 20


# ---- what the collection wants


def schema_of(facts: Facts, settled: Settled) -> dict[str, Any] | None:
    """The collection's metadata schema."""
    return facts.collection(settled["data_collection"]).meta_schema


def fields_of(facts: Facts, settled: Settled) -> tuple[Field, ...]:
    """The fields that the schema names, the required ones first."""
    from synapse_skills.metadata import wants

    schema = schema_of(facts, settled)
    return facts.once(("wants", settled["data_collection"]), lambda: wants(schema))


def closed(facts: Facts, settled: Settled) -> bool:
    """Whether the schema refuses fields that it does not name."""
    from synapse_skills.metadata import is_closed

    return is_closed(schema_of(facts, settled))


# ---- tables


def tables_in_source(facts: Facts, settled: Settled) -> list[Path]:
    """Tables with a standard name in the sources."""
    sources = sources_of(settled)
    return facts.once(("tables", sources), lambda: found_tables(sources))


def table_path(settled: Settled) -> Path | None:
    """The file that was settled on; None if there is no table."""
    word = settled.get("metadata.table")
    if word is None or word == NONE:
        return None
    return resolve_table(word, sources_of(settled))[0]


def read(facts: Facts, path: Path, sheet: str | None = None) -> Table:
    """A table, as its sheet stands.

    Raises:
        FindingError: it can't be read (`no-table`, `bad-table`).
    """

    def find() -> Table:
        from synapse_skills.metadata import read_table

        first = read(facts, path) if sheet is not None else None
        if first is not None and first.sheet == sheet:
            return first
        try:
            return read_table(path, sheet=sheet)
        except UsageError as error:
            raise FindingError(str(error), hint=error.hint, code=error.code) from None

    return facts.once(("table", path, sheet), find)


def table_of(facts: Facts, settled: Settled) -> Table | None:
    """The table that was settled on, unless nothing in it names the data units."""
    path = table_path(settled)
    if path is None or settled.get("metadata.key") == NONE:
        return None
    return read(facts, path, settled.get("metadata.sheet"))


def key_columns_of(facts: Facts, settled: Settled, sheet: str | None) -> list[KeyColumn]:
    """Every column of a sheet, with how many rows it matches with data units; the best first."""
    path = table_path(settled)
    assert path is not None

    def find() -> list[KeyColumn]:
        from synapse_skills.units.rows import key_columns

        placed(facts, settled)
        return key_columns(read(facts, path, sheet), facts.inventory())

    return facts.once(("keys", path, sheet, layout_key(facts, settled)), find)


def row_numbers(answer: Any) -> list[int]:
    """The rows that an answer names: `20`, `[20, 43]`, `row 20`; empty if it names none."""
    parts = answer.split(",") if isinstance(answer, str) else answer if isinstance(answer, list) else [answer]
    words = [str(part).strip().casefold().removeprefix("row").strip() for part in parts]
    if any(isinstance(part, bool) for part in parts) or not all(word.isdecimal() for word in words):
        return []
    return sorted({int(word) for word in words})


def frozen(
    facts: Facts, settled: Settled, fields: dict[str, str | None], values: Mapping[str, Mapping[str, Any]]
) -> FrozenRows:
    """The table's rows, by data unit, frozen in the job's home."""
    table = table_of(facts, settled)
    assert table is not None and facts.home is not None
    out, key = facts.home.metadata, settled["metadata.key"]

    def find() -> FrozenRows:
        from synapse_skills.units.rows import freeze_rows

        placed(facts, settled)
        return freeze_rows(
            table, facts.inventory(), key, out, fields=fields, values=values, duplicates=duplicates, chosen=numbers
        )

    said = settled.get("metadata.rows")
    numbers = row_numbers(said)
    duplicates: Duplicates = NONE if said == NONE else LAST if said == LAST else FIRST
    named = json.dumps([fields, values, duplicates, numbers], sort_keys=True)
    return facts.once(("rows", table.path, table.sheet, key, named, layout_key(facts, settled)), find)


# ---- data units


def layout_key(facts: Facts, settled: Settled) -> tuple[Any, ...]:
    """What says which data units there are."""
    sources, specs = filled_sources(facts, settled), specs_of(facts, settled)
    return facts.aside, sources, grouping_of(settled), specs, aside_of(facts, settled)


def placed(facts: Facts, settled: Settled) -> None:
    """Bring every file's data unit into the inventory."""
    facts.place_all(
        filled_sources(facts, settled), grouping_of(settled), specs_of(facts, settled), aside_of(facts, settled)
    )


def unit_keys(facts: Facts, settled: Settled) -> list[str]:
    """The first keys of data units, in order."""

    def find() -> list[str]:
        placed(facts, settled)
        query = "SELECT DISTINCT unit FROM file WHERE unit > '' ORDER BY unit LIMIT ?"
        return [key for (key,) in facts.inventory().rows(query, (MAX_KEYS,))]

    return facts.once(("unit keys", layout_key(facts, settled)), find)


def names_of(facts: Facts, settled: Settled) -> Skeleton | None:
    """The form that the data units' names have; what folders say is said by folders."""
    keys = unit_keys(facts, settled)
    return facts.once(("names", layout_key(facts, settled)), lambda: skeleton([key.rpartition("/")[2] for key in keys]))


class Named:
    """A data unit of which only the key is known."""

    def __init__(self, key: str) -> None:
        self.key = key


def aside_of(facts: Facts, settled: Settled) -> Aside:
    """The files that hold metadata, as the plan will say it."""
    has_table = table_path(settled) is not None and settled.get("metadata.key") != NONE
    return Aside(sidecars_of(settled), facts.aside.tables if has_table else ())


# ---- sidecars


def sidecars_of(settled: Settled) -> str | None:
    """The globs of sidecars, said or chosen for a field."""
    own = settled.get("metadata.sidecars")
    patterns = [own] if own not in (None, NONE) else []
    for key, value in sorted(settled.items()):
        if key.startswith("metadata.field.") and isinstance(value, str) and value.startswith(SIDECARS):
            patterns.append(value.removeprefix(SIDECARS))
    return " | ".join(dict.fromkeys(patterns)) or None


def _taken(specs: Sequence[SpecPlan]) -> frozenset[str]:
    return frozenset(extension for spec in specs for extension in takes(spec))


def sidecars_by_name(facts: Facts, settled: Settled) -> list[Shape]:
    """Files whose names say that they hold metadata."""
    sources, collection = sources_of(settled), facts.collection(settled["data_collection"])
    facts.walk(sources)
    wanted = collection.meta_schema is not None
    return facts.once(
        ("sidecars", sources, collection.id),
        lambda: named_sidecars(facts.inventory().files(), _taken(collection.specs), wanted=wanted),
    )


def sidecar_keys(facts: Facts, settled: Settled, pattern: str) -> list[str]:
    """The fields that some of the sidecars hold."""
    from synapse_skills.units.sidecars import Sidecars

    sources = sources_of(settled)

    def find() -> list[str]:
        reads = Sidecars(pattern)
        some = []
        for file in facts.inventory().files():
            if reads.is_one(file):
                some.append(file)
                if len(some) == MAX_LOOKED:
                    break
        return _keys_of(sources, some)

    facts.walk(sources)
    return facts.once(("sidecar keys", sources, pattern), find)


def other_sidecars(facts: Facts, settled: Settled) -> list[tuple[str, list[str], int]]:
    """Globs of JSON and YAML files that nothing takes, with the fields that they hold and how many there are."""
    sources, specs = sources_of(settled), facts.collection(settled["data_collection"]).specs

    def find() -> list[tuple[str, list[str], int]]:
        shapes = other_shapes(facts.inventory().files(), _taken(specs))
        bring(sources, [file for _, some, _ in shapes[:MAX_LOOKED] for file in some])
        found = [(pattern, _keys_of(sources, some), count) for pattern, some, count in shapes[:MAX_LOOKED]]
        return [each for each in found if each[1]]

    facts.walk(sources)
    return facts.once(("other sidecars", sources, specs), find)


def _keys_of(sources: Any, files: Sequence[Any]) -> list[str]:
    from synapse_skills.sources import reach

    bring(sources, files)
    with ExitStack() as stack:
        ways = [stack.enter_context(reach(source)) for source in sources]

        def streams() -> Iterator[Any]:
            for file in files:
                with suppress(OSError, FindingError):  # it is told when all are counted
                    yield ways[file.source].open(file), file.key

        return keys_in(streams())


# ---- how data units are counted


@dataclass(frozen=True)
class Meta:
    """The metadata rules of a plan, the schema that they are held against, and whose rows were set aside."""

    rules: tuple[MetadataRule, ...]
    schema: dict[str, Any] | None
    aside: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        """Tells one from another."""
        rules = [rule.model_dump(mode="json") for rule in self.rules]
        return json.dumps([rules, self.schema, self.aside], sort_keys=True)

    def described(self, folder: Path) -> Described:
        """What describes and checks each data unit; `folder` is where the frozen rows lie."""
        from synapse_skills.units.described import Described, describe_for

        return Described(describe_for(self.rules, folder=folder), self.schema, dict(self.aside))
