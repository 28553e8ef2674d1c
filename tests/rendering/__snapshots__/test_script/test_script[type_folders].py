"""Upload to a Synapse data collection. Made from plan.json; edit what is odd about the data, then --dry-run."""

import sys

if sys.version_info < (3, 12):
    sys.stderr.write("error: this job needs Python 3.12 or newer, and this is " + sys.version.split()[0] + "\n")
    sys.exit(3)

from synapse_skills.job.upload import Upload
from synapse_skills.sources import Source
from synapse_skills.units import Place, by_extension, by_pattern, by_stem

NAME = 'scans'
COLLECTION = 57
SOURCES = [Source('/data/scans', recursive=True)]

# Files with the same path, without the folders and endings of their kind, but for the extension are one data
# unit; the first pattern that fits tells the spec, else the extension.
# For odd data write your own: def place(file): ...
place = Place(
    by_stem(ignore=('images', 'masks', 'labels'), endings=('_mask',)),
    by_pattern({'mask_1': '*_mask.png'})
    | by_extension({'.png': 'image_1', '.jpg': 'image_1', '.json': 'label_1'}),
)

if __name__ == "__main__":
    Upload(COLLECTION, SOURCES, place=place).main()
