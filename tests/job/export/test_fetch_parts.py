"""Records and originals that others fetch: the same export, whoever dies on the way, and nothing fetched twice."""

from __future__ import annotations

import contextlib
import importlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from parallel_work import Posted

from export_fixture import ExportJob, boxes, row
from job.export.test_export_originals import picture, with_file
from synapse_skills.backend import Api, trying
from synapse_skills.export_plan import FormatPlan
from synapse_skills.job.export import engine, fetch, fetch_parts, original_parts, originals, scope
from synapse_skills.job.export.fetch_parts import pieces, share
from synapse_skills.job.export.index import Index
from synapse_skills.job.export.spool import Kept, Spool
from synapse_skills.job.parallel import Processes

backend_login = importlib.import_module("synapse_skills.backend.login")
FORMATS = (FormatPlan(name="coco"), FormatPlan(name="yolo"))
ROWS = [row(number, boxes(1 + number % 3)) for number in range(30)]


class Dying(Posted):
    """A crew whose driver dies after so many answers: what is under way by then is done, and nobody is told."""

    def __init__(self, answers: int) -> None:
        super().__init__()
        self.answers = answers

    def each(self, *args: Any, **more: Any) -> Iterator[Any]:
        for number, answer in enumerate(super().each(*args, **more)):
            if number == self.answers:
                raise KeyboardInterrupt
            yield answer


