"""A plan → one HTML page: what is sent and where, how it was counted, what stays at home, and some of it to see."""

from __future__ import annotations

from dataclasses import dataclass

from synapse_skills.plan import GroupingPlan, SpecPlan, UploadPlan
from synapse_skills.rendering.gallery import Page, gallery, render_page, shown
from synapse_skills.rendering.origins import conversions, origins
from synapse_skills.rendering.place import place_parts
from synapse_skills.rendering.planned import PlannedUpload

MOST_ROWS = 40  # of specifications, sources and constants
MOST_WORDS = 12  # extensions, folders, endings in one sentence

MISSING = "missing-required-spec"


@dataclass(frozen=True)
class SpecRow:
    """One specification: what fills it, and how many data units have it."""

    spec: SpecPlan
    fills: list[tuple[str, str]]
    count: int
    percent: int

    @property
    def need(self) -> str:
        """`required` or `optional`, and `primary`."""
        return ("required" if self.spec.is_required else "optional") + (", primary" if self.spec.is_primary else "")

    @property
    def others(self) -> str:
        """Extensions that it would take, and that fill it in this upload only where its pattern says so."""
        own = self.spec.takes
        return " ".join([each for each in self.spec.extensions if each not in own][:MOST_WORDS])


def plan_page(planned: PlannedUpload) -> Page:
    """Render the page of a plan."""
    plan = planned.plan
    cards = gallery(planned.units, planned.roots)
    constants = {key: value for rule in plan.metadata for key, value in rule.values.items()}
    return render_page(
        "plan.html.j2",
        cards,
        planned=planned,
        plan=plan,
        report=planned.report,
        verdict=_verdict(planned),
        layout=layout_words(plan.grouping),
        rule=_rule(plan),
        why=_why(planned),
        example=_example(planned),
        specs=_rows(plan)[:MOST_ROWS],
        constants=dict(list(constants.items())[:MOST_ROWS]),
        more_constants=max(0, len(constants) - MOST_ROWS),
        named=planned.named,
        origins=origins(plan),
        conversions=conversions(plan),
        sample=_sample_words(planned),
        most=MOST_ROWS,
    )


def layout_words(grouping: GroupingPlan) -> list[tuple[str, str]]:
    """What makes a data unit, as pieces of a sentence: ('text', …) and ('code', …), which is the user's own."""
    if grouping.by == "table":
        said = [("text", "A table says for every file which data unit it belongs to and what it is there:")]
        return [*said, ("code", grouping.table or ""), ("text", ".")]
    if grouping.by == "pattern":
        words = [("text", "A regular expression finds the data unit in the path of each file:")]
        words.append(("code", grouping.regex or ""))
        if grouping.template != GroupingPlan().template:
            words += [("text", ", and names it"), ("code", grouping.template)]
        return [*words, ("text", ".")]
    if grouping.by == "file":
        return [("text", "Every file is a data unit of its own, and its path is the name.")]
    if grouping.by == "folder":
        where = "directly below the source" if grouping.depth == 1 else f"{grouping.depth} levels below the source"
        return [("text", f"Each folder {where} is one data unit, with all that lies in it.")]
    words = [("text", "Files whose paths differ only by the extension are one data unit.")]
    if grouping.ignore:
        words.append(("text", "These folders tell what kind a file is, and don't count:"))
        words += [*_some(grouping.ignore), ("text", ".")]
    if grouping.endings:
        words.append(("text", "These ends of names tell the same:"))
        words += [*_some(grouping.endings), ("text", ".")]
    return words


def _some(names: tuple[str, ...]) -> list[tuple[str, str]]:
    more = len(names) - MOST_WORDS
    rest = [("text", f"and {more} more")] if more > 0 else []
    return [*(("code", name) for name in names[:MOST_WORDS]), *rest]


def _rule(plan: UploadPlan) -> str:
    """What tells the specification; the table has said it already."""
    if plan.grouping.by == "table":
        return ""
    words = place_parts(plan.grouping, plan.specs, plan.sources).specs_in_words
    return f"{words[0].upper()}{words[1:]}."


