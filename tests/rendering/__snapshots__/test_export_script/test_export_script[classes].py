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
CLASSES = [
    'class 0',
    'class 1',
    'class 2',
    'class 3',
    'class 4',
    'class 5',
    'class 6',
    'class 7',
    'class 8',
    'class 9',
    'class 10',
    'class 11',
    'class 12',
    'class 13',
    'class 14',
    'class 15',
    'class 16',
    'class 17',
    'class 18',
    'class 19',
    'class 20',
    'class 21',
    'class 22',
    'class 23',
    'class 24',
    'class 25',
    'class 26',
    'class 27',
    'class 28',
    'class 29',
]
# As it was labelled → as it is written.
RENAME = {'자동차': 'class 1', 'van': 'class 1'}
# Labelled classes that are left out.
DROP = ['sky', 'mud']

ORIGINALS = 'none'
OUTPUT = '/data/exports/streets'

# To leave records out by a rule of your own: def keep(record): ... and keep=keep below.

if __name__ == "__main__":
    Export(
        TARGET,
        PROJECT,
        formats=FORMATS,
        classes=CLASSES,
        rename=RENAME,
        drop=DROP,
        originals=ORIGINALS,
        output=OUTPUT,
    ).main()
