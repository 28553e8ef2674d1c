"""Conversations about files that are elsewhere: kinds mixed freely, and what can't be opened said at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from planning.conversation import PNG, SCANS, User, codes, understood
from sources.trees import Front, S3Tree, s3_error, s3_server
from synapse_skills.plan import read_plan
from synapse_skills.planning import Request
from synapse_skills.sources import faults


@pytest.fixture(scope="module")
def s3() -> Iterator[Front]:
    with s3_server() as front:
        yield front


@pytest.mark.heavy
def test_images_in_a_folder_and_labels_on_s3_are_one_plan(user: User, s3: Front) -> None:
    labels = S3Tree()
    for number in range(3):
        labels.write(f"scan_{number}.json", b'{"a": 1}')
    images = user.files({f"scan_{number}.png": PNG for number in range(3)}, "images")
    document = user.say_request(
        Request({"sources": [images.name, labels.url + "/"], "data_collection": SCANS, "grouping.by": "stem"})
    )
    assert document.status == "ready"
    assert understood(document, "sources.2.spec")["value"] == "label_1"
    assert understood(document, "sources.2.credentials")["value"] == "variables"
    assert "environment" in understood(document, "sources.2.credentials")["because"]
    plan = read_plan(user.home("images") / "plan.json")
    local, remote = plan.sources
    assert (local.path, local.spec, local.credentials, local.storage) == (str(images), "image_1", None, None)
    assert (remote.path, remote.spec, remote.credentials) == (labels.url, "label_1", "variables")
    assert (plan.expected.units, plan.expected.files) == (3, 6)
    for file in ("plan.json", "answers.json", "job/upload.py"):
        assert "a-very-secret-key" not in (user.home("images") / file).read_text()


@pytest.mark.heavy
def test_what_is_not_there_is_asked_again_and_what_is_denied_is_not(
    user: User, s3: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = S3Tree()
    tree.write("a.png", PNG)
    document = user.say(path=f"{tree.url}/nope", collection=SCANS)
    assert document.status == "questions"
    assert f"s3://{tree.bucket}/data exists" in str(document.questions[0])
    monkeypatch.setattr(faults, "_sleep", lambda seconds: None)
    s3.faults.append(s3_error(403, "AccessDenied"))
    document = user.say(path=tree.url, collection=SCANS)
    assert (document.status, document.exit_code) == ("blocked", 3)
    assert codes(document) == ["source-denied"]


def test_a_password_in_a_url_is_written_nowhere(user: User) -> None:
    document = user.say(path="sftp://me:very-secret@host/x", collection=SCANS, out=Path("here"))
    assert codes(document) == ["source-secret"]
    assert "very-secret" not in str(document)
    for path in user.folder.rglob("*"):
        assert not path.is_file() or b"very-secret" not in path.read_bytes()
