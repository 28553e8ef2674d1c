"""A scripted user: holds conversations with the planner in this process, and checks every document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from synapse_skills.planning import Document, Request, plan_upload

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c636060606000000005"
    "0001a5f645400000000049454e44ae426082"
)


def spec(
    name: str, extensions: list[str], *, required: bool = False, primary: bool = False, kind: str = "data"
) -> dict[str, Any]:
    """A file specification as a seed holds it."""
    spec.count += 1  # type: ignore[attr-defined]
    return {
        "id": spec.count,  # type: ignore[attr-defined]
        "name": name,
        "file_type": kind,
        "extensions": extensions,
        "is_required": required,
        "is_primary": primary,
    }


spec.count = 0  # type: ignore[attr-defined]
IMAGE = {"required": True, "primary": True, "kind": "image"}
SCHEMA = {
    "type": "object",
    "required": ["site"],
    "properties": {"site": {"type": "string"}, "name": {"type": "string"}},
    "additionalProperties": False,
}


def collection(identity: int, name: str, *specs: dict[str, Any], schema: Any = None) -> dict[str, Any]:
    """A data collection as a seed holds it."""
    meta = {"data_unit_meta_schema": schema} if schema else None
    return {"id": identity, "name": name, "meta": meta, "file_specifications": list(specs)}


SCANS, MASKS, SITES, VIDEOS, LOOSE, PAIRS = 57, 58, 59, 60, 61, 62
SEED: dict[str, Any] = {
    "tenant": "acme",
    "collections": [
        collection(
            SCANS, "CT scans", spec("image_1", [".png", "jpg"], **IMAGE), spec("label_1", ["json"], required=True)
        ),
        collection(MASKS, "Masks [x]", spec("image_1", [".PNG"], **IMAGE), spec("mask_1", ["png"], kind="image")),
        collection(
            SITES,
            "With schema",
            spec("image_1", [".png"], **IMAGE),
            spec("label_1", ["json"], required=True),
            schema=SCHEMA,
        ),
        collection(VIDEOS, "Videos", spec("video_1", ["mp4"], required=True, primary=True, kind="video")),
        collection(LOOSE, "No extensions", spec("image_1", [], **IMAGE)),
        collection(
            PAIRS, "Pairs", spec("left_1", [".png"], required=True), spec("right_1", [".png", ".jpg"], required=True)
        ),
    ],
    "storages": [
        {
            "id": 11,
            "name": "Main storage",
            "category": "internal",
            "provider": "amazon_s3",
            "is_default": True,
            "configuration": {"bucket_name": "main"},
        },
        {
            "id": 12,
            "name": "Archive",
            "category": "internal",
            "provider": "amazon_s3",
            "is_default": False,
            "configuration": {"bucket_name": "archive"},
        },
    ],
    "projects": [{"id": 3, "title": "CT labelling"}],
    "agents": [{"id": 7, "name": "Agent seven"}],
}


def check_document(document: Document) -> dict[str, Any]:
    """Every promise that holds for each document: DESIGN §3 and the limits of the AskUserQuestion tool."""
    shown = document.as_dict()
    json.dumps(shown, ensure_ascii=False, allow_nan=False).encode()
    assert list(shown) == ["status", "understood", "questions", "problems", "plan", "hash", "summary", "dry_run"]
    exits = {"ready": {0}, "questions": {4}, "blocked": {1, 3}}
    assert document.exit_code in exits[document.status]
    assert bool(shown["questions"]) == (document.status == "questions")
    assert document.status != "blocked" or shown["problems"]
    for item in shown["understood"]:
        assert set(item) == {"key", "value", "because"}
        assert item["because"]
    for problem in shown["problems"]:
        assert set(problem) == {"code", "severity", "count", "examples", "fix"}
        # Of many three are enough; few may all be named.
        assert problem["count"] >= 1 and len(problem["examples"]) <= (3 if problem["count"] > 20 else 20)
        assert problem["severity"] != "error" or problem["fix"]
    assert len(shown["questions"]) <= 4
    assert len({question["key"] for question in shown["questions"]}) == len(shown["questions"])
    for question in shown["questions"]:
        check_question(question)
    ready = document.status == "ready"
    assert bool(shown["plan"]) == bool(shown["hash"]) == bool(shown["summary"]) == ready
    assert len(shown["summary"].splitlines()) <= 40
    return shown


def check_question(question: dict[str, Any]) -> None:
    """One question as AskUserQuestion takes it; without options it is asked in prose."""
    assert set(question) == {"key", "header", "question", "options", "multiSelect", "error"}
    assert 1 <= len(question["header"]) <= 12
    assert question["question"]
    options = question["options"]
    assert len(options) == 0 or 2 <= len(options) <= 4
    assert not question["multiSelect"] or options
    labels = [option["label"] for option in options]
    assert len(set(labels)) == len(labels)
    for option in options:
        assert set(option) == {"label", "value", "description"}
        assert 1 <= len(option["label"].split()) <= 5
        assert option["label"].casefold() != "other"
        assert option["description"]


class User:
    """Someone in a folder of their own, logged in to a sandbox."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rounds: list[Document] = []

    def files(self, tree: dict[str, bytes | str], root: str = "scans") -> Path:
        """Write files below `root`; texts are UTF-8."""
        for name, content in tree.items():
            path = self.folder / root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return self.folder / root

    def say(self, *sets: str, answers: Path | None = None, out: Path | None = None, **flags: Any) -> Document:
        """One round; `path=` and flags as plan_upload.py has them."""
        names = {"path": "sources", "collection": "data_collection", "batch_size": "limits.batch_size"}
        given = {names.get(name, name): str(value) for name, value in flags.items()}
        return self.say_request(Request(given, sets, answers, out))

    def say_request(self, request: Request) -> Document:
        """One round of anything that plan_upload.py can be asked."""
        document = plan_upload(request)
        check_document(document)
        asked_before = {q["key"] for seen in self.rounds for q in seen.questions}
        self.rounds.append(document)
        self.repeated = [q["key"] for q in document.questions if q["key"] in asked_before and not q["error"]]
        return document

    def home(self, name: str = "scans") -> Path:
        """A job's folder."""
        return self.folder / "synapse-jobs" / name

    def plan(self, name: str = "scans") -> dict[str, Any]:
        """A job's plan.json."""
        return dict(json.loads((self.home(name) / "plan.json").read_bytes()))

    def left_out(self, name: str = "scans") -> list[dict[str, Any]]:
        """A job's left_out.jsonl."""
        return [json.loads(line) for line in (self.home(name) / "left_out.jsonl").read_text().splitlines()]


def asked(document: Document, key: str) -> dict[str, Any]:
    """The question with this key; fails if it was not asked."""
    found = [question for question in document.questions if question["key"] == key]
    assert found, f"{key} was not asked, but {[q['key'] for q in document.questions]}"
    return found[0]


def understood(document: Document, key: str) -> dict[str, Any]:
    """What was understood about a key."""
    found = [item for item in document.understood if item["key"] == key]
    assert found, f"{key} is not among {[item['key'] for item in document.understood]}"
    return found[0]


def codes(document: Document) -> list[str]:
    """The codes of the problems."""
    return [problem["code"] for problem in document.problems]


def units(count: int, *names: str) -> dict[str, bytes | str]:
    """`count` folders, each with these files; pictures are real ones."""
    return {
        f"p{number:03}/{name}": PNG if name.endswith(".png") else "{}"
        for number in range(1, count + 1)
        for name in names
    }
