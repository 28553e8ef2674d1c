"""Values of a table that the schema does not take: what they mean is asked, said, kept in the plan, and sent."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from planning.conversation import IMAGE, PNG, SEED, User, asked, codes, collection, spec
from sandbox_fixture import Sandbox, sandboxes
from synapse_skills.planning.metadata_meanings import _guess

PEOPLE = 63
HEADER = "name,sex,age,side\n"


def kept(user: User) -> dict[str, dict[str, object]]:
    rows = (user.home() / "job" / "metadata.jsonl").read_text().splitlines()
    return {row["unit"]: row["meta"] for row in map(json.loads, rows)}


SCHEMA = {
    "type": "object",
    "required": ["side"],
    "properties": {
        "sex": {"enum": ["M", "F"]},
        "age": {"type": "integer", "minimum": 1},
        "side": {"enum": ["left", "right"]},
    },
}


@pytest.fixture(scope="module")
def planning_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A tenant whose collection lists what it takes."""
    made = collection(PEOPLE, "People", spec("image_1", [".png"], **IMAGE), schema=SCHEMA)
    with sandboxes(tmp_path_factory.mktemp("meanings")) as start:
        yield start(seed={**SEED, "collections": [made]})


@pytest.fixture
def people(user: User) -> User:
    user.files({f"p{number}/a.png": PNG for number in range(1, 5)})
    user.files({"meta.csv": HEADER + "p1,남,45,left\np2,여,미상,L\np3,남,58,right\np4,미상,0,left\n"})
    return user


def test_what_cells_mean_is_asked_with_counts_and_a_guess(people: User) -> None:
    document = people.say(path=people.folder / "scans", collection=PEOPLE)
    sex, age = asked(document, "metadata.values.sex"), asked(document, "metadata.values.age")
    assert "남 (2), 미상 (1), 여 (1)" in sex["question"]
    assert sex["options"][0]["value"] == {"남": "M", "여": "F", "미상": None}
    assert age["options"][0]["value"] == {"0": None, "미상": None} and "2 rows" in age["options"][0]["description"]
    side = asked(document, "metadata.values.side")
    assert [option["value"] for option in side["options"]] == [{"L": "left"}, "none"], "it is required: never empty"
    document = people.say(
        'metadata.values.sex={"남": "M", "여": "F", "미상": null}',
        "metadata.values.age=Leave them empty",
        "metadata.values.side=L→left",
        path=people.folder / "scans",
    )
    assert document.status == "ready", (document.questions, document.problems)
    rows = kept(people)
    assert [row.get("sex") for row in rows.values()] == ["M", "F", "M", None]
    assert "age" not in rows["p2"] and "age" not in rows["p4"] and rows["p2"]["side"] == "left"
    assert "여 → F" in document.summary and "0 → nothing" in document.summary
    rule = next(each for each in people.plan()["metadata"] if each["kind"] == "table")
    assert rule["values"]["age"] == {"0": None, "미상": None}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("metadata.values.sex=M", "is no object"),
        ("metadata.values.sex={}", "is no object"),
        ('metadata.values.sex={"남": "X"}', "none of M, F"),
        ('metadata.values.side={"L": null}', "is required"),
    ],
)
def test_a_meaning_that_can_not_be(people: User, said: str, why: str) -> None:
    document = people.say(said, path=people.folder / "scans", collection=PEOPLE)
    assert why in asked(document, said.partition("=")[0])["error"]


def test_as_they_are_leaves_their_data_units_to_be_decided(people: User) -> None:
    sets = ["metadata.values.sex=none", "metadata.values.age=none", "metadata.values.side=none"]
    document = people.say(*sets, path=people.folder / "scans", collection=PEOPLE)
    assert document.status == "blocked" and "meta-invalid" in codes(document)


def test_a_column_that_holds_just_the_listed_values_is_offered(user: User) -> None:
    user.files({f"p{number}/a.png": PNG for number in range(1, 3)})
    user.files({"meta.csv": "name,성별,side\np1,M,left\np2,F,right\n"})
    question = asked(user.say(path=user.folder / "scans", collection=PEOPLE), "metadata.field.sex")
    assert [option["value"] for option in question["options"]] == ["성별", "none"]
    document = user.say("metadata.field.sex=성별", path=user.folder / "scans")
    assert document.status == "ready" and kept(user)["p1"] == {"sex": "M", "side": "left"}
    assert user.say("metadata.field.sex=No", path=user.folder / "scans").status == "ready"
    assert kept(user)["p1"] == {"성별": "M", "side": "left"}


@pytest.mark.parametrize(
    ("word", "choices", "meant"),
    [("남자", ("M", "F"), "M"), ("Female", ("m", "f"), "f"), ("예", (True, False), True), ("CT", ("MR", "US"), None),
     ("남", ("male", "M"), None)],
)  # fmt: skip
def test_a_guess_is_made_only_where_one_choice_means_it(word: str, choices: tuple[object, ...], meant: object) -> None:
    assert _guess(word, choices) == meant
