"""Settled decisions → plan, left_out.jsonl and stays_home.jsonl."""

from __future__ import annotations

import json
from collections.abc import Iterator

from synapse_skills.errors import printable, redact
from synapse_skills.plan import Expected, SourcePlan, UploadPlan
from synapse_skills.planning.conversions import conversions_for
from synapse_skills.planning.counted import MISSING, with_metadata
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.fills import filled_sources, specs_of
from synapse_skills.planning.findings import consented, counted, limits_of
from synapse_skills.planning.interview import Settled
from synapse_skills.planning.layout import grouping_of
from synapse_skills.planning.metadata_facts import aside_of
from synapse_skills.planning.metadata_rules import meta_of, metadata_rules
from synapse_skills.planning.on_agent import units_of
from synapse_skills.planning.source_logins import opened_with


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
            SourcePlan(
                path=source.path,
                recursive=source.recursive,
                spec=source.spec,
                storage=source.storage,
                credentials=opened_with(settled, number),
            )
            for number, source in enumerate(filled_sources(facts, settled), 1)
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
        engine=settled.get("engine"),
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
