"""A job in a folder for tests: real files, a plan, a script, and what the sandbox has afterwards."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import itertools
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Loaded before any child is forked.
import aiohttp  # noqa: F401
import pytest
import synapse_sdk.utils.auth
import synapse_sdk.utils.file.content_guard  # noqa: F401

import synapse_skills.job.upload.engine  # noqa: F401
from forked import Forked
from sandbox_fixture import COLLECTION, STORAGE, Sandbox
from synapse_skills.plan import Limits, SourcePlan, SpecPlan, UploadPlan, plan_bytes

SPECS = (
    SpecPlan(name="image_1", file_type="image", extensions=(".png", ".jpg"), is_required=True, is_primary=True),
    SpecPlan(name="label_1", file_type="data", extensions=(".json",), is_required=True),
    SpecPlan(name="scan_1", file_type="data", extensions=(".dcm",)),
)
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5"
    "f645400000000049454e44ae426082"
)

SCRIPT = """\
from pathlib import Path

from synapse_skills.job.upload import Upload
from synapse_skills.metadata import Constants
from synapse_skills.sources import Source
from synapse_skills.units import Place, by_extension, by_folder

kinds = {{".png": "image_1", ".jpg": "image_1", ".json": "label_1", ".dcm": "scan_1"}}
place = Place(by_folder(1), by_extension(kinds))
{more}
if __name__ == "__main__":
    Upload({collection}, [Source({source!r})], place=place, describe={describe}).main()
"""


@dataclass
class Done:
    """A run that has ended."""

    returncode: int
    stdout: str
    stderr: str


class Job:
    """An upload job against one sandbox."""

    def __init__(self, folder: Path, box: Sandbox, **plan: Any) -> None:
        self.folder = folder
        self.box = box
        self.source = folder / "data"
        self.home = folder / "home"
        self.job = self.home / "job"
        self.state = self.home / "state"
        self.source.mkdir(parents=True, exist_ok=True)
        self.job.mkdir(parents=True, exist_ok=True)
        self.plan_with(**plan)
        self.script()

    def plan_with(self, **changes: Any) -> UploadPlan:
        """Write plan.json; fields other than these keep the tests' defaults."""
        fields: dict[str, Any] = {
            "name": "ct-scans",
            "data_collection": COLLECTION,
            "storage": STORAGE,
            "sources": (SourcePlan(path=str(self.source)),),
            "specs": SPECS,
            "limits": Limits(batch_size=5, settle_after_s=0.4),
        }
        plan = UploadPlan(**fields | changes)
        (self.job / "plan.json").write_bytes(plan_bytes(plan))
        return plan

    def script(self, *, describe: str = "None", more: str = "", collection: int = COLLECTION) -> None:
        """Write upload.py."""
        text = SCRIPT.format(source=str(self.source), describe=describe, more=more, collection=collection)
        (self.job / "upload.py").write_text(text)

    def unit(self, key: str, files: Mapping[str, bytes] | None = None) -> None:
        """Write a data unit's folder; an image and a label of its own if no files are given."""
        folder = self.source / key
        folder.mkdir(parents=True, exist_ok=True)
        if files is None:
            files = {"image.png": PNG + key.encode(), "label.json": json.dumps({"unit": key}).encode()}
        for name, content in files.items():
            (folder / name).write_bytes(content)

    def units(self, count: int) -> None:
        """Write so many data units."""
        for number in range(count):
            self.unit(f"patient_{number:03d}")

    def start(self, *flags: str, before: Callable[[], None] | None = None, **env: str) -> Forked:
        """Start the script in a process of its own."""
        environment = self.box.env(self.folder / "user", SYNAPSE_SKILLS_PATIENCE_S="3") | env
        return Forked(self.job / "upload.py", list(flags), environment, self.folder, before)

    def run(
        self,
        *flags: str,
        before: Callable[[], None] | None = None,
        expect: int | None = 0,
        timeout: float = 60,
        **env: str,
    ) -> Done:
        """Run to the end and check the exit code."""
        process = self.start(*flags, before=before, **env)
        out, err = process.communicate(timeout=timeout)
        assert process.returncode is not None
        assert "Traceback" not in err, err
        if expect is not None:
            assert process.returncode == expect, f"exit {process.returncode}\n{out}\n{err}"
        return Done(process.returncode, out, err)

    def report(self) -> dict[str, Any]:
        """The last report."""
        report: dict[str, Any] = json.loads((self.state / "report.json").read_text())
        assert report["planned"] == sum(report[k] for k in ("created", "already", "failed", "quarantined", "pending"))
        return report

    def problem(self, code: str) -> dict[str, Any]:
        """One problem of the last report."""
        found = [problem for problem in self.report()["problems"] if problem["code"] == code]
        assert found, self.report()["problems"]
        return dict(found[0])

    def wanted(self) -> Counter[str]:
        """The data units on disk, by content."""
        units: Counter[str] = Counter()
        for folder in sorted(self.source.iterdir()):
            units[content_of({path.name: path.read_bytes() for path in folder.iterdir()}, folder.name)] += 1
        return units

    def there(self) -> Counter[str]:
        """The data units on the backend, by content."""
        units: Counter[str] = Counter()
        for unit in self.box.units():
            sums = {row["path"].rpartition("/")[2]: row["checksum"] for row in unit["files"].values()}
            key = next(iter(unit["files"].values()))["path"].split("/")[0]
            units[_text(sums, key)] += 1
        return units


