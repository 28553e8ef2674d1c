"""Junk: values of every kind that JSON has, and documents in which one thing is replaced by it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any

from hypothesis import strategies as st


def deep(depth: int) -> Any:
    """A value in so many brackets."""
    value: Any = "leaf"
    for turn in range(depth):
        value = {"k": value} if turn % 2 else [value]
    return value


TEXTS = (
    *("", " ", "x", "0", "-1", "1e999", "nan", "null", "true", "\0", "a\0b", "\n", "\x1b[31m", "\u202e", "\ud800"),
    *("../../x", "/etc/passwd", "C:\\x", "~", "s3://", "http://[::1", "file:///etc", "{{ 7*7 }}", "<script>alert(1)"),
    *("'", '"', "\\", "%s", "${x}", "*", "[", "(((", "(?P<a>", "(a+)+$", "가나다", "x" * 5000, "2026-13-45T99:99:99Z"),
)  # fmt: skip
NUMBERS = (0, -1, 1, 2, 0.5, -0.0, 2**31, 2**63, 2**70, -(2**70), 1e308, -1e308, 1e-320)
ODD = (float("nan"), float("inf"), float("-inf"))
VALUES: tuple[Any, ...] = (
    *TEXTS, *NUMBERS, None, True, False, [], {}, [[]], [{}], {"": ""}, {"id": None}, [None] * 3, ["x", 1, None],
    {"a": {"b": [1]}}, deep(40),
)  # fmt: skip
JUNK = st.one_of(
    st.sampled_from(VALUES),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
        max_leaves=8,
    ),
)


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in a document, the whole of it first."""
    yield path
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in inner:
        yield from places(value, (*path, key))


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy in which something else stands at one place."""
    if not path:
        return value
    made = copy.deepcopy(document)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return made


def spoiled(document: Any, random: Random, times: int = 1) -> Any:
    """A copy in which something was replaced by junk, taken away, doubled, wrapped, or added."""
    made = copy.deepcopy(document)
    for _ in range(times):
        path = random.choice(list(places(made)))
        holder = made
        for key in path[:-1]:
            holder = holder[key]
        old = holder[path[-1]] if path else made
        turn = random.random()
        if path and turn < 0.15:
            del holder[path[-1]]
        elif turn < 0.25 and isinstance(old, list) and old:
            old.append(copy.deepcopy(random.choice(old)))
        elif turn < 0.3 and isinstance(old, dict):
            old[random.choice(TEXTS)] = copy.deepcopy(random.choice(VALUES))
        else:
            # Of its own kind every other time: that gets past the first check, and further in.
            alike = [value for value in VALUES if type(value) is type(old)] if turn < 0.6 else []
            new = copy.deepcopy(random.choice(alike or VALUES))
            if turn > 0.85:
                new = [old] if turn > 0.92 else {"x": old}
            if path:
                holder[path[-1]] = new
            else:
                made = new
    return made


def text_of(document: Any) -> bytes:
    """JSON as a hostile hand writes it: lone surrogates and numbers that are none of JSON's stay."""
    return json.dumps(document, ensure_ascii=True).encode()


def torn(content: bytes, random: Random) -> bytes:
    """The bytes of a file after an accident: cut, overwritten, doubled, emptied, or something else altogether."""
    turn = random.randrange(7)
    at = random.randrange(len(content) + 1)
    if turn == 0:
        return content[:at]
    if turn == 1:
        return content[:at] + bytes(random.randrange(256) for _ in range(random.randrange(1, 9))) + content[at + 4 :]
    if turn == 2:
        return content + content
    if turn == 3:
        return content[:at] + b"\0" * 16 + content[at + 16 :]
    if turn == 4:
        return random.choice((b"", b"\n", b"\0", b"null", b"[]", b"{}", b'"x"', b"\xff\xfe", b"<html>", b"[" * 100_000))
    if turn == 5:
        return content[:at] + content[at:].replace(b":", b",", 1)
    return content[at:]
