"""The rest of an export: what runs out of its picture, empty records, parts, originals, names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from synapse_skills.annotations import count_annotations
from synapse_skills.export_plan import FormatPlan
from synapse_skills.job.export.wanted import Wanted
from synapse_skills.planning.answers import one_of, shown, text, whole
from synapse_skills.planning.export_classes import classes_of
from synapse_skills.planning.export_facts import ExportFacts
from synapse_skills.planning.export_filters import RECORDS, filter_of, sample_of
from synapse_skills.planning.export_formats import offers_trainers, trial_of
from synapse_skills.planning.export_scope import scope_of
from synapse_skills.planning.export_tools import ALL_CLASSES, options_of, tools_of
from synapse_skills.planning.interview import Ask, BadAnswer, Decision, Inferred, Later, Option, Settled
from synapse_skills.texts import human_bytes

NONE = "none"


def _nothing(facts: ExportFacts, settled: Settled) -> None:
    return None


def is_dataset(facts: ExportFacts, settled: Settled) -> bool | None:
    """Whether a trainer will load it: then parts and pictures are a question. A format of pictures alone is for one.

    While the formats are asked about it is likely if some of them are a trainer's, so that all is asked in one round;
    None if they are not.
    """
    if "formats" not in settled:
        return True if offers_trainers(facts, settled) else None
    return any(facts.form(name).needs_size or facts.form(name).media for name in settled["formats"])


# ---- geometry


def _decide_geometry(facts: ExportFacts, settled: Settled) -> Inferred | None:
    forms = [facts.form(name) for name in settled["formats"] if facts.form(name).needs_size]
    if not forms:
        return None
    sample = sample_of(facts, settled)
    outside = max(
        facts.tried(
            sample,
            form.name,
            options_of(settled, form.name),
            ALL_CLASSES,
            geometry="drop",
            tools=tools_of(facts, settled),
        ).lost["outside"]
        for form in forms
    )
    if not outside:
        return Inferred("clamp", "the default: what runs out of its picture is cut at its edge; nothing sampled does")
    return Inferred("clamp", f"{outside:,} of {sample.total:,} sampled annotations run out of their picture: cut there")


GEOMETRY = Decision(
    "geometry",
    "Geometry",
    "What becomes of geometry that runs out of its picture: `clamp` (cut at the edge), `drop`, or `fail`.",
    _decide_geometry,
    one_of("clamp", "drop", "fail"),
    needs=("formats.*", RECORDS),
)


# ---- records


def _decide_empty(facts: ExportFacts, settled: Settled) -> Inferred | Ask | None:
    sample = sample_of(facts, settled)
    looked = len(sample.records)
    if not sample.nulls and (robbed := _robbed(facts, settled)):
        return Ask(
            f"{robbed:,} of {looked:,} sampled records have annotations, but none that is exported: by their tool or "
            "class they are left out. Kept, their pictures tell a trainer that nothing is on them. What about them?",
            (
                Option("Leave them out", "drop", "With all records that have nothing to export"),
                Option("Keep them", "keep", "As pictures without objects"),
            ),
        )
    if not sample.nulls and "empty" not in facts.answers:
        for name in settled["formats"]:
            done = trial_of(facts, settled, name) if facts.form(name).needs_size else None
            if done is not None and done.hollow:
                told = f"{done.hollow:,} of {done.media:,} sampled pictures have no object in {name}"
                return Inferred("keep", f"{told}: kept, as a trainer's negatives; empty=drop leaves records out")
    if sample.nulls:
        return Ask(
            f"{sample.nulls:,} of {looked:,} sampled records were never labelled. A trainer takes them for pictures "
            "without objects. What about records without annotations?",
            (
                Option("Leave them out", "drop", f"Also the {sample.empties:,} that were labelled and hold nothing"),
                Option("Keep them", "keep", "As pictures without objects"),
            ),
        )
    if sample.empties:
        return Inferred(
            "keep", f"{sample.empties:,} of {looked:,} sampled records hold nothing: pictures without objects"
        )
    return None


def _robbed(facts: ExportFacts, settled: Settled) -> int:
    """Records of the sample that a trainer would take for empty, because what they hold is left out."""
    if not any(facts.form(name).needs_size for name in settled["formats"]):
        return 0
    formats = [FormatPlan(name=name, options=options_of(settled, name)) for name in settled["formats"]]
    wanted = Wanted(tools_of(facts, settled), classes_of(settled), formats)
    documents = [record.document for record in sample_of(facts, settled).records]
    return sum(wanted.is_empty(each) and count_annotations(each) > 0 for each in documents)


EMPTY = Decision(
    "empty",
    "Empty",
    "Records without annotations: `keep` (as pictures without objects) or `drop`.",
    _decide_empty,
    one_of("keep", "drop"),
    needs=("formats", RECORDS, "tools", "classes.unlabelled"),
)


def _decide_duplicates(facts: ExportFacts, settled: Settled) -> Ask | None:
    sample = sample_of(facts, settled)
    more = 0
    if settled["target"] == "assignment" and not filter_of(settled):
        more = max(0, settled[RECORDS] - facts.count("task", scope_of(settled), {}))
    if not sample.repeated and not more:
        return None
    told = f"at least {more:,} records" if more else f"{sample.repeated:,} of {len(sample.records):,} sampled records"
    return Ask(
        f"Several records are of the same data unit: {told} are one more of another. Which count?",
        (
            Option("The best one", "best", "Confirmed, else reviewed, else the newest"),
            Option("The newest", "newest", "However far its review is"),
            Option("All of them", "all", "The same picture stands in the export several times"),
        ),
    )


DUPLICATES = Decision(
    "duplicates",
    "Duplicates",
    "Several records of one data unit: `best` (confirmed, else reviewed, else newest), `newest`, or `all`.",
    _decide_duplicates,
    one_of("best", "newest", "all"),
    needs=(RECORDS,),
)


# ---- originals and names


def originals_in_words(facts: ExportFacts, settled: Settled) -> str:
    """How many original files there are, and how large: `30 pictures of unknown size`."""
    sample = sample_of(facts, settled)
    count = round(settled[RECORDS] * sum(len(record.files) for record in sample.records) / len(sample.records))
    are_pictures = set(sample.kinds) == {"image"}
    what = ("picture" if are_pictures else "file") + ("" if count == 1 else "s")
    about = "" if len(sample.records) >= settled[RECORDS] else "about "
    each = sample.file_bytes
    size = "of unknown size" if each is None else f"with about {human_bytes(each * settled[RECORDS])}"
    return f"{about}{count:,} {what} {size}"


def _decide_originals(facts: ExportFacts, settled: Settled) -> Inferred | Ask | Later:
    sample = sample_of(facts, settled)
    if not any(record.files for record in sample.records):
        return Inferred(NONE, "no record of the sample names a file")
    amount = originals_in_words(facts, settled)
    dataset = is_dataset(facts, settled)
    if dataset is None:
        return Later()
    if not dataset:
        return Inferred(NONE, f"no format of a trainer is among them; with originals=required they come too: {amount}")
    return Ask(
        "Are the original files to be exported with the annotations?",
        (
            Option("Yes, all of them", "required", f"A record whose file can't be had is set aside; {amount}"),
            Option("Yes, where there", "optional", "What is missing is counted; its annotations come all the same"),
            Option("No, annotations only", NONE, "The files stay where they are; you put them beside the labels"),
        ),
    )


ORIGINALS = Decision(
    "originals",
    "Originals",
    "The original files: `none`, `optional` (what is missing is counted) or `required` (no label without its file).",
    _decide_originals,
    one_of("none", "optional", "required"),
    needs=(RECORDS,),
)


def _decide_naming(facts: ExportFacts, settled: Settled) -> Inferred:
    sample = sample_of(facts, settled)
    if not sample.named:
        return Inferred("id", "no record of the sample tells the name of its file: files are called by record id")
    told = f"{sample.named:,} of {len(sample.records):,} sampled records tell their file's name"
    return Inferred("original", f"the default: {told}" if sample.named == len(sample.records) else told)


NAMING = Decision(
    "naming",
    "Naming",
    "Files are called after the `original` file, or by record `id`.",
    _decide_naming,
    one_of("original", "id"),
    needs=(RECORDS,),
)


# ---- limits and state


def _row(key: str, header: str, doc: str, parse: Callable[[Any, Any, Settled], Any]) -> Decision:
    return Decision(key, header, doc, _nothing, parse)


def _parse_state(answer: Any, facts: ExportFacts, settled: Settled) -> str:
    place: str = text(answer, facts, settled)
    if not place.startswith("/") and "://" not in place:
        raise BadAnswer(f"{shown(answer)} is neither an absolute folder nor a storage URL.")
    return place


PAGE_SIZE = _row(
    "limits.page_size", "Page size", "Records asked for at once (1 to 1000); 100 unless given.", whole(1, 1000)
)
WORKERS = _row(
    "limits.workers", "Workers", "At most so many requests at a time (1 to 64); 16 unless given.", whole(1, 64)
)
PROCESSES = _row(
    "limits.processes",
    "Processes",
    "So many processes read and write records (1 to 64); as many as there are cores, up to 8, unless given, "
    "one on a cluster.",
    whole(1, 64),
)
ENGINE = _row(
    "engine",
    "Engine",
    "Who fetches and writes the records: one machine, or with `ray` all those of the cluster the job is submitted to.",
    one_of("ray"),
)
STATE = _row("state", "State", "Where a run remembers what it has fetched; beside the job unless given.", _parse_state)
