"""Pages made of names that attack: no element, attribute or address of theirs, and nothing that turns text around."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from canary import SIGNATURE, leaks
from fuzz.calling import many
from fuzz.test_fuzz_rendering import name
from rendering.pages import HOSTILE, Looked, check_harmless
from rendering.plans import plan as upload_plan
from rendering.test_export_script import plan as export_plan
from synapse_skills.export_plan import ClassesPlan
from synapse_skills.plan import plan_bytes
from synapse_skills.rendering.page import upload_page
from synapse_skills.rendering.preview import preview
from synapse_skills.rendering.result import ShownUnit, UploadResult
from synapse_skills.report import FileCounts, Problem, UploadReport

# What turns the order of letters around, ends a line where none is, or is no letter at all.
UNSEEN = re.compile(
    "[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c\u2028\u2029\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff]"
)
PIECES = (
    *HOSTILE, "<svg/onload=alert(1)>", "</style><script>", "]]><!--", "`onclick=`", "=", "\x00<b>", "&#60;script&#62;",
    "\u2066<\u2069", "\u202egpj.exe", "url(javascript:1)", "expression(1)", "</textarea>", "\ufeff<", "＜script＞",
)  # fmt: skip


def attack(random: Random) -> str:
    """One name."""
    made = "".join(random.choice((random.choice(PIECES), name(random))) for _ in range(random.choice((1, 1, 2, 3))))
    return made.encode("utf-8", "replace").decode()


def harmless(html: bytes) -> None:
    """Nothing in a page does anything or is not what it seems."""
    check_harmless(Looked(html))
    found = UNSEEN.search(html.decode())
    assert found is None, (found, html.decode()[max(0, found.start() - 80) : found.start() + 80])
    assert leaks([html]) == []


@settings(max_examples=many(10, 1000))
@given(seed=st.integers(0, 2**32 - 1))
def test_a_page_of_an_upload(seed: int) -> None:
    random = Random(seed)
    one, two, three, four = (attack(random) for _ in range(4))
    link = f"https://s3.test/a?X-Amz-Signature={SIGNATURE}"
    bad = Problem(code=four, examples=[one, two], fix=three)
    said: dict[str, Any] = {"name": "scans", "started": "2026-01-02T03:04:05+00:00", "seconds": 1.5, "exit_code": 0}
    units = (
        ShownUnit(one, "", "", 7, None, [], {two: three, "list": [four, 1], four: {one: [two]}, "link": link}),
        ShownUnit(two, "refused", three, None, None, [], {}),
    )
    report = UploadReport(**said, planned=2, created=2, problems=[bad], files=FileCounts(planned=1, by_spec={four: 1}))
    plan = upload_plan(name=one, groups=(two, three))
    shown = UploadResult(plan=plan, report=report, host=three, arrived=2, edited=False, roots=[], shown=list(units))
    harmless(upload_page(shown).html)


@settings(max_examples=many(5, 500))
@given(seed=st.integers(0, 2**32 - 1))
def test_a_page_of_a_planned_export(seed: int) -> None:
    random = Random(seed)
    one, two, three = (attack(random) or "x" for _ in range(3))
    made = export_plan(
        name=one, filter={"status": [two], three: one}, output=f"/{three}", losses=(f"{one}:{two}",),
        classes=ClassesPlan(order=(one, f"{two} 2"), map={f"{three} 3": one}, drop=(f"{two} 4",)),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "plan.json").write_bytes(plan_bytes(made))
        (Path(folder) / "answers.json").write_text(json.dumps({"name": one}))
        harmless(preview(Path(folder) / "plan.json").page.html)
