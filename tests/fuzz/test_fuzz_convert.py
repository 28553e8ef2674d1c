"""A `convert` of somebody's own that raises, gives junk, leaves early, or knows secrets: the export goes on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from canary import SIGNATURE, leaks
from export_fixture import ExportJob, boxes, row
from fuzz.calling import ends, many
from fuzz.junk import TEXTS, VALUES
from synapse_skills.export_plan import FormatPlan
from synapse_skills.formats.custom import Entry, File, Line
from synapse_skills.job.export.verify import verify_output

CUSTOM = (FormatPlan(name="custom"),)
SIGNED = f"https://storage.test/x?X-Amz-Signature={SIGNATURE}"


class Deaf:
    """Nothing can be done with it."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("deaf")


class Endless(Exception):
    def __str__(self) -> str:
        raise ValueError("not even its text")


def _leaves(record: Any) -> None:
    sys.exit(0)


def _stops(record: Any) -> None:
    raise GeneratorExit


def _unspeakable(record: Any) -> None:
    raise Endless


def _recurses(record: Any) -> Any:
    return _recurses(record)


def _generates(record: Any) -> Iterator[Any]:
    yield File("a.txt", "a")
    raise KeyError(SIGNED)


ODD: dict[str, Callable[[Any], Any]] = {
    "leaves": _leaves,
    "stops": _stops,
    "unspeakable": _unspeakable,
    "recurses": _recurses,
    "generates": _generates,
    "deaf": lambda record: Deaf(),
    "deaf content": lambda record: File("a.json", Deaf()),
    "deaf path": lambda record: File(Deaf(), "x"),  # type: ignore[arg-type]
    "lost is a list": lambda record: File("a", "x", lost=["a0"]),  # type: ignore[arg-type]
    "lost is none": lambda record: File("a", "x", lost=None),  # type: ignore[arg-type]
    "lost of others": lambda record: File("a", "x", lost={"nobody": "no-shape"}),
    "endless depth": lambda record: File("/".join("abcdefghijk"), "x"),
    "not a number": lambda record: Entry("a.json", float("nan")),
    "itself": lambda record: File("a.json", (loop := [], loop.append(loop))[0]),
    "class": lambda record: File,
    "bytes in a line": lambda record: Line("a.jsonl", b"{}"),
    "both": lambda record: [Line("a", "x"), Entry("a", 1), File("a", "x")],
    "changed": lambda record: record.annotations.clear() or record.meta.update(x=record),
}


# Each takes half a second; one of them every day.
@pytest.mark.parametrize(
    "name", ["leaves", *(pytest.param(each, marks=pytest.mark.heavy) for each in ODD if each != "leaves")]
)
def test_odd_ways_to_convert(export_job: ExportJob, name: str) -> None:
    export_job.plan_with(formats=CUSTOM)
    export_job.label(row(1, boxes(2)), row(2, boxes(1)))
    with ends(30):
        export_job.do(expect=None, convert=ODD[name])
    report = export_job.report()
    assert report["exit_code"] in (0, 1, 5)
    assert not [each for each in report["problems"] if each["code"] == "bug"], report["problems"]
    if export_job.output.exists() and (export_job.output / "COMPLETE").exists():
        assert verify_output(export_job.output).is_fine
    assert leaks([export_job.home, export_job.output], export_job.box.token) == []


@pytest.mark.heavy
def test_a_secret_in_what_it_raises_stays_with_it(export_job: ExportJob, capfd: pytest.CaptureFixture[str]) -> None:
    """What it prints by itself is its own; what we say of it holds no login and no signed link."""
    export_job.plan_with(formats=CUSTOM)
    export_job.label(row(1, boxes(2)))

    def convert(record: Any) -> Any:
        raise ValueError(f"Token {export_job.box.token} for {SIGNED}")

    export_job.do(expect=5, convert=convert)
    assert "convert-failed" in json.dumps(export_job.report())
    said = capfd.readouterr()
    assert leaks([export_job.home, export_job.output, said.out, said.err], export_job.box.token) == []


@pytest.mark.heavy
@settings(max_examples=many(5, 150), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_junk_of_all_kinds(export_job: ExportJob, seed: int) -> None:
    """Every record gets something else; one job, exported anew each time."""
    random = Random(seed)
    if not export_job.box.records("assignment", export_job.project):
        export_job.label(*(row(number, boxes(number % 3)) for number in range(8)))
    export_job.plan_with(formats=CUSTOM)

    def convert(record: Any) -> Any:
        makes: Any = random.choice((File, Line, Entry, None))
        junk = random.choice((*VALUES, object(), {1: 2}, {1, 2}, b"\xff", 1j, float("inf"), ..., lambda: None))
        if makes is None:
            return junk
        path = random.choice(
            (*TEXTS, "a.json", "a.jsonl", "A.json", "x/a.json", "a.json/x", "_records.jsonl", "con", "")
        )
        lost = random.choice(({}, {}, {"a0": random.choice(TEXTS)}, {"zz": "x"}))
        made = makes(path, junk, lost=lost)
        return random.choice((made, [made], [made, made], iter([made, junk])))

    with ends(30):
        export_job.do("--fresh", expect=None, convert=convert)
    report = export_job.report()
    assert report["exit_code"] in (0, 5), report["problems"]
    inspected = verify_output(export_job.output)
    assert not [each for each in inspected.problems if each.severity == "error"], inspected.problems
    outside = [path for path in export_job.folder.iterdir() if path.name not in ("home", "output", "user")]
    assert outside == []
