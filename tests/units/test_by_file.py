"""Every file by itself: proposed only where matching names would put different files together."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from synapse_skills.plan import GroupingPlan, SpecPlan
from synapse_skills.sources import File
from synapse_skills.units import Place, Placed, best, by_extension, by_file, hypotheses
from synapse_skills.units.layout import grouping_for

PICTURE = SpecPlan(name="image_1", file_type="image", extensions=(".png", ".jpg"), is_required=True)
LABEL = SpecPlan(name="label_1", extensions=(".json",))


def files(*paths: str) -> list[File]:
    return [File(0, path, 1, 1) for path in paths]


def test_the_path_is_the_key() -> None:
    place = Place(by_file(), by_extension({".jpg": "image_1"}))
    assert place(files("trip/A.jpg")[0]) == Placed("trip/A.jpg", "image_1")
    assert repr(by_file()) == "by_file()"
    assert grouping_for(GroupingPlan(by="file"), [PICTURE]) == by_file()


def test_decomposed_names_are_composed() -> None:
    assert by_file()(files("고양이.jpg")[0]) == ("고양이.jpg", "고양이.jpg")


def test_wins_where_names_collide() -> None:
    tree = files("a.jpg", "a.png", "b.jpg", "b.png", "c.jpg", "trip/d.jpg")
    winner = best(hypotheses(lambda: tree, [PICTURE])).winner
    assert winner is not None
    assert winner.grouping.by == "file"
    assert winner.complete == 6


def test_matching_names_are_kept_where_they_do_as_well() -> None:
    tree = files("a.jpg", "b.jpg", "c.png")
    assert all(one.grouping.by != "file" for one in hypotheses(lambda: tree, [PICTURE]))


def test_never_proposed_where_a_unit_needs_two_files() -> None:
    tree = files("a.jpg", "a.png", "a.json", "b.jpg")
    assert all(one.grouping.by != "file" for one in hypotheses(lambda: tree, [PICTURE, LABEL]))


def test_takes_no_other_field() -> None:
    with pytest.raises(ValidationError):
        GroupingPlan(by="file", depth=2)
