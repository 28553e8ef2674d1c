"""What a case is, and the folder that it is played in.

DIR/
  case.json        the case's name and its size
  prompt.txt       the user's first sentence
  user.md          what the user knows: for whoever plays the user, not for the agent
  user/            the user's folder: the agent works here
  home/            the user's home: the login is in it once the world is staged
  behind/          the backend's seed and state, a storage that is a folder, and what else stands behind the scenes
  env.sh           to be sourced before every command, once the world is staged
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval_cases.backend import Backend
from eval_cases.wrong import Wrong

if TYPE_CHECKING:
    from eval_cases.hands import Hands

UPLOAD, EXPORT, PLUGIN = "synapse-upload-workflow", "synapse-export-workflow", "synapse-export-plugin"
SIZE_VARIABLE = "EVALS_SIZE"

BEHIND = "$BEHIND"
"""In a seed: the world's folder behind the scenes."""

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Place:
    """The folder of one world."""

    root: Path

    @property
    def user(self) -> Path:
        """Where the user and the agent work."""
        return self.root / "user"

    @property
    def behind(self) -> Path:
        """What the agent has no business with."""
        return self.root / "behind"

    @property
    def size(self) -> int:
        """How large the world was made, for cases that come in sizes."""
        return int(json.loads((self.root / "case.json").read_bytes())["size"])

    @property
    def backend(self) -> Backend:
        """What the backend has now."""
        return Backend(self.behind / "state")

    def files(self, below: str = "") -> dict[str, bytes]:
        """The user's files below a folder, without what jobs keep."""
        root = self.user / below
        if not root.is_dir():
            raise Wrong(f"there is no folder {below or 'user'}")
        return {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file() and "synapse-jobs" not in path.relative_to(root).parts
        }


Check = Callable[[Place], str]
"""Says what it saw; raises `Wrong` if that is not as it must be."""


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        name: of its folder.
        skill: that should be used.
        prompt: the user's first sentence.
        knows: what else the user knows and wants, as notes for whoever plays the user.
        expected: what should come of it, in a sentence.
        expectations: what must be so, each with the check that finds out.
        files: of the user's folder; a function of the size.
        seed: of the sandbox; a function of the size.
        ideal: the shortest way there, as commands; it shows that the case can be passed.
        faults: of the sandbox, from the start.
        past: what happened before the conversation.
        bucket: objects of an S3 bucket named `fleet`, by key; a function of the size.
        size: how large the world is, unless the environment says otherwise.
        needs_sdk: the user has synapse-sdk: the command `synapse` is there.
    """

    name: str
    skill: str
    prompt: str
    knows: str
    expected: str
    expectations: Mapping[str, Check]
    seed: Callable[[int], dict[str, Any]]
    ideal: Callable[[Hands], None]
    files: Callable[[int], Files] = lambda size: {}
    faults: tuple[Mapping[str, Any], ...] = ()
    past: Callable[[Hands], None] | None = None
    bucket: Callable[[int], Files] | None = None
    size: int = 0
    needs_sdk: bool = False

    @property
    def language(self) -> str:
        """Of the user."""
        return "korean" if any("가" <= char <= "힣" for char in self.knows) else "english"

    def make(self, place: Place, size: int | None = None) -> None:
        """Write the world.

        Raises:
            Wrong: the folder is not empty.
        """
        if place.root.exists() and any(place.root.iterdir()):
            raise Wrong(f"{place.root} is not empty")
        size = size or (self.size and int(os.environ.get(SIZE_VARIABLE, self.size)))
        for folder in (place.user, place.root / "home", place.behind / "storage"):
            folder.mkdir(parents=True)
        for name, content in self.files(size).items():
            path = place.user / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        _write(place.root / "case.json", {"case": self.name, "size": size})
        (place.root / "prompt.txt").write_text(self.prompt + "\n", encoding="utf-8")
        (place.root / "user.md").write_text(self.sheet(), encoding="utf-8")
        seed = json.dumps(self.seed(size), ensure_ascii=False).replace(BEHIND, json.dumps(str(place.behind))[1:-1])
        _write(place.behind / "seed.json", json.loads(seed))
        _write(place.behind / "faults.json", {"seed": 1, "faults": list(self.faults)})

    def sheet(self) -> str:
        """For whoever plays the user."""
        return (
            f"# {self.name}\n\nYou say first:\n\n> {self.prompt}\n\nWhat you know and want:\n\n{self.knows.strip()}\n\n"
            "Answer only what you are asked, in a few words, as somebody who does not know the tool. Asked for what is "
            "not above, say that you do not know, or take what is recommended. Agree to a plan if it says what you "
            "want; if it does not, say what is wrong with it.\n"
        )

    def grade(self, place: Place) -> dict[str, Any]:
        """Hold the world against every expectation; the form is that of grading.json."""
        rows: list[dict[str, Any]] = []
        for text, check in self.expectations.items():
            try:
                passed, evidence = True, check(place)
            except (Wrong, OSError, LookupError, ValueError, TypeError, AssertionError) as error:
                passed, evidence = False, str(error) or type(error).__name__
            rows.append({"text": text, "passed": passed, "evidence": evidence[:2000]})
        met = sum(bool(row["passed"]) for row in rows)
        summary = {"passed": met, "failed": len(rows) - met, "total": len(rows), "pass_rate": met / len(rows)}
        return {"case": self.name, "expectations": rows, "summary": summary}


def _write(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
