"""plan.json → upload.py."""

from __future__ import annotations

import functools
import textwrap
from pathlib import Path

import jinja2

from synapse_skills.errors import printable
from synapse_skills.plan import UploadPlan
from synapse_skills.rendering.describe import describe_parts
from synapse_skills.rendering.literal import WIDTH, literal
from synapse_skills.rendering.place import place_parts
from synapse_skills.units import set_aside_of, sidecars_of


def templates() -> Path:
    """The templates: inside the package when it is installed, beside `scripts/` in a checkout or plugin."""
    here = Path(__file__).resolve()
    packed = here.parent / "templates"
    return packed if packed.is_dir() else here.parents[3] / "templates"


@functools.cache
def environment() -> jinja2.Environment:
    """Jinja as every template here gets it: an undefined name is an error, `repr` gives a Python literal."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates(), encoding="utf-8"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - Python, text and Markdown come out, never HTML
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        newline_sequence="\n",
    )
    made.filters["repr"] = literal
    made.filters["code"] = _code
    return made


def render_script(plan: UploadPlan) -> bytes:
    """The script of an upload: the same plan gives the same bytes."""
    set_aside = set_aside_of(plan.metadata, plan.sources)
    place = place_parts(plan.grouping, plan.specs, plan.sources, sidecars_of(plan.metadata), set_aside)
    text = (
        environment()
        .get_template("upload/upload.py.j2")
        .render(
            plan=plan,
            sources=_sources(plan),
            imports=", ".join(place.names),
            rule="\n# ".join(textwrap.wrap(place.rule, WIDTH)),
            place=place.source(),
            describe=describe_parts(plan.metadata),
        )
    )
    return text.encode()


def _sources(plan: UploadPlan) -> str:
    entries = []
    for source in plan.sources:
        spec = f", spec={literal(source.spec)}" if source.spec is not None else ""
        storage = f", storage={literal(source.storage)}" if source.storage is not None else ""
        entries.append(f"Source({literal(source.path)}, recursive={literal(source.recursive)}{spec}{storage})")
    flat = f"[{', '.join(entries)}]"
    return flat if len(entries) == 1 and len(flat) < 100 else "[\n" + "".join(f"    {e},\n" for e in entries) + "]"


def _code(text: str) -> str:
    """A name in Markdown: one line, and no backtick can end it."""
    shown = printable(text)
    fence = "`" * (max((len(run) for run in _runs(shown)), default=0) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def _runs(text: str) -> list[str]:
    return ["`" * len(run) for run in "".join(char if char == "`" else " " for char in text).split()]
