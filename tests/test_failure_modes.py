"""What usually goes wrong with uploads and exports: each has a code with cause and remedy, or says why it has none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from synapse_skills.formats.reasons import REASONS
from test_troubleshooting import documented

SKILLS = Path(__file__).resolve().parents[1] / "skills"
UPLOAD = SKILLS / "synapse-upload-workflow" / "references" / "troubleshooting.md"
EXPORT = SKILLS / "synapse-export-workflow" / "references" / "troubleshooting.md"

# What happens: codes that name it. Words in a list are the beginning of a row under "What has no code".
UPLOADS: dict[str, tuple[str, ...] | list[str]] = {
    "a required file is missing": ("missing-required-spec", "collection-does-not-fit"),
    "two specs take the same extension": ("specs-overlap",),
    "several files for one spec": ("several-candidates",),
    "files vanish or fail on the way": ("vanished", "transfer-failed", "changed-while-reading"),
    "the same is uploaded again": ("matched-in-part", "matched-by-name", "foreign-identical"),
    "a create is sent and not answered": ("outcome-unknown",),
    "a confirmation is lost": ["the answer to a confirmation"],
    "the content guard refuses a file": ("refused-by-guard",),
    "metadata does not fit the schema": ("meta-invalid", "bad-meta-schema", "schema-doubt"),
    "a wrong or doubled key in a workbook": ("no-key-column", "table-duplicate-key", "metadata-duplicate-key"),
    "rows without units, units without rows": ("row-without-unit", "unit-without-row"),
    "odd cells": ("table-error-cell", "table-mixed-kinds", "table-long-number", "key-zeros", "not-json"),
    "the worker does not see the files": ("source-must-be-there", "source-missing", "place-not-proved"),
    "secrets or too much in what ships": ("secret-in-job", "package-too-large"),
    "the worker lacks a library": ("missing-library", "not-pinned"),
    "logged in, but something is down": ("backend-unreachable", "no-agent", "dashboard-unreachable", "submit-hung"),
    "another storage than was meant": ("storage-not-default", "storage-changed", "no-default-storage"),
    "a storage that gives out no links": ["the default storage gives out no links"],
    "the disk is full": ("disk-full",),
    "a remote file is cut off or another one": ("source-cut", "source-changed"),
    "empty, unreadable or odd files": ("empty-file", "unreadable-file", "special-file", "junk-set-aside"),
    "links out of the folder": ("link-outside", "link-broken"),
    "names that other systems can't hold or tell apart": (
        "undecodable-name",
        "name-collision-nfc",
        "name-collision-case",
    ),
    "the backend is slow or overloaded": ("rate-limited", "backend-error", "create-fails"),
    "too much in one request": ["a list of data units is too large"],
    "less has arrived than is said": ("fewer-on-backend", "differs-from-plan"),
    "a unit in no count": ["a data unit was planned"],
    "the token ends in the middle": ("login-refused",),
    "a link has expired": ["a link to the storage has expired"],
    "a collection without specifications": ("no-specs", "no-collection"),
    "a mistyped spec": ("no-such-spec",),
    "it was stopped": ("interrupted",),
    "two runs at once": ("already-running", "state-taken"),
}
EXPORTS: dict[str, tuple[str, ...] | list[str]] = {
    "no scope: everything would be exported": ("no-scope",),
    "a mistyped filter": ("unknown-filter", "outside-scope"),
    "a class that is in no list": ("unknown-class",),
    "the picture's size is not known": ("no-size",),
    "two files of one name": ["two files of one name"],
    "boxes out of the picture, or without area": ("lost-annotations", "box-outside", "box-empty"),
    "whole pixels in VOC": ["a box that has other numbers in VOC"],
    "category ids that start at 0 or differ": ("category-ids", "categories-differ"),
    "ids twice": ("image-ids", "annotation-ids"),
    "another split each time": ["the split is another one"],
    "what belongs together stands in two parts": ("split-leak", "shared-originals"),
    "originals are missing or wrong": ("originals-missing", "missing-picture"),
    "a name that leads out of the folder, or that no disk holds": ["a name that leads elsewhere"],
    "links expire": ["a link has expired", "payload-missing"],
    "the list is short, or never ends": ("list-in-circle", "nothing-inspected", "count-differs"),
    "a record without readable data": ("unreadable-record", "payload-missing"),
    "geometry that belongs to nothing": ("lost-annotations",),
    "a format that holds less": ("would-be-lost", "lost-annotations", "changed-shape"),
    "one bad record": ("unreadable-record", "keep-failed"),
    "errors that no waiting mends": ("login-refused", "not-found", "refused"),
    "several records of one data unit": ("left-out",),
    "discarded work": ("discarded-included",),
    "turned photos": ["a photo stands upright"],
    "lists of ids": ["a list of ids"],
    "polygons that are none": ("lost-annotations", "bad-polygon"),
    "odd class names": ["class names with odd letters"],
    "the disk is full": ("no-room", "disk-full"),
    "records change while they are exported": ("edited-during-run", "still-edited", "edits-unknown"),
    "classes that were planned and not drawn": ["a class that nobody has drawn"],
}


def without_code(page: Path) -> list[str]:
    """The first column under "What has no code", for the rows that say something in the second."""
    part = page.read_text(encoding="utf-8").partition("## What has no code\n")[2]
    return [what.strip() for what, why in re.findall(r"^\| (?!-|what )(.+?) \| (.{20,}) \|$", part, re.MULTILINE)]


@pytest.mark.parametrize(("page", "modes"), [(UPLOAD, UPLOADS), (EXPORT, EXPORTS)], ids=["upload", "export"])
def test_whatever_usually_goes_wrong_is_answered(page: Path, modes: dict[str, tuple[str, ...] | list[str]]) -> None:
    # That each documented code is one that the library says, and the other way round, is tested beside this.
    codes, uncoded = set(documented(page)), without_code(page)
    assert len(uncoded) >= 5
    for mode, named in modes.items():
        if isinstance(named, list):
            assert any(row.startswith(named[0]) for row in uncoded), mode
            named = tuple(named[1:])
        assert set(named) <= codes, (mode, set(named) - codes)


def test_every_reason_of_a_loss_has_a_remedy() -> None:
    part = EXPORT.read_text(encoding="utf-8").partition("## Reasons of a loss\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (?!-|reason )([a-z, -]+?) \| (.{10,}) \|$", part, re.MULTILINE)
    named = [reason for reasons, _ in rows for reason in reasons.split(", ")]
    assert sorted(named) == sorted(REASONS)
