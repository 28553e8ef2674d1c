"""The plan as text, as a user approves it: at most 40 lines, and no decision is cut off."""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from synapse_skills.errors import printable, redact
from synapse_skills.plan import Limits, UploadPlan, plan_bytes, plan_hash
from synapse_skills.planning.conversions import summary_line
from synapse_skills.planning.counted import MISSING, amount
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.findings import DEFAULT, LEAVE_OUT, UNITS, WORDS, counted, limits_of
from synapse_skills.planning.groupings import in_words
from synapse_skills.planning.interview import Settled
from synapse_skills.planning.metadata_rules import example_lines, metadata_lines, schema_lines
from synapse_skills.planning.sources import sources_of
from synapse_skills.report import UploadReport
from synapse_skills.sources.source import suffix_of
from synapse_skills.texts import human_bytes

MAX_LINES = 40
MAX_SPECS = 10
FEW_SPECS = 5
MAX_SOURCES = 5
MAX_CHANGES = 6
MAX_WIDTH = 160
MAX_KINDS = 5
MAX_SHORT = 50
INDENT = 14


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


def summary(
    plan: UploadPlan, facts: Facts, settled: Settled, before: Mapping[str, Any] | None, report: UploadReport
) -> str:
    """The plan as text, at most 40 lines, with what has changed since the last one; `report` is of its dry run."""
    above, below = _above(plan, facts, settled) + so_far(report), _below(plan, facts, settled)
    total = counted(facts, settled, limits_of(settled), guard=True)
    example = [f"  for example {line}" for line in example_lines(total.example)] if plan.metadata else []
    changes = diff(before, plan.model_dump(mode="json")) if before else []
    for specs, most_changes in ((MAX_SPECS, MAX_CHANGES), (MAX_SPECS, 1), (FEW_SPECS, 1), (FEW_SPECS, 0)):
        fixed = [*above, *_specs(plan, specs), *wrapped([*metadata_lines(plan), *example])]
        ending = [*_converted(plan, facts, settled), *below, *changed_lines(changes, most_changes)]
        ending.append(f"  hash        {plan_hash(plan_bytes(plan))}")
        room = MAX_LINES - len(fixed) - len(ending)
        schema = schema_lines(facts, settled, room)
        if len(schema) <= room:
            break
    return "\n".join([*fixed, *schema, *ending][:MAX_LINES])


def _above(plan: UploadPlan, facts: Facts, settled: Settled) -> list[str]:
    """What is sent where."""
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
    size = f"{human_bytes(expected.bytes)} in {expected.files:,} files"
    lines.append(f"  data units  {expected.units:,}: {in_words(plan.grouping)}; {size}")
    return wrapped(lines)


def so_far(report: UploadReport) -> list[str]:
    """What earlier runs have come to, and what of it the next one leaves alone; no line if there were none."""
    found = {problem.code: problem.count for problem in report.problems}
    told = [
        (report.already, "are there already"),
        (found.get("refused-before", 0), "were refused, and are sent again only with --retry-failed"),
        (found.get("outcome-unknown", 0), "are without an answer, and sent again only with --retry-unknown"),
    ]
    words = "; ".join(f"{count:,} {what}" for count, what in told if count)
    return wrapped([f"  so far      {words}"] if words else [])


def _specs(plan: UploadPlan, most: int) -> list[str]:
    expected = plan.expected
    own = {source.spec for source in plan.sources if source.spec}
    lines = ["  specs"]
    for spec in plan.specs[:most]:
        what = " or ".join(
            ["its own source"] * (spec.name in own)
            + ["what the table gives it"] * (plan.grouping.by == "table")
            + [f"files like {spec.pattern}"] * bool(spec.pattern)
            + [" ".join(spec.takes)] * bool(spec.takes and spec.name not in own)
        )
        need = "required" if spec.is_required else "optional"
        count = expected.files_by_spec.get(spec.name, 0)
        share = f"{count / expected.units:.0%} of the units" if expected.units else "no units"
        without = f": {amount(expected.units - count)} without" if 0 < count < expected.units else ""
        lines.append(f"    {spec.name}: {what or 'no files'}, {need}, {count:,} files, {share}{without}")
    if len(plan.specs) > most:
        lines.append(f"    and {len(plan.specs) - most} more specs")
    return wrapped(lines)


def _converted(plan: UploadPlan, facts: Facts, settled: Settled) -> list[str]:
    if not plan.conversions:
        return []
    return wrapped(summary_line(plan.conversions, counted(facts, settled, limits_of(settled), guard=True)))


