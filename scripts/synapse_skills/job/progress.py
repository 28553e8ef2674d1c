"""What people see while a job runs: a bar on a terminal, a line now and then elsewhere.

Lines carry no square brackets: `synapse script logs` takes them for markup and eats them.
"""

from __future__ import annotations

import sys
import time

from synapse_skills.errors import printable, redact
from synapse_skills.job.markers import progress_line
from synapse_skills.texts import human_bytes

LINE_EVERY_S = 10.0


class Progress:
    """Counts what happens and shows it on stderr.

    Args:
        quiet: says nothing.
        remote: also says it in a form that can be read back from a log.
        what: that which is counted.
    """

    def __init__(self, *, quiet: bool = False, remote: bool = False, what: str = "data units") -> None:
        self.quiet = quiet
        self._what = what
        self._remote = remote
        self._tty = sys.stderr.isatty() and not quiet
        self._stage = ""
        self._total = 0
        self._done = 0
        self._bytes = 0
        self._files = 0
        self._began = time.monotonic()
        self._last = self._began
        self._width = 0

    def say(self, text: str) -> None:
        """A line for people."""
        if not self.quiet:
            self._wipe()
            print(printable(redact(text)).replace("[", "(").replace("]", ")"), file=sys.stderr, flush=True)

    def stage(self, name: str, total: int = 0, *, what: str | None = None) -> None:
        """The next stage begins; `what` it counts, if that is something else from now on."""
        self._stage, self._total, self._done = name, total, 0
        self._what = self._what if what is None else what
        self._last = time.monotonic()

    def checked(self, files: int) -> None:
        """So many files have been looked at."""
        self._show(f"{self._stage}: {files:,} files")

    def created(self, units: int) -> None:
        """So many more are done."""
        self._done += units

    def moved(self, size: int) -> None:
        """One more file has arrived."""
        self._files += 1
        self._bytes += size

    def tick(self) -> None:
        """Show how far it is."""
        if self._total:
            seconds = time.monotonic() - self._began
            shown = self._show(
                f"{self._stage}: {self._done:,} of {self._total:,} {self._what}, {self._files:,} files, "
                f"{human_bytes(self._bytes)}, {seconds:.0f} s"
            )
            if shown and self._remote:
                print(progress_line(self._done, self._total, seconds, self._files, self._bytes), flush=True)

    def end(self) -> None:
        """Nothing more comes."""
        self._wipe()

    def _show(self, text: str) -> bool:
        """Show it if it is time to; returns whether it was."""
        now = time.monotonic()
        if self.quiet or now - self._last < (0.2 if self._tty else LINE_EVERY_S):
            return False
        self._last = now
        if self._tty:
            print(f"\r{text.ljust(self._width)}", end="", file=sys.stderr, flush=True)
            self._width = len(text)
        else:
            print(text, file=sys.stderr, flush=True)
        return True

    def _wipe(self) -> None:
        if self._width:
            print(f"\r{' ' * self._width}\r", end="", file=sys.stderr, flush=True)
            self._width = 0
