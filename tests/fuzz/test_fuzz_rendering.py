"""Names by the thousand in every place of a plan: rendered scripts compile, and hold their values and no code."""

from __future__ import annotations

import ast
import io
import tokenize
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.calling import many
from fuzz.junk import TEXTS
from rendering.plans import plan as upload_plan
from rendering.test_export_script import plan as export_plan
from synapse_skills.errors import SkillsError
from synapse_skills.export_plan import ClassesPlan, FormatPlan, SplitPlan
from synapse_skills.plan import GroupingPlan, MetadataRule, SourcePlan, SpecPlan, UploadPlan
from synapse_skills.rendering import render_script
from synapse_skills.rendering.export_script import render_export

NAMES = 26
"""In each plan: 4,000 of them make 10^5 names."""
PIECES = (
    *TEXTS, *("'", '"', "'''", '"""', "\\", "\\'", "\r\n", "\r", "\f", "\v", "#", "# type: ignore", "\ufeff", "\u2028"),
    *("{{ x }}", "{% endif %}", "{#", "#}", "{% raw %}", "f'{x}'", "%(x)s", "\\N{DIGIT ONE}", "\\u0041", "\\x41"),
    *("');import os;os.system('x')#", '")\nimport os\n#', "__import__('os')", "\x85", "\u1112\u1161", "\U0001f9bb"),
    *("\x1a", "\x7f", "coding: utf-16", "# -*- coding: utf-7 -*-", "+ADw-", "\u200d", "a" * 300, "𝐢𝐦𝐩𝐨𝐫𝐭"),
)  # fmt: skip


def name(random: Random) -> str:
    """A name that attacks; never empty, and whole characters only, as the walk has them."""
    turn = random.random()
    if turn < 0.6:
        made = "".join(random.choice(PIECES) for _ in range(random.choice((1, 1, 2, 3))))
    elif turn < 0.8:
        made = "".join(chr(random.randrange(0x110000)) for _ in range(random.randrange(1, 12)))
    else:
        made = "".join(chr(random.randrange(1, 128)) for _ in range(random.randrange(1, 30)))
    return made.encode("utf-8", "replace").decode() or "x"


def upload_of(names: list[str]) -> UploadPlan:
    """A plan that holds all of them."""
    at = iter(names)
    return upload_plan(
        name=next(at),
        sources=(SourcePlan(path=next(at)), SourcePlan(path=next(at), spec=next(at), recursive=False)),
        specs=(
            SpecPlan(name=next(at), takes=(next(at), next(at)), extensions=(".x",)),
            SpecPlan(name=next(at), pattern=next(at)),
        ),
        grouping=GroupingPlan(by="stem", ignore=(next(at), next(at)), endings=(next(at),)),
        metadata=(
            MetadataRule(values={f"k{number} {next(at)}": [next(at), {next(at): next(at)}] for number in range(2)}),
            MetadataRule(kind="folders", folders={next(at): 1}),
            MetadataRule(kind="sidecars", pattern=next(at), fields={next(at): next(at)}),
            MetadataRule(kind="said", values={next(at): next(at)}),
        ),
    )


def export_of(names: list[str]) -> Any:
    """Another."""
    classes = tuple(f"{number} {each}" for number, each in enumerate(names[:10]))
    return export_plan(
        name=names[10],
        output=names[11],
        formats=(FormatPlan(name="coco", options={names[12]: names[13]}),),
        classes=ClassesPlan(
            order=classes, map={f"m {names[14]}": classes[0]}, drop=(f"d {names[15]}",), keep=(classes[1],)
        ),
        split=SplitPlan(ratios={"train": 0.5, "val": 0.5}, by=f"meta.{names[16].replace(chr(10), ' ')}"),
        filter={names[17]: [names[18]]},
    )


def words(text: str) -> tuple[Any, ...]:
    """All of a script but its values: identifiers, kinds of nodes, comments."""
    tree = ast.parse(text)
    # There only where an extension has two dots, or a source and a spec have one name.
    found = {"arg extensions", "arg takes"}
    for node in ast.walk(tree):
        found.add(type(node).__name__)
        for part in ("id", "attr", "arg", "name", "asname", "module"):
            if isinstance(said := getattr(node, part, None), str):
                found.add(f"{part} {said}")
    marks = [
        each.string for each in tokenize.generate_tokens(io.StringIO(text).readline) if each.type == tokenize.COMMENT
    ]
    return found, [type(node).__name__ for node in tree.body], marks


def values(text: str) -> set[str]:
    """All texts in a script."""
    tree = ast.parse(text)
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def values_of(made: UploadPlan) -> set[str]:
    """The names that stand in a plan by themselves: constants' keys have a number before them."""
    rules = {rule.kind: rule for rule in made.metadata}
    sidecars = rules["sidecars"]
    return {
        made.name,
        *(each.path for each in made.sources),
        *(each.name for each in made.specs),
        *(each for spec in made.specs for each in (*spec.takes, spec.pattern) if each),
        *(*made.grouping.ignore, *made.grouping.endings),
        *rules["folders"].folders,
        *(str(sidecars.pattern), *sidecars.fields, *sidecars.fields.values()),
        *rules["constants"].values,
        *rules["said"].values,
    }


TAME = [f"tame{number}" for number in range(NAMES)]
WORDS = {
    "upload": words(render_script(upload_of(TAME)).decode()),
    "export": words(render_export(export_of(TAME)).decode()),
}


@settings(max_examples=many(8, 2000))
@given(seed=st.integers(0, 2**32 - 1))
def test_names_in_an_upload(seed: int) -> None:
    random = Random(seed)
    made = upload_of([name(random) for _ in range(NAMES)])
    text = render_script(made).decode()
    found, *rest = words(text)
    assert values_of(made) <= values(text)
    assert found <= WORDS["upload"][0] and rest == list(WORDS["upload"][1:])
    held: dict[str, Any] = {"__name__": "rendered"}
    try:
        exec(compile(text, "upload.py", "exec"), held)
    except SkillsError:
        # What is no pattern or no ending is refused by the objects themselves.
        return
    assert held["NAME"] == made.name
    assert [(each.path, each.spec) for each in held["SOURCES"]] == [(each.path, each.spec) for each in made.sources]
    assert held["describe"] is not None and held["place"] is not None


@settings(max_examples=many(8, 2000))
@given(seed=st.integers(0, 2**32 - 1))
def test_names_in_an_export(seed: int) -> None:
    random = Random(seed)
    made = export_of([name(random) for _ in range(NAMES)])
    text = render_export(made).decode()
    assert words(text) == WORDS["export"]
    said = {node.targets[0].id: node.value for node in ast.parse(text).body if isinstance(node, ast.Assign)}  # type: ignore[attr-defined]
    assert ast.literal_eval(said["CLASSES"]) == list(made.classes.order)
    assert ast.literal_eval(said["OUTPUT"]) == made.output
    assert set(made.classes.map) | set(made.classes.drop) <= values(text)
