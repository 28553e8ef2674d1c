"""A target handler that delivers whole records, with the task, tags, category and data unit that the SDK's own drop.

It fetches as every export of ours does (several ranges of ids at once, payloads that lie elsewhere, records that were
edited meanwhile, rows that were not asked for), and refuses a filter that the backend would ignore.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

from synapse_sdk.plugins.actions.export import ExportTargetHandler, TargetHandlerFactory

from synapse_skills.errors import SkillsError
from synapse_skills.job.export.plugin.params import SCOPE_KEYS, as_asked, scope_in
from synapse_skills.job.export.plugin.run import PluginFailed, Run


class RecordsHandler(ExportTargetHandler):
    """Records of the run that is open, of any target."""

    def validate_filter(self, value: dict[str, Any], client: Any) -> dict[str, Any]:
        """See that a filter has a scope, and nothing that the target's list would ignore.

        Raises:
            PluginFailed: not so.
        """
        target = next((name for name, keys in SCOPE_KEYS.items() if set(keys) & set(value)), "assignment")
        try:
            scope_in(target, as_asked(value))
        except SkillsError as error:
            raise PluginFailed(error) from None
        return value

    def get_results(
        self,
        client: Any,
        filters: dict[str, Any],
        *,
        ctx: Any = None,
        page_failures: list[dict[str, Any]] | None = None,
        save_original_file: bool = False,
    ) -> tuple[Any, int]:
        """Fetch all of them; (the records, how many).

        Raises:
            PluginFailed: it can't be done.
        """
        run = Run.of(ctx)
        run.check(filters)
        count = run.fetch()
        return run.items(), count

    def get_export_item(self, results: Iterable[dict[str, Any]]) -> Generator[dict[str, Any], None, None]:
        """One record after the other."""
        yield from results


def register(handler: type[ExportTargetHandler] = RecordsHandler) -> None:
    """Make it the handler of all three targets, in this process."""
    for target in SCOPE_KEYS:
        TargetHandlerFactory.register_handler(target, handler)
