"""Export from a Synapse project. Made from plan.json; edit what is odd about the data, then --dry-run."""

import sys

if sys.version_info < (3, 12):
    sys.stderr.write("error: this job needs Python 3.12 or newer, and this is " + sys.version.split()[0] + "\n")
    sys.exit(3)

from synapse_skills.job.export import Export

NAME = 'street scenes'
TARGET = 'assignment'
PROJECT = 42

# Format → how it is written; what is not said is as the format has it.
FORMATS = {'coco': {}}

# The classes in their order: the place of a name is its number, the same in every format and every part.
CLASSES = ['car', 'person']

ORIGINALS = 'none'
OUTPUT = '/data/exports/streets'

# To leave records out by a rule of your own: def keep(record): ... and keep=keep below.

if __name__ == "__main__":
    Export(
        TARGET,
        PROJECT,
        formats=FORMATS,
        classes=CLASSES,
        originals=ORIGINALS,
        output=OUTPUT,
    ).main()
