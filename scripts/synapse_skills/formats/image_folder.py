"""Image folder: pictures by class, and metadata.jsonl as the Hugging Face loader reads it.

    [<split>/]<class>/<name>         originals, if they were asked for
    [<split>/]metadata.jsonl         file_name, label, labels, record_id, attributes of each picture

    README.md                        tells the loader which files are which part

`load_dataset("<folder>")` takes the parts from README.md: without it, the loader takes a class `train` or `bullet
train` for a part. The columns come from metadata.jsonl. torchvision's ImageFolder takes the classes from the folders
of a part. A picture with several classes lies in the folder of the first; `labels` has all. A picture without a class
has no place here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synapse_skills.annotations.model import Whole
from synapse_skills.formats.base import Format, Item, Loss, Settings, Verified
from synapse_skills.formats.classes import DROPPED
from synapse_skills.formats.names import Taken, safe_segment, with_digest
from synapse_skills.formats.parts import PartFiles
from synapse_skills.report import Problems

METADATA, README = "metadata.jsonl", "README.md"
_SPLITS = {"val": "validation"}
AGAIN = "Export again; if it comes back, say so to whoever maintains this."


class ImageFolder:
    """See the module; the protocol is `base.Writer`."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.rows: dict[str, int] = dict.fromkeys(settings.splits or ("",), 0)
        self.notes: dict[str, int] = {}
        self._folder = folder
        self._classes = settings.classes
        self._folders = class_folders(settings.classes.names)
        self._files = PartFiles(folder, METADATA, settings.splits)

    def write(self, item: Item) -> Sequence[Loss]:
        """Write the line of a picture."""
        losses: list[Loss] = []
        attributes: dict[str, Any] = {}
        places: dict[int, None] = {}
        for annotation in item.media.annotations:
            place = self._classes.place(annotation)
            if place == DROPPED or (isinstance(place, str) and type(annotation.geometry) is Whole):
                losses.append(Loss(annotation, str(place)))
            elif type(annotation.geometry) is not Whole or item.media.kind != "image":
                losses.append(Loss(annotation, "not-held"))
            elif isinstance(place, int):
                places[place] = None
                attributes |= annotation.attributes
        if places:
            self.rows[item.split] = self.rows.get(item.split, 0) + len(places)
            labels = [self._classes.names[place] for place in places]
            if len(labels) > 1:
                self.notes["several-classes"] = self.notes.get("several-classes", 0) + 1
            line = {
                "file_name": f"{self._folders[next(iter(places))]}/{item.name}",
                "label": labels[0],
                "labels": labels,
                "record_id": item.record.id,
                # One column of text: attributes differ from picture to picture, columns of a data set must not.
                "attributes": json.dumps(attributes, ensure_ascii=False),
            }
            text = json.dumps(line, ensure_ascii=False) + "\n"
            self._files.of(item.split).write(text.encode("utf-8", "backslashreplace"))
        return losses

    def leave(self) -> list[str]:
        """End a part; which files it has."""
        self._files.close()
        return self._files.parts()

    def take(self, folder: Path, left: list[str]) -> None:
        """Add the lines of a part."""
        self._files.take(folder, left)

    def place(self, item: Item) -> str | None:
        """In the folder of its class."""
        if item.media.kind == "image":
            for annotation in item.media.annotations:
                place = self._classes.place(annotation)
                if type(annotation.geometry) is Whole and isinstance(place, int):
                    return "/".join(part for part in (item.split, self._folders[place], item.name) if part)
        return None

    def close(self) -> None:
        """Close the files, and write README.md."""
        self._files.close()
        parts = "".join(
            f"  - split: {_SPLITS.get(part, part)}\n    path: '{part}/**'\n"
            if part
            else "  - split: train\n    path: '**'\n"
            for part in sorted(self._files.parts())
        )
        readme = f"---\nconfigs:\n- config_name: default\n  data_files:\n{parts}---\n"
        (self._folder / README).write_text(readme, encoding="utf-8", newline="\n")


def class_folders(names: Sequence[str]) -> list[str]:
    """A folder for each class: no path, and no two that some file system takes for one."""
    taken = Taken()
    for file in (METADATA, README):
        taken.claim(file)
    folders = []
    for name in names:
        folder = safe_segment(name)
        if not taken.claim(folder):
            folder = with_digest(name)
            taken.claim(folder)
        folders.append(folder)
    return folders


def verify(folder: Path) -> Verified:
    """Every line is an object with a file and its classes, each file once, and no picture is without a line."""
    found, problems = Verified(), Problems()
    for path in sorted([*folder.glob(METADATA), *folder.glob(f"*/{METADATA}")]):
        part = "" if path.parent == folder else path.parent.name
        found.items[part] = found.rows[part] = 0
        listed: set[str] = set()
        for number, text in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
            where = f"{path.relative_to(folder)}:{number}"
            try:
                line = json.loads(text)
                name, label, labels = line["file_name"], line["label"], line["labels"]
                is_sound = isinstance(labels, list) and label == labels[0] and name.count("/") == 1
            except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
                problems.add("bad-line", f"{where}: {error}", fix=AGAIN)
                continue
            if not is_sound or name in listed or ".." in name.split("/"):
                problems.add("bad-line", f"{where}: {name}", fix=AGAIN)
            listed.add(name)
            found.items[part] += 1
            found.rows[part] += len(labels)
        for picture in path.parent.glob("*/*"):
            relative = picture.relative_to(path.parent).as_posix()
            if picture.name != METADATA and relative not in listed:
                problems.add("picture-without-line", relative, fix=AGAIN)
    if not found.items:
        problems.add("missing-file", METADATA, fix=AGAIN)
    found.problems = problems.as_list()
    return found


FORMAT = Format(
    name="image_folder",
    title="Image folder (by class, Hugging Face)",
    media=("image",),
    holds={"classification": "exact"},
    needs_size=False,
    options=(),
    write=ImageFolder,
    verify=verify,
    splits=True,
)
