"""The page: what has been uploaded, for people; it shows no token and runs nothing that was uploaded."""

import re
import urllib.request
from html import unescape
from urllib.parse import urlsplit

import pytest

from sandbox_fixture import COLLECTION

ANONYMOUS = {"Synapse-Access-Token": ""}


def page(box, query=""):
    status, html = box.request("GET", f"/{query}", headers=ANONYMOUS)
    assert status == 200
    assert box.token not in html
    return html


@pytest.fixture
def create(box, files):
    def send(count=1, **more):
        return box.post("/data_units/", [{"data_collection": COLLECTION, "files": files, **more}] * count)

    return send


def test_before_anything_was_uploaded(box):
    html = page(box, f"?collection={COLLECTION}")
    assert "CT scans" in html and "Nothing has been uploaded here yet." in html


def test_units_with_pictures_files_and_metadata(box, create):
    (row,) = create(meta={"name": "환자 한글", "나이": 41, "tags": ["a"]}, groups=["상위", "하위"])
    html = page(box)
    assert "환자 한글" in html and "<dt>나이</dt><dd>41</dd>" in html and "상위 / 하위" in html
    image = re.findall(r'<img loading="lazy" src="([^"]+)"', html)[-1]
    assert urlsplit(row["files"]["image_1"]["url"]).path == urlsplit(image).path
    with urllib.request.urlopen(box.host + unescape(image)) as response:
        assert response.headers["Content-Type"] == "image/png"
        assert response.headers["Content-Disposition"].startswith("inline")
    assert "one/a.json" in html


def test_nothing_that_was_uploaded_becomes_markup(box, files):
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
    box.set(enforces=[])
    box.put_file(evil.replace("/", "") + ".png", b"evil")
    checksum = box.files()[-1]["sha1"]
    named = {evil: {"checksum": checksum, "path": evil}, "plain": {"checksum": checksum}}
    unit = {"data_collection": COLLECTION, "files": named, "meta": {evil: evil, "name": evil}, "groups": [evil]}
    box.post("/data_units/", unit)
    html = page(box)
    assert "alert(1)" in html, "it is shown"
    assert "<script" not in html and "<img src" not in html
    for tag in re.findall(r"<[a-z][^>]*>", html):
        assert "alert" not in re.sub(r'(alt|href|src)="[^"]*"', "", tag)


def test_pages(box, create):
    create(60)
    html = page(box, f"?collection={COLLECTION}&page=2")
    assert html.count('<article class="unit">') == 24
    assert re.search(r"Page 2 of \d", html)
    assert f'href="/?collection={COLLECTION}&amp;page=3"' in html
    for odd in ("?page=999", "?page=0", "?page=x", "?collection=x", "?collection=12345678901234567890"):
        page(box, odd)


def test_nothing_comes_from_elsewhere_and_nothing_runs(box):
    with urllib.request.urlopen(box.host) as response:
        policy = response.headers["Content-Security-Policy"]
        html = response.read().decode()
    assert policy.startswith("default-src 'none'") and "script-src" not in policy
    assert not re.search(r'(src|href)="(https?:)?//', html)


def test_a_site_that_points_its_name_here_sees_nothing(box, create):
    create()
    assert box.request("GET", "/", headers={**ANONYMOUS, "Host": "evil.example"})[0] == 404
    assert box.request("GET", "/", headers={**ANONYMOUS, "Host": "localhost:1"})[0] == 200
