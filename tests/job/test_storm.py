"""The bad weather of the seeded worlds: no fault or setting of the sandbox is forgotten, and worlds can be named."""

from __future__ import annotations

from dataclasses import fields
from random import Random

import pytest

from job import knobs
from job.storm import PROBABILITY, seeds, storm
from synapse_sandbox.faults import AROUND, INSIDE, parse_faults
from synapse_sandbox.front import NAMES
from synapse_sandbox.settings import Settings


@pytest.mark.parametrize("seed", range(5))
def test_every_fault_that_the_sandbox_knows_is_in_it(seed: int) -> None:
    rules = parse_faults({"faults": storm(Random(seed), late_s=0.2)}, NAMES).rules
    assert sorted(rule.kind for rule in rules) == sorted([*AROUND, *INSIDE])
    assert all(rule.probability == PROBABILITY and rule.seconds <= 0.2 for rule in rules)
    # Never the routes by which the tests themselves look and turn knobs.
    assert not any(rule.matches("_sandbox.units", "GET /_sandbox/units", False) for rule in rules)
    assert sum(rule.matches("units.create", "POST /data_units/", True) for rule in rules) >= len(AROUND)


def test_every_setting_is_turned_or_left_out_with_a_reason() -> None:
    turned = knobs.UPLOAD | knobs.UPLOAD_MORE | knobs.EXPORT | knobs.EXPORT_MORE
    assert sorted([*turned, *knobs.LEFT_OUT]) == sorted(each.name for each in fields(Settings))
    for name, values in turned.items():
        assert all(Settings().changed({name: value}) for value in values)


@pytest.mark.parametrize(("said", "found"), [("3", [3]), ("7,100-102", [7, 100, 101, 102]), ("", list(range(20)))])
def test_worlds_are_named(monkeypatch: pytest.MonkeyPatch, said: str, found: list[int]) -> None:
    monkeypatch.delenv("SYNAPSE_SKILLS_ROUNDS", raising=False)
    monkeypatch.setenv("SYNAPSE_SKILLS_SEEDS", said)
    assert list(seeds()) == found
