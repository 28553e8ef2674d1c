"""What a dry run asks the backend: how many records there are with and without each filter, and for some of them."""

from __future__ import annotations

from synapse_skills.backend import Api
from synapse_skills.job.export.fetch import Fetcher
from synapse_skills.job.export.sample import kept_sample
from synapse_skills.report import Problems

SAMPLE = 200


async def try_out(api: Api, fetcher: Fetcher, problems: Problems, limit: int | None) -> int | None:
    """Note what there is, and put a sample into the index; how many records there are, if the backend tells."""
    scope = fetcher.scope
    counted = await fetcher.count()
    problems.add("records-in-scope", f"{_told(counted)} records match", severity="info")
    names = list(scope.filter)
    if names:
        whole = await fetcher.count(without=names)
        problems.add("records-in-scope", f"{_told(whole)} without any filter", severity="info", count=0)
    for name in names if len(names) > 1 else ():
        found = await fetcher.count(without=[name])
        problems.add("records-without-filter", f"{_told(found)} without {name}", severity="info", group=name)
    rows = await kept_sample(api, scope, limit or SAMPLE)
    fetcher.index.add(fetcher.spool.append({"t": "some"}, rows))
    return counted


def _told(count: int | None) -> str:
    return "an unknown number of" if count is None else f"{count:,}"