def _below(plan: UploadPlan, facts: Facts, settled: Settled) -> list[str]:
    """Groups, what stays at home, limits."""
    expected, lines = plan.expected, []
    if plan.groups:
        lines.append(f"  groups      {' / '.join(plan.groups)}")
    codes = [*([MISSING] if plan.incomplete == LEAVE_OUT else []), *plan.leave_out]
    why = " or ".join(WORDS[code][0] for code in codes if code in UNITS)
    lines.append(
        f"  left out    {amount(expected.left_out)} that {why}: by your word, each named in left_out.jsonl"
        if expected.left_out
        else "  left out    no data unit" + (f"; by your word it would be any that {why}" if why else "")
    )
    if at_home := _at_home(facts):
        lines.append(f"  stay home   {at_home}")
    odd = facts.walk(sources_of(settled)).problems.as_list()
    unread = [f"{problem.count:,} {problem.code}" for problem in odd if problem.severity == "error"]
    if unread:
        lines.append(f"  not read    {', '.join(unread)}")
    if limits := _limits(plan.limits):
        lines.append(f"  limits      {limits}")
    if plan.engine:
        lines.append("  engine      ray: all machines of the cluster fetch, convert and send the files")
    if plan.state:
        lines.append(f"  state       {plan.state}")
    return wrapped(lines)


def _limits(limits: Limits) -> str:
    """What is not as always, in words; '' if all is."""
    words = {
        "max_file_size_mb": f"files up to {limits.max_file_size_mb:g} MB",
        "batch_size": f"{amount(limits.batch_size)} made by one request",
        "workers": f"at most {limits.workers} files on their way at once",
        "settle_after_s": f"a request without an answer is looked up after {limits.settle_after_s:g} s",
    }
    return ", ".join(told for name, told in words.items() if getattr(limits, name) != getattr(DEFAULT, name))


def changed_lines(changes: Sequence[str], most: int) -> list[str]:
    """What has changed since the last plan, a line each."""
    lines = [f"  changed     {change}" for change in changes[:most]]
    if len(changes) > most:
        rest = len(changes) - most
        lines.append(f"  changed     and {rest} more fields" if most else f"  changed     {rest} fields")
    return wrapped(lines)


def wrapped(lines: Sequence[str]) -> list[str]:
    """Lines as wide as a terminal may be: what is longer goes on below, for it may hold a decision."""
    found = []
    for line in lines:
        plain = redact(printable(line))
        found += (
            textwrap.wrap(
                plain, MAX_WIDTH, subsequent_indent=" " * INDENT, break_on_hyphens=False, drop_whitespace=False
            )
            if len(plain) > MAX_WIDTH
            else [plain]
        )
    return [line.rstrip() for line in found]


def diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs between two plans: `limits.batch_size: 100 → 50`; what is about metadata in words."""
    old, new = (dict(_flat(_by_kind(plan))) for plan in (before, after))
    told = [
        _told(key, old.get(key), new.get(key))
        for key in dict.fromkeys([*new, *old])
        if old.get(key) != new.get(key) and not _goes_without_saying(key, old, new)
    ]
    return list(dict.fromkeys(filter(None, told)))


def _by_kind(plan: Mapping[str, Any]) -> dict[str, Any]:
    """A plan whose metadata rules are named by their kind, so that one more does not shift the others."""
    rules = plan.get("metadata")
    if not isinstance(rules, list) or not all(isinstance(rule, Mapping) for rule in rules):
        return dict(plan)
    own = {
        str(rule.get("kind")): {name: value for name, value in rule.items() if name != "kind" and value}
        for rule in rules
    }
    return {**plan, "metadata": own}


def _told(key: str, old: Any, new: Any) -> str:
    if key == "metadata.table.sha256" and old is not None and new is not None:
        return "the table was edited, or other rows and columns of it count"
    if key == "metadata.table.sha256" or key == "metadata.table.table":
        return "metadata comes from a table" if new is not None else "metadata comes from no table any more"
    if key == "metadata.table.rows" and old is not None and new is not None:
        return f"data units with a row in the table: {old:,} → {new:,}"
    if field := re.fullmatch(r"metadata\.(table|sidecars)\.fields\.(.+)", key):
        what = "column" if field[1] == "table" else "sidecars' key"
        return f"{what} {field[2]} gives: {_field(old)} → {_field(new)}"
    if value := re.fullmatch(r"metadata\.(constants|said|folders)\.(values|folders)\.(.+)", key):
        return f"{value[1]} {value[3]}: {_short(old)} → {_short(new)}"
    return f"{key}: {_short(old)} → {_short(new)}"


def _field(name: Any) -> str:
    return "its own name, or nothing" if name is None else str(name) or "nothing"


def _goes_without_saying(key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """What follows from another change that is told."""
    one_table = all("metadata.table.sha256" in plan for plan in (old, new))
    return key.startswith("metadata.table.") and key != "metadata.table.sha256" and not one_table


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
    if len(written) <= MAX_SHORT:
        return written
    # Paths differ at their end.
    is_path = isinstance(value, str) and "/" in value
    return f'"…{written[2 - MAX_SHORT :]}' if is_path else f"{written[: MAX_SHORT - 1]}…"
