"""Both pages in a real browser, at the width of a desk and of a phone, by day and by night."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image
from plans import plan

from browser import Browser
from sandbox_fixture import sandboxes
from synapse_skills.plan import Expected, GroupingPlan, MetadataRule, SourcePlan, SpecPlan
from synapse_skills.rendering.plan_page import plan_page
from synapse_skills.rendering.planned import LeftOut, PlannedUnit, PlannedUpload
from synapse_skills.rendering.sample import Sample
from synapse_skills.report import Problem, UploadReport
from synapse_skills.sources import File

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
DESK, PHONE = 1280, 390
MOST_BYTES = 2_000_000


@pytest.fixture(scope="module")
def pages(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The example photos, planned and looked at, then uploaded and looked at."""
    folder = tmp_path_factory.mktemp("pages")
    with sandboxes(folder) as start:
        box = start(seed=json.loads((EXAMPLES / "seed.json").read_bytes()))
        environment = {**os.environ, **box.env(folder / "user")}

        def script(*words: str | Path) -> None:
            command = [sys.executable, *map(str, words)]
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, done.stdout + done.stderr

        scripts, home = ROOT / "scripts", folder / "synapse-jobs" / "everyday-photos"
        answers = EXAMPLES / "answers.json"
        script(scripts / "plan_upload.py", EXAMPLES / "everyday-photos", "--answers", answers, "--json")
        script(scripts / "preview.py", home, "--out", "plan.html")
        script(home / "job" / "upload.py")
        script(scripts / "preview.py", home, "--out", "upload.html")
    return {"plan": folder / "plan.html", "upload": folder / "upload.html"}


@pytest.mark.parametrize("width", [DESK, PHONE])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["plan", "upload"])
def test_a_page_can_be_looked_at(
    browser: Browser, pages: dict[str, Path], tmp_path: Path, name: str, dark: bool, width: int
) -> None:
    assert pages[name].stat().st_size < MOST_BYTES
    with browser.tab() as tab:
        tab.show(pages[name], width=width, dark=dark)
        assert tab.too_wide() == []
        # Neither blocked by the page's own policy nor asking the network for anything.
        assert tab.complaints == []
        assert tab.asked == [pages[name].as_uri()]
        shown = tab.value("[...document.images].map(each => each.naturalWidth && each.getBoundingClientRect().width)")
        assert len(shown) == 17
        assert min(shown) > 100
        assert tab.value("[...document.querySelectorAll('h1')].map(each => each.innerText)") == ["everyday-photos"]
        small = tab.value(
            "Math.min(...[...document.querySelectorAll('p, td, th, dt, dd, li')]"
            ".map(each => parseFloat(getComputedStyle(each).fontSize)))"
        )
        assert small >= 13
        assert tab.value(CONTRAST) >= 4.5
        picture = Image.open(io.BytesIO(tab.picture())).convert("RGB")
    assert picture.width == width
    colours = picture.getcolors(maxcolors=1 << 24)
    assert colours is not None
    assert len(colours) > 1_000
    ground = max(colours)[1]
    assert (sum(ground) < 150) == dark
    picture.save(tmp_path / f"{name}-{width}-{'dark' if dark else 'light'}.png")


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_long_names_break_instead_of_widening_the_page(browser: Browser, tmp_path: Path, width: int) -> None:
    long, korean = "x" * 300, "가" * 85
    specs = [
        SpecPlan(name=name, extensions=(f".{name}",), takes=(f".{name}",), pattern=name) for name in (long, korean)
    ]
    report = UploadReport(
        name=long, started="2026", seconds=1, exit_code=0, mode="dry-run",
        problems=[Problem(code=long, examples=[long, korean], fix=long)],
    )  # fmt: skip
    planned = PlannedUpload(
        plan(
            name=long, state=f"/{long}", groups=(long, korean), specs=specs,
            sources=(SourcePlan(path=f"/{long}", spec=long), SourcePlan(path=f"/{korean}", recursive=False)),
            metadata=(MetadataRule(values={long: long, korean: korean}),),
            grouping=GroupingPlan(by="pattern", regex=long, template=long),
            expected=Expected(units=10**9, files=10**12, bytes=10**18, left_out=10**9),
        ),
        "0" * 12, tmp_path, report=report, left_out=LeftOut(1, Counter({long: 1}), {long: [long, korean]}),
        sample=Sample(seen=2), units=[PlannedUnit(n, [(n, File(0, f"{n}/{n}", 10**15, 0))]) for n in (long, korean)],
    )  # fmt: skip
    page = tmp_path / "long.html"
    page.write_bytes(plan_page(planned).html)
    with browser.tab() as tab:
        tab.show(page, width=width, dark=False)
        assert tab.too_wide() == []


@pytest.mark.parametrize("style", ["width: 500px", "margin-left: -40px"])
def test_what_sticks_out_is_found(browser: Browser, tmp_path: Path, style: str) -> None:
    page = tmp_path / "wide.html"
    page.write_text(f'<!doctype html><meta name="viewport" content="width=device-width"><p style="{style}">x')
    with browser.tab() as tab:
        tab.show(page, width=PHONE, dark=False)
        assert tab.too_wide()


# The least contrast of any text against the colour behind it, as WCAG counts it.
CONTRAST = """
(() => {
  const light = (colour) => colour.slice(0, 3).map(each => each / 255)
    .map(each => each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((sum, each, n) => sum + each * [0.2126, 0.7152, 0.0722][n], 0);
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = parts(getComputedStyle(each).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  let least = 21;
  for (const each of document.querySelectorAll('body *')) {
    const says = [...each.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!says || each.tagName === 'title') continue;
    const [low, high] = [light(parts(getComputedStyle(each).color)), light(behind(each))].sort((a, b) => a - b);
    least = Math.min(least, (high + 0.05) / (low + 0.05));
  }
  return least;
})()
"""
