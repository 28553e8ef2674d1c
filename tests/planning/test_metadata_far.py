"""A table of metadata at a URL: fetched for the plan and known by its URL; what can't be fetched says why."""

from __future__ import annotations

import json

import pytest

from planning.conversation import PNG, SCANS, User, codes
from sources.trees import MemoryTree
from synapse_skills.errors import FindingError
from synapse_skills.planning import Request, metadata_far
from synapse_skills.planning.metadata_evidence import resolve_table
from synapse_skills.planning.metadata_far import fetch_table
from synapse_skills.sources import Source

ROWS = b"name,site\np001,7\np002,8\n"


@pytest.fixture
def tree() -> MemoryTree:
    tree = MemoryTree()
    for unit in ("p001", "p002"):
        tree.write(f"{unit}/a.png", PNG)
        tree.write(f"{unit}/a.json", b"{}")
    tree.write("metadata.csv", ROWS)
    return tree


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("memory://{}/nope.csv", "no-table"),
        ("memory://{}/nope/metadata.csv", "no-table"),
        ("memory://{}/p001", "no-table"),
        ("memory://{}/", "table-in-storage"),
        ("https://host/metadata.csv", "table-in-storage"),
        ("storage:x.csv", "table-in-storage"),
        ("s3://key:very-secret@bucket/x/metadata.csv", "source-secret"),
    ],
)
def test_what_can_not_be_fetched_says_why(tree: MemoryTree, name: str, code: str) -> None:
    with pytest.raises(FindingError) as caught:
        fetch_table(name.format(tree.name))
    assert caught.value.code == code
    assert "very-secret" not in f"{caught.value}{caught.value.hint}"


def test_a_huge_table_is_not_fetched(tree: MemoryTree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata_far, "MAX_MB", 0)
    with pytest.raises(FindingError) as caught:
        fetch_table(f"{tree.url}/metadata.csv")
    assert caught.value.code == "table-too-large"


def test_a_table_is_named_by_its_url_or_by_its_path_in_the_source(tree: MemoryTree) -> None:
    path, in_source = resolve_table(f"{tree.url}/metadata.csv", [])
    assert (path.read_bytes(), path.name, in_source) == (ROWS, "metadata.csv", False)
    assert resolve_table("metadata.csv", [Source(tree.url)]) == (path, True)
    with pytest.raises(FindingError, match=r"no file other\.csv in the source"):
        resolve_table("other.csv", [Source(tree.url)])


def test_a_plan_has_its_rows_and_names_its_url(user: User, tree: MemoryTree) -> None:
    url = f"{tree.url}/metadata.csv"
    user.files(
        {f"{unit}/{name}": PNG if "png" in name else b"{}" for unit in ("p001", "p002") for name in ("a.png", "a.json")}
    )
    document = user.say_request(Request({"sources": "scans", "data_collection": SCANS, "metadata.table": url}))
    assert document.status == "ready", document.problems
    (rule,) = json.loads((user.home("scans") / "plan.json").read_text())["metadata"]
    assert (rule["kind"], rule["file"], rule["rows"]) == ("table", url, 2)


@pytest.mark.heavy
def test_a_table_in_a_source_elsewhere_is_no_data(user: User, tree: MemoryTree) -> None:
    hashes = set()
    for table in (f"{tree.url}/metadata.csv", "metadata.csv"):
        answers = {"sources": tree.url, "data_collection": SCANS, "metadata.table": table, "name": "one"}
        document = user.say_request(Request(answers))
        assert document.status == "ready", document.problems
        assert "belongs-to-nothing" not in codes(document)
        hashes.add(document.hash)
    assert len(hashes) == 1
