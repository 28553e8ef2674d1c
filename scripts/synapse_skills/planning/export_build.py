"""Settled decisions → the plan of an export."""

from __future__ import annotations

from typing import Any

from synapse_skills.export_plan import ExportExpected, ExportLimits, ExportPlan, SplitPlan
from synapse_skills.planning.export_classes import classes_of
from synapse_skills.planning.export_facts import ExportFacts
from synapse_skills.planning.export_filters import IN_SCOPE, RECORDS, filter_of, sample_of
from synapse_skills.planning.export_formats import accepted, formats_of
from synapse_skills.planning.export_shape import NONE
from synapse_skills.planning.export_split import OWN, own_parts
from synapse_skills.planning.export_tools import ALL
from synapse_skills.planning.interview import Settled


def build_export_plan(facts: ExportFacts, settled: Settled) -> ExportPlan:
    """The plan, with what was counted. The same decisions and records give the same plan."""
    sample = sample_of(facts, settled)
    limits = {
        name: settled[f"limits.{name}"] for name in ("page_size", "workers", "processes") if f"limits.{name}" in settled
    }
    return ExportPlan(
        name=settled["name"],
        target=settled["target"],
        project=settled.get("project"),
        ground_truth_version=settled.get("ground_truth_version"),
        filter=filter_of(settled),
        formats=formats_of(settled),
        tools=() if settled.get("tools", ALL) == ALL else tuple(settled["tools"]),
        classes=classes_of(settled),
        geometry=settled.get("geometry", "clamp"),
        empty=settled.get("empty", "keep"),
        duplicates=settled.get("duplicates", "best"),
        losses=accepted(settled),
        replaces=tuple(settled.get("replaces") or ()),
        split=split_of(facts, settled),
        originals=settled["originals"],
        naming=settled["naming"],
        output=settled["output"],
        storage=settled.get("storage"),
        output_on_worker=settled.get("output_on_worker", "refuse"),
        limits=ExportLimits(**limits),
        engine=settled.get("engine"),
        state=settled.get("state"),
        expected=ExportExpected(
            records=settled[RECORDS],
            in_scope=settled[IN_SCOPE],
            sampled=len(sample.records),
            tools=dict(sorted(sample.tools.items())),
        ),
    )


def split_of(facts: ExportFacts, settled: Settled) -> SplitPlan | None:
    """The parts; None without a split."""
    if settled["split.ratios"] == NONE:
        return None
    return SplitPlan(
        ratios=_shares(facts, settled),
        by=settled["split.by"],
        seed=settled.get("split.seed", 0),
        stratify=settled.get("split.stratify", "none"),
        own=settled["split.ratios"] == OWN,
    )


def _shares(facts: ExportFacts, settled: Settled) -> dict[Any, float]:
    """The ratios that were said; of the records' own parts those that were found."""
    if settled["split.ratios"] != OWN:
        return dict(settled["split.ratios"])
    counts = own_parts(facts, settled)
    return {part: round(count / sum(counts.values()), 6) for part, count in counts.items()}
