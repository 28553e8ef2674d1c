"""What a backend may be, and what it may go through: every setting of the sandbox, and what becomes of its state.

A world draws its settings once. Besides, a new release of the backend may answer in other forms between two runs, it
may be killed and started again in the middle of a run, and its storage may forget what was uploaded and never
confirmed, as buckets that tidy up do.

What was added last is drawn by a generator of its own: worlds keep what they had under their numbers before.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from sandbox_fixture import Sandbox

TARGETS = ["assignment", "task", "ground_truth"]
Choices = Mapping[str, Sequence[Any]]

UPLOAD: Choices = {
    "echo": (["path", "checksum", "meta", "groups"], ["path"], ["checksum"], ["meta"], ["path", "meta"]),
    "honours": (["data_collection", "ordering", "id", "search"], ["data_collection"], ["ordering"]),
    "create_answer": ("list", "results"),
    "tasks_answer": ("list", "results"),
    "error_shape": ("dicts", "strings"),
    "confirm_twice": ("same", "refuse"),
    "max_page_size": (3, 10, 100),
    "multipart_threshold": (200, 1 << 20),
}
UPLOAD_MORE: Choices = {
    "enforces": (["specs", "required", "checksum", "extension", "meta"], ["checksum"], []),
    "page_size": (100, 7),
    "part_size": (90, 70),
    "presign_seconds": (None, None, 2),
    "session_seconds": (None, 3600, 1),
}
EXPORT: Choices = {
    "wrap_bytes": (None, 1, 300),
    "inline_data": ("whole", "wrapped", "truncated_link"),
    "files_shape": ("v1", "manifest"),
    "id_lists": ("comma", "repeated"),
    "expands": (TARGETS, []),
    "narrows": (TARGETS, []),
    "max_page_size": (3, 10, 100),
    "payload_uses": (None, 1),
}
EXPORT_MORE: Choices = {
    "inline_data": ("whole", "wrapped", "truncated", "truncated_link"),
    "media_seconds": (3600, None, 2),
    "page_size": (100, 7),
    "payload_seconds": (3600, None, 2),
    "unknown_filters": ("ignored", "refused"),
}
# No world has these, and why.
LEFT_OUT = {
    "verify_checksums": "asked by the SDK's own upload only, by none of our jobs",
    "configuration": "read by planners, never by a job: tests/planning",
    "v2_cursor": "lists of planners, never of a job: tests/backend",
    "storage_session": "without sessions such a source can't be opened at all: tests/sources",
    "session_contract": "the same for another contract",
}
# What a new release of a backend may do otherwise from one run to the next. What it shows of a data unit, and what it
# honours, stays: the lost answers of an earlier run are looked up by it.
UPLOAD_RELEASES = ("create_answer", "tasks_answer", "error_shape", "max_page_size", "multipart_threshold")
EXPORT_RELEASES = ("wrap_bytes", "files_shape", "id_lists", "max_page_size", "inline_data", "payload_uses")


def drawn(random: Random, choices: Choices) -> dict[str, Any]:
    """A value for each setting."""
    return {name: random.choice(values) for name, values in choices.items()}


def release(random: Random, box: Sandbox, choices: Choices, names: Sequence[str]) -> None:
    """Now and then one of these settings has another value from now on."""
    if random.random() < 0.3:
        name = random.choice(names)
        box.set(**{name: random.choice(choices[name])})


def outage(random: Random, box: Sandbox, *, longest_s: float) -> None:
    """Kill the backend at some moment and start it again; what was to go wrong goes on going wrong."""
    time.sleep(longest_s * random.random())
    rules = [{key: value for key, value in rule.items() if key not in ("seen", "fired")} for rule in box.faults()]
    box.kill()
    if random.random() < 0.5:
        forget_uploads(box)
    time.sleep(random.choice((0, 0.5)))
    box.restart()
    box.set_faults(*rules, seed=random.randrange(10**6))


def forget_uploads(box: Sandbox) -> None:
    """What has been uploaded and never confirmed is gone; only while the sandbox is down."""
    with sqlite3.connect(box.state / "sandbox.sqlite") as database:
        database.execute("DELETE FROM object WHERE data_file IS NULL")
        database.execute("DELETE FROM part WHERE key NOT IN (SELECT key FROM object)")
        database.execute("DELETE FROM chunked WHERE data_file IS NULL")
    database.close()
