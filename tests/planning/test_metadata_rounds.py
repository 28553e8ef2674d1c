"""A conversation about metadata in many rounds, as a user with a workbook in another language holds it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from planning.conversation import SEED, User, asked, codes, understood, units
from planning.metadata_talk import COLLECTIONS, PATIENTS, frozen, table
from sandbox_fixture import Sandbox, sandboxes
from synapse_skills.planning import Request


@pytest.fixture(scope="module")
def planning_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandboxes(tmp_path_factory.mktemp("rounds")) as start:
        yield start(seed={**SEED, "collections": [*SEED["collections"], *COLLECTIONS]})


def with_table(user: User, excel: str, *sets: str, collection: int = PATIENTS, path: str = "scans") -> Any:
    """A round with all flags, as they are typed again each time."""
    flags = {"sources": path, "data_collection": str(collection), "metadata.table": excel}
    return user.say_request(Request(flags, sets))


# ---- the same flags again


def test_flags_repeated_each_round_forget_nothing(user: User) -> None:
    user.files(units(2, "a.png"))
    rows = [["환자", "연세", "구분", "검사"], ["p001", 45, "M", "2024-01-19"], ["p002", 62, "F", "2024-02-29"]]
    table(user.folder / "환자.csv", rows)
    document, answers = with_table(user, "환자.csv"), {"age": "연세", "sex": "구분"}
    for _ in range(2):
        name = next(q["key"].removeprefix("metadata.field.") for q in document.questions)
        document = with_table(user, "환자.csv", f"metadata.field.{name}={answers.pop(name)}")
        assert not [item for item in document.understood if item["key"] == "metadata.table.before"]
    assert (document.status, answers) == ("ready", {})
    assert user.plan()["metadata"][0]["fields"] == {"연세": "age", "구분": "sex"}
    for spelling in ("./환자.csv", str(user.folder / "환자.csv"), "scans/../환자.csv"):
        assert with_table(user, spelling).hash == document.hash


def test_a_table_of_the_source_is_the_same_when_it_is_named(user: User) -> None:
    user.files(units(2, "a.png"))
    table(user.folder / "scans/meta.csv", [["id", "years", "sex"], ["p001", 45, "M"], ["p002", 62, "F"]])
    before = user.say("metadata.field.age=years", path="scans", collection=PATIENTS)
    assert before.status == "ready", before.questions
    assert with_table(user, "scans/meta.csv").status == "ready"
    assert with_table(user, "meta.csv").status == "ready"


def test_answers_that_go_with_another_table_are_named(user: User) -> None:
    user.files(units(2, "a.png"))
    table(user.folder / "one.csv", [["id", "years", "sex"], ["p001", 45, "M"], ["p002", 62, "F"]])
    table(user.folder / "two.csv", [["id", "age", "sex"], ["p001", 1, "M"], ["p002", 2, "F"]])
    assert with_table(user, "one.csv", "metadata.field.age=years", "metadata.key=id").status == "ready"
    other = with_table(user, "two.csv")
    note = understood(other, "metadata.table.before")
    assert note["value"] == ["metadata.field.age", "metadata.key"]
    assert "one.csv" in note["because"] and "two.csv" in note["because"]
    assert other.status == "ready" and frozen(user)["p001"]["age"] == "1"
    assert not [item for item in with_table(user, "two.csv").understood if item["key"] == "metadata.table.before"]