def _why(planned: PlannedUpload) -> list[str]:
    """The evidence for the layout: what it makes of the files."""
    plan, expected = planned.plan, planned.plan.expected
    said = ["You chose it."] if planned.decided else []
    required = [spec.name for spec in plan.specs if spec.is_required]
    units = f"{expected.units:,} data unit{'' if expected.units == 1 else 's'}"
    whole = expected.units > 0 and all(expected.files_by_spec.get(name, 0) == expected.units for name in required)
    if not expected.units:
        said.append("It makes no data unit of these files.")
    elif required and whole:
        named = shown(" and ".join(required[:3])) if len(required) <= 3 else f"all {len(required)} required files"
        each = f"all have {named}" if expected.units > 1 else f"it has {named}"
        said.append(f"It makes {units} that are fit to be sent, and {each}.")
    else:
        said.append(f"It makes {units} that are fit to be sent.")
    if expected.left_out:
        said.append(f"{expected.left_out:,} more stay{'s' if expected.left_out == 1 else ''} at home by consent.")
    there = planned.files_there
    if there is not None and there > expected.files:
        said.append(f"{expected.files:,} of the {there:,} files in the source are in them.")
    elif there is not None and there == expected.files:
        said.append(f"All {there:,} files in the source are in them.")
    return said


def _example(planned: PlannedUpload) -> tuple[str, list[tuple[str, str]]] | None:
    """One data unit with the whole paths of its files: the rule, seen at work."""
    whole = sorted(planned.units, key=lambda unit: -len(unit.files))[:1]
    for unit in whole:
        if unit.files:
            return unit.key, [(file.path, spec) for spec, file in unit.files[:4]]
    return None


def _rows(plan: UploadPlan) -> list[SpecRow]:
    expected = plan.expected
    rows = []
    for spec in plan.specs:
        count = expected.files_by_spec.get(spec.name, 0)
        percent = round(100 * count / expected.units) if expected.units else 0
        if 0 < count < expected.units:
            percent = min(max(percent, 1), 99)  # none and all are said of none and all only
        rows.append(SpecRow(spec, _fills(plan, spec), count, percent))
    return rows


def _fills(plan: UploadPlan, spec: SpecPlan) -> list[tuple[str, str]]:
    """Which files fill a specification, as pieces of a sentence."""
    own = [number for number, source in enumerate(plan.sources, 1) if source.spec == spec.name]
    taken = _some(tuple(each or "no extension" for each in spec.takes))
    if own:
        numbers = f"{', '.join(map(str, own[:MOST_WORDS]))}{', …' if len(own) > MOST_WORDS else ''}"
        said = f"files of source{'s' if len(own) > 1 else ''} {numbers}"
        return [("text", said), ("text", ":"), *taken] if taken else [("text", said)]
    if plan.grouping.by == "table":
        return [("text", "as the table says")]
    words: list[tuple[str, str]] = [("text", "files like"), ("code", spec.pattern)] if spec.pattern else []
    if taken:
        words += [("text", "or")] * bool(words) + taken
    return words or [("text", "no files")]


def _verdict(planned: PlannedUpload) -> tuple[str, str]:
    """Whether it can be approved, as a word for the colour and a sentence."""
    report, expected = planned.report, planned.plan.expected
    if not expected.units:
        return "bad", "There is nothing to send."
    if planned.shipped:
        return "bad", f"The job folder holds another plan ({planned.shipped}): render this one before it is run."
    if report is None:
        return "fair", "Planned, but without a dry run: run plan_upload again, or the job with --dry-run."
    if planned.is_stale:
        return "fair", "Planned; the dry run is older than this plan: run the job with --dry-run before approving it."
    if report.exit_code != 0:
        return "bad", "The dry run found something that stops the upload: see the problems below."
    if (report.planned, report.files.planned) != (expected.units, expected.files):
        return "bad", f"The dry run counted {report.planned:,} data units, the plan has {expected.units:,}."
    if planned.edited:
        return "fair", "Planned and dry-run with an edited script: nothing has been sent yet."
    return "good", "Planned and dry-run: nothing has been sent yet."


def _sample_words(planned: PlannedUpload) -> str:
    """What the gallery is."""
    sample, here = planned.sample, len(planned.units)
    total = sample.seen if sample.seen is not None else planned.plan.expected.units
    if not here:
        return planned.note or "There are none."
    if sample.looked_at is not None:
        words = f"A sample of {here:,}, drawn by lot from the first {sample.looked_at:,} files"
    elif here >= total:
        words = f"All {total:,}." if total > 1 else "The only one."
    else:
        words = f"A sample of {here:,}, drawn by lot: each of the {total:,} had the same chance."
    if sample.looked_at is not None:
        words += " alone, as there are more than one page can go through."
    if sample.seen is not None and sample.seen != planned.plan.expected.units and not planned.edited:
        words += f" The plan counts {planned.plan.expected.units:,}: the files have changed since."
    return f"{words} {planned.note}".strip()
