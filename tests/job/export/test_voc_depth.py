"""Pascal VOC says of a picture what its original says."""

from __future__ import annotations

import base64
import io
from xml.etree import ElementTree

from PIL import Image

from export_fixture import ExportJob, boxes, row
from synapse_skills.export_plan import FormatPlan

VOC = (FormatPlan(name="voc", options={"segmentation": "yes"}),)


def test_depth_is_of_the_original(export_job: ExportJob) -> None:
    rows = []
    for number, mode in enumerate(("L", "RGB", "RGBA")):
        stream = io.BytesIO()
        Image.new(mode, (64, 48)).save(stream, "PNG")
        content = base64.b64encode(stream.getvalue()).decode()
        file = {"file_name_original": f"{mode}.png", "is_primary": True, "content_base64": content}
        rows.append(row(number, boxes(1), data_unit={"files": {"image_1": file}, "meta": {}}))
    export_job.label(*rows)
    export_job.plan_with(formats=VOC, originals="required")
    export_job.do()
    depths = {
        path.stem: ElementTree.parse(path).getroot().findtext("size/depth")
        for path in (export_job.output / "voc/Annotations").iterdir()
    }
    assert depths == {"L": "1", "RGB": "3", "RGBA": "4"}
