"""An export that has run → one HTML page that needs nothing else: no script, no file beside it, no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from synapse_skills.formats import FORMATS
from synapse_skills.formats.reasons import words_of
from synapse_skills.job.export.decide import PAYLOAD_MISSING, UNREADABLE
from synapse_skills.job.export.reporting import consents
from synapse_skills.job.export.write import ORIGINAL_MISSING, QUARANTINED
from synapse_skills.rendering.export_cards import Cards
from synapse_skills.rendering.export_pictures import ExportPictures
from synapse_skills.rendering.export_result import ExportResult
from synapse_skills.rendering.gallery import Page, render_page

MOST_RECORDS = 48
MOST_CLASSES = 40
PARTS = ("train", "val", "test")
MOST_SIZES = 6
TARGETS = {"assignment": "assignments", "ground_truth": "ground-truth events", "task": "tasks"}
ONE = {"assignment": "assignment", "ground_truth": "ground-truth event", "task": "task"}
LEFT_OUT = {
    "duplicate": "another record of the same data unit was chosen",
    "empty": "without annotations, and the plan leaves those out",
    "not-kept": "the script’s own rule does not keep it",
}
SET_ASIDE = {
    PAYLOAD_MISSING: "its annotations could not be fetched",
    UNREADABLE: "its annotations can’t be read",
    ORIGINAL_MISSING: "its original is missing, and the plan requires it",
}
TOLD_ELSEWHERE = frozenset({"lost-annotations", "quarantined", "left-out", "changed-shape", "records-in-scope"})


@dataclass(frozen=True)
class Lost:
    """Annotations that a format does not hold, for one reason."""

    reason: str
    why: str
    count: int
    agreed: bool
    examples: list[str]


@dataclass(frozen=True)
class FormatRow:
    """One format: how much it holds, what it lost, and what was written in another shape."""

    name: str
    title: str
    written: int
    read: int
    lost: list[Lost]
    changed: dict[str, int]


@dataclass(frozen=True)
class ClassRow:
    """One class of the histogram: how often it occurs in each part, and how much is left to the longest bar."""

    name: str
    counts: dict[str, int]
    total: int
    rest: int
    listed: bool


def export_page(result: ExportResult) -> Page:
    """Render the page of an export."""
    summary = result.summary
    names = {line.name for sampled in result.sample for line in sampled.lines}
    maker = Cards(
        result.plan.classes,
        summary.classes,
        ExportPictures(result.output, result.state / "originals", names),
    )
    cards = [maker.card(sampled) for sampled in result.sample]
    classes = _classes(result)
    return render_page(
        "export.html.j2",
        cards,
        result=result,
        plan=result.plan,
        report=result.report,
        summary=summary,
        verdict=_verdict(result),
        scope=scope_words(result.plan),
        what=TARGETS[result.plan.target],
        one=ONE[result.plan.target],
        stages=_stages(result),
        formats=_formats(result),
        parts=_parts(result),
        part_names=sorted(summary.items, key=_place),
        classes=classes[:MOST_CLASSES],
        more_classes=len(classes) - MOST_CLASSES,
        unused=[name for name in summary.classes if name not in summary.contents.by_class],
        has_contents=bool(summary.contents.by_size or summary.contents.by_class),
        colours=maker.shared,
        tools=sorted(summary.contents.by_tool.items(), key=lambda item: (-item[1], item[0])),
        sizes=_sizes(summary.contents.by_size),
        set_aside=SET_ASIDE,
        left_out=LEFT_OUT,
        problems=[each for each in result.report.problems if each.code not in TOLD_ELSEWHERE] if result.report else [],
        sample=_sample_words(result, len(cards)),
    )


def scope_words(plan: Any) -> str:
    """Of what the records are."""
    if plan.target == "ground_truth":
        return f"ground-truth version {plan.ground_truth_version}"
    return f"project {plan.project}"


def _verdict(result: ExportResult) -> tuple[str, str]:
    """How it went, as a word for the colour and a sentence."""
    report, summary = result.report, result.summary
    there = " The dataset below is that of an earlier run." if result.is_complete else ""
    if report is None and not result.is_complete:
        return "bad", "The last run was cut off before it could write its report: run it again, it goes on."
    if report is not None and report.exit_code not in (0, 5):
        return "bad", f"The last run did not end well (exit {report.exit_code}): run it again, it goes on.{there}"
    if not result.is_complete:
        return "fair", f"It has run, but its output is not at {result.output} any more."
    beyond = sum(lost.count for row in _formats(result) for lost in row.lost if not lost.agreed)
    records = summary.records
    if records.quarantined or beyond:
        said = [f"{records.quarantined:,} of {records.read:,} records are set aside"] if records.quarantined else []
        said += [f"{_annotations(beyond)} lost without consent"] if beyond else []
        return "bad", f"{' and '.join(said)}: see below."
    lost = sum(lost.count for row in _formats(result) for lost in row.lost)
    if lost:
        return "fair", f"All records are in it. {_annotations(lost)} lost, as the plan allows."
    return "good", "Every annotation that was read is in every format."


def _annotations(count: int) -> str:
    return f"{count:,} annotation{' is' if count == 1 else 's are'}"


def _stages(result: ExportResult) -> list[tuple[str, str, int]]:
    """What became of the records: a name, a word for the colour, how many."""
    records = result.summary.records
    stages = [
        ("exported", "good", records.exported),
        ("set aside", "bad", records.quarantined),
        ("left out by the plan", "quiet", records.left_out),
    ]
    return [stage for stage in stages if stage[2]]


def _formats(result: ExportResult) -> list[FormatRow]:
    read = result.summary.annotations.read
    rows = []
    for name, counts in result.summary.annotations.formats.items():
        lost = [
            Lost(
                reason,
                words_of(reason, ""),
                count,
                consents(result.plan, name, reason),
                # The records that were set aside are named by themselves.
                [] if reason == QUARANTINED else _examples(result, name, reason),
            )
            for reason, count in sorted(counts.lost.items(), key=lambda item: (-item[1], item[0]))
            if count
        ]
        title = FORMATS[name].title if name in FORMATS else name
        rows.append(FormatRow(name, title, counts.written, read, lost, counts.changed))
    return rows


def _examples(result: ExportResult, name: str, reason: str) -> list[str]:
    start = f"{name}, {reason}: "
    problems = result.report.problems if result.report is not None else []
    return [
        example.removeprefix(start)
        for problem in problems
        if problem.code == "lost-annotations"
        for example in problem.examples
        if example.startswith(start)
    ]


def _parts(result: ExportResult) -> list[tuple[str, int, str]]:
    """The parts of the split: media, and planned beside reached share."""
    ratios = result.plan.split.ratios if result.plan.split is not None else {}
    items = result.summary.items
    total = sum(items.values()) or 1
    return [
        (name, items.get(name, 0), f"{items.get(name, 0) / total:.1%} of media, planned {ratios[name]:.0%} of records")  # type: ignore[index]
        for name in result.parts
    ]


def _classes(result: ExportResult) -> list[ClassRow]:
    found = result.summary.contents.by_class
    totals = {name: sum(counts.values()) for name, counts in found.items()}
    most = max(totals.values(), default=0)
    listed = set(result.summary.classes)
    ranked = sorted(found, key=lambda name: (bool(listed) and name not in listed, -totals[name], name))
    return [
        ClassRow(
            name,
            dict(sorted(found[name].items(), key=lambda item: _place(item[0]))),
            totals[name],
            most - totals[name],
            not listed or name in listed,
        )
        for name in ranked
    ]


def _place(part: str) -> int:
    return PARTS.index(part) if part in PARTS else len(PARTS)


def _sizes(by_size: dict[str, int]) -> dict[str, Any]:
    """The most frequent sizes, the smallest and the largest, and how many are unknown."""
    known: list[tuple[int, int, int]] = []
    for text, count in by_size.items():
        width, _, height = text.partition("x")
        if width.isdecimal() and height.isdecimal():
            known.append((int(width), int(height), count))
    ranked = sorted(known, key=lambda size: (-size[2], size))
    by_area = sorted(known, key=lambda size: (size[0] * size[1], size))
    return {
        "most": ranked[:MOST_SIZES],
        "longest": ranked[0][2] if ranked else 0,
        "others": len(ranked) - MOST_SIZES,
        "rest": sum(size[2] for size in ranked[MOST_SIZES:]),
        "range": (by_area[0][:2], by_area[-1][:2]) if len(by_area) > 1 else None,
        "unknown": by_size.get("", 0),
    }


def _sample_words(result: ExportResult, shown: int) -> str:
    """What the gallery is."""
    exported = result.summary.records.exported
    if not shown:
        if not result.is_complete or not exported:
            return "There are none to show."
        return "None are shown: the state that holds what was fetched is not here. Name it with --state."
    if shown >= exported:
        return f"All {exported:,}, those with the most different tools first."
    return f"A sample, evenly spread: {shown:,} of {exported:,}, those with the most different tools first."
