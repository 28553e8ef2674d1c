"""What a sample of records shows: tools, classes, media, sizes, what is empty, what stands twice, what a format loses.

Losses are not foretold from a table: the formats' own writers are handed the sample, and what they can't hold is
counted, so that the plan asks about exactly what the job will do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec

from synapse_skills.annotations.model import Box, Keypoint, Polygon, Polyline, Skeleton

if TYPE_CHECKING:
    from synapse_skills.annotations.model import Annotation, Geometry, Media, Record
    from synapse_skills.export_plan import ClassesPlan
    from synapse_skills.formats.base import Format

SAMPLE = 120
MAX_SIDE = 1 << 15
MAX_PIXELS = 40_000_000
"""Of all pictures that a format which paints is tried on: a second or two."""


@dataclass
class Sample:
    """Some records of what is to be exported, newest first.

    Attributes:
        records: those that can be read.
        unread: why the others can't.
        foreign: why rows are none of those that were asked for: the backend has ignored a filter.
    """

    records: Sequence[Record] = ()
    unread: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    _only: dict[tuple[str, ...], Sample] = field(default_factory=dict)

    def media(self) -> Iterator[tuple[Record, Media]]:
        """All media of all records."""
        for record in self.records:
            for media in record.document.media:
                yield record, media

    def annotations(self) -> Iterator[Annotation]:
        """All annotations that can be understood."""
        for _, media in self.media():
            yield from media.annotations

    def only(self, tools: Sequence[str]) -> Sample:
        """The same records with annotations of these tools alone; the same object for the same tools."""
        key = tuple(sorted(tools))
        if key not in self._only:
            self._only[key] = Sample([_only(record, key) for record in self.records])
        return self._only[key]

    def some(self, count: int) -> Sample:
        """So many of the records, from everywhere in the sample; the same object each time."""
        if len(self.records) <= count:
            return self
        key = (f"some {count}",)
        if key not in self._only:
            step = len(self.records) / count
            self._only[key] = Sample([self.records[int(at * step)] for at in range(count)])
        return self._only[key]

    @cached_property
    def tools(self) -> Counter[str]:
        """Annotations by tool."""
        return Counter(each.tool for each in self.annotations())

    @cached_property
    def classes(self) -> Counter[str]:
        """Annotations by class, those without one aside."""
        return Counter(each.label for each in self.annotations() if each.label is not None)

    @cached_property
    def kinds(self) -> Counter[str]:
        """Media by kind."""
        return Counter(media.kind for _, media in self.media())

    @cached_property
    def issues(self) -> Counter[str]:
        """What could not be understood, by code."""
        return Counter(issue.code for record in self.records for issue in record.document.issues)

    @cached_property
    def unsized(self) -> int:
        """Pictures whose size no record tells."""
        from synapse_skills.annotations import size_of

        return sum(media.kind == "image" and size_of(record, media) is None for record, media in self.media())

    @cached_property
    def nulls(self) -> int:
        """Records that nobody has labelled: no payload at all."""
        return sum(not record.document.is_labelled for record in self.records)

    @cached_property
    def empties(self) -> int:
        """Records that were labelled, and hold no annotation."""
        return sum(
            record.document.is_labelled and not any(media.annotations for media in record.document.media)
            for record in self.records
        )

    @cached_property
    def repeated(self) -> int:
        """Records beyond the first of each data unit."""
        units = [record.data_unit for record in self.records if record.data_unit is not None]
        return len(units) - len(set(units))

    @cached_property
    def knows_units(self) -> bool:
        """Whether every record tells its data unit."""
        return bool(self.records) and all(record.data_unit is not None for record in self.records)

    @cached_property
    def groups(self) -> int:
        """Records that share `meta.group` with another one."""
        count = Counter(str(value) for record in self.records if (value := record.meta.get("group")) is not None)
        return sum(number for number in count.values() if number > 1)

    @cached_property
    def named(self) -> int:
        """Records with an original file whose name is known."""
        return sum(any(file.name for file in record.files) for record in self.records)

    @cached_property
    def file_bytes(self) -> float | None:
        """Bytes of originals in a record on the average; None if no record tells."""
        sizes = [file.bytes for record in self.records for file in record.files if file.bytes is not None]
        return sum(sizes) / len(self.records) if sizes else None

    @cached_property
    def payload_bytes(self) -> float:
        """Bytes of annotations in a record on the average."""
        return sum(len(record.payload or b"") for record in self.records) / max(len(self.records), 1)

    @cached_property
    def total(self) -> int:
        """Annotations as a report counts them: also those that could not be understood."""
        from synapse_skills.annotations import count_annotations

        return sum(count_annotations(record.document) for record in self.records)


def _only(record: Record, tools: Sequence[str]) -> Record:
    media = [
        msgspec.structs.replace(each, annotations=[one for one in each.annotations if one.tool in tools])
        for each in record.document.media
    ]
    return msgspec.structs.replace(record, document=msgspec.structs.replace(record.document, media=media))


def read_sample(rows: Sequence[bytes], target: str, scope: int, filter: Mapping[str, Any]) -> Sample:
    """Rows as they were received → what they hold; one that can't be read is told, and does not stop the others."""
    import json

    from synapse_skills.annotations import NeedsPayload, Unreadable, read_row
    from synapse_skills.backend.filters import belongs, read_filter

    sample, records, wanted = Sample(), [], read_filter(target, filter)
    for row in rows:
        try:
            records.append(read_row(row, target))
        except Unreadable as error:
            sample.unread.append(f"record {error.record}: {error}" if error.record is not None else str(error))
            continue
        except NeedsPayload:
            sample.unread.append("a record's annotations lie at a link that can't be followed")
            continue
        try:
            head = {key: value for key, value in json.loads(row).items() if key != "data"}
        except (ValueError, AttributeError, RecursionError):
            continue  # an odd payload that the patient reader above has understood
        if why := belongs(head, target, scope, wanted):
            sample.foreign.append(f"record {records[-1].key}: {why}")
    sample.records = records
    return sample


