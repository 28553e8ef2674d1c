"""What an export says of itself: the same bytes for the same records, so without times, hosts and paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from synapse_skills.export_plan import ExportPlan
from synapse_skills.formats.base import Verified
from synapse_skills.job.export.checksums import shares_of
from synapse_skills.job.export.decide import Decided, parts_of
from synapse_skills.job.export.written import Written

SUMMARY_VERSION = 1


def summary_of(
    plan: ExportPlan, decided: Decided, written: Written, classes: Sequence[str], verified: Mapping[str, Verified]
) -> dict[str, Any]:
    """The document `metadata/export_summary.json`."""
    quarantined = sum(written.quarantined.values())
    left_out = sum(decided.left_out.values())
    formats = {
        name: {
            "written": tally.written,
            "lost": dict(sorted(tally.lost.items())),
            "options": dict(next(each.options for each in plan.formats if each.name == name)),
            "rows": written.rows[name],
            "items": verified[name].items,
            "changed": written.notes.get(name, {}),
        }
        for name, tally in written.formats.items()
    }
    return {
        "version": SUMMARY_VERSION,
        "name": plan.name,
        "target": plan.target,
        "project": plan.project,
        "ground_truth_version": plan.ground_truth_version,
        "filter": plan.filter,
        "records": {
            "read": written.records + quarantined + left_out,
            "exported": written.records,
            "quarantined": quarantined,
            "left_out": left_out,
            "quarantined_because": dict(sorted(written.quarantined.items())),
            "left_out_because": dict(sorted(decided.left_out.items())),
        },
        "annotations": {
            "read": written.annotations,
            "issues": dict(sorted(written.issues.items())),
            "formats": formats,
        },
        "items": dict(sorted(written.items.items())),
        "split": plan.split.model_dump(mode="json") if plan.split is not None else None,
        "reached": shares_of({part: written.items.get(part, 0) for part in parts_of(plan.split)}),
        "shared_originals": written.shared,
        "classes": list(classes),
        "contents": written.contents,
        "originals": {"policy": plan.originals, "placed": written.originals, "missing": written.missing},
    }


def counts_of(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The counts of the manifest, which its verification holds everything against."""
    return {
        "records": summary["records"]["exported"],
        "annotations": summary["annotations"]["read"],
        "items": summary["items"],
        "formats": {
            name: {key: counts[key] for key in ("written", "lost", "rows")}
            for name, counts in summary["annotations"]["formats"].items()
        },
        "originals": summary["originals"]["placed"],
    }
