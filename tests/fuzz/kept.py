"""A folder as it was: put back after each accident."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random

from fuzz.junk import spoiled, text_of, torn


class Kept:
    """Every file below a folder, to be written again.

    Args:
        folder: as it is now.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def restore(self) -> None:
        """The folder as it was."""
        shutil.rmtree(self.folder)
        for name, content in self.files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def harm(self, random: Random, *names: str) -> Path:
        """Something happens to one file: torn, or edited by a hand that knows JSON, or in the place of a folder.

        Args:
            random: decides all.
            names: patterns of the files that may be harmed; all by default.

        Returns:
            Which.
        """
        fit = [name for name in self.files if not names or any(name.match(pattern) for pattern in names)]
        # A script that is no Python any more is what Python itself speaks about.
        fit = [name for name in fit if name.suffix != ".py"]
        name = random.choice(sorted(fit))
        path, content = self.folder / name, self.files[name]
        if not path.is_file():
            return path  # harmed before
        turn = random.random()
        if turn < 0.04:
            path.unlink()
            path.mkdir()
        elif turn < 0.08:
            path.unlink()
        elif turn < 0.35 or content.lstrip()[:1] not in (b"{", b"["):
            path.write_bytes(torn(content, random))
        else:
            path.write_bytes(_edited(content, random))
        return path


def _edited(content: bytes, random: Random) -> bytes:
    """One JSON document, or one line of many, with junk in it; what is no JSON stays."""
    try:
        return text_of(spoiled(json.loads(content), random))
    except ValueError:
        lines = content.split(b"\n")
        at = random.randrange(len(lines))
        try:
            lines[at] = text_of(spoiled(json.loads(lines[at]), random))
        except ValueError:
            lines[at] = torn(lines[at], random)
        return b"\n".join(lines)
