"""`check_excel --make-template`: a workbook with a row for each data unit of a job, to be filled in and handed back.

The data units are the planner's own: those of the plan, or, while there is none (because metadata is missing, say),
those that the same table of decisions comes to with the answers in the job's folder.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Container, Generator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synapse_skills.errors import EXIT_ENVIRONMENT, FindingError, OutOfReach, UsageError, printable
from synapse_skills.plan import GroupingPlan, Limits, MetadataRule, SourcePlan, SpecPlan, UploadPlan, read_plan
from synapse_skills.planning.counted import MISSING, Progress
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.home import Home, find_home
from synapse_skills.planning.interview import Decision, Family, Outcome, Settled, Table, fold
from synapse_skills.planning.known import Known
from synapse_skills.planning.on_agent import MIRROR, is_on, mirror_in, mirror_of
from synapse_skills.planning.template_columns import Column, as_cell, column_of, key_name

if TYPE_CHECKING:
    from synapse_skills.sources import Source
    from synapse_skills.units import Unit

EXCEL_ROWS, EXCEL_COLUMNS = 1_048_575, 16_384
SUFFIX = ".xlsx"
# Keys are as wide as the widest of these.
FIRST_KEYS = 300
# Findings that only a look into the files tells.
GUARDED = ("refused-by-guard", "unreadable-file")


@dataclass
class Template:
    """What was written.

    Attributes:
        path: the workbook.
        rows: its data units.
        key: the header of the column with their names.
        columns: the other columns, in order; `required` those that must be filled in.
        filled: data units of which something was known already, and is filled in.
        notes: what the user should know.
    """

    path: Path
    rows: int
    key: str
    columns: list[str]
    required: list[str]
    filled: int
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The JSON document."""
        return {
            "template": str(self.path),
            "rows": self.rows,
            "key": self.key,
            "columns": self.columns,
            "required": self.required,
            "filled": self.filled,
            "notes": self.notes,
        }


@dataclass(frozen=True)
class Planned:
    """What says which data units there are, and what is wanted of them.

    Attributes:
        codes: findings whose data units stay at home by consent.
        rules: where metadata comes from so far.
        folder: where the frozen rows of a table lie.
    """

    sources: tuple[Source, ...]
    grouping: GroupingPlan
    specs: tuple[SpecPlan, ...]
    limits: Limits
    codes: frozenset[str]
    schema: Mapping[str, Any] | None
    rules: tuple[MetadataRule, ...]
    folder: Path


def make_template(job: Path, out: Path, *, force: bool = False, progress: Progress | None = None) -> Template:
    """Write the workbook for a job.

    Args:
        job: the job's home (`synapse-jobs/NAME`) or its `job/`.
        out: the workbook; written whole or not at all.
        force: whether a file that is there may be replaced.
        progress: told how many data units are written.

    Raises:
        UsageError: `out` can't be it (`not-xlsx`, `template-exists`, `no-folder`), or there is no job (`no-job`).
        FindingError: nobody can tell yet which data units there are (`not-planned`, `no-units`), or there are more
            than a workbook holds (`too-many-units`).
        OutOfReach: the backend or a source is out of reach.
    """
    _check_out(out, force)
    home = _home_of(job)
    progress = progress or Progress()
    current = _current_plan(home)
    answers = dict(home.own) if current is None else {}
    with Facts(home, answers, progress=progress, look="fresh") as facts:
        planned = _by_plan(current, home) if current is not None else _by_answers(facts, answers, home)
        facts.walk(planned.sources)
        made = _write(facts, planned, home, out, force, progress)
    return made


def _check_out(out: Path, force: bool) -> None:
    if out.suffix.lower() != SUFFIX:
        raise UsageError(
            f"The template {printable(str(out))} must end in {SUFFIX}.", hint="Name it template.xlsx.", code="not-xlsx"
        )
    if not out.parent.is_dir():
        raise UsageError(
            f"There is no folder {printable(str(out.parent))}.", hint="Make it, or name another.", code="no-folder"
        )
    if out.is_dir() or (os.path.lexists(out) and not force):
        raise UsageError(
            f"{printable(str(out))} is there already, and may have been filled in.",
            hint="Name another file, or replace it with --force.",
            code="template-exists",
        )


def _home_of(job: Path) -> Home:
    folder = job.expanduser().resolve()
    if folder.name == "job" and any((folder.parent / name).exists() for name in ("answers.json", "plan.json")):
        folder = folder.parent
    if not any((folder / name).is_file() for name in ("answers.json", "plan.json")):
        raise UsageError(
            f"{printable(str(job))} is no job.",
            hint="Plan first: plan_upload makes synapse-jobs/NAME, which --job wants.",
            code="no-job",
        )
    home = find_home({}, folder, fresh=False)
    assert home is not None  # a folder was named
    return home


