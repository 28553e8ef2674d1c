"""What files say about layout and specs."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from synapse_skills.plan import SpecPlan
from synapse_skills.planning.evidence import Extensions, assignments, clues, decide, measure, sentence
from synapse_skills.sources import File

IMAGE = SpecPlan(name="image_1", extensions=(".png", ".jpg"), is_required=True, is_primary=True)
MASK = SpecPlan(name="mask_1", extensions=(".png",))
LABEL = SpecPlan(name="label_1", extensions=(".json",), is_required=True)


def files(*paths: str, source: int = 0) -> list[File]:
    return [File(source, path, 1, 1) for path in sorted(paths)]


def folders(count: int, *names: str) -> list[File]:
    return files(*(f"p{number:04}/{name}" for number in range(count) for name in names))


def test_signatures_are_counted_at_every_depth() -> None:
    layout = measure(
        files("a/x.png", "a/y.json", "b/x.PNG", "b/deep/y.json", "root.png", "a/notes.txt"), (IMAGE, LABEL)
    )
    first, second = layout.depths[:2]
    assert (layout.files, layout.known) == (6, 5) and layout.extensions[".png"] == 3
    assert first.signatures == {((".json", 1), (".png", 1)): 2} and (first.folders, first.above) == (2, 1)
    assert second.signatures == {((".json", 1),): 1} and second.above == 4


def test_the_same_folder_in_two_sources_is_two_folders() -> None:
    layout = measure([*files("a/x.png"), *files("a/x.png", source=1)], (IMAGE,))
    assert layout.depths[0].folders == 2


def test_folders_by_type_inside_a_unit_are_no_units() -> None:
    layout = measure(folders(10, "img/a.png", "mask/a.png"), (IMAGE, MASK))
    assert layout.best((IMAGE, MASK)).depth == 1


def test_batches_of_units_are_found_below() -> None:
    paths = [f"b{batch}/p{number}/{name}" for batch in range(3) for number in range(9) for name in ("a.png", "a.json")]
    assert measure(files(*paths), (IMAGE, LABEL)).best((IMAGE, LABEL)).depth == 2


def test_units_with_much_missing_are_still_units() -> None:
    tree = files(*(f"p{n}/a.png" for n in range(10)), *(f"p{n}/a.json" for n in range(3)))
    depth = measure(tree, (IMAGE, LABEL)).best((IMAGE, LABEL))
    assert depth.depth == 1 and depth.fitting((IMAGE, LABEL)) == 3


@pytest.mark.parametrize(
    ("signature", "specs", "ways"),
    [
        (((".png", 1),), (IMAGE, MASK), [{"image_1": ".png"}]),
        (((".png", 2),), (IMAGE, MASK), [{"image_1": ".png", "mask_1": ".png"}]),
        (((".png", 3),), (IMAGE, MASK), []),
        (((".jpg", 1), (".png", 1)), (IMAGE, MASK), [{"image_1": ".jpg", "mask_1": ".png"}]),
        (((".json", 1),), (IMAGE, LABEL), []),
        ((), (MASK,), []),
        (((".png", 1),), (MASK, SpecPlan(name="other", extensions=(".png",))), [{"mask_1": ".png"}, {"other": ".png"}]),
    ],
)
def test_assignments(
    signature: tuple[tuple[str, int], ...], specs: tuple[SpecPlan, ...], ways: list[dict[str, str]]
) -> None:
    found = [dict(way) for way in assignments(signature, specs)]
    assert sorted(found, key=str) == sorted(ways, key=str)


def test_an_oddity_among_many_does_not_make_an_extension_shared() -> None:
    tree = sorted([*folders(1000, "a.png"), *files("odd/a.png", "odd/b.png")], key=lambda file: file.path)
    depth = measure(tree, (IMAGE, MASK)).best((IMAGE, MASK))
    assert decide(depth, (IMAGE, MASK)).contested == {}
    half = measure(sorted([*folders(9, "a.png"), *files("q/a.png", "q/b.png")], key=lambda f: f.path), (IMAGE, MASK))
    assert decide(half.best((IMAGE, MASK)), (IMAGE, MASK)).contested == {".png": ("image_1", "mask_1")}


def test_an_extension_that_means_different_specs_in_different_units_is_shared() -> None:
    tree = files(*(f"a{n}/{x}" for n in range(5) for x in ("s.jpg", "m.png")), *(f"b{n}/s.png" for n in range(5)))
    depth = measure(tree, (IMAGE, MASK)).best((IMAGE, MASK))
    assert decide(depth, (IMAGE, MASK)).contested == {".png": ("image_1", "mask_1")}
    assert decide(depth, (IMAGE, MASK)).takes["image_1"] == (".jpg",)


@pytest.mark.parametrize(
    ("name", "extension"),
    [("a.nii.gz", ".nii.gz"), ("a.tar.gz", ".gz"), ("A.NII.GZ", ".nii.gz"), (".nii.gz", ".gz"), ("a", ""), ("a.", "")],
)
def test_compound_extensions(name: str, extension: str) -> None:
    assert Extensions([".nii.gz", ".gz"]).of(name) == extension


def test_clues_say_folders_names_and_endings_most_units_first() -> None:
    tree = folders(8, "img/scan.png", "mask/scan_mask.png")
    found = {clue.label: (clue.pattern, clue.files, clue.units) for clue in clues(tree, ".png", [".png"], 1)}
    assert found["folder mask/"] == ("mask/*.png", 8, 8)
    assert found["name scan_mask.png"] == ("scan_mask.png", 8, 8)
    assert found["ending _mask.png"] == ("*_mask.png", 8, 8)
    assert len({clue.mark for clue in clues(tree, ".png", [".png"], 1) if "mask" in clue.label}) == 1


def test_what_finds_all_files_or_hardly_any_is_no_clue() -> None:
    tree = folders(100, "img/a.png", "img/b.png")
    labels = [clue.label for clue in clues(tree, ".png", [".png"], 1)]
    assert labels == ["name a.png", "name b.png"]


def test_names_with_glob_signs_match_only_themselves() -> None:
    tree = folders(5, "m[a]*/x.png", "y/x.png")
    assert "m[[]a][*]/*.png" in [clue.pattern for clue in clues(tree, ".png", [".png"], 1)]


def test_memory_stays_flat_however_many_names_there_are() -> None:
    def many() -> Iterator[File]:
        for number in range(8_000):
            yield File(0, f"p{number:06}/img/unique_{number}.png", 1, 1)
            yield File(0, f"p{number:06}/mask/unique_{number}_mask.png", 1, 1)

    tracemalloc.start()
    layout = measure(many(), (IMAGE, MASK))
    found = clues(many(), ".png", [".png"], 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert layout.files == 16_000 and [c.units for c in found[:3]] == [8_000] * 3
    assert peak < 8 * 2**20


def test_sentences_name_pictures_first() -> None:
    assert sentence(((".json", 1), (".png", 1))) == "one .png and one .json"
    assert sentence(((".json", 2), (".png", 9), (".wav", 1))) == "nine or more .png, one .wav and two .json"
