"""The survey: what is wrong with data units, and that nothing of it is silent."""

from __future__ import annotations

import errno
import os
import threading
import time
import tracemalloc
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synapse_skills.errors import FindingError, OutOfReach
from synapse_skills.plan import Limits
from synapse_skills.sources import File, Inventory, Source
from synapse_skills.units import FIXES, SEVERITIES, Place, Survey, by_extension, by_folder, survey
from synapse_skills.units import guard as guard_module
from synapse_skills.units import placing as placing_module
from units.samples import PLACE, SPECS, TABLE

Write = Callable[..., None]
Look = Callable[..., Survey]


def codes(found: Survey) -> dict[str, int]:
    return {problem.code: problem.count for problem in found.problems.as_list()}


def examples(found: Survey, code: str) -> list[str]:
    return next(problem for problem in found.problems.as_list() if problem.code == code).examples


def complete(write: Write, *units: str) -> None:
    for unit in units:
        write(f"{unit}/image.png")
        write(f"{unit}/label.json")


# ---- findings


def test_missing_required_specs_are_named_once_a_unit(write: Write, look: Look) -> None:
    complete(write, "patient_001")
    write("patient_017/image.png")
    write("patient_018/scan.dcm")
    found = look()
    units = {unit.key: unit for unit in found.units()}
    assert [(f.code, f.message, f.spec) for f in units["patient_017"].findings] == [
        ("missing-required-spec", "patient_017: no label_1", "label_1")
    ]
    assert units["patient_001"].findings == []
    assert codes(found) == {"missing-required-spec": 2}
    assert examples(found, "missing-required-spec") == [
        "patient_017: no label_1",
        "patient_018: no image_1, no label_1",
    ]
    assert found.units_with("missing-required-spec") == 2
    assert found.units_with("empty-file") == 0


def test_several_candidates_are_all_named_and_none_wins(write: Write, look: Look) -> None:
    complete(write, "a")
    write("a/image2.PNG")
    write("a/deep/image3.png")
    (unit,) = look().units()
    assert list(unit.files) == ["label_1"]
    (finding,) = unit.findings
    assert (finding.code, finding.spec) == ("several-candidates", "image_1")
    assert finding.message == "a: 3 files for image_1: deep/image3.png, image.png, image2.PNG"


def test_very_many_candidates_are_counted_and_the_first_ten_named(write: Write, look: Look) -> None:
    write("a/label.json")
    for number in reversed(range(40)):
        write(f"a/{number:02d}.png")
    (unit,) = look().units()
    assert unit.findings[0].message.endswith("08.png, 09.png and 30 more")
    assert unit.findings[0].message.startswith("a: 40 files for image_1: 00.png, 01.png")


def test_empty_oversized_and_odd_files(write: Write, look: Look) -> None:
    complete(write, "empty", "large", "fits", "odd")
    write("empty/scan.dcm", b"")
    write("large/scan.dcm", b"\0" * (1024 * 1024 + 1))
    write("fits/scan.dcm", b"\0" * (1024 * 1024))
    write("odd/scan.bin", b"\0x")

    def place(file: File) -> tuple[str, str] | None:
        return ("odd", "scan_1") if file.suffix == ".bin" else (file.folders[0], TABLE[file.suffix])

    found = look(place, limits=Limits(max_file_size_mb=1))
    said = {unit.key: [finding.message for finding in unit.findings] for unit in found.units()}
    assert said == {
        "empty": ["empty: scan.dcm (scan_1) is empty"],
        "fits": [],
        "large": ["large: scan.dcm (scan_1) has 1.0 MB, the limit is 1 MB"],
        "odd": ["odd: scan.bin (scan_1) is not one of .dcm"],
    }
    assert codes(found) == {"empty-file": 1, "oversized-file": 1, "wrong-extension": 1}


def test_a_key_that_is_too_long(write: Write, look: Look) -> None:
    complete(write, "각" * 85, "가" * 60 + "/" + "나" * 60)
    place = Place(by_folder(2), by_extension({".png": "image_1", ".json": "label_1"}))
    found = look(place)
    (unit,) = found.units()
    assert [finding.code for finding in unit.findings] == ["key-too-long"]
    assert "361 bytes" in unit.findings[0].message
    assert codes(found) == {"key-too-long": 1, "belongs-to-nothing": 2}


