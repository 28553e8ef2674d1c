"""A job's folders and reports, found again by whoever shows what became of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from synapse_skills.errors import FindingError, UsageError, printable


def find_job(folder: Path, script: str, *, what: str) -> tuple[Path, Path]:
    """A job's home and its job folder, named by either.

    Args:
        folder: what the user named.
        script: the file that makes it a job of this kind.
        what: `upload` or `export`.

    Raises:
        UsageError: there is no such job (`no-job`).
    """
    for home, job in ((folder, folder / "job"), (folder.absolute().parent, folder)):
        if (job / script).is_file() and (job / "plan.json").is_file():
            return home, job
    raise UsageError(
        f"There is no {what} in {printable(str(folder))}.",
        hint=f"Name the folder that plan_{what} made: synapse-jobs/NAME.",
        code="no-job",
    )


def find_report[Report](path: Path, read: Callable[[bytes], Report]) -> Report | None:
    """A report, None if there is none.

    Raises:
        FindingError: `bad-report`.
    """
    try:
        return read(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        raise FindingError(
            f"{printable(str(path))} is not a report that this version understands.",
            hint="Run the job again: it writes a new one.",
            code="bad-report",
        ) from None
