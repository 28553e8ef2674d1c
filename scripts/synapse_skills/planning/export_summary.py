"""The plan of an export as text, as a user approves it: at most 40 lines, and no decision is cut off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synapse_skills.errors import printable
from synapse_skills.export_plan import ExportLimits, ExportPlan
from synapse_skills.formats.pictures import picture_folders
from synapse_skills.formats.reasons import in_words
from synapse_skills.job.export.checksums import shares_of
from synapse_skills.job.export.decide import parts_of
from synapse_skills.plan import plan_bytes, plan_hash
from synapse_skills.planning.export_facts import ExportFacts
from synapse_skills.planning.export_filters import RECORDS, sample_of
from synapse_skills.planning.export_formats import trial_of
from synapse_skills.planning.export_place import needed_bytes
from synapse_skills.planning.export_scope import scope_of
from synapse_skills.planning.export_shape import NONE, originals_in_words
from synapse_skills.planning.export_split import reached
from synapse_skills.planning.export_words import counted, format_label, listed, tool_words
from synapse_skills.planning.interview import Settled
from synapse_skills.planning.summary import MAX_CHANGES, MAX_LINES, changed_lines, diff, wrapped
from synapse_skills.texts import human_bytes

NOT_WRITTEN = "not written but named at the end, and the export is not complete then"
UNEVEN = 0.02
"""So far from its ratio, a part is worth a word."""
MAX_NAMES = 8
MAX_FORMATS = 8
MAX_LOSSES = 4


def export_summary(plan: ExportPlan, facts: ExportFacts, settled: Settled, before: Mapping[str, Any] | None) -> str:
    """The plan as text, with what has changed since the last one."""
    changes = diff(before, plan.model_dump(mode="json")) if before else []
    ending = f"  hash        {plan_hash(plan_bytes(plan))}"
    lines = wrapped([*_what(plan, facts, settled), *_how(plan, facts, settled), *_where(plan, facts, settled)])
    most = max(0, min(MAX_CHANGES, MAX_LINES - len(lines) - 3))
    lines = [*lines, *changed_lines(changes, most)]
    return "\n".join([*lines[: MAX_LINES - 1], ending])


def _what(plan: ExportPlan, facts: ExportFacts, settled: Settled) -> list[str]:
    expected, number = plan.expected, scope_of(settled)
    title = printable(facts.title(plan.target, number))
    kind = "ground-truth version" if plan.project is None else "project"
    what = {"assignment": "assignments", "task": "tasks", "ground_truth": "ground-truth events"}[plan.target]
    lines = [f"Export {plan.name}", f"  from        {kind} {number} ({title}), {what}"]
    for name, value in plan.filter.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value).lower()
        lines.append(f"  filter      {name}: {printable(shown if len(shown) <= 100 else shown[:99] + '…')}")
    of_all = f" of {expected.in_scope:,}" if plan.filter else ", no filter"
    lines.append(f"  records     {expected.records:,}{of_all}; {expected.sampled:,} were looked at")
    there = sample_of(facts, settled).tools
    tools = counted([tool for tool, _ in there.most_common(6)], there)
    lines.append(f"  they hold   {printable(tools) or 'no annotations'}")
    return lines


def _how(plan: ExportPlan, facts: ExportFacts, settled: Settled) -> list[str]:
    lines: list[str] = []
    for each in plan.formats[:MAX_FORMATS]:
        said = {option.name: option for option in facts.form(each.name).options}
        options = "".join(f"; {name}: {said[name].word(value)}" for name, value in each.options.items())
        made = _made(each.name, facts, settled)
        lines.append(f"  format      {format_label(each.name)} ({each.name}{options}): {made}")
    if len(plan.formats) > MAX_FORMATS:
        lines.append(f"  format      and {', '.join(each.name for each in plan.formats[MAX_FORMATS:])}")
    if plan.losses:
        lines.append(f"  may lose    {', '.join(plan.losses)}: by your word")
    if plan.tools:
        tools = listed(tool_words(tool) for tool in plan.tools)
        lines.append(f"  only        {tools}; annotations of other kinds are left out")
    classes = plan.classes
    if classes.order:
        more = f", … ({len(classes.order):,} in all)" if len(classes.order) > MAX_NAMES else ""
        lines.append(f"  classes     {', '.join(map(printable, classes.order[:MAX_NAMES]))}{more}")
        new = {"fail": NOT_WRITTEN, "add": "put at the end of the list", "drop": "left out"}[classes.unknown]
        none = {"fail": NOT_WRITTEN, "drop": "left out"}[classes.unlabelled]
        one = f"or no class: {new}" if new == none else f": {new}; no class: {none}"
        lines.append(f"  else        another class{' ' if new == none else ''}{one}")
    if classes.map:
        pairs = [f"{printable(label)} → {printable(name)}" for label, name in list(classes.map.items())[:MAX_NAMES]]
        lines.append(f"  renamed     {', '.join(pairs)}{', …' if len(classes.map) > MAX_NAMES else ''}")
    if classes.keep:
        lines.append("  keep        only these classes; annotations of others are lost by consent")
    if classes.drop:
        lines.append(f"  dropped     {', '.join(map(printable, classes.drop[:MAX_NAMES]))}")
    outside = {"clamp": "cut at its edge", "drop": "left out", "fail": NOT_WRITTEN}
    empty = "kept, as pictures without objects" if plan.empty == "keep" else "left out"
    several = {"best": "confirmed, else reviewed, else newest", "newest": "the newest", "all": "all of them"}
    if any(facts.form(each.name).needs_size for each in plan.formats):
        lines.append(f"  outside     what runs out of its picture: {outside[plan.geometry]}")
    lines.append(f"  empty       records without annotations: {empty}")
    lines.append(f"  duplicates  of several records of one data unit: {several[plan.duplicates]}")
    if plan.split:
        parts = ", ".join(f"{name} {ratio:.0%}" for name, ratio in plan.split.ratios.items())
        counts, whole = reached(facts, settled)
        if counts:
            parts += f" ({', '.join(f'{name} {count:,}' for name, count in counts.items())}"
            parts += ")" if whole else " of the sample)"
        if plan.split.own:
            lines.append(f"  split       as the records' own category has it: {parts}")
            return lines
        stratified = ", each class in every part" if plan.split.stratify == "class" else ""
        seed = f", seed {plan.split.seed}" if plan.split.seed else ""
        lines.append(f"  split       {parts}; {_together(plan.split.by)}{stratified}{seed}")
        shares = shares_of(counts)
        if whole and any(abs(shares[name] - ratio) > UNEVEN for name, ratio in plan.split.ratios.items()):
            lines.append(
                "              few records don't come out even if each keeps its part; another seed draws anew"
            )
    else:
        lines.append("  split       none")
    return lines


def _together(by: str) -> str:
    """What stays in one part, in words."""
    words = {"record": "a record", "data_unit": "all records of a data unit", "checksum": "the same original"}
    return f"{words.get(by, f'what has the same {by}')} in one part, also when records are added"


def _made(name: str, facts: ExportFacts, settled: Settled) -> str:
    """What a format writes and loses, and how many of its pictures show nothing."""
    form, sample = facts.form(name), sample_of(facts, settled)
    if form.by_script:
        return "what convert in the script makes of it"
    done = trial_of(facts, settled, name)
    of = f"{sample.total:,}" + ("" if len(sample.records) >= settled[RECORDS] else " in the sample")
    told = ", ".join(f"{count:,} {in_words(reason)}" for reason, count in done.lost.most_common(MAX_LOSSES))
    more = f", and {len(done.lost) - MAX_LOSSES} reasons more" if len(done.lost) > MAX_LOSSES else ""
    line = f"writes {done.written:,} of {of}"
    line += f", loses {done.lost.total():,} ({told}{more})" if told else ", loses nothing"
    if form.needs_size and done.hollow:
        line += f"; {done.hollow:,} of {done.media:,} pictures without an object"
    return line


def _where(plan: ExportPlan, facts: ExportFacts, settled: Settled) -> list[str]:
    originals = {
        "none": "not exported",
        "optional": "where they are there",
        "required": "all, and no record without its file",
    }
    named = {"original": "as the original file is called", "id": "by the number of the record"}
    lines = [f"  originals   {originals[plan.originals]}; names: {named[plan.naming]}"]
    folders = [folder for each in plan.formats for folder in picture_folders(each.name, parts_of(plan.split))]
    if folders and plan.originals == NONE:
        lines.append(f"  pictures    you put them into {', '.join(folders)}, under the names of the labels")
    unsized = sample_of(facts, settled).unsized
    if unsized:
        lines.append(f"  sizes       of {unsized:,} sampled pictures no record tells: read from the pictures")
    size = f"about {human_bytes(needed_bytes(facts, settled))}"
    if plan.originals != NONE and sample_of(facts, settled).file_bytes is None:
        size += f" and {originals_in_words(facts, settled)}"
    lines.append(f"  output      {plan.place}, {size}")
    if plan.output_on_worker == "accept":
        lines.append("  on cluster  may lie on the worker's own disk, and go with it")
    if plan.state:
        lines.append(f"  state       {plan.state}")
    usual, limits = ExportLimits(), plan.limits
    if limits != usual:
        told = f"{limits.page_size} records a request, at most {limits.workers} requests at a time"
        lines.append(f"  limits      {told}{f', {limits.processes} processes' if limits.processes else ''}")
    return lines
