"""Every layout is understood for what it is, and makes exactly the data units that were meant."""

from __future__ import annotations

import tracemalloc
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synapse_skills.plan import GroupingPlan, SourcePlan, SpecPlan
from synapse_skills.sources import File, Inventory, Source
from synapse_skills.units import Hypothesis, Placed, Unplaced, best, hypotheses, place_for, recount
from units import trees
from units.trees import MASK, MASK_SPECS, SEED_SPECS, Units, files_of, specs_of

IMAGE = SEED_SPECS[0]
YOLO = specs_of(("image_1", (".jpg",), True), ("label_1", (".txt",), True))


def count(files: Sequence[File], specs: Sequence[SpecPlan], sources: Sequence[SourcePlan] = ()) -> list[Hypothesis]:
    return hypotheses(lambda: files, specs, sources)


def winner(files: Sequence[File], specs: Sequence[SpecPlan], sources: Sequence[SourcePlan] = ()) -> Hypothesis:
    choice = best(count(files, specs, sources))
    assert choice.winner is not None, [one.label for one in choice.rivals]
    return choice.winner


def made(one: Hypothesis, files: Sequence[File]) -> Units:
    """The data units that a hypothesis makes, as the job will."""
    place = place_for(one.grouping, one.specs, one.sources)
    units: Units = {}
    for file in files:
        answer = place(file)
        if isinstance(answer, Placed):
            assert answer.spec not in units.setdefault(answer.unit, {})
            units[answer.unit][answer.spec] = file.path
    return units


# ---- the seed's trees


@pytest.mark.parametrize("many", [3, 40])
@pytest.mark.parametrize(
    ("tree", "specs", "grouping"),
    [
        (trees.nested, SEED_SPECS, {"by": "folder", "depth": 1}),
        (trees.type_folders, SEED_SPECS, {"by": "stem", "ignore": ("dicoms", "images", "labels")}),
        (trees.flat, SEED_SPECS, {"by": "stem"}),
        (trees.deep, MASK_SPECS, {"by": "folder", "depth": 1}),
    ],
)
def test_the_seeds_trees(many: int, tree: Any, specs: Any, grouping: dict[str, Any]) -> None:
    wanted = tree(many)
    files = files_of(trees.paths_of(wanted))
    found = winner(files, specs)
    assert found.grouping.model_dump(exclude_defaults=True) == {
        key: value for key, value in grouping.items() if (key, value) not in (("by", "folder"), ("depth", 1))
    }
    assert made(found, files) == wanted
    assert (found.units, found.complete, found.ambiguous, found.unplaced) == (many, many, 0, 0)
    assert found.is_exact and found.contested == {} and found.explained == 1
    assert len(found.examples) == min(3, many) and found.because


@pytest.mark.parametrize("said", [True, False])
def test_the_seeds_mixed_sources(said: bool) -> None:
    parts = trees.sources()
    sources = [
        SourcePlan(path=f"/data/{folder}", spec=spec if said else None)
        for folder, (spec, _) in zip(("images", "labels", "masks"), parts, strict=True)
    ]
    files = [file for index, (_, paths) in enumerate(parts) for file in files_of(paths, index)]
    found = winner(files, MASK_SPECS, sources)
    assert [source.spec for source in found.sources] == ["image_1", "label_1", "mask_1"]
    assert made(found, files) == {
        f"{number:03}": {"image_1": f"{number:03}.png", "label_1": f"{number:03}.json", "mask_1": f"{number:03}.png"}
        for number in (1, 2, 3)
    }
    assert found.grouping.by == "stem"


def test_sources_whose_names_say_nothing_leave_the_extension_contested() -> None:
    files = [file for index, (_, paths) in enumerate(trees.sources()) for file in files_of(paths, index)]
    found = winner(files, MASK_SPECS, [SourcePlan(path=f"/data/{index}") for index in range(3)])
    assert found.contested == {".png": ("image_1", "mask_1")} and found.complete == 3


# ---- other trees


