"""`--as plugin`: the same plan as a folder that the SDK's own command runs and publishes."""

from __future__ import annotations

import json
from typing import Any

from synapse_skills.export_plan import PLUGIN_STYLES, ExportPlan
from synapse_skills.planning.answers import one_of
from synapse_skills.planning.document import shown_path
from synapse_skills.planning.export_facts import ExportFacts
from synapse_skills.planning.home import Home
from synapse_skills.planning.interview import Decision, Inferred, Settled

PLUGIN = "plugin"


def _nothing(facts: ExportFacts, settled: Settled) -> None:
    return None


def _decide_style(facts: ExportFacts, settled: Settled) -> Inferred | None:
    if settled.get("as") != PLUGIN:
        return None
    return Inferred("template", PLUGIN_STYLES["template"])


AS = Decision(
    "as",
    "As",
    "What the plan is made into: a `script` for this job, or also a `plugin` that a team publishes (in `plugin/`).",
    _nothing,
    one_of("script", PLUGIN),
)
STYLE = Decision(
    "plugin.style",
    "Style",
    "How the plugin's page is built: "
    + "; ".join(f"`{name}` ({about})" for name, about in PLUGIN_STYLES.items())
    + ".",
    _decide_style,
    one_of(*PLUGIN_STYLES),
    needs=("as",),
)


def write_plugin(home: Home, plan: ExportPlan, settled: Settled) -> dict[str, Any] | None:
    """Render the plugin of a plan if one is wanted; what the document says of it.

    Raises:
        FindingError: its page was edited. OutOfReach: it can't be written.
    """
    if settled.get("as") != PLUGIN:
        return None
    from synapse_skills.rendering.export_plugin import code_of, render_plugin

    style = settled["plugin.style"]
    done = render_plugin(plan, home.folder / PLUGIN, style=style)
    params = json.dumps({} if plan.storage is not None else {"storage": 1})
    return {
        "folder": shown_path(done.folder),
        "page": shown_path(done.script),
        "style": style,
        "code": code_of(plan.name),
        "try": f"synapse plugin run export --path {shown_path(done.folder)} --mode local --params '{params}'",
    }


def plugin_lines(plugin: dict[str, Any] | None) -> str:
    """What the summary says of a plugin."""
    if plugin is None:
        return ""
    return f"\nplugin: {plugin['folder']} ({plugin['style']} style, code {plugin['code']})\n  try it: {plugin['try']}"