@dataclass
class Trial:
    """What became of the annotations of a sample in a format.

    Attributes:
        lost: by reason, as a report says it.
        tools: lost, by tool and reason; those that could not be read have the tool ''.
        left_out: by the tools that are not exported.
        labels: classes of what is written.
        kept: written, by tool.
        hollow: pictures without anything written in them; `media` of how many.
    """

    lost: Counter[str] = field(default_factory=Counter)
    tools: Counter[tuple[str, str]] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    hollow: int = 0
    media: int = 0

    def lose(self, tool: str, reason: str, count: int = 1) -> None:
        """Count annotations as lost."""
        if count:
            self.lost[reason] += count
            self.tools[tool, reason] += count

    @property
    def written(self) -> int:
        """Annotations that are written."""
        return sum(self.kept.values())


def trial(
    sample: Sample,
    form: Format,
    options: Mapping[str, Any],
    classes: ClassesPlan,
    *,
    geometry: str = "clamp",
    tools: Sequence[str] = (),
) -> Trial:
    """Write the sample into a folder that is thrown away, and count."""
    from synapse_skills.annotations import size_of
    from synapse_skills.annotations.labels import natural
    from synapse_skills.formats.base import Item, Settings
    from synapse_skills.formats.classes import Classes
    from synapse_skills.formats.reasons import TOOL_LEFT_OUT, not_held
    from synapse_skills.job.export.write import reason_of

    done = Trial()
    if form.is_raw or form.by_script:
        done.kept.update(each.tool for each in sample.annotations())
        done.labels.update(each.label for each in sample.annotations() if each.label is not None)
        done.kept[""] += sample.total - done.written
        return done
    settings = Settings(
        classes=Classes(classes, sorted(sample.classes, key=natural)),
        geometry=geometry,
        options=form.complete(options),
        title="sample",
    )
    with TemporaryDirectory(prefix="synapse-sample-") as folder:
        writer, pixels = form.write(Path(folder), settings), 0
        for number, (record, media) in enumerate(sorted(sample.media(), key=lambda pair: pair[0].key)):
            ours = [each for each in media.annotations if not tools or each.tool in tools]
            for each in media.annotations:
                if tools and each.tool not in tools:
                    done.lose(each.tool, TOOL_LEFT_OUT)
            if form.media and media.kind not in form.media:
                for each in ours:
                    done.lose(each.tool, not_held(media.kind))
                continue
            width, height = size_of(record, media) or _room_for(media)
            pixels += width * height
            if form.paints and pixels > MAX_PIXELS:
                break
            part = msgspec.structs.replace(media, annotations=ours)
            losses = writer.write(Item(record, part, f"{number}.jpg", width=width, height=height))
            # An annotation is lost once, whatever the writer says of it.
            gone = {id(loss.annotation): loss for loss in losses}
            for loss in gone.values():
                done.lose(loss.annotation.tool, reason_of(form, loss))
            kept = [each for each in ours if id(each) not in gone]
            done.kept.update(each.tool for each in kept)
            done.labels.update(each.label for each in kept if each.label is not None)
            done.media += 1
            done.hollow += not kept
        writer.close()
    for record in sample.records:
        for issue in record.document.issues:
            done.lose("", issue.code, int(bool(issue.counts)))
    return done


def _room_for(media: Media) -> tuple[int, int]:
    """A size in which all of a medium fits, for one whose own no record tells: nothing seems to run out of it."""
    across, down = [1.0], [1.0]
    for each in media.annotations:
        for x, y in _points(each.geometry):
            across.append(x)
            down.append(y)
    return min(MAX_SIDE, int(max(across)) + 1), min(MAX_SIDE, int(max(down)) + 1)


def _points(shape: Geometry | None) -> Iterator[tuple[float, float]]:
    """Points that a shape reaches at the most."""
    if isinstance(shape, Box):
        reach = shape.width + shape.height if shape.rotation else 0.0
        yield shape.x + shape.width + reach, shape.y + shape.height + reach
    elif isinstance(shape, Polygon | Polyline):
        yield from shape.points
    elif isinstance(shape, Keypoint):
        yield shape.x, shape.y
    elif isinstance(shape, Skeleton):
        yield from ((point.x, point.y) for point in shape.points)
