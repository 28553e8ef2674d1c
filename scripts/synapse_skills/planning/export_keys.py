"""The references of an export as pages, made from the tables themselves: keys, filters, formats."""

from __future__ import annotations

from synapse_skills.backend.filters import filters_table
from synapse_skills.formats.reasons import REASONS
from synapse_skills.planning.export import EXPORT
from synapse_skills.planning.interview import reference

_KEYS = """\
# Keys of an export

Made from the code by `make docs` (`plan_export --keys` prints it): don't edit it by hand.

A key is what a question, `--set KEY=VALUE` and `answers.json` call a decision. VALUE is JSON, or text if it isn't;
`null` takes an answer back. `*` stands for the name of a filter, for FORMAT.OPTION, or for FORMAT.REASON. Whatever is
not said is found out, or asked. Flags win over `--set`, then `--answers`, then what earlier rounds have remembered. An
unknown key is refused with the nearest one.

| key | decides |
|---|---|
"""
_FLAGS = """
## Flags that are keys

| flag | key |
|---|---|
| `--target` | `target` |
| `--project` | `project` |
| `--ground-truth-version` | `ground_truth_version` |
| `--format F …` | `formats` |
| `--filter JSON` | `filter`; a `project` or `ground_truth_dataset_version` in it is the scope |
| `--split` | `split.ratios` |
| `--originals` | `originals` |
| `--classes FILE` | `classes.order`, and `classes.map` and `classes.drop` if the file has them |
| `--output`, `--storage`, `--name`, `--as` | `output`, `storage`, `name`, `as` |
"""
_FILTERS = """\
# Filters of an export

Made from the code by `make docs` (`plan_export --keys filters` prints it): don't edit it by hand.

`--filter '{"status": "done", "created_after": "2026-01-31"}'`, or one by one: `--set filter.status=done`. `any` says
that a filter does not matter. Several values of one filter are a JSON list, or have commas between them. The last three
columns are the backend's own keys for each target; one that is empty is refused, because the backend would ignore it
and list everything. Every record that comes back is held against the filters as far as it tells.

"""
_FORMATS = """\
# Formats of an export

Made from the code by `make docs` (`plan_export --keys formats` prints it): don't edit it by hand.

| format | is | for | needs the picture's size |
|---|---|---|---|
"""
_REASONS = """
## Why an annotation can be lost

`losses.FORMAT.REASON=accept` consents to a loss; without consent the export ends with exit 5. The report counts each,
with examples. `not-held` is said of each tool, such as `keypoint-not-held`, or of a kind of media: `video-not-held`.

| reason | means |
|---|---|
"""


def export_keys_page() -> str:
    """The page of keys, in Markdown."""
    rows = "".join(f"| `{key}` | {doc} |\n" for key, doc in reference(EXPORT))
    return _KEYS + rows + _FLAGS


def filters_page() -> str:
    """The page of filters."""
    return _FILTERS + filters_table()


def formats_page() -> str:
    """The page of formats: what each holds of each tool, and its options."""
    from synapse_skills.formats import FORMATS, matrix

    forms = list(FORMATS.values())
    page = _FORMATS + "".join(
        f"| `{form.name}` | {form.title} | {', '.join(form.media) or 'any'} | {'yes' if form.needs_size else 'no'} |\n"
        for form in forms
    )
    page += (
        "\n## What each holds\n\n`exact`; what becomes of it; `OPTION=VALUE` if only that option keeps it; or lost.\n\n"
    )
    page += "| tool | " + " | ".join(form.name for form in forms) + " |\n" + "|---" * (len(forms) + 1) + "|\n"
    for tool, cells in matrix().items():
        page += f"| {tool} | " + " | ".join(cells[form.name] for form in forms) + " |\n"
    page += "\n## Options\n\nThe first value is the default.\n\n| key | values | means |\n|---|---|---|\n"
    for form in forms:
        for option in form.options:
            values = ", ".join(f"`{choice}`" for choice in option.choices) + (", N" if option.is_count else "")
            page += f"| `formats.{form.name}.{option.name}` | {values} | {option.doc} |\n"
    page += _REASONS + "".join(f"| `{reason}` | {why} |\n" for reason, why in REASONS.items())
    return page


PAGES = {"keys": export_keys_page, "filters": filters_page, "formats": formats_page}
