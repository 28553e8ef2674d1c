"""Export from a Synapse project. Made from plan.json; edit what is odd about the data, then --dry-run."""

import sys

if sys.version_info < (3, 12):
    sys.stderr.write("error: this job needs Python 3.12 or newer, and this is " + sys.version.split()[0] + "\n")
    sys.exit(3)

from synapse_skills.formats.custom import Entry
from synapse_skills.formats.geometry import clamp_box, clip_polygon, corners
from synapse_skills.job.export import Export

NAME = 'street scenes'
TARGET = 'assignment'
PROJECT = 42

# Format → how it is written; what is not said is as the format has it.
FORMATS = {'custom': {}, 'voc': {}}

# The classes in their order: the place of a name is its number, the same in every format and every part.
CLASSES = ['car', 'person']

ORIGINALS = 'none'
OUTPUT = '/data/exports/streets'


# The format `custom`: what becomes of each record, made to be changed. This makes tasks for Label Studio, one JSON list
# a part. A record is one medium with its annotations; synapse_skills/formats/custom.py says what it holds, and what may
# be given: File(path, content) for a file of its own, Line(path, content) for one more line of a file, Entry(path,
# content) for one more element of a JSON list. What is not in `lost`, with a reason of your own, counts as written.
def convert(record):
    """A task with its annotations; in the labelling configuration the picture is called `image`, the tools `label`."""
    result, lost = [], {}
    for annotation in record.annotations:
        made = to_label_studio(annotation, record.width, record.height)
        if isinstance(made, str):
            lost[annotation.id] = made
            continue
        kind, value = made
        region = {
            "id": annotation.id,
            "from_name": "choice" if kind == "choices" else "label",
            "to_name": "image",
            "type": kind,
            "value": value,
        }
        if kind != "choices":
            region |= {"original_width": record.width, "original_height": record.height, "image_rotation": 0}
        if annotation.attributes:
            region["meta"] = {"text": [f"{name}: {value}" for name, value in annotation.attributes.items()]}
        result.append(region)
    task = {
        "data": {"image": f"/data/local-files/?d=originals/{record.split}/{record.name}".replace("//", "/")},
        "meta": {"record": record.id, "data_unit": record.data_unit},
        "annotations": [{"result": result}],
    }
    yield Entry(f"{record.split or 'tasks'}.json", task, lost=lost)


def to_label_studio(annotation, width, height):
    """Its type and value in Label Studio, where lengths are percent of the picture; or why it has none."""
    shape = annotation.geometry
    kind = "none" if shape is None else type(shape).__name__
    if annotation.label is None:
        return "unlabelled"
    if kind == "Whole":
        return "choices", {"choices": [annotation.label]}
    if kind not in ("Box", "Polygon", "Keypoint"):
        return "not-held"
    if not width or not height:
        return "no-size"

    def percent(x, y):
        return 100 * x / width, 100 * y / height

    if kind == "Keypoint":
        if not (0 <= shape.x <= width and 0 <= shape.y <= height):
            return "outside"
        x, y = percent(shape.x, shape.y)
        return "keypointlabels", {"x": x, "y": y, "width": 0.5, "keypointlabels": [annotation.label]}
    if kind == "Polygon":
        inside = "holes" if shape.holes else clip_polygon(shape, width, height)
        if isinstance(inside, str):
            return inside
        points = [percent(x, y) for x, y in inside.points]
        return "polygonlabels", {"points": points, "closed": True, "polygonlabels": [annotation.label]}
    if shape.rotation:
        # Label Studio turns a box about its first corner, and we about its centre.
        (left, top), box = corners(shape)[0], shape
        if min(box.width, box.height) <= 0:
            return "zero-area"
        if not (0 <= left <= width and 0 <= top <= height):
            return "outside"
    else:
        box = clamp_box(shape, width, height)
        if isinstance(box, str):
            return box
        left, top = box.x, box.y
    x, y = percent(left, top)
    across, down = percent(box.width, box.height)
    turned = 57.29577951308232 * box.rotation % 360
    value = {"x": x, "y": y, "width": across, "height": down, "rotation": turned}
    return "rectanglelabels", value | {"rectanglelabels": [annotation.label]}


# To leave records out by a rule of your own: def keep(record): ... and keep=keep below.

if __name__ == "__main__":
    Export(
        TARGET,
        PROJECT,
        formats=FORMATS,
        classes=CLASSES,
        originals=ORIGINALS,
        output=OUTPUT,
        convert=convert,
    ).main()
