"""Metadata of one shape: the same fields with values of the same types, as all rows of a table are.

What depends on the names and types alone (whether they are plain, which fields the schema may want otherwise) is
found out once for each shape. Left for each data unit is what depends on its values: that they can be sent, and
that they fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from synapse_skills.metadata.coerce import Changes, Coercion, applied
from synapse_skills.metadata.plain import HUGE, is_utf8

SCALARS = frozenset({str, int, float, bool, type(None)})
# Fields of all shapes together: whoever makes up a name for each data unit takes the long way, in flat memory.
MAX_FIELDS = 20_000


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of all metadata with certain fields of certain types.

    Attributes:
        blank: the fields, those that are added among them, without values; its names are plain text.
        added: fields that are not described and get the data unit's key.
        texts: gives the values that are text.
        floats: fields with floats.
        integers: fields with integers.
        wanted: what the schema may want otherwise where the metadata does not fit.
        polished: the same where it fits.
        key_polished: whether that can change an added field.
    """

    blank: dict[str, Any]
    added: tuple[str, ...]
    texts: Callable[[dict[str, Any]], Iterable[str]]
    floats: tuple[str, ...]
    integers: tuple[str, ...]
    wanted: Changes
    polished: Changes
    key_polished: bool

    def filled(self, described: Mapping[str, Any], unit_key: str) -> dict[str, Any] | None:
        """A copy of the metadata with the added fields; None if a value can't be sent."""
        full = {**self.blank, **described}
        for name in self.added:
            full[name] = unit_key
        text = "".join(self.texts(full))
        if not (text.isascii() or is_utf8(text)):
            return None
        for name in self.floats:
            # NaN and the infinities are the only numbers that are not 0 when taken from themselves.
            if full[name] - full[name] != 0:
                return None
        for name in self.integers:
            if not -HUGE < full[name] < HUGE:
                return None
        return full

    def coerced(self, full: dict[str, Any]) -> dict[str, Any]:
        """The metadata as the schema wants it: itself if nothing changes."""
        return applied(self.wanted, full)


class Shapes:
    """The shapes seen so far.

    Args:
        coercion: what the schema wants.
        added: fields that are added where they are not described.
    """

    def __init__(self, coercion: Coercion, added: Sequence[str]) -> None:
        self._coercion = coercion
        self._added = added
        self._found: dict[tuple[tuple[str, ...], tuple[type, ...]], Shape | None] = {}
        self._last: tuple[tuple[str, ...], tuple[type, ...], Shape | None] = ((), (), self._made({}))
        self._room = MAX_FIELDS

    def of(self, described: Mapping[str, Any]) -> Shape | None:
        """The shape of metadata; None if it is nested, odd, or one too many."""
        if described.__class__ is not dict:
            return None
        names, types = tuple(described), tuple(map(type, described.values()))
        last = self._last
        # Most often it is the row above's, and comparing takes half the time of looking it up.
        if last[1] == types and last[0] == names:
            return last[2]
        try:
            shape = self._found[names, types]
        except KeyError:
            if len(names) >= self._room:
                return None
            self._room -= len(names) + 1
            shape = self._found[names, types] = self._made(described)
        except TypeError:
            # A type that can't be hashed is none of JSON's.
            return None
        self._last = names, types, shape
        return shape

    def _made(self, described: Mapping[str, Any]) -> Shape | None:
        if not all(type(name) is str and is_utf8(name) for name in described):
            return None
        types = {name: type(value) for name, value in described.items()}
        if not SCALARS.issuperset(types.values()):
            return None
        added = tuple(name for name in self._added if name not in types)
        all_types = dict.fromkeys(added, str) | types
        texts = [name for name, kind in all_types.items() if kind is str]
        polished = _touched(self._coercion.polished, all_types)
        return Shape(
            blank=dict.fromkeys(all_types),
            added=added,
            texts=itemgetter(*texts) if len(texts) > 1 else lambda full: [full[name] for name in texts],
            floats=tuple(name for name, kind in all_types.items() if kind is float),
            integers=tuple(name for name, kind in all_types.items() if kind is int),
            wanted=_touched(self._coercion.fields, types),
            polished=polished,
            key_polished=any(name in added for name, *_ in polished),
        )


def _touched(changes: Changes, types: Mapping[str, type]) -> Changes:
    """Those that may change a value of these types."""
    return tuple(change for change in changes if change[0] in types and types[change[0]] not in change[1])
