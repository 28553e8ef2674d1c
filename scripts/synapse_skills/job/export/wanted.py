"""Which annotations the plan wants in its formats, before any format is asked whether it can hold them."""

from __future__ import annotations

from collections.abc import Iterable

from synapse_skills.annotations import count_annotations
from synapse_skills.annotations.model import Annotation, Document, Media
from synapse_skills.export_plan import ClassesPlan, FormatPlan
from synapse_skills.formats import FORMATS
from synapse_skills.formats.base import Format


class Wanted:
    """Looks at annotations as a plan with these tools, classes and formats does."""

    def __init__(self, tools: Iterable[str], classes: ClassesPlan, formats: Iterable[FormatPlan]) -> None:
        self.tools = frozenset(tools)
        self._map = classes.map
        self._dropped = frozenset(classes.drop)
        self._kept = frozenset(classes.keep)
        forms = [(FORMATS[each.name], each.options) for each in formats if each.name in FORMATS]
        holding = [_held(form, form.complete(options)) for form, options in forms]
        # None: some format holds whatever there is.
        self._held = None if None in holding else frozenset(tool for each in holding for tool in each or ())
        # What holds whatever there is holds classes too that are not in the list.
        is_closed = self._held is not None and classes.unknown == "drop" and bool(classes.order)
        self._listed = frozenset(classes.order) if is_closed else None

    def of(self, media: Media) -> tuple[list[Annotation], list[Annotation]]:
        """Annotations of the tools that are exported, and the others."""
        if not self.tools:
            return list(media.annotations), []
        ours = [each for each in media.annotations if each.tool in self.tools]
        return ours, [each for each in media.annotations if each.tool not in self.tools]

    def is_empty(self, document: Document) -> bool:
        """Whether nothing of a document can come into any format: by its tool, or by its class."""
        if not (self.tools or self._dropped or self._kept or self._held is not None):
            return not count_annotations(document)
        if any(issue.counts for issue in document.issues):
            return False
        return not any(self._is_wanted(each) for media in document.media for each in media.annotations)

    def _is_wanted(self, annotation: Annotation) -> bool:
        if (self.tools and annotation.tool not in self.tools) or (
            self._held is not None and annotation.tool not in self._held
        ):
            return False
        label = annotation.label
        if label is None:
            return True
        name = self._map.get(label, label)
        if label in self._dropped or (self._listed is not None and name not in self._listed):
            return False
        return not self._kept or name in self._kept


def _held(form: Format, options: dict[str, object]) -> set[str] | None:
    """The tools that a format holds as it is written; None for all there are."""
    if form.is_raw or form.by_script:
        return None
    tools = set()
    for tool, how in form.holds.items():
        name, equals, value = how.partition("=")
        if not equals or name not in options or str(options[name]) == value:
            tools.add(tool)
    return tools
