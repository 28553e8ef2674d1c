"""The pages of an export in a real browser, at the width of a desk and of a phone, by day and by night."""

from __future__ import annotations

from pathlib import Path

import pytest
from export_pages import HandMade, box, line, payload
from test_browser import CONTRAST, DESK, PHONE

from browser import Browser
from synapse_skills.export_plan import ClassesPlan
from synapse_skills.plan import plan_bytes
from synapse_skills.rendering.preview import preview
from synapse_skills.report import Problem

pytestmark = pytest.mark.heavy

LONG, KOREAN = "x" * 300, "가" * 85


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An export whose names are as long as names can be, and its plan."""
    folder = tmp_path_factory.mktemp("pages")
    made = HandMade(folder, name=LONG, classes=ClassesPlan(order=(LONG, KOREAN)), filter={LONG: KOREAN})
    turned = box(20, 10, 20, 10, rotation=0.5)
    made.record(7, payload(("bounding_box", LONG, turned), ("polygon", KOREAN, line((0, 0), (40, 0), (40, 30)))))
    made.record(8, payload(("polyline", LONG, line((0, 0), (64, 48)))), name=f"{LONG[:200]}.jpg")
    made.record(9, payload(("classification", KOREAN, {})), name=f"{KOREAN}.jpg")
    made.original("coco/images/train/사진 7.jpg")
    lost = {"written": 10**9, "lost": {LONG: 10**9, "rotated": 10**6}, "changed": {LONG: 10**9}}
    counts = {
        "by_class": {LONG: {"train": 10**9}, KOREAN: {"val": 1}},
        "by_tool": {LONG: 10**9},
        "by_size": {"64x48": 9},
    }
    made.finish(
        classes=[LONG, KOREAN], contents=counts, annotations={"read": 3 * 10**9, "formats": {"coco": lost, LONG: lost}},
        records={"read": 10**9, "exported": 3, "quarantined": 1, "quarantined_because": {LONG: 1},
                 "left_out": 10**8, "left_out_because": {LONG: 10**8}},
        report={"exit_code": 5, "problems": [Problem(code=LONG, examples=[LONG, KOREAN], fix=LONG)]},
    )  # fmt: skip
    found = {"export": folder / "export.html", "plan": folder / "plan.html"}
    found["export"].write_bytes(preview(made.home).page.html)
    (folder / "plan.json").write_bytes(plan_bytes(made.plan))
    found["plan"].write_bytes(preview(folder / "plan.json").page.html)
    return found


@pytest.mark.parametrize("width", [DESK, PHONE])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["export", "plan"])
def test_a_page_can_be_looked_at(
    browser: Browser, pages: dict[str, Path], tmp_path: Path, name: str, dark: bool, width: int
) -> None:
    with browser.tab() as tab:
        tab.show(pages[name], width=width, dark=dark)
        assert tab.too_wide() == []
        assert tab.complaints == []
        assert tab.asked == [pages[name].as_uri()]
        assert tab.value(CONTRAST) >= 4.5
        small = tab.value(
            "Math.min(...[...document.querySelectorAll('p, td, th, dt, dd, li')]"
            ".map(each => parseFloat(getComputedStyle(each).fontSize)))"
        )
        assert small >= 13
        if name == "export":
            shown = tab.value("[...document.images].map(each => each.naturalWidth)")
            assert shown == [64]
            assert tab.value(OVER) is True
        (tmp_path / f"{name}.png").write_bytes(tab.picture())


# The polygon of the first record covers 40 of 64 pixels in width: in the window as in the picture.
OVER = """
(() => {
  const picture = document.images[0].getBoundingClientRect(), area = document.querySelector('path.area');
  const scale = Math.min(picture.width / 64, picture.height / 48);
  return Math.abs(area.getBoundingClientRect().width - 40 * scale) < 3;
})()
"""