def test_coco_like_with_some_unmatched() -> None:
    images = [f"images/train2017/{n:05}.jpg" for n in range(20)]
    labels = [f"labels/train2017/{n:05}.txt" for n in range(2, 23)]
    others = [f"labels_seg/train2017/{n:05}.txt" for n in range(3, 15)] + ["classes.txt", "data.yaml"]
    files = files_of(images + labels + others)
    found = winner(files, YOLO)
    assert repr(found.mapping) == "by_pattern({'label_1': 'labels/**/*.txt'}) | by_extension({'.jpg': 'image_1'})"
    units = made(found, files)
    assert len(units) == 23 and sum(len(each) == 2 for each in units.values()) == 18 == found.complete
    assert units["train2017/00002"] == {
        "image_1": "images/train2017/00002.jpg",
        "label_1": "labels/train2017/00002.txt",
    }


@pytest.mark.parametrize(
    ("paths", "specs", "label", "mapping"),
    [
        (
            [f"{n:03}{end}.png" for n in range(9) for end in ("", "_mask")],
            (IMAGE, MASK),
            "same name without endings _mask",
            "by_pattern({'mask_1': '*_mask.png'}) | ",
        ),
        (
            [f"{folder}/{n:03}{end}.png" for n in range(9) for folder, end in (("images", ""), ("masks", "_SEG"))],
            (IMAGE, MASK),
            "same name without folders images/, masks/ and endings _seg",
            "by_pattern({'mask_1': 'masks/*.png'}) | ",
        ),
        (
            [f"{part}/{kind}/{n}.{e}" for part in ("train", "val")
             for kind, e in (("Images", "PNG"), ("Labels", "JSON"))
             for n in range(5)],
            SEED_SPECS,
            "same name without folders Images/, Labels/",
            "by_extension(",
        ),
        (
            [f"B{n}/B{n}_{kind}.nii.gz" for n in range(5) for kind in ("t1", "t2", "flair", "seg")],
            specs_of(*((f"{kind}_1", (".nii.gz",), True) for kind in ("t1", "t2", "flair", "seg"))),
            "each top-level folder",
            "by_pattern({'t2_1': '*_t2.nii.gz', 'flair_1': '*_flair.nii.gz', 'seg_1': '*_seg.nii.gz'}) | ",
        ),
        (
            [f"batch_{b}/patient_{n}/{name}" for b in range(3) for n in range(5) for name in ("a.png", "a.json")],
            SEED_SPECS,
            "each folder 2 levels down",
            "by_extension(",
        ),
        (
            [f"{folder}/{n}.png" for folder in ("cats", "dogs") for n in range(5)],
            (IMAGE,),
            "same name",
            "by_extension(",
        ),
        (
            [f"{n:03}.{e}" for n in range(5) for e in ("seg.nrrd", "nrrd")],
            specs_of(("scan_1", (".nrrd",), True), ("seg_1", (".seg.nrrd",), False)),
            "same name",
            "by_extension({'.nrrd': 'scan_1', '.seg.nrrd': 'seg_1'})",
        ),
        (
            [f"p{n}/{name}" for n in range(5) for name in ("main.png", "main_thumb.png", "a.json")],
            specs_of(("main_1", (".png",), True), ("label_1", (".json",), True)),
            "each top-level folder",
            "by_pattern({'main_1': 'main.png'}) | by_extension({'.json': 'label_1'})",
        ),
    ],
)  # fmt: skip
def test_other_layouts(paths: list[str], specs: tuple[SpecPlan, ...], label: str, mapping: str) -> None:
    found = winner(files_of(paths), specs)
    assert found.label == label
    assert repr(found.mapping).startswith(mapping)
    assert found.explained > 0.6 and found.contested == {} and found.complete == found.units


def test_decomposed_names_meet_composed_ones() -> None:
    files = files_of([unicodedata.normalize("NFD", f"이미지/환자{n}.png") for n in range(4)])
    files += files_of([f"라벨/환자{n}.json" for n in range(4)])
    found = winner(sorted(files, key=lambda file: file.path), SEED_SPECS)
    assert found.grouping.ignore == ("라벨", "이미지") and found.complete == 4


