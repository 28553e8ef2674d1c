"""Classes of an export: their order, what they are called, which are left out, and what a new one means."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from synapse_skills.errors import SkillsError, UsageError, printable
from synapse_skills.export_plan import ClassesPlan
from synapse_skills.planning.answers import MAX_ANSWERS_BYTES, one_of, shown
from synapse_skills.planning.export_facts import ExportFacts
from synapse_skills.planning.export_filters import RECORDS, sample_of
from synapse_skills.planning.export_tools import ALL_CLASSES, options_of, tools_of
from synapse_skills.planning.interview import (
    Ask,
    BadAnswer,
    Decision,
    Inferred,
    Option,
    Refuse,
    Settled,
    Stopped,
)

MAX_CLASSES = 10_000


def classes_of(settled: Settled) -> ClassesPlan:
    """The classes as the plan has them."""
    mapping = dict(settled.get("classes.map") or {})
    return ClassesPlan(
        # Without an order no format asks for classes; what they are renamed to is one all the same.
        order=tuple(settled.get("classes.order") or dict.fromkeys(mapping.values())),
        map=mapping,
        drop=tuple(settled.get("classes.drop") or ()),
        keep=tuple(settled.get("classes.keep") or ()),
        unknown=settled.get("classes.unknown", "fail"),
        unlabelled=settled.get("classes.unlabelled", "fail"),
    )


def configured(project: Mapping[str, Any], without: Collection[str] = ()) -> list[str]:
    """The classes of a project's configuration in their order, in either of the two shapes that it comes in.

    Args:
        without: tools whose classes are not wanted.
    """
    configuration = project.get("configuration")
    tools = configuration.get("classification") if isinstance(configuration, Mapping) else None
    names: dict[str, None] = {}
    for tool, given in tools.items() if isinstance(tools, Mapping) else ():
        if tool in without:
            continue
        listed = given.get("classification_schema") if isinstance(given, Mapping) else given
        for entry in listed if isinstance(listed, list) else ():
            name = entry.get("code") if isinstance(entry, Mapping) else entry
            if isinstance(name, str) and name.strip():
                names[_composed(name)] = None
    return list(names)


def _composed(name: str) -> str:
    import unicodedata

    return unicodedata.normalize("NFC", name).strip()


def _configured(facts: ExportFacts, settled: Settled) -> list[str]:
    """Of the project; a ground truth's is asked for, and does without if nobody tells."""
    number = settled.get("project")
    if number is None:
        number = facts.ground_truth(settled["ground_truth_version"]).get("project")
    if not isinstance(number, int):
        return []
    try:
        return configured(facts.project(int(number)), _tools_without_place(facts, settled))
    except SkillsError:
        if settled["target"] != "ground_truth":
            raise
        return []


def needs_classes(facts: ExportFacts, settled: Settled) -> bool:
    """Whether any format asks for the class of an annotation: its writer says so of the sample."""
    return bool(_asking(facts, settled))


def _asking(facts: ExportFacts, settled: Settled) -> list[str]:
    """The formats that ask for the class of an annotation; one of the script's own may, so it does."""
    sample, asking = sample_of(facts, settled), {"unknown-class", "unlabelled"}
    return [
        name
        for name in settled["formats"]
        if facts.form(name).by_script or asking & set(facts.tried(sample, name, {}, ClassesPlan()).lost)
    ]


def _held(facts: ExportFacts, settled: Settled) -> tuple[Counter[str], Counter[str]]:
    """Classes and tools of the sample that some format holds, whatever becomes of the classes."""
    labels: Counter[str] = Counter()
    tools: Counter[str] = Counter()
    for name in _asking(facts, settled):
        done = facts.tried(
            sample_of(facts, settled), name, options_of(settled, name), ALL_CLASSES, tools=tools_of(facts, settled)
        )
        labels |= done.labels
        tools |= done.kept
    return labels, tools


def _tools_without_place(facts: ExportFacts, settled: Settled) -> set[str]:
    """Tools whose classes no format needs: not exported, or held by none of them."""
    from typing import get_args

    from synapse_skills.annotations.model import Tool

    exported, seen = tools_of(facts, settled), sample_of(facts, settled).tools
    left_out = {tool for tool in get_args(Tool) if exported and tool not in exported}
    return left_out | {tool for tool in seen if tool not in _held(facts, settled)[1]}


