"""What can be wrong with a data unit or a file: the codes, how bad each is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

SEVERITIES = {
    "missing-required-spec": "error",
    "several-candidates": "error",
    "empty-file": "error",
    "oversized-file": "error",
    "wrong-extension": "error",
    "refused-by-guard": "error",
    "unreadable-file": "error",
    "key-too-long": "error",
    "meta-invalid": "error",
    "too-many-sidecars": "error",
    "no-units": "error",
    "belongs-to-nothing": "warning",
    "no-spec": "warning",
    "sidecar-alone": "warning",
    "metadata-table": "info",
}

FIXES = {
    "missing-required-spec": "Add the missing files, or leave these data units out by consent.",
    "several-candidates": "Tell them apart with a pattern for the specification, or remove all but one of the files.",
    "empty-file": "Replace the empty files, they are often broken copies, or leave these data units out by consent.",
    "oversized-file": "Raise max_file_size_mb if so large a file is meant, or leave these data units out by consent.",
    "wrong-extension": "The specification does not take this extension: correct the pattern, or have such files "
    "converted (conversions.*, where there is a conversion).",
    "refused-by-guard": "Synapse's content guard refuses it: convert it, rename it to what it is, or leave it out.",
    "unreadable-file": "Ask for permission to read the file, or copy it again from where it came.",
    "key-too-long": "Shorten the folder names: a data unit's key may have 255 bytes.",
    "meta-invalid": "Mend the metadata so that it fits the schema, or leave these data units out by consent.",
    "too-many-sidecars": "Make the pattern of the sidecars narrower, or leave these data units out by consent.",
    "no-units": "Check the source and the grouping: no file fell into a data unit.",
    "belongs-to-nothing": "They stay at home. If they are data, move them into a data unit's folder or regroup.",
    "no-spec": "They stay at home, each named in stays_home.jsonl. If they are data: rename them to an extension that "
    "is taken, have them converted (conversions.*, where there is a conversion), add theirs to a specification of the "
    "collection, or say a pattern.",
    "metadata-table": "Nothing to do: its rows are metadata of the data units, and it is no data itself.",
    "sidecar-alone": "They hold metadata of data units that have no file: add the files, or correct the names.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something is wrong with a data unit.

    Attributes:
        code: one of SEVERITIES.
        unit: the data unit's key.
        message: for people; begins with the data unit, and names the file if one is to blame.
        spec: the file specification that it is about, if it is about one.
    """

    code: str
    unit: str
    message: str
    spec: str | None = None
