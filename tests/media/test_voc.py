"""Pascal VOC annotations as JSON: every value, and nothing that a file could do to the reader."""

from __future__ import annotations

import io
import json
import time

import pytest
from synapse_sdk.utils.file.content_guard import inspect_file

from media.made import converted
from synapse_skills.media import ConversionFailed
from synapse_skills.media.voc import MAX_BYTES, voc_as_json

WHOLE = """<?xml version="1.0" encoding="UTF-8"?>
<annotation verified="yes">
  <folder>VOC2012</folder><filename>2007_000027.jpg</filename><path>C:\\data\\a.jpg</path>
  <source><database>The VOC2007 Database</database><image>flickr</image></source>
  <size><width>486</width><height>500</height><depth>3</depth></size>
  <segmented>0</segmented>
  <object>
    <name>사람 &lt;서 있음&gt;</name><pose>Unspecified</pose><truncated>0</truncated><occluded>1</occluded>
    <difficult>0</difficult>
    <bndbox><xmin>174</xmin><ymin>101.5</ymin><xmax>349</xmax><ymax>351</ymax></bndbox>
    <part><name>head</name><bndbox><xmin>169</xmin><ymin>104</ymin><xmax>209</xmax><ymax>146</ymax></bndbox></part>
    <part><name>hand</name><bndbox><xmin>278</xmin><ymin>210</ymin><xmax>297</xmax><ymax>233</ymax></bndbox></part>
    <actions><jumping>0</jumping><running>1</running></actions>
    <attribute key="colour">red</attribute><attribute key="age">young</attribute>
  </object>
  <object>
    <name>007</name><truncated>Unspecified</truncated>
    <polygon><x1>1</x1><y1>2.5</y1><x2>30</x2><y2>2</y2><x10>7</x10><y10>8</y10></polygon>
    <polygon><point><x>1</x><y>2</y></point><point><x>3</x><y>4</y></point></polygon>
    <polygon><username>kim</username></polygon>
  </object>
  <note>a</note><note>b</note><empty/>
</annotation>
"""


def read(text: str | bytes) -> dict:
    return json.loads(voc_as_json(io.BytesIO(text.encode() if isinstance(text, str) else text)))


def test_all_of_an_annotation(tmp_path):
    out, made = converted(tmp_path, WHOLE.encode(), ".xml", ".json")
    assert inspect_file(tmp_path / "original.xml"), "then nobody needs this"
    assert inspect_file(out) == []
    assert made.notes == ()
    assert json.loads(out.read_bytes()) == {
        "@verified": "yes",
        "folder": "VOC2012",
        "filename": "2007_000027.jpg",
        "path": "C:\\data\\a.jpg",
        "source": {"database": "The VOC2007 Database", "image": "flickr"},
        "size": {"width": 486, "height": 500, "depth": 3},
        "segmented": 0,
        "note": ["a", "b"],
        "empty": "",
        "objects": [
            {
                "name": "사람 <서 있음>",
                "pose": "Unspecified",
                "truncated": 0,
                "occluded": 1,
                "difficult": 0,
                "actions": {"jumping": "0", "running": "1"},
                "attribute": [{"@key": "colour", "#text": "red"}, {"@key": "age", "#text": "young"}],
                "bndbox": {"xmin": 174, "ymin": 101.5, "xmax": 349, "ymax": 351},
                "parts": [
                    {"name": "head", "bndbox": {"xmin": 169, "ymin": 104, "xmax": 209, "ymax": 146}},
                    {"name": "hand", "bndbox": {"xmin": 278, "ymin": 210, "xmax": 297, "ymax": 233}},
                ],
            },
            {
                "name": "007",
                "truncated": "Unspecified",
                "polygon": {"username": "kim"},
                "polygons": [[[1, 2.5], [30, 2], [7, 8]], [[1, 2], [3, 4]]],
            },
        ],
    }


def test_nothing_in_the_picture():
    assert read("<annotation><filename>a.jpg</filename></annotation>") == {"filename": "a.jpg", "objects": []}


