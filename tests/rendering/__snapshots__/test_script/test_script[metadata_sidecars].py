"""Upload to a Synapse data collection. Made from plan.json; edit what is odd about the data, then --dry-run."""

import sys

if sys.version_info < (3, 12):
    sys.stderr.write("error: this job needs Python 3.12 or newer, and this is " + sys.version.split()[0] + "\n")
    sys.exit(3)

from synapse_skills.job.upload import Upload
from synapse_skills.metadata import Merged, from_sidecars
from synapse_skills.sources import Source
from synapse_skills.units import Place, by_extension, by_folder, by_pattern

NAME = 'scans'
COLLECTION = 57
SOURCES = [Source('/data/scans', recursive=True)]

# Each folder is one data unit; the first pattern that fits tells the spec, else the extension. Files like the
# sidecars' pattern hold metadata.
# For odd data write your own: def place(file): ...
place = Place(
    by_folder(1),
    by_pattern({'mask_1': 'mask/*.png'})
    | by_extension({'.png': 'image_1', '.jpg': 'image_1', '.json': 'label_1'}),
    sidecars='*_info.yaml',
)

# The metadata of each data unit. For odd data write your own: def describe(unit): return {...}
describe = Merged(from_sidecars())

if __name__ == "__main__":
    Upload(COLLECTION, SOURCES, place=place, describe=describe).main()
