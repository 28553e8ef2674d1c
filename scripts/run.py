"""The one way to start anything here: `python3 scripts/run.py SCRIPT ...`; without arguments it says what there is.

Any Python 3.6 or newer can run this file. It finds CPython 3.12 or newer, keeps one environment for each lock in the
user's cache, and hands over. Python 2 must be able to parse it, so that it can say what is missing: the real work is
in the folder `launcher/`.
"""

import os
import sys

if sys.version_info < (3, 6):
    sys.stderr.write(
        "error: synapse-skills can't be started with Python %d.%d.\n" % tuple(sys.version_info[:2])
        + "  next: Start it with python3 (3.6 or newer); it then looks for CPython 3.12 or newer by itself.\n"
    )
    sys.exit(3)

sys.dont_write_bytecode = True  # the plugin folder may be read-only and is never ours to write to
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # also under -P, -I, PYTHONSAFEPATH

from launcher.commands import main  # noqa: E402 - after the check for an old Python

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