@pytest.fixture
def crews(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Those who work on the next exports with engine: ray; the last one stays."""
    waiting: list[Any] = [Posted()]

    def crew_for(plan: Any, said: Any, records: int, *folders: Path) -> Any:
        return contextlib.nullcontext(waiting[0] if plan.engine == "ray" and said is None else None)

    monkeypatch.setattr(engine, "crew_for", crew_for)
    monkeypatch.setattr("synapse_skills.job.ray_crew.connected", lambda: None)
    monkeypatch.setattr(original_parts, "FILES", 4)
    return waiting


def alone(job: ExportJob, **plan: Any) -> tuple[dict[str, str], Any]:
    """What one machine makes of it; nothing is left of how."""
    job.plan_with(formats=FORMATS, **plan)
    job.do()
    found = job.bytes(), counts(job)
    job.plan_with(formats=FORMATS, engine="ray", **plan)
    return found


def counts(job: ExportJob) -> Any:
    report = job.report()
    return {name: report[name] for name in ("records", "annotations", "files", "problems")}


def test_ranges_that_others_fetch_give_the_same_export(export_job: ExportJob, crews: list[Any]) -> None:
    export_job.label(*ROWS)
    whole = alone(export_job)
    export_job.do("--fresh")
    assert (export_job.bytes(), counts(export_job)) == whole
    assert crews[0].done.count("fetch") > 3 and "write" in crews[0].done
    # Nothing of it is fetched again by a run that finds it.
    crews[0] = Posted()
    export_job.box.reset_stats()
    (export_job.output / "COMPLETE").unlink()
    export_job.do()
    assert "fetch" not in crews[0].done and export_job.bytes() == whole[0]


def test_what_others_have_kept_outlives_the_driver(export_job: ExportJob, crews: list[Any]) -> None:
    export_job.label(*ROWS)
    whole = alone(export_job)
    crews[0] = Dying(2)
    export_job.do("--fresh", expect=130)
    spool = Spool(export_job.state / "spool")
    kept = {place.key for page in spool.pages() for place in page.places}
    # The answer that nobody got is there too.
    assert 10 < len(kept) < 30 and len(crews[0].done) == 3
    crews[0] = Posted()
    export_job.do()
    assert export_job.bytes() == whole[0]
    rows = [place.key for page in spool.pages() for place in page.places]
    assert sorted(rows) == sorted(set(rows)) and len(rows) == 30


@pytest.mark.heavy
def test_a_range_that_is_fetched_twice_counts_once(
    export_job: ExportJob, crews: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    export_job.label(*ROWS)
    whole = alone(export_job)
    real = fetch_parts.fetch

    def lost_and_done_again(common: Any, piece: Any) -> Any:
        real(common, piece)
        return real(common, piece)

    monkeypatch.setattr(fetch_parts, "fetch", lost_and_done_again)
    lost_and_done_again.__module__, lost_and_done_again.__qualname__ = real.__module__, "fetch"
    export_job.do("--fresh")
    assert (export_job.bytes(), counts(export_job)) == whole
    rows = [place.key for page in Spool(export_job.state / "spool").pages() for place in page.places]
    assert len(rows) == 60
    (export_job.output / "COMPLETE").unlink()
    export_job.do()
    assert (export_job.bytes(), counts(export_job)["records"]) == (whole[0], whole[1]["records"])


def test_a_login_that_is_refused_ends_it_as_on_one_machine(export_job: ExportJob, crews: list[Any]) -> None:
    export_job.label(*ROWS)
    export_job.plan_with(engine="ray")
    export_job.box.set_faults({"kind": "status", "status": 401, "route": "assignments.list", "on": [5]})
    error = export_job.do(expect=3)
    assert error is not None and error.code == "login-refused" and "fetch" in crews[0].done
    assert export_job.box.token not in str(error)
    export_job.box.set_faults()


def test_rows_that_were_not_asked_for_end_it(
    export_job: ExportJob, crews: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    export_job.label(*ROWS)
    export_job.plan_with(engine="ray")
    first = min(each["id"] for each in export_job.label(row(31)))
    real = scope.Scope.objection
    monkeypatch.setattr(
        scope.Scope, "objection", lambda self, head: "wrong" if head["id"] == first - 7 else real(self, head)
    )
    error = export_job.do(expect=1)
    assert error is not None and error.code == "outside-scope"
    assert "fetch" in crews[0].done and not (export_job.output / "COMPLETE").exists()


@pytest.mark.heavy
def test_who_dies_while_fetching_is_replaced(export_job: ExportJob, crews: list[Any]) -> None:
    export_job.label(*ROWS)
    whole = alone(export_job)
    export_job.box.set_faults({"kind": "slow", "route": "assignments.list", "seconds": 0.2})
    killed: list[int] = []

    def kill_one() -> None:
        while not list((export_job.state / "spool").glob("*-*/*.pages")):
            time.sleep(0.01)
        process = crews[0]._workers[0]._process
        process.kill()
        killed.append(process.wait())

    with Processes(2) as crews[0]:
        killer = threading.Thread(target=kill_one)
        killer.start()
        export_job.do("--fresh")
        killer.join()
    assert killed == [-9] and export_job.bytes() == whole[0]


@pytest.mark.heavy
def test_a_machine_that_is_logged_in_elsewhere_fetches_nothing(
    export_job: ExportJob, crews: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    export_job.label(*ROWS)
    export_job.plan_with(engine="ray")
    real = backend_login.login
    monkeypatch.setattr(backend_login, "login", lambda: replace(real(), host="http://127.0.0.1:9"))
    error = export_job.do(expect=1)
    assert error is not None and error.code == "other-login"
    assert not list((export_job.state / "spool").glob("*/*.pages"))


@pytest.mark.heavy
def test_a_list_without_order_is_read_page_by_page(
    export_job: ExportJob, crews: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    export_job.label(*ROWS)
    whole = alone(export_job)

    async def unordered(self: Any, low: int, high: int) -> Any:
        raise fetch.NotOrdered

    monkeypatch.setattr(fetch.Fetcher, "_range", unordered)
    export_job.do("--fresh")
    assert export_job.bytes() == whole[0] and crews[0].done.count("fetch") == 1


def test_who_writes_for_a_dead_run_brings_nothing_back(tmp_path: Path) -> None:
    driver = Spool(tmp_path / "spool")
    room = driver.make_room()
    late = Spool(tmp_path / "spool", room=room)
    late.append({"t": "range", "low": 1, "high": 3}, [Kept(1, b"{}", 1)])
    driver.append({"t": "again"}, [Kept(1, b'{"new":1}', 1)])
    assert Index(tmp_path / "index.sqlite", Spool(tmp_path / "spool")).row(1) == b'{"new":1}'
    # What is forgotten stays so, also if a task begins only then.
    driver.clear()
    with pytest.raises(OSError):
        Spool(tmp_path / "spool", room=room).append({"t": "range", "low": 1, "high": 9}, [Kept(5, b"{}", 5)])
    assert list(driver.pages()) == []


@pytest.mark.parametrize("count", [0, -3, 7, 1000, 10**6])
def test_pieces_are_the_whole_and_no_more(count: int) -> None:
    missing = [(5, 60), (100, 101), (200, 12_000)]
    found = list(pieces(missing, count, crew=3, page_size=10))
    assert sorted(number for low, high, _ in found for number in range(low, high)) == [
        number for low, high in missing for number in range(low, high)
    ]
    assert len(found) >= min(12, max(count, 1) // 10)


@pytest.mark.parametrize(("crew", "workers", "each"), [(1, 8, 8), (3, 8, 2), (16, 8, 1), (8, 8, 1)])
def test_all_together_ask_as_often_at_once_as_one_machine_may(crew: int, workers: int, each: int) -> None:
    posted = Posted()
    posted.size = crew
    assert share(posted, workers) == each and min(crew, workers) * each <= workers


PICTURES = [with_file(number, picture(20, 10 + number)) for number in range(9)]


def stored(job: ExportJob) -> list[Path]:
    return sorted(path for path in (job.state / "originals").rglob("*") if path.is_file())


def test_originals_that_others_fetch_are_the_same_files(export_job: ExportJob, crews: list[Any]) -> None:
    export_job.label(*PICTURES, with_file(9, None), with_file(10, b"<!doctype html><p>Sorry"))
    whole = alone(export_job, originals="optional")
    export_job.do("--fresh")
    assert (export_job.bytes(), counts(export_job)) == whole and crews[0].done.count("get") == 3
    assert len(stored(export_job)) == 9
    # What a run that was killed has left half is gone; what is whole stays.
    stored(export_job)[0].unlink()
    left = export_job.state / "originals" / "dead.under-way" / "try"
    left.mkdir(parents=True)
    (left / "half.part").write_bytes(b"half")
    (export_job.output / "COMPLETE").unlink()
    export_job.box.reset_stats()
    export_job.do()
    assert export_job.box.requests("files.media") == 1 + 1 + 1  # the lost one, and those that can't be had
    assert export_job.bytes() == whole[0] and len(stored(export_job)) == 9


@pytest.mark.heavy
def test_two_tasks_after_one_file_are_not_in_each_others_way(export_job: ExportJob, crews: list[Any]) -> None:
    content = picture(400, 300)
    export_job.plan_with(formats=FORMATS, engine="ray", originals="required")
    export_job.label(with_file(0, content))
    part = export_job.state / "originals"
    real = originals.Originals._receive

    async def late(self: Any, part: Path, *args: Any) -> None:
        # Somebody else has the same file half by now, under the name that one machine alone would give it.
        await real(self, part, *args)
        (part.parents[2] / part.name).write_bytes(b"half")

    with mock.patch.object(originals.Originals, "_receive", late):
        export_job.do()
    assert [path.read_bytes() for path in part.glob("*/*") if path.is_file()] == [content]


@pytest.mark.heavy
def test_sizes_that_others_looked_up_are_kept(export_job: ExportJob, crews: list[Any]) -> None:
    export_job.label(
        *(with_file(n, picture(640, 320 + n, "JPEG"), boxes(1, size=None), f"b{n}.jpeg") for n in range(6))
    )
    whole = alone(export_job)
    export_job.do("--fresh")
    assert export_job.bytes() == whole[0] and crews[0].done.count("get") == 2
    export_job.box.reset_stats()
    (export_job.output / "COMPLETE").unlink()
    export_job.do()
    assert export_job.bytes() == whole[0] and export_job.box.requests("files.media") == 0


@pytest.mark.heavy
def test_a_storage_that_is_away_ends_it(
    export_job: ExportJob, crews: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    export_job.label(*PICTURES)
    export_job.plan_with(formats=FORMATS, engine="ray", originals="required")
    monkeypatch.setattr(original_parts, "api_of", lambda who, workers: Api(who, patience=0.0))
    monkeypatch.setattr(trying, "LOST_IN_A_ROW", 1)
    monkeypatch.setattr(trying, "backoff", lambda *args: 0.001)
    export_job.box.set_faults({"kind": "status", "status": 503, "route": "files.media"})
    error = export_job.do(expect=3)
    export_job.box.set_faults()
    assert error is not None and error.code == "storage-unreachable" and crews[0].done[-1] == "get"
    assert not stored(export_job)
