"""The last stage of an export: written aside, verified, put in its place; or left alone if nothing has changed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from synapse_skills.errors import FindingError
from synapse_skills.export_plan import ExportPlan
from synapse_skills.formats import FORMATS
from synapse_skills.formats.base import Verified
from synapse_skills.formats.names import Names
from synapse_skills.job.export import part_work
from synapse_skills.job.export.at_hand import AtHand
from synapse_skills.job.export.checks import free_space
from synapse_skills.job.export.decide import Decided
from synapse_skills.job.export.index import Index
from synapse_skills.job.export.originals import Store
from synapse_skills.job.export.output import METADATA, ORIGINALS, SUMMARY, Output
from synapse_skills.job.export.parts import named, parts
from synapse_skills.job.export.reporting import Outcome
from synapse_skills.job.export.summary import counts_of, summary_of
from synapse_skills.job.export.verify import verify_output
from synapse_skills.job.export.write import Export
from synapse_skills.job.parallel import Crew
from synapse_skills.job.progress import Progress
from synapse_skills.report import ExportReport, write_json
from synapse_skills.texts import parse_json

WRITTEN = "written.json"
PARTS = "parts"
_KEPT = {"records", "annotations", "files", "splits", "problems"}


class Writing:
    """Writes what an index holds.

    Args:
        folder: where the state of this run lies.
        store: originals.
        on_record: is told of so many more.
        convert: the script's own, for the format `custom`.
        crew: writes ranges of the records, if every format can be split.
    """

    def __init__(
        self,
        plan: ExportPlan,
        index: Index,
        store: Store,
        folder: Path,
        outcome: Outcome,
        progress: Progress,
        on_record: Callable[[int], None],
        convert: Callable[[Any], Any] | None = None,
        crew: Crew | None = None,
    ) -> None:
        self.plan = plan
        self.index = index
        self.store = store
        self.folder = folder
        self.outcome = outcome
        self.progress = progress
        self.on_record = on_record
        self.convert = convert
        self.names = [each.name for each in plan.formats]
        self.crew = crew if can_split(plan) else None

    def attempt(self, folder: Path, decided: Decided) -> None:
        """Write a sample, to see what each format holds and loses of it."""
        output = Output(folder, self.plan)
        folder.mkdir(parents=True)
        export = self._export(output, decided, with_originals=False)
        self._verified(output, export)
        classes = ", ".join(export.classes)
        self.outcome.problems.add("classes", classes[:1000], severity="info", count=max(1, len(export.classes)))

    def into(self, output: Output, decided: Decided) -> None:
        """Write everything into the output, verify it, and complete it.

        Raises:
            OutOfReach: there is no room for it. FindingError: it doesn't verify; the output is as it was.
        """
        free_space(output.folder, self.index, self.store, self.plan)
        output.drop_partials()
        with_originals = self.plan.originals != "none"
        export = self._export(output, decided, with_originals=with_originals)
        verified = self._verified(output, export)
        summary = summary_of(self.plan, decided, export.done, export.classes, verified)
        installed = [*self.names, METADATA, *([ORIGINALS] if with_originals else []), *output.take_extra()]
        write_json(output.beside(METADATA) / SUMMARY, summary)
        output.install(installed)
        self.outcome.files, _ = output.finish(installed, counts_of(summary))

    def _export(self, output: Output, decided: Decided, *, with_originals: bool) -> Export:
        folders = {name: output.partial(name) for name in self.names}
        at_hand = AtHand(self.plan, self.index, self.store)
        export = Export(
            self.plan,
            self.index,
            folders,
            metadata=output.partial(METADATA),
            quarantine=self.folder / "quarantine.jsonl",
            seen=decided.classes,
            place=at_hand.put if with_originals else None,
            rest=output.partial(ORIGINALS) if with_originals else None,
            convert=self.convert,
            probed=at_hand.size,
            channels=at_hand.channels,
            on_record=self.on_record,
        )
        self.progress.stage("writing", decided.exported)
        if self.crew is None:
            export.run()
        else:
            self._together(self.crew, export, output, decided, with_originals=with_originals)
        return export

    def _together(self, crew: Crew, export: Export, output: Output, decided: Decided, *, with_originals: bool) -> None:
        """Have ranges of the records written, and join them."""
        folder = output.partial(PARTS)
        has_names = part_work.gives_names(self.plan)
        common = part_work.Writing(
            plan=self.plan,
            spool=self.index.spool.folder,
            store=self.store.folder,
            parts=folder,
            seen=decided.classes,
            places={name: output.beside(name) for name in self.names},
            rest=output.beside(ORIGINALS) if with_originals else None,
            has_names=has_names,
        )
        ranges = parts(self.index, crew.size)
        if has_names:
            ranges = named(ranges, Names(self.plan.naming), needs_originals=self.plan.originals == "required")
        numbered = ((f"{number:06}", tables) for number, tables in enumerate(ranges))
        export.join(crew.each(part_work.write, common, numbered))
        # Tries that were not waited for lie there still.
        shutil.rmtree(folder)

    def _verified(self, output: Output, export: Export) -> dict[str, Verified]:
        self.progress.stage("verifying")
        verified = {}
        written = [(name, output.beside(name), export.done.rows[name]) for name in self.names]
        if self.crew is None:
            checked: Iterator[Verified] = (part_work.check(None, each) for each in written)
        else:
            checked = self.crew.each(part_work.check, None, written)
        for name, found in zip(self.names, checked, strict=True):
            verified[name] = found
            for problem in found.problems:
                if problem.severity == "error":
                    raise FindingError(
                        f"What was written does not verify: {problem.code}: {'; '.join(problem.examples) or name}",
                        hint="This is a bug in synapse-skills: report it with this message. Nothing was replaced.",
                        code="not-verified",
                    )
        self.outcome.written = export.done
        return verified

    # -- again -----------------------------------------------------------------------------------------------------

    def digest(self, *parts: str) -> str:
        """Of all that decides the bytes of the output: rows, data units, sizes, what is missing, plan, and `parts`."""
        said = self.plan.model_dump(mode="json", exclude={"output", "state", "expected", "limits", "engine"})
        digest = hashlib.sha256(json.dumps([said, *parts], sort_keys=True).encode())
        for query in (
            "SELECT key, length, crc FROM row ORDER BY key",
            "SELECT id, length, crc FROM unit ORDER BY id",
            "SELECT * FROM size ORDER BY key, media",
            "SELECT key, media FROM missing ORDER BY key, media",
        ):
            for row in self.index.database.execute(query):
                digest.update(repr(row).encode())
            digest.update(b";")
        return digest.hexdigest()

    def is_unchanged(self, output: Output, digest: str) -> bool:
        """Whether the output is complete and made of exactly this.

        Raises:
            FindingError: somebody has changed files of it since: they are not written over.
        """
        if not output.is_complete:
            return False
        known = _remembered(self.folder / WRITTEN)
        self.progress.stage("verifying")
        inspected = verify_output(output.folder)
        changed = [problem for problem in inspected.problems if problem.code == "changed-file"]
        if changed and not output.is_staged:
            raise FindingError(
                f"Files of the output were changed since it was complete: {'; '.join(changed[0].examples)}",
                hint="Move it away, or name another folder with --output: edits are not written over.",
                code="output-edited",
            )
        same = known.get("input") == digest and known.get("manifest") == output.manifest_digest()
        if not same or not inspected.is_fine:
            return False
        self.outcome.is_unchanged, self.outcome.earlier = True, known["report"]
        self.progress.say("nothing has changed since the export was complete: it stays as it is")
        return True


def can_split(plan: ExportPlan) -> bool:
    """Whether several writers can write ranges of the records."""
    return all(FORMATS[each.name].splits for each in plan.formats if each.name in FORMATS)


def _remembered(path: Path) -> dict[str, Any]:
    """What an earlier run has kept; empty if it is none of that, and then the export is written anew."""
    try:
        known = parse_json(path.read_bytes())
        ExportReport.model_validate({"name": "", "started": "", "seconds": 0, "exit_code": 0} | known["report"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return known if set(known["report"]) >= _KEPT else {}


def remember(folder: Path, output: Output, digest: str, report: ExportReport) -> None:
    """Keep what an output was made of, so that a later run can leave it alone.

    Raises:
        OSError: it can't be written; it would only have saved the next run some work.
    """
    kept = report.model_dump(mode="json", include=_KEPT)
    write_json(folder / WRITTEN, {"input": digest, "manifest": output.manifest_digest(), "report": kept})
