"""An output at a storage: what arrives, in which order, what is sent again after a kill, and what is never touched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

import verify_export
from export_fixture import ExportJob, boxes, row
from sources.trees import MemoryTree
from synapse_skills.errors import FindingError, OutOfReach, SkillsError, run
from synapse_skills.job.export import delivered
from synapse_skills.rendering.export_result import read_export
from synapse_skills.sources import Store, open_store
from synapse_skills.sources.store import RemoteStore

# Slow, each with a quicker neighbour that runs every day.
pytestmark = pytest.mark.heavy

MARKS = (".synapse-export", "manifest.json", "COMPLETE")


class AtStorage:
    """An export job whose output is a folder in memory."""

    def __init__(self, job: ExportJob, url: str) -> None:
        self.job = job
        self.url = url
        job.plan_with(output=url)
        self.store: Store = open_store(url)

    def do(self, *flags: str, expect: int | None = 0) -> SkillsError | None:
        return self.job.do(*flags, expect=expect)

    def there(self) -> dict[str, str]:
        """Every file that is there, with its hash."""
        return {each.name: hashlib.sha256(self.store.read(each.name) or b"").hexdigest() for each in self.store.list()}

    def staged(self) -> dict[str, str]:
        return self.job.bytes(self.job.state / "output")

    def whole(self) -> None:
        """What is there is what was written and verified here; the marker alone says more."""
        there, staged = self.there(), self.staged()
        assert there.pop(MARKS[0]) and staged.pop(MARKS[0])
        assert there == staged and len(there) > 5
        manifest = self.store.read("manifest.json") or b""
        assert self.store.read("COMPLETE") == f"{hashlib.sha256(manifest).hexdigest()}\n".encode()
        assert {each["path"] for each in json.loads(manifest)["files"]} == set(there) - set(MARKS)

    def said(self) -> str:
        return str(self.job.problem("delivered")["examples"][0])


@pytest.fixture
def at(export_job: ExportJob) -> AtStorage:
    export_job.label(*(row(number) for number in range(5)))
    return AtStorage(export_job, f"{MemoryTree().url}/sets/cars")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names in the order in which they were written to a store elsewhere; deleted ones with a minus."""
    names: list[str] = []
    write, delete = RemoteStore.write, RemoteStore.delete

    def spy(real: Callable[..., None], sign: str) -> Callable[..., None]:
        def call(self: RemoteStore, name: str, *content: Any) -> None:
            real(self, name, *content)
            names.append(sign + name)

        return call

    monkeypatch.setattr(RemoteStore, "write", spy(write, ""))
    monkeypatch.setattr(RemoteStore, "delete", spy(delete, "-"))
    return names


def breaking(monkeypatch: pytest.MonkeyPatch, at_file: int, error: BaseException) -> None:
    """The nth file of a format breaks it off, once."""
    write, count = RemoteStore.write, iter(range(1, 1000))

    def broken(self: RemoteStore, name: str, content: Any) -> None:
        if name.startswith("synapse_json/") and next(count) == at_file:
            raise error
        write(self, name, content)

    monkeypatch.setattr(RemoteStore, "write", broken)


# ---- what is refused


@pytest.mark.parametrize("url", ["https://example.com/sets", "ftp://host/sets", "s3://user:secret-word@bucket/sets"])
def test_a_place_that_can_not_be_written_to(export_job: ExportJob, url: str) -> None:
    export_job.label(row(0))
    export_job.plan_with(output=url)
    error = export_job.do(expect=None)
    assert error is not None and error.code in ("output-not-supported", "source-not-supported", "source-secret")
    assert "secret-word" not in str(error) and not (export_job.state / "spool").exists()


def test_what_is_not_ours_is_not_touched(at: AtStorage) -> None:
    at.store.write("notes.txt", b"mine")
    for flags in ((), ("--dry-run",)):
        error = at.do(*flags, expect=1)
        assert isinstance(error, FindingError) and error.code == "output-not-ours"
    assert list(at.there()) == ["notes.txt"] and not (at.job.state / "spool").exists()
    at.store.delete("notes.txt")
    at.store.write(MARKS[0], json.dumps({"kind": "export", "name": "another"}).encode())
    assert getattr(at.do(expect=1), "code", "") == "output-not-ours"
    at.store.write(MARKS[0], b"no json")
    assert getattr(at.do(expect=1), "code", "") == "output-not-ours"


@pytest.mark.heavy
def test_files_that_were_edited_there_are_not_written_over(at: AtStorage) -> None:
    at.do()
    name = "coco/annotations/instances.json"
    at.store.write(name, b"edited")
    assert getattr(at.do(expect=1), "code", "") == "output-edited"
    assert at.store.read(name) == b"edited"


