"""Metadata wherever it lies, each object against a schema: what `check_meta.py` does.

It is checked as an upload would send it: values coerced by the schema, `name` and `dataset_key` added.
"""

from __future__ import annotations

import contextlib
import glob
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from synapse_skills.errors import EXIT_FINDINGS, EXIT_OK, UsageError, printable, redact
from synapse_skills.metadata.doubts import Doubt, doubts
from synapse_skills.metadata.faults import Fault, Faults
from synapse_skills.metadata.schema import BadSchema, MetaCheck
from synapse_skills.metadata.tables import read_table
from synapse_skills.metadata.wants import Field, is_closed, wants
from synapse_skills.metadata.wording import cut, options_of
from synapse_skills.report import Problem

MAX_SHOWN = 60
MAX_SCHEMA_BYTES = 8 << 20
EVERY = 2_000


class Found(NamedTuple):
    """One object: what to call it, the name a data unit of it would have, its values, and what kept it from us."""

    where: str
    key: str
    values: Mapping[str, Any]
    faults: tuple[Fault, ...] = ()


class Source(NamedTuple):
    """Objects to check.

    Attributes:
        name: where they come from.
        objects: one by one.
        problems: what is odd about the whole.
    """

    name: str
    objects: Iterable[Found]
    problems: list[Problem]


@dataclass
class MetaReport:
    """What a check came to; `kinds` are the summaries of its first problems, the faults."""

    schema_name: str
    has_schema: bool
    fields: tuple[Field, ...]
    closed: bool
    doubts: list[Doubt]
    source: str
    inspected: int = 0
    unfit: int = 0
    problems: list[Problem] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """1 if anything is wrong, or there was nothing to look at."""
        wrong = not self.inspected or any(problem.severity == "error" for problem in self.problems)
        return EXIT_FINDINGS if wrong else EXIT_OK

    def as_dict(self) -> dict[str, Any]:
        """The report as one JSON document."""
        return {
            "schema": {
                "from": self.schema_name,
                "has_schema": self.has_schema,
                "closed": self.closed,
                "fields": [_field_dict(each) for each in self.fields],
                "doubts": [redact(str(doubt)) for doubt in self.doubts],
            },
            "source": self.source,
            "inspected": self.inspected,
            "fit": self.inspected - self.unfit,
            "unfit": self.unfit,
            "exit_code": self.exit_code,
            "problems": [problem.model_dump(mode="json") for problem in self.problems],
        }

    def lines(self) -> Iterator[str]:
        """The report for people: what the schema wants, then what is wrong."""
        yield f"Schema: {self.schema_name}"
        if not self.has_schema:
            yield "  There is none: everything fits that can be sent."
        width = max((len(cut(each.name, 40)) for each in self.fields), default=0)
        for each in self.fields[:MAX_SHOWN]:
            needed = "required" if each.required else "optional"
            yield f"  {needed}  {cut(each.name, 40):{width}}  {_told(each)}".rstrip()
        if len(self.fields) > MAX_SHOWN:
            yield f"  … and {len(self.fields) - MAX_SHOWN:,} more fields"
        if self.has_schema:
            yield f"  other fields are {'refused' if self.closed else 'allowed'}"
        for doubt in self.doubts[:10]:
            yield f"  note: {redact(str(doubt))}"
        if len(self.doubts) > 10:
            yield f"  note: … and {len(self.doubts) - 10:,} more of these"
        yield ""
        objects = f"{self.inspected:,} object{'' if self.inspected == 1 else 's'}"
        yield f"Checked {objects} of {self.source}: {self.inspected - self.unfit:,} fit, {self.unfit:,} don't."
        for number, problem in enumerate(self.problems):
            kind = self.kinds[number] if number < len(self.kinds) else ""
            yield f"{problem.severity}: {kind or problem.code} × {problem.count:,}"
            yield from (f"  {printable(example)}" for example in problem.examples)
            if problem.fix:
                yield f"  next: {printable(problem.fix)}"


def _field_dict(each: Field) -> dict[str, Any]:
    return {
        "name": each.name,
        "required": each.required,
        "types": list(each.types),
        "item_types": list(each.item_types),
        "enum": list(each.enum),
        "format": each.format,
        "title": each.title,
        "description": each.description,
    }


def _told(each: Field) -> str:
    types = " or ".join(each.types) or "any value"
    if each.item_types:
        types = types.replace("array", f"array of {' or '.join(each.item_types)}")
    parts = [types, each.format and f"({cut(each.format, 40)})", each.enum and f"one of {options_of(each.enum)}"]
    about = cut(each.title or each.description, 80)
    return " ".join(str(part) for part in parts if part) + (f"  — {about}" if about else "")


