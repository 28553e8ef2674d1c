"""The reference of keys as a page, made from the table of decisions itself."""

from __future__ import annotations

from synapse_skills.planning.given import PARAMETERS
from synapse_skills.planning.interview import reference
from synapse_skills.planning.upload import UPLOAD

_HEAD = """\
# Keys of an upload

Made from the code by `make docs` (`plan_upload --keys` prints it): don't edit it by hand.

A key is what a question, `--set KEY=VALUE` and `answers.json` call a decision. VALUE is JSON, or text if it isn't;
`null` takes an answer back. `*` stands for the name of a spec, the number of a source (from 1) or a field's name.
Whatever is not said is found out, or asked. Flags win over `--set`, then `--answers`, then what earlier rounds have
remembered, then `--params` and `--pattern`. An unknown key is refused with the nearest one.

| key | decides |
|---|---|
"""
_FLAGS = """
## Flags that are keys

| flag | key |
|---|---|
| `PATH …` | `sources` |
| `--source SPEC=PATH` | one more of `sources`, and `sources.N.spec` |
| `--no-recursive` | `sources.recursive=false` |
| `--collection` | `data_collection` |
| `--storage`, `--project`, `--name` | `storage`, `project`, `name` |
| `--excel`, `--metadata` | `metadata.table` |
| `--batch-size` | `limits.batch_size` |

## Parameters of `--params`

| parameter | here |
|---|---|
"""
_PATTERNS = """
## Patterns

A pattern (`specs.*.pattern`) is compared with the end of a file's path, part by part: `*_mask.png` fits a name in any
folder, `mask/*.png` wants the folder above to be `mask`, a leading `/` ties it to the data unit's own folder (to the
source's, where data units are no folders). `*` and `?` stay within one part, `**` stands for any number of folders,
`[ab]` is a set. Upper and lower case are the same.
"""


def keys_page() -> str:
    """The page, in Markdown."""
    rows = "".join(f"| `{key}` | {doc} |\n" for key, doc in reference(UPLOAD))
    parameters = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in PARAMETERS.items())
    return _HEAD + rows + _FLAGS + parameters + _PATTERNS
