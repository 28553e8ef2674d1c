"""What ended a run of an export, as one of our errors."""

from __future__ import annotations

import errno
import sqlite3

from synapse_skills.errors import FindingError, OutOfReach, SkillsError, printable, unexpected
from synapse_skills.job.export.decide import Failed
from synapse_skills.job.state import State
from synapse_skills.sources.database import is_full


def error_of(caught: Exception, state: State) -> SkillsError:
    """The error that people read of whatever a run was ended by."""
    if isinstance(caught, SkillsError):
        return caught
    if isinstance(caught, Failed):
        return FindingError(f"The script's keep failed: {caught}", hint="Mend it in export.py.", code="keep-failed")
    if isinstance(caught, OSError):
        full = caught.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "Free some disk space, then run it again: it goes on where it was." if full else "Check its permissions."
        return OutOfReach(
            f"{caught.strerror or caught} ({printable(str(caught.filename or state.name))})",
            hint=hint,
            code="disk-full" if full else "os-error",
        )
    if isinstance(caught, sqlite3.Error):
        full = is_full(caught, state.cache / "export.sqlite")
        return OutOfReach(
            f"{'The disk is full: the' if full else 'The'} index in {state.cache} can't be used: {caught}",
            hint=f"{'Free some space' if full else 'Check the disk'}, then run it again: the index is made anew.",
            code="disk-full" if full else "index-denied",
        )
    return unexpected(caught)