def _current_plan(home: Home) -> UploadPlan | None:
    """The plan, unless answers were given since: then it is no longer what the user wants."""
    if not home.plan.is_file():
        return None
    if home.answers.is_file() and home.answers.stat().st_mtime_ns > home.plan.stat().st_mtime_ns:
        return None
    return read_plan(home.plan)


def _by_plan(plan: UploadPlan, home: Home) -> Planned:
    from synapse_skills.sources import Source

    mirror = {MIRROR: mirror_in(home)} if is_on(home.own) else {}
    return Planned(
        tuple(
            Source(
                each.path,
                recursive=each.recursive,
                spec=each.spec,
                mirror=mirror_of(mirror, each.path),
                storage=each.storage,
            )
            for each in plan.sources
        ),
        plan.grouping,
        plan.specs,
        plan.limits,
        frozenset((*plan.leave_out, *([MISSING] if plan.incomplete == "leave_out" else []))),
        plan.meta_schema,
        plan.metadata,
        home.job,
    )


def _by_answers(facts: Facts, answers: dict[str, Any], home: Home) -> Planned:
    """The fold of the planner, as far as it gets: metadata may be missing, data units must be clear."""
    from synapse_skills.planning.fills import PATTERN, filled_sources, specs_of
    from synapse_skills.planning.findings import INCOMPLETE, LEAVE, consented
    from synapse_skills.planning.layout import grouping_of
    from synapse_skills.planning.metadata_facts import schema_of
    from synapse_skills.planning.upload import UPLOAD

    outcome = fold(UPLOAD, facts, answers, remembered=frozenset(answers))
    if PATTERN.key not in outcome.reached:
        # Metadata that can't be read, or does not fit yet, must not be in the way of what asks for it.
        table = _without_metadata(UPLOAD, outcome.reached)
        known = {key: value for key, value in answers.items() if any(_has(row, key) for row in table)}
        outcome = fold(table, facts, known, remembered=frozenset(known))
    if PATTERN.key not in outcome.reached:
        raise _not_planned(outcome, home)
    settled = outcome.settled
    return Planned(
        filled_sources(facts, settled),
        grouping_of(settled),
        specs_of(facts, settled),
        Limits(max_file_size_mb=settled.get("limits.max_file_size_mb", Limits().max_file_size_mb)),
        frozenset(consented(settled)) if {INCOMPLETE.key, LEAVE.key} <= outcome.reached else frozenset(),
        schema_of(facts, settled),
        _rules(facts, settled),
        home.folder,
    )


def _rules(facts: Facts, settled: Settled) -> tuple[MetadataRule, ...]:
    """Where metadata comes from, as far as it is settled; what can't be read is what the template will replace."""
    from synapse_skills.planning.metadata_rules import constants_of, metadata_rules

    if "metadata.key" in settled or settled.get("metadata.table") is None:
        with suppress(FindingError, UsageError):
            return metadata_rules(facts, settled)
    constants = constants_of(settled)
    return (MetadataRule(kind="constants", values=constants),) if constants else ()


def _without_metadata(table: Table, reached: Container[str]) -> list[Decision | Family]:
    """The rows of the planner without those about metadata that are not settled."""
    rows = [row for row in table if not row.key.startswith("metadata.") or row.key in reached]
    keys = {row.key for row in rows}
    return [replace(row, needs=tuple(key for key in row.needs if key in keys)) for row in rows]


def _has(row: Decision | Family, key: str) -> bool:
    return row.covers(key) if isinstance(row, Family) else row.key == key


def _not_planned(outcome: Outcome, home: Home) -> FindingError | OutOfReach:
    for refusal in outcome.refusals:
        if refusal.exit_code == EXIT_ENVIRONMENT:
            return OutOfReach(refusal.example, hint=refusal.fix, code=refusal.code)
    open_ = [question["key"] for question in outcome.questions] or [refusal.code for refusal in outcome.refusals]
    return FindingError(
        f"It is not clear yet which data units the job {printable(home.name)} has: {', '.join(open_) or 'no plan'}.",
        hint="Plan first: run plan_upload, answer its questions, mend what it refuses; then make the template.",
        code="not-planned",
    )


