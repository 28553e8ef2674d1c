"""data.yaml written and read in time that a hundred thousand classes don't notice.

PyYAML takes 0.1 ms for a name, and as long again to read it: with four kinds of YOLO that were minutes. Nearly every
name is a plain word, and how YAML writes such a one is known: these are written here, byte for byte as PyYAML writes
them, and the others by PyYAML.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

_WIDTH = 10_000
# A letter first, then letters, digits and single blanks: nothing that YAML takes for a sign of its own.
_PLAIN = re.compile(r"[^\W\d_](?:[\w/.()-]| (?=\S)){0,199}")
_NO_TEXT = frozenset({"yes", "no", "true", "false", "on", "off", "null", "y", "n"})
"""Words that YAML reads as something else, in whatever case; more of them than it does, which is harmless."""

# What may nest. libyaml calls itself for each level, and nothing but the stack ends that.
_NESTS = re.compile(r"[\[{]|[-?]\s")
_MOST_NESTED = 5_000


class _Dumper(yaml.SafeDumper):
    """Writes text that holds more than printable characters with escapes: some line breaks don't come back else."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """A string; keys and names."""
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=None if data.isprintable() else '"')


_Dumper.add_representer(str, _Dumper.represent_str)


def dump(document: Mapping[str, Any]) -> str:
    """A document in block style, its keys in their order."""
    return yaml.dump(dict(document), Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=_WIDTH)


def dump_names(names: Sequence[str]) -> str:
    """`names`, by their number, as `dump` writes them."""
    if not names:
        return dump({"names": {}})
    lines = ["names:\n"]
    for is_plain, some in itertools.groupby(enumerate(names), key=lambda each: _is_plain(each[1])):
        if is_plain:
            lines += [f"  {number}: {name}\n" for number, name in some]
        else:
            lines.append(dump({"names": dict(some)}).removeprefix("names:\n"))
    return "".join(lines)


def _is_plain(name: str) -> bool:
    return _PLAIN.fullmatch(name) is not None and name.isprintable() and name.lower() not in _NO_TEXT


def load(text: str) -> Any:
    """A document, read by libyaml if it is there, takes it, and can't be led so deep that its stack ends.

    Raises:
        yaml.YAMLError: it is none. RecursionError: it nests too deep. ValueError: a date or number that is none.
    """
    nests = sum(1 for _ in itertools.islice(_NESTS.finditer(text), _MOST_NESTED))
    if nests < _MOST_NESTED and hasattr(yaml, "CSafeLoader"):
        # It refuses halves of characters, which we write as their escapes.
        with contextlib.suppress(yaml.YAMLError):
            return yaml.load(text, yaml.CSafeLoader)
    return yaml.safe_load(text)
