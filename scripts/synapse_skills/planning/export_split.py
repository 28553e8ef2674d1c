"""The parts of a dataset: by ratios, or as the records' own categories say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from synapse_skills.export_plan import SplitPlan
from synapse_skills.job.export.decide import own_part, part_of, split_of
from synapse_skills.planning.answers import number_of, one_of, shown, text, whole
from synapse_skills.planning.export_facts import ExportFacts
from synapse_skills.planning.export_filters import RECORDS, count_of, filter_of, sample_of
from synapse_skills.planning.export_scope import GROUND_TRUTH
from synapse_skills.planning.export_shape import NONE, is_dataset
from synapse_skills.planning.interview import Ask, BadAnswer, Decision, Inferred, Later, Option, Settled

if TYPE_CHECKING:
    from synapse_skills.annotations.model import Record

OWN = "own"
_OWN_WORDS = (OWN, "category", "as it is", "as the ground truth has it")
PARTS = ("train", "val", "test")
TWO = {"train": 0.8, "val": 0.2}
THREE = {"train": 0.7, "val": 0.2, "test": 0.1}
DEALS = (("80/20", TWO), ("70/20/10", THREE))
EMPTY_PART = ": too few records for that"
_BY = re.compile(r"record|data_unit|checksum|category|meta\..+")


def _nothing(facts: ExportFacts, settled: Settled) -> None:
    return None


def own_parts(facts: ExportFacts, settled: Settled) -> dict[str, int]:
    """How many records each part has by the records' own categories; empty if those of some name none."""

    def find() -> dict[str, int]:
        sample = sample_of(facts, settled)
        named = Counter((own_part(record), _category(record)) for record in sample.records)
        if any(not part for part, _ in named):
            return {}
        whole = settled[RECORDS]
        counts: Counter[str] = Counter()
        for (part, word), count in named.items():
            if len(sample.records) >= whole:
                counts[part] += count
            elif settled["target"] == GROUND_TRUTH:
                counts[part] += count_of(facts, settled, {**filter_of(settled), "category": word})
            else:
                counts[part] += round(whole * count / len(sample.records))
        return {part: counts[part] for part in PARTS if counts[part]}

    return facts.once(("own parts", id(sample_of(facts, settled)), settled[RECORDS]), find)


def _category(record: Record) -> str:
    word = record.category if record.category is not None else record.meta.get("category")
    return word if isinstance(word, str) else ""


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{part} {count:,}" for part, count in counts.items())


def reached(facts: ExportFacts, settled: Settled) -> tuple[dict[str, int], bool]:
    """How many sampled records come into each part, and whether those are all records."""
    ratios = settled.get("split.ratios", NONE)
    if ratios == OWN:
        return own_parts(facts, settled), True
    if ratios == NONE or settled.get("split.stratify") == "class":
        return {}, False
    return _dealt(facts, settled, SplitPlan(ratios=ratios, by=settled["split.by"], seed=settled.get("split.seed", 0)))


def _dealt(facts: ExportFacts, settled: Settled, plan: SplitPlan) -> tuple[dict[str, int], bool]:
    """How many sampled records a split deals into each part, and whether those are all; {} if only the run can tell."""
    sample = sample_of(facts, settled)
    if plan.by == "category" or plan.by.startswith("meta.") or plan.by == "checksum":
        known = [record for record in sample.records if not part_of(record, plan.by).startswith("record:")]
        if len(known) < len(sample.records):
            return {}, False  # what data units say is asked for in the run only
    counts = Counter(split_of(part_of(record, plan.by), plan) for record in sample.records)
    return {part: counts[part] for part in plan.ratios}, len(sample.records) >= settled[RECORDS]


def _decide_ratios(facts: ExportFacts, settled: Settled) -> Inferred | Ask | Later:
    own = own_parts(facts, settled)
    dataset = is_dataset(facts, settled)
    if dataset is None:
        return Later()
    if not dataset:
        more = f"; split.ratios={OWN} keeps the records' own parts ({_told(own)})" if len(own) > 1 else ""
        return Inferred(NONE, f"no format of a trainer is among them{more}")
    whose = "As in the ground truth" if settled["target"] == GROUND_TRUTH else "As their category says"
    deals = [_comes_to(facts, settled, ratios) for _, ratios in DEALS]
    dealt = [
        Option(label, ratios, f"{told}{EMPTY_PART}" if is_hollow else told)
        for (label, ratios), (told, is_hollow) in zip(DEALS, deals, strict=True)
    ]
    none = Option("No split", NONE, "One part with everything; where a format names a val, it is the same pictures")
    # A part without a record is no split: then none is what is recommended.
    in_order = (none, *dealt) if deals[0][1] else (*dealt, none)
    when = "" if "formats" in settled else "If it is for training: "
    return Ask(
        f"{when}Shall the records be split into parts? They are drawn so that each keeps its part when records are "
        "added later; few records don't come out even for that.",
        (
            *([Option(whose, OWN, _told(own))] if len(own) > 1 else []),
            *in_order,
        ),
    )


