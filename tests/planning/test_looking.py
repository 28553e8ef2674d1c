"""A huge tree: the first questions come from a sample, the plan from all files, and a walk serves several rounds."""

from __future__ import annotations

import pytest

from planning.conversation import PAIRS, PNG, SCANS, User, asked, codes, understood, units
from synapse_skills.planning import Request, looking
from synapse_skills.sources import Inventory


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """The limits of the walks that were made; a sample is ten files, and every walk counts as slow."""
    seen: list[int | None] = []
    real = Inventory.walk

    def walk(self: Inventory, sources: object, *, limit: int | None = None, **more: object) -> object:
        seen.append(limit)
        return real(self, sources, limit=limit, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Inventory, "walk", walk)
    monkeypatch.setattr(looking, "FIRST_LOOK", 10)
    monkeypatch.setattr(looking, "SAMPLE_FILES", 10)
    monkeypatch.setattr(looking, "SLOW_S", 0.0)
    return seen


def test_the_first_question_comes_from_a_sample_that_says_so(user: User, walks: list[int | None]) -> None:
    user.files(units(30, "a.png", "a.json"))
    document = user.say(path="scans")
    assert asked(document, "data_collection") and None not in walks
    sample = understood(document, "sample")
    assert sample["value"] == 10 and "all are counted before the plan" in sample["because"]
    done = user.say(path="scans", collection=SCANS)
    assert done.status == "ready" and user.plan()["expected"]["units"] == 30
    assert walks.count(None) == 1
    assert "sample" not in {item["key"] for item in done.understood}


def test_layout_questions_come_from_the_sample_too_and_are_marked(user: User, walks: list[int | None]) -> None:
    user.files(units(30, "one/a.png", "two/b.png"))
    document = user.say(path="scans", collection=PAIRS)
    assert asked(document, "specs.right_1.pattern") and None not in walks
    assert "(in a sample of 10 files)" in understood(document, "grouping.by")["because"]
    done = user.say("specs.right_1.pattern=two/*.png", path="scans")
    assert done.status == "ready" and user.plan()["expected"]["files"] == 60


def test_a_sample_never_says_no(user: User, walks: list[int | None]) -> None:
    """The sample may have seen only folders with pictures: that labels are missing is said after all were looked at."""
    user.files({f"images/{n:03}.png": PNG for n in range(40)} | {f"labels/{n:03}.json": "{}" for n in range(40)})
    document = user.say(path="scans", collection=SCANS)
    assert document.status == "ready" and user.plan()["expected"]["units"] == 40
    assert None in walks


def test_a_walk_serves_the_next_rounds_until_it_is_old(
    user: User, walks: list[int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    user.files(units(30, "a.png", "a.json"))
    assert user.say(path="scans", collection=SCANS).status == "ready"
    made = walks.count(None)
    assert user.say("limits.batch_size=5", path="scans").status == "ready"
    assert walks.count(None) == made
    monkeypatch.setattr(looking, "RECENT_S", -1.0)
    assert user.say("limits.batch_size=6", path="scans").status == "ready"
    assert walks.count(None) == made + 1
    monkeypatch.setattr(looking, "RECENT_S", 600.0)
    assert user.say_request(Request({"sources": "scans"}, rescan=True)).status == "ready"
    assert walks.count(None) == made + 2


def test_nothing_stale_is_planned_or_refused(user: User, walks: list[int | None]) -> None:
    user.files(units(30, "a.png", "a.json"))
    assert user.say(path="scans", collection=SCANS).status == "ready"
    user.files({"p031/a.png": PNG, "p031/a.json": "{}"})
    grown = user.say(path="scans")
    assert grown.status == "ready" and user.plan()["expected"]["units"] == 31, "the dry run noticed"
    (user.folder / "scans/p001/a.json").unlink()
    gone = asked(user.say_request(Request({"sources": "scans"}, rescan=True)), "incomplete")
    assert "1 of 31" in gone["question"]
    stopped = user.say("incomplete=stop", path="scans")
    assert codes(stopped) == ["missing-required-spec"]
    user.files({"p001/a.json": "{}"})
    assert user.say(path="scans").status == "ready", "what was mended is seen at once"
