"""A plugin in a folder, run as the SDK runs it: in this process, or by its own command."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import synapse_sdk.utils.auth as auth
from synapse_sdk.loggers import BaseLogger
from synapse_sdk.plugins.actions.export import TargetHandlerFactory
from synapse_sdk.plugins.context import PluginEnvironment, RuntimeContext

from export_fixture import ExportJob, boxes, row
from sandbox_fixture import Sandbox
from synapse_skills.export_plan import ExportPlan
from synapse_skills.rendering.export_plugin import render_plugin

STORAGE = 11
PLACE = ".synapse-export"
"""Whose an output is; written in another way at a storage. The only file that a script's output has otherwise."""


class Logger(BaseLogger):
    """A logger that remembers what the job would show."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str | None, float]] = []
        self.metrics: list[tuple[str, dict[str, Any]]] = []
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def _log_impl(self, event: str, data: dict[str, Any], *rest: Any, **more: Any) -> None:
        self.lines.append((event, data))

    def _on_progress(self, progress: Any, step: str | None) -> None:
        self.told.append((step, progress.percent))

    def _on_metrics(self, step: str, metrics: dict[str, Any]) -> None:
        self.metrics.append((step, dict(metrics)))

    def text(self) -> str:
        """Everything that was said."""
        return "\n".join(f"{event} {json.dumps(data, ensure_ascii=False, default=str)}" for event, data in self.lines)


class Plugins:
    """Plugins of one sandbox, whose storage is a folder."""

    def __init__(self, folder: Path, box: Sandbox, store: Path) -> None:
        self.folder = folder
        self.box = box
        self.store = store
        self.home = folder / "user"

    def job(self, **plan: Any) -> ExportJob:
        """An export by script to compare with, in a project of its own."""
        return ExportJob(self.folder / "script", self.box, next(self.box.next_project), **plan)  # type: ignore[attr-defined]

    def render(self, plan: ExportPlan, style: str, edit: Mapping[str, str] | None = None) -> Path:
        """The plugin's folder; `edit`: text on the page → what stands in its place."""
        done = render_plugin(plan, self.folder / f"plugin-{style}", style=style)
        page = done.script.read_text()
        for old, new in (edit or {}).items():
            assert page.count(old) >= 1, old
            page = page.replace(old, new)
        done.script.write_text(page)
        return done.folder

    def dispatch(self, plugin: Path, **params: Any) -> tuple[Any, Logger]:
        """Run it as an executor of the SDK does, in this process."""
        spec = importlib.util.spec_from_file_location(f"page_{plugin.name}", plugin / "plugin" / "export.py")
        assert spec is not None and spec.loader is not None
        logger = Logger()
        config = self.home / ".synapse" / "config.json"
        environment = self.box.env(self.home, SYNAPSE_SKILLS_PATIENCE_S="2")
        with (
            mock.patch.dict(os.environ, environment, clear=True),
            mock.patch.object(auth, "CONFIG_FILE", config),
            mock.patch.dict(TargetHandlerFactory._handlers),
        ):
            page = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(page)
            clients = auth.build_runtime_clients()
            context = RuntimeContext(
                logger=logger, env=PluginEnvironment.from_environ(), client=clients.client, v2_client=clients.v2_client
            )
            try:
                return page.ExportAction.dispatch({"storage": STORAGE} | params, context), logger
            except Exception as error:
                error.logger = logger  # type: ignore[attr-defined]
                raise

    def command(self, plugin: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """`synapse plugin …` in the plugin's folder."""
        synapse = Path(sys.executable).parent / "synapse"
        environment = self.box.env(self.home, PATH=os.environ["PATH"], COLUMNS="300", **env)
        return subprocess.run(
            [str(synapse), "plugin", *words], cwd=plugin, env=environment, capture_output=True, text=True, timeout=180,
            check=False,
        )  # fmt: skip

    def run(self, plugin: Path, mode: str = "local", **params: Any) -> tuple[dict[str, Any], str]:
        """`synapse plugin run export`; its result, and all that it said."""
        said = json.dumps({"storage": STORAGE} | params)
        done = self.command(plugin, "run", "export", "--mode", mode, "--params", said)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert "Traceback" not in done.stdout + done.stderr
        line = next(line for line in done.stdout.splitlines() if line.startswith("Result: {"))
        return json.loads(line.removeprefix("Result: ")), done.stdout + done.stderr

    def there(self, path: str) -> dict[str, bytes]:
        """The files at a place of the storage, but for the one that says whose it is."""
        return files(self.store / path)


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, as `diff -r -x .synapse-export` compares them."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != PLACE
    }


def labelled(count: int) -> list[dict[str, Any]]:
    """Records with boxes, an empty one, and one whose payload can't be read."""
    rows = [row(number) for number in range(count)]
    rows[1] = row(1, boxes(3, label="person"), status_review="confirmed")
    rows[2] = row(2, None, data_text='{"annotations": {"image_1": [{"id": 1.50,  "tool": null}]}, "x": 1e3}')
    rows[3] = row(3, None, data_text='["not", "a", "payload"]')
    return rows
