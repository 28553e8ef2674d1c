"""The table of an upload: every decision, in the order in which they are settled."""

from __future__ import annotations

from typing import Any

from synapse_skills.errors import SkillsError
from synapse_skills.planning.agreed import AGREED_ROW
from synapse_skills.planning.answers import one_of, shown, text, text_list
from synapse_skills.planning.conversions import CONVERSIONS, CONVERT
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.fills import OTHERS_ROW, PATTERN, TAKES
from synapse_skills.planning.findings import BATCH, INCOMPLETE, LEAVE, SETTLE, SIZE, WORKERS
from synapse_skills.planning.groupings import DEPTH, ENDINGS, IGNORE, REGEX, TABLE_ROW, TEMPLATE
from synapse_skills.planning.interview import Ask, BadAnswer, Decision, Settled, Table
from synapse_skills.planning.layout import BY
from synapse_skills.planning.metadata_fields import FIELD
from synapse_skills.planning.metadata_meanings import VALUES_FAMILY
from synapse_skills.planning.metadata_rows import ROWS
from synapse_skills.planning.metadata_rules import constants_of
from synapse_skills.planning.metadata_table import KEY, SHEET, TABLE
from synapse_skills.planning.metadata_values import (
    CONSTANTS_FAMILY,
    FOLDERS_FAMILY,
    NAME_ROW,
    SAID_FAMILY,
    SIDECARS_ROW,
)
from synapse_skills.planning.on_agent import KEY as THERE
from synapse_skills.planning.on_agent import ON_AGENT
from synapse_skills.planning.source_logins import CREDENTIALS
from synapse_skills.planning.sources import EACH_RECURSIVE, EACH_SPEC, RECURSIVE, SOURCES
from synapse_skills.planning.target import COLLECTION, NAME, PROJECT, STORAGE

__all__ = ["UPLOAD", "constants_of"]

GROUPS = Decision(
    "groups",
    "Groups",
    "Groups that every data unit belongs to, the outermost first; none unless given.",
    lambda facts, settled: None,
    text_list,
)


def _parse_state(answer: Any, facts: Facts, settled: Settled) -> str:
    from synapse_skills.sources.address import is_url, parse_address

    place: str = text(answer, facts, settled)
    if is_url(place):
        try:
            address = parse_address(place)
        except SkillsError as error:
            raise BadAnswer(f"{error} {error.hint}") from None
        if address.kind in ("http", "https", "memory"):
            raise BadAnswer(f"{shown(answer)} can't be written to: name a folder, or s3://, gs://, sftp:// or smb://.")
        return str(address)
    if not place.startswith("/"):
        raise BadAnswer(f"{shown(answer)} is neither an absolute folder nor a storage URL.")
    return place


def _decide_state(facts: Facts, settled: Settled) -> Ask | None:
    if not settled.get(THERE):
        return None
    return Ask(
        "Where on the cluster may the upload remember what it has done? Give an absolute folder that all its machines "
        "share and that outlives them, not below the files themselves: a job that is stopped or killed goes on from "
        "there, and nothing is uploaded twice. A folder for this job alone, such as "
        f"/mnt/shared/synapse-state/{settled['name']}; it is made."
    )


ENGINE = Decision(
    "engine",
    "Engine",
    "Who fetches, converts and sends the files: one machine, or with `ray` all those of the cluster the job is "
    "submitted to; all of them must see the sources. One makes the data units.",
    lambda facts, settled: None,
    one_of("ray"),
)

STATE = Decision(
    "state",
    "State",
    "A folder or storage URL that outlives the worker, for what a run remembers; beside the job unless given.",
    _decide_state,
    _parse_state,
    needs=("name",),
)

EXPECTED = Decision(
    "expected",
    "Counts",
    "`dry-run` accepts what an edited script counts; otherwise the plan's own counts hold.",
    lambda facts, settled: None,
    one_of("dry-run", "plan"),
)

UPLOAD: Table = (
    ON_AGENT,
    SOURCES,
    RECURSIVE,
    EACH_RECURSIVE,
    CREDENTIALS,
    COLLECTION,
    EACH_SPEC,
    NAME,
    STORAGE,
    PROJECT,
    TABLE,
    SIDECARS_ROW,
    CONSTANTS_FAMILY,
    CONVERT,
    CONVERSIONS,
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
    SHEET,
    KEY,
    FOLDERS_FAMILY,
    NAME_ROW,
    FIELD,
    VALUES_FAMILY,
    SAID_FAMILY,
    ROWS,
    LEAVE,
    AGREED_ROW,
    GROUPS,
    ENGINE,
    STATE,
    EXPECTED,
)