def test_files_that_stay_at_home_are_counted_with_examples(write: Write, look: Look) -> None:
    complete(write, "a")
    write("meta.xlsx")
    write("readme\n.txt")
    for number in range(5):
        write(f"a/notes{number}.txt")
    write("a/Thumbs2.db")
    found = look()
    assert [unit.findings for unit in found.units()] == [[]]
    assert codes(found) == {"belongs-to-nothing": 2, "no-spec": 6}
    assert examples(found, "belongs-to-nothing") == ["meta.xlsx", "readme\\n.txt"]
    assert examples(found, "no-spec") == ["5 × .txt, first a/notes0.txt", "a/Thumbs2.db"]
    assert {p.severity for p in found.problems.as_list()} == {"warning"}


def test_a_folder_with_nothing_for_a_spec_is_a_unit_that_misses_all(write: Write, look: Look) -> None:
    """A patient whose picture is a .bmp must not vanish with a warning about extensions."""
    complete(write, "a")
    write("b/image.bmp")
    found = look()
    assert [(unit.key, unit.codes) for unit in found.units()] == [("a", ()), ("b", ("missing-required-spec",))]
    optional = [spec.model_copy(update={"is_required": False}) for spec in SPECS]
    assert [unit.key for unit in look(specs=optional).units()] == ["a"]


def test_no_data_unit_at_all_is_a_finding(write: Write, look: Look) -> None:
    write("a.png")
    found = look()
    assert list(found.units()) == []
    assert codes(found) == {"no-units": 1, "belongs-to-nothing": 1}


def test_every_code_has_a_severity_and_a_fix() -> None:
    assert set(SEVERITIES) == set(FIXES)
    assert all(len(fix) > 20 for fix in FIXES.values())


# ---- the guard


def test_what_the_guard_refuses_is_a_finding_and_stops_nothing(write: Write, look: Look) -> None:
    complete(write, "a", "b", "c", "d")
    write("a/label.json", b'{"x": "<script>alert(1)</script>"}')
    write("b/image.png", b"\xff\xd8\xff not a png")
    write("c/label.json", b'{"key": "AKIAABCDEFGHIJKLMNOP"}')
    found = look()
    said = {unit.key: [finding.message for finding in unit.findings] for unit in found.units()}
    assert said["d"] == []
    assert said["a"] == ["a: label.json (label_1) is refused: script injection (script_tag at byte 7)"]
    assert said["b"] == ["b: image.png (image_1) is refused: type mismatch (png_is_jpeg); its content is .jpg"]
    assert len(said["c"]) == 1
    assert "AKIA" not in said["c"][0]
    assert codes(found) == {"refused-by-guard": 3}
    assert [unit.findings for unit in look(guard=False).units()] == [[], [], [], []]


