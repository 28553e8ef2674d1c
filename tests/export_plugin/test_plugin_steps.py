"""The shared steps, each by itself; and that none of them, rolled back, takes away what is there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from synapse_sdk.plugins.actions.export import ExportContext
from synapse_sdk.plugins.context import PluginEnvironment, RuntimeContext
from synapse_sdk.plugins.steps import BaseStep, Orchestrator, StepRegistry, StepResult

from export_fixture import boxes, row
from export_plugin.running import Logger, Plugins, files
from synapse_skills.errors import UsageError
from synapse_skills.export_plan import FormatPlan
from synapse_skills.job.export.plugin import ConvertStep, FetchStep, OpenStep, PluginFailed, Run, WriteStep, steps

ITEMS = [{"id": number, "key": number, "data": {"n": number}} for number in range(4)]


class FakeRun:
    """A run without a backend."""

    def __init__(self) -> None:
        self.told: list[float] = []
        self.telling = self
        self.taken: list[dict[str, Any]] = []

    def at(self, part: float) -> None:
        self.told.append(part)

    def fetch(self) -> int:
        return len(ITEMS)

    def items(self) -> Iterator[dict[str, Any]]:
        yield from ITEMS

    def convert(self, item: dict[str, Any], change: Any) -> str:
        try:
            self.taken.append(change(item))
        except Exception as error:
            return repr(error)
        return ""

    def finish(self) -> dict[str, Any]:
        return {"format": "coco", "exported_count": 3, "failed_count": 1, "output_path": "storage://11/x"}


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> ExportContext:
    fake = FakeRun()
    monkeypatch.setattr(Run, "of", classmethod(lambda cls, ctx: fake))
    runtime = RuntimeContext(logger=Logger(), env=PluginEnvironment.from_environ())
    made = ExportContext(runtime_ctx=runtime)
    made.params["fake"] = fake
    return made


def test_open_says_where_it_goes_and_what_stays(context: ExportContext, monkeypatch: pytest.MonkeyPatch) -> None:
    class Opened:
        place, extra = "storage://11/x", Path("/extra")

        def __init__(self, *said: Any) -> None:
            self.said = said

        def __enter__(self) -> Opened:
            if self.said[0] is None:
                raise PluginFailed(UsageError("No.", hint="Say where.", code="no-home"))
            return self

    monkeypatch.setattr(steps, "Run", Opened)
    step, logger = OpenStep("the plan", None), context.runtime_ctx.logger  # type: ignore[arg-type]
    result = step.execute(context)
    assert result.success and result.data == {"output_path": "storage://11/x"}
    assert (context.output_path, context.unique_export_path) == ("storage://11/x", Path("/extra"))
    step.rollback(context, result)
    assert "Nothing was removed from storage://11/x." in logger.text()  # type: ignore[attr-defined]
    told = len(logger.lines)  # type: ignore[attr-defined]
    step = OpenStep(None, None)  # type: ignore[arg-type]
    result = step.execute(context)
    assert (result.success, result.error, result.skipped) == (False, "No. Next: Say where. (no-home)", False)
    step.rollback(context, result)
    assert len(logger.lines) == told  # type: ignore[attr-defined]


@pytest.mark.parametrize("step", [FetchStep(), WriteStep()])
def test_what_ends_a_step_is_its_result(step: BaseStep[ExportContext]) -> None:
    nothing_open = ExportContext(runtime_ctx=RuntimeContext(logger=Logger(), env=PluginEnvironment.from_environ()))
    result = step.execute(nothing_open)
    assert not result.success and "(no-run)" in str(result.error)
    step.rollback(nothing_open, result)


def test_fetch_fills_the_context_and_forgets_it_again(context: ExportContext) -> None:
    step = FetchStep()
    result = step.execute(context)
    assert result.success and result.data == {"count": 4} and context.total_count == 4
    assert list(context.results or ()) == ITEMS
    step.rollback(context, result)
    assert context.results is None and context.total_count == 0


def test_convert_goes_on_past_a_record_that_fails(context: ExportContext) -> None:
    def change(item: dict[str, Any]) -> dict[str, Any]:
        if item["id"] == 2:
            raise KeyError("class")
        return item

    FetchStep().execute(context)
    result = ConvertStep(change).execute(context)
    assert result.success and result.data == {"converted": 3, "failed": 1}
    assert context.errors == ["record 2: KeyError('class')"] and context.failed_count == 1
    assert context.params["fake"].told == [0.25, 0.5, 0.75, 1.0]
    assert [item["id"] for item in context.params["fake"].taken] == [0, 1, 3]


def test_write_says_what_came_of_it_and_keeps_it(context: ExportContext) -> None:
    step = WriteStep()
    result = step.execute(context)
    assert (context.exported_count, context.failed_count, context.output_path) == (3, 1, "storage://11/x")
    assert result.data["format"] == "coco" and result.rollback_data == {"kept": "storage://11/x"}
    step.rollback(context, result)
    assert "is complete and stays" in context.runtime_ctx.logger.text()


def test_weights_add_up() -> None:
    steps: list[BaseStep[ExportContext]] = [OpenStep(None, None), FetchStep(), ConvertStep(dict), WriteStep()]  # type: ignore[arg-type]
    assert sum(step.progress_weight for step in steps) == pytest.approx(1)
    assert sum(step.progress_proportion for step in steps) == 100
    assert len({step.name for step in steps}) == 4


@pytest.mark.heavy
def test_a_step_that_fails_after_the_export_leaves_it_there(plugins: Plugins) -> None:
    job = plugins.job(formats=(FormatPlan(name="csv"),))
    job.label(row(0, boxes(2)), row(1, boxes(1)))
    job.do()
    edit = {
        "ConvertStep(change), WriteStep()):": "ConvertStep(change), WriteStep(), Fails()):",
        "class ExportAction": (
            "class Fails(WriteStep):\n    name = 'fails'\n\n    def execute(self, context):\n"
            "        raise OSError('no mail today')\n\n\nclass ExportAction"
        ),
    }
    with pytest.raises(RuntimeError, match="no mail today") as failed:
        plugins.dispatch(plugins.render(job.plan, "step", edit), path="stays")
    assert plugins.there("stays/cars") == files(job.output)
    logger: Logger = failed.value.logger  # type: ignore[attr-defined]
    assert "The export at storage://11/stays/cars is complete and stays." in logger.text()


@pytest.mark.heavy
def test_a_step_of_one_s_own_sees_what_the_others_did(plugins: Plugins) -> None:
    job = plugins.job(formats=(FormatPlan(name="csv"),))
    rows = job.label(row(0, boxes(2)), row(1, boxes(1)))
    edit = {
        "ConvertStep(change), WriteStep()):": "ConvertStep(change), Look(), WriteStep()):",
        "params=self.params.model_dump())": "params=self.params.model_dump() | {'mark': 7})",
        "    return record\n": "    if record['id'] % 2:\n        raise KeyError('class')\n    return record\n",
        "class ExportAction": (
            "class Look(OpenStep):\n    name = 'look'\n\n    def __init__(self):\n        pass\n\n"
            "    def execute(self, context):\n        told = [step.data for step in context.step_results]\n"
            "        import json\n        said = [told, context.params['mark'], context.total_count, context.errors]\n"
            "        (context.unique_export_path / 'seen.json').write_text(json.dumps(said))\n"
            "        return type(context.step_results[0])()\n\n\nclass ExportAction"
        ),
    }
    result, _ = plugins.dispatch(plugins.render(job.plan, "step", edit), path="seen")
    told, mark, total, errors = json.loads(plugins.there("seen/cars")["extra/seen.json"])
    odd = next(each["id"] for each in rows if each["id"] % 2)
    assert told == [{"output_path": "storage://11/seen/cars"}, {"count": 2}, {"converted": 1, "failed": 1}]
    assert (mark, total, errors) == (7, 2, [f"record {odd}: KeyError: 'class'"])
    assert (result["exported_count"], result["failed_count"], result["steps_executed"]) == (1, 1, 5)


def test_the_sdk_rolls_back_in_reverse_and_nothing_else(context: ExportContext) -> None:
    class Fails(BaseStep[ExportContext]):
        name = "fails"
        progress_weight = 0.1

        def execute(self, context: ExportContext) -> StepResult:
            return StepResult(success=False, error="on purpose")

    registry: StepRegistry[ExportContext] = StepRegistry()
    for step in (FetchStep(), ConvertStep(dict), WriteStep(), Fails()):
        registry.register(step)
    with pytest.raises(RuntimeError, match="on purpose"):
        Orchestrator(registry, context, lambda done, total: None).execute()
    assert context.errors == [], "no rollback failed"
