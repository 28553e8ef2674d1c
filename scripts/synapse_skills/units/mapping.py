"""Which file specification a file of a data unit fills: by its extension, by a pattern, or one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Mapping as Table
from typing import Any

from synapse_skills.errors import FindingError
from synapse_skills.sources import File
from synapse_skills.units.patterns import alternatives, compile_pattern

Mapping = Callable[[File, str], "str | None"]
"""(file, its path inside the data unit) → the name of the specification, or None if none takes it."""


class _Chain:
    """What mappings have in common: `first | second` asks the second for what the first does not know."""

    is_ours = True

    def __call__(self, file: File, inside: str) -> str | None:
        raise NotImplementedError

    def __or__(self, other: Mapping) -> InTurn:
        return InTurn((self, other))

    def __ror__(self, other: Mapping) -> InTurn:
        return InTurn((other, self))

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


class ByExtension(_Chain):
    """See `by_extension`."""

    def __init__(self, table: Table[str, str]) -> None:
        self.table: dict[str, str] = {}
        for extension, spec in table.items():
            _check_pair(extension, spec, "by_extension")
            known = self.table.setdefault(normal_extension(extension), spec)
            if known != spec:
                raise FindingError(
                    f"{extension} is given to {known} and to {spec}",
                    hint="Give it to one of them, and tell the other by a pattern.",
                    code="specs-overlap",
                )

    def __call__(self, file: File, inside: str) -> str | None:
        """Compare from the longest suffix on, so `.nii.gz` goes before `.gz`."""
        name = inside.rpartition("/")[2].lower()
        start = name.find(".", 1)
        if start < 0:
            return self.table.get("")
        while start >= 0:
            spec = self.table.get(name[start:])
            if spec is not None:
                return spec
            start = name.find(".", start + 1)
        # A last part of digits is no extension: scanners name files 1.2.840.10008.1, and nothing else.
        return self.table.get("") if name.rpartition(".")[2].isdigit() else None

    def __repr__(self) -> str:
        return f"by_extension({self.table!r})"


class ByPattern(_Chain):
    """See `by_pattern`."""

    def __init__(self, table: Table[str, str]) -> None:
        for spec, pattern in table.items():
            _check_pair(pattern, spec, "by_pattern")
        self.table = dict(table)
        self._tests = [
            (spec, pattern.startswith("/"), compile_pattern(pattern))
            for spec, patterns in table.items()
            for pattern in alternatives(patterns)
        ]

    def __call__(self, file: File, inside: str) -> str | None:
        """The first pattern that fits, in the order of the table."""
        for spec, is_anchored, expression in self._tests:
            if expression.fullmatch(inside if is_anchored else file.key):
                return spec
        return None

    def __repr__(self) -> str:
        return f"by_pattern({self.table!r})"


class BySource(_Chain):
    """See `by_source`."""

    def __init__(self, table: Table[int, str], takes: Table[str, Sequence[str]]) -> None:
        for index, spec in table.items():
            if isinstance(index, bool) or not isinstance(index, int) or index < 0:
                raise FindingError(
                    f"by_source counts the sources from 0, {index!r} is none of them",
                    hint="by_source({0: 'image_1', 1: 'label_1'})",
                    code="bad-mapping",
                )
            _check_pair("", spec, "by_source")
        self.table = dict(table)
        self.takes: dict[str, tuple[str, ...]] = {}
        for spec, extensions in takes.items():
            # By itself: two specifications may take the same extension from two sources.
            self.takes[spec] = tuple(dict.fromkeys(map(normal_extension, extensions)))
        self._tests = {spec: ByExtension(dict.fromkeys(taken, spec)) for spec, taken in self.takes.items()}

    def __call__(self, file: File, inside: str) -> str | None:
        """The specification of the file's source, if it takes the extension."""
        spec = self.table.get(file.source)
        test = self._tests.get(spec) if spec is not None else None
        return test(file, inside) if test is not None else spec

    def __repr__(self) -> str:
        more = f", takes={self.takes!r}" if self.takes else ""
        return f"by_source({self.table!r}{more})"


class InTurn(_Chain):
    """Mappings asked one after the other; the first that knows the file decides. Made with `|`."""

    def __init__(self, mappings: Sequence[Mapping]) -> None:
        self.mappings: tuple[Mapping, ...] = tuple(
            part for mapping in mappings for part in (mapping.mappings if isinstance(mapping, InTurn) else (mapping,))
        )
        self.is_ours = all(isinstance(mapping, _Chain) for mapping in self.mappings)

    def __call__(self, file: File, inside: str) -> str | None:
        """The first answer that is not None."""
        for mapping in self.mappings:
            spec = mapping(file, inside)
            if spec is not None:
                return spec
        return None

    def __repr__(self) -> str:
        return " | ".join(repr(mapping) for mapping in self.mappings)


def by_extension(table: Table[str, str]) -> ByExtension:
    """A mapping: extension → specification.

    Upper and lower case are the same, the dot may be left out, compound extensions (`.nii.gz`) go before their last
    part, and '' stands for names without a dot.
    """
    return ByExtension(table)


def by_pattern(table: Table[str, str]) -> ByPattern:
    """A mapping: specification → glob (see `units.patterns`), the first that fits decides.

    For specifications that share an extension:
    `by_pattern({"mask_1": "*_mask.png"}) | by_extension({".png": "image_1"})`.
    """
    return ByPattern(table)


def by_source(table: Table[int, str], takes: Table[str, Sequence[str]] | None = None) -> BySource:
    """A mapping: number of the source (from 0, in the order of SOURCES) → specification.

    Args:
        table: `{0: "image_1", 1: "label_1"}`; a source that is not in it is left to the next mapping.
        takes: the extensions that a specification takes; other files of its source are left to the next mapping, or
            stay at home. A specification that is not in it takes every file of its source.
    """
    return BySource(table, takes or {})


def normal_extension(extension: str) -> str:
    """Lower case, with a dot; '' stays ''."""
    extension = extension.strip().lower()
    return extension if not extension or extension.startswith(".") else f".{extension}"


def _check_pair(text: Any, spec: Any, where: str) -> None:
    if not isinstance(text, str) or not isinstance(spec, str) or not spec:
        raise FindingError(
            f"{where} takes a table of texts, not {text!r}: {spec!r}", hint="See its docstring.", code="bad-mapping"
        )
