"""Upload to a Synapse data collection. Made from plan.json; edit what is odd about the data, then --dry-run."""

import sys

if sys.version_info < (3, 12):
    sys.stderr.write("error: this job needs Python 3.12 or newer, and this is " + sys.version.split()[0] + "\n")
    sys.exit(3)

from synapse_skills.job.upload import Upload
from synapse_skills.sources import Source
from synapse_skills.units import Place, by_extension, by_folder

NAME = 'scans'
COLLECTION = 57
SOURCES = [Source('/data/scans', recursive=True)]

# Each folder is one data unit; the extension tells the spec.
# For odd data write your own: def place(file): ...
place = Place(
    by_folder(1),
    by_extension({
        '.ext0': 'modality_0',
        '.ext1': 'modality_1',
        '.ext2': 'modality_2',
        '.ext3': 'modality_3',
        '.ext4': 'modality_4',
        '.ext5': 'modality_5',
        '.ext6': 'modality_6',
        '.ext7': 'modality_7',
    }),
)

if __name__ == "__main__":
    Upload(COLLECTION, SOURCES, place=place).main()
