"""What the files say: kinds of files, and clues to tell them apart, always in flat memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

from synapse_skills.plan import GroupingPlan, SpecPlan
from synapse_skills.planning.evidence import clues, measure
from synapse_skills.sources import File
from synapse_skills.units import by_folder, by_stem, hypotheses

IMAGE = SpecPlan(name="image_1", extensions=(".png", ".jpg"), is_required=True, is_primary=True)
MASK = SpecPlan(name="mask_1", extensions=(".png",))
LABEL = SpecPlan(name="label_1", extensions=(".json",), is_required=True)


def files(*paths: str, source: int = 0) -> list[File]:
    return [File(source, path, 1, 1) for path in sorted(paths)]


def folders(count: int, *names: str) -> list[File]:
    return files(*(f"p{number:04}/{name}" for number in range(count) for name in names))


def test_kinds_are_counted_by_whole_extension() -> None:
    scan = SpecPlan(name="scan_1", extensions=(".nii.gz", ".vol.zip"))
    kinds = measure(files("a.nii.gz", "A.NII.GZ", "b.vol.zip", "c.gz", "1.2.840.10008", "d.txt"), (scan,))
    assert dict(kinds.extensions) == {".nii.gz": 2, ".vol.zip": 1, ".gz": 1, "": 1, ".txt": 1}
    assert (kinds.files, kinds.known) == (6, 3)


def test_clues_in_units_that_are_no_folders() -> None:
    tree = files(*(f"{kind}/{number}.png" for kind in ("a", "b") for number in range(6)))
    found = {clue.label: (clue.pattern, clue.files) for clue in clues(tree, ".png", (), by_stem(("a", "b")))}
    assert found["folder b/"] == ("b/*.png", 6)


def test_clues_say_folders_names_and_endings_most_units_first() -> None:
    tree = folders(8, "img/scan.png", "mask/scan_mask.png")
    found = {clue.label: (clue.pattern, clue.files, clue.units) for clue in clues(tree, ".png", (), by_folder(1))}
    assert found["folder mask/"] == ("mask/*.png", 8, 8)
    assert found["name scan_mask.png"] == ("scan_mask.png", 8, 8)
    assert found["ending _mask.png"] == ("*_mask.png", 8, 8)
    assert len({clue.mark for clue in clues(tree, ".png", (), by_folder(1)) if "mask" in clue.label}) == 1


def test_what_finds_all_files_or_hardly_any_is_no_clue() -> None:
    tree = folders(100, "img/a.png", "img/b.png")
    labels = [clue.label for clue in clues(tree, ".png", (), by_folder(1))]
    assert labels == ["name a.png", "name b.png"]


def test_names_with_glob_signs_match_only_themselves() -> None:
    tree = folders(5, "m[a]*/x.png", "y/x.png")
    assert "m[[]a][*]/*.png" in [clue.pattern for clue in clues(tree, ".png", (), by_folder(1))]


def test_memory_stays_flat_however_many_names_there_are() -> None:
    def many() -> Iterator[File]:
        for number in range(8_000):
            yield File(0, f"p{number:06}/img/unique_{number}.png", 1, 1)
            yield File(0, f"p{number:06}/mask/unique_{number}_mask.png", 1, 1)

    tracemalloc.start()
    kinds = measure(many(), (IMAGE, MASK))
    found = clues(many(), ".png", (), by_folder(1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kinds.files == kinds.known == 16_000 and [c.units for c in found[:3]] == [8_000] * 3
    assert peak < 8 * 2**20


def test_a_layout_that_was_named_is_counted_alone() -> None:
    tree = files(*(f"x{number}/img/a.png" for number in range(3)), *(f"x{number}/json/b.json" for number in range(3)))
    grouping = GroupingPlan(by="pattern", regex="(.+?)/(?:img|json)/")
    (found,) = hypotheses(lambda: tree, (IMAGE, LABEL), groupings=[grouping])
    assert (found.grouping, found.units, found.complete) == (grouping, 3, 3)
    nowhere = GroupingPlan(by="pattern", regex="nowhere/(x)")
    assert hypotheses(lambda: tree, (IMAGE, LABEL), groupings=[nowhere])[0].units == 0


def test_where_folders_say_the_kind_only_they_are_clues() -> None:
    from synapse_skills.units import by_stem

    paths = [f"{kind}/train/{n:03}.txt" for kind in ("labels", "labels_seg") for n in range(6)]
    group = by_stem(ignore=("labels", "labels_seg"))
    found = clues((File(0, path, 1, 1) for path in paths), ".txt", (), group, ("labels", "labels_seg"))
    assert {(clue.pattern, clue.files) for clue in found if clue.label.startswith("folder")} == {
        ("labels/**/*.txt", 6),
        ("labels_seg/**/*.txt", 6),
    }
