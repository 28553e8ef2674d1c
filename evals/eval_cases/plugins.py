"""An export plugin: others run it, again and again, and something is done to each record on its way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eval_cases.case import BEHIND, PLUGIN, Case, Place
from eval_cases.exports import OTHERS
from eval_cases.hands import Hands
from eval_cases.reading import boxes, coco_boxes, same
from eval_cases.wrong import Wrong
from planning.export_world import Labelled, Shape, box, seed_of

STORAGE = 14
LEAST = 3
"""Boxes that are less wide than this are slips of the hand."""
PARCELS = [
    Labelled(
        9500 + at,
        f"parcel_{at:02}.png",
        (box("parcel", 4 + at, 5, 11, 8.5), *([box("parcel", 30, 2, 1 + at % 4, 6)] if at % 2 else [])),
    )
    for at in range(18)
]


def _is_wide(shape: Shape) -> bool:
    return shape.corners[2] >= LEAST


def _seed(size: int) -> dict[str, Any]:
    storage = {
        "id": STORAGE, "name": "Team storage", "category": "internal", "provider": "file_system", "is_default": True,
        "configuration": {"location": f"{BEHIND}/storage"},
    }  # fmt: skip
    return dict(seed_of({96: ("Parcels", PARCELS), 22: ("Dock cameras", OTHERS)}, storages=[storage]))


def _one(folder: Path, pattern: str) -> Path:
    found = [path for path in folder.rglob(pattern) if "synapse_skills" not in path.parts]
    if len(found) != 1:
        raise Wrong(f"{len(found)} of {pattern}")
    return found[0]


def _plugin(place: Place) -> str:
    from synapse_sdk.plugins.discovery import PluginDiscovery

    found = PluginDiscovery.from_path(_one(place.user, "config.yaml").parent)
    if found.list_actions() != ["export"] or found.config.category != "export":
        raise Wrong(f"it has the actions {found.list_actions()}, and is of the category {found.config.category}")
    return f"{found.config.code} {found.config.version} has the action export"


def _boxes(place: Place) -> str:
    there = coco_boxes(_one(place.behind / "storage", "instances.json"))
    wide = [Labelled(each.id, each.name, tuple(shape for shape in each.shapes if _is_wide(shape))) for each in PARCELS]
    return same("boxes", there, boxes(wide))


def _edited(page: Path) -> None:
    """What an agent writes into the hook."""
    last = '        """What is to become of a record before it is written in every format."""\n'
    rule = f"""\
        for media, shapes in data["data"]["annotationsData"].items():
            narrow = {{each["id"] for each in shapes if each["coordinate"]["width"] < {LEAST}}}
            for rows in (shapes, data["data"]["annotations"][media]):
                rows[:] = [each for each in rows if each["id"] not in narrow]
"""
    page.write_text(page.read_text().replace(last, last + rule))


def _for_the_team(hands: Hands) -> None:
    words = ("plan_export", "--project", "Parcels", "--format", "coco", "--split", "none", "--originals", "none")
    plan = hands.plan(*words, "--storage", str(STORAGE), "--as", "plugin")
    about = plan["plugin"]
    _edited(hands.place.user / about["page"])
    hands.synapse("run", "export", "--path", about["folder"], "--mode", "local", "--params", '{"path": "try"}')
    hands.run("verify_export", f"storage://{STORAGE}/try/Parcels")
    hands.synapse("publish", "--path", about["folder"], "--dry-run", "-y")


FOR_THE_TEAM = Case(
    name="plugin-for-the-team",
    skill=PLUGIN,
    prompt="Kim leads our annotators and should be able to export the parcels as COCO from the console, every Monday.",
    knows=f"""
- The project is "Parcels". COCO, no pictures, no split, into the storage "Team storage".
- Kim has no terminal. Asked whether a plugin or an export now: a plugin.
- Boxes that are less than {LEAST} pixels wide are slips of the hand: they must not come along, whoever runs it.
- It shall be tried once here, so that you see that it works. You publish it yourself, later.
""",
    expected="A plugin that the SDK takes, tried once: COCO of 18 pictures in the storage, without the narrow boxes.",
    expectations={
        "there is a plugin with the action export, and the SDK finds it": _plugin,
        "it was tried: every box of 3 pixels and more is in the storage, and no other": _boxes,
        "what is in the storage is complete": lambda place: (
            f"{_one(place.behind / 'storage', 'COMPLETE').parent.name} is complete"
        ),
    },
    seed=_seed,
    ideal=_for_the_team,
    needs_sdk=True,
)

CASES = (FOR_THE_TEAM,)
