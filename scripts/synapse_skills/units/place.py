"""Where a file goes: the data unit that it belongs to and the file specification that it fills.

`Place` puts the two questions to two objects, a grouping and a mapping, so that each can be exchanged for a
hand-written function. Every object's repr() is the Python source that makes it: the template prints it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from synapse_skills.errors import FindingError
from synapse_skills.sources import File
from synapse_skills.units.mapping import Mapping
from synapse_skills.units.sidecars import SIDECAR, Sidecars

UnplacedReason = Literal["belongs-to-nothing", "no-spec", "metadata-table"]


@dataclass(frozen=True, slots=True)
class Placed:
    """A file fills a specification of a data unit."""

    unit: str
    spec: str


@dataclass(frozen=True, slots=True)
class Unplaced:
    """A file stays at home: it is in no data unit, or (of the data unit `unit`) no specification takes it."""

    reason: UnplacedReason = "belongs-to-nothing"
    unit: str = ""


Grouping = Callable[[File], "tuple[str, str] | None"]
"""file → (data unit's key, path of the file inside it), or None if it belongs to none."""
PlaceFunction = Callable[[File], "Placed | Unplaced | tuple[str, str] | None"]
"""What a script may put in the place of `Place`: a tuple is (unit, spec), None is nothing."""


@dataclass(frozen=True)
class ByFolder:
    """Each folder at a certain depth below the source is a data unit, with all that is below it."""

    depth: int = 1

    def __call__(self, file: File) -> tuple[str, str] | None:
        """The first `depth` folders are the key; a file that does not lie so deep belongs to nothing."""
        parts = file.key.split("/", self.depth)
        return ("/".join(parts[:-1]), parts[-1]) if len(parts) > self.depth else None

    def __repr__(self) -> str:
        return f"by_folder({self.depth})"


def by_folder(depth: int = 1) -> ByFolder:
    """A grouping: the first `depth` folders below the source are the data unit's key."""
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
        raise FindingError(
            f"by_folder needs a whole number from 1 up, not {depth!r}",
            hint="by_folder(1): each folder directly below the source is a data unit.",
            code="bad-grouping",
        )
    return ByFolder(depth)


@dataclass(frozen=True)
class Place:
    """Asks the grouping for the data unit and the mapping for the specification.

    Attributes:
        grouping: `by_folder(…)`, `by_stem(…)`, `by_regex(…)`, or a function of your own (see `Grouping`).
        mapping: `by_extension({…})`, `by_source({…})`, `by_pattern({…}) | by_extension({…})`, or a function (see
            `Mapping`).
        sidecars: a glob: files like it hold metadata of their data unit and fill no specification.
        set_aside: paths in a source of tables with metadata: they are no data, whatever takes their extension.
    """

    grouping: Grouping
    mapping: Mapping
    sidecars: str | None = None
    set_aside: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        reads = None if self.sidecars is None else Sidecars(self.sidecars)
        object.__setattr__(self, "_reads", reads)

    def __call__(self, file: File) -> Placed | Unplaced:
        """Place one file."""
        if self.set_aside and file.key in self.set_aside:
            return Unplaced("metadata-table")
        reads: Sidecars | None = self._reads  # type: ignore[attr-defined]
        if reads is not None and reads.is_one(file):
            beside = self.grouping(reads.beside(file))
            if beside is not None:
                return Placed(beside[0], SIDECAR)
        group = self.grouping(file)
        if group is None:
            return Unplaced("belongs-to-nothing")
        unit, inside = group
        spec = self.mapping(file, inside)
        if spec is not None:
            return Placed(unit, spec)
        # A folder is a data unit whatever is in it. A name makes one only with a file that a specification takes:
        # otherwise every README beside the data would be a data unit that lacks everything.
        return Unplaced("no-spec", unit if getattr(self.grouping, "is_folder", True) else "")

    def __repr__(self) -> str:
        sidecars = f", sidecars={self.sidecars!r}" if self.sidecars is not None else ""
        aside = f", set_aside={self.set_aside!r}" if self.set_aside else ""
        return f"Place({self.grouping!r}, {self.mapping!r}{sidecars}{aside})"


def settle(place: PlaceFunction, file: File, specs: frozenset[str]) -> tuple[str, str]:
    """Ask for a file's place and check the answer, whoever wrote the function.

    Returns:
        (unit, spec) as the inventory keeps it: the unit in composed form; ('', reason) for a file in no data unit;
        (unit, '') for one that no specification takes; (unit, SIDECAR) for one that holds its metadata.

    Raises:
        FindingError: `place-raised`, naming the file: the function failed, or gave an answer that is none.
    """
    try:
        answer = place(file)
    except Exception as error:
        raise _bad(file, f"raised {type(error).__name__}: {error}") from error
    if isinstance(answer, Placed):
        unit, spec = answer.unit, answer.spec
    elif answer is None:
        return "", "belongs-to-nothing"
    elif isinstance(answer, Unplaced):
        if answer.reason not in get_args(UnplacedReason):
            raise _bad(file, f"gave the reason {answer.reason!r}, which is not one of {get_args(UnplacedReason)}")
        unit = answer.unit if answer.reason == "no-spec" else ""
        spec = "" if unit else str(answer.reason)
    elif isinstance(answer, tuple) and len(answer) == 2:
        unit, spec = answer
    else:
        raise _bad(file, f"gave {answer!r:.80}, which is neither (unit, spec), Placed, Unplaced nor None")
    if not isinstance(answer, Unplaced) and (not isinstance(spec, str) or spec not in {*specs, SIDECAR}):
        only = ", ".join(sorted(specs))
        raise _bad(file, f"gave {spec!r:.80} as the specification, and the collection has only {only}")
    if not isinstance(unit, str) or (not unit and (spec in specs or spec == SIDECAR)):
        raise _bad(file, f"gave {unit!r:.80} as the data unit, which must be a text with something in it")
    if not unit.isascii():
        unit = unicodedata.normalize("NFC", unit)
        try:
            unit.encode()
        except UnicodeEncodeError:
            raise _bad(file, f"gave {unit!r:.80} as the data unit, which is not Unicode") from None
    return unit, spec


def signature(place: PlaceFunction) -> str:
    """The source of a place made of nothing but our own objects; '' if a function of somebody's own is in it.

    Such places answer by path alone, so an inventory's places can be kept as long as the signature stays. One that
    answers from a file tells what is in it by a `signature` of its own.
    """
    if type(place).__module__.startswith(f"{__package__}.") and hasattr(place, "signature"):
        return str(place.signature)
    ours = isinstance(place, Place) and all(
        type(part).__module__.startswith(__package__) and getattr(part, "is_ours", True)
        for part in (place.grouping, place.mapping)
    )
    return repr(place) if ours else ""


def _bad(file: File, what: str) -> FindingError:
    return FindingError(
        f"place() {what}, for the file {file.path!r}",
        hint="Mend place() in the script; return (unit, spec), or None for a file that belongs to no data unit.",
        code="place-raised",
    )
