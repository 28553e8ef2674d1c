"""What a format is: a writer beside a verifier, what it can hold, and its options (DESIGN.md, section 7).

A writer is handed one medium of one record after another, in the order of the records, and says of each annotation
that it can't hold why. It never guesses: what becomes another shape does so because an option says it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from synapse_skills.annotations.model import Annotation, Media, Record
from synapse_skills.formats.classes import Classes
from synapse_skills.report import Problem


class Item(msgspec.Struct, frozen=True):
    """One medium of one record, ready to be written. A struct: a frozen dataclass takes ten times as long to make.

    Attributes:
        name: file name of its original in the export: safe, NFC, unique over the whole export, with its suffix
            (`cat.jpg`); a medium without a file has none (`7001`).
        split: `train`, `val` or `test`; '' if no split was asked for.
        width, height: pixels; None if nobody knows them.
        folders: the folders that its data unit's meta asks for (the seed's category), exactly as they came.
        channels: of the picture, read from its original; None if that is not here, or nobody asked for it.
    """

    record: Record
    media: Media
    name: str
    split: str = ""
    width: int | None = None
    height: int | None = None
    folders: tuple[str, ...] = ()
    channels: int | None = None

    @property
    def stem(self) -> str:
        """The name without its last suffix."""
        stem, dot, _ = self.name.rpartition(".")
        return stem if dot else self.name


@dataclass(frozen=True, slots=True)
class Loss:
    """A source annotation that the format does not hold: `reason` is a code (`no-size`, `rotated`, `too-few-points`,
    `not-held`, `unknown-class`, `dropped`, `unlabelled`, `outside`, `no-geometry` …), `detail` one short sentence.
    """

    annotation: Annotation
    reason: str
    detail: str = ""


LEAVE = "Leave them out"
"""How an option's choice `lose` is called in a question."""


@dataclass(frozen=True)
class Option:
    """How a format can be written. `choices` are its values, the first one is the default; `is_count`: or any whole
    number above 0. `labels` are the choices as people read them in a question, in at most five words.
    """

    name: str
    choices: tuple[Any, ...]
    doc: str
    is_count: bool = False
    labels: tuple[str, ...] = ()

    def label(self, choice: Any) -> str:
        """A choice as people read it."""
        return self.labels[self.choices.index(choice)] if self.labels else f"{self.name}: {choice}"

    def word(self, value: Any) -> str:
        """A value in a sentence: its label if it has one."""
        return self.label(value).casefold() if self.labels and value in self.choices else str(value)

    def takes(self, value: Any) -> bool:
        """Whether it can have this value."""
        return value in self.choices or (self.is_count and type(value) is int and value > 0)

    @property
    def words(self) -> str:
        """Its values, for people."""
        return ", ".join([*map(str, self.choices), *(["any whole number above 0"] if self.is_count else [])])


@dataclass(frozen=True)
class Settings:
    """What a writer is told.

    Attributes:
        classes: the one class list of the export.
        splits: the parts in order; () if no split was asked for.
        geometry: what becomes of geometry that runs out of its picture: clamp, drop or fail (`Outside`).
        options: the format's own, each one set.
        title: of the dataset: the plan's name.
        skeletons: by class, the names of the keypoints in order and the edges between them (from 0).
        convert: the script's own function for the format `custom`; None if it has none.
        is_part: the writer is one of several that write a range of the records each (`parts.py`).
        files: where a part puts files that are of one record alone: the folder of the whole format.
    """

    classes: Classes
    splits: tuple[str, ...] = ()
    geometry: str = "clamp"
    options: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    skeletons: Mapping[str, tuple[tuple[str, ...], tuple[tuple[int, int], ...]]] = field(default_factory=dict)
    convert: Callable[[Any], Any] | None = None
    is_part: bool = False
    files: Path | None = None


class Writer(Protocol):
    """Writes one format into a folder of its own, streaming; memory does not grow with the number of items.

    Made as `writer(folder, settings)`; the folder exists and is empty.

    Attributes:
        rows: rows written (boxes, lines, files: whatever the format counts), by part; '' without a split.
        notes: what was written in another shape by an option, by code and how often (`rotated-as-envelope`).
    """

    rows: dict[str, int]
    notes: dict[str, int]

    def write(self, item: Item) -> Sequence[Loss]:
        """Write an item; whatever is not among the losses has been written."""
        ...

    def place(self, item: Item) -> str | None:
        """Where the format wants the item's original, relative to its folder; None if it wants none."""
        ...

    def close(self) -> None:
        """Finish all files. After it nothing changes any more."""
        ...


@dataclass
class Verified:
    """What a verifier found when it read a folder back.

    Attributes:
        items: media (images) by part.
        rows: as the writer counts them, by part.
        problems: empty if all is well.
    """

    items: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class Format:
    """A format as plan, documents and engine know it.

    Attributes:
        name: as plans call it (`yolo_seg`), and the name of its folder in the output.
        title: for people.
        media: kinds of media that it is for; () is any.
        holds: tool → `exact`, or what becomes of it (`box around it`), or `OPTION=VALUE` if only an option makes it
            so; a tool that is not there is lost.
        needs_size: whether nothing can be written without the picture's size.
        options: its own.
        write, verify: the two halves.
        is_raw: whether it holds the payload as it was received, and so also what could not be understood in it.
        paints: whether it paints a picture as large as the original: its time grows with the pixels.
        by_script: whether a function in the script writes it: what it holds nobody knows before that has run.
        splits: whether ranges of records can be written by several writers and joined (`parts.PartWriter`); if not,
            one writer is handed all records.
    """

    name: str
    title: str
    media: tuple[str, ...]
    holds: Mapping[str, str]
    needs_size: bool
    options: tuple[Option, ...]
    write: Callable[[Path, Settings], Writer]
    verify: Callable[[Path], Verified]
    is_raw: bool = False
    paints: bool = False
    by_script: bool = False
    splits: bool = False

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options with their defaults.

        Raises:
            ValueError: an option that the format doesn't have, or a value that is none of its choices.
        """
        known = {option.name: option for option in self.options}
        for name, value in given.items():
            if name not in known:
                raise ValueError(f"{self.name} has no option {name!r}; it has: {', '.join(known) or 'none'}")
            if not known[name].takes(value):
                raise ValueError(f"{self.name}: {name} is one of {known[name].words}, not {value!r}")
        return {option.name: given.get(option.name, option.choices[0]) for option in self.options}
