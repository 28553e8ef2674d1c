"""Answers of another job are told as that job's."""

from __future__ import annotations

from pathlib import Path

import pytest

from synapse_skills.planning import Document
from synapse_skills.planning.brief import brief
from synapse_skills.planning.interview import AS_SAID
from synapse_skills.planning.summary import MAX_LINES
from synapse_skills.planning.taken import tell_taken


def document(lines: int = 2) -> Document:
    items = [{"key": key, "value": key, "because": AS_SAID} for key in ("project", "formats", "originals")]
    items.append({"key": "tools", "value": "all", "because": "the sample says so"})
    return Document(understood=items, summary="\n".join(["Export week30", *["  more"] * (lines - 1)]))


@pytest.mark.parametrize("given", ["week29", "week29/answers.json"])
def test_what_was_taken_over_is_no_word_of_today(given: str, tmp_path: Path) -> None:
    (tmp_path / "week29").mkdir()
    taken = {"project": 3, "formats": "coco", "tools": "box"}
    found = tell_taken(document(), tmp_path / given, taken, {"project": 4})
    because = {item["key"]: item["because"] for item in found.understood}
    assert because == {
        "project": AS_SAID,
        "formats": "as in week29",
        "originals": AS_SAID,
        "tools": "the sample says so",
    }
    assert {"key": "taken over", "value": {"formats": "formats"}, "because": "as in week29"} in brief(found.understood)
    assert found.summary == "Export week30\n  as in       week29, but for project\n  more"


def test_nothing_is_told_where_nothing_was_taken_over_or_where_there_is_no_room(tmp_path: Path) -> None:
    assert tell_taken(document(), None, {}, {}) == document()
    full = document(MAX_LINES)
    assert tell_taken(full, tmp_path / "week29.json", {}, {}).summary == document(MAX_LINES).summary
    assert tell_taken(document(), tmp_path / "mine.json", {}, {}).summary.split("\n")[1] == "  as in       mine.json"