def _comes_to(facts: ExportFacts, settled: Settled, ratios: dict[str, float]) -> tuple[str, bool]:
    """How many records each part will have, and whether one has none: counted if the sample is all, else by ratios."""
    sample, count = sample_of(facts, settled), settled[RECORDS]
    by, seed = facts.answers.get("split.by"), facts.answers.get("split.seed")
    by = by if isinstance(by, str) and _BY.fullmatch(by) else _stays_together(facts, settled)[0]
    plan = SplitPlan(ratios=ratios, by=by, seed=seed if type(seed) is int and seed >= 0 else 0)
    counts, is_whole = _dealt(facts, settled, plan)
    # What is left out later (another record of the same data unit, an empty one) would not be counted right.
    if counts and is_whole and not (sample.repeated or sample.nulls or sample.empties):
        return _told(counts), 0 in counts.values()
    counts = {part: round(count * ratio) for part, ratio in ratios.items()}
    return f"about {_told(counts)}", 0 in counts.values()


def _parse_ratios(answer: Any, facts: ExportFacts, settled: Settled) -> Any:
    if isinstance(answer, str) and answer.strip().casefold() in (NONE, "no", "no split"):
        return NONE
    said = answer
    if isinstance(answer, str) and answer.strip().casefold() in _OWN_WORDS:
        if not own_parts(facts, settled):
            raise BadAnswer("Not every record has a category that is train, val or test: give ratios.")
        return OWN
    if isinstance(answer, str):
        answer = dict(zip(PARTS, re.split(r"[/:,]", answer), strict=False)) if "/" in answer or ":" in answer else {}
    if isinstance(answer, list):
        answer = dict(zip(PARTS, answer, strict=False))
    ratios = {name: number_of(value) for name, value in answer.items()} if isinstance(answer, dict) else {}
    if not ratios or not set(ratios) <= set(PARTS) or not all(value and value > 0 for value in ratios.values()):
        raise BadAnswer(f'{shown(said)} is no split such as 80/20 or {{"train": 0.8, "val": 0.2}}; or say none or own.')
    total = sum(value for value in ratios.values() if value)
    whole_one = next((one for one in (1, 10, 100) if abs(total - one) < 1e-6 * one), None)
    if whole_one is None:
        raise BadAnswer(f"The parts add up to {total:g}, not to 100.")
    return {name: round((ratios[name] or 0) / whole_one, 6) for name in PARTS if name in ratios}


RATIOS = Decision(
    "split.ratios",
    "Split",
    "Parts: `80/20`, `70/20/10`, or as an object of train, val and test; `none` for no split, "
    "`own` if each record's category (train, val, test) says it.",
    _decide_ratios,
    _parse_ratios,
    needs=(RECORDS,),
)


def _parse_stratify(answer: Any, facts: ExportFacts, settled: Settled) -> str:
    word = one_of("none", "class")(answer, facts, settled)
    if word == "class" and settled["split.ratios"] == OWN:
        raise BadAnswer("With split.ratios=own the records' categories say the parts: nothing is dealt.")
    return word


def _decide_by(facts: ExportFacts, settled: Settled) -> Inferred | None:
    if settled["split.ratios"] == NONE:
        return None
    if settled["split.ratios"] == OWN:
        return Inferred("category", "the category of each record says its part")
    return Inferred(*_stays_together(facts, settled))


def _stays_together(facts: ExportFacts, settled: Settled) -> tuple[str, str]:
    """What never stands in two parts unless somebody says otherwise, and why."""
    sample = sample_of(facts, settled)
    if sample.groups:
        told = f"{sample.groups:,} of {len(sample.records):,} sampled records share a group with another one"
        return "meta.group", f"{told}: a group never stands in two parts"
    if sample.knows_units:
        return "data_unit", "the records of one data unit never stand in two parts"
    return "record", "the records do not tell their data units"


def _parse_by(answer: Any, facts: ExportFacts, settled: Settled) -> str:
    word: str = text(answer, facts, settled)
    if not _BY.fullmatch(word):
        raise BadAnswer(f"{shown(word)} is none of record, data_unit, checksum, category, meta.KEY.")
    ratios = settled["split.ratios"]
    if ratios == OWN and word != "category":
        raise BadAnswer("With split.ratios=own the category says the part, and nothing else can.")
    if ratios == NONE and "split.by" in facts.said:
        own = f", or split.ratios={OWN} for the records' own" if own_parts(facts, settled) else ""
        raise BadAnswer(f"There is no split: give parts too, such as split.ratios=80/20{own}; or take this back.")
    return word


BY = Decision(
    "split.by",
    "Split by",
    "What stays together: `record`, `data_unit`, `checksum`, `category` or `meta.KEY`.",
    _decide_by,
    _parse_by,
    needs=("split.ratios",),
)
STRATIFY = Decision(
    "split.stratify",
    "Stratify",
    "`class` gives each class its share in every part, as far as what is kept together allows; `none` unless given. "
    "More data may then move records from part to part.",
    _nothing,
    _parse_stratify,
    needs=("split.ratios",),
)
SEED = Decision("split.seed", "Seed", "Another number splits otherwise; 0 unless given.", _nothing, whole(0))
