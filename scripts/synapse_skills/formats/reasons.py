"""Why a format does not hold an annotation, in words: for plans, documents and pages."""

from __future__ import annotations

import re

REASONS = {
    "not-held": "a shape, or a kind of medium, that the format does not have",
    "tool-left-out": "its tool is not in tools",
    "rotated": "a box that stands askew",
    "holes": "a shape with holes",
    "no-size": "the size of its picture is not known",
    "no-geometry": "it has no geometry",
    "bad-geometry": "its geometry can't be understood",
    "too-few-points": "too few points to be a shape",
    "zero-area": "a shape without an area",
    "outside": "it runs out of its picture",
    "occluded": "others lie on all of its pixels",
    "too-many": "more objects in one picture, or more classes, than an index picture can number",
    "no-group": "a keypoint that belongs to no group",
    "unknown-keypoint": "a keypoint that its skeleton does not have",
    "duplicate-keypoint": "the same keypoint twice in one group",
    "no-keypoints": "a box without keypoints in it",
    "unknown-class": "its class is not in the list, and classes.unknown is not add",
    "unlabelled": "it has no class",
    "dropped": "its class is in classes.drop, or not in classes.keep",
    "record-quarantined": "its record was set aside",
    "not-converted": "convert in the script made nothing of its record",
    "convert-failed": "convert in the script raised an error: the report says which, and in which line",
    "writer-failed": "a bug of ours in writing it: report it",
    "not-in-payload": "the payload as it came does not hold it in a form that can be cut out",
    "duplicate-id": "another annotation has its id",
    "geometry-alone": "geometry that belongs to no annotation",
    "bad-annotation": "it is no object",
    "bad-relation": "a relation that is no object",
}
"""Why a format does not hold an annotation, as reports and `losses.FORMAT.REASON` call it."""


NOT_HELD = "not-held"
TOOL_LEFT_OUT = "tool-left-out"


def not_held(what: str) -> str:
    """The reason for a tool, or a kind of medium, that a format has no place for."""
    word = re.sub(r"[^a-z0-9]+", "-", what.casefold()).strip("-")
    return f"{word}-{NOT_HELD}" if word else NOT_HELD


def words_of(reason: str, unknown: str | None = None) -> str:
    """What a reason means; itself, or `unknown`, if nobody knows."""
    if reason not in REASONS and reason.endswith(f"-{NOT_HELD}"):
        return f"{reason.removesuffix(f'-{NOT_HELD}').replace('-', ' ')} has no place in this format"
    return REASONS.get(reason, reason if unknown is None else unknown)


def in_words(reason: str) -> str:
    """A reason as a person reads it."""
    return f"{reason}: {words}" if (words := words_of(reason, "")) else reason
