"""Checks that many cases need: each makes a function that says what it saw, or raises `Wrong`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from eval_cases.backend import Unit, sha1
from eval_cases.case import Check, Files, Place
from eval_cases.wrong import Wrong

Sums = dict[str, str]
Truth = Mapping[str, Mapping[str, str]]
"""Data unit → specification → path of its file below the user's folder."""


def sums_of(files: Files, truth: Truth) -> dict[str, Sums]:
    """The same with the SHA-1 of what the path holds."""
    return {unit: {spec: sha1(files[path]) for spec, path in parts.items()} for unit, parts in truth.items()}


def arrived(collection: int, wanted: Callable[[Place], Mapping[str, Sums]]) -> Check:
    """Exactly these data units are in a collection, each once, with exactly these files."""

    def check(place: Place) -> str:
        units = wanted(place)
        there = Counter(tuple(sorted(unit.files.items())) for unit in place.backend.units(collection))
        expected = {tuple(sorted(sums.items())): name for name, sums in units.items()}
        missing = [name for key, name in expected.items() if not there[key]]
        twice = [name for key, name in expected.items() if there[key] > 1]
        strange = sum(count for key, count in there.items() if key not in expected)
        if missing or twice or strange:
            raise Wrong(f"missing: {missing[:5]} ({len(missing)}); twice: {twice[:5]}; not asked for: {strange}")
        return f"{len(expected)} data units in collection {collection}, each once, all files byte for byte"

    return check


def unit_named(units: list[Unit], sums: Sums) -> Unit:
    """The one data unit with these files."""
    found = [unit for unit in units if unit.files == sums]
    if len(found) != 1:
        raise Wrong(f"{len(found)} data units with the files {sums}")
    return found[0]


def described(collection: int, wanted: Callable[[Place], Mapping[str, Sums]], meta: Mapping[str, Any]) -> Check:
    """Each of these data units carries at least this metadata, of the same type."""

    def check(place: Place) -> str:
        units, sums = place.backend.units(collection), wanted(place)
        for name, values in meta.items():
            there = unit_named(units, sums[name]).meta
            for key, value in values.items():
                if key not in there or (type(there[key]), there[key]) != (type(value), value):
                    raise Wrong(f"{name}: {key} is {there.get(key)!r}, not {value!r}")
        return f"{len(meta)} data units carry their metadata, value for value"

    return check


def nothing_in(collection: int) -> Check:
    """A collection that nobody spoke of is as empty as it was."""

    def check(place: Place) -> str:
        # Nothing at all has happened there if nothing arrived anywhere; another check says so.
        if found := len(place.backend.units(collection)):
            raise Wrong(f"{found} data units in collection {collection}, which nobody asked for")
        _something_arrived(place)
        return f"collection {collection} is empty"

    return check


def _something_arrived(place: Place) -> None:
    if not place.backend.units():
        raise Wrong("nothing arrived anywhere")


def untouched(files: Callable[[int], Files]) -> Check:
    """The user's own files are as they were, and something was done with them."""

    def check(place: Place) -> str:
        there = place.files()
        changed = [name for name, content in files(place.size).items() if there.get(name) != content]
        if changed:
            raise Wrong(f"changed or gone: {changed[:5]}")
        _something_arrived(place)
        return "every file of the user is as it was"

    return check


def with_tasks(project: int, collection: int, count: int) -> Check:
    """So many data units are in a collection, and each has exactly one task in a project."""

    def check(place: Place) -> str:
        units = sorted(unit.id for unit in place.backend.units(collection))
        tasks = sorted(place.backend.tasks(project))
        if len(units) != count or units != tasks:
            raise Wrong(f"{len(units)} data units, tasks for {len(tasks)} of them or others")
        return f"{len(tasks)} tasks, one for each data unit"

    return check


def names_written(file: str, names: set[str]) -> Check:
    """A text that the user asked for holds exactly these names, a line each."""

    def check(place: Place) -> str:
        lines = {line.strip() for line in (place.user / file).read_text(encoding="utf-8").splitlines()} - {""}
        if lines != names:
            raise Wrong(f"{file} says {sorted(lines)[:8]}, not {sorted(names)}")
        return f"{file} names {len(names)}"

    return check
