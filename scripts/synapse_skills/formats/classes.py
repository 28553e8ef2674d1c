"""The one class list of an export: what a labelled class becomes, the same in every format and every part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from synapse_skills.annotations.model import Annotation
from synapse_skills.export_plan import ClassesPlan

UNKNOWN, DROPPED, UNLABELLED = "unknown-class", "dropped", "unlabelled"


class Classes:
    """Names in their order, and the way from a labelled class to its place.

    Args:
        plan: what was decided; with `unknown="add"` the names that were seen besides follow in `seen`'s order.
        seen: labelled classes of all records, naturally sorted, if they are known.
    """

    def __init__(self, plan: ClassesPlan, seen: Iterable[str] = ()) -> None:
        names = list(plan.order)
        dropped = set(plan.drop)
        mapping: Mapping[str, str] = plan.map
        if plan.unknown == "add":
            known = set(names)
            for label in seen:
                if label not in known and label not in mapping and label not in dropped and not plan.keep:
                    known.add(label)
                    names.append(label)
        kept = set(plan.keep or names)
        self.names = tuple(names)
        self._plan = plan
        self._places = {name: number for number, name in enumerate(names) if name not in dropped and name in kept}
        for label, name in mapping.items():
            if name in self._places:
                self._places[label] = self._places[name]
            else:
                self._places.pop(label, None)
        self._dropped = dropped

    def place(self, annotation: Annotation) -> int | str:
        """The place of an annotation's class in `names`, from 0; or why it has none (a reason of a loss)."""
        label = annotation.label
        if label is None:
            return UNLABELLED
        place = self._places.get(label)
        if place is not None:
            return place
        return DROPPED if label in self._dropped or self._plan.keep else UNKNOWN
