"""The table of an upload: every decision, in the order in which they are settled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synapse_skills.errors import FindingError
from synapse_skills.planning.answers import one_of, shown, text, text_list
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.fills import OTHERS_ROW, PATTERN, TAKES
from synapse_skills.planning.findings import BATCH, INCOMPLETE, LEAVE, SETTLE, SIZE, WORKERS
from synapse_skills.planning.groupings import DEPTH, ENDINGS, IGNORE, REGEX, TABLE_ROW, TEMPLATE
from synapse_skills.planning.interview import BadAnswer, Decision, Family, Settled, Table
from synapse_skills.planning.layout import BY
from synapse_skills.planning.sources import EACH_RECURSIVE, EACH_SPEC, RECURSIVE, SOURCES
from synapse_skills.planning.target import COLLECTION, NAME, PROJECT, STORAGE

CONSTANTS = "metadata.constants."
SAMPLE_KEY = "unit-1"


def constants_of(settled: Settled) -> dict[str, Any]:
    """The metadata that every data unit gets."""
    return {
        key.removeprefix(CONSTANTS): value
        for key, value in sorted(settled.items())
        if key.startswith(CONSTANTS) and not key.endswith("*")
    }


def _expand_constants(facts: Facts, settled: Settled, answers: Mapping[str, Any]) -> Iterator[Decision]:
    """One row for each constant that was given. The collection's schema is held against all of them at once."""
    from synapse_skills.metadata import MetaCheck

    given = {key: value for key, value in answers.items() if METADATA.covers(key)}
    collection = facts.collection(settled["data_collection"])
    if collection.meta_schema is not None:
        values = {key.removeprefix(CONSTANTS): value for key, value in given.items()}
        _, errors = MetaCheck(collection.meta_schema).complete(values, SAMPLE_KEY)
        if errors:
            raise FindingError(
                f"The metadata schema of data collection {collection.id} is not satisfied: "
                f"{'; '.join(map(str, errors[:5]))}",
                hint="Give what is the same for all data units with --set metadata.constants.FIELD=VALUE, or another "
                "collection: values that differ can't be given by this version yet.",
                code="meta-schema",
            )
    for key in sorted(given):
        yield Decision(key, "Metadata", "A value for every data unit.", lambda facts, settled: None, _parse_constant)


def _parse_constant(answer: Any, facts: Facts, settled: Settled) -> Any:
    return answer


METADATA = Family(
    CONSTANTS + "*",
    "Metadata",
    "A metadata field that is the same for every data unit; the value is JSON or text.",
    _expand_constants,
    needs=("data_collection",),
)

GROUPS = Decision(
    "groups",
    "Groups",
    "Groups that every data unit belongs to, the outermost first; none unless given.",
    lambda facts, settled: None,
    text_list,
)


def _parse_state(answer: Any, facts: Facts, settled: Settled) -> str:
    place: str = text(answer, facts, settled)
    if not place.startswith("/") and "://" not in place:
        raise BadAnswer(f"{shown(answer)} is neither an absolute folder nor a storage URL.")
    return place


STATE = Decision(
    "state",
    "State",
    "A folder or storage URL that outlives the worker, for what a run remembers; beside the job unless given.",
    lambda facts, settled: None,
    _parse_state,
)

EXPECTED = Decision(
    "expected",
    "Counts",
    "`dry-run` accepts what an edited script counts; otherwise the plan's own counts hold.",
    lambda facts, settled: None,
    one_of("dry-run", "plan"),
)

UPLOAD: Table = (
    SOURCES,
    RECURSIVE,
    EACH_RECURSIVE,
    COLLECTION,
    EACH_SPEC,
    NAME,
    STORAGE,
    PROJECT,
    METADATA,
    BY,
    DEPTH,
    IGNORE,
    ENDINGS,
    REGEX,
    TEMPLATE,
    TABLE_ROW,
    OTHERS_ROW,
    TAKES,
    PATTERN,
    SIZE,
    BATCH,
    WORKERS,
    SETTLE,
    INCOMPLETE,
    LEAVE,
    GROUPS,
    STATE,
    EXPECTED,
)