@pytest.mark.parametrize(
    ("declared", "codec"),
    [("utf-8", "utf-8"), ("UTF-16", "utf-16"), ("EUC-KR", "cp949"), ("cp949", "cp949"), ("utf-8", "utf-8-sig")],
)
def test_encodings(declared, codec):
    text = f'<?xml version="1.0" encoding="{declared}"?><annotation><folder>한글 폴더</folder></annotation>'
    assert read(text.encode(codec))["folder"] == "한글 폴더"


def box(xmin: str) -> str:
    return (
        f"<annotation><object><name>a</name></object><object><bndbox><xmin>{xmin}</xmin><ymin>1</ymin><xmax>2</xmax>"
        "<ymax>3</ymax></bndbox></object></annotation>"
    )


@pytest.mark.parametrize("value", ["abc", "", "nan", "inf", "1e999", "0x10", "1,5", "١", "<deep>1</deep>"])
def test_a_box_without_numbers_is_refused_and_named(value):
    with pytest.raises(ConversionFailed, match="object 2: xmin is no number"):
        read(box(value))


@pytest.mark.parametrize(("value", "number"), [(" 12 ", 12), ("-3", -3), ("1.50", 1.5), ("1e2", 100.0), ("+4", 4)])
def test_numbers(value, number):
    found = read(box(value))["objects"][1]["bndbox"]["xmin"]
    assert (found, type(found)) == (number, type(number))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no Pascal VOC"),
        ("hello", "no Pascal VOC"),
        ("<annotation>", "no Pascal VOC"),
        ("<annotation></annotation><annotation/>", "no Pascal VOC"),
        ("<html><body/></html>", "root is <html>"),
        ('<svg xmlns="http://www.w3.org/2000/svg"/>', "root is <svg>"),
        ("<annotation><object><bndbox><xmin>1</xmin></bndbox></object></annotation>", "object 1: no ymin, xmax, ymax"),
        (box("1").replace("<xmax>", "<xmin>").replace("</xmax>", "</xmin>"), "object 2: xmin twice"),
        ("<annotation><objects/></annotation>", "an element <objects>"),
        ("<annotation>\xff</annotation>".encode("latin-1"), "no Pascal VOC"),
        (b'<?xml version="1.0" encoding="klingon"?><annotation/>', "no Pascal VOC"),
        (b'<?xml version="1.0" encoding="cp949"?><annotation>\x81</annotation>', "is not cp949, as it says"),
    ],
)
def test_what_is_no_annotation_says_why(text, said):
    with pytest.raises(ConversionFailed, match=said) as failed:
        read(text)
    assert failed.value.code == "conversion-failed"
    assert len(str(failed.value)) < 200


LAUGHS = '<!DOCTYPE annotation [<!ENTITY a "haha">' + "".join(
    f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(12)
)


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS + "]><annotation>&m;</annotation>",
        '<!DOCTYPE annotation [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation><folder>&x;</folder></annotation>',
        '<!DOCTYPE annotation SYSTEM "http://127.0.0.1:1/a.dtd"><annotation/>',
        '<!DOCTYPE annotation [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]><annotation/>',
        '<!DOCTYPE annotation [<!ATTLIST annotation a CDATA "b">]><annotation/>',
    ],
)
def test_entities_and_doctypes_are_refused_before_anything_is_read(text):
    began = time.monotonic()
    with pytest.raises(ConversionFailed, match="DOCTYPE or entities"):
        read(text)
    assert time.monotonic() - began < 2


def test_depth_and_size_have_limits():
    with pytest.raises(ConversionFailed, match="too deep"):
        read("<annotation>" + "<a>" * 100_000)
    with pytest.raises(ConversionFailed, match="too deep or too many"):
        read("<annotation>" + "<a/>" * 500_001 + "</annotation>")
    with pytest.raises(ConversionFailed, match="larger than 16 MiB"):
        read(b"<annotation>" + b" " * MAX_BYTES + b"</annotation>")


def test_the_same_bytes_again_and_in_the_order_of_the_file():
    assert voc_as_json(io.BytesIO(WHOLE.encode())) == voc_as_json(io.BytesIO(WHOLE.encode()))
    assert list(read("<annotation><z>1</z><a>2</a></annotation>")) == ["z", "a", "objects"]