@pytest.mark.heavy
def test_a_place_that_does_not_keep_what_it_takes(at: AtStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    write = RemoteStore.write

    def forgetful(self: RemoteStore, name: str, content: Any) -> None:
        if not name.startswith("coco/"):
            write(self, name, content)

    def garbled(self: RemoteStore, name: str, content: Any) -> None:
        write(self, name, bytes(content.stat().st_size) if name.startswith("coco/") else content)

    for broken in (forgetful, garbled):
        monkeypatch.setattr(RemoteStore, "write", broken)
        assert getattr(at.do("--fresh", expect=3), "code", "") == "output-not-kept"
        assert at.store.read("COMPLETE") is None
        monkeypatch.undo()
        for each in list(at.store.list()):
            at.store.delete(each.name)


def test_a_dry_run_leaves_nothing_and_says_what_it_could_not_open(
    at: AtStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    at.do("--dry-run")
    assert at.there() == {} and not (at.job.state / "output").exists()

    def refuse(self: RemoteStore, name: str, content: Any) -> None:
        raise OutOfReach("it needs a login", code="source-login", hint="Log in.")

    monkeypatch.setattr(RemoteStore, "write", refuse)
    at.do("--dry-run")
    assert at.job.problem("source-login")["severity"] == "warning"
    assert getattr(at.do(expect=3), "code", "") == "source-login"


# ---- what arrives


def test_an_export_arrives_and_what_says_so_comes_last(at: AtStorage, written: list[str]) -> None:
    at.job.plan_with(output=at.url, originals="optional")
    at.do()
    at.whole()
    assert written[-2:] == ["manifest.json", "COMPLETE"]
    files = at.job.report()["files"]
    assert files["written"] == len(at.there()) - 3 and f"{files['written']} files" in at.said()
    assert not any("partial" in name for name in written)


def test_run_again_it_sends_only_what_has_changed(at: AtStorage, written: list[str]) -> None:
    at.do()
    before, count = at.job.report(), len(at.there()) - 3
    written.clear()
    at.do()
    assert written == [] and f"0 files (0 bytes) put to {at.url}, {count} were there already" in at.said()
    assert at.job.report()["files"] == before["files"]
    made = at.job.label(row(9, boxes(1)))
    at.job.box.post("/_sandbox/edit", {"id": made[0]["id"], "data": boxes(2)})
    at.do()
    at.whole()
    assert written[1:3] == ["-COMPLETE", "-manifest.json"]
    sent = [name for name in written if name.startswith("synapse_json/")]
    assert [name for name in sent if name.startswith("synapse_json/annotations/")] == [
        "synapse_json/annotations/picture_0009.json"
    ]


def test_what_an_earlier_export_put_there_goes_and_other_peoples_files_stay(at: AtStorage) -> None:
    at.do()
    at.store.write("coco/notes.txt", b"mine")
    coco = at.job.plan.formats[:1]
    at.job.plan_with(output=at.url, formats=coco)
    error = at.do(expect=1)
    assert getattr(error, "code", "") == "would-remove" and at.url in str(error)
    at.job.plan_with(output=at.url, formats=coco, replaces=("synapse_json",))
    at.do()
    assert not [name for name in at.there() if name.startswith("synapse_json/")]
    assert at.store.read("coco/notes.txt") == b"mine"
    assert at.job.problem("unknown-file")["examples"] == ["coco/notes.txt"]
    # It is said once, not once more for every run.
    at.do("--workers", "1")
    assert at.job.problem("delivered")["count"] == 1


@pytest.mark.parametrize(
    "error",
    [OutOfReach("it is away", code="source-timeout"), pytest.param(KeyboardInterrupt(), marks=pytest.mark.heavy)],
)
def test_cut_off_it_sends_the_rest(
    at: AtStorage, written: list[str], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    with monkeypatch.context() as patch:
        breaking(patch, 3, error)
        at.do(expect=130 if isinstance(error, KeyboardInterrupt) else 3)
    assert at.store.read("COMPLETE") is None
    sent = {name for name in written if name not in MARKS and not name.startswith("-")}
    staged = (at.job.state / "output" / "COMPLETE").stat().st_mtime_ns
    written.clear()
    at.do()
    at.whole()
    assert sent and not sent & set(written)
    assert (at.job.state / "output" / "COMPLETE").stat().st_mtime_ns == staged


@pytest.mark.heavy
def test_another_state_knows_by_the_manifest_alone(at: AtStorage, written: list[str]) -> None:
    at.do()
    written.clear()
    at.do("--state", str(at.job.folder / "other"))
    assert written == []


@pytest.mark.heavy
def test_a_transfer_by_another_state_is_not_mistaken_for_ours(
    at: AtStorage, written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivered, "FLUSH_S", 0.0)
    with monkeypatch.context() as patch:
        breaking(patch, 3, KeyboardInterrupt())
        at.do(expect=130)
    with monkeypatch.context() as patch:
        breaking(patch, 2, KeyboardInterrupt())
        at.do("--state", str(at.job.folder / "other"), expect=130)
    written.clear()
    at.do()
    at.whole()
    assert len([name for name in written if name not in MARKS and not name.startswith("-")]) == len(at.there()) - 3


@pytest.mark.heavy
def test_two_places_of_one_state(at: AtStorage) -> None:
    at.do()
    other = AtStorage.__new__(AtStorage)
    other.job, other.url = at.job, f"{at.url}-2"
    other.store = open_store(other.url)
    at.do("--output", other.url)
    at.whole()
    other.whole()
    assert list(at.there()) == list(other.there())


def test_a_path_in_a_storage_of_the_backend_is_one_url(export_job: ExportJob) -> None:
    plan = export_job.plan_with(output="sets/cars", storage=12)
    assert plan.place == "storage://12/sets/cars"
    assert "OUTPUT = 'storage://12/sets/cars'" in (export_job.job / "export.py").read_text()


def test_what_is_there_is_read_back(at: AtStorage, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(verify_export.main, [at.url]) == 2
    at.do()
    assert run(verify_export.main, [at.url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["records"] == 5
    name = "coco/annotations/instances.json"
    at.store.write(name, (at.store.read(name) or b"").replace(b"car", b"cat"))
    assert run(verify_export.main, [at.url]) == 1
    assert f"{name}: other bytes than were written" in capsys.readouterr().out


def test_its_page_shows_what_was_made_here(at: AtStorage) -> None:
    at.do()
    result = read_export(at.job.home)
    assert result.is_complete
    assert result.output == at.job.state / "output"
    assert len(result.sample) == 5