def test_the_guard_is_asked_once_for_each_state_of_a_file(
    write: Write, look: Look, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    complete(write, "a", "b")
    write("c/image.png", b"")
    write("c/label.json", b"<script>")
    asked: list[str] = []
    real = guard_module.content_guard()

    def counted(path: Any) -> Any:
        asked.append(path.name)
        return real(path)

    monkeypatch.setattr(guard_module, "content_guard", lambda: counted)
    first = look()
    before = [unit.findings for unit in first.units()]
    assert sorted(asked) == ["image.png", "image.png", "label.json", "label.json", "label.json"]  # not the empty one
    second = look()
    assert [unit.findings for unit in second.units()] == before
    assert len(asked) == 5
    os.utime(tmp_path / "data/a/label.json", ns=(1, 1))
    list(look().units())
    assert asked[5:] == ["label.json"]


def test_a_job_borrows_what_the_planner_asked(
    write: Write, look: Look, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, inventory: Inventory
) -> None:
    complete(write, "a")
    write("a/label.json", b"<script>")
    found = look()
    before = [unit.findings for unit in found.units()]
    monkeypatch.setattr(guard_module, "content_guard", lambda: pytest.fail("asked again"))
    with Inventory(tmp_path / "job.sqlite") as job:
        assert job.borrow_guard(inventory.path) == 2
        sources = [Source(str(tmp_path / "data"))]
        job.walk(sources)
        again = survey(job, sources, found.place, found.specs, Limits())
        assert [unit.findings for unit in again.units()] == before


def test_an_unreadable_file_is_a_finding_and_asked_again(
    write: Write, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete(write, "a", "b")
    real = guard_module.open_inside

    def denied(root: Path, file: File) -> Any:
        if file.path == "a/image.png":
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(root, file)

    monkeypatch.setattr(guard_module, "open_inside", denied)
    found = look()
    assert [(unit.key, unit.codes) for unit in found.units()] == [("a", ("unreadable-file",)), ("b", ())]
    assert examples(found, "unreadable-file") == ["a: image.png (image_1) can't be read: Permission denied"]
    monkeypatch.setattr(guard_module, "open_inside", real)
    assert [unit.codes for unit in look().units()] == [(), ()]


def test_a_file_swapped_for_a_link_out_is_not_read(write: Write, look: Look, tmp_path: Path) -> None:
    complete(write, "a")
    found = look()
    (tmp_path / "data/a/label.json").unlink()
    (tmp_path / "data/a/label.json").symlink_to("/etc/passwd")
    (unit,) = found.units()
    assert unit.codes == ("unreadable-file",)
    assert "leaves the source" in unit.findings[0].message


def test_without_a_guard_in_the_sdk(write: Write, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    complete(write, "a")
    monkeypatch.setitem(__import__("sys").modules, "synapse_sdk.utils.file.content_guard", None)
    guard_module.content_guard.cache_clear()
    with pytest.raises(OutOfReach) as caught:
        list(look().units())
    assert caught.value.code == "no-content-guard"
    assert len(list(look(guard=False).units())) == 1


def test_an_early_end_leaves_no_thread_and_no_work(write: Write, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(600):
        complete(write, f"{number:04d}")
    asked: list[str] = []

    def slow(path: Any) -> list[Any]:
        asked.append(path.name)
        time.sleep(0.002)
        return []

    monkeypatch.setattr(guard_module, "content_guard", lambda: slow)
    units = look().units()
    next(units)
    units.close()  # type: ignore[attr-defined]
    assert len(asked) < 1_200
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("guard")]


# ---- order, totals, memory


def test_units_come_in_order_with_totals(write: Write, look: Look) -> None:
    complete(write, "b", "a10", "a2", "한", "a")
    write("a/scan.dcm", b"12345")
    seen: list[int] = []
    found = look(progress=seen.append)
    units = list(found.units())
    assert [unit.key for unit in units] == ["a", "a10", "a2", "b", "한"]
    assert (found.unit_count, found.files) == (5, 11)
    assert found.bytes == sum(unit.bytes for unit in units) == 5 * (28 + 2) + 5
    assert found.files_by_spec == {"image_1": 5, "label_1": 5, "scan_1": 1}
    assert not found.problems
    assert seen[-1] == 11
    assert [unit.key for unit in found.units()] == [unit.key for unit in units]
    assert (found.unit_count, found.files) == (5, 11)


def test_folders_of_two_normal_forms_are_one_unit(write: Write, look: Look) -> None:
    write(f"{unicodedata.normalize('NFC', '각')}/image.png")
    write(f"{unicodedata.normalize('NFD', '각')}/label.json")
    (unit,) = look().units()
    assert (unit.key, unit.codes, set(unit.files)) == ("각", (), {"image_1", "label_1"})


def test_a_place_that_fails_stops_the_survey_and_leaves_no_half_answer(
    write: Write, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing_module, "_PAGE", 1)
    complete(write, "a", "b")
    list(look().units())

    asked: list[str] = []

    def place(file: File) -> tuple[str, str]:
        asked.append(file.path)
        return "elsewhere", ["image_1", "image_1"][len(asked) - 1]

    with pytest.raises(FindingError, match=r"place\(\) raised IndexError: .*, for the file '[ab]/") as caught:
        list(look(place).units())
    assert caught.value.code == "place-raised"
    assert [unit.codes for unit in look().units()] == [(), ()]


def test_another_place_places_every_file_again(write: Write, look: Look) -> None:
    complete(write, "x/a", "x/b")
    table = by_extension({".png": "image_1", ".json": "label_1"})
    assert [unit.key for unit in look(Place(by_folder(1), table)).units()] == ["x"]
    assert [unit.key for unit in look(Place(by_folder(2), table)).units()] == ["x/a", "x/b"]
    assert [unit.key for unit in look(lambda file: ("all", "image_1")).units()] == ["all"]
    assert [unit.key for unit in look(lambda file: (file.stem, "image_1")).units()] == ["image", "label"]


def test_the_same_place_only_places_what_is_new(write: Write, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    complete(write, "a", "b")
    list(look().units())
    asked: list[str] = []
    real = Place.__call__
    monkeypatch.setattr(Place, "__call__", lambda self, file: asked.append(file.path) or real(self, file))
    complete(write, "c")
    (Path(look().sources[0].path) / "b/label.json").unlink()
    assert [(unit.key, unit.codes) for unit in look().units()] == [
        ("a", ()),
        ("b", ("missing-required-spec",)),
        ("c", ()),
    ]
    assert sorted(asked) == ["c/image.png", "c/label.json"]


def test_a_walk_between_two_passes_is_seen(write: Write, look: Look, inventory: Inventory) -> None:
    complete(write, "a")
    found = look()
    assert found.unit_count == 0
    assert len(list(found.units())) == 1
    complete(write, "b")
    inventory.walk(found.sources)
    assert len(list(found.units())) == 2


def test_an_inventory_of_other_sources_is_a_mistake(
    write: Write, look: Look, inventory: Inventory, tmp_path: Path
) -> None:
    complete(write, "a")
    found = look()
    with pytest.raises(ValueError, match="not walked these sources"):
        list(survey(inventory, [Source(str(tmp_path))], found.place, found.specs, Limits()).units())


def test_others_may_write_to_the_inventory_while_units_are_read(write: Write, look: Look, inventory: Inventory) -> None:
    complete(write, *(f"{number:04d}" for number in range(700)))
    found = look(guard=False)
    inventory.connection.execute("CREATE TABLE ledger (key TEXT)")
    for unit in found.units():
        with inventory.transaction() as connection:
            connection.execute("INSERT INTO ledger VALUES (?)", (unit.key,))
    assert inventory.rows("SELECT count(DISTINCT key) FROM ledger") == [(700,)]


@pytest.mark.heavy
def test_fifty_thousand_files_in_flat_memory(tmp_path: Path, inventory: Inventory) -> None:
    (tmp_path / "data").mkdir()
    sources = [Source(str(tmp_path / "data"))]
    inventory.walk(sources)
    with inventory.transaction() as connection:
        rows = ((0, f"unit_{n // 2:06d}/x.{'png' if n % 2 else 'json'}", 5, 1, 1) for n in range(50_000))
        connection.executemany("INSERT INTO file (source, path, size, mtime_ns, generation) VALUES (?,?,?,?,?)", rows)
        rows = ((0, f"unit_000000/{n:06d}.dcm", 5, 1, 1) for n in range(5_000))
        connection.executemany("INSERT INTO file (source, path, size, mtime_ns, generation) VALUES (?,?,?,?,?)", rows)
    found = survey(inventory, sources, PLACE, SPECS, Limits(), guard=False)
    tracemalloc.start()
    try:
        assert sum(1 for _ in found.units()) == 25_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found.files, codes(found)) == (50_000, {"several-candidates": 1})
    assert peak < 12_000_000


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 1), st.text("aB가/.", min_size=1, max_size=8), st.sampled_from([".png", ".json", ".x", ""])
        ),
        max_size=30,
    ),
    st.integers(1, 3),
)
def test_every_file_is_in_a_unit_or_in_a_problem(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[int, str, str]], depth: int
) -> None:
    folder = tmp_path_factory.mktemp("any")
    paths = sorted({(source, f"{path.strip('/') or 'a'}{suffix}") for source, path, suffix in files})
    with Inventory(folder / "i.sqlite") as inventory:
        for name in ("p", "q"):
            (folder / name).mkdir()
        sources = [Source(str(folder / "p")), Source(str(folder / "q"))]
        inventory.walk(sources)
        insert = "INSERT INTO file (source, path, size, mtime_ns, generation) VALUES (?,?,7,1,1)"
        inventory.connection.executemany(insert, paths)
        place = Place(by_folder(depth), by_extension({".png": "image_1", ".json": "label_1"}))
        found = survey(inventory, sources, place, SPECS, Limits(), guard=False)
        units = list(found.units())
    keys = [unit.key for unit in units]
    assert keys == sorted(set(keys))
    held = [file for unit in units for file in unit.files.values()]
    doubled = sum(
        int(finding.message.split(": ", 1)[1].split()[0])
        for unit in units
        for finding in unit.findings
        if finding.code == "several-candidates"
    )
    problems = codes(found)
    at_home = problems.get("belongs-to-nothing", 0) + problems.get("no-spec", 0)
    assert len(held) == len(set(held)) == found.files
    assert len(held) + doubled + at_home == len(paths)
    for unit in units:
        for spec, file in unit.files.items():
            assert place(file).unit == unit.key  # type: ignore[union-attr]
            assert place(file).spec == spec  # type: ignore[union-attr]