def _decide_order(facts: ExportFacts, settled: Settled) -> Inferred | None:
    if not needs_classes(facts, settled):
        return None
    from synapse_skills.annotations.labels import natural

    own = _configured(facts, settled)
    mapping, dropped = settled.get("classes.map") or {}, set(settled.get("classes.drop") or ())
    order = dict.fromkeys(mapping.get(name, name) for name in own if name not in dropped)
    held = _held(facts, settled)[0]
    seen = [name for name in sorted(held, key=natural) if name not in dropped]
    more = [name for name in dict.fromkeys(mapping.get(name, name) for name in seen) if name not in order]
    # A name that others are given exists from then on.
    more += [name for name in dict.fromkeys(mapping.values()) if name not in order and name not in more]
    if keep := settled.get("classes.keep"):
        names = [name for name in [*order, *more] if name in keep]
        return Inferred([*names, *(name for name in keep if name not in names)], "the classes of classes.keep")
    if order:
        because = f"{len(order):,} classes in the order of the project's configuration" + (
            f", then {len(more):,} that only the records have: {', '.join(map(printable, more[:3]))}" if more else ""
        )
    else:
        because = f"no project's configuration names classes: the {len(more):,} of the sample, in natural order"
    if rest := [name for name in sample_of(facts, settled).classes if name not in held and name not in order]:
        because += f"; without {len(rest):,} that only tools have which no format of these holds"
    return Inferred([*order, *more], because)


def _names(answer: Any) -> list[str]:
    parts = answer.split(",") if isinstance(answer, str) else answer
    if not isinstance(parts, list) or not all(isinstance(part, str) and part.strip() for part in parts):
        raise BadAnswer(f"{shown(answer)} is not a list of classes.")
    names = [_composed(part) for part in parts]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadAnswer(f"{shown(twice)} stands twice.")
    if len(names) > MAX_CLASSES:
        raise BadAnswer(f"More than {MAX_CLASSES:,} classes.")
    return names


def _parse_order(answer: Any, facts: ExportFacts, settled: Settled) -> list[str]:
    names = _names(answer)
    for label, name in (settled.get("classes.map") or {}).items():
        if name not in names:
            raise BadAnswer(f"classes.map gives {shown(label)} the name {shown(name)}, which is not in the list.")
    return names


ORDER = Decision(
    "classes.order",
    "Classes",
    "The classes in their order, which is their number: a list. --classes FILE gives it in a file.",
    _decide_order,
    _parse_order,
    needs=("formats", RECORDS, "classes.map", "classes.drop", "classes.keep"),
)


def _parse_map(answer: Any, facts: ExportFacts, settled: Settled) -> dict[str, str]:
    if not isinstance(answer, dict) or not all(isinstance(name, str) and name.strip() for name in answer.values()):
        raise BadAnswer(f'{shown(answer)} is no object such as {{"Car": "car", "van": "car"}}.')
    mapping = {_composed(label): _composed(name) for label, name in answer.items()}
    if both := sorted(set(mapping) & set(settled.get("classes.drop") or ())):
        raise BadAnswer(f"{shown(both[0])} is both renamed and left out.")
    return mapping


def _parse_keep(answer: Any, facts: ExportFacts, settled: Settled) -> list[str]:
    names, mapping = _names(answer), settled.get("classes.map") or {}
    known = {*_configured(facts, settled), *sample_of(facts, settled).classes} - set(mapping) | {*mapping.values()}
    if wrong := next((name for name in names if name not in known), None):
        near = difflib.get_close_matches(wrong, known, n=1, cutoff=0.0)
        renamed = f" It is written as {shown(mapping[wrong])}." if wrong in mapping else ""
        meant = f" Did you mean {printable(near[0])}?" if near and not renamed else ""
        raise BadAnswer(f"There is no class {shown(wrong)}.{renamed}{meant}")
    return names


KEEP = Decision(
    "classes.keep",
    "Keep classes",
    "The only classes that are kept, as they are written: a list. Annotations of all others are lost by consent.",
    lambda facts, settled: None,
    _parse_keep,
    needs=("formats", RECORDS, "classes.map"),
)
DROP = Decision(
    "classes.drop",
    "Drop classes",
    "Classes that are left out: a list. Their annotations are counted as lost by consent.",
    lambda facts, settled: None,
    lambda answer, facts, settled: _names(answer),
)
MAP = Decision(
    "classes.map",
    "Rename",
    "Class as it was labelled → class as it is written: renames, and merges where several get one name.",
    lambda facts, settled: None,
    _parse_map,
    needs=("classes.drop",),
)


# ---- what is in none of them


def _unknown_in(facts: ExportFacts, settled: Settled) -> dict[str, int]:
    """Classes of the sample that are neither listed nor renamed nor dropped, the most frequent first."""
    plan = classes_of(settled)
    known = {*plan.order, *plan.map, *plan.drop}
    return {name: count for name, count in _held(facts, settled)[0].most_common() if name not in known}