def content_of(files: Mapping[str, bytes], key: str) -> str:
    """A data unit's content as one text."""
    return _text({name: hashlib.sha1(content).hexdigest() for name, content in files.items()}, key)


def _text(sums: Mapping[str, str], key: str) -> str:
    return key + ":" + ",".join(f"{name}={sums[name]}" for name in sorted(sums))


def killing(target: str, nth: int, *, when: str, number: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
    """Something to do first in the child: it sends itself a signal at the nth call of a function of the library.

    Args:
        target: `module:Class.method` or `module:function`.
        nth: counted from 1.
        when: `before` or `after` the call has done its work.
    """

    def patch() -> None:
        module_name, _, path = target.partition(":")
        owner: Any = importlib.import_module(module_name)
        *parents, name = path.split(".")
        for part in parents:
            owner = getattr(owner, part)
        original = getattr(owner, name)
        calls = itertools.count(1)

        def die() -> None:
            os.kill(os.getpid(), number)

        if asyncio.iscoroutinefunction(original):

            async def patched(*args: Any, **kwargs: Any) -> Any:
                mine = next(calls) == nth
                if mine and when == "before":
                    die()
                result = await original(*args, **kwargs)
                if mine and when == "after":
                    die()
                return result
        else:

            def patched(*args: Any, **kwargs: Any) -> Any:
                mine = next(calls) == nth
                if mine and when == "before":
                    die()
                result = original(*args, **kwargs)
                if mine and when == "after":
                    die()
                return result

        setattr(owner, name, patched)

    return patch


@pytest.fixture
def job(tmp_path: Path, sandbox: Sandbox) -> Job:
    """A job against the default sandbox, without any data yet."""
    return Job(tmp_path / "upload", sandbox)


def answering(change: Callable[[str, str, Any], Any]) -> Callable[[], None]:
    """Something to do first in the child: what the backend says in a 2xx answer is changed on its way in.

    Args:
        change: takes the method, the path and the JSON body; gives the body that the library sees.
    """

    def patch() -> None:
        from dataclasses import replace

        from synapse_skills.backend import Answer, Api

        original = Api._request

        async def request(self: Api, session: Any, method: str, path: str, **more: Any) -> Answer:
            answer = await original(self, session, method, path, **more)
            return replace(answer, body=change(method, path, answer.body)) if answer.outcome == "ok" else answer

        Api._request = request  # type: ignore[method-assign]

    return patch
