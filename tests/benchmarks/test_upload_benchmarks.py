"""Every benchmark of the upload still runs, at a size that says nothing about speed."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
STARTED = sorted(
    path for path in BENCHMARKS.glob("*.py") if "argparse" in path.read_text() or "parser_of(" in path.read_text()
)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a benchmark in this process; what it prints."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def run(name: str, *flags: str) -> str:
        # By its file: a folder of tests has the same name as one of them.
        spec = importlib.util.spec_from_file_location(f"benchmark_{name}", BENCHMARKS / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *flags])
        assert module.main() == 0
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("path", STARTED, ids=lambda path: path.stem)
def test_help_says_what_is_compared_and_how_it_is_called(path: Path) -> None:
    about = ast.get_docstring(ast.parse(path.read_text())) or ""
    if path.stem != "common":
        assert len(about) > 100 and f"python benchmarks/{path.name}" in about


def test_the_walk(run: Callable[..., str]) -> None:
    (table,) = json.loads(run("walk", "--files", "250", "--a-folder", "10", "--rounds", "2", "--json"))
    assert {side: len(values) for side, values in table["lines"].items()} == {"inventory": 2, "baseline": 2, "bare": 2}
    assert [ratio["at_least"] for ratio in table["ratios"]] == [True, False]


def test_tables_and_schemas(run: Callable[..., str]) -> None:
    shown = run("metadata", "--rows", "50")
    assert "jsonschema" in shown and "openpyxl" in shown and shown.count("×") > 2


def test_a_side_is_run_in_every_round_and_the_order_turns(
    run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import common  # type: ignore[import-not-found]

    order: list[str] = []

    def side(name: str) -> Callable[[int], float]:
        return lambda number: order.append(name) or float(number)  # type: ignore[func-returns-value]

    found = common.in_turn({"a": side("a"), "b": side("b")}, 3)
    assert order == ["a", "b", "b", "a", "a", "b"] and found == {"a": [0.0, 1.0, 2.0], "b": [0.0, 1.0, 2.0]}
    table = common.Table("speed", found)
    table.compare("faster", "a", "b", 3.5)
    assert (table.ratios[0].value, table.ratios[0].is_met) == (1.0, False)


def test_a_script_that_fails_is_no_figure(run: Callable[..., str], tmp_path: Path) -> None:
    import common

    script = tmp_path / "fails.py"
    script.write_text("raise SystemExit('no such luck')")
    with pytest.raises(RuntimeError, match="no such luck"):
        common.run_script(script)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("upload", ("--units", "6", "--rounds", "1", "--latency-ms", "1", "--json")),
        ("memory_upload", ("--files", "9", "18", "--json")),
    ],
)
def test_uploads(name: str, flags: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{name}.py"), *flags],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    tables: list[dict[str, Any]] = json.loads(done.stdout)
    assert len(tables) == 1 and all(values and min(values) > 0 for values in tables[0]["lines"].values())


@pytest.mark.heavy
def test_the_plan_of_a_million_files_with_a_hundred(run: Callable[..., str], tmp_path: Path) -> None:
    assert "ready" in run("plan_million", "--files", "100", "--keep", str(tmp_path / "tree"))
