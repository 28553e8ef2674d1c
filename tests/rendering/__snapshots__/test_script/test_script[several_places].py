"""Upload to a Synapse data collection. Made from plan.json; edit what is odd about the data, then --dry-run."""

import sys

if sys.version_info < (3, 12):
    sys.stderr.write("error: this job needs Python 3.12 or newer, and this is " + sys.version.split()[0] + "\n")
    sys.exit(3)

from synapse_skills.job.upload import Upload
from synapse_skills.sources import Source
from synapse_skills.units import Place, by_source, by_stem

NAME = 'scans'
COLLECTION = 57
SOURCES = [
    Source('s3://bucket/images', recursive=True, spec='image_1'),
    Source('/mnt/nas/masks', recursive=True, spec='mask_1'),
    Source('labels/2026', recursive=False, spec='label_1', storage=11),
]

# Files with the same path but for the extension are one data unit; the source of a file tells the spec.
# For odd data write your own: def place(file): ...
place = Place(
    by_stem(),
    by_source(
        {0: 'image_1', 1: 'mask_1', 2: 'label_1'},
        takes={'image_1': ('.png', '.jpg'), 'mask_1': ('.png',), 'label_1': ('.json',)},
    ),
)

if __name__ == "__main__":
    Upload(COLLECTION, SOURCES, place=place).main()
