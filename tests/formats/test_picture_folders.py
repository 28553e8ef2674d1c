"""Where people are told to put their pictures is where the formats themselves put them."""

from __future__ import annotations

from pathlib import Path

import pytest
from yolo_make import annotation, picture, settings

from synapse_skills.annotations.model import Box, Polygon
from synapse_skills.formats import FORMATS
from synapse_skills.formats.pictures import picture_folders


@pytest.mark.parametrize("split", ["", "val"])
@pytest.mark.parametrize("name", sorted(FORMATS))
def test_pictures_belong_where_the_format_puts_them(name: str, split: str, tmp_path: Path) -> None:
    form = FORMATS[name]
    parts = ("train", split) if split else ()
    told = picture_folders(name, parts)
    if not form.needs_size or form.by_script or name == "coco":
        assert told == ()
        return
    shape = Polygon(((1, 1), (9, 1), (9, 9))) if form.paints else Box(1, 2, 3, 4)
    writer = form.write(tmp_path, settings(form, ["cat"], splits=parts))
    place = writer.place(picture("a.jpg", annotation(shape, "cat"), split=split))
    writer.close()
    assert f"{name}/{place}" == f"{told[-1]}/a.jpg"