def check_source(source: Source, schema: Any, schema_name: str, progress: Callable[[int], None] | None) -> MetaReport:
    """Check every object.

    Args:
        source: the objects.
        schema: the meta schema, None for none.
        schema_name: where it comes from.
        progress: told how many objects have been checked, now and then.

    Raises:
        BadSchema: the schema can't be used. OutOfReach: the validator is not installed.
    """
    check, faults = MetaCheck(schema), Faults()
    report = MetaReport(schema_name, schema is not None, wants(schema), is_closed(schema), doubts(schema), source.name)
    for found in source.objects:
        report.inspected += 1
        faults.add(found.where, found.faults or check.complete(found.values, found.key)[1])
        if progress is not None and report.inspected % EVERY == 0:
            progress(report.inspected)
    report.unfit = faults.units
    report.problems, report.kinds = [*faults.problems(), *source.problems], faults.kinds()
    if not report.inspected:
        fix = "Check the path: a check of nothing says nothing."
        report.problems.append(Problem(code="no-object", examples=[source.name], fix=fix))
    return report


def from_table(path: str, *, sheet: str | None = None, key: str | None = None, schema: Any = None) -> Source:
    """The rows of a table: a workbook, CSV, TSV, JSON or JSON Lines.

    Args:
        path: the file.
        sheet: of a workbook; the first with a header if None.
        key: the column that names the data units; it is metadata only if the schema has a field of this name.
        schema: the meta schema.

    Raises:
        UsageError: no such file, sheet or column. FindingError: it can't be read.
    """
    table = read_table(Path(path), sheet=sheet)
    names = [column.name for column in table.columns]
    if key is not None and key not in names:
        known = ", ".join(cut(name, 40) for name in names[:20])
        raise UsageError(f"There is no column {printable(key)}.", hint=f"The columns are: {known}")
    dropped = key if key not in {each.name for each in wants(schema)} else None

    def objects() -> Iterator[Found]:
        for row in table.rows():
            name = str(row.values[key]) if key is not None and key in row.values else ""
            where = f"{cut(name, 80)} (row {row.number:,})" if name else f"row {row.number:,}"
            values: Mapping[str, Any] = row.values
            if dropped is not None:
                values = {column: value for column, value in row.values.items() if column != dropped}
            yield Found(where, name or f"row-{row.number}", values)

    told = f"{printable(path)}{f', sheet {printable(table.sheet)}' if table.sheet else ''}"
    return Source(told, objects(), table.problems.as_list())


def from_sidecars(pattern: str) -> Source:
    """The files that a pattern names, one object each; `**` stands for folders of any depth."""
    from synapse_skills.metadata.sidecars import BadSidecar, read_sidecar

    def objects() -> Iterator[Found]:
        for path in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207 -- the pattern may be absolute
            file = Path(path)
            if file.is_dir():
                continue
            key, where = file.name.partition(".")[0] or file.name, cut(path, 160)
            try:
                with file.open("rb") as stream:
                    yield Found(where, key, read_sidecar(stream, path))
            except BadSidecar as error:
                fault = Fault("", "bad-sidecar", cut(str(error), 200), f"the file {error.kind}")
                yield Found(where, key, {}, (fault,))
            except OSError as error:
                fault = Fault("", "unreadable", f"can't be read: {error.strerror}", "the file can't be read")
                yield Found(where, key, {}, (fault,))

    return Source(printable(pattern), objects(), [])


def read_schema(path: str) -> Any:
    """A meta schema out of a JSON file: the schema itself, or a data collection that holds it.

    Raises:
        UsageError: there is no such file. BadSchema: it is not JSON.
    """
    file = Path(path)
    if not file.is_file():
        raise UsageError(f"There is no file {printable(path)}.", hint="Give --schema the path of a JSON Schema.")
    with file.open("rb") as stream:
        content = stream.read(MAX_SCHEMA_BYTES + 1)
    if len(content) > MAX_SCHEMA_BYTES:
        raise BadSchema(f"{printable(path)} is too large for a schema.", hint="Is this the right file?")
    try:
        document = json.loads(content.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        hint = "Give --schema a file that holds one JSON Schema."
        raise BadSchema(f"{printable(path)} is not JSON: {cut(str(error), 120)}", hint=hint) from None
    holder = document.get("meta", document) if isinstance(document, Mapping) else None
    if isinstance(holder, Mapping) and "data_unit_meta_schema" in holder:
        return holder["data_unit_meta_schema"]
    return document


def collection_schema(identity: int) -> tuple[Any, str]:
    """The meta schema of a data collection on the backend (None if it has none), and what to call it.

    Raises:
        FindingError: there is no such collection. OutOfReach: no login, or the backend is away.
    """
    from synapse_skills.backend import Backend

    with Backend() as backend:
        collection = backend.collection(identity)
    return collection.meta_schema, f"data collection {collection.id} ({printable(collection.name)})"


@contextlib.contextmanager
def counting(*, quiet: bool) -> Iterator[Callable[[int], None] | None]:
    """A count on a terminal while a long check runs; nothing anywhere else."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("Checking…") as status:
        yield lambda count: status.update(f"{count:,} objects so far…")
