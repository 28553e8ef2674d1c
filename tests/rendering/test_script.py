"""What is rendered: snapshots, the same objects as the planner's, and nothing but literals from the user."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from rendering.plans import CASES, IMAGE, LABEL, plan
from synapse_skills.errors import EXIT_ENVIRONMENT
from synapse_skills.metadata import Constants
from synapse_skills.plan import MetadataRule, SourcePlan, SpecPlan, UploadPlan, plan_bytes
from synapse_skills.rendering import place_of, render_script
from synapse_skills.rendering.literal import literal
from synapse_skills.sources import Source
from synapse_skills.units import describe_for, sidecars_of


@pytest.mark.parametrize("case", CASES)
def test_script(case: str, script_snapshot: SnapshotAssertion) -> None:
    text = render_script(CASES[case]).decode()
    compile(text, "upload.py", "exec")
    assert all(len(line) <= 120 for line in text.splitlines())
    assert text == script_snapshot


def loaded(rendered: UploadPlan) -> dict[str, Any]:
    """The script's globals, as the engine gets them."""
    names: dict[str, Any] = {"__name__": "rendered"}
    exec(compile(render_script(rendered).decode(), "upload.py", "exec"), names)
    return names


@pytest.mark.parametrize("case", CASES)
def test_the_script_holds_the_objects_that_the_planner_counts_with(case: str) -> None:
    rendered = CASES[case]
    names = loaded(rendered)
    beside = sidecars_of(rendered.metadata)
    assert names["place"] == place_of(rendered.grouping, rendered.specs, rendered.sources, sidecars=beside)
    assert getattr(names["place"], "sidecars", None) == beside
    assert names["SOURCES"] == [
        Source(s.path, recursive=s.recursive, spec=s.spec, storage=s.storage) for s in rendered.sources
    ]
    assert (names["NAME"], names["COLLECTION"]) == (rendered.name, rendered.data_collection)
    if rendered.metadata:
        assert names["describe"] == describe_for(rendered.metadata)
        assert isinstance(names["describe"], Constants) == (case == "metadata")
    else:
        assert "describe" not in names


def test_hangul_stays_readable_and_separators_are_escaped() -> None:
    text = render_script(plan(name="사진 \u2028\u202e", sources=(SourcePlan(path="/데이터/🩻"),))).decode()
    assert "사진" in text and "/데이터/🩻" in text
    assert "\u2028" not in text and "\u202e" not in text


NASTY = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [
            *["'", '"', '"""', "'''", "\\", "\\'", "\n", "\r\n", "\t", "\0", "#", "# noqa", "%s", "${x}", "f'{x}'"],
            *["{{ x }}", "{% raw %}", "{# no #}", "#}{{ 7*7 }}", "a\\\nb", "\\N{DIGIT ONE}", "\\u0041"],
            *["');import os#", "__import__('os')", "\u2028", "\u2029", "\x85", "\u202e", "\ufeff", "\ud800"],
            *["한글", "\u1112\u1161\u11ab", "🩻"],
        ]
    ),
).filter(bool)  # fmt: skip
PLAIN = NASTY.filter(lambda text: text.isprintable() or "\ud800" not in text)


class Blank(ast.NodeTransformer):
    """Takes every constant's value away."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.copy_location(ast.Constant(value=type(node.value).__name__), node)


def skeleton(text: str) -> str:
    return ast.dump(Blank().visit(ast.parse(text)))


@settings(max_examples=80, deadline=None)
@given(
    name=PLAIN, path=PLAIN, spec=PLAIN, extension=PLAIN, key=PLAIN, value=st.one_of(PLAIN, st.integers(), st.booleans())
)
def test_hostile_names_occur_only_inside_literals(
    name: str, path: str, spec: str, extension: str, key: str, value: Any
) -> None:
    # pydantic takes no lone surrogates; those never get past the walk.
    texts = [text.encode("utf-8", "replace").decode() for text in (name, path, spec, extension, key)]
    name, path, spec, extension, key = texts
    value = value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
    hostile = plan(
        name=name,
        sources=(SourcePlan(path=path),),
        specs=(SpecPlan(name=spec, takes=(extension,), extensions=(extension,)),),
        metadata=(MetadataRule(values={key: value}),),
    )
    tame = plan(
        name="n",
        sources=(SourcePlan(path="/p"),),
        specs=(SpecPlan(name="s", takes=(".x",), extensions=(".x",)),),
        metadata=(
            MetadataRule(values={"k": "v" if isinstance(value, str) else 1 if not isinstance(value, bool) else True}),
        ),
    )
    text = render_script(hostile).decode()
    blank, expected = skeleton(text), skeleton(render_script(tame).decode())
    # A negative number is a minus before a literal.
    if isinstance(value, int) and value < 0:
        blank = blank.replace("UnaryOp(op=USub(), operand=Constant(value='int'))", "Constant(value='int')")
    assert blank == expected
    strings = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
    assert {name, path, spec, extension, key} <= {each for each in strings if isinstance(each, str)}
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert comments == [line for line in render_script(tame).decode().splitlines() if line.startswith("#")]
    assert plan_bytes(hostile) == plan_bytes(hostile) and render_script(hostile) == text.encode()


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | NASTY,
        lambda inner: st.lists(inner, max_size=6) | st.dictionaries(NASTY, inner, max_size=6) | st.tuples(inner),
        max_leaves=20,
    )
)
def test_a_literal_reads_back_as_the_same_value(value: Any) -> None:
    assert ast.literal_eval(literal(value)) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), len, b"x", {1, 2}, [float("-inf")]])
def test_what_has_no_literal_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        literal(value)


def test_a_name_that_templates_would_read_stays_a_name() -> None:
    rendered = plan(name="{{ plan.name }}{% endif %}")
    assert loaded(rendered)["NAME"] == "{{ plan.name }}{% endif %}"


def test_the_more_particular_pattern_comes_first() -> None:
    image = IMAGE.model_copy(update={"takes": (), "pattern": "*.png"})
    mask = SpecPlan(name="mask_1", extensions=(".png",), pattern="*_mask.png")
    text = render_script(plan(specs=(image, mask, LABEL))).decode()
    assert text.index("*_mask.png") < text.index("'*.png'")
    assert json.loads(plan_bytes(plan(specs=(image, mask))))["specs"][0]["name"] == "image_1"


def test_an_old_python_reads_far_enough_to_say_that_it_is_too_old(tmp_path: Path) -> None:
    text = render_script(plan()).decode()
    guard = text[: text.index("from synapse_skills")]
    ast.parse(guard, feature_version=(3, 6))
    # Only what stands above the guard is read before it speaks; the rest must be parsed as well, whatever it imports.
    ast.parse(text, feature_version=(3, 6))
    script = tmp_path / "upload.py"
    script.write_text(text.replace("(3, 12)", "(9, 0)"), encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == EXIT_ENVIRONMENT
    assert "needs Python 3.12" in done.stderr and "Traceback" not in done.stderr