def _write(facts: Facts, planned: Planned, home: Home, out: Path, force: bool, progress: Progress) -> Template:
    from synapse_skills.planning.template_sheet import Sheet
    from synapse_skills.units import sidecars_of

    known = Known(planned.rules, planned.folder)
    columns, notes = _columns(planned.schema, known)
    if sidecars_of(planned.rules) is not None:
        notes.append("What sidecar files hold is not filled in: leave it empty, they are read as before.")
    key = key_name([column.name for column in columns])
    most = _most_rows(len(columns) + 1)
    with closing(_units(facts, planned)) as units:
        first = list(islice(units, FIRST_KEYS))
        if not first:
            raise FindingError(
                f"The job {printable(home.name)} has no data unit to describe.",
                hint="Plan again with plan_upload: it says what is wrong.",
                code="no-units",
            )
        sheet = Sheet(key, columns, (unit.key for unit in first))
        filled = 0
        for unit in chain(first, units):
            if sheet.rows >= most:
                raise _too_many(most, key)
            values = known.of(unit)
            cells = {column.name: as_cell(column, values[column.name]) for column in columns if column.name in values}
            sheet.append(unit.key, cells)
            filled += bool(cells)
            progress("rows written", sheet.rows)
    _save(sheet, out, force)
    required = [column.name for column in columns if column.required]
    return Template(out, sheet.rows, key, [column.name for column in columns], required, filled, notes)


def _units(facts: Facts, planned: Planned) -> Generator[Unit]:
    """Data units in the order of their keys, without those that stay at home by consent."""
    from synapse_skills.units import place_for, sidecars_of, survey

    sources = [SourcePlan(path=each.path, recursive=each.recursive, spec=each.spec) for each in planned.sources]
    home = facts.home.folder if facts.home is not None else None
    sidecars = sidecars_of(planned.rules)
    place = place_for(planned.grouping, planned.specs, sources, folder=home, sidecars=sidecars)
    guard = not planned.codes.isdisjoint(GUARDED)
    inventory = facts.inventory()
    found = survey(inventory, planned.sources, place, planned.specs, planned.limits, guard=guard)
    for unit in found.units():
        if planned.codes.isdisjoint(unit.codes):
            yield unit


def _columns(schema: Mapping[str, Any] | None, known: Known) -> tuple[list[Column], list[str]]:
    """A column for each field that the schema names, and for what is known already where it lets that in."""
    from synapse_skills.metadata.wants import is_closed, wants

    notes = []
    fields = wants(schema)
    columns = [column_of(each) for each in fields if each.name.strip()]
    if len(columns) < len(fields):
        notes.append("A field of the schema has no name: it can't be a column.")
    named = {column.name for column in columns}
    more = [name for name in known.names() if name.strip() and name not in named]
    if more and is_closed(schema):
        notes.append(f"Known already, but not in the schema, so left out: {', '.join(map(printable, more[:5]))}.")
    else:
        columns += [Column(name) for name in more]
    if not columns:
        notes.append(
            "The collection has no metadata schema: add a column for each field, its name in the first row."
            if schema is None
            else "The schema names no field: add columns as you need them, their names in the first row."
        )
    if len(columns) >= EXCEL_COLUMNS:
        raise FindingError(
            f"{len(columns):,} fields are more than the {EXCEL_COLUMNS - 1:,} columns that a workbook has for them.",
            hint="Give the metadata as JSON Lines or sidecar files.",
            code="too-many-fields",
        )
    return columns, notes


def _most_rows(columns: int) -> int:
    """What Excel takes, and what is read back."""
    from synapse_skills.metadata.limits import MAX_CELLS

    return min(EXCEL_ROWS, MAX_CELLS // columns - 1)


def _too_many(most: int, key: str) -> FindingError:
    return FindingError(
        f"There are more than {most:,} data units: too many for a workbook with these columns.",
        hint=f"Give the metadata as a CSV file: a column {key} with the names of the data units, and one a field.",
        code="too-many-units",
    )


def _save(sheet: Any, out: Path, force: bool) -> None:
    """Write beside it, then take its place: whole or not at all."""
    book = sheet.finish()
    temporary = out.with_name(f".{out.stem[:40]}.{secrets.token_hex(4)}{SUFFIX}")
    try:
        with temporary.open("xb") as stream:
            book.save(stream)
            stream.flush()
            os.fsync(stream.fileno())
        _check_out(out, force)
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)


def show_template(made: Template) -> None:
    """Say what was written, and what to do with it."""
    required = f"{len(made.required)} required" if made.required else "none required"
    print(f"{printable(str(made.path))}: {made.rows:,} rows, one for each data unit, named in the column {made.key}")
    print(f"  {len(made.columns)} columns to fill in, {required}: {', '.join(map(printable, made.columns[:12]))}")
    if made.filled:
        print(f"  {made.filled:,} rows hold what is known already")
    for note in made.notes:
        print(f"  note: {note}")
    print(f"  next: fill it in, then plan_upload … --excel {printable(made.path.name)}")