def test_what_could_be_either_is_asked() -> None:
    """Cats and dogs with equal numbers: pictures of their own, or a picture and its mask?"""
    files = files_of([f"{folder}/{n}.png" for folder in ("cats", "dogs") for n in range(5)])
    choice = best(count(files, (IMAGE, MASK)))
    assert choice.winner is None
    assert [one.label for one in choice.rivals] == ["same name", "same name without folders cats/, dogs/"]
    assert choice.rivals[1].contested == {".png": ("image_1", "mask_1")}


def test_a_spec_that_two_folders_could_fill_is_contested_alone() -> None:
    kinds = (("images", "jpg"), ("labels", "txt"), ("panoptic", "png"), ("semantic", "png"))
    files = files_of([f"{folder}/{n}.{extension}" for folder, extension in kinds for n in range(9)])
    found = winner(files, (*YOLO, MASK))
    assert found.contested == {".png": ("mask_1",)} and found.complete == 9
    assert repr(found.mapping) == "by_extension({'.jpg': 'image_1', '.txt': 'label_1'})"


def test_pictures_and_masks_of_two_extensions() -> None:
    kinds = (("images", "png", 0), ("masks", "png", 0), ("images", "jpg", 9), ("masks", "jpg", 9))
    files = files_of([f"{folder}/{n + more}.{extension}" for folder, extension, more in kinds for n in range(9)])
    mask = SpecPlan(name="mask_1", extensions=(".png", ".jpg"))
    found = winner(files, (IMAGE, mask))
    assert found.specs[1].pattern == "masks/*.jpg | masks/*.png"
    assert (found.units, found.complete, found.filled) == (18, 18, 2)


def test_what_was_said_stands() -> None:
    """A pattern of the user's is taken as it is, and `takes` may name files without a suffix."""
    files = files_of([f"p{n}/{name}" for n in range(5) for name in ("a.png", "b.png", "IM0001")])
    specs = (
        IMAGE,
        MASK.model_copy(update={"pattern": "a.png"}),
        SpecPlan(name="dicom_1", extensions=(".dcm",), is_required=True, takes=(".dcm", "")),
    )
    found = winner(files, specs)
    assert made(found, files)["p0"] == {"mask_1": "p0/a.png", "image_1": "p0/b.png", "dicom_1": "p0/IM0001"}
    assert found.specs[1].pattern == "a.png" and found.complete == 5


def test_a_layout_that_was_named_is_the_only_one_counted() -> None:
    wanted = trees.deep(40)
    files = files_of(trees.paths_of(wanted))
    named = GroupingPlan(by="pattern", regex="(.+?)/(?:img|json|mask)/")
    (found,) = hypotheses(lambda: files, MASK_SPECS, groupings=[named])
    assert made(found, files) == wanted and found.specs[1].pattern == "mask/*.png"
    assert (found.units, found.complete, found.label) == (40, 40, "what the pattern finds")
    told = "all 40 keys that the pattern finds are complete data units; 39 of them have one .png and one .json"
    assert found.because == told


def test_nothing_fits() -> None:
    choice = best(count(files_of(["a.txt", "b/c.txt"]), SEED_SPECS))
    assert choice.winner is None and not any(one.units for one in choice.rivals)
    assert best([]).winner is None


def test_the_same_files_give_the_same_answer() -> None:
    files = files_of([f"p{n}/{name}" for n in range(300) for name in ("a.png", "b.png", "c.json")])
    first = count(files, MASK_SPECS)
    assert first == count(files, MASK_SPECS)


# ---- any tree


