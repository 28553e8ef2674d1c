"""What is in an export, counted while it is written: its annotations by class and by tool, its media by size."""

from __future__ import annotations

from collections import Counter
from typing import Any

from synapse_skills.formats.base import Item
from synapse_skills.formats.classes import Classes

MOST_NAMES = 2_000
"""Different classes, tools and sizes that are told apart: labels may be free texts."""


Counted = tuple[dict[str, dict[str, int]], dict[str, int], dict[str, int]]
"""Counts by class, each by part of the split; by tool; by size."""


class Contents:
    """Counts items, whatever the formats hold of them.

    Args:
        classes: a class goes by the name that it is written with; one that is not in the list, by its own.
        most: different names that are told apart.
    """

    def __init__(self, classes: Classes, *, most: int = MOST_NAMES) -> None:
        self._classes = classes
        self._most = most
        self._by_class: dict[str, dict[str, int]] = {}
        self._by_tool: dict[str, int] = {}
        self._by_size: dict[str, int] = {}
        self._not_told_apart = 0

    def add(self, item: Item) -> None:
        """Count a medium with its annotations."""
        annotations = item.media.annotations
        for tool, count in Counter([each.tool for each in annotations]).items():
            self._count(self._by_tool, tool, count)
        # A medium has many annotations of few classes: each class is looked up once.
        some = {each.label: each for each in annotations}
        for label, count in Counter([each.label for each in annotations]).items():
            place = self._classes.place(some[label])
            name = self._classes.names[place] if isinstance(place, int) else label or ""
            parts = self._by_class.get(name)
            if parts is None:
                if len(self._by_class) >= self._most:
                    self._not_told_apart += count
                    continue
                parts = self._by_class[name] = {}
            parts[item.split] = parts.get(item.split, 0) + count
        if item.media.kind in ("image", "video"):
            self._count(self._by_size, f"{item.width}x{item.height}" if item.width and item.height else "")

    def counted(self) -> Counted:
        """What was counted, for `add_all`."""
        return self._by_class, self._by_tool, self._by_size

    def add_all(self, counted: Counted) -> None:
        """Count what another one has counted of later records, all of it told apart."""
        by_class, *others = counted
        for name, counts in by_class.items():
            if name not in self._by_class and len(self._by_class) >= self._most:
                self._not_told_apart += sum(counts.values())
                continue
            parts = self._by_class.setdefault(name, {})
            for part, count in counts.items():
                parts[part] = parts.get(part, 0) + count
        for ours, theirs in zip((self._by_tool, self._by_size), others, strict=True):
            for name, count in theirs.items():
                self._count(ours, name, count)

    def as_dict(self) -> dict[str, Any]:
        """As `export_summary.json` has it: classes in their order, `''` for none; sizes as `640x480`, `''` unknown."""
        order = {name: number for number, name in enumerate(self._classes.names)}
        ranked = sorted(self._by_class, key=lambda name: (order.get(name, len(order)), name))
        return {
            "by_class": {name: dict(sorted(self._by_class[name].items())) for name in ranked},
            "by_tool": dict(sorted(self._by_tool.items())),
            "by_size": dict(sorted(self._by_size.items())),
            "other_classes": self._not_told_apart,
        }

    def _count(self, counts: dict[str, int], name: str, count: int = 1) -> None:
        if name in counts or len(counts) < self._most:
            counts[name] = counts.get(name, 0) + count
