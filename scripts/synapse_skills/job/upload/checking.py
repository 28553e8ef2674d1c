"""Before anything is sent: scan, survey, metadata, and the comparison with the plan.

Needs no backend. The same objects count here and in the planner, so that what was planned is what is found again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synapse_skills.errors import FindingError, printable, redact
from synapse_skills.job.upload.ledger import Ledger
from synapse_skills.job.upload.lookup import print_of
from synapse_skills.job.upload.outlook import Outlook
from synapse_skills.job.upload.staging import Targets
from synapse_skills.job.upload.tally import Tally
from synapse_skills.metadata import Fault, Faults
from synapse_skills.plan import METADATA_TABLE, UploadPlan
from synapse_skills.report import FileCounts, Problems
from synapse_skills.sources import Access, File, Inventory, Source, reach
from synapse_skills.texts import parse_json
from synapse_skills.units import FIXES, Describe, Described, Unit, check_frozen, survey, table_rule

UNFIT = "meta-invalid"
MOST_UNFIT = 10_000
"""Data units that a dry run names one by one to whoever plans from elsewhere."""
DIFFERS_FIX = (
    "The source or the script has changed since the plan was made: look at the difference, then plan again "
    "(`--set expected=dry-run` accepts what an edited script counts)."
)


@dataclass
class Checked:
    """What the check has found.

    Attributes:
        unfit: the first data units that can't be sent, as `unfit_row` has them.
        doubted: those that an earlier run sent without an answer, and how many files each has.
    """

    planned: int = 0
    left_out: int = 0
    reused: int = 0
    files: FileCounts = field(default_factory=FileCounts)
    problems: Problems = field(default_factory=Problems)
    differs: bool = False
    unfit: list[list[Any]] = field(default_factory=list)
    doubted: dict[str, int] = field(default_factory=dict)


class Checker:
    """Finds the data units of a plan, with their metadata.

    Args:
        place: file → data unit and spec, the script's own.
        describe: data unit → metadata; None for `name` and `dataset_key` alone.
        ways: to the sources, in their order; `way_to`: opens another one, for the walk.
    """

    def __init__(
        self,
        plan: UploadPlan,
        sources: list[Source],
        place: Any,
        describe: Describe | None,
        inventory: Inventory,
        *,
        ways: Sequence[Access],
        progress: Callable[[int], None] | None = None,
        way_to: Callable[[Source], Access] = reach,
    ) -> None:
        self.plan = plan
        self.sources = sources
        self.place = place
        self.inventory = inventory
        self.described = Described(describe, plan.meta_schema)
        self._progress = progress
        self._way_to = way_to
        self.outlook = Outlook(plan, ways)
        self._targets = Targets(plan)
        self._survey = survey(
            inventory,
            sources,
            place,
            plan.specs,
            plan.limits,
            progress=progress,
            conversions=plan.conversions,
            ways=ways,
        )

    def units(self) -> Iterator[Unit]:
        """All data units in the order of their keys."""
        return self._survey.units()

    def meta_of(self, unit: Unit) -> tuple[dict[str, Any] | None, list[Fault]]:
        """The metadata of a data unit as it is sent, and what is wrong with it."""
        return self.described.meta_of(unit)

    def tell(self, unit: Unit, faults: list[Fault], problems: Problems) -> None:
        """Report what is wrong with the metadata of one data unit."""
        found = Faults()
        found.add(self.described.where(unit), faults)
        _merge(found, problems)

    def basis_of(self, unit: Unit, meta: Mapping[str, Any] | None) -> str:
        """A print of what a data unit was made from, to notice that it has changed since."""
        # A file that is sent as it is has no third part: what earlier versions have noted stays comparable.
        files = {spec: [file.key, file.size, *self._target(spec, file)] for spec, file in unit.files.items()}
        return print_of([files, meta, list(self.plan.groups)])

    def _target(self, spec: str, file: File) -> list[str]:
        target = self._targets.of(spec, file)
        return [target] if target else []

    def check(self, ledger: Ledger, tally: Tally, left_out: Path) -> Checked:
        """Scan the sources and give every data unit its verdict.

        Raises:
            OutOfReach: a source can't be read. FindingError: left_out.jsonl or the frozen rows of metadata are damaged
                or not the plan's, or `place` misbehaves.
        """
        checked = Checked()
        rule = table_rule(self.plan.metadata)
        if rule is not None:
            check_frozen(rule, left_out.parent / METADATA_TABLE)
        self.described.forget()
        faults = Faults()
        walk = self.inventory.walk(self.sources, progress=self._progress, way_to=self._way_to)
        tally.leave_out(read_left_out(left_out))
        by_spec = dict.fromkeys((spec.name for spec in self.plan.specs), 0)
        for unit in self.units():
            standing = ledger.standing(unit.key)
            if tally.is_left_out(unit.key):
                continue
            checked.planned += 1
            checked.files.planned += len(unit.files)
            checked.files.bytes += unit.bytes
            for spec in unit.files:
                by_spec[spec] = by_spec.get(spec, 0) + 1
            meta, errors = self.meta_of(unit)
            if standing.state == "created":
                tally.plan(unit.key, "ready")
                checked.reused += len(unit.files)
                if standing.basis and standing.basis != self.basis_of(unit, meta):
                    checked.problems.add(
                        "changed-since-upload",
                        unit.key,
                        severity="warning",
                        fix="The data unit was uploaded with other files or metadata and stays as it is in Synapse.",
                    )
                continue
            if standing.state == "sent":
                checked.doubted[unit.key] = len(unit.files)
            for finding in unit.findings:
                checked.problems.add(finding.code, finding.message, fix=FIXES[finding.code])
            if errors:
                faults.add(self.described.where(unit), errors)
            if not unit.findings and not errors:
                self.outlook.see(unit, ledger)
                tally.plan(unit.key, "ready")
                continue
            row = unfit_row(unit, errors)
            if len(checked.unfit) < MOST_UNFIT:
                checked.unfit.append(row)
            tally.plan(unit.key, "quarantined", str(row[2]))
        ledger.commit()
        stay_at_home = [p for p in self._survey.problems.as_list() if p.code in ("belongs-to-nothing", "no-spec")]
        for problem in [*walk.problems.as_list(), *stay_at_home]:
            checked.problems.merge(problem)
        _merge(faults, checked.problems)
        for problem in self.described.conflicts():
            checked.problems.merge(problem, group=problem.fix)
        checked.left_out = tally.left_out()
        checked.files.by_spec = by_spec
        if not checked.planned and not checked.left_out:
            checked.problems.add("no-units", "no file of the sources belongs to a data unit", fix=FIXES["no-units"])
        self._compare(checked)
        return checked

    def _compare(self, checked: Checked) -> None:
        expected = self.plan.expected
        if not expected.units:
            return
        pairs = {
            "data units": (expected.units, checked.planned),
            "files": (expected.files, checked.files.planned),
            "bytes": (expected.bytes, checked.files.bytes),
            "left out": (expected.left_out, checked.left_out),
        }
        for what, (planned, found) in pairs.items():
            if planned != found:
                checked.differs = True
                checked.problems.add(
                    "differs-from-plan", f"{what}: {planned:,} planned, {found:,} found", fix=DIFFERS_FIX
                )


def unfit_row(unit: Unit, errors: Sequence[Fault]) -> list[Any]:
    """A data unit that can't be sent: key, codes, why, and its files, to tell whether it is still the same."""
    codes = [*unit.codes, *([UNFIT] if errors and UNFIT not in unit.codes else [])]
    why = "; ".join([*(finding.message for finding in unit.findings[:3]), *(str(fault) for fault in errors[:3])])
    return [unit.key, codes, redact(printable(why))[:500], files_print(unit)]


def files_print(unit: Unit) -> str:
    """A print of a data unit's files by name, size and second of the last change."""
    return print_of(sorted([s, f.path, f.size, f.mtime_ns // 1_000_000_000] for s, f in unit.files.items()))


def _merge(faults: Faults, problems: Problems) -> None:
    """One problem for each kind of fault."""
    for problem in faults.problems():
        problems.merge(problem, group=problem.fix)


def read_left_out(path: Path) -> Iterator[tuple[str, str]]:
    """Data units in left_out.jsonl with why, one at a time; none if there is no file.

    Raises:
        FindingError: a line is not a left-out unit.
    """
    if not path.exists():
        return
    # As bytes: a line that is not UTF-8 is to be named like any other that can't be read.
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = parse_json(line, 0)
                yield str(row["unit"]), str(row.get("why") or ", ".join(map(str, row.get("codes", ()))))
            except (ValueError, KeyError, TypeError, AttributeError):
                shown = redact(line.strip()[:80].decode("utf-8", "replace"))
                raise FindingError(
                    f"{path.name}, line {number}, is not a left-out data unit: {shown}",
                    hint="Make the plan again with plan_upload.",
                    code="bad-left-out",
                ) from None
