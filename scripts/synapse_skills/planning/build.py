"""Settled decisions → plan, left_out.jsonl, and the plan as text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from synapse_skills.errors import printable, redact
from synapse_skills.plan import Expected, SourcePlan, UploadPlan, plan_bytes, plan_hash
from synapse_skills.planning.conversions import conversions_for, summary_line
from synapse_skills.planning.counted import MISSING, amount, with_metadata
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.fills import filled_sources, specs_of
from synapse_skills.planning.findings import LEAVE_OUT, consented, counted, limits_of
from synapse_skills.planning.groupings import in_words
from synapse_skills.planning.interview import Settled
from synapse_skills.planning.layout import grouping_of
from synapse_skills.planning.metadata_facts import aside_of
from synapse_skills.planning.metadata_rules import meta_of, metadata_rules, summary_lines
from synapse_skills.planning.on_agent import units_of
from synapse_skills.planning.sources import sources_of
from synapse_skills.sources.source import suffix_of

MAX_LINES = 40
MAX_SPECS = 10
MAX_SOURCES = 5
MAX_CHANGES = 6
MAX_WIDTH = 160
MAX_KINDS = 5


def build_plan(facts: Facts, settled: Settled) -> UploadPlan:
    """The plan, with what was counted. The same decisions and files give the same plan."""
    limits = limits_of(settled)
    specs = specs_of(facts, settled)
    total = counted(facts, settled, limits, guard=True)
    codes = consented(settled)
    return UploadPlan(
        name=settled["name"],
        data_collection=settled["data_collection"],
        storage=settled["storage"],
        project=settled.get("project"),
        sources=tuple(
            SourcePlan(path=source.path, recursive=source.recursive, spec=source.spec)
            for source in filled_sources(facts, settled)
        ),
        grouping=grouping_of(settled),
        specs=specs,
        meta_schema=facts.collection(settled["data_collection"]).meta_schema,
        metadata=metadata_rules(facts, settled),
        conversions=conversions_for(specs, settled),
        limits=limits,
        incomplete=settled["incomplete"],
        leave_out=tuple(code for code in codes if code != MISSING),
        groups=tuple(settled.get("groups", ())),
        state=settled.get("state"),
        expected=Expected(
            units=total.clean,
            files=total.clean_files,
            bytes=total.clean_bytes,
            left_out=total.left_out(codes),
            files_by_spec={spec.name: total.clean_by_spec.get(spec.name, 0) for spec in specs},
        ),
    )


def left_out_lines(facts: Facts, settled: Settled) -> Iterator[bytes]:
    """left_out.jsonl: every data unit that stays at home, in the order of the keys, with why."""
    codes = set(consented(settled))
    if not codes:
        return
    from synapse_skills.metadata import Faults

    aside = aside_of(facts, settled)
    survey = facts.survey(
        filled_sources(facts, settled),
        grouping_of(settled),
        specs_of(facts, settled),
        limits_of(settled),
        guard=True,
        sidecars=aside.sidecars,
        tables=aside.tables,
    )
    meta = meta_of(facts, settled)
    described = facts.described(meta, filled_sources(facts, settled))
    for unit in with_metadata(units_of(facts, survey, described), described, Faults()):
        if codes.isdisjoint(unit.codes):
            continue
        why = "; ".join(finding.message for finding in unit.findings[:5])
        row = {"unit": unit.key, "codes": list(unit.codes), "why": redact(why)}
        yield (json.dumps(row, ensure_ascii=False) + "\n").encode()


def stays_home_lines(facts: Facts) -> Iterator[bytes]:
    """stays_home.jsonl: every file that no data unit takes, by source and path, with why: one a line."""
    for source, path, unit, reason in facts.inventory().untaken():
        why = {"code": reason or "no-spec", "unit": unit} if unit else {"code": reason}
        row = {"source": source, "file": printable(path), **why}
        yield (json.dumps(row, ensure_ascii=False) + "\n").encode()


def _at_home(facts: Facts) -> str:
    """How many files no data unit takes, by extension: `6 files (2 .tiff, 1 .bmp)`; '' if there is none."""
    kinds = Counter(
        suffix_of(path) or "without extension"
        for _, path, _, why in facts.inventory().untaken()
        if why != "metadata-table"
    )
    if not kinds:
        return ""
    told = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(MAX_KINDS))
    more = ", …" if len(kinds) > MAX_KINDS else ""
    return f"{kinds.total():,} files that no data unit takes ({told}{more}), named in stays_home.jsonl"


def summary(plan: UploadPlan, facts: Facts, settled: Settled, before: Mapping[str, Any] | None) -> str:
    """The plan as text, at most 40 lines, with what has changed since the last one."""
    collection = facts.collection(plan.data_collection)
    storage = facts.default_storage()
    expected = plan.expected
    lines = [f"Upload {plan.name}"]
    for source in plan.sources[:MAX_SOURCES]:
        fills = f"  → {source.spec}" if source.spec else ""
        lines.append(f"  from        {source.path}{fills}{'' if source.recursive else '  (not what lies below it)'}")
    if len(plan.sources) > MAX_SOURCES:
        lines.append(f"              and {len(plan.sources) - MAX_SOURCES} more folders")
    provider = storage.get("provider") or "unknown provider"
    lines.append(f"  to          data collection {plan.data_collection} ({collection.name})")
    lines.append(f"  stored in   {plan.storage} ({storage.get('name') or 'unnamed'}, {provider}), the default storage")
    if plan.project is not None:
        title = facts.project(plan.project).get("title") or facts.project(plan.project).get("name") or ""
        lines.append(f"  tasks in    project {plan.project}{f' ({title})' if title else ''}")
    size = f"{_bytes(expected.bytes)} in {expected.files:,} files"
    lines.append(f"  data units  {expected.units:,}: {in_words(plan.grouping)}; {size}")
    own = {source.spec for source in plan.sources if source.spec}
    lines.append("  specs")
    for spec in plan.specs[:MAX_SPECS]:
        what = " or ".join(
            ["its own source"] * (spec.name in own)
            + ["what the table gives it"] * (plan.grouping.by == "table")
            + [f"files like {spec.pattern}"] * bool(spec.pattern)
            + [" ".join(spec.takes)] * bool(spec.takes and spec.name not in own)
        )
        need = "required" if spec.is_required else "optional"
        count = expected.files_by_spec.get(spec.name, 0)
        share = f"{count / expected.units:.0%} of the units" if expected.units else "no units"
        lines.append(f"    {spec.name}: {what or 'no files'}, {need}, {count:,} files, {share}")
    if len(plan.specs) > MAX_SPECS:
        lines.append(f"    and {len(plan.specs) - MAX_SPECS} more specs")
    lines += summary_lines(plan, facts, settled)
    lines += summary_line(facts, plan.conversions)
    if plan.groups:
        lines.append(f"  groups      {' / '.join(plan.groups)}")
    codes = [*([MISSING] if plan.incomplete == LEAVE_OUT else []), *plan.leave_out]
    lines.append(
        f"  left out    {amount(expected.left_out)} ({', '.join(codes)}), named in left_out.jsonl"
        if expected.left_out
        else "  left out    no data unit" + (f"; by consent, if there were any: {', '.join(codes)}" if codes else "")
    )
    if at_home := _at_home(facts):
        lines.append(f"  stay home   {at_home}")
    odd = facts.walk(sources_of(settled)).problems.as_list()
    unread = [f"{problem.count:,} {problem.code}" for problem in odd if problem.severity == "error"]
    if unread:
        lines.append(f"  not read    {', '.join(unread)}")
    limits = plan.limits
    lines.append(
        f"  limits      files up to {limits.max_file_size_mb:g} MB, {limits.batch_size} units a request, at most "
        f"{limits.workers} transfers at a time, settle after {limits.settle_after_s:g} s"
    )
    if plan.state:
        lines.append(f"  state       {plan.state}")
    changes = diff(before, plan.model_dump(mode="json")) if before else []
    lines += [f"  changed     {change}" for change in changes[:MAX_CHANGES]]
    if len(changes) > MAX_CHANGES:
        lines.append(f"  changed     and {len(changes) - MAX_CHANGES} more fields")
    lines.append(f"  hash        {plan_hash(plan_bytes(plan))}")
    return "\n".join(_cut(redact(printable(line))) for line in lines[:MAX_LINES])


def diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs between two plans: `limits.batch_size: 100 → 50`."""
    old, new = dict(_flat(before)), dict(_flat(after))
    return [
        f"{key}: {_short(old.get(key))} → {_short(new.get(key))}"
        for key in dict.fromkeys([*new, *old])
        if old.get(key) != new.get(key)
    ]


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _flat(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        for number, item in enumerate(value):
            label = item.get("name") or str(number)
            yield from _flat(item, f"{key}.{label}")
    else:
        yield key, value


def _short(value: Any) -> str:
    written = "none" if value is None or value in ([], {}) else json.dumps(value, ensure_ascii=False, default=str)
    return written if len(written) <= 50 else written[:49] + "…"


def _cut(line: str) -> str:
    return line if len(line) <= MAX_WIDTH else line[: MAX_WIDTH - 1] + "…"


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1024
    return ""
