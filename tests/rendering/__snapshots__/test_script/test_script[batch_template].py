"""Upload to a Synapse data collection. Made from plan.json; edit what is odd about the data, then --dry-run."""

import sys

if sys.version_info < (3, 12):
    sys.stderr.write("error: this job needs Python 3.12 or newer, and this is " + sys.version.split()[0] + "\n")
    sys.exit(3)

from synapse_skills.job.upload import Upload
from synapse_skills.sources import Source
from synapse_skills.units import Place, by_extension, by_regex

NAME = 'scans'
COLLECTION = 57
SOURCES = [Source('/data/scans', recursive=True)]

# What the regular expression finds in a path is the data unit; the extension tells the spec.
# For odd data write your own: def place(file): ...
place = Place(
    by_regex('(?P<site>[^/]+)/(?P<id>\\d+)_', template='{site}-{id}'),
    by_extension({'.png': 'image_1', '.jpg': 'image_1', '.json': 'label_1'}),
)

if __name__ == "__main__":
    Upload(COLLECTION, SOURCES, place=place).main()