WORD = st.text("ab1_-각", min_size=1, max_size=4).filter(lambda word: word.strip("_-"))
PATHS = st.lists(
    st.builds(
        lambda folders, stem, extension: "/".join((*folders, stem)) + extension,
        st.lists(st.sampled_from(["images", "labels", "mask", "p1", "p2", "train"]), max_size=3),
        WORD,
        st.sampled_from([".png", ".PNG", ".json", ".dcm", ".nii.gz", ".txt", "", ".1"]),
    ),
    unique=True,
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(PATHS, st.sampled_from([SEED_SPECS, MASK_SPECS, (IMAGE,), (IMAGE, MASK)]))
def test_every_file_is_in_one_unit_or_counted(paths: list[str], specs: tuple[SpecPlan, ...]) -> None:
    files = files_of(paths)
    for one in count(files, specs):
        place = place_for(one.grouping, one.specs, one.sources)
        answers = [place(file) for file in files]
        placed = [answer for answer in answers if isinstance(answer, Placed)]
        assert len(placed) + sum(isinstance(answer, Unplaced) for answer in answers) == len(files) == one.files
        assert 0 <= one.complete <= one.units and 0 <= one.explained <= 1
        assert eval(repr(place), vars(__import__("synapse_skills.units", fromlist=["units"]))) == place
        if not one.contested:
            assert one.unplaced == len(files) - len(placed)
            assert one.units == len({answer.unit for answer in placed})


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["nested", "types", "flat", "deep", "endings"]),
    st.lists(st.from_regex(r"[a-z]{1,3}[0-9]{2,4}", fullmatch=True), unique=True, min_size=4, max_size=15),
    st.data(),
)
def test_the_right_layout_wins(layout: str, keys: list[str], data: Any) -> None:
    """Generated trees of each layout, with a quarter of the optional masks and some labels missing."""
    kinds = {"image_1": "png", "mask_1": "png", "label_1": "json"}
    folders = {"image_1": "img", "mask_1": "mask", "label_1": "json"}
    ends = {"image_1": "", "mask_1": "_mask", "label_1": ""}
    wanted: Units = {}
    whole = data.draw(st.sets(st.sampled_from(keys), min_size=max(3, len(keys) * 3 // 4)))
    for key in keys:
        specs = [spec for spec in kinds if spec != "mask_1" or key in whole]
        wanted[key] = {}
        for spec in specs:
            name = {
                "nested": f"{key}/{folders[spec]}_file.{kinds[spec]}",
                "types": f"{folders[spec]}/{key}.{kinds[spec]}",
                "flat": f"{key}{ends[spec]}.{kinds[spec]}",
                "deep": f"{key}/{folders[spec]}/x{key}.{kinds[spec]}",
                "endings": f"{folders[spec]}/{key}{ends[spec]}.{kinds[spec]}",
            }[layout]
            wanted[key][spec] = name
    files = files_of(trees.paths_of(wanted))
    assert made(winner(files, MASK_SPECS), files) == wanted


# ---- large ones


def large(units: int) -> Iterator[File]:
    for folder, extension in (("images", "png"), ("labels", "json")):
        for number in range(units):
            yield File(0, f"{folder}/train/{number:07}.{extension}", 10, 1)


@pytest.mark.heavy
def test_a_large_tree_is_counted_on_a_sample_in_flat_memory() -> None:
    tracemalloc.start()
    found = hypotheses(lambda: large(40_000), SEED_SPECS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    first = best(found).winner
    assert first is not None and first.grouping.ignore == ("images", "labels")
    assert not first.is_exact and abs(first.units - 40_000) < 2_500 and first.explained > 0.9
    assert "about" in first.because
    assert peak < 40 * 2**20


def test_a_sample_of_the_files_is_enough_to_begin(tmp_path: Path) -> None:
    files = sorted(large(200), key=lambda file: file.path)
    assert all(one.files == 100 for one in hypotheses(lambda: files, SEED_SPECS, limit=100))


def test_a_recount_is_exact(tmp_path: Path, inventory: Inventory) -> None:
    paths = [*trees.paths_of(trees.type_folders(30)), "notes.md", "images/lonely.png"]
    source = Source(str(trees.write_tree(tmp_path / "data", paths)))
    inventory.walk([source])
    found = best(hypotheses(inventory, SEED_SPECS, [source])).winner
    assert found is not None
    again = recount(inventory, found)
    assert (again.units, again.complete, again.ambiguous, again.unplaced) == (31, 30, 0, 1)
    assert (found.units, found.complete, found.ambiguous, found.unplaced) == (31, 30, 0, 1)
    assert again.explained == pytest.approx(found.explained) and again.filled == pytest.approx(found.filled)
