"""What can be odd about the rows of a metadata table, with what to do; a warning unless said otherwise."""

from __future__ import annotations

FIXES = {
    "metadata-duplicate-key": "Keep one of these rows for each data unit, or choose another key column.",
    "metadata-repeated-row": "Nothing: these rows say the same, so it does not matter which of them counts.",
    "metadata-empty-key": "Fill in the key of these rows; without it they belong to no data unit.",
    "metadata-ambiguous-key": "Write what only one data unit is called: its whole key, or the path of a file.",
    "row-without-unit": "Correct the key, or leave the rows: nothing is sent for them.",
    "unit-without-row": "Add rows for these data units; without one the table gives them nothing.",
    "key-zeros": "Nothing, if these are the data units that are meant: the table lost the leading zeros of its keys.",
    "key-case": "Nothing, if these are the data units that are meant: only upper and lower case differ.",
}
SEVERITIES = {
    "metadata-duplicate-key": "error",
    "metadata-ambiguous-key": "error",
    "key-case": "info",
    "metadata-repeated-row": "warning",
}