def _decide_unknown(facts: ExportFacts, settled: Settled) -> Inferred | Ask | None:
    if "classes.order" not in settled or "classes.keep" in settled:
        return None
    unknown = _unknown_in(facts, settled)
    add = Option("Append them", "add", "They follow the list, in natural order: other exports don't have them")
    drop = Option("Leave them out", "drop", "Their annotations are counted as lost")
    fail = Option("Leave them out and say so", "fail", "Counted as lost, and the export ends as one that is not whole")
    if unknown:
        names = ", ".join(f"{printable(name)} ({count:,})" for name, count in list(unknown.items())[:5])
        more = f" and {len(unknown) - 5:,} more" if len(unknown) > 5 else ""
        same = json.dumps({next(iter(unknown)): next(iter(classes_of(settled).order), "")}, ensure_ascii=False)
        return Ask(
            f"There are classes that are not in the list: {names}{more}. What about them? One that is another name of "
            f"a listed class is said so: classes.map={printable(same)}.",
            (drop, add, fail) if "classes.order" in facts.answers else (add, drop, fail),
        )
    sample = sample_of(facts, settled)
    if len(sample.records) + len(sample.unread) >= settled[RECORDS]:
        return Inferred("fail", "all records were looked at: there is no other class")
    if _configured(facts, settled):
        return Inferred("fail", "the project's configuration names the classes: another one would be a mistake")
    return Ask(
        f"Only {len(sample.records):,} of {settled[RECORDS]:,} records were looked at, and nobody has listed the "
        "classes. What if the rest holds another class?",
        (add, fail, drop),
    )


def _parse_unknown(answer: Any, facts: ExportFacts, settled: Settled) -> str:
    word = one_of("add", "fail", "drop")(answer, facts, settled)
    is_open = "classes.order" in settled and "classes.keep" not in settled
    unknown = _unknown_in(facts, settled) if is_open else {}
    if word == "fail" and unknown:
        refusal = Refuse(
            "unknown-class",
            f"The sample holds {printable(next(iter(unknown)))}, which is not in the list of classes.",
            "Add it to classes.order, rename it with classes.map, leave it out with classes.drop, or say "
            "classes.unknown=add.",
            count=sum(unknown.values()),
            examples=tuple(f"{printable(name)}: {count:,} annotations" for name, count in list(unknown.items())[:3]),
        )
        raise Stopped(refusal, word)
    return word


UNKNOWN = Decision(
    "classes.unknown",
    "New classes",
    "A class that is not in the list: `fail`, `add` (append it), or `drop` (lose its annotations).",
    _decide_unknown,
    _parse_unknown,
    needs=("classes.order",),
)


def _decide_unlabelled(facts: ExportFacts, settled: Settled) -> Inferred | Ask | None:
    if "classes.order" not in settled:
        return None
    sample, tools = sample_of(facts, settled), tools_of(facts, settled)
    lost = {
        name: facts.tried(sample, name, options_of(settled, name), classes_of(settled), tools=tools).lost["unlabelled"]
        for name in settled["formats"]
    }
    if "classes.keep" in settled:
        return Inferred("drop", "only the classes of classes.keep are kept")
    if not any(lost.values()):
        return None
    return Ask(
        f"{max(lost.values()):,} of {sample.total:,} sampled annotations have no class. What about them?",
        (
            Option("Leave them out", "drop", "They are counted as lost"),
            Option("Stop", "fail", "Give them a class in Synapse first"),
        ),
    )


def _parse_unlabelled(answer: Any, facts: ExportFacts, settled: Settled) -> str:
    word = one_of("drop", "fail")(answer, facts, settled)
    if word == "fail" and _decide_unlabelled(facts, settled) is not None:
        refusal = Refuse(
            "no-class",
            "Annotations of the sample have no class.",
            "Give them a class in Synapse, or say classes.unlabelled=drop.",
        )
        raise Stopped(refusal, word)
    return word


UNLABELLED = Decision(
    "classes.unlabelled",
    "No class",
    "An annotation without a class: `fail` or `drop`.",
    _decide_unlabelled,
    _parse_unlabelled,
    needs=("classes.unknown",),
)

CLASSES = (DROP, MAP, KEEP, ORDER, UNKNOWN, UNLABELLED)


# ---- from a file


def read_classes(path: Path) -> dict[str, Any]:
    """The answers that `--classes FILE` gives: a text with a class a line, a JSON list, or `{order, map, drop, keep}`.

    Raises:
        UsageError: it can't be read, or is none of these.
    """
    where = printable(str(path))
    try:
        content = path.read_bytes() if path.stat().st_size <= MAX_ANSWERS_BYTES else None
    except OSError as error:
        raise UsageError(
            f"{where} can't be read: {error.strerror}.", hint="Check the path given to --classes."
        ) from None
    try:
        text = None if content is None else content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = None
    if text is None:
        raise _bad_file(where)
    if not text.lstrip().startswith(("[", "{")):
        names = [line.strip() for line in text.splitlines() if line.strip()]
        if not names:
            raise _bad_file(where)
        return {"classes.order": names}
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise _bad_file(where) from None
    if isinstance(document, list):
        return {"classes.order": document}
    if not set(document) <= {"order", "map", "drop", "keep"}:
        raise _bad_file(where)
    return {f"classes.{name}": value for name, value in document.items()}


def _bad_file(where: str) -> UsageError:
    return UsageError(
        f"{where} is no list of classes.",
        hint='It is a text with a class a line, a JSON list, or {"order": [], "map": {}, "drop": []}.',
        code="bad-classes-file",
    )
